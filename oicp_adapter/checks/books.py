"""
Looks at what the hub said to a lane's pushes, by the books: nothing but a push can ask it of an account.

1. The hub tells a wrong OperatorID, a missing contract and a certificate of another account as answers to a push only,
   and nobody may push to find out. So the last push that it refused is looked up.
2. It is a warning: what was refused may have been corrected since, and the lane tries again by itself.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.checks.admission import CODE_CURES
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.domain.errors import AdapterError, foreign_text
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import configured_store
from oicp_adapter.store.engine import Store
from oicp_adapter.store.position import lane_position
from oicp_adapter.sync.answers import Reason

_LATELY: Final = timedelta(days=1)
"""What was acknowledged longer ago proves nothing of today's firewalls."""

_LOOK: Final = "the log has its words and the Process-ID: `push.failing`"
_CURES: Final[Mapping[str, str]] = {
    Reason.UNAUTHORIZED: CODE_CURES["017"],
    Reason.NO_CONTRACT: CODE_CURES["210"],
    Reason.PARTNER_NOT_FOUND: CODE_CURES["300"],
    Reason.FORBIDDEN: "ask Hubject to let the address in with which this network shows itself outside",
    Reason.CERTIFICATE: "ask Hubject; QA and production have authorities of their own",
    Reason.NOT_FOUND: "let hub.url end in /api/oicp",
}


def last_answers(store: Store, settings: Settings) -> Iterator[Finding]:
    """
    Say which lanes are held since the hub refuses the account, and why.

    Raises:
        StoreError: The store could not be read.
    """
    for operator in settings.operators:
        position, _ = lane_position(store, operator.canonical)
        if position.hold_reason is None:
            continue
        detail = f": {foreign_text(position.hold_detail)}" if position.hold_detail else ""
        yield Finding(
            Check.REFUSAL,
            Level.WARNING,
            operator.id,
            f"the hub refused the last push of this lane ({foreign_text(position.hold_reason)}{detail})",
            f"{_CURES.get(position.hold_reason, 'see what it said')}; {_LOOK}. The daemon tries again by itself",
        )


def last_acknowledged(settings: Settings) -> Mapping[str, datetime]:
    """Return by OperatorID when the hub acknowledged a push last, if that was lately; none where nobody can read it."""
    found: dict[str, datetime] = {}
    try:
        with configured_store(settings) as store:
            for operator in settings.operators:
                position, now = lane_position(store, operator.canonical)
                at = position.last_success_at
                if at is not None and position.hold_reason is None and now - at < _LATELY:
                    found[operator.id] = at
    except AdapterError:
        pass  # the checks of the store say why
    return found
