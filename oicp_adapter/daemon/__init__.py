"""The running adapter: a worker and a thread a lane, monitoring endpoints, life cycle."""
