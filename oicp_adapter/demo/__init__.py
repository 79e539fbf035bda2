"""Everything on one machine: a simulated hub and fleet, the daemon between them, and the proof that they agree."""
