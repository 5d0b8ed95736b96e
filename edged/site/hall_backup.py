"""The backup file of a hall: journal, hall.toml and the files needed to continue on another machine, as one
``.tar.gz``.

Passwords and keys of the broker link are left out unless asked for; the trusted public keys of policies are included.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edged import __version__
from edged.clock import rfc3339, utc_offset_min, wall_ms
from edged.config import HallConfig
from edged.core.queue.numbering import spelled
from edged.core.renewal import SKIP_MAX
from edged.store.backup import BackupError, Copied, LastSeen, copy_journal, put_back
from edged.store.database import DAY_MS
from edged.whole_file import whole_file

MANIFEST, JOURNAL, HALL = "manifest.json", "hall.db", "hall.toml"
MANIFEST_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class RestoredHall:
    """The result of a restore. ``hall``: the hall.toml that was written, or None if one existed already.

    ``epoch``: number of the restored journal, in which the centre counts events from 1 again; ``taken``: when the
    backup was made.
    """

    hall: Path | None
    epoch: int
    taken: str
    unsure: tuple[str, ...]  # services for which more numbers may have been issued than can be skipped


def backup(hall: HallConfig, out: Path, whole: bool, secrets: bool) -> Copied:
    """Write the backup of a hall, running or stopped, to ``out`` atomically.

    ``whole``: with all steps of the journal, not only those after its newest copy of the state; ``secrets``: also
    passwords and keys of the broker link. Raises ``BackupError`` if the journal cannot be read or ``out`` not be
    written.
    """
    with TemporaryDirectory(prefix="edged-backup-") as scratch:
        copy = Path(scratch) / JOURNAL
        copied = copy_journal(Path(hall.store.path), copy, whole)
        now_ms = wall_ms()
        manifest = {
            "hall": hall.hall,
            "version": __version__,
            "taken": rfc3339(now_ms, hall.timezone),
            "taken_ms": now_ms,
            "epoch": copied.epoch,
            "seq": copied.seq,
        }
        try:
            with (
                whole_file(out, 0o600) as stream,
                tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as archive,
            ):
                _add(archive, MANIFEST, json.dumps(manifest, indent=2).encode())
                _add(archive, HALL, hall.text.encode())
                archive.add(copy, JOURNAL)
                for file in _named(hall, secrets):
                    archive.add(file, f"files{file}")
        except OSError as error:
            raise BackupError(f"{out}: cannot be written: {error.strerror}") from None
    return copied


def forget_old(out: Path, keep: int) -> list[Path]:
    """Delete all but the newest ``keep`` backups in the folder of ``out``; returns the deleted ones."""
    there = sorted(out.parent.glob("edged-*.tar.gz"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in there[keep:]:
        file.unlink()
    return there[keep:]


def restore(file: Path, config: Path, journal: Path, last: Sequence[str] = ()) -> RestoredHall:
    """Restore a backup. An existing hall.toml at ``config`` is not overwritten. Raises ``BackupError`` if ``file`` is
    no backup, or the journal or hall.toml cannot be written.

    ``last``: the last numbers that somebody saw on paper today ("A057"); numbering continues right after them.
    """
    try:
        with tarfile.open(file, "r:gz") as archive, TemporaryDirectory(prefix="edged-restore-") as scratch:
            manifest = json.loads(_member(archive, MANIFEST))
            _copy_out(archive, Path(scratch) / JOURNAL)
            age_s = (wall_ms() - int(manifest["taken_ms"])) // 1000
            seen = _last_seen(_member(archive, HALL).decode("utf-8-sig"), last)
            renewal = put_back(Path(scratch) / JOURNAL, journal, age_s, seen)
            written = None
            if not config.exists():
                _write_config(config, _member(archive, HALL))
                written = config
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise BackupError(f"{file}: is no backup that can be read: {error}") from None
    known = dict(renewal.numbers)
    unsure = tuple(name for name, most in renewal.skips if most > SKIP_MAX and name not in known)
    return RestoredHall(written, renewal.epoch, str(manifest["taken"]), unsure)


def _write_config(config: Path, text: bytes) -> None:
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_bytes(text)
    except OSError as error:
        raise BackupError(f"{config}: cannot be written: {error.strerror}; the journal is restored") from None


def _last_seen(text: str, last: Sequence[str]) -> LastSeen:
    """Parse the numbers ``last`` that were seen on paper into the highest of each service, by the services in ``text``
    (a hall.toml). Raises ``BackupError`` for a number that no service issues.
    """
    if not last:
        return LastSeen()
    config = tomllib.loads(text)
    now_ms, zone = wall_ms(), str(config.get("hall", {}).get("timezone", "Asia/Shanghai"))
    prefixes = {str(one.get("prefix", "")): str(one["id"]) for one in config.get("services", [])}
    numbers: dict[str, int] = {}
    for number in last:
        prefix, digits = spelled(number).rstrip("0123456789"), spelled(number)
        counted = digits[len(prefix) :]
        if prefix not in prefixes or not counted:
            raise BackupError(
                f"{number}: no service gives such a number; hall.toml has {', '.join(prefixes)}"
            )
        numbers[prefixes[prefix]] = max(int(counted), numbers.get(prefixes[prefix], 0))
    day = (now_ms + utc_offset_min(now_ms, zone) * 60_000) // DAY_MS
    return LastSeen(day, tuple(numbers.items()))


def _named(hall: HallConfig, secrets: bool) -> list[Path]:
    """The files that hall.toml names: the public keys of policies and duty desks, and the broker's CA; with ``secrets``
    also the password and keys of the broker link.
    """
    tls = hall.mqtt.tls
    named = [hall.policy.keys, hall.policy.root, hall.duty.keys, None if tls is None else tls.ca_file]
    if secrets:
        named += [hall.mqtt.password_file]
        named += [] if tls is None else [tls.cert_file, tls.key_file]
    return [Path(file) for file in named if file is not None and Path(file).is_file()]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _copy_out(archive: tarfile.TarFile, out: Path) -> None:
    """Extract the journal by copying its content (Debian 12's Python 3.11.2 has no ``filter`` for ``extract`` yet)."""
    stream = archive.extractfile(JOURNAL)
    if stream is None:
        raise KeyError(JOURNAL)
    with out.open("wb") as file:
        shutil.copyfileobj(stream, file)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    content = stream.read(1 << 20)
    if name == MANIFEST and len(content) > MANIFEST_BYTES_MAX:
        raise ValueError("its manifest is too long")
    return content
