"""A pushed policy on trial: what takes it back, what does not, and that a return is the end of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edged.core.engine import Engine
from edged.core.model.commands import Note
from edged.core.model.events import (
    ClockSet,
    Event,
    KeyPressed,
    PolicyApplied,
    Resumed,
    SiteLoaded,
    Tick,
    TicketPrinted,
)
from edged.core.model.point import Point
from edged.core.model.policy import Band, Policy, Ratings, Tidal, Trial
from edged.core.model.state import LeftPolicy, State
from edged.store.codec import dump_state, load_state
from tests.support.core_hall import SiteText

MINUTE_MS = 60_000
GOOD = Policy()
HARMFUL = Policy(tidal=Tidal(enabled=False))
MILD = Policy(ratings=Ratings(within_s=900))


class Hall:
    """The small hall from 08:00 on; ``live`` lets visitors come and one clerk serve them."""

    def __init__(self, *changes: str) -> None:
        text = SiteText()
        for change in changes:
            text.change(change)
        self.engine = Engine()
        self.notes: list[tuple[int, Note]] = []
        self.numbers = 0
        self.restarts = False
        self.send(8 * 60, ClockSet(8 * 60 * MINUTE_MS, 0))
        self.send(8 * 60, SiteLoaded(text.site))

    def send(self, minute: float, event: Event) -> None:
        at_ms = round(minute * MINUTE_MS)
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= at_ms:
            self._handle(due_ms, Tick())
        self._handle(at_ms, event)

    def _handle(self, at_ms: int, event: Event) -> None:
        if self.restarts:
            self.engine = Engine(load_state(dump_state(self.engine.state), State))
        self.notes += [(at_ms, note) for note in self.engine.handle(at_ms, event)[1]]
        self.engine.check()

    def push(self, minute: float, version: int, policy: Policy, *, pushed: bool = True) -> None:
        self.send(minute, PolicyApplied(version, f"{version:064x}", policy, pushed))

    def live(self, begin: float, end: float, come_every: float, serve: float) -> None:
        """Minutes between two visitors, and minutes of each visit at window 1."""
        for minute, visitor in self._plan(begin, end, come_every, serve):
            if visitor:
                self.numbers += 1
                self.send(minute, TicketPrinted(Point("disp"), f"A{self.numbers:03d}", "tax-general"))
            else:
                self.send(minute, KeyPressed(Point("p1"), "next"))

    def _plan(
        self, begin: float, end: float, come_every: float, serve: float
    ) -> Iterator[tuple[float, bool]]:
        come, serves = begin, begin
        while min(come, serves) < end:
            if come <= serves:
                yield come, True
                come += come_every
            else:
                yield serves, False
                serves += serve

    def clear(self, minute: float) -> None:
        """Everybody is called and goes home."""
        while self.engine.state.areas["tax"].waiting:
            minute += 1
            self.send(minute, KeyPressed(Point("p1"), "next"))

    def notes_of(self, kind: str) -> list[Note]:
        return [note for _, note in self.notes if note.kind == kind]


def trial_of(hall: Hall) -> tuple[int, int]:
    """Return the versions of the last good policy and of the one on trial."""
    trial = hall.engine.state.trial
    assert trial is not None
    return trial.good_version, hall.engine.state.policy_version


def hall_under_policy(*, restarts: bool = False, good: Policy = GOOD, bad: Policy = HARMFUL) -> Hall:
    """Return a hall after a morning with more visitors than one window can serve; ``bad`` is pushed after ``good``."""
    hall = Hall()
    hall.restarts = restarts
    hall.push(8 * 60, 1, good, pushed=False)
    hall.push(9 * 60, 2, bad)
    hall.live(9 * 60, 10 * 60, 2, 8)
    return hall


def test_a_harmful_policy_asks_once_for_the_last_good_one_and_the_return_ends_the_trial() -> None:
    hall = hall_under_policy()
    (found,) = hall.notes_of("policy.harmful")
    assert (found.subject, found.data["back_to"], found.data["reason"]) == ("2", 1, "window_missed")
    assert int(str(found.data["waited_s"])) >= int(str(found.data["limit_s"])) == 600
    assert [note.data["alarm"] for note in hall.notes_of("alarm.raised") if note.subject == "demo"] == [
        "policy-harmful"
    ]
    assert hall.engine.state.policy == HARMFUL, "the desk that keeps the documents puts it back"
    hall.push(10 * 60, 1, GOOD, pushed=False)
    (back,) = hall.notes_of("policy.rolled_back")
    assert back.data == {"sha256": f"{1:064x}", "reason": "harmful", "left": 2}
    (left,) = hall.engine.state.left
    assert left.version == 2
    assert left.waited_s >= left.limit_s == 600
    hall.live(10 * 60, 12 * 60, 2, 8)  # as bad as before, under the good one
    assert hall.engine.state.trial is None
    assert len(hall.notes_of("policy.harmful")) == len(hall.notes_of("policy.rolled_back")) == 1
    hall.push(12 * 60, 3, MILD)
    assert trial_of(hall) == (1, 3)
    assert not hall.engine.state.alarms.get("policy-harmful/demo")


def test_a_policy_on_trial_stays_on_trial_when_fitted_to_other_areas() -> None:
    hall = Hall()
    hall.push(8 * 60, 1, GOOD, pushed=False)
    hall.push(9 * 60, 2, HARMFUL)
    fitted = replace(HARMFUL, tidal=replace(HARMFUL.tidal, areas={"tax": Band(open_above=5)}))
    hall.push(9 * 60 + 1, 2, fitted, pushed=False)
    assert trial_of(hall) == (1, 2)
    assert hall.engine.state.policy == fitted
    hall.live(9 * 60 + 1, 10 * 60 + 1, 2, 8)
    (found,) = hall.notes_of("policy.harmful")
    assert found.data["back_to"] == 1


def test_restarts_at_every_step_change_nothing_in_a_policy_trial() -> None:
    straight, cut = hall_under_policy(), hall_under_policy(restarts=True)
    assert straight.notes_of("policy.harmful")
    assert straight.notes == cut.notes
    assert dump_state(straight.engine.state) == dump_state(cut.engine.state)


def test_a_policy_is_judged_by_the_trial_rules_of_the_last_good_policy() -> None:
    careless = replace(HARMFUL, trial=Trial(enabled=False, floor_s=3600))
    assert hall_under_policy(bad=careless).notes_of("policy.harmful")
    trusting = replace(GOOD, trial=Trial(enabled=False))
    assert not hall_under_policy(good=trusting).notes_of("policy.harmful")
    patient = replace(GOOD, trial=Trial(worse_min=45))
    assert not hall_under_policy(good=patient).notes_of("policy.harmful")
    tolerant = replace(GOOD, trial=Trial(floor_s=1800))
    assert not hall_under_policy(good=tolerant).notes_of("policy.harmful")
    crowded = replace(GOOD, trial=Trial(min_waiting=60))
    assert not hall_under_policy(good=crowded).notes_of("policy.harmful")


def test_a_policy_is_not_blamed_for_a_rush_in_which_every_window_is_asked_for() -> None:
    """Every window lit, nobody comes: the good policy would do no better."""
    hall = hall_under_policy(bad=MILD)
    waited = [note for note in hall.notes_of("ticket.called") if float(str(note.data["wait_s"])) > 1200]
    assert waited, "the queue must have been old"
    assert not hall.notes_of("policy.harmful")
    assert hall.notes_of("tidal.escalated")


def test_the_same_policy_under_another_number_is_not_on_trial() -> None:
    hall = hall_under_policy(bad=GOOD)
    assert hall.engine.state.trial is None
    assert hall.engine.state.policy_version == 2


def test_a_policy_in_force_before_the_journal_was_lost_is_not_on_trial() -> None:
    """A database that was lost: its policy comes from the second copy."""
    hall = Hall()
    hall.push(9 * 60, 7, HARMFUL, pushed=False)
    hall.live(9 * 60, 10 * 60, 2, 8)
    assert not hall.notes_of("policy.harmful")


def test_a_push_during_a_trial_is_judged_against_the_last_good_one() -> None:
    hall = Hall()
    hall.push(8 * 60, 1, GOOD, pushed=False)
    hall.push(9 * 60, 2, MILD)
    hall.push(9 * 60 + 1, 3, HARMFUL)
    assert trial_of(hall) == (1, 3)
    hall.live(9 * 60 + 2, 10 * 60, 2, 8)
    assert [note.data["back_to"] for note in hall.notes_of("policy.harmful")] == [1]
    hall.push(10 * 60, 4, MILD)  # faster than the desk: the harmful one left all the same
    assert trial_of(hall) == (1, 4)
    assert [(one.version, one.waited_s > 0) for one in hall.engine.state.left] == [(3, True)]


def test_after_its_trial_a_policy_counts_as_good_whatever_follows() -> None:
    hall = Hall()
    hall.push(8 * 60, 1, replace(GOOD, trial=Trial(watch_min=30)), pushed=False)
    hall.push(9 * 60, 2, HARMFUL)
    hall.live(9 * 60, 9 * 60 + 40, 9, 8)
    assert [note.subject for note in hall.notes_of("policy.kept")] == ["2"]
    hall.live(9 * 60 + 41, 11 * 60, 2, 8)
    assert not hall.notes_of("policy.harmful")
    hall.push(11 * 60, 3, MILD)
    assert trial_of(hall) == (2, 3)


def test_closed_hours_do_not_count_towards_a_policy_trial() -> None:
    hall = Hall()
    hall.push(8 * 60, 1, GOOD, pushed=False)
    hall.push(20 * 60, 2, HARMFUL)
    hall.live(33 * 60, 34 * 60, 2, 8)
    assert hall.notes_of("policy.harmful")


def test_an_order_to_go_back_to_the_old_policy_ends_a_trial_without_a_verdict() -> None:
    hall = Hall()
    hall.push(8 * 60, 1, GOOD, pushed=False)
    hall.push(9 * 60, 2, HARMFUL)
    hall.push(9 * 60 + 5, 1, GOOD, pushed=False)
    assert hall.engine.state.left == [LeftPolicy(2, f"{2:064x}")]
    hall.live(9 * 60 + 6, 10 * 60, 2, 8)
    assert not hall.notes_of("policy.harmful")


def test_an_absence_of_the_controller_is_not_held_against_a_policy_on_trial() -> None:
    hall = Hall()
    hall.push(8 * 60, 1, GOOD, pushed=False)
    hall.push(9 * 60, 2, HARMFUL)
    hall.live(9 * 60, 9 * 60 + 10, 2, 8)
    hall.send(9 * 60 + 10, Resumed(20 * MINUTE_MS, restart=True))
    hall.live(9 * 60 + 30, 9 * 60 + 50, 2, 8)
    assert not hall.notes_of("policy.harmful")


@pytest.mark.parametrize(("come_every", "verdicts"), [(9.0, 1), (4.0, 0)])
def test_a_policy_without_a_tide_is_judged_by_comparison_with_usual_days(
    come_every: float, verdicts: int
) -> None:
    """No tide to blame. As many visitors as on other days and a queue that never was: harm. Twice as many: a rush."""
    hall = Hall("without staff li", "without staff wang", "without window w8", "without window w9")
    hall.push(8 * 60, 1, GOOD, pushed=False)
    for day in range(4):
        begin = (day * 24 + 9) * 60
        hall.live(begin, begin + 100, 9, 8)
        hall.clear(begin + 100)
    begin = (4 * 24 + 9) * 60
    hall.push(begin, 2, MILD)
    hall.live(
        begin, begin + 118, come_every, 40
    )  # whatever the policy did: each visit takes five times as long
    found = hall.notes_of("policy.harmful")
    assert [note.data["reason"] for note in found] == ["never_so_old"] * verdicts
