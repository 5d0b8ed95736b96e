"""Tells of TLS certificates before they end: a metric for who watches, and a line in the log for the last month."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from edged.config.certificates import WARN_DAYS, days_left, expiries
from edged.config.shape import MqttTable

LOOK_S = 6 * 3600.0  # real seconds: four lines a day in the last month, and a new file is seen the same day

log = structlog.get_logger("edged.certificates")


async def watch_certificates(
    mqtt: MqttTable, wall_ms: Callable[[], int], report: Callable[[str, float], None]
) -> None:
    """Call ``report(file, end)`` (seconds since 1970 UTC) now and every ``LOOK_S``, until cancelled."""
    while True:
        try:
            ends = await asyncio.to_thread(expiries, mqtt)
        except (OSError, ValueError) as error:
            ends = {}
            log.error("certificate-unreadable", error=str(error))
        for file, end_ms in ends.items():
            report(file, end_ms / 1000)
            days = days_left(end_ms, wall_ms())
            if days < WARN_DAYS:
                log.error("certificate-ends", file=file, days=days)
        await asyncio.sleep(LOOK_S)
