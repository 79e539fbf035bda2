"""Measures the adapter from outside: the real daemon and the simulator as processes of their own."""
