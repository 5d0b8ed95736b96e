"""Rehearses a new policy: runs it and the one in force on a hall's own recorded days. The figures are those of ``edged
backtest --journal``.

The newest days come first, and each runs under both policies, so that a rehearsal that ends early covers the last days.
The journal is read in short transactions: a long one would stop the daemon's checkpoints. In addition, the core says
which windows the new policy would open or close in the state after the last step.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw

from edged.backtest.candidates import Candidate, CandidateDay, outcome
from edged.backtest.journals import read_journals
from edged.backtest.measures import MINUTE_MS, DayMeasures, Prices, summary
from edged.backtest.runner import TimeOver
from edged.backtest.study import GARBAGE_AFTER
from edged.backtest.traces import BadTrace, Traces
from edged.central.addressing import local
from edged.central.audience import Names
from edged.central.rehearsed import MOVED_MAX, Missed, Now, Rehearsed, RehearsedSide
from edged.core.engine import Engine
from edged.core.model.events import PolicyApplied
from edged.core.model.policy import Policy
from edged.core.model.state import State
from edged.store import codec
from edged.store.database import StoreError
from edged.store.journal import Journal
from edged.store.replay import due_ticks, recover

SETUP_MS = 2 * MINUTE_MS  # as `edged backtest` takes it
SOON_MS = MINUTE_MS  # events within this time count as "now"
VERSION = 1 << 53  # of the rehearsed policy in the core: newer than any

Progress = Callable[[int, int], None]


class Pair(NamedTuple):
    """The two policies to compare: ``before``, the one in force, and ``after``, the new one."""

    before: Policy
    after: Policy

    @property
    def prices(self) -> Prices:
        """The backtest's default prices, but with the target wait of the policy in force."""
        return Prices(target_min=self.before.tidal.pw.target_wait_s / 60)


def rehearse(
    journal: Path,
    pair: Pair,
    days: int,
    over: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
) -> Rehearsed | Missed:
    """Run both policies on the last ``days`` recorded days, and on the present state. Ends early once ``over()`` is
    true. Returns ``Missed`` with the reason if there is no result, also for an unreadable journal.
    """
    try:
        traces = read_journals([journal], days=days)
    except BadTrace as error:
        return Missed(missed="no-days" if "nobody was served" in str(error) else "journal")
    gc.freeze()  # a day makes no reference cycles, and searching for them took a fifth of its time
    gc.set_threshold(GARBAGE_AFTER)
    return over_days(traces, pair, days, over, progress, moves_now(journal, pair))


def over_days(
    traces: Traces,
    pair: Pair,
    days: int,
    over: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
    moves: Now | None = None,
) -> Rehearsed | Missed:
    """Run both policies on the last ``days`` dates in ``traces``; returns the figures of both. ``Missed`` if no date
    could be run before ``over()`` became true. ``moves``: what to report about the present state.
    """
    dates = sorted({day.name for day in traces.days}, reverse=True)[:days]
    found: tuple[list[DayMeasures], list[DayMeasures]] = [], []
    done = 0
    for date in dates:
        try:
            for measured, both in zip(found, _on_date(traces, date, pair, over), strict=True):
                measured += both
        except TimeOver:
            break
        done += 1
        progress(done, len(dates))
    if not done:
        return Missed(missed="no-answer" if dates else "no-days")
    return Rehearsed(
        days=done,
        of=len(dates),
        visitors=sum(len(one.waits_ms) for one in found[0]),
        limit_min=pair.prices.target_min,
        before=_side(found[0], pair.prices),
        after=_side(found[1], pair.prices),
        now=moves,
    )


def _on_date(
    traces: Traces, date: str, pair: Pair, over: Callable[[], bool]
) -> tuple[list[DayMeasures], ...]:
    """Run every area of one date under each policy; returns the measures, by policy. Raises ``TimeOver`` as soon as
    ``over()`` is true, because a part of a date cannot be compared with a whole one.
    """
    if over():
        raise TimeOver
    return tuple(
        [
            outcome(CandidateDay(Candidate("", policy), traces.halls[day.hall], day, SETUP_MS), over)
            for day in traces.days
            if day.name == date
        ]
        for policy in pair
    )


def _side(days: list[DayMeasures], prices: Prices) -> RehearsedSide:
    figures = summary(days, prices)
    return RehearsedSide(
        activations=sum(day.openings for day in days),
        staff_min=round(sum(day.staff_min for day in days)),
        mean_min=round(figures["mean_wait"], 2),
        p90_min=round(figures["p90_wait"], 2),
        longest_min=round(figures["longest_wait"], 2),
        over_limit=round(figures["share_over_target"], 4),
    )


def moves_now(journal: Path, pair: Pair) -> Now | None:
    """Find the windows that the new policy would open or close within a minute from the journal's last step, and that
    the one in force would not.

    None if the state cannot be read.
    """
    try:
        opened = Journal.open(journal, read_only=True)
        try:
            restored = opened.restore(State)
            engine = Engine(restored.state)
            last_ms = recover(engine, restored).last_ms
        finally:
            opened.close()
        dump = codec.dump_state(engine.state)
    except (StoreError, codec.CodecError, apsw.Error, OSError):
        return None
    site = engine.state.site
    here = pair if site is None else [local(policy, Names.of(site)).policy for policy in pair]
    before, after = (_moves(codec.load_state(dump, State), last_ms, policy) for policy in here)
    opens, closes = (sorted(new - old)[:MOVED_MAX] for old, new in zip(before, after, strict=True))
    return Now(opens=tuple(opens), closes=tuple(closes))


def _moves(state: State, last_ms: int, policy: Policy) -> tuple[set[str], set[str]]:
    """Find the windows that ``policy`` would open, and those that it would close, within ``SOON_MS`` from this state.
    ``last_ms``: hall time of the last step.
    """
    engine = Engine(state)
    at_ms = max(last_ms, state.at_ms)
    _, notes = engine.handle(at_ms, PolicyApplied(VERSION, "", policy))
    noted = list(notes)
    for turn in due_ticks(engine, at_ms + SOON_MS, at_ms):
        noted += turn.notes
    kinds = ("tidal.requested", "tidal.draining")
    opens, closes = ({note.subject for note in noted if note.kind == kind} for kind in kinds)
    return opens, closes
