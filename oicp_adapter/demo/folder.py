"""
Decides where the demo keeps its certificates, store, settings and logs.

1. Without a folder of the user's choice it is a temporary one, which is removed at the end.
2. A given one is kept. It must be empty or made by an earlier demo, and no other demo may be using it.
3. Only the certificates survive from one demo to the next: the simulated hub starts empty, so must the store.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from oicp_adapter.domain.errors import ConfigurationError, LaneHeldElsewhereError

MARKER: Final = "made-by-oicp-adapter-demo"
STORE: Final = "store.db"


@contextmanager
def demo_folder(wanted: Path | None) -> Iterator[Path]:
    """
    Provide the demo's folder, as an absolute path, for as long as the context lasts.

    Args:
        wanted: None: a temporary one.

    Raises:
        ConfigurationError: It holds something foreign, or cannot be written.
        LaneHeldElsewhereError: Another demo is using it.
    """
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="oicp-adapter-demo-", ignore_cleanup_errors=True) as made:
            yield Path(made).resolve()
        return
    folder = wanted.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            raise ConfigurationError(
                f"{folder} holds something that no demo made", cure="name a new folder with --dir, or an empty one"
            )
        lock = (folder / MARKER).open("a")
    except OSError as exc:
        raise ConfigurationError(
            f"{folder} cannot be used ({exc.strerror})", cure="name a folder with --dir that this user may write to"
        ) from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise LaneHeldElsewhereError(what=f"the folder {folder}", holder="another demo") from exc
        for left in folder.glob(f"{STORE}*"):
            left.unlink()
        yield folder
