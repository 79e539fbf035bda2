"""Injects what the hub and the way to it do wrong: FAULTS.md, `Hub` and `Network and TLS`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Final

from reliability.seeds.faults import Stage, hub_fault, injector
from reliability.seeds.truth import LANES, key

POISONS: Final = {
    "F18 poison, right index": "index_right",
    "F19 poison, wrong index": "index_wrong",
    "F19 poison, no index": "index_absent",
    "F19 poison, 018": "018",
    "F19 poison, 022": "022",
    "F20 poison, 500": "500",
    "F21 poison, hang": "hang",
}
"""What each is called, and what the hub answers: a `PoisonAnswer`."""

POISON_LASTS: Final = 25.0
"""Seconds for which a record is bad."""

hub_fault("F01 answer lost", "answer_lost")
hub_fault("F02 never applied", "never_applied")
hub_fault("F10 truncated", "truncated")
hub_fault("F10 HTML", "html")
hub_fault("F10 empty", "empty")
hub_fault("F10 enormous", "enormous", size=1000)
hub_fault("F10 gzip bomb", "gzip_bomb", size=100_000)
hub_fault("F10 drip", "drip", delay=timedelta(seconds=1))
hub_fault("F10 slow but whole", "delay", delay=timedelta(seconds=3))
hub_fault("F10 slower than the time-out", "delay", delay=timedelta(seconds=8))
hub_fault("F10 cut in the answer", "cut_mid_body")
hub_fault("F11 true with 022", "contradictory", result=True)
hub_fault("F11 false with 000", "contradictory", result=False)
hub_fault("F54 black hole", "never_applied")


def _late(stage: Stage) -> timedelta:
    """Return a delay within T_late of the first byte."""
    longest = stage.deployment.policy.late_apply.total_seconds() - 1.0
    return timedelta(seconds=stage.dice.uniform(1, longest))


@injector("F03 late apply")
def late_apply(stage: Stage) -> None:
    stage.strike("F03 late apply", "late_apply", count=1, delay=_late(stage), silent=stage.dice.random() < 0.5)


@injector("F04 late apply, flapping")
def flapping(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is None:
        return
    evse, _, status = row
    stage.strike("F04 late apply, flapping", "late_apply", count=1, evse_id=evse, delay=_late(stage))
    stage.writers.change(evse, "Faulted" if status != "Faulted" else "Available")
    stage.world.after(stage.dice.uniform(0.2, 8), lambda: stage.writers.change(evse, status))


@injector("F05 late delete")
def late_delete(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is not None:
        stage.strike("F05 late delete", "late_apply", count=1, action="delete", delay=_late(stage))
        stage.writers.remove(row[0])
        stage.world.after(stage.dice.uniform(0.2, 12), lambda: stage.writers.restore(row))


@injector("F06 late insert")
def late_insert(stage: Stage) -> None:
    stage.strike("F06 late insert", "late_apply", count=1, action="insert", delay=_late(stage))
    evse = stage.writers.add()
    stage.world.after(stage.dice.uniform(0.2, 12), lambda: stage.writers.remove(evse))


@injector("F07 lost and applied twice")
def applied_twice(stage: Stage) -> None:
    stage.strike("F07 lost and applied twice", "answer_lost", count=1, applied="twice", delay=_late(stage))


@injector("F07 answered and replayed later", "reassert")
def replayed(stage: Stage) -> None:
    stage.strike("F07 answered and replayed later", "double_apply", count=1, delay=_late(stage))


@injector("F08 5xx or 408 after applying")
def failed_after_applying(stage: Stage) -> None:
    status = stage.dice.choice([500, 502, 503, 504, 408])
    stage.strike("F08 5xx or 408 after applying", "http_status", count=stage.dice.randint(1, 3), http_status=status)


@injector("F09 partly applied")
def partly(stage: Stage) -> None:
    code = stage.dice.choice(["009", "002", "001"])
    stage.strike("F09 partly applied", "status_code", count=stage.dice.randint(1, 2), code=code, applied="partly")


@injector("F12 429 for a while", "retry_after")
def rate_limited(stage: Stage) -> None:
    soon = format_datetime(stage.world.true_time + timedelta(seconds=20), usegmt=True)
    header = stage.dice.choice([None, "1", "7", "-3", "soon", "1e12", "99999999999", soon, "Mon, 02 Mar 2026 25:00"])
    stage.strike("F12 429 for a while", "rate_limited", lasts=stage.dice.uniform(2, 20), retry_after=header)


@injector("F13 429 now and then")
def sometimes_limited(stage: Stage) -> None:
    seed = stage.dice.randrange(2**32)
    stage.strike("F13 429 now and then", "rate_limited", lasts=20, probability=0.3, seed=seed)


@injector("F14 exists already", "reassert")
def exists_already(stage: Stage) -> None:
    evse, operator = stage.writers.born()
    lane = next(lane for lane, operators in LANES.items() if operator in operators)
    stage.hub.overwrite(lane, evse, "Occupied", stage.world.true_time)
    stage.judge.foreign.add(f"{key(lane)}/{key(evse)}")
    stage.network.shifted()
    stage.fired("F14 exists already")
    stage.writers.add(evse, operator)


def _forget(stage: Stage, name: str, *, also_write: bool, everything: bool = False) -> None:
    lane = stage.dice.choice(list(LANES))
    held = sorted(stage.hub.held(lane).values())
    if held:
        lost = stage.dice.choice(held).evse_id
        stage.hub.forget(lane, None if everything else lost, stage.world.true_time)
        stage.network.shifted()
        stage.world.tell("hub", f"forgets {'all' if everything else lost} of {lane}")
        stage.fired(name)
        if also_write:
            stage.writers.change(lost)


@injector("F15 unknown to update", "reassert")
def unknown_to_update(stage: Stage) -> None:
    _forget(stage, "F15 unknown to update", also_write=True)


@injector("F16 one unknown and one existing", "reassert")
def mixed_batch(stage: Stage) -> None:
    _forget(stage, "F16 one unknown and one existing", also_write=False)
    exists_already(stage)
    stage.writers.change_many()


@injector("F17 delete of the unknown refused", "reassert")
def refused_delete(stage: Stage) -> None:
    stage.hub.options = replace(stage.hub.options, refuse_unknown_deletes=True)
    row = stage.writers.pick()
    if row is None:
        return
    for lane in LANES:
        if key(row[0]) in stage.hub.held(lane):
            stage.hub.forget(lane, row[0], stage.world.true_time)
            stage.network.shifted()
            stage.fired("F17 delete of the unknown refused")
    stage.writers.remove(row[0])


def _poison(name: str, poison: str) -> None:
    @injector(name)
    def poisoned(stage: Stage) -> None:
        row = stage.writers.pick()
        if row is not None:
            stage.strike(name, "poison", lasts=POISON_LASTS, evse_id=row[0], poison=poison)
            stage.writers.change(row[0])


for _name, _kind in POISONS.items():
    _poison(_name, _kind)


@injector("F22 three poisons and a 429", "retry_after")
def three_poisons(stage: Stage) -> None:
    for row in stage.dice.sample(stage.writers.fleet(), min(3, len(stage.writers.fleet()))):
        poison = stage.dice.choice(["index_right", "index_absent", "022", "018"])
        stage.strike("F22 three poisons and a 429", "poison", lasts=POISON_LASTS, evse_id=row[0], poison=poison)
    stage.strike("F22 three poisons and a 429", "rate_limited", count=1, retry_after="2")
    stage.writers.change_many()


@injector("F23 everything refused")
def everything_refused(stage: Stage) -> None:
    stage.strike("F23 everything refused", "refuse_everything", lasts=stage.dice.uniform(5, 40))
    stage.writers.change_many()


@injector("F24 account fault", "hold")
def account_fault(stage: Stage) -> None:
    kind = stage.dice.choice(["unauthorized", "html_403", "not_found_300"])
    stage.strike("F24 account fault", kind, lasts=stage.dice.uniform(5, 40), operator=stage.dice.choice(list(LANES)))


@injector("F25 hub forgets one", "reassert")
def forgets_one(stage: Stage) -> None:
    _forget(stage, "F25 hub forgets one", also_write=False)


@injector("F25 hub forgets all", "reassert")
def forgets_all(stage: Stage) -> None:
    _forget(stage, "F25 hub forgets all", also_write=False, everything=True)


@injector("F26 foreign push", "reassert")
def foreign_push(stage: Stage) -> None:
    lane = stage.dice.choice(list(LANES))
    held = sorted(stage.hub.held(lane).values())
    if held:
        struck, status = stage.dice.choice(held).evse_id, stage.dice.choice(["Available", "OutOfService"])
        stage.hub.overwrite(lane, struck, status, stage.world.true_time)
        stage.judge.foreign.add(f"{key(lane)}/{key(struck)}")
        stage.network.shifted()
        stage.world.tell("hub", f"a stranger says {struck} is {status}")
        stage.fired("F26 foreign push")


@injector("F36 full load lands late")
def late_full_load(stage: Stage) -> None:
    stage.strike("F36 full load lands late", "late_apply", count=1, action="fullLoad", delay=_late(stage))
    stage.writers.ask_for_full_load()
    for _ in range(3):
        stage.world.after(stage.dice.uniform(0.5, 15), stage.writers.at_random)


@injector("F37 changes during a full load")
def changes_during_full_load(stage: Stage) -> None:
    delay = timedelta(seconds=3)
    stage.strike("F37 changes during a full load", "delay", count=1, action="fullLoad", delay=delay)
    stage.writers.ask_for_full_load()
    acts: tuple[Callable[[], object], ...]
    acts = (stage.writers.change, stage.writers.add, stage.writers.remove, stage.writers.change)
    for act in acts:
        stage.world.after(stage.dice.uniform(0.5, 8), act)


@injector("F38 full load too large")
def too_large(stage: Stage) -> None:
    limits, seconds = stage.hub.options, stage.dice.uniform(5, 20)
    stage.hub.options = replace(limits, max_body=stage.dice.choice([200, 400]))
    stage.world.after(seconds, lambda: setattr(stage.hub, "options", replace(stage.hub.options, max_body=None)))
    stage.busy(seconds)
    stage.writers.ask_for_full_load()
    stage.writers.change_many()


@injector("F39 full load with poison")
def poisoned_full_load(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is not None:
        name, poison = "F39 full load with poison", stage.dice.choice(["index_right", "022", "500"])
        stage.strike(name, "poison", lasts=POISON_LASTS, evse_id=row[0], poison=poison)
        stage.writers.ask_for_full_load()


@injector("F51 connection refused")
def refused_connection(stage: Stage) -> None:
    seconds = stage.dice.uniform(1, 20)
    for lane in stage.dice.sample(list(LANES), stage.dice.randint(1, 2)):
        stage.network.refused_until[lane] = stage.world.now + round(seconds * 1e6)
    stage.busy(seconds)
    stage.writers.change_many()


@injector("F52 cut in the body")
def cut_in_the_body(stage: Stage) -> None:
    stage.network.cut_next += stage.dice.randint(1, 2)


@injector("F57 certificate refused", "hold")
def refused_certificate(stage: Stage) -> None:
    seconds = stage.dice.uniform(2, 20)
    stage.network.alert_until[stage.dice.choice(list(LANES))] = stage.world.now + round(seconds * 1e6)
    stage.busy(seconds)
    stage.writers.change_many()
