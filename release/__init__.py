"""
What a release is made of, each by `python -m`: locks, wheel and sdist, SBOM, manual page and completions.

Whatever is committed of it (`locks/`, `share/`) is compared by tests with what the code says.
"""
