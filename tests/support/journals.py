"""Steps to write into a journal, and functions to read or convert one, for the tests of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import apsw

from edged.core.model.commands import Action, Desired, Lamp, Note, Print
from edged.core.model.events import KeyPressed, PolicyApplied
from edged.core.model.point import Point
from edged.core.model.policy import Policy
from edged.observer import Step
from edged.store import database, packing
from edged.store.journal import KEEP_DAYS, Journal
from edged.store.records import decode_step


def key_step(seq: int) -> Step:
    """A step with number ``seq``: a key press, the lamp and the print that it causes, and a note."""
    return Step(
        seq=seq,
        at_ms=seq * 10,
        event=KeyPressed(Point(f"panel-{seq % 7}"), "next", seq=seq),
        commands=(
            Desired(Point("lamp-1"), Lamp("on" if seq % 2 else "off")),
            Action(f"a{seq}", Point("printer-1"), Print(f"A{seq:03}", "tax", seq % 9)),
        ),
        notes=(Note("ticket.called", f"A{seq:03}", {"window": "w1", "wait_s": seq / 8}),),
    )


def policy_step(seq: int, version: int) -> Step:
    """A step with number ``seq`` in which policy ``version`` is applied."""
    return Step(seq, seq * 10, PolicyApplied(version, f"{version:064x}", Policy()), (), ())


def envelope_of(version: int) -> bytes:
    """The envelope to store with ``policy_step``."""
    return b'{"payload":"%d"}' % version


def steps_in(path: Path) -> list[Step]:
    """Every step of the journal at ``path``, read by a connection of its own."""
    connection = database.connect(path, read_only=True)
    try:
        return [decode_step(row) for row in database.rows(connection)]
    finally:
        connection.close()


def as_first_version(path: Path) -> None:
    """Convert a closed journal into the format of the program's first version: commands as JSON, nothing packed."""
    now = path.with_name(path.name + ".now")
    path.rename(now)
    new, old = apsw.Connection(str(now)), apsw.Connection(str(path))
    old.pragma("journal_mode", "wal")
    with old:
        old.execute(database.MIGRATIONS[0])
        old.pragma("application_id", database.APPLICATION_ID)
        old.pragma("user_version", 1)
        for table, width in (("meta", 2), ("policy", 5)):
            values = new.execute(f"SELECT * FROM {table}").fetchall()
            old.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * width)})", values)
        for seq, at_ms, sha256, chain, blob in new.execute(
            "SELECT seq, at_ms, sha256, chain, blob FROM snapshots"
        ):
            blob = None if blob is None else packing.unpack_dump(blob)
            old.execute("INSERT INTO snapshots VALUES (?,?,?,?,?)", (seq, at_ms, sha256, chain, blob))
        for row in database.rows(new):
            *first, _packed, notes, chain = row.values()
            old.execute("INSERT INTO steps VALUES (?,?,?,?,?,?,?,?,?)", (*first, row.commands, notes, chain))
    old.close()
    new.close()
    now.unlink()


@asynccontextmanager
async def open_journal(
    path: Path, *, vfs: str | None = None, keep_days: int = KEEP_DAYS
) -> AsyncIterator[Journal]:
    """Open a journal and run it while the block runs; it is closed at the end."""
    journal = Journal.open(path, vfs=vfs, keep_days=keep_days)
    running = asyncio.get_running_loop().create_task(journal.run())
    try:
        yield journal
    finally:
        journal.close()
        with suppress(Exception):
            await running
