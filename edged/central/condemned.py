"""Signed documents that crashed this program: each is tried once and refused from then on.

A document must neither end the hall's process nor crash it again at every start. A failure in one of the modules that
receive documents is remembered until the process ends. One that crashed the core, and with it the process, is first
written to ``<journal>.condemned``, so that the next start refuses it. If that file cannot be read or written, it counts
as empty.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import structlog

from edged.central.refusals import DocumentRefused, reason
from edged.core.model.events import Event
from edged.whole_file import whole_file

KEPT_MAX = 64  # the newest documents; more failures have another cause
SHA256_DIGITS = 64

log = structlog.get_logger("edged.central")


class Condemned:
    """The refused documents of one hall, by the SHA-256 of their bytes. ``journal`` None: nothing is stored on disk."""

    def __init__(self, journal: Path | None = None) -> None:
        self._file = None if journal is None else journal.with_name(journal.name + ".condemned")
        self._known: dict[str, None] = dict.fromkeys(self._read())
        self._in_core: dict[int, str] = {}  # by identity of the event; at most the inbox's depth

    def check(self, raw: bytes) -> None:
        """Raise ``DocumentRefused`` for a document that crashed this program before."""
        if self._known and _sha256(raw) in self._known:
            raise DocumentRefused(reason("failed-before"))

    def failed(self, raw: bytes, error: Exception) -> DocumentRefused:
        """Record that handling ``raw`` raised ``error``; returns the refusal to answer with."""
        sha256 = _sha256(raw)
        log.error(
            "document-failed",
            sha256=sha256,
            error=type(error).__name__,
            detail=str(error),
            effect="this document is refused from now on; nothing else is",
            remedy="a fault of this program: send `edged diagnose` to support; push a changed document",
        )
        self._remember(sha256)
        return DocumentRefused(reason("failed-before"))

    def handed_over(self, event: Event, raw: bytes) -> None:
        """Record that ``event``, made from the document ``raw``, is being given to the core. ``survived`` or
        ``crashed`` follows.
        """
        self._in_core[id(event)] = _sha256(raw)

    def survived(self, event: Event) -> None:
        """Record that the core survived ``event`` (its step is on disk), or that it was not given to the core after
        all.
        """
        self._in_core.pop(id(event), None)

    def crashed(self, event: Event) -> None:
        """Record that the core raised an exception on ``event``, so that the next start refuses the document it was
        made from.
        """
        sha256 = self._in_core.pop(id(event), None)
        if sha256 is None:
            return
        log.error(
            "document-crashed-core",
            sha256=sha256,
            effect="the process ends; the next start refuses this policy, order or key list",
            remedy="a fault of this program: send `edged diagnose` to support; push a changed document",
        )
        self._remember(sha256)
        self._write()

    def _remember(self, sha256: str) -> None:
        self._known[sha256] = None
        while len(self._known) > KEPT_MAX:
            del self._known[next(iter(self._known))]

    def _read(self) -> list[str]:
        try:
            text = "" if self._file is None else self._file.read_text("ascii")
        except (OSError, ValueError):
            return []
        return [line for line in text.split()[-KEPT_MAX:] if len(line) == SHA256_DIGITS]

    def _write(self) -> None:
        if self._file is not None:
            with suppress(OSError), whole_file(self._file, synced=False) as stream:
                stream.write("".join(f"{sha256}\n" for sha256 in self._known).encode())


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
