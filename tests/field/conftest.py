"""The small hall of the daemon's tests, for what was reported from real halls."""

from __future__ import annotations

from tests.daemon.conftest import broker, hall

__all__ = ["broker", "hall"]
