"""Tells of files without which the broker is not reached: a metric, and a line when one is missing or back.

The hall is served meanwhile; the link reads them again at each attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

LOOK_S = 10.0  # real seconds: as soon as somebody who puts a file there looks for the effect
REMEDY = (
    "put it there, readable for edged; what the service unit hands over as a credential also needs a restart"
)

log = structlog.get_logger("edged.secrets")


async def watch_secrets(files: Sequence[str], report: Callable[[str, bool], None]) -> None:
    """Call ``report(file, readable)`` for each now and every ``LOOK_S``, until cancelled."""
    missing: set[str] = set()
    while True:
        for file in files:
            error = _unreadable(file)
            report(file, error is None)
            if error is not None and file not in missing:
                missing.add(file)
                log.error("secret-unreadable", file=file, error=error, remedy=REMEDY)
            elif error is None and file in missing:
                missing.discard(file)
                log.info("secret-readable", file=file)
        await asyncio.sleep(LOOK_S)


def _unreadable(file: str) -> str | None:
    try:
        with Path(file).open("rb") as stream:
            stream.read(1)
    except OSError as error:
        return str(error.strerror)
    return None
