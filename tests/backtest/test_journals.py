"""Reading a year of a journal goes through its visits as often as reading one day does."""

from __future__ import annotations

from collections.abc import Iterator

from edged.backtest.journals import DAY_MS, _area, _by_area, _facts, _Visit
from edged.bench.decisions import site_of
from edged.core.model.commands import Note
from edged.store import codec
from edged.store.notes import NotedRow

NINE_MS, MINUTE_MS = 9 * 3_600_000, 60_000
PASSES_MAX = 3


class Counted(list[_Visit]):
    """Visits that count how often somebody goes through all of them."""

    passes = 0

    def __iter__(self) -> Iterator[_Visit]:
        self.passes += 1
        return super().__iter__()


def visits_of(days: int, service: str) -> list[_Visit]:
    """Twenty visits a day."""
    return [
        _Visit(day * DAY_MS + NINE_MS + place * MINUTE_MS, service, MINUTE_MS)
        for day in range(days)
        for place in range(20)
    ]


def test_more_days_need_no_more_passes() -> None:
    site = site_of(20)
    for days in (3, 60):
        visits = Counted(visits_of(days, "s0-1"))
        found = _area("a0", site.areas[0], site, visits, split=False)
        assert found is not None
        assert [len(day.arrive_ms) for day in found[1]] == [20] * days
        assert visits.passes <= PASSES_MAX


def test_visits_stand_with_the_area_of_their_service() -> None:
    site = site_of(20)
    left = _Visit(NINE_MS, "s0-0", None)
    first, second = visits_of(1, "s0-0"), visits_of(1, "s1-1")
    found = _by_area(site, [left, *first, _Visit(NINE_MS, "gone", 1), *second])
    assert found == {"a0": first, "a1": second}


def test_of_a_note_only_what_counts_is_read() -> None:
    notes = (
        Note("ticket.finished", "A1", {"service": "s0-0", "service_s": 12.5, "window": "w1"}),
        Note("tidal.held", "a0", {"service_s": "-", "waiting": 3}),
    )
    first, other = _facts(NotedRow(1, 0, 0, None, None, 0, codec.encode_notes(notes)))
    assert (first.kind, first.subject) == ("ticket.finished", "A1")
    assert (first.data.service, first.data.service_s) == ("s0-0", 12.5)
    assert other.data.service is None
    assert _facts(NotedRow(2, 0, 0, None, None, 0, None)) == []
