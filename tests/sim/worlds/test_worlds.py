"""Simulated worlds in CI: seeds that once found a bug live on here for ever; the command is used as its user would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

import configs
from edged.config import load
from edged.core.model.events import Event
from edged.core.model.policy import Policy, Tidal
from edged.sim.worlds.days import live
from edged.sim.worlds.faults import WorldFaults
from edged.sim.worlds.world import World
from tests.support.seeds import kept_seeds

KEPT = Path(__file__).with_name("failing_seeds.txt")


@pytest.mark.parametrize(("seed", "days"), kept_seeds(KEPT))
def test_a_seed_that_once_found_a_bug_finds_none(seed: int, days: int) -> None:
    site = load(Path(configs.__path__[0]) / "hall-demo.toml").site
    verdict = live(site, seed, days)
    assert verdict.broken is None, f"{verdict.broken}; again: edged simulate --seeds {seed} --days {days}"


def test_a_hall_day_takes_a_harmful_policy_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy day of the demo's hall, pushed a policy without a tide; it ends under the one before."""
    note_counts: Counter[str] = Counter()
    handle = World._handle

    def handle_and_count(world: World, at_ms: int, event: Event) -> Any:
        outcome = handle(world, at_ms, event)
        note_counts.update(note.kind for note in outcome[1])
        return outcome

    monkeypatch.setattr(World, "_handle", handle_and_count)
    site = load(Path(configs.__path__[0]) / "hall-demo.toml").site
    verdict = live(site, 12, 1, Policy(tidal=Tidal(enabled=False)))
    assert verdict.broken is None
    assert (note_counts["policy.harmful"], note_counts["policy.rolled_back"]) == (1, 1)


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edged", "simulate", *words], capture_output=True, text=True, timeout=300
    )


def test_the_same_seed_is_the_same_world_in_another_process() -> None:
    first, second = (json.loads(simulate("--seeds", "2..3", "--json").stdout) for _ in range(2))
    assert first == second
    assert first["seeds"] == 2
    assert first["broken"] == []
    assert first["tickets"] > 100


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    wrong = simulate("--seeds", "9..1")
    assert wrong.returncode == 2
    assert "must not be before" in wrong.stderr


def test_about_half_of_all_worlds_have_a_given_fault() -> None:
    worlds = [WorldFaults.draw(Random(seed)) for seed in range(200)]
    for name in ("duplicate_share", "dead_per_h", "restart_per_h"):
        assert 60 < sum(getattr(world, name) > 0 for world in worlds) < 140
