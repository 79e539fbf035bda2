"""Documents every setting from the models that judge it."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic.fields import FieldInfo

from docs.generate import markdown
from docs.generate.markdown import UndescribedError, code, described, table
from oicp_adapter.settings import SECTIONS, Section, Settings
from oicp_adapter.settings_sources import CONFIG_VARIABLE, PREFIX
from oicp_adapter.settings_values import Accepts

_OPERATORS: Final = "operators"
_OPERATORS_VARIABLE: Final = f"{PREFIX}OPERATORS"

_INTRO: Final = f"""\
Command line > environment > file > default. `--config FILE` or `{CONFIG_VARIABLE}` names the file, TOML as in
[`oicp-adapter.example.toml`](../oicp-adapter.example.toml). `oicp-adapter check` says what is wrong
with the settings of a machine. An unknown key is refused, with the nearest one that there is.

Durations are seconds. Relative paths, also in a `sqlite:///` URL, are relative to the folder of the file, and to the
working directory where they come from elsewhere. An empty text stands for none."""


def page_of(sections: dict[str, type[Section]], top: dict[str, FieldInfo]) -> str:
    """Return the page for these sections, and for what stands in no section (`[mapping]`)."""
    blocks = [_INTRO]
    for name, section in sections.items():
        shown = f"`[[{name}]]`" if name == _OPERATORS else f"`[{name}]`"
        blocks += [f"## {shown}", described(f"section [{name}]", section.__doc__)]
        if name == _OPERATORS:
            blocks.append(f"All entries together stand as a JSON list of objects in `{_OPERATORS_VARIABLE}`.")
        heads = ["setting", "type", "default", "environment", "meaning", "validation"]
        blocks.append(table(heads, (_row(name, key, field) for key, field in section.model_fields.items())))
    for name, field in top.items():
        accepts = _accepts(field.annotation, field.metadata)
        blocks += [f"## `[{name}]`", described(f"setting {name}", field.description)]
        blocks.append(
            f"Each key is a word of its own: {accepts.rule}. In the environment `{PREFIX}{name.upper()}__OFFLINE`."
        )
    return markdown.page("Settings", *blocks)


def sections() -> dict[str, type[Section]]:
    """Return the sections with keys of their own."""
    return dict(SECTIONS)


def top_level() -> dict[str, FieldInfo]:
    """Return what is set without a section's keys."""
    return {name: field for name, field in Settings.model_fields.items() if name not in SECTIONS}


def page() -> str:
    """Return the whole page."""
    return page_of(sections(), top_level())


def _row(section: str, key: str, field: FieldInfo) -> list[str]:
    name = f"{section}.{key}"
    if field.annotation is None:
        raise UndescribedError(f"the type of setting {name}")
    accepts = _accepts(field.annotation, field.metadata)
    variable = f"in `{_OPERATORS_VARIABLE}`" if section == _OPERATORS else code(f"{PREFIX}{section}__{key}".upper())
    validation = "; ".join([*(["required"] if field.is_required() else []), *_rules(accepts, field)])
    meaning = described(f"setting {name}", field.description)
    return [code(name), accepts.kind, _default(field), variable, meaning, validation]


def _rules(accepts: Accepts, field: FieldInfo) -> Iterator[str]:
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    if low is not None and high is not None:
        yield f"{low} to {high}"
    for bound in field.metadata:
        if isinstance(bound, MaxLen):
            yield f"at most {bound.max_length} characters"
        if isinstance(bound, MinLen):
            yield "not empty"
    if accepts.rule:
        yield accepts.rule


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    match field.get_default():
        case None | ():
            return "none"
        case bool() as flag:
            return code(str(flag).lower())
        case timedelta() as span:
            return code(f"{span.total_seconds():g}")
        case other:
            return code(str(other) or '""')


def _accepts(annotation: Any, metadata: list[Any]) -> Accepts:
    """Return what a type takes, from its own words or from what Python says of it."""
    if (own := [each for each in metadata if isinstance(each, Accepts)]) != []:
        return own[-1]
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Accepts("word", _one_of([each.value for each in annotation]))
    if get_origin(annotation) is Literal:
        return Accepts("word", _one_of([*get_args(annotation)]))
    if get_origin(annotation) is tuple:
        inner, _ = get_args(annotation)
        of = _accepts(inner, list(inner.__metadata__))
        return Accepts(f"list of {of.kind}", of.rule)
    if annotation is bool:
        return Accepts("true or false")
    if annotation is str:
        return Accepts("text")
    raise UndescribedError(f"the type {annotation}")


def _one_of(words: list[str]) -> str:
    return f"one of {', '.join(code(word) for word in words)}"
