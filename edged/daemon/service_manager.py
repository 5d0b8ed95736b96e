"""Sends sd_notify messages to the service manager (systemd); does nothing if there is none.

Rules: a lost datagram never stops the hall. The watchdog is fed only while *every* heartbeat comes in time: those of
the main loop, of the journal's writer, and of the tasks that serve a device, the broker, the centre, the clock, reloads
or the pages. Devices and the broker have no heartbeat: if one of them fails, a restart of the daemon does not help.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping

import structlog

from edged import clock

HEARTBEAT_LIMIT_S = (
    5.0  # with WatchdogSec=6s of systemd/edged.service killed within 12 s; above two syncs of 2 s
)
EXTEND_S = 30.0  # extra time for a start that makes progress, counted from each report of it
EXTEND_EVERY_S = 5.0
STATUS_MAX_CHARS = 200  # one line of `systemctl status`

_log = structlog.get_logger("edged.systemd")


class ServiceManager:
    """The service manager behind ``NOTIFY_SOCKET``. Protocol: sd_notify(3); a leading ``@`` means an abstract
    socket.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._complained = False
        self._extended_s = clock.monotonic_s()
        self.watchdog_s = _watchdog_s(environ) if path else None

    def ready(self, status: str = "") -> None:
        """Report that the hall is served. ``status``: the line that ``systemctl status`` prints."""
        self._send("READY=1", _status(status))

    def status(self, status: str) -> None:
        """Set the line that ``systemctl status`` prints."""
        self._send(_status(status))

    def alive(self) -> None:
        """Ask systemd for more time, because the start takes long but makes progress. May be called as often as
        wanted.
        """
        if clock.monotonic_s() - self._extended_s >= EXTEND_EVERY_S:
            self._extended_s = clock.monotonic_s()
            self._send(f"EXTEND_TIMEOUT_USEC={EXTEND_S * 1_000_000:.0f}", _status("reading the journal"))

    def stopping(self) -> None:
        """Report that a clean stop has begun."""
        self._send("STOPPING=1")

    def ping(self) -> None:
        """Tell systemd's watchdog once that the service is alive."""
        self._send("WATCHDOG=1")

    async def watch(
        self, heartbeats: Callable[[], Mapping[str, float]], limit_s: float = HEARTBEAT_LIMIT_S
    ) -> None:
        """Tell systemd's watchdog at half its interval that the service is alive, as long as every heartbeat comes in
        time. Returns immediately if systemd set no watchdog.

        ``heartbeats()`` maps a part's name to its last heartbeat or its next deadline, in seconds of
        ``edged.clock.monotonic_s``; none may be more than ``limit_s`` ago. The event loop needs no heartbeat of its
        own, because this task runs in it. If this task itself runs late, all heartbeats may be as late: the whole
        process stood still.
        """
        if self.watchdog_s is None:
            return
        complained = False
        due_s = clock.monotonic_s()
        while True:
            now_s = clock.monotonic_s()
            allowed_s = limit_s + max(0.0, now_s - due_s)
            silent = sorted(name for name, beat_s in heartbeats().items() if now_s - beat_s > allowed_s)
            if not silent:
                self.ping()
            elif not complained:
                _log.error(
                    "heartbeat-stopped",
                    heartbeats=silent,
                    effect="systemd kills and restarts this service unless these heartbeats resume within WatchdogSec",
                    remedy="if it happens again, check the disk and send `edged diagnose` to support",
                )
                self.status(f"no heartbeat: {', '.join(silent)}")
            complained = bool(silent)
            due_s = now_s + self.watchdog_s / 2
            await asyncio.sleep(self.watchdog_s / 2)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(line for line in lines if line).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
                wire.setblocking(False)  # a full manager queue must not stop the hall
                wire.sendto(message, self._address)
        except OSError as error:
            if not self._complained:
                _log.warning(
                    "notify-failed",
                    error=error.strerror,
                    effect="systemd is not told that the hall is served: unless a later message arrives, it kills and"
                    " restarts this service after TimeoutStartSec or WatchdogSec",
                    remedy="see `error`; check that the socket in NOTIFY_SOCKET exists and edged may write to it",
                )
            self._complained = True


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """The watchdog's interval in seconds from WATCHDOG_USEC; None if it is missing, zero, or meant for another process
    (WATCHDOG_PID).
    """
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    if pid and pid != str(os.getpid()):
        return None
    return int(usec) / 1_000_000


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:STATUS_MAX_CHARS]}" if text else ""
