"""Every transcript in ``transcripts/`` says what the core does today.

Rewrite the outcomes, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/core/test_transcripts.py``.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from edged.core.dispatch import HANDLERS
from edged.core.engine import Engine
from edged.core.model.events import (
    ClockDoubted,
    ClockSet,
    Event,
    PolicyApplied,
    Resumed,
    SafeModeSet,
    SiteLoaded,
    Tick,
)
from edged.core.queue import tickets
from edged.core.windows import machine
from tests.support.core_transcript import rerun

Edges = set[tuple[str, str, str]]  # state before, trigger, state after
TABLES: dict[str, dict[Any, Any]] = {"ticket": tickets.TABLE, "window": machine.TABLE}
EDGES: dict[str, Edges] = {
    name: {(before, trigger, after) for before, row in table.items() for trigger, after in row.items()}
    for name, table in TABLES.items()
}

FOLDER = Path(__file__).parent / "transcripts"
PATHS = sorted(FOLDER.glob("*.txt"))
UPDATE = bool(os.environ.get("TRANSCRIPTS_UPDATE"))


class Recorder(dict[str, str]):
    """A row of a transition table that records which transitions were taken."""

    taken: Edges

    def __init__(self, before: str, row: dict[str, str], taken: Edges) -> None:
        super().__init__(row)
        self.before, self.taken = before, taken

    def get(self, trigger: str, default: str | None = None) -> str | None:  # type: ignore[override]
        after = super().get(trigger, default)
        if after is not None:
            self.taken.add((self.before, trigger, after))
        return after


class Played:
    """The transcripts that were lived in this process, each once, and which events and edges stood in any of them."""

    def __init__(self) -> None:
        self.events = set[type]()
        self.edges: dict[str, Edges] = {name: set() for name in TABLES}
        self._outcomes = dict[Path, str]()

    def outcome(self, path: Path) -> str:
        """The transcript ``path`` with its outcomes as they are now."""
        if path not in self._outcomes:
            with pytest.MonkeyPatch.context() as patch:
                self._record(patch)
                self._outcomes[path] = rerun(path.read_text())
        return self._outcomes[path]

    def every(self) -> Played:
        """Afterwards all transcripts were lived."""
        for path in PATHS:
            self.outcome(path)
        return self

    def _record(self, patch: pytest.MonkeyPatch) -> None:
        handle = Engine.handle

        def handled(engine: Engine, at_ms: int, event: Event) -> Any:
            self.events.add(type(event))
            return handle(engine, at_ms, event)

        patch.setattr(Engine, "handle", handled)
        for name, table in TABLES.items():
            for before, row in list(table.items()):
                patch.setitem(table, before, Recorder(before, row, self.edges[name]))


@pytest.fixture(scope="module")
def played() -> Played:
    return Played()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_transcript_gives_the_recorded_outcome(path: Path, played: Played) -> None:
    written, now = path.read_text(), played.outcome(path)
    if UPDATE:
        path.write_text(now)
        return
    diff = difflib.unified_diff(written.splitlines(), now.splitlines(), path.name, "now", lineterm="", n=6)
    assert written == now, "\n" + "\n".join(diff)


def test_every_event_is_in_some_transcript(played: Played) -> None:
    assert set(get_args(Event)) - played.every().events == set()


def test_every_transition_of_tickets_and_windows_is_taken_in_some_transcript(played: Played) -> None:
    taken = played.every().edges
    assert {name: edges - taken[name] for name, edges in EDGES.items()} == {"ticket": set(), "window": set()}


def test_a_wrong_outcome_in_a_transcript_is_replaced_when_it_is_played() -> None:
    right = rerun("08:30:00 ticket A001 tax-general\n")
    wrong = right.replace("A001 area=tax", "A002 area=tax")
    assert wrong != right
    assert rerun(wrong) == right


def test_an_unreadable_input_line_of_a_transcript_is_quoted_in_the_error() -> None:
    with pytest.raises(ValueError, match="tickets A001 tax-general 1"):
        rerun("08:30:00 tickets A001 tax-general 1\n")


def test_every_event_has_a_handler_or_is_handled_by_the_engine() -> None:
    of_the_engine = {SiteLoaded, PolicyApplied, ClockDoubted, ClockSet, Resumed, SafeModeSet, Tick}
    assert set(get_args(Event)) == set(HANDLERS) | of_the_engine
