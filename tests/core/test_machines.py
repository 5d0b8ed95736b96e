"""The two machines are the product's, every part of them is reached, and what they promise to people holds.

``PRODUCT_*`` are the product's edges; ``DIFFERENCES`` is the one place that says where the code departs from them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest

import edged.core
from edged.core.engine import Engine
from edged.core.model.events import ClockSet, Event, KeyPressed, PolicyApplied, SiteLoaded, TicketPrinted
from edged.core.model.point import Point
from edged.core.model.policy import Calling, Policy, Tidal
from edged.core.model.state import TicketState, WindowStateName
from edged.core.queue import tickets
from edged.core.signage import boards, signs
from edged.core.windows import machine
from tests.support.core_days import START_MS, Chance, Feeder
from tests.support.core_hall import SiteText

Edges = set[tuple[str, str, str]]

PRODUCT_TICKET: Edges = {
    ("WAITING", "call", "CALLED"),
    ("CALLED", "recall", "CALLED"),
    ("CALLED", "arrive", "SERVING"),
    ("CALLED", "no-show", "NO_SHOW"),
    ("NO_SHOW", "revive", "WAITING"),
    ("SERVING", "park", "PARKED"),
    ("PARKED", "resume", "WAITING"),
    ("SERVING", "transfer", "WAITING"),
    ("SERVING", "finish", "SERVED"),
    ("WAITING", "cancel", "CANCELLED"),
    ("CALLED", "cancel", "CANCELLED"),
    ("SERVING", "cancel", "CANCELLED"),
    ("PARKED", "cancel", "CANCELLED"),
    ("BOOKED", "cancel", "CANCELLED"),
    ("ISSUE_FAILED", "cancel", "CANCELLED"),
    ("RETURN_PENDING", "cancel", "CANCELLED"),
    ("SERVING", "told-once", "RETURN_PENDING"),  # papers short
    ("RETURN_PENDING", "return", "WAITING"),  # back in time
    # in DIFFERENCES
    ("ISSUED", "accepted", "WAITING"),
    ("ISSUED", "print failed", "ISSUE_FAILED"),
    ("BOOKED", "check-in", "WAITING"),
    ("SERVED", "rating", "CLOSED"),
}
PRODUCT_WINDOW: Edges = {
    ("CLOSED", "open", "OPEN"),
    ("OPEN", "close", "CLOSED"),
    ("OPEN", "call", "CALLING"),
    ("CALLING", "arrive", "SERVING"),
    ("CALLING", "free", "OPEN"),
    ("SERVING", "free", "OPEN"),
    ("OPEN", "pause", "PAUSED"),
    ("SERVING", "pause", "PAUSED"),
    ("PAUSED", "unpause", "OPEN"),
    ("PAUSED", "unpause-serving", "SERVING"),
    ("STANDBY", "activate", "ACTIVATING"),
    ("STANDBY", "consult", "CONSULTING"),
    ("CONSULTING", "invite", "INVITED"),
    ("CONSULTING", "activate-staffed", "OPEN"),
    ("INVITED", "acknowledge", "OPEN"),
    ("INVITED", "give-up", "CONSULTING"),
    ("COOLDOWN", "consult", "CONSULTING"),
    ("ACTIVATING", "acknowledge", "OPEN"),
    ("ACTIVATING", "give-up", "STANDBY"),
    ("OPEN", "drain", "COOLDOWN"),
    ("CALLING", "drain", "DRAINING"),
    ("SERVING", "drain", "DRAINING"),
    ("DRAINING", "free", "COOLDOWN"),
    ("COOLDOWN", "cooled", "STANDBY"),
    # in DIFFERENCES
    ("any", "override", "FORCED_OPEN"),
    ("any", "override", "FORCED_CLOSED"),
}
DIFFERENCES: dict[tuple[str, str, str], str] = {
    (
        "ISSUED",
        "accepted",
        "WAITING",
    ): "a number is queued in the step that issues it; there is no moment between",
    (
        "ISSUED",
        "print failed",
        "ISSUE_FAILED",
    ): "the print is answered when the number waits already: WAITING, print-failed",
    ("WAITING", "print-failed", "ISSUE_FAILED"): "see above; only where the policy does not queue it",
    ("ISSUE_FAILED", "printed", "WAITING"): "its reprint succeeded",
    (
        "BOOKED",
        "check-in",
        "WAITING",
    ): "BOOKED is who has checked in early; an unclaimed booking has no number and is no ticket",
    ("BOOKED", "due", "WAITING"): "the time of an early check-in has come",
    (
        "SERVED",
        "rating",
        "CLOSED",
    ): "a flag of the ticket (rated), because a rating may also come before the end",
    ("OPEN", "walk-direct", "SERVING"): "somebody without a number is served",
    (
        "any",
        "override",
        "FORCED_OPEN",
    ): "a fact beside the state (State.overrides): the window keeps its machine",
    (
        "any",
        "override",
        "FORCED_CLOSED",
    ): "a fact beside the state (State.overrides): the window keeps its machine",
    (
        "DRAINING",
        "arrive",
        "DRAINING",
    ): "a window may begin to drain while it still calls; then the visitor comes",
    ("STANDBY", "activate-staffed", "OPEN"): "who was paged sits down at another window: that is a yes",
    ("CONSULTING", "leave", "STANDBY"): "the clerk logs out",
    ("INVITED", "leave", "STANDBY"): "the clerk logs out instead of answering",
    ("PAUSED", "drain", "COOLDOWN"): "the clerk of a paused +1 window may leave, and the tide may fall",
    ("PAUSED", "close", "CLOSED"): "the clerk of a paused window may leave",
}
CORE = Path(edged.core.__path__[0])
TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
SEEDS = [100, 101, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(102, 112))]


def edges_of(table: Mapping[Any, Mapping[str, str]]) -> Edges:
    return {(before, trigger, after) for before, row in table.items() for trigger, after in row.items()}


@pytest.mark.parametrize(
    ("table", "product"),
    [(tickets.TABLE, PRODUCT_TICKET), (machine.TABLE, PRODUCT_WINDOW)],
    ids=["ticket", "window"],
)
def test_the_transition_table_equals_the_product_page_but_for_listed_differences(
    table: dict[str, dict[str, str]], product: Edges
) -> None:
    unexplained = (edges_of(table) ^ product) - set(DIFFERENCES)
    assert not unexplained
    stale = {edge for edge in DIFFERENCES if edge in edges_of(tickets.TABLE) & PRODUCT_TICKET}
    assert not stale, "a difference that is none any more"


@pytest.mark.parametrize(
    ("table", "starts", "names"),
    [
        (tickets.TABLE, {"WAITING", "BOOKED"}, get_args(TicketState)),
        (machine.TABLE, {"CLOSED", "STANDBY"}, get_args(WindowStateName)),
    ],
    ids=["ticket", "window"],
)
def test_every_state_of_a_transition_table_can_be_reached_from_its_start(
    table: dict[str, dict[str, str]], starts: set[str], names: tuple[str, ...]
) -> None:
    reached, front = set(starts), set(starts)
    while front:
        front = {after for state in front for after in table[state].values()} - reached
        reached |= front
    assert reached == set(names) == set(table)


def test_every_reason_and_every_note_kind_appears_in_some_transcript() -> None:
    transcripts = "\n".join(path.read_text() for path in TRANSCRIPTS)
    missing = []
    for path in CORE.rglob("*.py"):
        code = re.sub(r"\s+", " ", path.read_text())
        reasons = re.findall(r'(?:turn\.ignore\([^"]*?|_refuse\(turn, area, )"([a-z_]+)"', code)
        kinds = re.findall(r'turn\.note\( ?"([a-z._]+)"', code)
        missing += [f"{path.name}: {r}" for r in reasons if f"reason={r}" not in transcripts]
        missing += [f"{path.name}: {kind}" for kind in kinds if f"# {kind} " not in transcripts]
    assert not missing


def test_every_window_state_has_a_lamp_and_a_text() -> None:
    names = set(get_args(WindowStateName))
    assert set(signs.LAMP_OF) == names
    assert set(boards.TEXT_OF) == names - {"CALLING", "SERVING", "DRAINING"}, "these show the number"
    assert {state for state, level in signs.LAMP_OF.items() if level == "on"} < set(machine.TABLE)


@pytest.mark.parametrize("seed", SEEDS)
def test_only_a_key_at_the_window_itself_calls_a_visitor(seed: int) -> None:
    """So nobody is ever sent to a window that is merely lit, and nobody is called by two."""
    random_hall = Chance(seed, pace_s=8)
    day = random_hall.live(400)
    print(f"live this day again: Chance({seed}, pace_s=8).live(400)")  # noqa: T201
    calls = 0
    feeder = Feeder(Engine())
    for _, event, _, notes in feeder.feed(day):
        for note in notes:
            if note.kind == "ticket.called":
                calls += 1
                site = feeder.engine.state.site
                assert site is not None
                panel = next(w.panel for w in site.windows if w.id == note.data["window"])
                assert isinstance(event, KeyPressed)
                assert event.point == panel
    assert calls > 4


FULL_HOUSE = """
hall demo 示例大厅
area tax 税务 Tax
area house 不动产 Housing
service tax-general tax 税务综合 Tax A
service deed house 不动产登记 Deeds H
window w1 1 tax-general panel=p1
window w2 2 tax-general panel=p2
window w3 3 tax-general,deed panel=p3
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_priority_visitor_overtakes_nobody_who_came_earlier_by_more_than_the_head_start(seed: int) -> None:
    """Without any streak limit in force, priority alone never beats a normal visitor by more than the head start."""
    head_start_s = 60
    chance = Random(seed)
    feeder = Feeder(Engine())
    policy = Policy(Tidal(enabled=False), Calling(priority_streak=20, priority_head_start_s=head_start_s))
    opening: list[Event] = [
        ClockSet(0, 480),
        SiteLoaded(SiteText(FULL_HOUSE).site),
        PolicyApplied(1, "", policy),
    ]
    list(feeder.feed([(START_MS, event) for event in opening]))
    arrived: dict[str, int] = {}
    normal: dict[str, int] = {}
    at_ms = START_MS
    for number in range(400):
        at_ms += chance.randrange(15_000)
        name, priority = f"T{number}", chance.choice(("normal", "elderly"))
        arrived[name] = at_ms
        if priority == "normal":
            normal[name] = at_ms
        ticket = TicketPrinted(Point("disp"), name, "tax-general", priority)
        key = KeyPressed(Point(chance.choice(("p1", "p2"))), "next")
        for *_, notes in feeder.feed([(at_ms, ticket), (at_ms + 1, key)]):
            for note in notes:
                if note.kind == "ticket.called":
                    normal.pop(note.subject, None)
                    late = [
                        n
                        for n, since in normal.items()
                        if arrived[note.subject] > since + head_start_s * 1000
                    ]
                    assert not late, f"{note.subject} was called before {late} (seed {seed})"
    assert len(normal) < 300
