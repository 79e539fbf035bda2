"""Injects what happens to processes and clocks: FAULTS.md, `Process, replicas, clock` and its crash points."""

from datetime import timedelta
from functools import partial
from typing import Final

from reliability.seeds.faults import Stage, injector
from reliability.seeds.replica import Replica

POINTS: Final = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "Ca", "Cb", "Cc")
"""The crash points of FAULTS.md §2; what is done for them stands in `Replica` and in `Wire`."""


def _crash(point: str) -> None:
    name = f"F61 dies at {point}"

    @injector(name)
    def dies(stage: Stage) -> None:
        replica = stage.dice.choice(stage.replicas)
        # Nobody knows which of them will send the full load.
        for each in stage.replicas if point == "Cb" else [replica]:
            each.die_next({"Ca": "C9", "Cb": "C5", "Cc": "C7"}.get(point, point), name)
            each.restart_after = stage.dice.choice([0.05, 2.0, 30.0])
        if point == "C8":
            stage.trouble.lost_next += 1
        if point == "C10":
            replica.stopping = True
        if point == "Cb":
            stage.writers.ask_for_full_load()
        if point == "Cc":
            row = stage.writers.pick()
            if row is not None:
                stage.strike("F18 poison, right index", "poison", lasts=20, evse_id=row[0])
                stage.writers.change(row[0])
        stage.writers.change_many()


for _point in POINTS:
    _crash(_point)


@injector("F61 dies anywhere")
def dies_anywhere(stage: Stage) -> None:
    replica = stage.dice.choice(stage.replicas)
    replica.restart_after = stage.dice.choice([0.05, 2.0, 30.0])
    stage.writers.change_many()

    def kill() -> None:
        stage.fired("F61 dies anywhere")
        replica.kill("at random")

    stage.world.after(stage.dice.uniform(0.001, 1.0), kill)


@injector("F62 clean stop")
def stops(stage: Stage) -> None:
    replica = stage.dice.choice(stage.replicas)
    replica.stopping = True
    replica.restart_after = stage.dice.uniform(0.1, 10)
    stage.fired("F62 clean stop")


@injector("F63 stopped beyond its lease")
def paused(stage: Stage) -> None:
    replica, lease = stage.dice.choice(stage.replicas), stage.deployment.policy.lease.total_seconds()
    stage.writers.change_many()

    def pause() -> None:
        seconds = stage.dice.uniform(0.5, 2.5) * lease
        stage.world.tell(replica.name, f"stopped for {seconds:.1f} s")
        replica.pause(seconds)
        stage.busy(seconds)
        stage.fired("F63 stopped beyond its lease")

    stage.world.after(stage.dice.uniform(0.001, 0.3), pause)


@injector("F64 bytes leave after a pause, then death", "reassert")
def residue(stage: Stage) -> None:
    stage.network.residue_next += 1
    stage.busy(61)
    stage.writers.change_many()


@injector("F66 blocked for a minute")
def blocked(stage: Stage) -> None:
    stage.dice.choice(stage.replicas).pause(60)
    stage.busy(60)
    stage.fired("F66 blocked for a minute")


@injector("F67 all start at once")
def start_together(stage: Stage) -> None:
    for replica in stage.replicas:
        replica.restart_after = 1.0
        replica.kill("all start again at once")
    stage.fired("F67 all start at once")


@injector("F67 the lease goes to and fro")
def ping_pong(stage: Stage) -> None:
    for number, replica in enumerate(stage.replicas):
        stage.world.after(number * 6 + stage.dice.random(), partial(replica.pause, 20))
    stage.busy(20 + 6 * len(stage.replicas))
    stage.fired("F67 the lease goes to and fro")


def _clock(name: str, seconds: float, *, lasts: float) -> None:
    @injector(name, "sweep", "reassert")
    def set_clock(stage: Stage) -> None:
        if stage.world.clock_step:
            return

        def step(by: float) -> None:
            stage.world.clock_step += timedelta(seconds=by)
            stage.judge.clock_steps.append((stage.world.now, by))
            stage.world.tell("clock", f"set by {by:+.0f} s")

        def set_back() -> None:
            step(-seconds)
            for replica in stage.replicas:
                if abs(seconds) > 86400 and replica.alive:
                    replica.restart_after = 0.5
                    replica.kill("restarted by a person, for it may have begun under the wrong clock")

        step(seconds)
        stage.world.after(lasts, set_back)
        stage.busy(lasts)
        stage.fired(name)
        stage.writers.set_window()


_clock("F69 clock 5 s ahead for a while", 5, lasts=12)
_clock("F69 clock 5 s behind for a while", -5, lasts=12)
_clock("F69 clock an hour ahead for a while", 3600, lasts=25)
_clock("F69 clock an hour behind for a while", -3600, lasts=25)
_clock("F69 clock ten years ahead for a while", 315_360_000, lasts=15)


@injector("F72 host suspended")
def suspended(stage: Stage) -> None:
    seconds = stage.dice.choice([60.0, 600.0, 10_800.0])
    for replica in stage.replicas:
        replica.pause(seconds)
    stage.writers.change_many()
    stage.busy(seconds)
    stage.fired("F72 host suspended")


@injector("F74 unexpected error")
def bug(stage: Stage) -> None:
    seconds = stage.dice.uniform(1, 15)
    stage.trouble.bug_until[stage.dice.choice(stage.replicas).name] = stage.world.now + round(seconds * 1e6)
    stage.busy(seconds)


@injector("F47 a record that kills the process")
def deadly_record(stage: Stage) -> None:
    row = stage.writers.pick()
    if row is None:
        return
    evse, ends = row[0], stage.world.now + 30_000_000

    def sends(replica: Replica) -> bool:
        exchange = replica.worker._exchange
        deadly = exchange is not None and any(each.evse_id == evse for each in exchange[0].intent.records)
        if deadly and stage.world.now < ends:
            stage.fired("F47 a record that kills the process")
            replica.restart_after = 1.0
            return True
        return False

    for replica in stage.replicas:
        replica.deadly = sends
    stage.busy(30)
    stage.writers.change(evse)
