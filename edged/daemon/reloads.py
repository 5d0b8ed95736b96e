"""Reloads hall.toml while the hall is served, and raises an alarm about what could not be applied.

Rules: a file with errors changes nothing. It is read again every ``CHECK_S``, so that the alarm names its present
errors, and ends if the file is again the one in force; a corrected file is applied at the next request. A configuration
that would drop a visit waits, and is applied once that visit is over. A table that is only read at start waits for a
restart, with an alarm. The outcome of every request is written to a file beside the journal, for ``edged reload``.
Files are read in another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from edged.config import ConfigErrors, HallConfig
from edged.config.verdicts import LINES_MAX, FileVerdict
from edged.daemon.concerns import Concerns
from edged.daemon.files import Reading
from edged.heartbeat import Heartbeat

CHECK_S = 10.0  # real seconds between tries of a configuration that is not in force yet
READ_S = 30.0  # for the disk to give a file of some KiB

STAYS = "the last accepted configuration stays in force"
CHANGE_WAITS = "the new hall.toml is applied once what `mistake` names has ended"
CORRECT = (
    "correct hall.toml (`edged check` shows mistakes) and `edged reload`; restart the service if it says so"
)

log = structlog.get_logger("edged.app")


class Taken(NamedTuple):
    """The outcome of a reload. ``problems``: why nothing was applied. ``later``: the problems may end by themselves.
    ``restart``: tables of hall.toml that take effect only after a restart.
    """

    problems: tuple[str, ...] = ()
    later: bool = False
    restart: tuple[str, ...] = ()


class Desk(Protocol):
    """What ``Reloads`` needs of ``Platform``: it reads and stores configurations; its methods may wait for the disk."""

    async def read_config(self, file: Path) -> Reading: ...
    async def keep_config(self, config: HallConfig) -> None: ...
    async def write_verdict(self, config: HallConfig, verdict: FileVerdict) -> None: ...


class Reloads:
    """Handles requests to reload: ``ask`` (from a signal handler) makes one, ``run`` handles them. ``take`` applies a
    configuration.
    """

    def __init__(
        self, desk: Desk, concerns: Concerns, config: HallConfig, take: Callable[[Reading], Taken]
    ) -> None:
        self._desk = desk
        self._concerns = concerns
        self._config = config  # the one in force; its file is read again
        self._take = take
        self._asked = asyncio.Event()
        self._count = 0
        self._waiting: Reading | None = None  # a configuration that waits for visits to end
        self.mistakes: tuple[str, ...] = ()  # of the file, as it was read last
        self.heartbeat = Heartbeat()

    def ask(self) -> None:
        """Request that hall.toml is read again soon."""
        self._asked.set()

    def began(self, mistakes: tuple[str, ...], waits: tuple[str, ...]) -> None:
        """Record what this start could not apply: a hall.toml with errors (``mistakes``; an older version is in force),
        or a configuration that waits for visits to end (``waits``: the reasons).
        """
        self.mistakes = mistakes
        for mistake in mistakes:
            log.error("configuration-not-applied", mistake=mistake, effect=STAYS, remedy=CORRECT)
        for problem in waits:
            log.error("configuration-not-applied", mistake=problem, effect=CHANGE_WAITS)
        self._waiting = Reading(self._config, {}, None) if waits else None
        self._show()
        self._show_waiting(waits)

    async def run(self) -> None:
        """Read and apply hall.toml whenever ``ask`` requests it, until cancelled."""
        self.heartbeat.expect(READ_S)
        if not self.mistakes:
            await self._desk.keep_config(self._config)
        await self._write_verdict("refused" if self.mistakes else "serving", self.mistakes)
        while True:
            self.heartbeat.expect(CHECK_S)
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._asked.wait()
            except TimeoutError:
                await self._try_again()
                continue
            self._asked.clear()
            self.heartbeat.expect(READ_S)
            await self._reload()

    async def _reload(self) -> None:
        self._count += 1
        try:
            reading = await self._desk.read_config(self._config.file)
        except ConfigErrors as errors:
            await self._refuse(tuple(errors.lines))
            return
        taken = self._take(reading)
        for problem in taken.problems:
            if taken.later:
                log.error("reload-refused", mistake=problem, effect=CHANGE_WAITS)
            else:
                log.error("reload-refused", mistake=problem, effect=STAYS, remedy=CORRECT)
        self._waiting = reading if taken.later else None
        self.mistakes = () if taken.later else taken.problems
        self._show()
        self._show_waiting(taken.problems if taken.later else taken.restart)
        if not taken.problems:
            await self._accept(reading.config)
        spoilt = tuple(f"{file}: {why}" for file, why in sorted(reading.spoilt.items()))
        restart = tuple(f"[{table}] waits for a restart" for table in taken.restart)
        state = "waits" if taken.later else "refused" if taken.problems or spoilt else "taken"
        await self._write_verdict(state, (*taken.problems, *spoilt, *restart))

    async def _refuse(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            log.error("reload-refused", mistake=line, effect=STAYS, remedy=CORRECT)
        self.mistakes = lines
        self._show()
        await self._write_verdict("refused", lines)

    async def _try_again(self) -> None:
        """Apply the configuration that waits, if it can be applied now. If none waits and hall.toml was refused, read
        it again: name its present errors, or end the alarm if it is again the version in force.
        """
        self.heartbeat.expect(READ_S)
        if self._waiting is not None:
            taken = self._take(self._waiting)
            if not taken.problems:
                await self._accept(self._waiting.config)
                self._waiting = None
                self._show_waiting(taken.restart)
        elif self.mistakes:
            try:
                reading = await self._desk.read_config(self._config.file)
            except ConfigErrors as errors:
                self.mistakes = tuple(errors.lines)
                self._show()
                return
            if reading.config.text == self._config.text:
                self.mistakes = ()  # the file is again as it was: nothing to apply
                self._show()
                await self._write_verdict("taken", ())

    async def _accept(self, config: HallConfig) -> None:
        self._config = config
        await self._desk.keep_config(config)

    def _show(self) -> None:
        name = self._config.file.name
        self._concerns.report("config-refused", {name: "; ".join(self.mistakes)} if self.mistakes else {})

    def _show_waiting(self, why: tuple[str, ...]) -> None:
        name = self._config.file.name
        self._concerns.report("config-waiting", {name: "; ".join(why)} if why else {})

    async def _write_verdict(self, state: str, lines: tuple[str, ...]) -> None:
        await self._desk.write_verdict(self._config, FileVerdict.of(self._count, state, lines[:LINES_MAX]))
