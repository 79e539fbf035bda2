"""Documents what commands end with, and which errors lead there."""

from collections.abc import Iterator

from docs.generate import markdown
from docs.generate.meanings import meanings
from oicp_adapter.domain.errors import AdapterError
from oicp_adapter.domain.exit_codes import ExitCode

_INTRO = """\
Numbers above 63 are those of `sysexits.h`. What is wrong, and what to do about it, stands in one line on stderr."""


def page() -> str:
    """Return the whole page."""
    errors = sorted(all_errors(), key=lambda error: error.__name__)
    rows = []
    for exit_code, meaning in meanings(ExitCode).items():
        leading = [error.__name__ for error in errors if error.exit_code == exit_code]
        rows.append([f"`{exit_code.value}`", meaning, ", ".join(map(markdown.code, leading))])
    return markdown.page("Exit codes", _INTRO, markdown.table(["code", "meaning", "errors"], rows))


def all_errors(base: type[AdapterError] = AdapterError) -> Iterator[type[AdapterError]]:
    """Yield every error that is raised on purpose."""
    for error in base.__subclasses__():
        if not error.__name__.startswith("_"):
            yield error
        yield from all_errors(error)
