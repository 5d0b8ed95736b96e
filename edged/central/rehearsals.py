"""The daemon's side of a rehearsal (预演): sends one policy at a time to the process edged-rehearse, which simulates
recorded days under it.

The daemon itself simulates nothing; messages are bounded, and there is a deadline. If the other process fails (absent,
killed, stopped, out of memory, invalid answer), the result is a ``Missed``: there was no rehearsal, and why.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from edged.central.rehearsed import (
    ANSWER_BYTES_MAX,
    BadMessage,
    Missed,
    RehearsalQuestion,
    Rehearsed,
    question_line,
    read_answer,
)
from edged.heartbeat import Heartbeat

SECONDS = 60.0  # of one processor: twenty days of a hall with sixty windows (edged/bench/MEASUREMENTS.md)
DEADLINE_S = 150.0  # it has the lowest priority; edged-rehearse.service ends it a little later
ANSWER_SHARE = 0.7  # of the deadline; after that it begins no more days and answers
CHECK_S = 1.0

log = structlog.get_logger("edged.central")


class Limits(NamedTuple):
    """Limits of a rehearsal: the processor seconds it may use, and the real seconds after which it is given up."""

    processor_s: float = SECONDS
    deadline_s: float = DEADLINE_S


Done = Callable[[Rehearsed | Missed], None]


@dataclass(frozen=True, slots=True)
class _RehearsalWanted:
    question: RehearsalQuestion
    done: Done


class Rehearsals:
    """Has another process rehearse policies, one at a time. ``socket``: path of edged-rehearse.socket, on which that
    process is asked; "": nothing is rehearsed. ``journal``: path of the journal with the recorded days.
    """

    def __init__(self, socket: str, journal: str, limits: Limits = Limits()) -> None:  # noqa: B008 (immutable)
        self._socket, self._journal, self._limits = socket, journal, limits
        self._wanted: _RehearsalWanted | None = None
        self._changed = asyncio.Event()
        self._line: asyncio.StreamWriter | None = None
        self.heartbeat = Heartbeat()

    def want(self, policy: bytes, in_force: bytes, days: int, done: Done) -> Missed | None:
        """Rehearse the policy in the envelope ``policy`` and return None; the result is passed to ``done`` later,
        unless another rehearsal is wanted before that.

        If there is no rehearsal service, the ``Missed`` is returned immediately and ``done`` is never called.
        """
        if not self._socket or not os.path.exists(self._socket):
            return Missed(missed="no-service")
        limits = self._limits
        within_s = limits.deadline_s * ANSWER_SHARE
        question = RehearsalQuestion(self._journal, policy, in_force, days, limits.processor_s, within_s)
        self._wanted = _RehearsalWanted(question, done)
        self._changed.set()
        if self._line is not None:
            self._line.transport.abort()  # closing the connection ends the earlier rehearsal
        return None

    async def run(self) -> None:
        """Rehearse the policies that are wanted, one after the other, until cancelled."""
        while True:
            wanted, self._wanted = self._wanted, None
            if wanted is None:
                await self._rest()
                continue
            self.heartbeat.expect(self._limits.deadline_s)
            found = await self._answer(wanted.question)
            if isinstance(found, Missed):
                log.info(
                    "policy-not-rehearsed",
                    reason=found.missed,
                    effect="the pushed policy comes into force all the same, unless its max_worse demands a rehearsal",
                )
            if self._wanted is None:
                wanted.done(found)

    async def _rest(self) -> None:
        """Wait for a new policy, at most ``CHECK_S``."""
        self._changed.clear()
        await self.heartbeat.wait(self._changed, CHECK_S)

    async def _answer(self, question: RehearsalQuestion) -> Rehearsed | Missed:
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                return await self._exchange(question)
        except TimeoutError:
            return Missed(missed="no-answer")
        except (FileNotFoundError, ConnectionRefusedError, PermissionError):
            return Missed(missed="no-service")
        except (OSError, ValueError) as error:  # cut off, too long, or invalid
            effect = "the pushed policy is treated as not tried on recorded days"
            log.warning(
                "policy-rehearsal-aborted",
                error=type(error).__name__,
                detail=str(error)[:200],
                effect=effect,
                remedy="push the policy again; if that fails too, send `edged diagnose` to support",
            )
            return Missed(missed="broke-off")

    async def _exchange(self, question: RehearsalQuestion) -> Rehearsed | Missed:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=ANSWER_BYTES_MAX)
        self._line = writer
        try:
            writer.write(question_line(question))
            await writer.drain()
            line = await reader.readline()
        finally:
            self._line = None
            writer.transport.abort()
        if not line.endswith(b"\n"):
            raise BadMessage("it ended before its answer did")
        return read_answer(line)
