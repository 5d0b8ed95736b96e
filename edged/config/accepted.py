"""The last accepted hall.toml, kept beside the journal as ``<journal>.accepted.toml``: if hall.toml is missing or has
mistakes at a start, the daemon uses this copy.

Rules: the copy is written (synced, atomically) once the daemon serves with that configuration. Its first line names the
file that it was read from, because one machine may serve several halls. The journal's path is given in the very file
that cannot be read; so the copy is searched at any legible ``path`` of [store], in systemd's state directory, and at
the default path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from edged.config import FILE_BYTES_MAX, ConfigErrors, HallConfig, load, parse
from edged.config.shape import StoreTable
from edged.whole_file import whole_file

SUFFIX = ".accepted.toml"
_HEAD = "# Written by edged: the last accepted content of "
_STORE = re.compile(rb'^[ \t]*\[store\][^\[]*?^[ \t]*path[ \t]*=[ \t]*["\']([^"\'\n]+)["\']', re.MULTILINE)


class Beginning(NamedTuple):
    """The configuration to start with. ``mistakes``: one line for each mistake of hall.toml if its last accepted
    content is used instead, otherwise empty.
    """

    config: HallConfig
    mistakes: tuple[str, ...] = ()


def begin(file: Path, environ: Mapping[str, str] = os.environ) -> Beginning:
    """Load ``file``, or if it has mistakes its last accepted content. Raises ``ConfigErrors`` if neither can be
    used.
    """
    try:
        return Beginning(load(file))
    except ConfigErrors as errors:
        kept = last(file, environ)
        if kept is None:
            raise
        return Beginning(kept, tuple(errors.lines))


def last(file: Path, environ: Mapping[str, str] = os.environ) -> HallConfig | None:
    """The last accepted content of ``file``; None if none is found or this version cannot read it."""
    for place in sorted(_places(file, environ), key=_age, reverse=True):
        with suppress(ConfigErrors, OSError, ValueError):
            head, _, text = place.read_bytes()[: FILE_BYTES_MAX + len(_head(file))].decode().partition("\n")
            if f"{head}\n" == _head(file):
                return parse(file, text)
    return None


def keep(config: HallConfig) -> None:
    """Store ``config`` as the last accepted one. Raises ``OSError`` if it cannot be written."""
    place = copy_path(Path(config.store.path))
    data = (_head(config.file) + config.text).encode()
    with suppress(OSError):
        if place.read_bytes() == data:
            return
    with whole_file(place, 0o600) as stream:
        stream.write(data)


def copy_path(journal: Path) -> Path:
    """The path of the last accepted configuration for ``journal``."""
    return journal.with_name(journal.name + SUFFIX)


def _head(file: Path) -> str:
    return f'{_HEAD}"{file.absolute()}"\n'


def _places(file: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    found: set[Path] = set()
    for folder in _folders(file, environ):
        with suppress(OSError):
            found |= set(folder.glob(f"*{SUFFIX}"))
    yield from found


def _folders(file: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    with suppress(OSError), file.open("rb") as stream:
        named = _STORE.search(stream.read(FILE_BYTES_MAX))
        if named is not None:
            yield (file.absolute().parent / os.fsdecode(named[1])).parent
    for folder in environ.get("STATE_DIRECTORY", "").split(":"):
        if folder:
            yield Path(folder)
    yield Path(StoreTable().path).parent


def _age(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0
