from benchmarks.fleet import OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.peers import start_peer
from benchmarks.scene import Scene
from benchmarks.sizes import QUICK
from benchmarks.stores import Stores, Writer


def test_the_peer_loads_the_fleet_and_then_pushes_what_changes(
    stores: Stores, filled: tuple[str, Writer], hub: Hub, tmp_path
) -> None:
    url, writer = filled
    fleet = Fleet(OPERATOR, 50)
    writer.insert(fleet)
    scene = Scene(stores, QUICK, tmp_path, url, writer, hub, fleet, hints=False)
    with start_peer(scene) as peer:
        assert peer.announced == {"pushed": 50}
        assert {evse_id: one.status for evse_id, one in scene.settled().items()} == fleet.expected()
        for _ in range(2):  # a second scan, which must not find again what the first one pushed
            writer.update(fleet.change(7))
            scene.settled()
    assert [request.records for request in hub.performed(OPERATOR, since=0)] == [50, *[1] * 14]
