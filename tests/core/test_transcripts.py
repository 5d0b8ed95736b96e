"""Every transcript in ``transcripts/`` says what the core does today.

Rewrite the outcomes, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/core/test_transcripts.py``.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, NamedTuple, get_args

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
UPDATE = bool(os.environ.get("TRANSCRIPTS_UPDATE"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    written = path.read_text()
    now = rerun(written)
    if UPDATE:
        path.write_text(now)
        return
    diff = difflib.unified_diff(written.splitlines(), now.splitlines(), path.name, "now", lineterm="", n=6)
    assert written == now, "\n" + "\n".join(diff)


def test_a_wrong_outcome_is_seen() -> None:
    right = rerun("08:30:00 ticket A001 tax-general\n")
    wrong = right.replace("A001 area=tax", "A002 area=tax")
    assert wrong != right
    assert rerun(wrong) == right


def test_a_line_that_is_no_input_is_named() -> None:
    with pytest.raises(ValueError, match="tickets A001 tax-general 1"):
        rerun("08:30:00 tickets A001 tax-general 1\n")


class Recorder(dict[str, str]):
    """A row of a table that remembers which of its edges were taken."""

    taken: Edges

    def __init__(self, before: str, row: dict[str, str], taken: Edges) -> None:
        super().__init__(row)
        self.before, self.taken = before, taken

    def get(self, trigger: str, default: str | None = None) -> str | None:  # type: ignore[override]
        after = super().get(trigger, default)
        if after is not None:
            self.taken.add((self.before, trigger, after))
        return after


class Played(NamedTuple):
    """What happened in all transcripts together."""

    events: set[type]
    edges: dict[str, Edges]


@pytest.fixture(scope="module")
def played() -> Played:
    """Every transcript, lived once for all tests that ask what stands in any of them."""
    found = Played(set(), {name: set() for name in TABLES})
    handle = Engine.handle

    def handled(engine: Engine, at_ms: int, event: Event) -> Any:
        found.events.add(type(event))
        return handle(engine, at_ms, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "handle", handled)
        for name, table in TABLES.items():
            for before, row in list(table.items()):
                patch.setitem(table, before, Recorder(before, row, found.edges[name]))
        for path in FOLDER.glob("*.txt"):
            rerun(path.read_text())
    return found


def test_every_event_is_in_some_transcript(played: Played) -> None:
    assert set(get_args(Event)) - played.events == set()


def test_every_edge_is_taken_in_some_transcript(played: Played) -> None:
    assert {name: edges - played.edges[name] for name, edges in EDGES.items()} == {
        "ticket": set(),
        "window": set(),
    }


def test_every_event_has_somebody_who_takes_it() -> None:
    of_the_engine = {SiteLoaded, PolicyApplied, ClockDoubted, ClockSet, Resumed, SafeModeSet, Tick}
    assert set(get_args(Event)) == set(HANDLERS) | of_the_engine
