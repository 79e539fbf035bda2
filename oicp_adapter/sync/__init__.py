"""Pure decisions: what is dirty, what goes into the next request, what an answer means, when to wait."""
