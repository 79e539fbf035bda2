"""
Gathers raw settings from the command line, the environment and a TOML file, before they are judged.

1. Command line > environment > file. `operators` is one value: the higher source replaces the whole list.
2. Relative paths, also the one inside a SQLite URL, are relative to the file's folder when they stand in the file, and
   to the working directory otherwise.
3. A secret, its `_file` variant and the password inside the store's URL are one setting: the higher source wins, two of
   them in one source contradict each other.
4. No text made here shows a value, since any value may be or hold a secret.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from oicp_adapter.domain.errors import ConfigurationError, foreign_text
from oicp_adapter.domain.statuses import normalise

PREFIX: Final = "OICP_ADAPTER_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"

URL_PASSWORD: Final = "url_password"  # noqa: S105 - the name of a raw key, not a password
SECRET_LIMIT: Final = 64 * 1024
"""Bytes read of a secret's file; a longer one is not a password."""

_PATHS: Final = ("ca_file", "password_file", "certificate", "private_key", "private_key_password_file")
_SECRETS: Final = ("password", "private_key_password")
_REPLACES: Final[Mapping[str, Sequence[str]]] = {
    "url": (URL_PASSWORD,),
    URL_PASSWORD: ("password", "password_file"),
    "password": ("password_file", URL_PASSWORD),
    "password_file": ("password", URL_PASSWORD),
}

RawTable = dict[str, Any]


@dataclass(slots=True)
class Raw:
    """
    What the sources say, merged but not judged.

    Attributes:
        values: Nested as in the file.
        origins: Where a value, or the list `operators`, came from, by its dotted key; absent: from the file.
        problems: What was already found to be wrong.
    """

    values: RawTable = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigurationError] = field(default_factory=list)

    def refuse(self, what: str, *, cure: str) -> None:
        """Note one more problem."""
        self.problems.append(ConfigurationError(what, cure=cure))

    def place(self, key: str) -> str:
        """Return a dotted key with the source that set it, or the whole list that it is in, for a message."""
        origin = self.origins.get(key) or self.origins.get(key.partition("[")[0])
        return f"{key} (from {origin})" if origin else key


def nearest(word: str, known: Sequence[str]) -> str:
    """Return a cure that names the known word that comes nearest, or all of them."""
    folded = {known_word.lower(): known_word for known_word in known}
    found = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[found[0]]}?" if found else f"known are {', '.join(sorted(known))}"


def config_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the TOML file that the command line names, else the environment; None: neither does."""
    return config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)


def gather(
    *,
    config: Path | None,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    known: Mapping[str, Sequence[str]],
) -> Raw:
    """
    Read and merge the three sources.

    Args:
        config: The TOML file; None: the one that `OICP_ADAPTER_CONFIG` names, if any.
        overrides: Values of the command line by dotted key (`monitoring.port`).
        environ: The environment; variables without the prefix are ignored.
        known: The keys of each section; a section without keys takes any.
    """
    raw = Raw()
    named = config_file(config, environ)
    layers = [
        _read_file(named, raw) if named is not None else {},
        _read_environment(environ, known, raw),
        _read_overrides(overrides, raw),
    ]
    for layer in layers:
        _lift_password(layer, raw)
        _refuse_contradictions(layer, raw)
        _overlay(raw.values, layer)
    _read_secrets(raw)
    return raw


def _read_file(path: Path, raw: Raw) -> RawTable:
    shown = foreign_text(path)
    try:
        layer = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raw.refuse(f"the settings file {shown} cannot be read ({exc.strerror})", cure="name a TOML file with --config")
        return {}
    except ValueError as exc:  # also UnicodeDecodeError, of which only the kind is shown
        detail = foreign_text(exc) if isinstance(exc, tomllib.TOMLDecodeError) else "it is not UTF-8"
        raw.refuse(f"the settings file {shown} is not TOML: {detail}", cure="correct that line")
        return {}
    folder = path.resolve().parent
    for table in _tables(layer):
        _anchor(table, folder)
    return layer


def _tables(layer: RawTable) -> Sequence[RawTable]:
    operators = layer.get("operators")
    entries = [*layer.values(), *(operators if isinstance(operators, list) else ())]
    return [entry for entry in entries if isinstance(entry, dict)]


def _anchor(table: RawTable, folder: Path) -> None:
    for key in _PATHS:
        if isinstance(table.get(key), str) and table[key]:
            table[key] = str(folder / table[key])
    url = table.get("url")
    if isinstance(url, str) and url.startswith("sqlite:///") and url != "sqlite:///":
        table["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"


def _read_environment(environ: Mapping[str, str], known: Mapping[str, Sequence[str]], raw: Raw) -> RawTable:
    names = {f"{PREFIX}{section}__{key}".upper() for section, keys in known.items() for key in keys}
    names -= {name for name in names if name.startswith(f"{PREFIX}OPERATORS__")}
    names |= {f"{PREFIX}OPERATORS", CONFIG_VARIABLE}
    layer: RawTable = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if name == f"{PREFIX}OPERATORS":
            _read_operators(text, layer, raw)
        elif name in names or (key and section in known and not known[section]):
            layer.setdefault(section, {})[key] = text
            raw.origins[f"{section}.{key}"] = f"the environment, {name}"
        else:
            raw.refuse(
                f"the environment sets {foreign_text(name, 80)}, which is no setting", cure=nearest(name, [*names])
            )
    return layer


def _read_operators(text: str, layer: RawTable, raw: Raw) -> None:
    try:
        layer["operators"] = json.loads(text)
    except (ValueError, RecursionError):
        raw.refuse(
            f"{PREFIX}OPERATORS is not JSON",
            cure='expected a list of objects with the keys of [[operators]], as [{"id": "DE*ABC", "certificate": "…"}]',
        )
        return
    raw.origins["operators"] = f"the environment, {PREFIX}OPERATORS"


def _read_overrides(overrides: Mapping[str, object], raw: Raw) -> RawTable:
    layer: RawTable = {}
    for dotted, value in overrides.items():
        section, _, key = dotted.partition(".")
        if key:
            layer.setdefault(section, {})[key] = value
        else:
            layer[section] = value
        raw.origins[dotted] = "the command line"
    return layer


def _lift_password(layer: RawTable, raw: Raw) -> None:
    """Move the password out of the store's URL, so that the URL may be shown."""
    store = layer.get("store")
    url = store.get("url") if isinstance(store, dict) else None
    if not isinstance(store, dict) or not isinstance(url, str) or url.startswith("sqlite:"):
        return
    problem = _unclear_password(url)
    if problem:
        del store["url"]
        raw.refuse(f"store.url {problem}", cure="put the password into the file that store.password_file names")
        return
    parts = urlsplit(url)
    user_info, at, host = parts.netloc.rpartition("@")
    user, colon, password = user_info.partition(":")
    store["url"] = urlunsplit(parts._replace(netloc=f"{user}{at}{host}"))
    if colon and password:
        store[URL_PASSWORD] = unquote(password)


def _unclear_password(url: str) -> str | None:
    """Tell why it is not certain that the URL can be split into password and rest."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "is not a URL"
    if "@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1 or parts.fragment:
        return "holds a character (@ / ? #) that must be written percent-encoded inside a user or password"
    if any("password" in key.lower() for key, _ in query):
        return "holds a password among its parameters"
    return None


def _refuse_contradictions(layer: RawTable, raw: Raw) -> None:
    for table in _tables(layer):
        for secret in _SECRETS:
            given = [name for name in (secret, f"{secret}_file") if table.get(name)]
            if secret == "password" and URL_PASSWORD in table:  # noqa: S105 - the name of a key, not a password
                given.append("the password inside url")
            if len(given) > 1:
                raw.refuse(f"{' and '.join(given)} are both given", cure="keep one of them")


def _overlay(below: RawTable, layer: RawTable) -> None:
    for section, table in layer.items():
        lower = below.get(section)
        if not isinstance(table, dict) or not isinstance(lower, dict):
            below[section] = table
            continue
        for key in table:
            for replaced in _REPLACES.get(key, ()) if section == "store" else ():
                lower.pop(replaced, None)
            if section == "mapping":
                for other in [word for word in lower if normalise(word) == normalise(key)]:
                    del lower[other]
        lower.update(table)


def _read_secrets(raw: Raw) -> None:
    store = raw.values.get("store")
    if isinstance(store, dict) and URL_PASSWORD in store:
        store["password"] = store.pop(URL_PASSWORD)
    for table in _tables(raw.values):
        for secret in _SECRETS:
            path = table.get(f"{secret}_file")
            if isinstance(path, str | Path) and str(path):
                table[secret] = _read_secret(Path(path), f"{secret}_file", raw)


def _read_secret(path: Path, key: str, raw: Raw) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_LIMIT + 1)
    except (OSError, ValueError) as exc:  # ValueError: the path holds a NUL
        why = exc.strerror if isinstance(exc, OSError) else "it is no path"
        raw.refuse(f"{key} {foreign_text(path)} cannot be read ({why})", cure="name a file that this user may read")
        return None
    try:
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > SECRET_LIMIT:
        raw.refuse(f"{key} {foreign_text(path)} holds no password", cure="expected one line of UTF-8 text")
        return None
    return text
