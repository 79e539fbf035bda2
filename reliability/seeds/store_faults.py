"""Injects what happens to the store and in it: FAULTS.md, `Store`, and windows at bad moments."""

from collections.abc import Sequence
from functools import partial

from reliability.seeds.faults import Stage, injector
from reliability.seeds.truth import LANES
from reliability.seeds.writers import BAD_ROWS


@injector("F31 store away")
def store_away(stage: Stage) -> None:
    seconds = stage.dice.choice([0.1, 1.0, stage.dice.uniform(2, 40)])
    _away(stage, "", seconds)
    stage.fired("F31 store away")


@injector("F65 process without store")
def partitioned(stage: Stage) -> None:
    _away(stage, stage.dice.choice(stage.replicas).name, stage.dice.uniform(2, 40))
    stage.fired("F65 process without store")


@injector("F31 transaction failed")
def transaction_failed(stage: Stage) -> None:
    stage.trouble.fail_next += stage.dice.randint(1, 3)
    stage.writers.change()


@injector("F32 commit answered by nobody")
def commit_lost(stage: Stage) -> None:
    stage.trouble.lost_next += stage.dice.randint(1, 2)
    stage.writers.change()


@injector("F48 busy while recording")
def busy_while_recording(stage: Stage) -> None:
    seconds = stage.dice.uniform(1, 25)
    stage.trouble.busy_until = stage.world.now + round(seconds * 1e6)
    stage.busy(seconds)
    stage.writers.change_many()


@injector("F33 all rows vanish", "sweep")
def all_vanish(stage: Stage) -> None:
    _vanish(stage, "F33 all rows vanish", stage.writers.fleet())


@injector("F33 half the rows vanish", "sweep")
def half_vanish(stage: Stage) -> None:
    fleet = stage.writers.fleet()
    _vanish(stage, "F33 half the rows vanish", stage.dice.sample(fleet, len(fleet) // 2))


@injector("F33 rows vanish without a hint", "sweep", blind=True)
def vanish_unseen(stage: Stage) -> None:
    _vanish(stage, "F33 rows vanish without a hint", stage.writers.fleet(), ("DELETE FROM oicp_hint",))


@injector("F34 rows dwindle")
def dwindle(stage: Stage) -> None:
    for number in range(8):
        stage.world.after(number * stage.dice.uniform(1, 4), stage.writers.remove)
    stage.fired("F34 rows dwindle")


@injector("F40 change without a hint", "sweep", blind=True)
def unseen_change(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is not None:
        change = stage.dice.choice(
            [
                ("UPDATE evse_status SET status = 'Faulted' WHERE evse_id = ?", row[0]),
                ("DELETE FROM evse_status WHERE evse_id = ?", row[0]),
                ("INSERT INTO temporary_status (evse_id, status) VALUES (?, 'Maintenance')", row[0]),
            ]
        )
        stage.writers.write(f"unseen: {change}", change, ("DELETE FROM oicp_hint",))
        stage.fired("F40 change without a hint")


@injector("F43 removed and added again")
def removed_and_added(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is None:
        return
    for _ in range(stage.dice.randint(1, 3)):
        at = stage.dice.uniform(0, 6)
        stage.world.after(at, lambda: stage.writers.remove(row[0]))
        stage.world.after(at + stage.dice.choice([0.01, 0.3, 2]), lambda: stage.writers.restore(row))
    stage.fired("F43 removed and added again")


@injector("F44 moved to another operator")
def moved(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is None:
        return
    to = stage.dice.choice([operator for operators in LANES.values() for operator in operators])
    respelt, _ = stage.writers.born(to)
    statement = stage.dice.choice(
        [
            ("UPDATE evse_status SET operator_id = ? WHERE evse_id = ?", to, row[0]),
            ("UPDATE evse_status SET operator_id = ?, evse_id = ? WHERE evse_id = ?", to, respelt, row[0]),
        ]
    )
    stage.writers.write(f"moved: {statement}", statement)
    back = "UPDATE OR REPLACE evse_status SET operator_id = ?, evse_id = ? WHERE evse_id IN (?, ?)"
    if stage.dice.random() < 0.5:
        again = (back, row[1], row[0], row[0], respelt)
        stage.world.after(stage.dice.uniform(0.05, 10), lambda: stage.writers.write(f"moved back: {row[0]}", again))
    stage.fired("F44 moved to another operator")


@injector("F45 spelt twice")
def spelt_twice(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is None:
        return
    other = stage.dice.choice(
        [row[0].replace("*", ""), row[0].lower(), row[0].lower().replace("*e", "*E"), f"{row[0]}*"]
    )
    insert = (
        "INSERT OR IGNORE INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, 'Faulted')",
        other,
        row[1],
    )
    respell = ("UPDATE OR IGNORE evse_status SET evse_id = ? WHERE evse_id = ?", other, row[0])
    stage.writers.write(f"{row[0]} spelt {other}", stage.dice.choice([insert, respell]))
    drop = ("DELETE FROM evse_status WHERE evse_id = ?", stage.dice.choice([other, row[0]]))
    if stage.dice.random() < 0.5:
        stage.world.after(stage.dice.uniform(0.1, 10), lambda: stage.writers.write(f"{drop[1]} deleted", drop))
    stage.fired("F45 spelt twice")


@injector("F46 bad data")
def bad_data(stage: Stage) -> None:
    for evse, operator, status in stage.dice.sample(BAD_ROWS, 3):
        columns = "evse_id, operator_id, status"
        insert = f"INSERT OR IGNORE INTO evse_status ({columns}) VALUES ({evse}, {operator}, {status})"
        stage.writers.write("bad row", (insert,))
    stage.fired("F46 bad data")


@injector("F70 windows while the store is away")
def windows_while_away(stage: Stage) -> None:
    for _ in range(3):
        stage.writers.set_window(starts=stage.dice.uniform(0.1, 5), lasts=stage.dice.uniform(0.5, 12))
    _away(stage, "", stage.dice.uniform(4, 12))
    stage.fired("F70 windows while the store is away")


@injector("F70 windows while all processes are down")
def windows_while_down(stage: Stage) -> None:
    for _ in range(3):
        stage.writers.set_window(starts=stage.dice.uniform(0.1, 5), lasts=stage.dice.uniform(0.5, 12))
    for replica in stage.replicas:
        replica.restart_after = stage.dice.uniform(4, 12)
        replica.kill("all down")
    stage.fired("F70 windows while all processes are down")


@injector("F71 many windows end at one instant")
def many_windows(stage: Stage) -> None:
    start, lasts = stage.dice.uniform(0.1, 2), stage.dice.uniform(1, 10)
    for evse, *_ in stage.writers.fleet():
        stage.writers.set_window(evse, starts=start, lasts=lasts)
    stage.fired("F71 many windows end at one instant")


def _away(stage: Stage, who: str, seconds: float) -> None:
    stage.trouble.away_until[who] = stage.world.now + round(seconds * 1e6)
    stage.world.tell("store", f"away for {seconds:.1f} s from {who or 'all'}")
    stage.busy(seconds)


def _vanish(stage: Stage, name: str, fleet: Sequence[tuple[str, str, str]], *also: tuple[str]) -> None:
    """Take rows away; perhaps they come back, perhaps a person approves, perhaps neither."""
    if len(fleet) < 2:
        return
    gone = [("DELETE FROM evse_status WHERE evse_id = ?", evse) for evse, *_ in fleet]
    stage.writers.write(f"{len(gone)} rows vanish", *gone, *also)
    stage.fired(name)
    chance = stage.dice.random()
    if chance < 0.5:
        for row in fleet:
            stage.world.after(stage.dice.uniform(5, 15), partial(stage.writers.restore, row))
    elif chance < 0.8:
        stage.world.after(stage.dice.uniform(1, 15), stage.writers.approve)
