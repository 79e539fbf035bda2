"""Proves the promise of the adapter: exhaustive search, seeded simulation, real faults."""
