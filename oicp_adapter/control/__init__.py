"""What people and programs ask of the adapter, said once for the command line, the API and the page."""
