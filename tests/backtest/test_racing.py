"""Candidate settings race over the train days: clearly worse ones drop out early, and the winner is the one a full run
finds.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edged.backtest import fit
from edged.backtest.measures import Prices
from edged.backtest.traces import TraceHall, Traces, read

DAYS = 14


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    """A hall of one window and its reserves: how soon they open matters."""
    chance = random.Random(11)
    lines = ["set,day,part,t_min,service_min,stype"]
    for day in range(DAYS):
        at = 0.0
        while (at := at + chance.expovariate(0.3)) < 100:
            need = chance.lognormvariate(1.3, 0.6)
            lines.append(f"h,d{day:02d},{'test' if day > 11 else 'train'},{at:.4f},{need:.4f},0")
    file = tmp_path / "h.csv"
    file.write_text("\n".join(lines) + "\n")
    return read(file, TraceHall(1, 2, 2.0))


def test_the_winner_is_the_same_and_fewer_days_are_run(
    traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "OPEN_WAIT_S", (120, 540, 3_600))
    monkeypatch.setattr(fit, "CLOSE_WAIT_S", (0,))
    monkeypatch.setattr(fit, "MIN_OPEN_S", (300, 5_400))
    ran: dict[str, int] = {}

    def fitted(name: str) -> fit.Fit:
        return fit.fit(traces, "h", 60_000, Prices(), lambda done, total: ran.__setitem__(name, done))

    raced = fitted("raced")
    monkeypatch.setattr(fit, "HEATS", ())
    whole = fitted("whole")
    chosen = ("open_wait_s", "close_wait_s", "min_open_s", "train_gain", "test_gain")
    assert [getattr(raced, name) for name in chosen] == [getattr(whole, name) for name in chosen]
    assert ran["raced"] < ran["whole"] == 7 * 12, "what was plainly worse did not run to the end"
