"""Lists what a command can end with; numbers above 63 mean what sysexits.h means by them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process of a command ends with; the text below each is its documentation."""

    DONE = 0
    """Done; also a clean stop on SIGTERM or SIGINT."""

    DEMO_FAILED = 1
    """Only `demo`: at its end the hub does not hold what the store says, or a process did not end cleanly."""

    WRONG_USAGE = 2
    """What stands on the command line, or in the file that it names, is wrong; nothing was done."""

    UNAVAILABLE = 69
    """The store or the hub cannot be reached, or the store's tables are not those that this program needs."""

    INTERNAL_ERROR = 70
    """An error that nobody foresaw; `--debug` shows where."""

    HELD_ELSEWHERE = 75
    """Another process holds the store, and waiting for it makes no sense: SQLite has one daemon a file."""

    CONFIGURATION = 78
    """The settings, a certificate or a file that they name is wrong, or the store is not the one that a lane knows."""

    INTERRUPTED = 130
    """A person ended the command with Ctrl-C where it has nothing to end in order."""
