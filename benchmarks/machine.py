"""Says on what the figures were measured: without that they mean nothing."""

import os
import platform
import ssl
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_LIBRARIES: Final = ("oicp-adapter", "SQLAlchemy", "psycopg", "pydantic-core", "httpx", "httpcore", "h11", "uvicorn")
_SYNCS: Final = 50


def facts() -> dict[str, object]:
    """Return what is known about this machine and the libraries."""
    return {
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "fsync_ms": round(_fsync(), 3),
    }


def load() -> float:
    """Return how many processes wanted a core over the last minute: the noise."""
    return os.getloadavg()[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _fsync() -> float:
    """Return the median milliseconds of making one small write durable, which bounds each commit."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return sorted(took)[_SYNCS // 2]
