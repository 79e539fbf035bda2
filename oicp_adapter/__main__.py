"""Runs the command line as `python -m oicp_adapter`."""

from oicp_adapter.cli.main import main

if __name__ == "__main__":
    main()
