"""The journal's writer thread: everything queued when it wakes is written in one transaction. Only this thread uses the
connection.

Rules: a job is reported to the loop thread only after its commit, in order of arrival. A disk error is reported once
and ends the thread. A full disk or a locked file is the exception: jobs then stay in memory in their order, are
reported as accepted with ``durable`` False, and are written as soon as that is possible again.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import apsw

from edged.clock import monotonic_s, perf_s, wall_ms
from edged.core.model.events import PolicyApplied
from edged.observer import Step
from edged.store import codec, database
from edged.store.audit import Audit
from edged.store.database import Damaged, JournalBroken, PolicyRow, Row, Snapshot
from edged.store.identity import Marks
from edged.store.keep import Keep, write_keep
from edged.store.records import MetaLine, encode_step
from edged.store.rescue import OpenedJournal, suspect
from edged.store.room import Room

GROUP_MAX = 512  # steps in one transaction: bounds its duration and what is lost with it
IDLE_BEAT_S = 1.0  # between heartbeats while nothing is to be written; well under the watchdog's 6 s
PUTS_MAX = 100_000  # jobs queued to the thread; the loop stops long before (``Journal.full``)
BACKLOG_MAX = 20_000  # steps accepted from memory while the disk is full: two busy days, about 40 MB
# jobs in memory: those steps, what the loop may still append, and other jobs between them
WAITING_MAX = 2 * BACKLOG_MAX
FULL_RETRY_S = 1.0  # between tries at a full disk or a locked file
ASKED_MAX = 1_000  # queries that wait for a locked file: each part asks one at a time
LOCKED_MS = 1_000  # how long another program may lock the file before steps are kept in memory
CHECKPOINT_PAGES = 1_000  # WAL pages (4 KiB) before they move to the main file: 4 MiB to read after a crash
SNAPSHOTS_KEPT = 2  # dumps kept: the newest may turn out unreadable


@dataclass(slots=True)
class WriterJob:
    """One job for the writer: a step, a state dump, a value for table ``meta``, a query to the database (its result
    goes to ``found``), or none of them, to learn when all earlier jobs are done. ``waiter`` is resolved when the job is
    done. ``stop``: end the thread.
    """

    step: Step | None = None
    ack: Callable[[], None] | None = None
    envelope: bytes | None = None
    snapshot: Snapshot | None = None
    state_type: type[Any] = object
    line: MetaLine | None = None
    query: Callable[[apsw.Connection], object] | None = None
    found: object = None
    waiter: asyncio.Future[Any] | None = None
    stop: bool = False
    reported: bool = False


@dataclass(slots=True)
class Report:
    """A report of the writer to the loop thread. ``seconds``: duration of the commit of ``rows`` steps (0 rows: no
    commit).

    ``durable`` False: steps are in memory only, because of ``why``.
    """

    jobs: list[WriterJob]
    durable: bool = True
    why: str = ""
    seconds: float = 0.0
    rows: int = 0
    policies: list[PolicyRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    error: Exception | None = None


class JournalWriter:
    """The writer thread. From ``start`` on only it uses the connection; the loop thread calls ``put`` and ``join``."""

    def __init__(
        self, opened: OpenedJournal, keep: Keep, room: Room, on_report: Callable[[Report], None]
    ) -> None:
        self.last_beat_s = monotonic_s()
        self._room = room
        self._audit = Audit(room.path)
        self._epoch, self._marks = opened.epoch, Marks(room.path)
        self._inode = _inode(room.path)
        self._asked: deque[WriterJob] = deque()  # queries that wait while the file is locked
        self._why = ""
        self._connection = opened.connection
        self._head = opened.head
        self._keep = self._keep_due = keep  # content of the keep file, and what it should hold
        self._on_report = on_report
        self._queue: SimpleQueue[Sequence[WriterJob]] = SimpleQueue()
        # uncommitted groups in order; more than one only while the disk is full
        self._waiting: deque[WriterJob] = deque()
        self._durable = True
        self._tried_s = 0.0
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._notices: list[str] = []
        self._connection.set_wal_hook(self._wal_grew)
        self._connection.set_busy_timeout(LOCKED_MS)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the writer thread; from now on only it uses the connection."""
        self.last_beat_s = monotonic_s()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, jobs: Sequence[WriterJob]) -> None:
        """Queue jobs. Never blocks; the caller limits their number (``Journal.full``)."""
        assert self._queue.qsize() < PUTS_MAX, "somebody puts without asking whether the journal is full"
        self._queue.put(jobs)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; False if it did not within ``timeout_s``."""
        assert self._thread is not None
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self.turn(self._take()):
            pass

    def turn(self, taken: list[WriterJob]) -> bool:
        """Write ``taken`` and the jobs that still wait. False after the last turn: the file was closed, or an error was
        reported.
        """
        try:
            if self._write_all(taken):
                return True
            self._close()
        except Exception as error:  # noqa: BLE001 (whatever it is, the loop must hear of it and end the process)
            if isinstance(error, Damaged | apsw.CorruptError | apsw.NotADBError):
                suspect(self._room.path, _words(error))
            broken = error if isinstance(error, database.StoreError) else JournalBroken(_words(error))
            broken.__cause__ = error.__cause__ if broken is error else error
            with suppress(apsw.Error):  # the disk may fail here as well; the error must reach the loop
                self._connection.close(True)
                self._audit.holes.close()
            self._on_report(Report([], self._durable, notices=self._notices, error=broken))
        return False

    def _write_all(self, taken: list[WriterJob]) -> bool:
        """Answer the queries and write all waiting jobs; if none waits then, prune and verify the journal. False: a job
        asked the thread to stop.
        """
        self.last_beat_s = monotonic_s()
        taken = self._answer(taken)
        stop = any(job.stop for job in taken)
        self._waiting.extend(taken)
        if len(self._waiting) > WAITING_MAX:  # the disk is full; an answered query needs no space
            self._waiting = deque(job for job in self._waiting if job.query is None or not job.reported)
        if self._durable or stop or monotonic_s() - self._tried_s >= FULL_RETRY_S:
            self._write()
        else:
            self._report_unwritten()
        if self._durable and not self._waiting and not stop:
            self._make_room()
            if not taken:
                self._follow()
        return not stop

    def _answer(self, taken: list[WriterJob]) -> list[WriterJob]:
        """Run the queries on what is committed so far; while the file is locked they wait. Returns the other jobs and
        the answered queries.
        """
        self._asked.extend(job for job in taken if job.query is not None)
        assert len(self._asked) <= ASKED_MAX, "whoever asks waits for the answer"
        answered = []
        try:
            while self._asked:
                query = self._asked[0].query
                assert query is not None
                self._asked[0].found = query(self._connection)
                answered.append(self._asked.popleft())
        except (apsw.BusyError, apsw.LockedError):
            pass
        return [job for job in taken if job.query is None] + answered

    def _follow(self) -> None:
        """Use idle time to verify a slice of the journal, and to compress it if an old version wrote it (audit.py)."""
        notice = None
        with suppress(apsw.BusyError, apsw.LockedError, apsw.FullError):
            notice = self._audit.verify_next(self._connection)
        self._checkpoint()
        if notice is not None:
            self._notices.append(notice)
            self._send(Report([]))

    def _make_room(self) -> None:
        """Prune old steps while nothing is queued. If the disk is full meanwhile, the next commit handles that."""
        self._check_file()
        with suppress(apsw.FullError, apsw.BusyError, apsw.LockedError):
            while self._room.maintain(self._connection, self._head.at_ms) and self._queue.empty():
                self.last_beat_s = monotonic_s()

    def _check_file(self) -> None:
        """If another program deleted or replaced the journal's file, copy the one that this process still has open to a
        new file, and raise ``JournalBroken``: the next start puts the new file in place.
        """
        if _inode(self._room.path) == self._inode:
            return
        fresh = self._room.path.with_name(self._room.path.name + ".new")
        fresh.unlink(missing_ok=True)
        copy = apsw.Connection(str(fresh))
        try:
            with copy.backup("main", self._connection, "main") as backup:
                backup.step()
        finally:
            copy.close()
        database.sync_file(fresh)
        raise JournalBroken(f"{self._room.path} was deleted or replaced by another program: restored")

    def _take(self) -> list[WriterJob]:
        """Wait for a job and return it with others that are queued. Wait at most until a heartbeat, idle work
        (verifying the journal) or the next try at a full disk is due; empty if no job came.
        """
        taken: list[WriterJob] = []
        try:
            idle_s = min(IDLE_BEAT_S, self._audit.wait_s) if self._durable else FULL_RETRY_S
            taken += self._queue.get(timeout=max(idle_s, 0.001))
            while len(taken) < GROUP_MAX:
                taken += self._queue.get_nowait()
        except Empty:
            pass
        return taken

    def _write(self) -> None:
        """Commit all waiting jobs, group by group. If the disk is full or the file locked, keep them in memory."""
        while self._waiting:
            group = list(islice(self._waiting, GROUP_MAX))
            self._tried_s = monotonic_s()
            try:
                report = self._commit(group)
            except apsw.FullError:
                if self._room.free(self._connection, self._head.at_ms):
                    self._notices.append(
                        "the disk is full: the ballast file was deleted to make room for deleting old steps"
                    )
                    continue
                self._memory_only("the disk is full")
                return
            except (apsw.BusyError, apsw.LockedError):
                self._memory_only("the journal is locked by another program")
                return
            for _ in group:
                self._waiting.popleft()
            if not self._waiting and not self._durable:
                self._durable = True
                self._notices.append(f"over: {self._why}; all steps are on the disk again")
                self._why = ""
                self._connection.set_busy_timeout(LOCKED_MS)
            self._send(report)
            for more in (self._write_second_copy, self._checkpoint):
                self.last_beat_s = monotonic_s()  # each group may sync twice on a slow disk
                more()

    def _commit(self, group: list[WriterJob]) -> Report:
        """Write a group of jobs in one transaction. ``apsw.FullError``, ``BusyError`` and ``LockedError`` leave
        everything unchanged; any other error is fatal.
        """
        wall, head = wall_ms(), self._head
        new_rows: list[Row] = []
        dumps: list[Snapshot] = []
        for job in group:
            if job.step is not None:
                row = encode_step(job.step)
                row.wall_ms = wall
                row.chain = database.chained(head.chain, row)
                head = database.Head(row.seq, max(row.at_ms, head.at_ms), wall, row.chain)
                new_rows.append(row)
            elif job.snapshot is not None and self._reads_back(job):
                if job.snapshot.seq != head.seq:
                    raise JournalBroken(f"state dump of step {job.snapshot.seq} after step {head.seq}")
                dumps.append(replace(job.snapshot, chain=head.chain))
        policies = [policy for policy in map(_policy_of, group) if policy is not None]
        report = Report([job for job in group if not job.reported], policies=policies)
        lines = [job.line for job in group if job.line is not None]
        if new_rows or dumps or lines:
            start_s = perf_s()
            self._transact(new_rows, dumps, policies, lines)
            report.rows, report.seconds = len(new_rows), perf_s() - start_s
        self._head = head
        if new_rows:
            self._marks.write(self._epoch, head.seq)
        self._remember(policies, dumps)
        return report

    def _transact(
        self,
        new_rows: list[Row],
        dumps: list[Snapshot],
        policies: list[PolicyRow],
        lines: list[MetaLine],
    ) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            database.insert_rows(self._connection, new_rows)
            for policy in policies:
                database.insert_policy(self._connection, policy)
            for dump in dumps:
                database.insert_snapshot(self._connection, dump, SNAPSHOTS_KEPT)
            for key, value in lines:
                database.set_meta(self._connection, key, value)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _reads_back(self, job: WriterJob) -> bool:
        """Whether a dump, decoded and encoded again, gives the same bytes. One that does not is not stored, because a
        later start would rely on it.
        """
        assert job.snapshot is not None
        blob = job.snapshot.blob or b""
        try:
            same = codec.reads_back(blob, job.state_type)
        except codec.CodecError as error:
            self._notices.append(
                f"state dump of step {job.snapshot.seq} left out, the next start takes an older one and longer: {error}"
            )
            return False
        if not same:
            self._notices.append(
                f"state dump of step {job.snapshot.seq} left out, the next start takes an older one and longer: it does"
                " not read back the same"
            )
        return same

    def _remember(self, policies: list[PolicyRow], dumps: list[Snapshot]) -> None:
        """Update what the keep file has to hold: these policies and dumps."""
        for policy in policies:
            high_water = max(self._keep_due.high_water, policy.version)
            self._keep_due = replace(self._keep_due, policy=policy, high_water=high_water)
        if dumps:
            self._keep_due = replace(self._keep_due, snapshot=dumps[-1])

    def _write_second_copy(self) -> None:
        if self._keep_due is self._keep:
            return
        try:
            self._keep_due = replace(self._keep_due, seq=self._head.seq)
            write_keep(self._room.path, self._keep_due)
            self._keep = self._keep_due
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._notices.append(
                "no second copy of state dump and policy (keep file), tried again later; until then a damaged journal"
                f" would be restored from an older copy: {error}"
            )

    def _checkpoint(self) -> None:
        """Checkpoint the WAL once it is long. If a reader prevents it, try again after ``CHECKPOINT_PAGES`` more
        pages.
        """
        if self._wal_pages < self._checkpoint_at:
            return
        try:
            pages, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.FullError, apsw.BusyError, apsw.LockedError) as error:
            self._notices.append(
                f"no checkpoint of the write-ahead log, which grows until the next try succeeds: {error}"
            )
            pages = self._wal_pages
        self._checkpoint_at = pages + CHECKPOINT_PAGES

    def _wal_grew(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:  # the WAL was restarted
            self._checkpoint_at = CHECKPOINT_PAGES
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _memory_only(self, why: str) -> None:
        if self._durable:
            self._durable = False
            self._connection.set_busy_timeout(0)  # retried every second, without blocking
        if why != self._why:
            self._why = why
            self._notices.append(f"{why}: steps are kept in memory only and would be lost with the process")
        self._report_unwritten()

    def _report_unwritten(self) -> None:
        """While nothing can be written, report up to ``BACKLOG_MAX`` steps as accepted although they are only in
        memory, so that the hall goes on.
        """
        self._send(Report([job for job in islice(self._waiting, BACKLOG_MAX) if not job.reported]))

    def _send(self, report: Report) -> None:
        for job in report.jobs:
            job.reported = True
        report.durable, report.why = self._durable, self._why
        report.notices, self._notices = self._notices, []
        if report.jobs or report.rows or report.notices:
            self._on_report(report)

    def _close(self) -> None:
        if self._waiting:
            steps = sum(job.step is not None for job in self._waiting)
            self._notices.append(f"{steps} steps are lost: {self._why} until the process ended")
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.FullError, apsw.BusyError, apsw.LockedError) as error:
            self._notices.append(
                f"no checkpoint of the write-ahead log at the stop, the next start makes it: {error}"
            )
        self._connection.close()
        self._audit.holes.close()
        self._marks.close()
        self._send(Report([]))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _policy_of(job: WriterJob) -> PolicyRow | None:
    if job.envelope is None or job.step is None:
        return None
    step, event = job.step, job.step.event
    assert isinstance(event, PolicyApplied), "only a PolicyApplied step carries an envelope"
    return PolicyRow(event.version, event.sha256, job.envelope, step.seq, step.at_ms)


def _words(error: Exception) -> str:
    return f"journal writer: {type(error).__name__}: {error}"
