"""For every test."""

from __future__ import annotations

import os
from typing import Any

import hypothesis
import pytest

if hypothesis.settings.get_current_profile_name() == "default":  # a campaign has its own
    # On a busy machine an example of a microsecond may take half a second, and drawing one longer.
    hypothesis.settings.register_profile(
        "busy-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("busy-machine")


@pytest.fixture(autouse=True)
def gave_way(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A command called in the process of the tests gives way to nobody (``cli/reading.py``): on a busy machine it, and
    all that comes after it, would hardly get on. What it asked for is in the list.
    """
    asked: list[int] = []
    real = os.sched_setscheduler

    def setscheduler(pid: int, policy: int, param: Any) -> None:
        asked.append(policy)
        if policy != os.SCHED_IDLE:
            real(pid, policy, param)

    monkeypatch.setattr(os, "sched_setscheduler", setscheduler)
    return asked
