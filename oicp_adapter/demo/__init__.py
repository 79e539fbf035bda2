"""Everything on one machine: a simulated hub, a simulated fleet, the daemon between them, and the proof that they agree."""
