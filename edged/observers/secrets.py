"""Watches the files that hall.toml names: a metric, an alarm and a log line when one becomes unusable or usable again.

While a file is unusable, the daemon works with its last good content. The MQTT link reads its password and certificates
anew at each connection attempt.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import structlog

CHECK_S = 10.0  # real seconds: short for somebody who has just replaced a file
EFFECT = "its last good content stays in use; without one, what the file is for does not work"
REMEDY = "replace the file, readable for edged; a credential passed by the service unit also needs a restart"

log = structlog.get_logger("edged.secrets")


async def watch_secrets(
    files: Mapping[str, str],
    judge: Callable[[], Mapping[str, str]],
    report: Callable[[Mapping[str, str]], None],
) -> None:
    """Call ``report`` with the unusable files (path to reason) whenever they change, until cancelled. ``files`` maps
    the path of each watched file to the place in hall.toml that names it, such as "mqtt.password_file".

    ``judge()`` returns the unusable files; it runs in a thread, and only after one of ``files`` has changed on disk.
    """
    seen: list[tuple[int, int, int] | None] = []
    spoilt: Mapping[str, str] | None = None
    while True:
        now = await asyncio.to_thread(lambda: [_mark(file) for file in files])
        if spoilt is None or now != seen:
            before, spoilt, seen = spoilt or {}, await asyncio.to_thread(judge), now
            for file in sorted(spoilt.keys() - before.keys()):
                log.error(
                    "file-unusable",
                    file=file,
                    key=files.get(file),
                    error=spoilt[file],
                    effect=EFFECT,
                    remedy=REMEDY,
                )
            for file in sorted(before.keys() - spoilt.keys()):
                log.info("file-usable", file=file)
            report(spoilt)
        await asyncio.sleep(CHECK_S)


def _mark(file: str) -> tuple[int, int, int] | None:
    """Change time, size and inode of a file, to detect changes; None if it is missing."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ctime_ns, found.st_size, found.st_ino
