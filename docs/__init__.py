"""The documents, and the program that renews the generated ones: `python -m docs.generate`."""
