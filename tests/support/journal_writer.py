"""A process that writes a journal as fast as it can and reports what was acknowledged, until it is killed."""

from __future__ import annotations

import asyncio
import os
from multiprocessing.connection import Connection
from pathlib import Path

from edged.store.journal import Journal
from tests.support.journals import key_step


def write_until_killed(path: str, said: Connection) -> None:
    """Append steps to the journal at ``path`` for ever. Sends each step's number through ``said`` once the journal has
    acknowledged it.
    """
    asyncio.run(_write(Path(path), said))
    os._exit(3)  # only a kill is the right end


async def _write(path: Path, said: Connection) -> None:
    journal = Journal.open(path)
    for _ in journal.restore(dict).tail:
        pass
    said.send(("start", journal.last_seq, len(journal.notices)))
    for round_ in range(100_000):
        seq = journal.last_seq + 1
        journal.append(key_step(seq), lambda seq=seq: said.send(("ack", seq, 0)))  # type: ignore[misc]
        if seq % 40 == 0:
            journal.snapshot({"served": seq}, seq, seq * 10)
        if round_ % 5 == 0:
            await journal.drain()
