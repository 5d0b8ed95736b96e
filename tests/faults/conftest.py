"""The small hall and its broker, as for every test of the daemon."""

from __future__ import annotations

from tests.daemon.conftest import broker, hall

__all__ = ["broker", "hall"]
