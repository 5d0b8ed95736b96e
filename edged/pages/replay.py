"""``/replay``: shows a recorded day again, and the same day under another policy, simulated in a child process at idle
priority.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from edged.pages.server import Pages

WORK_S = 300.0  # limit for one comparison; the machine has other work
WAITING_MAX = 4  # requests that may wait behind the running one
ANSWERS_KEPT = 16
# predicted waits (min) that may be chosen as the other policy's opening threshold
MINUTES = frozenset(str(one) for one in range(2, 46))
LINE_BYTES_MAX = 8 * 1024 * 1024
FAILED = b'{"failed":true}'


class Comparisons:
    """Simulates recorded days with another opening threshold, one simulation at a time, and keeps the results for past
    days.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._known: OrderedDict[tuple[str, float | None], bytes] = OrderedDict()

    @property
    def full(self) -> bool:
        """Whether so many requests wait that a further one is refused."""
        return self._waiting >= WAITING_MAX

    async def answer(
        self, date: str, day: bytes, minutes: float | None, lasting: bool
    ) -> AsyncIterator[bytes]:
        """Yield the progress and then the result of simulating the recorded day ``day`` (JSON), as lines of JSON.

        ``minutes``: the predicted wait at which the other policy opens a "+1" window; None: never. ``lasting``: the day
        is over, so that the result may be kept for later requests.
        """
        known = self._known.get((date, minutes))
        if known is not None:
            yield known
            return
        self._waiting += 1
        try:
            yield b'{"done":0,"of":0}'
            async with self._turn, asyncio.timeout(WORK_S):
                async for line in _worked_out(day, minutes):
                    if lasting and line.startswith(b'{"result"'):
                        self._known[date, minutes] = line
                        while len(self._known) > ANSWERS_KEPT:
                            self._known.popitem(last=False)
                    yield line
        except TimeoutError:
            yield FAILED
        finally:
            self._waiting -= 1


async def _worked_out(day: bytes, minutes: float | None) -> AsyncIterator[bytes]:
    """Run the child process ``edged.pages.whatif`` and yield its lines of output, or ``FAILED`` if it ends without a
    result. It is killed when the request ends.
    """
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edged.pages.whatif", stdin=pipe, stdout=pipe, stderr=none, limit=LINE_BYTES_MAX
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b'{"day":' + day + b',"other_min":' + msgspec.json.encode(minutes) + b"}")
        process.stdin.close()
        ended = False
        async for line in process.stdout:
            ended = line.startswith(b'{"result"')
            yield line.strip()
        if not ended:
            yield FAILED
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def routes(pages: Pages) -> list[Route]:
    """The HTTP routes ``/replay`` (the page) and ``/replay/what?day=2026-11-23&minutes=7``, which simulates a day and
    sends progress and result as server-sent events (``minutes=never``: without "+1" windows).
    """
    comparisons = Comparisons()

    async def what(request: Request) -> Response:
        date, text = request.query_params.get("day", ""), request.query_params.get("minutes", "")
        if text != "never" and text not in MINUTES:
            return PlainTextResponse("minutes is 2 to 45, or never\n", 400)
        if comparisons.full:
            return PlainTextResponse("others wait already\n", 503, {"Retry-After": "30"})
        today = date == pages.days.today.date
        day = pages.days.read(date) if today else await asyncio.to_thread(pages.days.read, date)
        if day is None:
            return PlainTextResponse("no such day\n", 404)
        lines = comparisons.answer(date, day, None if text == "never" else float(text), not today)
        return StreamingResponse(
            (b"data: " + line + b"\n\n" async for line in lines), media_type="text/event-stream"
        )

    return [Route("/replay", pages.shown("replay.html")), Route("/replay/what", what)]
