"""Keys take the number or name of a window, area, service or member of staff wherever they take its id."""

from __future__ import annotations

from typing import get_args

import pytest

from edged.core.engine import Engine
from edged.core.model.commands import Command, Note
from edged.core.model.events import ClockSet, Key, KeyPressed, SiteLoaded, TicketRequested
from edged.core.model.key_words import ANYWHERE, AT_PAGER, AT_WINDOW, with_ids
from edged.core.model.point import Point
from edged.core.model.site import Area, Service, Site, Staff, Window
from tests.support.core_hall import hall_site

AT_MS = 28_800_000
MORNING_MS = 1_795_392_000_000
NO_PART = {  # keys whose argument names no part of the hall, and what it is instead
    "next": "nothing",
    "prepare": "back",
    "announce": "nothing",
    "recall": "nothing",
    "arrive": "nothing",
    "no-show": "nothing",
    "park": "minutes",
    "resume": "a number of today",
    "pause": "a reason, as the policy spells it",
    "unpause": "nothing",
    "later": "nothing",
    "case": "a case, or what it is about",
    "commissioner": "how it ended",
    "guide": "nothing",
    "special-need": "back",
    "cancel": "a number of today",
    "priority": "a number of today, a class",
    "reprint": "a number of today, or a case",
    "next-or-recall": "nothing",
    "no-show-or-finish": "nothing",
    "priority-insert": "a number of today",
    "go-on": "a number",
    "promise-kept": "a promise",
    "answer": "a rating",
}
# where, key, the argument with ids, as people say it; what was pressed before
SERVING = (("p1", "next", None), ("p1", "arrive", None))
PAGED = (("panel-duty", "force-open", "w8 tax by=zhao"),)
HELP = (("p1", "commissioner", None),)
TYPED_ARGUMENTS = [
    ("panel-duty", "force-open", "w8 tax by=zhao", "8 税务 by=zhao", ()),
    ("panel-duty", "force-open", "w8 tax by=zhao", "by=zhao window 8 Tax", ()),
    ("p1", "force-close", "w1", "1号窗口", ()),
    ("panel-duty", "hold", "w8 by=zhao", "8号 by=zhao", (*PAGED, ("p8", "login", "wang"))),
    ("panel-duty", "lift", "w8 by=zhao", "窗口8 by=zhao", PAGED),
    ("panel-duty", "lift", "tax by=zhao", "税务 by=zhao", (("panel-duty", "pause-issuing", "tax by=zhao"),)),
    ("panel-duty", "pause-issuing", "tax by=zhao", "TAX by=zhao", ()),
    ("panel-duty", "extend-hours", "tax by=zhao", "税务 by=zhao", ()),
    ("p1", "transfer", "tax-invoice", "发票", SERVING),
    ("p1", "transfer", "house", "不动产", SERVING),
    ("p1", "transfer", "w2", "2号", SERVING),
    ("p1", "finish", "transferred/social-card", "transferred/社保卡", SERVING),
    ("p2", "walk-direct", "tax-invoice", "Invoices", (("p2", "login", "zhou"),)),
    ("p2", "green-lane", "tax-invoice/disabled", "发票/disabled", (("p2", "login", "zhou"),)),
    ("p3", "login", "sun", "孙", ()),
    ("panel-duty", "login", "sun", "孙", ()),
    ("p1", "logout", "sun", "孙", (("p1", "login", "sun"),)),
    ("p8", "accept", "sun", "孙", PAGED),
    ("pager-sun", "accept", "w1", "1号窗口", HELP),
    ("pager-sun", "decline", "tax", "税务", HELP),
    ("panel-duty", "roster", "also zhou tax,social by=zhao", "also 周 税务、社保 by=zhao", ()),
    ("panel-duty", "roster", "absent zhou by=zhao", "absent 周 by=zhao", ()),
]
REFUSED = {"extend-hours"}  # this hall has planned no hours


def hall_after(presses: tuple[tuple[str, str, str | None], ...]) -> Engine:
    """Return a hall with one clerk logged in and one visitor waiting, after these presses (point, key, argument)."""
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(hall_site()))
    engine.handle(AT_MS, ClockSet(MORNING_MS, 0))
    engine.handle(AT_MS, KeyPressed(Point("p1"), "login", "li"))
    engine.handle(AT_MS, TicketRequested(Point("disp"), "tax-general"))
    for point, key, arg in presses:
        press(engine, point, key, arg)
    return engine


def press(engine: Engine, point: str, key: str, arg: str | None) -> tuple[list[Command], list[Note]]:
    """Press a key at a point; return the commands and notes of that step."""
    commands, notes = engine.handle(engine.state.at_ms + 1000, KeyPressed(Point(point), key, arg))  # type: ignore[arg-type]
    engine.check()
    return list(commands), list(notes)


def test_every_key_is_listed_as_taking_a_name_of_a_hall_part_or_not() -> None:
    takes = {*ANYWHERE, *AT_WINDOW, *AT_PAGER}
    assert takes | NO_PART.keys() == set(get_args(Key))
    assert not takes & NO_PART.keys()
    assert takes == {key for _point, key, *_ in TYPED_ARGUMENTS}


@pytest.mark.parametrize(("point", "key", "ids", "names", "before"), TYPED_ARGUMENTS)
def test_a_key_with_the_name_of_a_part_does_what_it_does_with_its_id(
    point: str, key: str, ids: str, names: str, before: tuple[tuple[str, str, str | None], ...]
) -> None:
    by_id, by_name = (press(hall_after(before), point, key, arg) for arg in (ids, names))
    assert by_id == by_name
    done = [note for note in by_id[1] if note.kind != "ignored"]
    assert bool(done) != (key in REFUSED), by_id[1]


def test_a_name_that_no_part_has_is_refused_and_quoted_as_typed() -> None:
    _commands, notes = press(hall_after(SERVING), "p1", "transfer", "月亮")
    assert [(note.data["reason"], note.data["target"]) for note in notes if note.kind == "ignored"] == [
        ("unknown_transfer_target", "月亮")
    ]
    _commands, notes = press(hall_after(()), "panel-duty", "force-open", "99 by=zhao")
    assert [note.data["reason"] for note in notes if note.kind == "ignored"] == ["unknown_window"]


NAMESAKES = Site(
    "east",
    "East",
    (Area("a1", "社保", "Social"), Area("a2", "税务", "Tax office"), Area("9", "咨询", "Advice")),
    (
        Service("s1", "a1", "社保", "Social cards", "A"),
        Service("s2", "a1", "税务", "Tax papers", "B"),
        Service("s3", "a2", "一/二类", "First / second", "C"),
    ),
    (Window("w1", "9", ("s1",)), Window("w2", "12", ("s2", "s3"))),
    (Staff("ly", "Liu Yang", ("a1",)),),
)


@pytest.mark.parametrize(
    ("key", "typed", "understood"),
    [
        ("transfer", "社保", "s1"),  # an area's own service goes before it
        ("transfer", "税务", "税务"),  # another area's service has its name: nobody's
        ("transfer", "9", "9"),  # an id goes before a number
        ("transfer", "12", "w2"),
        ("lift", "9 by=x", "9 by=x"),
        ("force-open", "12 tax office for_s=60", "w2 a2 for_s=60"),
        ("force-open", "", ""),
        ("green-lane", "一/二类/elderly", "s3/elderly"),
        ("green-lane", "elderly", "elderly"),
        ("finish", "told-once/photo", "told-once/photo"),
        ("roster", "also Liu Yang Tax office, 咨询 by=x", "also ly a2,9 by=x"),
        ("roster", "", ""),
        ("park", "12", "12"),
    ],
)
def test_an_id_wins_over_an_equal_name_and_an_ambiguous_name_is_left_as_typed(
    key: str, typed: str, understood: str
) -> None:
    assert with_ids(NAMESAKES, key, typed, at_window=True) == understood
