"""An area's figures that are kept within a turn equal those worked out anew, and no outdated sign remains; in whole
worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import configs
from edged.config import load
from edged.core.engine import Engine
from edged.core.hours import cutoff
from edged.core.model.turn import AreaLoad, Turn
from edged.core.queue import demand
from edged.core.signage import signs
from edged.core.tide import rules, tidal_loop, triggers
from edged.sim.worlds.days import live
from tests.support.core_signs import left_behind

SEED = 9  # a short day
HOURLY = tuple((hour * 60, hour * 60 + 45) for hour in range(24))  # shifts, in minutes after midnight
LOOK_EVERY = 25  # steps: signing a whole hall anew costs more than twenty of them


@pytest.fixture
def from_cache(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Compare every figure that is asked for with a fresh calculation; each entry says: it came from the cache."""
    ask: Callable[[Turn, str], AreaLoad] = demand.area_load
    seen: list[bool] = []

    def compared(turn: Turn, area: str) -> AreaLoad:
        seen.append(area in turn.loads)
        found = ask(turn, area)
        assert found._replace(until_ms=0) == demand.work_out(turn, area)._replace(until_ms=0)
        return found

    for module in (demand, rules, tidal_loop, triggers, signs, cutoff):
        monkeypatch.setattr(module, "area_load", compared, raising=False)
    return seen


@pytest.mark.long
def test_figures_cached_within_a_turn_equal_those_calculated_afresh(
    from_cache: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, steps, found = Engine.handle, count(), []

    def handled(engine: Engine, at_ms: int, event: Any) -> Any:
        outcome = handle(engine, at_ms, event)
        if next(steps) % LOOK_EVERY == 0:
            found.extend(left_behind(engine))
        return outcome

    monkeypatch.setattr(Engine, "handle", handled)
    site = load(Path(configs.__path__[0]) / "hall-demo.toml").site
    staff = tuple(replace(member, shifts=HOURLY) for member in site.staff)
    verdict = live(replace(site, staff=staff), SEED, 1)
    assert verdict.broken is None
    assert not found, "\n".join(found)
    assert sum(from_cache) > 5 * (len(from_cache) - sum(from_cache)) > 0
