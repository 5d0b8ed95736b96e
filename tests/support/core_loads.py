"""Compares the core's cached load of each area with the load computed anew."""

from __future__ import annotations

from edged.core.engine import Engine
from edged.core.model.turn import Turn
from edged.core.queue import demand

AHEAD_MS = 10 * 3_600_000  # what is valid for longer is valid until the area changes


def outdated(engine: Engine, at_ms: int) -> list[str]:
    """Describe each area whose cached load differs from the load computed anew, at ``at_ms`` or at the last moment of
    its validity (``until_ms``).
    """
    assert engine._lookup is not None
    found = []
    for area, kept in engine._loads.items():
        for moment_ms in (at_ms, kept.until_ms - 1):
            if at_ms <= moment_ms < min(kept.until_ms + 1, at_ms + AHEAD_MS):
                anew = demand.work_out(Turn(engine.state, engine._lookup, moment_ms), area)
                if anew._replace(until_ms=0) != kept._replace(until_ms=0):
                    found.append(f"{area} at {moment_ms} (now {at_ms}): kept {kept}, anew {anew}")
    return found
