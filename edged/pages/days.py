"""The recorded days: one file each in ``[pages] directory``; today's is rewritten every minute.

``/days`` lists them, ``/days/{date}`` returns one, ``/day`` returns today so far; ``/usual`` returns how many people
waited on average in each half hour of recent days.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edged.clock import Clock, rfc3339
from edged.pages.day_recorder import DayRecorder
from edged.whole_file import whole_file

if TYPE_CHECKING:
    from edged.pages.server import Pages

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
DAYS_KEPT = 400  # a year and a month; a day takes about 200 KiB
FILE_BYTES_MAX = 32 * 1024 * 1024
USUAL_DAYS = 10  # the newest before today: two weeks of opening days
USUAL_DAYS_MIN = 3  # fewer days make no average
SLOT_MIN, SLOTS = 30, 48
WRITE_S = 60.0
TICK_S = 1.0  # hall minutes may be short: the demo's clock runs fast

log = structlog.get_logger("edged.pages")


class RecordedDays:
    """Records today and reads earlier days. ``directory`` None: today only, in memory."""

    def __init__(self, directory: Path | None, clock: Clock, zone: str) -> None:
        self._directory = directory
        self._clock = clock
        self._zone = zone
        self._sampled = ""
        self._reported: set[str] = set()  # dates of days that cannot be read, each logged once
        self._parts: dict[str, dict[str, Any] | None] = {}
        self.today = self._begun(self._now()[:10])

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms(), self._zone)

    def record(self, name: str, body: dict[str, Any] | None) -> None:
        """Record the new content of part ``name``; None: it was deleted."""
        if name == "beat":
            return
        self._parts[name] = body
        self.today.record(name, body, self._now())

    async def run(self) -> None:
        """Sample every minute of the hall's clock, and write today's file every real minute, until cancelled."""
        left_s = WRITE_S
        while True:
            pace_s = max(TICK_S / 10, min(TICK_S, 20 / self._clock.speed))
            await asyncio.sleep(pace_s)
            now, left_s = self._now(), left_s - pace_s
            if now[:10] != self.today.date:
                await self._write(self.today)
                self.today = self._begun(now[:10])
                for name, body in self._parts.items():
                    self.today.record(name, body, now)
            if now[:16] != self._sampled and self._parts:
                self._sampled = now[:16]
                self.today.minute(now)
            if left_s <= 0:
                left_s = WRITE_S
                await self._write(self.today)

    async def close(self) -> None:
        """Write today's file a last time."""
        await self._write(self.today)

    def dates(self) -> list[str]:
        """The dates of all recorded days, newest first, including today once its first minute was sampled."""
        found = {self.today.date} if self.today.day["begin"] is not None else set()
        if self._directory is not None and self._directory.is_dir():
            found |= {one.stem for one in self._directory.glob("*.json") if DATE.fullmatch(one.stem)}
        return sorted(found, reverse=True)

    def read(self, date: str) -> bytes | None:
        """A day as JSON; None if it is not recorded. Blocks."""
        if date == self.today.date:
            return msgspec.json.encode(self.today.as_json())
        if self._directory is None or not DATE.fullmatch(date):
            return None
        try:
            with (self._directory / f"{date}.json").open("rb") as stream:
                return stream.read(FILE_BYTES_MAX)
        except OSError:
            return None

    def usual(self, today: str) -> dict[str, list[float | None]]:
        """By area: the average number of people waiting in each half hour of the last days before ``today``, None
        without data. Blocks: call it in a thread.
        """
        sums: dict[str, list[tuple[float, int]]] = {}
        days: dict[str, int] = {}
        for date in [one for one in self.dates() if one < today][:USUAL_DAYS]:
            try:
                day = msgspec.json.decode(self.read(date) or b"{}", type=dict[str, Any])
                for area, lanes in day.get("areas", {}).items():
                    days[area] = days.get(area, 0) + 1
                    _add(sums.setdefault(area, [(0.0, 0)] * SLOTS), int(day["begin"]), lanes["waiting"])
            except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
                self._unreadable(date, error, "the usual number of waiting people is made without this day")
        return {
            area: [round(total / count, 1) if count else None for total, count in slots]
            for area, slots in sums.items()
            if days[area] >= USUAL_DAYS_MIN
        }

    def _begun(self, date: str) -> DayRecorder:
        if self._directory is None:
            return DayRecorder(date)
        try:
            known = msgspec.json.decode((self._directory / f"{date}.json").read_bytes(), type=dict[str, Any])
            return DayRecorder(date, known)
        except (OSError, msgspec.DecodeError):
            return DayRecorder(date)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._unreadable(date, error, "the record of today begins anew: its earlier hours are missing")
            return DayRecorder(date)

    def _unreadable(self, date: str, error: Exception, effect: str) -> None:
        """Log, once for each ``date``, that the file of that day cannot be used. ``effect``: what the pages lack."""
        if date in self._reported:
            return
        self._reported.add(date)
        log.warning(
            "recorded-day-unreadable",
            file=str(self._directory and self._directory / f"{date}.json"),
            detail=str(error)[:120],
            effect=effect,
            remedy="move that file away",
        )

    async def _write(self, day: DayRecorder) -> None:
        if self._directory is None or day.day["begin"] is None:
            return
        data = msgspec.json.encode(day.as_json())
        try:
            await asyncio.to_thread(_replace, self._directory, day.date, data)
        except OSError as error:
            log.warning(
                "recorded-day-not-saved",
                date=day.date,
                directory=str(self._directory),
                detail=str(error)[:120],
                effect="replay and usual waits lack the last minutes of this day; tried again in a minute",
                remedy="make room on the disk; the directory must be writable for edged web",
            )


def _add(slots: list[tuple[float, int]], begin: int, waiting: list[float | None]) -> None:
    """Add one day to ``slots``, a (sum, count) for each half hour from midnight. ``waiting``: the number of people
    waiting in each minute, from minute ``begin`` after midnight; None: not recorded.
    """
    for place, count in enumerate(waiting):
        slot = (begin + place) // SLOT_MIN
        if count is not None and 0 <= slot < SLOTS:
            total, known = slots[slot]
            slots[slot] = (total + count, known + 1)


def _replace(directory: Path, date: str, data: bytes) -> None:
    """Write a day's file atomically, and delete the oldest files beyond ``DAYS_KEPT``."""
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    with whole_file(directory / f"{date}.json") as stream:
        stream.write(data)
        os.fchmod(stream.fileno(), 0o640)
    kept = sorted(one for one in directory.glob("*.json") if DATE.fullmatch(one.stem))
    for old in kept[:-DAYS_KEPT]:
        with suppress(OSError):
            old.unlink()


def routes(pages: Pages) -> list[Route]:
    """The HTTP routes that return as JSON: the dates of recorded days, one day, and the usual number of waiting
    people.
    """

    async def listed(_request: Request) -> Response:
        return JSONResponse(
            {"days": await asyncio.to_thread(pages.days.dates), "today": pages.days.today.date}
        )

    async def one(request: Request) -> Response:
        date = request.path_params.get("date", pages.days.today.date)
        found = (
            pages.days.read(date)
            if date == pages.days.today.date
            else await asyncio.to_thread(pages.days.read, date)
        )
        if found is None:
            return PlainTextResponse("no such day\n", 404)
        return Response(found, media_type="application/json")

    known: dict[str, dict[str, list[float | None]]] = {}  # by today's date: earlier days stay

    async def usual(_request: Request) -> Response:
        today = pages.days.today.date
        if today not in known:
            found = await asyncio.to_thread(pages.days.usual, today)
            known.clear()
            known[today] = found
        return JSONResponse({"slot_min": SLOT_MIN, "areas": known[today]})

    return [Route("/usual", usual), Route("/day", one), Route("/days", listed), Route("/days/{date}", one)]
