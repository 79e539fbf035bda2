"""The certificate and private key that a lane shows to the hub."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from oicp_adapter.oicp.client_context import load_client_context
from oicp_adapter.oicp.pair_on_disk import PairOnDisk


class ClientIdentity(PairOnDisk):
    """
    The pair of one lane.

    Belongs to one client: httpcore sets ALPN on the context at every connection.
    """

    def __init__(
        self,
        *,
        certificate: Path,
        private_key: Path,
        password: bytes | None = None,
        ca_file: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Load the pair.

        Args:
            clock: The time, aware, by which a new pair is judged.

        Raises:
            CertificateError: It does not load; see `load_client_context`.
        """
        load = partial(
            load_client_context, certificate=certificate, private_key=private_key, password=password, ca_file=ca_file
        )
        super().__init__(certificate=certificate, private_key=private_key, load=load, ca_file=ca_file, clock=clock)
