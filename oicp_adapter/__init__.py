"""Keeps the EVSE statuses at Hubject equal to an operator's own: resolve, plan, converge."""

__version__ = "0.1.0"
