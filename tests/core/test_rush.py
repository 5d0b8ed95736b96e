"""A rush: areas have one look for all that comes within a pace, and nothing else is late, lost or decided otherwise."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from edged.core import rush
from edged.core.engine import Engine
from edged.core.model.commands import AreaSummary, Command, Desired, Lamp, Panel
from edged.core.model.events import (
    ClockSet,
    CommandDone,
    Event,
    Key,
    KeyPressed,
    PolicyApplied,
    SiteLoaded,
    Tick,
    TicketPrinted,
)
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Tidal
from edged.core.model.state import State
from edged.core.model.turn import Turn
from edged.store.codec import dump_state, load_state
from tests.support.core_days import START_MS, Chance, Feeder, Outcome
from tests.support.core_hall import hall_site
from tests.support.core_signs import left_behind

FLOOD = 400  # tickets, one a millisecond: twenty times the busiest hall


def opened(tide: bool = False) -> Feeder:
    """Return a hall one minute after its start, when its first evaluations are over."""
    feeder = Feeder(Engine())
    policy = PolicyApplied(1, "", Policy(Tidal(enabled=tide)))
    first: list[tuple[int, Event]] = [
        (START_MS, one) for one in (ClockSet(0, 480), SiteLoaded(hall_site()), policy)
    ]
    keys: list[tuple[int, Event]] = [(START_MS + 1_000, KeyPressed(Point("p1"), "login", seq=1))]
    list(feeder.feed([*first, *keys]))
    list(feeder.ticks(START_MS + 60_000))
    return feeder


def flood(count: int, begin_ms: int = START_MS + 60_000) -> list[tuple[int, Event]]:
    """Return tickets for the tax area, one each millisecond."""
    return [
        (begin_ms + n, TicketPrinted(Point("disp"), f"A{n:04d}", "tax-general", seq=n)) for n in range(count)
    ]


def summaries(commands: tuple[Command, ...]) -> list[AreaSummary]:
    """Return the area summaries among these commands."""
    return [one.value for one in commands if isinstance(one, Desired) and isinstance(one.value, AreaSummary)]


def played(feeder: Feeder, events: list[tuple[int, Event]]) -> Iterator[Outcome]:
    """Handle the events, and the ticks of one second after them."""
    yield from feeder.feed(events)
    yield from feeder.ticks(events[-1][0] + 1_000)


def test_a_few_tickets_at_once_are_evaluated_in_their_own_steps() -> None:
    feeder = opened()
    for at_ms, _, commands, _ in feeder.feed(flood(rush.AT_ONCE)):
        assert [one.waiting for one in summaries(commands)] == [at_ms - START_MS - 60_000 + 1]
    assert not feeder.engine.state.put_off


def test_at_fifty_messages_a_second_every_ticket_is_evaluated_in_its_own_step() -> None:
    feeder = opened()
    spaced = [(START_MS + 60_000 + n * rush.EVERY_MS, event) for n, (_, event) in enumerate(flood(FLOOD))]
    for _, event, commands, _ in feeder.feed(spaced):
        assert isinstance(event, Tick) or len(summaries(commands)) == 1


def test_in_a_rush_one_evaluation_covers_many_events_and_none_comes_too_late() -> None:
    feeder = opened()
    looked_ms, waited_ms = [], []
    since_ms: int | None = None
    for at_ms, event, commands, notes in played(feeder, flood(FLOOD)):
        if isinstance(event, TicketPrinted):
            assert [note.kind for note in notes] == ["ticket.issued"], "a ticket is a ticket at once"
            since_ms = at_ms if since_ms is None else since_ms
        if found := summaries(commands):
            looked_ms.append(at_ms)
            assert found[-1].waiting == feeder.engine.state.areas["tax"].waiting
            if since_ms is not None:
                waited_ms.append(at_ms - since_ms)
            since_ms = None
    assert rush.AT_ONCE < len(looked_ms) <= rush.AT_ONCE + FLOOD // rush.EVERY_MS + 2
    assert 0 < max(waited_ms) <= rush.EVERY_MS
    assert since_ms is None, "the last ones are shown, too"
    assert left_behind(feeder.engine) == []


def panels_of(commands: tuple[Command, ...], window: str) -> list[Panel]:
    """Return what the panel of a window was told to show, in order."""
    values = [one.value for one in commands if isinstance(one, Desired) and isinstance(one.value, Panel)]
    return [panel for panel in values if panel.window == window]


def test_in_a_rush_a_key_is_answered_at_once_and_counts_follow_at_the_next_evaluation() -> None:
    feeder = opened()
    list(feeder.feed(flood(FLOOD)))
    begin_ms = feeder.engine.state.at_ms
    [(_, _, commands, _)] = feeder.feed([(begin_ms, KeyPressed(Point("p1"), "pause", "rest", seq=2))])
    lamp, panel = [one.value for one in commands if isinstance(one, Desired)]
    assert lamp == Lamp("off")
    assert isinstance(panel, Panel)
    assert (panel.window, panel.state) == ("w1", "PAUSED")
    assert panel.waiting < FLOOD, "of the last look"
    later = [one for *_, shown, _ in feeder.ticks(begin_ms + rush.EVERY_MS) for one in shown]
    assert [(shown.state, shown.waiting) for shown in panels_of(tuple(later), "w1")] == [("PAUSED", FLOOD)]


def test_a_rush_goes_on_the_same_after_its_state_is_dumped_and_loaded() -> None:
    whole, reloaded = opened(tide=True), opened(tide=True)
    list(whole.feed(flood(FLOOD)))
    list(reloaded.feed(flood(FLOOD)))
    assert reloaded.engine.state.put_off, "in the middle of a rush"
    reloaded.engine = Engine(load_state(dump_state(reloaded.engine.state), State))
    rest = flood(FLOOD, whole.engine.state.at_ms)[FLOOD // 2 :]
    assert list(played(whole, rest)) == list(played(reloaded, rest))
    assert dump_state(whole.engine.state) == dump_state(reloaded.engine.state)


def test_after_a_rush_the_state_equals_that_of_evaluating_at_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = int(os.environ.get("EDGED_SEED", random.randrange(2**32)))
    print(f"reproduce with EDGED_SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    events = mixed(random.Random(seed))
    paced = opened()
    list(played(paced, events))
    assert left_behind(paced.engine) == []
    monkeypatch.setattr(rush, "AHEAD_MS", 1 << 40)
    unpaced = opened()
    list(played(unpaced, events))
    assert left_behind(unpaced.engine) == []
    with_rush, without_rush = paced.engine.state, unpaced.engine.state
    assert with_rush.shown == without_rush.shown
    assert with_rush.tickets == without_rush.tickets
    assert with_rush.windows == without_rush.windows


def mixed(dice: random.Random) -> list[tuple[int, Event]]:
    """Return tickets and keys of four panels, a few milliseconds apart."""
    at_ms, events = START_MS + 60_000, list[tuple[int, Event]]()
    for n in range(FLOOD):
        at_ms += dice.choice((0, 1, 1, 5))
        service = dice.choice(("tax-general", "tax-invoice", "social-card", "deed"))
        events.append((at_ms, TicketPrinted(Point("disp"), f"N{n:04d}", service, seq=n)))
        panel = f"p{dice.randint(1, 4)}"
        keys: tuple[Key, ...] = ("login", "next", "finish", "pause", "unpause")
        key = dice.choice(keys)
        events.append((at_ms, KeyPressed(Point(panel), key, seq=1_000 + n)))
    return events


def test_an_area_whose_postponed_evaluation_never_comes_breaks_an_invariant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feeder = opened()
    monkeypatch.setattr(rush, "due_ms", lambda _state: None)
    list(feeder.feed(flood(FLOOD)))
    with pytest.raises(AssertionError, match="tax was put off"):
        list(feeder.feed([(feeder.engine.state.at_ms + 1_000, CommandDone("nobody's"))]))


@pytest.mark.parametrize("days", [6, pytest.param(30, marks=pytest.mark.long)])
def test_random_days_with_events_milliseconds_apart_break_no_promise(
    days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a hall may hear, a few milliseconds apart; lived with ``Chance``'s checks after every step."""
    put_off = []
    keep_pace = rush.keep_pace

    def watched(turn: Turn) -> None:
        keep_pace(turn)
        put_off.append(turn.put_off)

    monkeypatch.setattr(rush, "keep_pace", watched)
    monkeypatch.setattr(rush, "AHEAD_MS", 0)  # the pace holds at once: these days have many pauses
    for seed in range(days):
        print(f"seed {seed}")  # noqa: T201 (pytest shows it with a failure)
        Chance(seed, pace_s=0.003).live(200)
    assert sum(put_off) > 50 * days, "there was a rush"
