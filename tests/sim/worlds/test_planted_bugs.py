"""Every promise of the simulated worlds breaks on a bug planted for it: a check that cannot fail checks nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import configs
from edged.config import load
from edged.core import sequence
from edged.core.engine import Engine
from edged.core.model.commands import Desired, Print
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Tidal
from edged.core.model.site import Site
from edged.core.model.turn import Turn
from edged.core.people import staffing, stranded
from edged.core.queue import ordering, tickets
from edged.core.signage import signs
from edged.core.tide import arbiter
from edged.core.windows import machine
from edged.sim.worlds.days import live

SEED = 11  # duplicates, lost and doubled keys, restarts, and a crowd that needs "+1" windows
REBORN_SEED = 29  # devices that lose their power twelve times an hour
REPEATED_SEED = 144  # dispensers that print a sixth of their numbers again


def site() -> Site:
    return load(Path(configs.__path__[0]) / "hall-demo.toml").site


def two_windows_take_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tickets, "dequeue", lambda state, ticket: None)
    patch.setitem(tickets.TABLE, "CALLED", {**tickets.TABLE["CALLED"], "call": "CALLED"})
    patch.setitem(tickets.TABLE, "SERVING", {**tickets.TABLE["SERVING"], "call": "CALLED"})


def a_number_is_given_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tickets, "_next_number", lambda turn, service, prefix: f"{prefix}001")


def signs_are_repeated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        signs,
        "_show",
        lambda turn, point, value: turn.commands.append(Desired(point, value)) if point else None,
    )


def a_window_is_lit_with_nobody_behind_it(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(signs.LAMP_OF, "ACTIVATING", "on")


def an_action_has_an_old_name(patch: pytest.MonkeyPatch) -> None:
    true_act = Turn.act

    def act(turn: Turn, point: str, body: Any) -> str:
        turn.state.next_action = min(turn.state.next_action, 3)
        return true_act(turn, Point(point), body)

    patch.setattr(Turn, "act", act)


def the_wrong_number_is_printed(patch: pytest.MonkeyPatch) -> None:
    true_act = Turn.act

    def act(turn: Turn, point: str, body: Any) -> str:
        wrong = Print("Z999", body.service, body.ahead) if isinstance(body, Print) else body
        return true_act(turn, Point(point), wrong)

    patch.setattr(Turn, "act", act)


def a_redelivery_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sequence, "is_redelivery", lambda turn, event: False)


def the_pool_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(arbiter, "pool_used", lambda turn: 0)


def the_elderly_are_never_called(patch: pytest.MonkeyPatch) -> None:
    true_lanes = ordering._lanes

    def lanes(turn: Turn, window: str) -> Iterator[tuple[str, list[int]]]:
        return ((lane, queue) for lane, queue in true_lanes(turn, window) if lane != "elderly")

    patch.setattr(ordering, "_lanes", lanes)


def chance_decides(patch: pytest.MonkeyPatch) -> None:
    true_pick, calls = staffing.pick, count()

    def pick(turn: Turn, area: str) -> str | None:
        return true_pick(turn, area) if next(calls) < 2 else None

    patch.setattr(staffing, "pick", pick)


def the_count_of_waiting_drifts(patch: pytest.MonkeyPatch) -> None:
    true_no_show = machine.no_show

    def no_show(turn: Turn, window: str, inferred: bool) -> None:
        true_no_show(turn, window, inferred)
        turn.area(turn.lookup.window_areas[window][0]).waiting += 1

    patch.setattr(machine, "no_show", no_show)


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (two_windows_take_one, "one window:"),
    (a_number_is_given_twice, "numbers:"),
    (signs_are_repeated, "levels:"),
    (a_window_is_lit_with_nobody_behind_it, "staffed:"),
    (an_action_has_an_old_name, "actions:"),
    (the_wrong_number_is_printed, "prints:"),
    (a_redelivery_counts, "once:"),
    (the_pool_is_forgotten, "pool:"),
    (the_elderly_are_never_called, "liveness:"),
    (chance_decides, "determinism:"),
]


@pytest.mark.parametrize(("plant", "promise"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_bug_breaks_its_promise(
    plant: Callable[[pytest.MonkeyPatch], None], promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "check", lambda engine: None)  # the promises are judged on their own here
    plant(monkeypatch)
    broken = live(site(), SEED, 1, Policy(tidal=Tidal(pool=1))).broken
    assert broken is not None
    assert promise in broken


def test_the_invariants_of_the_core_are_checked_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    the_count_of_waiting_drifts(monkeypatch)
    broken = live(site(), SEED, 1).broken
    assert broken is not None
    assert "counts" in broken


def a_device_that_restarts_repeats_itself(patch: pytest.MonkeyPatch) -> None:
    """As it was: whatever number was heard with this content is a repetition, in whatever epoch."""
    true_judge = sequence._judge

    def judge(turn: Turn, sender: Any, event: Any, same: bool | None) -> Any:
        return "repeated" if same else true_judge(turn, sender, event, same)

    patch.setattr(sequence, "_judge", judge)


def a_number_that_begins_again_is_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stranded, "paper", lambda turn, point, number, service, reason: None)


@pytest.mark.parametrize(
    ("plant", "promise", "seed"),
    [
        (a_device_that_restarts_repeats_itself, "heard:", REBORN_SEED),
        (a_number_that_begins_again_is_dropped, "stranded:", REPEATED_SEED),
    ],
    ids=["epochs", "papers"],
)
def test_an_input_that_ends_in_nothing_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], promise: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    broken = live(site(), seed, 1).broken
    assert broken is not None
    assert promise in broken
