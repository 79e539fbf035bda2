"""Documents every reason that a metric, a log line, a problem or a command gives for something that was not done."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import oicp_adapter
from docs.generate import markdown
from docs.generate.markdown import UndescribedError, code, table
from docs.generate.meanings import meanings_table
from oicp_adapter.api.problem_kinds import PROBLEMS
from oicp_adapter.domain.errors import ErrorReason
from oicp_adapter.simulator.wire import CODE_TEXTS
from oicp_adapter.store.evses import EvseState
from oicp_adapter.store.fleet_import import ImportFault
from oicp_adapter.sync.answers import Effect, Reason, Scope
from oicp_adapter.sync.classify import CODES
from oicp_adapter.sync.model import Rejection, WorkReason

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_PUSH: Final = "[reason of a push](#why-a-push-was-not-acknowledged)"
_ROW: Final = "[reason of a row](#why-a-row-never-leaves-the-house)"
_ERROR: Final = "[error of the adapter](#errors-of-the-adapter)"

LOGGED: Final[dict[str, str]] = {
    "push.{effect}": f"{_PUSH}, with the [effect](#what-the-hub-did-with-a-request) in the event's name.",
    "push.failing": f"{_PUSH}.",
    "lane.state": f"While the lane is held: {_PUSH}, or {_ERROR}; else none.",
    "evse.rejected": f"{_ROW}.",
    "survey.failed": f"{_ERROR}.",
    "fleet.rejected": f"In words: how many rows for each {_ROW}.",
    "fleet.not_served": "In words: for how many operators rows stand in the store that no lane serves.",
    "certificate.not_replaced": "In words: what is wrong with the new certificate or key.",
    "certificate.refused": "The same, to whoever asked `serve` with SIGHUP.",
    "config.not_reloaded": "In words: which setting is wrong and what is expected, or what it could not be used for.",
    "config.refused": "The same, to whoever asked with SIGHUP.",
    "tracing.off": "In words: what keeps spans from being sent.",
}
"""What the field `reason` of each event of the log holds."""


_CODES_INTRO: Final = """\
Label `code` of `oicp_adapter_status_codes_total`. Any other code is taken for a refusal that does not pass by itself,
and gets its series when it first comes. Whose fault it is decides who waits."""


def page() -> str:
    """Return the whole page."""
    if different := set(logged_events()) ^ set(LOGGED):
        raise UndescribedError(f"the reason of log event {min(different)}")
    return markdown.page(
        "Reasons",
        "Each list is closed: another word does not occur. `oicp-adapter` says the same with what to do about it.",
        "## Why a push was not acknowledged",
        "Label `reason` of `oicp_adapter_push_failures_total`; also in the log, and in `oicp-adapter quarantine list`.",
        meanings_table(Reason, "reason"),
        "## What the hub did with a request",
        "As far as its answer tells; the log has it in the event, `push.{effect}`.",
        meanings_table(Effect, "effect"),
        "## Status codes of the hub",
        _CODES_INTRO,
        _codes(),
        meanings_table(Scope, "whose"),
        "## Why a row never leaves the house",
        "Label `reason` of `oicp_adapter_rejected_evses`; also in the log, and in `oicp-adapter quarantine list`.",
        meanings_table(Rejection, "reason"),
        "## Why an EVSE is in a request",
        "As `oicp-adapter plan` shows it.",
        meanings_table(WorkReason, "reason"),
        "## How far the hub is from the store",
        "`state` of `oicp-adapter status --json` and of `GET /v2/evses`.",
        meanings_table(EvseState, "state"),
        "## What is wrong with a row of an import",
        "As `oicp-adapter db import` reports it.",
        meanings_table(ImportFault, "fault"),
        "## Errors of the adapter",
        "What a command or a lane ends with; the [exit code](exit-codes.md) of a command follows from it.",
        meanings_table(ErrorReason, "reason"),
        "## Problems of the API",
        "`type` of an `application/problem+json`.",
        problems(),
        "## In the log",
        "Events with a field `reason`, and what it holds.",
        table(["event", "reason"], [[code(event), text] for event, text in LOGGED.items()]),
    )


def problems() -> str:
    """Return the table of the API's problems."""
    rows = [[str(kind.status.value), code(kind.type), kind.meaning] for kind in PROBLEMS.values()]
    return table(["status", "type", "meaning"], rows)


def _codes() -> str:
    rows = [["`000`", CODE_TEXTS["000"], code(Effect.APPLIED.value), "", ""]]
    for number, (effect, scope, reason) in sorted(CODES.items()):
        rows.append([code(number), CODE_TEXTS[number], code(effect), code(scope), code(reason)])
    return table(["code", "the hub's words", "effect", "whose", "reason"], rows)


def logged_events() -> Iterator[str]:
    """Yield each event of the log that is written with a field `reason`, as the source of the package has it."""
    for path in sorted(Path(oicp_adapter.__file__).parent.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "log" not in source or "reason=" not in source:
            continue  # most modules: to parse them takes a second
        for call in ast.walk(ast.parse(source)):
            if isinstance(call, ast.Call) and _is_log(call) and any(each.arg == "reason" for each in call.keywords):
                yield _event(call.args[0])


def _is_log(call: ast.Call) -> bool:
    called = call.func
    if isinstance(called, ast.Name):  # `log = self._log.warning if … else self._log.info`
        return called.id == "log"
    return isinstance(called, ast.Attribute) and called.attr in _LEVELS and "log" in ast.unparse(called.value).lower()


def _event(argument: ast.expr) -> str:
    if isinstance(argument, ast.JoinedStr):  # f"push.{verdict.effect}"
        parts = [str(part.value) if isinstance(part, ast.Constant) else "{effect}" for part in argument.values]
        return "".join(parts)
    assert isinstance(argument, ast.Constant)  # noqa: S101 - events are written out
    return str(argument.value)
