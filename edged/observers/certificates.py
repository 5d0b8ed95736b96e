"""Warns before TLS certificates expire: a metric always, an alarm and a daily log line in the last month.

Our own are files; the broker's is seen at each TLS handshake. It is included because whoever renews it may not know
that the hall depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from edged.config.certificates import WARN_DAYS, days_left, expiries
from edged.config.shape import MqttTable

CHECK_S = 6 * 3600.0  # real seconds: a new file is seen the same day
BROKER = "broker"

log = structlog.get_logger("edged.certificates")


class CertificateWatch:
    """Checks certificates: ``run`` until cancelled; ``check_now`` triggers a check, for instance after a handshake.

    ``report(name, end)`` gets each expiry in seconds since 1970 UTC; ``warn`` gets those within ``WARN_DAYS``, each
    with a text; ``peer_end_ms`` returns the expiry of the broker's certificate (ms since 1970 UTC), ``None`` before the
    first handshake.
    """

    def __init__(
        self,
        mqtt: MqttTable,
        wall_ms: Callable[[], int],
        report: Callable[[str, float], None],
        warn: Callable[[Mapping[str, str]], None],
        peer_end_ms: Callable[[], int | None],
    ) -> None:
        self._mqtt = mqtt
        self._wall_ms = wall_ms
        self._report = report
        self._warn = warn
        self._due = asyncio.Event()
        self._logged: dict[str, int] = {}  # by file: days left when it was last logged
        self._peer_end_ms = peer_end_ms

    def check_now(self) -> None:
        """Make ``run`` check all certificates now."""
        self._due.set()

    async def run(self) -> None:
        """Check all certificates every ``CHECK_S`` and after each call of ``check_now``, until cancelled."""
        while True:
            self._due.clear()
            try:
                ends = await asyncio.to_thread(expiries, self._mqtt)
            except (OSError, ValueError) as error:
                ends = {}
                log.error(
                    "certificate-unreadable",
                    error=str(error),
                    effect="nobody is warned before a certificate ends; the next connection to the broker may fail",
                    remedy="put the files that [mqtt.tls] names in place, in PEM and readable for edged",
                )
            peer_ms = self._peer_end_ms()
            if peer_ms is not None:
                ends[BROKER] = peer_ms
            self._report_ends(ends)
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._due.wait()
            except TimeoutError:
                pass

    def _report_ends(self, ends: Mapping[str, int]) -> None:
        soon: dict[str, str] = {}
        for name, end_ms in ends.items():
            self._report(name, end_ms / 1000)
            days = days_left(end_ms, self._wall_ms())
            if days < WARN_DAYS:
                soon[name.rpartition("/")[2]] = (
                    f"{name}: {f'ends in {days} days' if days >= 0 else 'has ended'}"
                )
                if self._logged.get(name) != days:
                    log.error(
                        "certificate-ends",
                        file=name,
                        days=days,
                        effect="from its end on, no connection to the broker can be made",
                        remedy="the broker's own: renew it there"
                        if name == BROKER
                        else "replace the file; `edged reload`",
                    )
                self._logged[name] = days
        self._warn(soon)
