"""Writes an archive for remote support: the hall's configuration, health and log, without personal data and secrets."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from edged import __version__
from edged.site.redaction import Redaction
from edged.store import notes

LOG_LINES = 5_000  # log lines: a day of a usual hall, minutes of one in trouble
MEMBER_BYTES_MAX = 8 << 20  # bytes per file; of a longer file only the end is kept
COMMAND_S = 15.0
UNIT = "edged.service"
PROPERTIES = "ActiveState,SubState,NRestarts,ExecMainStatus,MemoryCurrent,WatchdogUSec,FragmentPath"
README = """For whoever helps with this hall. Staff are staff-1, staff-2 …; passwords, keys, identity and mobile
numbers are taken out. Look through it before you hand it on.

给协助排查的人。人员以 staff-1、staff-2……代替；密码、密钥、身份证号和手机号已去除。转交前请再看一遍。

versions.json  hall.json  check.txt  doctor.txt  status.json  health.json  metrics.txt  journal.json  unit.txt  log.txt
"""

Part = Callable[[], str]


def raw_config(file: Path) -> dict[str, Any]:
    """The parsed hall.toml; empty if it cannot be parsed."""
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return {}


def write(out: Path, config: Path, parts: Mapping[str, Part]) -> list[str]:
    """Write the archive with every part redacted, and return the names of the parts. ``config``: the path of hall.toml.

    ``parts``: name -> function that returns the text; if one fails, the reason takes the place of its text. Raises
    ``OSError`` if ``out`` cannot be written.
    """
    redaction = Redaction(raw_config(config), config.parent)
    members = {
        "README.txt": README,
        "hall.json": _json(redaction.config()),
        "versions.json": _json(versions()),
    }
    for name, part in parts.items():
        try:
            members[name] = part()
        except Exception as error:  # noqa: BLE001 - what is left is wanted all the more
            members[name] = f"could not be had: {type(error).__name__}: {error}\n"
    with out.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in members.items():
                data = _redacted(redaction, text).encode("utf-8", "replace")[-MEMBER_BYTES_MAX:]
                info = tarfile.TarInfo(f"edged-diagnosis/{name}")
                info.size, info.mode = len(data), 0o600
                archive.addfile(info, io.BytesIO(data))
    return list(members)


def _redacted(redaction: Redaction, text: str) -> str:
    """Redact a part: JSON value by value, any other text as a whole."""
    try:
        return _json(redaction.cleaned(json.loads(text)))
    except (ValueError, RecursionError):
        return redaction.text(text)


def versions() -> dict[str, Any]:
    """Versions of the program, of Python, of the libraries and of the system."""
    return {
        "edged": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "system": _read(Path("/etc/os-release")).splitlines()[:3],
        "libraries": sorted(f"{one.name} {one.version}" for one in distributions()),
    }


def journal_statistics(path: Path) -> str:
    """Size and schema version of the journal and the number of rows in each table, without their content."""
    found: dict[str, Any] = {
        "files": {one.name: one.stat().st_size for one in sorted(path.parent.glob(f"{path.name}*"))}
    }
    with notes.opened(path) as connection:
        names = [
            str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        found["version"] = next(iter(connection.execute("PRAGMA user_version")))[0]
        found["rows"] = {
            name: next(iter(connection.execute(f'SELECT count(*) FROM "{name}"')))[0]  # noqa: S608 (its own names)
            for name in names
        }
    return _json(found)


def last_log(file: Path | None) -> str:
    """The last ``LOG_LINES`` lines of ``file``, or if it is None of the unit's log in journald."""
    if file is not None:
        return "\n".join(_read(file).splitlines()[-LOG_LINES:])
    return command("journalctl", "-u", UNIT, "-n", str(LOG_LINES), "-o", "short-iso", "--no-pager")


def unit_state() -> str:
    """Properties of the systemd unit, without its environment."""
    return command("systemctl", "show", UNIT, "-p", PROPERTIES)


def command(*words: str) -> str:
    """The output of a system program, or why there is none."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return f"{words[0]}: {error}\n"
    return done.stdout + done.stderr


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n"


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError as error:
        return f"{error}\n"
