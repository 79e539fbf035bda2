"""The log: shape, harmlessness, repeated failures."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from oicp_adapter.logs import REPEATED_AFTER, RepeatFilter, configure_logging, make_harmless
from oicp_adapter.settings import LogFormat, LogSettings

CANARY = "c4n4ry-s3cret"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _logging_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    shown = warnings.showwarning
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    warnings.showwarning = shown
    root.handlers[:], level = before
    root.setLevel(level)
    for name in ("httpx", "httpcore", "alembic", "sqlalchemy", "uvicorn", "uvicorn.error", "asyncio", "py.warnings"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("uvicorn.access").disabled = False


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_log(level: str = "info", clock: Clock | None = None) -> tuple[io.StringIO, Any]:
    stream = io.StringIO()
    configure_logging(LogSettings(level=level), stream=stream, repeats=RepeatFilter(clock=clock or Clock()))  # type: ignore[arg-type] # a word
    return stream, structlog.get_logger("test")


def test_an_event_is_one_json_line_with_its_fields_where_no_person_looks() -> None:
    stream, log = json_log()
    log.info("push.acknowledged", operator="DE*ABC", records=3, took=timedelta(seconds=1.5))
    (line,) = lines(stream)
    stamp = datetime.fromisoformat(line.pop("timestamp"))
    assert stamp.utcoffset() == timedelta(0)
    assert line == {"event": "push.acknowledged", "level": "info", "operator": "DE*ABC", "records": 3, "took": 1.5}


def test_a_terminal_gets_a_line_for_people_and_json_on_demand() -> None:
    terminal = Terminal()
    configure_logging(LogSettings(), stream=terminal)
    structlog.get_logger().info("lane.active", operator="DE*ABC")
    assert "lane.active" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    terminal = Terminal()
    configure_logging(LogSettings(format=LogFormat.JSON), stream=terminal)
    structlog.get_logger().info("lane.active")
    assert lines(terminal)[0]["event"] == "lane.active"


def test_what_is_below_the_level_is_not_logged() -> None:
    stream, log = json_log("warning")
    log.info("push.acknowledged")
    log.warning("push.rejected")
    assert [line["event"] for line in lines(stream)] == ["push.rejected"]


def test_a_context_is_on_every_line() -> None:
    stream, log = json_log()
    with structlog.contextvars.bound_contextvars(operator="DE*ABC"):
        log.info("one")
    assert lines(stream)[0]["operator"] == "DE*ABC"


@pytest.mark.parametrize("log_format", [LogFormat.CONSOLE, LogFormat.JSON])
@pytest.mark.parametrize("foreign", ["a\nb", "a\r\x1b[31mb", "\u2028x", "\u202egnp", "\udc80", "\x00"])
def test_foreign_text_cannot_begin_a_line_or_speak_to_the_terminal(foreign: str, log_format: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format=log_format), stream=stream)
    structlog.get_logger().warning(f"hub.said {foreign}", text=foreign, nested={foreign: [foreign]})
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written[:-1].isprintable()


def test_foreign_text_in_a_trace_does_not_begin_a_line() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format=LogFormat.CONSOLE), stream=stream)
    forged = ValueError("x\n2026-01-01 [info] forged\x1b[2J")
    structlog.get_logger().error("lane.failed", exc_info=forged)
    assert "\n2026-01-01 [info] forged" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


@given(st.text(max_size=300))
def test_harmless_text_is_printable_whatever_comes(text: str) -> None:
    shown = make_harmless(None, "info", {"event": text, "more": [text]})
    assert shown["event"].isprintable()
    assert shown["more"][0].isprintable()


@given(st.text(st.characters(categories=["L", "N"]), max_size=300))
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert make_harmless(None, "info", {"event": text})["event"] == text


def test_long_text_and_long_lists_are_cut() -> None:
    event = make_harmless(None, "info", {"event": "x" * 100_000, "many": list(range(10_000))})
    assert event["event"].endswith("… (100000 characters)")
    assert len(event["event"]) < 2100
    assert len(event["many"]) == 100


@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"store": {"Password": CANARY}},
        {"api_key": CANARY},
        {"headers": {"Authorization": f"Bearer {CANARY}"}},
        {"private_key": CANARY},
        {"tokens": [CANARY]},
        {"value": SecretStr(CANARY)},
        {"url": f"postgresql://u:{CANARY}@h/d"},
        {"url": f"postgresql://u:p@{CANARY}@h/d"},
        {"error": ValueError(f"cannot reach postgresql://u:{CANARY}@h/d")},
        {"text": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"},
        {"text": f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}"},
        {"text": "x" * 1990 + f"postgresql://u:{CANARY}@h/d"},
        {"exception": f"Traceback: postgresql://u:{CANARY}@h/d"},
        {"deep": {"a": {"b": {"c": {"d": {"password": SecretStr(CANARY)}}}}}},
    ],
)
def test_no_secret_is_in_a_line(fields: dict[str, object]) -> None:
    assert CANARY not in str(make_harmless(None, "info", {"event": "x", **fields}))


def test_names_of_key_files_and_plain_values_are_shown() -> None:
    fields = {"private_key_file": Path("/etc/client.key"), "at": datetime(2026, 1, 1, tzinfo=UTC), "token": None}
    shown = make_harmless(None, "info", {"event": "x", **fields})
    assert shown == {
        "event": "x",
        "private_key_file": "/etc/client.key",
        "at": "2026-01-01T00:00:00+00:00",
        "token": None,
    }


def test_the_same_failure_again_is_counted_and_told_after_five_minutes() -> None:
    clock = Clock()
    stream, log = json_log(clock=clock)
    for _ in range(5):
        log.warning("push.rejected", reason="unauthorized", operator="DE*ABC")
    assert len(lines(stream)) == 1
    clock.now = 300
    log.warning("push.rejected", reason="unauthorized", operator="DE*ABC")
    assert [line.get("repeated") for line in lines(stream)] == [None, 4]


def test_another_reason_or_operator_is_another_failure_and_info_is_never_counted() -> None:
    stream, log = json_log()
    log.warning("push.rejected", reason="a", operator="DE*ABC")
    log.warning("push.rejected", reason="b", operator="DE*ABC")
    log.warning("push.rejected", reason="a", operator="DE*XYZ")
    log.warning("full_load.postponed", why="a debt")
    log.warning("full_load.postponed", why="a missing EVSE")
    log.info("push.acknowledged")
    log.info("push.acknowledged")
    assert len(lines(stream)) == 7


def test_a_failure_that_ended_is_told_with_its_count_once() -> None:
    clock = Clock()
    repeats = RepeatFilter(clock=clock)
    event = {"event": "push.rejected", "level": "warning", "reason": "a", "operator": "DE*ABC"}
    repeats(None, "warning", dict(event))
    for _ in range(2):
        with pytest.raises(structlog.DropEvent):
            repeats(None, "warning", dict(event))
    assert repeats.summaries() == []
    clock.now = 301
    assert repeats.summaries() == [
        {"failure": "push.rejected", "reason": "a", "operator": "DE*ABC", "repeated": 2},
    ]
    assert repeats.summaries() == []


@pytest.mark.parametrize("level", ["info", "error"])
def test_a_failure_that_is_over_is_told_anew_although_nobody_sees_that_it_is_over(level: str) -> None:
    stream, log = json_log(level)
    for _ in range(2):
        log.error("lane.trouble", reason="busy", operator="DE*ABC")
        log.error("lane.trouble", reason="busy", operator="DE*XYZ")
        log.info("lane.recovered", over="lane.trouble", operator="DE*ABC")
    told = [line["operator"] for line in lines(stream) if line["event"] == "lane.trouble"]
    assert told == ["DE*ABC", "DE*XYZ", "DE*ABC"]


def test_who_asks_is_answered_each_time() -> None:
    stream, log = json_log()
    for asked in ({}, {"asked": True}, {}, {"asked": True}):
        log.error("config.not_reloaded", reason="a key is wrong", **asked)
    assert [line.get("asked", False) for line in lines(stream)] == [False, True, True]


def test_the_failures_remembered_are_bounded() -> None:
    repeats = RepeatFilter(clock=Clock())
    for number in range(5000):
        repeats(None, "error", {"event": str(number), "level": "error"})
    assert len(repeats._told) == 1000


def test_the_standard_librarys_loggers_are_routed_and_the_chatty_ones_quiet() -> None:
    stream, _ = json_log()
    logging.getLogger("uvicorn.error").warning("port %s in use", 80)
    logging.getLogger("uvicorn.access").warning("GET /")
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("elsewhere").info("hello\n%s", CANARY)
    assert [line["event"] for line in lines(stream)] == ["port 80 in use", f"hello\\n{CANARY}"]


def test_warnings_are_log_lines() -> None:
    stream, _ = json_log()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("old\nthing", DeprecationWarning, "x.py", 3)
    assert "DeprecationWarning: old\\nthing" in lines(stream)[0]["event"]


def test_what_a_library_says_again_is_counted_and_no_error_reaches_the_library() -> None:
    clock = Clock()
    stream, _ = json_log(clock=clock)
    for _ in range(3):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert [line["event"] for line in lines(stream)] == ["Invalid HTTP request received."]
    clock.now += REPEATED_AFTER.total_seconds()
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert lines(stream)[-1]["repeated"] == 2


def test_configuring_twice_logs_once() -> None:
    json_log()
    stream, log = json_log()
    log.info("one")
    assert len(lines(stream)) == 1


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logging(LogSettings(), stream=Full())
    structlog.get_logger().error("push.rejected", detail=SimpleNamespace(a=1))
