"""Writers of the shared tables, with and without the adapter: the same errors, and what it costs them."""
