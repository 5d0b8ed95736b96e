"""The journal: every step is on disk before it is acknowledged to anybody.

Rules: ``ack`` and the ``on_commit`` callbacks are called in the loop thread, in order, after the commit (writer.py).
The loop thread never waits for the disk: when the queue is full, ``full`` is True and the loop stops taking inputs. On
a disk error ``run`` raises, which ends the process, and nothing more is acknowledged. A full disk does not end it:
steps are then kept in memory, ``durable`` is False, and the hall goes on calling visitors.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import apsw

from edged.core.model.state import State
from edged.observer import Step
from edged.store import codec, database
from edged.store.commit_batcher import CommitBatcher
from edged.store.database import GENESIS, Head, JournalBroken, JournalBusy, Row, Snapshot
from edged.store.identity import Renewal, Whereabouts, Why, forget_renewal, leave_renewal
from edged.store.keep import read_keep
from edged.store.records import (
    ALONE,
    POLICIES_KEPT,
    Attachments,
    DumpMark,
    MetaLine,
    Policies,
    Restored,
    decode_step,
)
from edged.store.rescue import OpenedJournal, open_or_rescue
from edged.store.room import Room
from edged.store.uplink import COUNTERS, KEY, KEY_LIST, Cursor, read_cursor, write_cursor
from edged.store.writer import JournalWriter, Report, WriterJob

S = TypeVar("S")
T = TypeVar("T")

QUEUE_MAX = (
    1_024  # steps on their way to the disk: at the worst burst of a hall (200/s), a 5 s stall of the disk
)
SNAPSHOT_EVERY = 5_000  # steps between state dumps: bounds the replay at start to about a second
KEEP_DAYS = 90  # of hall time that steps are kept, unless hall.toml says otherwise
CLOSE_WAIT_S = 8.0  # under systemd's stop timeout of 10 s

_LOG = logging.getLogger("edged.store")


class Journal:
    """One hall's journal. For the loop thread only. A read-only journal can only ``restore`` and list ``policies``."""

    def __init__(
        self,
        path: Path,
        opened: OpenedJournal,
        lock: BinaryIO | None,
        keep_days: int = KEEP_DAYS,
        writer: type[JournalWriter] = JournalWriter,
    ) -> None:
        self.path = path
        self.epoch = opened.epoch
        self.notices = tuple(opened.notices)
        self.last_seq = opened.head.seq
        self._begun_new = opened.head.seq == 0
        self.renewal = opened.renewal  # set: this start begins a new epoch, which the core must know
        self.durable = True
        self.why_not = ""  # why ``durable`` is False
        self.failure: Exception | None = None
        self._head = opened.head
        self._connection = opened.connection
        self._lock = lock
        self._policies = _read_policies(opened.connection)
        stored = database.get_meta(opened.connection, KEY)
        self.cursor = read_cursor(
            stored, opened.epoch, opened.head.seq
        )  # acknowledgements of the centre, as of the start
        # counters of operations, as of the start
        self.counters = database.get_meta(opened.connection, COUNTERS) or ""
        self.key_list = (
            database.get_meta(opened.connection, KEY_LIST) or ""
        )  # the city's signed key list, as of the start
        newest = database.marks(opened.connection, (-1, -1), 1)
        # the last state dump, without its blob
        self._dumped = newest[0] if newest else Snapshot(0, 0, "", GENESIS, None)
        self._pending = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None
        self._waiters: set[asyncio.Future[Any]] = set()
        self._on_commit: list[Callable[[Sequence[Step]], None]] = []
        self._on_durable: list[Callable[[bool], None]] = []
        self._on_seconds: list[Callable[[float, int], None]] = []
        self._writer: JournalWriter | None = None
        self._begun = False  # from then on only the writer thread uses the connection
        if lock is not None:
            room = Room(path, opened.epoch, keep_days)
            self._writer = writer(opened, read_keep(path), room, self._pass_report)
            self._batcher = CommitBatcher(self._writer.put)
        for damage_and_remedy in opened.notices:
            _LOG.error(damage_and_remedy)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        vfs: str | None = None,
        keep_days: int = KEEP_DAYS,
        writer: type[JournalWriter] = JournalWriter,
        alive: Callable[[], None] = lambda: None,
    ) -> Journal:
        """Open or create the journal. A damaged file is moved aside; everything that can be proven right is carried
        over to a new one.

        ``writer``: replaces the writer thread in simulation. ``alive``: called repeatedly if opening takes long.

        Raises ``SchemaTooNew`` for a journal of a newer version or a file of another program (exit code 78),
        ``JournalBusy`` if another process has it open (75), and ``JournalBroken`` if it cannot be opened or rescued
        (74).
        """
        path = Path(path)
        if read_only:
            return cls(path, _open_to_read(path, vfs), None)
        lock = _lock(path)
        try:
            return cls(path, open_or_rescue(path, vfs, alive), lock, keep_days, writer)
        except BaseException:
            lock.close()
            raise

    @property
    def full(self) -> bool:
        """Whether the loop should take no more inputs until a commit was reported. ``append`` itself never refuses a
        step.
        """
        return self._pending >= QUEUE_MAX

    @property
    def pending(self) -> int:
        """Number of appended steps whose commit was not reported yet."""
        return self._pending

    @property
    def last_beat_s(self) -> float:
        """Time of the writer thread's last heartbeat, in seconds of ``edged.clock.monotonic_s``. The thread beats at
        least once a second unless the disk hangs.
        """
        assert self._writer is not None
        return self._writer.last_beat_s

    def dump_due(self, at_ms: int, day: int | None = None) -> bool:
        """Whether the loop should dump the state now: after ``SNAPSHOT_EVERY`` steps, or at a new business day.

        ``day``: the business day (days since 1970-01-01), None if the hall does not know the date; then a dump is due
        every 24 hours of hall time. Steps are only pruned up to a dump, so they stay at most a day longer than
        ``keep_days``.
        """
        steps = self.last_seq - self._dumped.seq
        later = day != self._dumped.day if day else at_ms - self._dumped.at_ms >= database.DAY_MS
        return steps >= SNAPSHOT_EVERY or (steps > 0 and later)

    def append(
        self, step: Step, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE
    ) -> None:
        """Queue a step whose ``seq`` is ``last_seq`` + 1. ``ack`` is called once it is on disk, or, while the disk is
        full, once it is kept in memory.

        Only steps for which ``is_recorded`` is True belong here. ``attachments`` are written in the same transaction,
        such as the envelope of the policy that a ``PolicyApplied`` step applies. Raises ``StoreError`` after the
        journal failed.
        """
        assert step.seq == self.last_seq + 1, f"step {step.seq} after {self.last_seq}"
        self._put(WriterJob(step=step, ack=ack, envelope=attachments.envelope, line=attachments.line))
        self.last_seq = step.seq
        self._pending += 1

    def snapshot(self, state: object, seq: int, at_ms: int, day: int | None = None) -> None:
        """Queue a dump of ``state`` as it is now: after step ``seq``, and after the engine handled its last event or
        tick at hall time ``at_ms``.

        ``day``: the business day (days since 1970-01-01), None if the hall does not know the date.
        """
        assert seq == self.last_seq, f"state dump of step {seq} after {self.last_seq}"
        blob = codec.dump_state(state)
        dump = Snapshot(seq, at_ms, codec.sha256(blob), GENESIS, blob, day)  # the writer knows the chain
        self._put(WriterJob(snapshot=dump, state_type=type(state)))
        self._dumped = replace(dump, blob=None)

    def on_commit(self, callback: Callable[[Sequence[Step]], None]) -> None:
        """Call ``callback(steps)`` after each commit, in order, just after the steps' ``ack``; while the disk is full
        also for steps kept in memory.
        """
        self._on_commit.append(callback)

    def on_durable(self, callback: Callable[[bool], None]) -> None:
        """Call ``callback(durable)`` whenever ``durable`` or its reason ``why_not`` changes."""
        self._on_durable.append(callback)

    def on_commit_seconds(self, callback: Callable[[float, int], None]) -> None:
        """Call ``callback(seconds, steps)`` after each transaction: how long its commit took, and how many steps it
        had.
        """
        self._on_seconds.append(callback)

    async def run(self) -> None:
        """Wait until the journal is closed. Raises the ``StoreError`` that ended it, if one did."""
        self._hold_loop()
        if self.failure is not None:
            raise self.failure
        if self._lock is not None:
            self._begin()
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended

    async def drain(self) -> None:
        """Wait until the commit of every step appended so far was reported. Raises ``StoreError`` if the journal fails
        first.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(WriterJob(waiter=waiter))
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def ask(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run ``query`` in the writer thread between two commits and return its result. It should take a millisecond or
        two, because commits wait for it.
        """
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(WriterJob(query=query, waiter=waiter))
        self._waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def keep_cursor(self, cursor: Cursor) -> None:
        """Store, with the next commit, which events the centre has acknowledged."""
        self._put(WriterJob(line=MetaLine(KEY, write_cursor(cursor, self.epoch))))

    def renewal_kept(self) -> None:
        """Delete the order for a new epoch (``identity.py``), because the journal itself holds that epoch now.

        Done only once the epoch is in the main database file: if the end of the WAL were lost, so would be the epoch,
        and with it which numbers to skip.
        """
        job = WriterJob(query=database.settle)
        job.ack = lambda: forget_renewal(self.path) if job.found and self.durable else None
        self._put(job)

    def renew(self, witness: Whereabouts) -> None:
        """Order a new epoch and end the process: ``witness`` (a retained message at the broker) names steps that this
        journal does not hold.

        ``run`` raises ``JournalBroken`` with the reason.
        """
        if self.failure is not None:
            return
        ours = (self.epoch, self.last_seq)
        lost = witness.seq - self.last_seq if witness.epoch == self.epoch else witness.seq
        why: Why = "new" if self._begun_new else "older-copy"
        renewal = Renewal(1 + max(self.epoch, witness.epoch), why, max(0, lost), witness.day, witness.numbers)
        try:
            leave_renewal(self.path, renewal, database.sync_directory)
        except OSError as error:
            _LOG.error(
                "this journal has lost steps that the broker knows. The file that lets the next start begin a new epoch"
                " (other step numbers) cannot be written: %s. Until it is written, step numbers are used"
                " twice. Check the disk; the next connection to the broker tries again",
                error,
            )
            return
        self._fail(
            JournalBroken(
                f"the broker knows step {witness.seq} of epoch {witness.epoch}, this journal is at step"
                f" {ours[1]} of epoch {ours[0]} ({why}): starting a new epoch"
            )
        )

    def close(self) -> None:
        """Write what is queued, close the file, and let ``run`` return. May block for ``CLOSE_WAIT_S`` seconds if the
        disk is slow.
        """
        if self._writer is not None:
            self._begin()
            self._batcher.put(WriterJob(stop=True))
            if not self._writer.join(CLOSE_WAIT_S):
                _LOG.error(
                    "the disk did not answer at the stop: the next start has only what was written; check the disk"
                )
        else:
            self._connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def policies(self) -> Policies:
        """The policies that were applied, and the highest version number among them. A policy counts here once its step
        is on disk and the writer thread has said so.
        """
        return self._policies

    def restore(self, kind: type[S] = cast(Any, State)) -> Restored[S]:  # noqa: B008 (a class, not a call)
        """Read the newest usable state dump, of class ``kind``, and the steps after it. To be called before the first
        ``append`` and before ``run``.
        """
        assert not self._begun, "the connection is the writer's by now"
        start: Snapshot | None = None
        state: S | None = None
        for one in database.snapshots(self._connection):
            if one.good:
                try:
                    state, start = codec.load_state(one.blob or b"", kind), one
                    break
                except codec.CodecError as error:
                    _LOG.error(
                        "the state dump of step %d was written by another version of edged (%s): the start begins at an"
                        " older dump, or at the first step",
                        one.seq,
                        error,
                    )
        first = database.first_seq(self._connection)
        tail = _tail(self._connection, start)
        if start is None and first not in (None, 1):
            _LOG.error(
                "no state dump can be read and the first steps are gone: starting with an empty hall; who has a number"
                " has to take a new one; `edged restore` brings a backup"
            )
            tail = iter(())
        head, seq, at_ms = self._head, *((0, 0) if start is None else (start.seq, start.at_ms))
        return Restored(state, seq, at_ms, tail, head.seq, head.at_ms, head.wall_ms)

    def _put(self, job: WriterJob) -> None:
        if self.failure is not None:
            raise self.failure
        assert self._writer is not None, "a read-only journal takes nothing"
        assert self._lock is not None, "a closed journal takes nothing"
        self._hold_loop()
        self._begin()
        self._batcher.put(job)

    def _begin(self) -> None:
        """Start the writer thread, unless it runs. The state has to be read before: two threads must not use one
        connection at the same time.

        Otherwise apsw refuses one of them, or cannot close its statement, so that a read transaction stays open for
        good.
        """
        if not self._begun and self._writer is not None:
            self._begun = True
            self._writer.start()

    def _hold_loop(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()

    def _pass_report(self, report: Report) -> None:
        """Pass a report to the loop thread; called in the writer thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody needs the report
                self._loop.call_soon_threadsafe(self._handle, report)

    def _handle(self, report: Report) -> None:
        """Handle a report of the writer thread; called in the loop thread."""
        for damage_and_remedy in report.notices:
            _LOG.error(damage_and_remedy)
        if report.error is not None:
            self._fail(report.error)
            return
        try:
            self._pass_on(report)
        except Exception as error:  # noqa: BLE001 (a callback that raises is a broken invariant: end, loudly)
            self._fail(error)

    def _pass_on(self, report: Report) -> None:
        self._batcher.reported(len(report.jobs), report.rows)
        steps = [job.step for job in report.jobs if job.step is not None]
        self._pending -= len(steps)
        for policy in report.policies:
            self._policies = self._policies.after(policy)
        if (report.durable, report.why) != (self.durable, self.why_not):
            self.durable, self.why_not = report.durable, report.why
            for on_durable in self._on_durable:
                on_durable(report.durable)
        for job in report.jobs:
            if job.ack is not None:
                job.ack()
        if steps:
            for on_commit in self._on_commit:
                on_commit(steps)
        if report.rows:
            for on_seconds in self._on_seconds:
                on_seconds(report.seconds, report.rows)
        for job in report.jobs:
            if job.waiter is not None and not job.waiter.done():
                job.waiter.set_result(job.found)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        for future in (*self._waiters, self._ended):
            if future is not None and not future.done():
                future.set_exception(error)


def _open_to_read(path: Path, vfs: str | None) -> OpenedJournal:
    try:
        if not path.exists():
            raise JournalBroken(f"{path}: no such file")
        database.refuse_foreign(path, vfs)
        connection = database.connect(path, read_only=True, vfs=vfs)
        epoch = int(database.get_meta(connection, "epoch") or 0)
        last = connection.execute(
            "SELECT seq, at_ms, wall_ms, chain FROM steps ORDER BY seq DESC LIMIT 1"
        ).fetchone()
    except (apsw.Error, OSError) as error:
        raise JournalBroken(f"{path}: {type(error).__name__}: {error}") from error
    return OpenedJournal(connection, epoch, Head() if last is None else Head(*last))


def _lock(path: Path) -> BinaryIO:
    """Lock ``<journal>.lock`` against a second writer; the kernel releases the lock when the process ends. Raises
    ``JournalBusy`` if another process holds it, ``JournalBroken`` if the file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path.with_name(path.name + ".lock"), "ab")  # noqa: SIM115 (held until close)
    except OSError as error:
        raise JournalBroken(f"{path}: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise JournalBusy(f"{path}: another process writes this journal ({error})") from error
    return file


def _read_policies(connection: apsw.Connection) -> Policies:
    high_water = int(database.get_meta(connection, "high_water") or 0)
    known = tuple(database.newest_policies(connection, POLICIES_KEPT))
    return Policies(database.last_policy(connection), high_water, known)


def _tail(connection: apsw.Connection, start: Snapshot | None) -> Iterator[Step | DumpMark]:
    for entry in database.entries(connection, start):
        yield (
            decode_step(entry) if isinstance(entry, Row) else DumpMark(entry.seq, entry.at_ms, entry.sha256)
        )
