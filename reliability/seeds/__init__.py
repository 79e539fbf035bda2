"""Simulates whole deployments in virtual time, faults of the catalogue at random, each run exactly as its seed says."""
