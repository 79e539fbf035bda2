"""What is remembered beside the store."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from oicp_adapter.daemon.witness import MemoryWitness, Sighting, WitnessFile

LATER = datetime(2026, 3, 2, 12, 0, 30, 250_000, tzinfo=UTC)


def test_it_knows_nothing_of_a_lane_that_it_never_saw(tmp_path: Path) -> None:
    assert WitnessFile(tmp_path / "store.db").of("DEABC").seen == Sighting(0, None)
    assert MemoryWitness().seen == Sighting(0, None)


def test_what_was_noted_of_each_lane_outlives_the_process(tmp_path: Path) -> None:
    file = WitnessFile(tmp_path / "store.db")
    file.of("DEABC").note(Sighting(41, LATER))
    file.of("DEXYZ").note(Sighting(7))
    file.of("DEABC").note(Sighting(42, LATER))
    again = WitnessFile(tmp_path / "store.db")
    assert again.of("DEABC").seen == Sighting(42, LATER)
    assert again.of("DEXYZ").seen == Sighting(7)


@pytest.mark.parametrize("left", [b"", b"{", b"[1]", b'{"DEABC": 3}', b'{"DEABC": ["x", null]}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_as_good_as_none_and_said(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "store.db.witness").write_bytes(left)
    with capture_logs() as log:
        file = WitnessFile(tmp_path / "store.db")
    assert [event["event"] for event in log] == ["witness.not_read"]
    assert file.of("DEABC").seen == Sighting()
    file.of("DEABC").note(Sighting(1))
    assert WitnessFile(tmp_path / "store.db").of("DEABC").seen == Sighting(1)


def test_a_file_that_cannot_be_written_stops_nothing_and_is_said(tmp_path: Path) -> None:
    file = WitnessFile(tmp_path / "gone" / "store.db")
    with capture_logs() as log:
        file.of("DEABC").note(Sighting(3))
    assert [event["event"] for event in log] == ["witness.not_written"]
    assert file.of("DEABC").seen == Sighting(3)


def test_what_is_known_already_is_not_written_again(tmp_path: Path) -> None:
    witness = WitnessFile(tmp_path / "store.db").of("DEABC")
    witness.note(Sighting(3))
    (tmp_path / "store.db.witness").unlink()
    witness.note(Sighting(3))
    assert not (tmp_path / "store.db.witness").exists()
