"""
Makes the body of one push from its records, and notices when they are not those that were announced.

1. A full load is streamed in pieces, everything else goes in one.
2. If the records are fewer or more than announced, or cannot be read, the body is left without its end: a full load
   that lost records on its way from the store would withdraw EVSEs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.oicp.messages import encode_push, stream_push
from oicp_adapter.oicp.network import Exchange
from oicp_adapter.sync.answers import Progress
from oicp_adapter.sync.model import Action, Record


@dataclass(frozen=True, slots=True)
class PushRequest:
    """
    One push.

    Attributes:
        action: One per request.
        operator_id: As the client certificate spells it.
        operator_name: Cut to 100 characters; left out when blank.
        records: Read once.
        count: How many records there are; checked while they are read.
    """

    action: Action
    operator_id: str
    operator_name: str
    records: Iterable[Record]
    count: int


class Body:
    """
    The body of one push.

    Attributes:
        failure: Why the records could not be read, or were not those announced; None: that has not happened.
    """

    def __init__(self, request: PushRequest, exchange: Exchange) -> None:
        self._request = request
        self._exchange = exchange
        self.failure: BaseException | None = None

    def content(self) -> bytes | Iterator[bytes]:
        """
        Return the body, or an iterator over its pieces.

        Raises:
            StoreUnavailableError: The records were fewer or more than announced.
            Exception: Whatever reading the records raises.
        """
        request = self._request
        make = self._streamed if request.action is Action.FULL_LOAD else encode_push
        return make(
            action=request.action,
            operator_id=request.operator_id,
            operator_name=request.operator_name,
            records=self._counted(),
        )

    def _streamed(
        self, *, action: Action, operator_id: str, operator_name: str, records: Iterable[Record]
    ) -> Iterator[bytes]:
        yield from stream_push(action=action, operator_id=operator_id, operator_name=operator_name, records=records)
        # Only the mark of the last chunk is still to come, and a hub that is lenient about it may apply the request.
        self._exchange.progress = Progress.SENT

    def _counted(self) -> Iterator[Record]:
        seen = 0
        try:
            for record in self._request.records:
                seen += 1
                yield record
            self._compare(seen)
        except GeneratorExit:
            raise
        except BaseException as exc:
            self.failure = exc
            raise

    def _compare(self, seen: int) -> None:
        if seen != self._request.count:
            raise StoreUnavailableError(
                f"{self._request.count} records were announced and {seen} read", cure="the push is planned anew"
            )
