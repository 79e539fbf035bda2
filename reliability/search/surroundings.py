"""Does what other programs do to the store: writes rows and windows, with the hints that the triggers leave."""

from collections.abc import Iterator, Mapping

from oicp_adapter.domain.windows import Window

from . import canonical
from .parts import NOW, Shop
from .scenario import Scenario


def writes(scenario: Scenario, shop: Shop) -> Iterator[tuple[str, Shop]]:
    """Yield all that a writer may do in one transaction."""
    for evse in scenario.writable:
        for word in scenario.words:
            if shop.rows[evse] != word:
                yield f"E{evse} := {word}", _hinted(scenario, shop, {evse: word})
    for group in scenario.removable:
        standing = [evse for evse in group if shop.rows[evse] is not None]
        if standing:
            name = " ".join(f"E{evse}" for evse in standing) + " deleted"
            yield name, _hinted(scenario, shop, dict.fromkeys(standing))
    yield from _windows(scenario, shop)


def _windows(scenario: Scenario, shop: Shop) -> Iterator[tuple[str, Shop]]:
    for number, planned in enumerate(scenario.windows):
        evse = planned.evse
        kept = tuple(one for one in shop.windows[evse] if one.id != number)
        if number not in shop.planned:
            end = None if planned.end is None else NOW + planned.end
            row = canonical.window(Window(number, planned.kind, NOW + planned.start, end))
            after = shop._replace(planned=shop.planned | {number})
            yield (
                f"a {planned.kind} of E{evse} is set",
                _with_windows(scenario, after, evse, (*kept, row) if row else kept),
            )
        elif len(kept) < len(shop.windows[evse]):
            yield f"the {planned.kind} of E{evse} is ended", _with_windows(scenario, shop, evse, kept)


def _with_windows(scenario: Scenario, shop: Shop, evse: int, windows: tuple[Window, ...]) -> Shop:
    all_windows = (*shop.windows[:evse], windows, *shop.windows[evse + 1 :])
    return _hinted(scenario, shop._replace(windows=all_windows), {evse: shop.rows[evse]})


def _hinted(scenario: Scenario, shop: Shop, written: Mapping[int, str | None]) -> Shop:
    # Only where reading takes two steps does it matter how many hints there are.
    most = 3 if scenario.split_read else 1
    return shop._replace(
        rows=tuple(written.get(evse, word) for evse, word in enumerate(shop.rows)),
        hints=tuple(min(count + 1, most) if evse in written else count for evse, count in enumerate(shop.hints)),
        hinted_at=tuple(at or (NOW if evse in written else None) for evse, at in enumerate(shop.hinted_at)),
    )
