import asyncio
import json

from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreUnavailableError
from oicp_adapter.page import live
from oicp_adapter.page.live import LiveRow, Streams


def rows(*texts):
    return [LiveRow(str(number), {"says": text}) for number, text in enumerate(texts)]


def told(monkeypatch, *looks):
    """Return the events that a stream tells of these looks; an error among them is raised by its look."""
    monkeypatch.setattr(live, "EVERY", 0)
    left = list(looks)

    def read():
        look = left.pop(0) if left else RequestRefusedError(Refusal.UNAUTHENTICATED, "over", cure="sign in")
        if isinstance(look, Exception):
            raise look
        return look

    async def collect():
        return [part async for part in Streams().answer(read).body_iterator]

    return [_parsed(event) for event in asyncio.run(collect())]


def _parsed(event):
    name, data = event.strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_only_rows_that_changed_are_sent_again(monkeypatch):
    first, second, gone = told(monkeypatch, rows("a", "b"), rows("a", "b"), rows("a", "c"))
    assert [row["text"]["says"] for row in first[1]["rows"]] == ["a", "b"]
    assert [(row["row"], row["text"]["says"]) for row in second[1]["rows"]] == [("1", "c")]
    assert gone == ("gone", {"text": "over: sign in"})


def test_trouble_is_told_and_everything_is_sent_anew_after_it(monkeypatch):
    trouble = StoreUnavailableError("the store is away", cure="wait")
    events = told(monkeypatch, rows("a"), trouble, rows("a"))
    assert [name for name, _ in events] == ["rows", "trouble", "rows", "gone"]
    assert "the store is away" in events[1][1]["text"]


def test_a_line_of_somebody_elses_text_never_ends_an_event(monkeypatch):
    [(name, document), _] = told(monkeypatch, rows("a\n\nevent: gone\ndata: {}\n\n"))
    assert name == "rows"
    assert document["rows"][0]["text"]["says"].startswith("a\n\nevent")


def test_streams_beyond_the_limit_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(live, "STREAMS", 0)
    [(name, document)] = told(monkeypatch, rows("a"))
    assert name == "gone"
    assert "too many pages" in document["text"]
