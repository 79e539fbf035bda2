"""The control API: a thin shell of HTTP over `control`; it decides nothing about temporary statuses itself."""
