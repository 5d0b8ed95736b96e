"""For every test."""

from __future__ import annotations

import os
from typing import Any

import pytest


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
