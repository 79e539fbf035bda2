"""Serves an ASGI application from a background thread; nothing here installs a signal handler."""

import socket
import threading
from typing import Any, Final

import uvicorn

from oicp_adapter.domain.errors import ConfigurationError

_STOP_WITHIN: Final = 5.0


class BackgroundServer:
    """One uvicorn server in a thread of its own."""

    def __init__(self, app: Any, *, host: str, port: int, what: str) -> None:
        """
        Listen; nothing is served yet.

        Args:
            app: An ASGI application.
            port: 0: a free one.
            what: Names the endpoint in errors and as the thread.

        Raises:
            ConfigurationError: The address is taken or not ours.
        """
        try:
            self._socket = _listen(host, port)
        except OSError as error:
            raise ConfigurationError(
                f"the {what} cannot listen on {host}:{port}: {error.strerror or error}",
                cure=f"choose another host or port for the {what}, or stop the process that has it",
            ) from error
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name=what, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End open connections and the thread."""
        self._server.should_exit = True
        self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_WITHIN)
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches delayed sending off only for sockets that name it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
