"""The operator page: a thin shell over `control/` for people, rendered by the server, alive by server-sent events."""
