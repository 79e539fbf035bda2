"""The store's migrations; run by `store.migrate`, never from a command line of their own."""
