"""Measures what an old journal (months of business days) costs: the daemon's start from a cold disk within the memory
limit of its systemd unit, reading the journal, and replaying it.

It also measures how much a reader slows the running hall: keys are pressed while a child process reads days of the
journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from edged.backtest.journals import read_journals
from edged.bench import aged
from edged.bench.children import Daemon, Failed
from edged.bench.hall import BenchHall
from edged.bench.latency import Progress
from edged.bench.meter import Lamps, Samples
from edged.bench.plans import Age
from edged.bench.sides import WARM_UP, WARM_UP_SPACING_S, BenchCell, Place
from edged.clock import perf_s
from edged.sim.broker import free_port
from edged.store import database
from edged.store.journal import Journal
from edged.store.replay import replay

UNIT_BYTES = 256 << 20  # MemoryMax= of systemd/edged.service
GROUPS = (  # folders in which a memory group may be made, and the name of the file with its limit
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
WEAR_TICKETS = 120
COMMAND_S = 600.0
SPACING_S = 0.04  # between presses beside a reader
REHEARSED = {
    "type": "policy",
    "halls": ["bench"],
    "version": 1,
    "not_before": "2026-01-01T00:00:00Z",
    "expires": "2036-01-01T00:00:00Z",
    "body": {"tidal": {"rule": "never"}},
}
REHEARSED_DAYS = 20
READER_STARTS_S = 2.0  # until it has imported its modules and reads


def age(place: Place, plan: Age, progress: Progress) -> dict[str, Any]:
    """Measure a journal of ``plan.days`` business days and one of a single day. Returns the figures of each under its
    number of days, the bytes written to disk per visitor, and the delay of keys beside a reader of the journal.
    """
    found: dict[str, Any] = {"tickets_a_day": plan.tickets}
    for count in sorted({1, plan.days}):
        folder = place.directory / f"age-{count}"
        folder.mkdir()
        found[str(count)] = _figures(place, folder, replace(plan, days=count), progress)
    found["written"] = _wear(place.directory / "wear", progress)
    found["beside_a_reader"] = _beside_a_reader(place, folder / "hall.db", plan, progress)
    return {"age": found}


def _figures(place: Place, folder: Path, plan: Age, progress: Progress) -> dict[str, Any]:
    journal, days = folder / "hall.db", plan.days
    written = aged.write(
        journal, days, lambda day: progress(f"writing day {day + 1} of {days}"), tickets=plan.tickets
    )
    hall = asyncio.run(written)
    broker = place.broker
    web_port = free_port()
    (folder / "hall.toml").write_text(aged.hall_toml(hall.site, broker.port, web_port), "utf-8")
    found: dict[str, Any] = {"journal_mib": round(_bytes(journal) / 2**20, 1), "steps": _steps(journal)}
    with memory_group(UNIT_BYTES) as group:
        progress(f"{days} days: starts from a cold disk")
        found |= {"memory_mib": UNIT_BYTES >> 20 if group else None}
        found["ready_cold_ms"] = round(median(_cold(folder, web_port, group) for _ in range(plan.times)), 1)
    progress(f"{days} days: reading")
    bare_s = min(_command_s("why", "--help") for _ in range(plan.times))
    why_s = min(_command_s("why", str(journal), "--last", "5", "--json") for _ in range(plan.times))
    found["why_ms"] = round(max(0.0, why_s - bare_s) * 1000, 1)
    start_s = perf_s()
    traces = read_journals([journal])
    found |= {"read_s": round(perf_s() - start_s, 2), "days_read": len({day.name for day in traces.days})}
    start_s = perf_s()
    replayed = replay(journal, days=1)
    found |= {"replay_last_day_s": round(perf_s() - start_s, 2), "replayed_steps": replayed.steps}
    if not replayed.identical:
        raise Failed(f"the journal does not replay: {replayed.first_difference}")
    return found


def _cold(folder: Path, web_port: int, group: Path | None) -> float:
    """Start the daemon with its journal not in the page cache; returns the milliseconds until READY. ``group``: the
    control group to start it in, None for none.
    """
    _forget(folder / "hall.db")
    daemon = Daemon(folder, web_port)
    if group is not None:
        into = f'echo $$ > {group}/cgroup.procs; exec "$@"'
        daemon.command = ["/bin/sh", "-c", into, "sh", *daemon.command]
    try:
        return daemon.start()
    finally:
        daemon.stop()


def _forget(journal: Path) -> None:
    for file in (
        journal,
        journal.with_name(journal.name + "-wal"),
        journal.with_name(journal.name + ".keep"),
    ):
        if file.exists():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path | None]:
    """Yield the folder of a control group with this memory limit, as systemd's ``MemoryMax=`` sets it; None if this
    user may not make one. A process joins the group when its id is written into the file ``cgroup.procs`` there.
    """
    for root, limit in GROUPS:
        group = root / f"edged-bench-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(limit_bytes))
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        try:
            yield group
        finally:
            group.rmdir()
        return
    yield None


def _command_s(*words: str) -> float:
    start_s = perf_s()
    done = subprocess.run(  # noqa: S603 (ourselves)
        [sys.executable, "-m", "edged", *words], stdout=subprocess.DEVNULL, check=False, timeout=COMMAND_S
    )
    assert done.returncode in (0, 1), words  # 1: there was no decision to explain on a quiet day
    return perf_s() - start_s


def _bytes(journal: Path) -> int:
    return sum(
        file.stat().st_size for file in (journal, journal.with_name(journal.name + "-wal")) if file.exists()
    )


def _steps(journal: Path) -> int:
    connection = database.connect(journal, read_only=True)
    try:
        return int(connection.execute("SELECT max(seq) FROM steps").get or 0)
    finally:
        connection.close(True)


def _beside_a_reader(place: Place, journal: Path, plan: Age, progress: Progress) -> dict[str, Any]:
    """Measure the time from key to lamp in us, alternately with (``p50_us``, ``p99_us``) and without (``alone_p50_us``,
    ``alone_p99_us``) another process that reads days of ``journal`` (see ``_reader``).
    """
    progress("keys beside a reader")
    alone, beside = Samples(), Samples()
    with ExitStack() as stack:
        room, hall = BenchCell(place, stack), place.hall_id("beside")
        room.serve(BenchHall(place.directory / hall, place.broker, hall))
        lamps = Lamps(room.plug(place.broker, f"{hall}-lamps"), hall)
        room.meter.add(lamps)
        side = room.keyed("edged", hall, lamps, [("m1", "lamp-m1")])
        side.measure(WARM_UP, WARM_UP_SPACING_S)
        with _reader(journal) as reads:
            room.wait(READER_STARTS_S)
            for turn in range(plan.rounds):
                # the order alternates: work that the daemon does every few seconds then affects both
                for goes_on in (False, True) if turn % 2 == 0 else (True, False):
                    reads(goes_on)
                    (beside if goes_on else alone).add(side.measure(plan.presses, SPACING_S))
    return {
        "presses": plan.rounds * plan.presses,
        "p50_us": beside.us(0.5),
        "p99_us": beside.us(0.99),
        "alone_p50_us": alone.us(0.5),
        "alone_p99_us": alone.us(0.99),
        "lost": alone.lost + beside.lost,
    }


@contextmanager
def _reader(journal: Path) -> Iterator[Callable[[bool], None]]:
    """Rehearse a policy on the journal's last ``REHEARSED_DAYS`` days again and again in a child process, as
    edged-rehearse does: with idle priority (chrt(1)) from its first instruction.

    Yields a function that lets the child continue (True) or pauses it (False).
    """
    policy = journal.with_name("rehearsed.json")
    policy.write_text(json.dumps(REHEARSED), "utf-8")
    words = ("rehearse", str(policy), "--journal", str(journal), "--days", str(REHEARSED_DAYS))
    command = (sys.executable, "-m", "edged", "policy", *words)
    process = subprocess.Popen(  # noqa: S603 (ourselves)
        [  # noqa: S607 (of util-linux, as /bin/sh is of every machine)
            "chrt",
            *("--idle", "0"),
            *("/bin/sh", "-c", 'while "$@"; do :; done', "sh"),
            *command,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield lambda goes_on: os.killpg(process.pid, signal.SIGCONT if goes_on else signal.SIGSTOP)
        if process.poll() is not None:
            raise Failed(
                f"edged policy rehearse --journal {journal} ended with exit code {process.returncode}"
            )
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(slots=True)
class _Written:
    steps: int = 0
    bytes: int = 0


def _wear(folder: Path, progress: Progress) -> dict[str, Any]:
    """Measure the bytes written to disk per visitor of a calm hall, in which every step is a transaction of its own."""
    progress("bytes written for a visitor")
    folder.mkdir()
    written = asyncio.run(_calm_day(folder / "hall.db"))
    return {
        "bytes_per_visitor": round(written.bytes / WEAR_TICKETS),
        "steps_per_visitor": round(written.steps / WEAR_TICKETS, 1),
        "visitors": WEAR_TICKETS,
    }


async def _calm_day(path: Path) -> _Written:
    hall, found = aged.Days(tickets=WEAR_TICKETS), _Written()
    journal = Journal.open(path)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        try:
            before = _written_bytes()
            for step, _ in hall.day(0):
                journal.append(step)
                await journal.drain()
                found.steps += 1
            found.bytes = _written_bytes() - before
        finally:
            journal.close()
    return found


def _written_bytes() -> int:
    """Bytes that this process has caused to be written to disk so far, as ``/proc/self/io`` (proc(5)) counts them."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))
