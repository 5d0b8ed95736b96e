"""Disks that fail: SQLite VFSs (file layers) that record every write, cut the power at any point, or raise errors.

The model of a power cut: what was written before a file's last completed sync is kept. Of what was written later, each
512-byte sector is kept or lost independently. A file never synced may be missing altogether.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Op:
    """One recorded disk operation. ``kind``: write (``offset``, ``data``), truncate (``offset`` is the new size), sync,
    delete, or ``mark``, a remark of the test.
    """

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""
    mark: object = None


class RecordingDisk(apsw.VFS):
    """An SQLite VFS that passes every operation on to the real disk and records it in ``log``, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: list[Op] = []
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _RecordingFile(name, flags, self.log)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.log.append(Op("delete", Path(filename).name))

    def mark(self, value: object) -> None:
        """Record ``value`` between the operations, for example that a step was acknowledged here."""
        self.log.append(Op("mark", "", mark=value))


class _RecordingFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], log: list[Op]) -> None:
        self._file = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        self._log = log
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        self._log.append(Op("write", self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._log.append(Op("truncate", self._file, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.append(Op("sync", self._file))


@dataclass(slots=True)
class _File:
    durable: bytearray | None = None
    unsynced: list[Op] = field(default_factory=list)

    def apply(self, op: Op) -> None:
        if op.kind == "delete":
            self.durable, self.unsynced = None, []
        elif op.kind == "sync":
            self.durable = _play(self.durable or bytearray(), self.unsynced)
            self.unsynced = []
        else:
            self.unsynced.append(op)

    def after_cut(self, chance: random.Random) -> bytearray | None:
        if self.durable is None and chance.random() < 0.3:
            return None
        torn = [part for op in self.unsynced for part in _sectors(op) if chance.random() < 0.5]
        return _play(bytearray(self.durable or b""), torn)


class CutDisk:
    """Replays recorded operations up to a point, and draws what the disk may hold if the power fails there."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def apply(self, op: Op) -> None:
        """Replay one more operation."""
        if op.kind != "mark":
            self._files.setdefault(op.file, _File()).apply(op)

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Write into ``folder`` one possible content of the disk after a power cut now, drawn by ``chance``."""
        for name, file in self._files.items():
            content = file.after_cut(chance)
            if content is not None:
                (folder / name).write_bytes(content)


def _sectors(op: Op) -> list[Op]:
    if op.kind != "write":
        return [op]
    starts = range(0, len(op.data), SECTOR_BYTES)
    return [Op("write", op.file, op.offset + at, op.data[at : at + SECTOR_BYTES]) for at in starts]


def _play(content: bytearray, ops: list[Op]) -> bytearray:
    content = bytearray(content)
    for op in ops:
        if op.kind == "truncate":
            del content[op.offset :]
        else:
            content.extend(b"\0" * (op.offset - len(content)))
            content[op.offset : op.offset + len(op.data)] = op.data
    return content


class FailingDisk(apsw.VFS):
    """An SQLite VFS on which chosen calls fail. ``plan(operation, count)`` is called before each: it returns an
    exception to raise, or None. ``count`` counts the calls of this operation from 1.

    Operations: "sync" and "write". ``plan`` may also wait.
    """

    def __init__(self, name: str, plan: Callable[[str, int], Exception | None]) -> None:
        self.plan = plan
        self.counts = {"sync": 0, "write": 0}
        self._lock = threading.Lock()
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _FailingFile(name, flags, self)

    def called(self, operation: str) -> None:
        """Count a call of ``operation``, and raise what ``plan`` returns for it."""
        with self._lock:
            self.counts[operation] += 1
            count = self.counts[operation]
        error = self.plan(operation, count)
        if error is not None:
            raise error


class _FailingFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], disk: FailingDisk) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.called("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.called("sync")
        super().xSync(flags)
