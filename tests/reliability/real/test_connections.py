"""What networks and hubs do to connections: nothing is lost or overlaps, and what was not sent is not in doubt."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.simulator.server import SimulatorServer
from reliability.real.judge import judge
from reliability.real.points import FLEET, Stand, evse, stand_at
from reliability.real.process import eventually
from reliability.real.proxy import Then, Trap, Way
from reliability.real.workshop import side_by_side

BOTH = tuple(Way)


@dataclass(frozen=True)
class Fault:
    """
    One way in which a connection fails.

    Attributes:
        unsent: It is certain that the hub has seen nothing of the request, so that there is no doubt (F51).
        passes: The push arrives all the same.
    """

    strike: Callable[[Stand], object]
    unsent: bool = False
    passes: bool = False


def trap(way=Way.UP, then=Then.CUT, **limits):
    return lambda stand: stand.site.way.arm(Trap(way, then, **limits))


def anew(way=Way.UP, then=Then.CUT, **limits):
    """Strike the next connection, and make it necessary."""

    def strike(stand):
        stand.site.way.arm(Trap(way, then, fresh=True, **limits))
        stand.site.way.cut()

    return strike


def slow(way, size, wait):
    return lambda stand: stand.site.way.pace.update({way: (size, wait)})


def at_hub(kind, **fault):
    return lambda stand: stand.site.will(kind, **fault)


def without_connection(how):
    def strike(stand):
        getattr(stand.site.way, how)()
        stand.site.way.cut()

    return strike


FAULTS = {
    "refused": Fault(without_connection("refuse"), unsent=True),
    "never connected": Fault(without_connection("stall"), unsent=True),
    "cut before the first byte": Fault(anew(), unsent=True),
    "reset in the handshake": Fault(anew(then=Then.RESET, size=50), unsent=True),
    "black hole after connecting": Fault(anew(then=Then.HOLD, stops=BOTH), unsent=True),
    "the hub's side of the handshake dripping": Fault(
        lambda stand: (slow(Way.DOWN, 1, 0.1)(stand), stand.site.way.cut()), unsent=True
    ),
    "closed while idle": Fault(lambda stand: stand.site.way.cut(), passes=True),
    "reset while idle": Fault(lambda stand: stand.site.way.cut(reset=True), passes=True),
    "closed at the moment of reuse": Fault(trap()),
    "reset at the moment of reuse": Fault(trap(then=Then.RESET)),
    "closed by the hub at the moment of reuse": Fault(at_hub("close_idle", delay=timedelta()), passes=True),
    "cut after the head": Fault(trap(records=1)),
    "reset after the head": Fault(trap(records=1, then=Then.RESET)),
    "cut in the body": Fault(trap(records=1, size=40)),
    "cut after the body": Fault(trap(records=2)),
    "cut before the answer": Fault(trap(Way.DOWN)),
    "reset before the answer": Fault(trap(Way.DOWN, Then.RESET)),
    "cut in the answer": Fault(trap(Way.DOWN, size=60)),
    "black hole in an old connection": Fault(trap(then=Then.HOLD, stops=BOTH)),
    "black hole on the way up": Fault(trap(then=Then.HOLD, records=1)),
    "black hole on the way down": Fault(trap(Way.DOWN, Then.HOLD)),
    "request dripping": Fault(slow(Way.UP, 1, 0.05)),
    "answer dripping": Fault(slow(Way.DOWN, 1, 0.05)),
    "a narrow line": Fault(lambda stand: [slow(way, 200, 0.02)(stand) for way in Way], passes=True),
    "truncated": Fault(at_hub("truncated")),
    "dripping from the hub": Fault(at_hub("drip", delay=0.1)),
    "enormous": Fault(at_hub("enormous")),
    "a bomb": Fault(at_hub("gzip_bomb")),
    "HTML": Fault(at_hub("html")),
    "empty": Fault(at_hub("empty")),
    "cut by the hub in the answer": Fault(at_hub("cut_mid_body")),
    "answered with 503 after performing it": Fault(at_hub("http_status", http_status=503)),
}


def struck(site, fault, name):
    site.sections["push"]["late_apply"] = 1.0
    daemon = site.settled(FLEET)
    stand = stand_at(site, name)
    stand.warm()
    told = len(daemon.log())
    fault.strike(stand)
    stand.change()
    if fault.passes:
        site.caught_up()
    else:
        failed = ("push.unknown", "push.not_applied")
        eventually(lambda: [line for line in daemon.log()[told:] if line["event"] in failed], every=0.05)
    stand.write()
    if fault.unsent:
        unknown = [line for line in daemon.log()[told:] if line["event"] == "push.unknown"]
        assert not unknown, "what was not sent is not in doubt"
    site.way.disarm()
    site.way.listen()
    judge(site)
    assert daemon.stop() == 0


@pytest.mark.timeout(300)
def test_no_way_in_which_a_connection_to_the_hub_fails_costs_a_change(workshop, store):
    def job(name):
        with workshop.site(store) as site:
            struck(site, FAULTS[name], name)

    side_by_side({name: lambda name=name: job(name) for name in FAULTS}, at_once=11)


def of_another_host(authority, now):
    return authority.issue_hub(["hub.invalid"], not_before=now - timedelta(hours=1), not_after=now + timedelta(hours=1))


def self_signed(_, now):
    span = {"not_before": now - timedelta(hours=1), "not_after": now + timedelta(hours=1)}
    return Authority.create("127.0.0.1", **span).issue_hub(["127.0.0.1"], **span)


def expired(authority, now):
    return authority.issue_hub(["127.0.0.1"], not_before=now - timedelta(hours=2), not_after=now - timedelta(hours=1))


WRONG = {"of another host": of_another_host, "of an unknown authority": self_signed, "expired": expired}


def impostor(site, pki, make):
    daemon = site.settled(FLEET)
    stand_at(site, "impostor").warm()
    pair = KeyPair(site.folder / "impostor.pem", site.folder / "impostor.key")
    make(Authority.load(pki.hub_ca), datetime.now(UTC)).write(pair)
    config = replace(site.hub.config, certificate=pair.certificate, private_key=pair.private_key)
    right = site.way.target
    with SimulatorServer(config) as wrong:
        site.way.target = ("127.0.0.1", int(wrong.url.split(":")[2].split("/")[0]))
        site.way.cut()
        site.write(evse(0), "Charging")
        site.write(evse(1), "Faulted")
        eventually(lambda: daemon.log("push.not_applied", reason="tls"), every=0.05)
        assert wrong.hub.journal.counters["requests"] == 0
        site.way.target = right
    judge(site)
    assert wrong.hub.journal.counters["requests"] == 0


@pytest.mark.timeout(240)
def test_a_hub_with_a_wrong_certificate_is_never_sent_anything(workshop, store):
    def job(name):
        with workshop.site(store) as site:
            impostor(site, workshop.pki, WRONG[name])

    side_by_side({name: lambda name=name: job(name) for name in WRONG})
