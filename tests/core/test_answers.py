"""Whoever presses a key is answered, on that panel or pager and in the same step, whatever state the hall is in."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest

import edged.core
from edged.core.engine import Engine
from edged.core.model import events as ev
from edged.core.model.commands import Pager, Panel
from edged.core.model.point import Point
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.core.people.answers import REFUSED, SILENT
from edged.store.codec import dump_state, load_state
from tests.support.core_hall import SiteText

DAYS = 6
STEPS = 140
KEYS_TRIED = 4  # of all keys, at each point, every 20 steps
PANELS = ("p1", "p2", "p3", "p8", "p9", "p15")
PAGERS = ("pager-li", "pager-wang", "pager-sun", "pager-duty", "panel-duty")
POINTS = (*PANELS, *PAGERS)
ARGUMENTS = (
    *(
        None,
        "li",
        "wang",
        "qin",
        "A001",
        "A002",
        "A999",
        "rest",
        "tax",
        "tax-general",
        "w2",
        "w8",
        "w77",
        "back",
    ),
    *(
        "told-once/photo",
        "told-once",
        "promise/x",
        "transferred/w2",
        "A001/military",
        "A001/by-visitor",
        "12",
        "x",
    ),
    *(
        "ack",
        "close 20261123-1 solved",
        "open other by=mei",
        "w8 tax by=mei for_s=600",
        "hall by=mei",
        "w1 by=mei",
    ),
)
# reasons that only orders, devices or documents are refused for: nobody stands there and presses a key
NOT_OF_KEYS = frozenset(
    {
        *("no_site", "no_clock", "not_the_queue_system", "site_would_drop_visits", "unknown_action"),
        *("appointment_over", "appointment_known", "appointment_for_other_service"),
    }
)


def a_hall() -> Site:
    """The small hall, with cases and a second pager for whoever comes to help."""
    text = SiteText()
    for line in (
        "area help 办不成事 Unresolved",
        "service unresolved help 办不成事 Unresolved U case",
        "window w15 15 unresolved panel=p15",
    ):
        text.change(line)
    return text.site


def press(engine: Engine, point: str, key: Any, arg: str | None) -> str | None:
    """Press a key; return what ``point`` then shows: None for nothing, "as before" if it is unchanged on purpose."""
    kind = Panel if point.startswith("p") and point[1:].isdigit() else Pager
    before = engine.state.shown.get(f"{point}|{kind.kind}")
    _, notes = engine.handle(engine.state.at_ms, ev.KeyPressed(Point(point), key, arg))
    if any(note.kind == "ignored" and note.data.get("reason") in SILENT for note in notes):
        return "as before"
    after: Any = engine.state.shown.get(f"{point}|{kind.kind}")
    if after is None:
        return None
    changed = isinstance(after, Panel) and (
        not isinstance(before, Panel) or replace(after, waiting=0) != replace(before, waiting=0)
    )
    return after.prompt or ("changed" if changed else None)


def live(engine: Engine, rng: Random, number: int) -> None:
    """Let some random event of a day happen, and time pass."""
    until_ms = engine.state.at_ms + rng.choice((400, 2_000, 20_000, 90_000))
    while (due_ms := engine.next_due_ms) is not None and due_ms <= until_ms:
        engine.handle(due_ms, ev.Tick())
    point = rng.choice(POINTS)
    event: ev.Event = ev.KeyPressed(Point(point), rng.choice(get_args(ev.Key)), rng.choice(ARGUMENTS))
    if rng.random() < 0.5:
        event = ev.TicketPrinted(Point("disp"), f"A{number:03d}", rng.choice(("tax-general", "tax-invoice")))
    engine.handle(until_ms, event)


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, DAYS))]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_key_in_every_state_is_answered_at_its_panel(seed: int) -> None:
    rng, engine = Random(seed), Engine()
    engine.handle(28_800_000, ev.ClockSet(1_795_420_800_000, 480))
    engine.handle(28_800_000, ev.SiteLoaded(a_hall()))
    for number in range(STEPS):
        live(engine, rng, number)
        engine.check()
        if number % 20 == 19:
            dump = dump_state(engine.state)
            for point in POINTS:
                for key in rng.sample(get_args(ev.Key), KEYS_TRIED):
                    arg = rng.choice(ARGUMENTS)
                    answer = press(Engine(load_state(dump, State)), point, key, arg)
                    assert answer is not None, f"seed {seed}, step {number}: silent after {point} {key} {arg}"


def test_every_reason_for_refusing_a_key_has_a_text_for_the_panel() -> None:
    source = "\n".join(file.read_text() for file in Path(edged.core.__file__).parent.rglob("*.py"))
    reasons = set(re.findall(r'turn\.ignore\(\s*[^"]*?"([a-z]+_[a-z_]+)"', source))
    reasons |= set(re.findall(r'return (?:None if [^"]* else )?"([a-z]+_[a-z_]+)"$', source, re.M))
    assert len(reasons) > 60
    assert reasons - set(SILENT) - NOT_OF_KEYS <= set(REFUSED)
