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
from tests.support.core_transcript import rerun

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


def test_every_event_is_in_some_transcript(monkeypatch: pytest.MonkeyPatch) -> None:
    handle, happened = Engine.handle, set()

    def handled(engine: Engine, at_ms: int, event: Event) -> Any:
        happened.add(type(event))
        return handle(engine, at_ms, event)

    monkeypatch.setattr(Engine, "handle", handled)
    for path in FOLDER.glob("*.txt"):
        rerun(path.read_text())
    assert set(get_args(Event)) - happened == set()


def test_every_event_has_somebody_who_takes_it() -> None:
    of_the_engine = {SiteLoaded, PolicyApplied, ClockDoubted, ClockSet, Resumed, SafeModeSet, Tick}
    assert set(get_args(Event)) == set(HANDLERS) | of_the_engine
