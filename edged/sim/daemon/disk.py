"""A simulated disk that fails as real ones do: an SQLite VFS over real files that forgets unsynced data when the power
is cut.

Model of a power cut: data written before a file's last completed sync survive. Of later writes, each 512-byte sector
survives or not, independently. A failed sync may have dropped its data, and the next sync does not write them again (as
on Linux). A full disk refuses to grow any file until the ballast (a file kept to be deleted then) is deleted. The end
of the WAL may be lost in a crash although every sync of it had returned.

Another program may have the database open (``hold``): with unsaved changes, with a read that does not end, or with an
exclusive lock. It uses the same VFS, so that its writes follow the same model.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Literal

import apsw

SECTOR_BYTES = 512
QUICK_S, SLOW_S = (0.0005, 0.003), (0.2, 2.0)  # seconds of a commit on a healthy disk, and on a busy one
SHARED = "-shm"  # SQLite's shared memory file, created anew after a power cut
WAL = "-wal"
BALLAST = ".ballast"
WAL_HEADER, WAL_FRAME = 32, 24 + 4096  # bytes; one page a frame (sqlite.org/fileformat2.html#walformat)
LOST_FRAMES_MAX = 40  # some ten transactions

Hold = Literal["changes", "reading", "alone"]
HOLDS: dict[Hold, tuple[str, ...]] = {
    "changes": ("BEGIN IMMEDIATE",),
    "reading": ("BEGIN", "SELECT count(*) FROM steps"),
    "alone": ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"),
}


class Off(apsw.IOError):
    """Raised by writes after the process was killed or the power was cut: nothing reaches the disk any more."""


class Disk(apsw.VFS):
    """A simulated disk. ``alive`` False: no process runs, and nothing is written. ``met``: how often each fault had an
    effect.
    """

    def __init__(self, name: str, folder: Path, rng: Random) -> None:
        self.name = name
        self.folder = folder
        self.alive = True
        self._burying = False
        self.full = False
        self.sync_fails = False
        self.slow_share = 0.0
        self.met = {"fsync": 0, "full": 0, "torn": 0, "locked": 0, "lost": 0}
        self._other: apsw.Connection | None = None
        self._files: dict[str, _FileOnPlatter] = {}
        self._rng = rng
        self._room_bytes = 0
        super().__init__(name, "")

    def commit_s(self) -> float:
        """Draw how long the next commit takes, in virtual seconds."""
        slow = self.slow_share > 0 and self._rng.random() < self.slow_share
        return self._rng.uniform(*(SLOW_S if slow else QUICK_S))

    def fill(self) -> None:
        """Make the disk full: files can no longer grow until the ballast file is deleted or the fault ends."""
        self.full = True
        self._room_bytes = 0

    @property
    def held(self) -> bool:
        """Whether another program has the database open."""
        return self._other is not None

    def hold(self, database: Path, how: Hold) -> None:
        """Let another program open the database until ``let_go``. ``how``: what it does with the database, a key of
        ``HOLDS``. If the daemon's locks prevent that, the program gives up.
        """
        if self.held or not database.exists():
            return
        other = apsw.Connection(str(database), apsw.SQLITE_OPEN_READWRITE, vfs=self.name)
        try:
            other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            for statement in HOLDS[how]:
                other.execute(statement).fetchall()
        except apsw.Error:  # the daemon has the database open already: this program gives up
            other.close(True)
            return
        self._other = other
        self.met["locked"] += how != "reading"

    def let_go(self) -> None:
        """End the other program; its unsaved changes are lost."""
        if self._other is not None:
            self.close_killed(self._other)
            self._other = None

    def lose_end(self, database: Path) -> None:
        """Drop the last frames of the database's WAL, or damage one of them, so that SQLite ignores it and all later
        ones. Nobody may have the database open.
        """
        self.let_go()
        wal = database.with_name(database.name + WAL)
        content = bytearray(wal.read_bytes() if wal.exists() else b"")
        frames = max(0, len(content) - WAL_HEADER) // WAL_FRAME
        if not frames:
            return
        first = frames - self._rng.randint(1, min(frames, LOST_FRAMES_MAX))
        at = WAL_HEADER + first * WAL_FRAME
        if self._rng.random() < 0.5:
            del content[at:]
        else:
            content[at + self._rng.randrange(WAL_FRAME)] ^= 1 << self._rng.randrange(8)
        wal.write_bytes(content)
        self._files.pop(wal.name, None)
        self.met["lost"] += 1

    def cut(self) -> None:
        """Cut the power: leave in the files only what a real disk might hold then. The killed daemon's files must be
        closed already.
        """
        self.let_go()
        for name, kept in self._files.items():
            path = self.folder / name
            self.met["torn"] += len(kept.unsynced)
            path.write_bytes(kept.after_cut(self._rng))
        for path in self.folder.glob(f"*{SHARED}"):
            path.unlink()

    def xSleep(self, microseconds: int) -> int:
        """Return at once instead of sleeping, because nobody can release a lock meanwhile in this one thread. SQLite
        calls this while it waits for a lock.
        """
        return microseconds

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        """Open a file of the database on this disk. Called by SQLite."""
        return _File(name, flags, self)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file, unless writes are dropped. Called by SQLite; raises ``Off`` if the process is dead."""
        if self.writes():
            super().xDelete(filename, syncdir)
            self._files.pop(Path(filename).name, None)

    def file(self, name: str) -> _FileOnPlatter:
        """Return the simulated disk's record of the file ``name``: its bytes that survive a power cut, and the writes
        not synced yet. For a new file that replaced one of the same name (its inode differs) the record begins anew.
        """
        kept, path = self._files.get(name), self.folder / name
        inode = path.stat().st_ino if path.exists() else 0
        if kept is None or kept.inode not in (0, inode):
            kept = self._files[name] = _FileOnPlatter(bytearray(path.read_bytes() if inode else b""))
        kept.inode = kept.inode or inode
        return kept

    def close_killed(self, connection: apsw.Connection) -> None:
        """Close a killed process's connection as the kernel would: release its locks and write nothing."""
        self._burying = True
        try:
            connection.close(True)
        finally:
            self._burying = False

    def writes(self) -> bool:
        """Whether writes reach the disk; False while a dead process's connection is closed, when they are dropped.
        Raises ``Off`` if the process is dead.
        """
        if not self.alive and not self._burying:
            raise Off("the process is dead")
        return self.alive

    def take(self, size: int) -> None:
        """Let a file grow by ``size`` bytes. A full disk has no room until the ballast file is deleted, then 16 MiB.
        Raises ``apsw.FullError`` if there is not enough room.
        """
        if not self.full:
            return
        if not self._room_bytes and not any(self.folder.glob(f"*{BALLAST}")):
            self._room_bytes = 1 << 24  # the ballast was deleted
        if size > self._room_bytes:
            self.met["full"] += 1
            raise apsw.FullError("disk full")
        self._room_bytes -= size


class _FileOnPlatter:
    """The durable content of a file, and the writes since its last sync: (offset, data), or (size, None) for a
    truncation.
    """

    def __init__(self, durable: bytearray) -> None:
        self.durable = durable
        self.inode = 0  # 0: the file does not exist yet
        self.unsynced: list[tuple[int, bytes | None]] = []

    def sync(self) -> None:
        for op in self.unsynced:
            _apply(self.durable, op)
        self.unsynced.clear()

    def fail(self) -> None:
        self.unsynced.clear()  # readable until the power is cut, but never durable

    def after_cut(self, rng: Random) -> bytes:
        for op in self.unsynced:
            for part in _sectors(op):
                if rng.random() < 0.5:
                    _apply(self.durable, part)
        self.unsynced.clear()
        return bytes(self.durable)


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], disk: Disk) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk = disk
        self._kept = disk.file(Path(path).name)
        super().__init__("", name, flags)
        self._kept.inode = Path(path).stat().st_ino

    def xWrite(self, data: Any, offset: int) -> None:
        if not self._disk.writes():
            return
        beyond = offset + len(data) - self.xFileSize()
        if beyond > 0:
            self._disk.take(beyond)
        super().xWrite(data, offset)
        self._kept.unsynced.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        if not self._disk.writes():
            return
        super().xTruncate(newsize)
        self._kept.unsynced.append((newsize, None))

    def xSync(self, flags: int) -> None:
        if not self._disk.writes():
            return
        if self._disk.sync_fails:
            self._disk.sync_fails = False
            self._disk.met["fsync"] += 1
            self._kept.fail()
            raise apsw.IOError("fsync failed")
        self._kept.sync()


def _sectors(op: tuple[int, bytes | None]) -> list[tuple[int, bytes | None]]:
    offset, data = op
    if data is None:
        return [op]
    return [(offset + at, data[at : at + SECTOR_BYTES]) for at in range(0, len(data), SECTOR_BYTES)]


def _apply(content: bytearray, op: tuple[int, bytes | None]) -> None:
    offset, data = op
    if data is None:
        del content[offset:]
        return
    if offset > len(content):
        content.extend(b"\0" * (offset - len(content)))
    content[offset : offset + len(data)] = data
