"""Rollouts: a policy goes to a city's halls in waves, and the outcome in each wave's halls decides whether the next one
begins. Rules of this file:

* The next wave begins once every hall of the last one has answered and, ``settle_s`` later, none has rolled the policy
  back: each hall tries it and compares its visitors' waits (``core/trial.py``).
* If more than ``max_failed`` halls refuse it, roll it back or do not answer, the rollout halts: later waves never get
  it.
* Its state is in PostgreSQL before anything is pushed, so it continues after a kill. A push that may not have been sent
  is sent again; a hall answers a repeated document without applying it again.
* The halls' reports are read from the table ``pictures``, where the consumer stores retained messages, so none is
  missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from edged.central import topics
from edged.central.fleet import answer_to

ANSWER_S = 600  # for a hall to answer a push; a hall that is offline for so long counts as failed
ROLLOUT_LOCK = 0x6564_7200  # plus the rollout's number: an advisory lock, so that one process works on it
OVER = ("failed", "taken-back")

# Publishes a payload on a topic; returns once the broker has acknowledged it, or raises OSError.
PublishAcknowledged = Callable[[str, bytes], None]


class RolloutRefused(ValueError):
    """A rollout cannot begin or continue; the text says why."""


class RolloutPlan(NamedTuple):
    """The plan of a rollout. ``waves``: total number of halls that have the policy after each wave; ``settle_s``:
    seconds without news of any hall before the next wave; ``max_failed``: the rollout halts if more halls than this
    fail.
    """

    envelope: bytes
    version: int
    sha256: str
    halls: tuple[str, ...]
    waves: tuple[int, ...]
    settle_s: int
    max_failed: int


class Progress(NamedTuple):
    """The state of a rollout. ``wave``: the present one (0 before the first) of ``waves``; ``version``: the policy's.
    ``halls``: (hall, its wave, state, reason), sorted by wave and hall.
    """

    number: int
    state: str
    reason: str
    wave: int
    waves: int
    version: int
    halls: list[tuple[str, int, str, str]]


def sizes(text: str, halls: int) -> tuple[int, ...]:
    """Parse wave sizes like ``1,10%,100%`` into cumulative numbers of halls. A wave that adds no hall is left out.
    Raises ``ValueError`` if a wave is smaller than the one before, or the last does not reach all ``halls``.
    """
    numbers = []
    for word in text.split(","):
        share = word.strip()
        number = math.ceil(halls * float(share[:-1]) / 100) if share.endswith("%") else int(share)
        numbers.append(min(number, halls))
    if numbers != sorted(numbers) or numbers[0] < 1 or numbers[-1] != halls:
        raise ValueError(f"{text}: waves rise, the last one is 100%")
    return tuple(dict.fromkeys(numbers))  # of few halls two waves may be one


def begin(connection: psycopg.Connection[Any], plan: RolloutPlan) -> int:
    """Record a new rollout; returns its number. Raises ``RolloutRefused`` while another one is running or being
    aborted.
    """
    with connection.transaction():
        connection.execute("LOCK TABLE rollouts IN EXCLUSIVE MODE")
        busy = connection.execute("SELECT id FROM rollouts WHERE state IN ('running', 'aborting')").fetchone()
        if busy is not None:
            raise RolloutRefused(f"rollout {busy[0]} is not over; resume or abort it first")
        found = connection.execute(
            "INSERT INTO rollouts (version, sha256, envelope, settle_s, max_failed, state)"
            " VALUES (%s, %s, %s, %s, %s, 'running') RETURNING id",
            (plan.version, plan.sha256, plan.envelope, plan.settle_s, plan.max_failed),
        ).fetchone()
        assert found is not None
        number = int(found[0])
        for position, hall in enumerate(plan.halls):
            wave = next(n for n, size in enumerate(plan.waves, 1) if position < size)
            connection.execute(
                "INSERT INTO rollout_halls (rollout, hall, wave) VALUES (%s, %s, %s)", (number, hall, wave)
            )
    return number


class Rollout:
    """Carries out one rollout: call ``step`` until it is ``over``; after a restart call ``resume`` first."""

    def __init__(
        self, connection: psycopg.Connection[Any], number: int, publish: PublishAcknowledged
    ) -> None:
        """Open rollout ``number``; ``publish`` sends a message to the halls. Raises ``RolloutRefused`` if the rollout
        does not exist or another process is working on it.
        """
        self._connection = connection
        self.number = number
        self._publish = publish
        found = connection.execute(
            "SELECT sha256, envelope FROM rollouts WHERE id = %s", (number,)
        ).fetchone()
        if found is None:
            raise RolloutRefused(f"there is no rollout {number}")
        self._sha256, self._envelope = str(found[0]), bytes(found[1])
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (ROLLOUT_LOCK + number,)).fetchone()
        connection.commit()
        if taken != (True,):
            raise RolloutRefused(f"another process moves rollout {number} on")

    def resume(self) -> None:
        """After a restart: push the policy again to each hall for which it is unknown whether the push was sent."""
        self._push([hall for hall, _, state, _ in self.progress().halls if state == "pushed"])

    def step(self, now: datetime) -> Progress:
        """Read the halls' reports, then push, wait, halt or finish accordingly. Raises ``OSError`` if a push fails."""
        before = self.progress()
        if before.state != "running":
            return before
        self._record_answers(before, now)
        progress = self.progress()
        failed = [f"{hall}: {reason or state}" for hall, _, state, reason in progress.halls if state in OVER]
        row = self._row()
        if len(failed) > row.max_failed:
            self._set("halted", "; ".join(failed))
        elif all(
            state not in ("waiting", "pushed") for _, w, state, _ in progress.halls if w <= progress.wave
        ) and (progress.wave == 0 or self._settled(row, now)):
            self._next(progress, now)
        return self.progress()

    def progress(self) -> Progress:
        """The present state of the rollout, hall by hall."""
        return progress_of(self._connection, self.number)

    def _row(self) -> Any:
        with self._connection.cursor(row_factory=namedtuple_row) as cursor:
            row = cursor.execute("SELECT * FROM rollouts WHERE id = %s", (self.number,)).fetchone()
        self._connection.commit()
        assert row is not None
        return row

    def _settled(self, row: Any, now: datetime) -> bool:
        last = self._connection.execute(
            "SELECT max(at) FROM rollout_halls WHERE rollout = %s AND wave <= %s", (self.number, row.wave)
        ).fetchone()
        self._connection.commit()
        return last is None or last[0] is None or (now - last[0]).total_seconds() >= row.settle_s

    def _next(self, progress: Progress, now: datetime) -> None:
        wave = progress.wave + 1
        if wave > progress.waves:
            self._set("done", "")
            return
        halls = [hall for hall, its, _, _ in progress.halls if its == wave]
        with self._connection.transaction():
            self._connection.execute(
                "UPDATE rollouts SET wave = %s, wave_at = %s WHERE id = %s", (wave, now, self.number)
            )
            self._connection.execute(
                "UPDATE rollout_halls SET state = 'pushed', at = %s WHERE rollout = %s AND wave = %s",
                (now, self.number, wave),
            )
        self._push(halls)

    def _push(self, halls: Sequence[str]) -> None:
        for hall in halls:
            self._publish(topics.policy_push(hall), self._envelope)

    def _record_answers(self, progress: Progress, now: datetime) -> None:
        reports = reports_of(self._connection)
        with self._connection.transaction():
            for hall, _, state, _ in progress.halls:
                if state not in ("pushed", "applied"):
                    continue
                answer = answer_to(reports.get(hall), self._sha256)
                if answer is None:
                    if state == "pushed":
                        self._silent(hall, now)
                elif answer.verdict == "rolled-back":
                    self._mark(hall, "taken-back", answer.message or "taken back by its own trial", now)
                elif answer.verdict == "rejected":
                    self._mark(hall, "failed", answer.message or "refused", now)
                elif answer.verdict == "applied" and state == "pushed":
                    self._mark(hall, "applied", "", now)

    def _silent(self, hall: str, now: datetime) -> None:
        self._connection.execute(
            "UPDATE rollout_halls SET state = 'failed', reason = 'no answer', at = %(now)s WHERE rollout = %(id)s"
            " AND hall = %(hall)s AND at < %(now)s - make_interval(secs => %(limit)s)",
            {"now": now, "id": self.number, "hall": hall, "limit": ANSWER_S},
        )

    def _mark(self, hall: str, state: str, reason: str, now: datetime) -> None:
        self._connection.execute(
            "UPDATE rollout_halls SET state = %s, reason = %s, at = %s WHERE rollout = %s AND hall = %s",
            (state, reason[:500], now, self.number, hall),
        )

    def _set(self, state: str, reason: str) -> None:
        self._connection.execute(
            "UPDATE rollouts SET state = %s, reason = %s WHERE id = %s", (state, reason[:2000], self.number)
        )
        self._connection.commit()

    def abort(self, order: Callable[[str], tuple[str, bytes]]) -> dict[str, str]:
        """Roll the policy back in every hall that has it or may still apply it. ``order`` makes (id, signed operation)
        for a hall; the operation acts only while this very version is in force there.

        Returns the orders' ids by hall. The outcomes arrive as events.
        """
        self._set("aborting", "")
        ids: dict[str, str] = {}
        for hall, _, state, _ in self.progress().halls:
            if state in ("pushed", "applied"):
                ids[hall], envelope = order(hall)
                self._publish(topics.operation(hall, "rollback"), envelope)
        self._set("aborted", "")
        return ids


def outcomes(connection: psycopg.Connection[Any], ids: dict[str, str]) -> dict[str, str]:
    """The outcome ("done" or "refused") of each order in ``ids`` whose hall has reported one, by hall."""
    found = {}
    for hall, order in ids.items():
        row = connection.execute(
            "SELECT kind FROM events WHERE hall = %s AND kind IN ('operation.done', 'operation.refused')"
            " AND data->>'id' = %s",
            (hall, order),
        ).fetchone()
        if row is not None:
            found[hall] = str(row[0]).removeprefix("operation.")
    connection.commit()
    return found


def reports_of(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """The newest policy report of every hall."""
    rows = connection.execute(
        "SELECT hall, payload FROM pictures WHERE topic = 'hall/' || hall || '/policy/report'"
    ).fetchall()
    connection.commit()
    return dict(rows)


def progress_of(connection: psycopg.Connection[Any], number: int) -> Progress:
    """Return the present state of a rollout, hall by hall. Raises ``RolloutRefused`` if it does not exist."""
    row = connection.execute(
        "SELECT state, reason, wave, version FROM rollouts WHERE id = %s", (number,)
    ).fetchone()
    if row is None:
        raise RolloutRefused(f"there is no rollout {number}")
    halls = connection.execute(
        "SELECT hall, wave, state, reason FROM rollout_halls WHERE rollout = %s ORDER BY wave, hall",
        (number,),
    ).fetchall()
    connection.commit()
    state, reason, wave, version = row
    return Progress(number, state, reason, wave, max(its for _, its, _, _ in halls), version, halls)
