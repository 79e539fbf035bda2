"""Takes up a certificate and its key that were replaced on disk, and says in the log what came of it."""

from structlog.typing import FilteringBoundLogger

from oicp_adapter.oicp.pair_on_disk import PairOnDisk


def follow(pair: PairOnDisk, log: FilteringBoundLogger, *, asked: bool) -> bool:
    """
    Take up what was replaced; a pair that is no good leaves the old one in use.

    Args:
        asked: Somebody wants to know, so what keeps a pair from being used is told again.

    Returns:
        Whether another pair is in use now.
    """
    before, replaced, error = pair.last_error, pair.refresh(), pair.last_error
    over = {"over": "certificate.not_replaced"} if before is not None else {}
    if replaced:
        facts = pair.facts
        log.info("certificate.replaced", not_after=facts.not_after.isoformat(), serial=facts.serial, **over)
    elif error is not None and (asked or error is not before):
        # The cause is the reason, so that another cause is told although the first one was told just now.
        answer = {"asked": True} if asked else {}
        log.error("certificate.not_replaced", reason=str(error), **answer)
    elif error is None and over:
        log.info("certificate.unchanged", **over)
    return replaced
