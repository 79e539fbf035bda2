"""Hubject in a box: a pure hub, faults as data, and a mutual TLS server around both."""
