"""Removes names of people, passwords and keys from texts for remote support.

Rules: a value that hall.toml names as a secret or a person is removed wherever it occurs; anything that looks like an
identity or mobile number, a key, a token or a password is removed as well. Staff become ``staff-1`` and so on, the
same in every file of an archive, so that events can still be followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edged.personal import MASK, masked

SECRET_BYTES_MAX = 64 * 1024  # bytes of a password or key file; a longer file is none
SHORTEST = 4  # least length of a secret that is searched for: "1" would blot out every number
SECRET_KEY = re.compile(r"pass|secret|token|pins?$|credential|private", re.I)
FILE_KEY = re.compile(r"(_file|^keys|^path|_key|^directory)$")
PATTERNS = (
    re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S),
    re.compile(r"(?<=://)[^/\s@]+@"),  # user and password of a URL
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]+"),
    re.compile(
        r"""(?i)(?<![a-z])(?:password|passwd|pwd|secret|token|api_?key|密码|口令)["']?\s*[=:：]\s*["']?[^\s"',;}]+"""
    ),
)


class Redaction:
    """Redacts texts for one hall. ``raw``: the parsed hall.toml, whose paths are relative to ``folder``."""

    def __init__(self, raw: dict[str, Any], folder: Path) -> None:
        self._raw = raw
        self._secrets = sorted(set(_secrets(raw, folder)), key=len, reverse=True)
        people: list[tuple[str, str]] = []
        for number, member in enumerate(_tables(raw, "staff"), 1):
            people += [(str(member[key]), f"staff-{number}") for key in ("id", "name") if member.get(key)]
        self._people = sorted(people, key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        """``text`` with every secret and every person's name replaced."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for pattern in PATTERNS:
            text = pattern.sub(MASK, text)
        for name, instead in self._people:
            wide = "" if not name.isascii() else r"[\w-]"
            around = (f"(?<!{wide})", f"(?!{wide})") if wide else ("", "")
            text = re.sub(around[0] + re.escape(name) + around[1], instead, text)
        return masked(text)

    def config(self) -> Any:
        """The parsed hall.toml as JSON values, without its secrets and people's names."""
        return self.cleaned(self._raw)

    def cleaned(self, value: Any, key: str = "") -> Any:
        """Return a parsed document without secrets and names. ``key``: the key under which ``value`` is stored, because
        some keys ("password") make every value a secret.
        """
        if isinstance(value, dict):
            return {self.text(name): self.cleaned(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.cleaned(inner, key) for inner in value]
        if SECRET_KEY.search(key) and not FILE_KEY.search(key):
            return MASK
        return self.text(value) if isinstance(value, str) else value


def _tables(raw: dict[str, Any], name: str) -> list[dict[str, Any]]:
    listed = raw.get(name)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _secrets(value: Any, folder: Path, key: str = "") -> Iterator[str]:
    """Every password in ``value`` and in the files that it names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _secrets(inner, folder, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, folder, key)
    elif isinstance(value, str) and (SECRET_KEY.search(key) or FILE_KEY.search(key)):
        if SECRET_KEY.search(key) and not FILE_KEY.search(key) and len(value) >= SHORTEST:
            yield value
        if SECRET_KEY.search(key) or key.endswith("key_file"):
            yield from _lines_of(folder / value)


def _lines_of(file: Path) -> Iterator[str]:
    try:
        if not file.is_file() or file.stat().st_size > SECRET_BYTES_MAX:
            return
        text = file.read_text("utf-8", "replace")
    except OSError:
        return
    for line in text.removeprefix("\ufeff").splitlines():
        if len(line.strip()) >= SHORTEST and not line.startswith("-----"):
            yield line.strip()
