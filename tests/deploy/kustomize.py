"""Builds the kustomizations of deploy/kubernetes and finds objects in them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.conftest import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
BUILDS = ("migration", "overlays/replicas", "overlays/sidecar")
OURS = "oicp-adapter:local"
KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")

Object = Mapping[str, Any]


def kustomize(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )


@cache
def built(name: str) -> Sequence[Object]:
    done = kustomize(KUBERNETES / name)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(name: str, kind: str, called: str) -> Any:
    (found,) = [each for each in built(name) if each["kind"] == kind and each["metadata"]["name"].startswith(called)]
    return found


def pods(name: str) -> Iterator[tuple[str, Any]]:
    for each in built(name):
        if each["kind"] in {"Deployment", "Job"}:
            yield each["metadata"]["name"], each["spec"]["template"]


def containers(name: str) -> Sequence[Any]:
    return [container for _, pod in pods(name) for container in inside(pod)]


def own(name: str) -> Sequence[Any]:
    return [container for container in containers(name) if container["image"] == OURS]


def daemon(name: str) -> Any:
    (found,) = [container for container in own(name) if container["args"] == ["run"]]
    return found


def inside(pod: Any) -> Sequence[Any]:
    """Return all containers of a pod, sidecars included."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def started(name: str, called: str) -> tuple[Any, Any]:
    """Return the pod of a workload, and the container in it that runs our program."""
    (pod,) = [pod for found, pod in pods(name) if found == called]
    (container,) = [each for each in inside(pod) if each["image"] == OURS]
    return pod, container
