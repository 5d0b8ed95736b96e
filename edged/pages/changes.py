"""``/parts`` returns everything that pages show; ``/changes`` streams its changes as server-sent events.

Source: WHATWG HTML, 9.2 Server-sent events. Every event's id is the number of the newest change in it. A browser that
reconnects sends the last id (Last-Event-ID) and gets the changes since then, or everything if the id is unknown.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edged.pages.sheet import Sheet

STREAMS_MAX = 160  # pages open at once; a further one gets 503 with Retry-After
QUIET_S = 15.0  # a comment at least so often: a dead connection shows only when something is sent
AGAIN_MS = 2_000  # a browser reconnects after so long


class Streams:
    """Counts the open streams (browsers that receive changes) of all sheets, so that there are never more than
    ``STREAMS_MAX``.
    """

    def __init__(self) -> None:
        self.open = 0
        self.refused = 0
        self._streaming: set[asyncio.Future[None]] = set()

    def enter(self, streaming: asyncio.Future[None]) -> None:
        """Record that a stream opened. ``streaming``: the task that sends its changes."""
        self.open += 1
        self._streaming.add(streaming)

    def leave(self, streaming: asyncio.Future[None]) -> None:
        """Record that the stream of the task ``streaming`` closed."""
        self.open -= 1
        self._streaming.discard(streaming)

    def close(self) -> None:
        """End every stream, because the process stops."""
        for streaming in self._streaming:
            streaming.cancel()


def parts(sheet: Sheet) -> ASGIApp:
    """The endpoint ``/parts``: answers with all page parts of ``sheet`` as JSON."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(sheet.frame(0), media_type="application/json")(scope, receive, send)

    return whole


def changes(sheet: Sheet, streams: Streams) -> ASGIApp:
    """The endpoint ``/changes``: a browser's request stays open, and each change in ``sheet`` (the page parts of one
    kind of page) is sent to it as a server-sent event. ``streams`` counts the open ones; above ``STREAMS_MAX`` the
    answer is 503.
    """

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        if streams.open >= STREAMS_MAX:
            streams.refused += 1
            answer = PlainTextResponse("too many pages are open\n", 503, {"Retry-After": "10"})
            await answer(scope, receive, send)
            return
        gone = asyncio.ensure_future(_gone(receive))  # noqa: TID251 (lives no longer than this request)
        streaming = asyncio.ensure_future(_stream(sheet, _last_received(Request(scope), sheet), send))  # noqa: TID251
        streams.enter(streaming)
        try:
            await asyncio.wait({gone, streaming}, return_when=asyncio.FIRST_COMPLETED)
            if streaming.cancelled():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif streaming.done():
                streaming.result()
        finally:
            streams.leave(streaming)
            for task in (gone, streaming):
                task.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await asyncio.gather(gone, streaming, return_exceptions=True)

    return stream


async def _stream(sheet: Sheet, since: int, send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    text = b"retry: %d\n\n" % AGAIN_MS
    while True:
        await send({"type": "http.response.body", "body": text, "more_body": True})
        try:
            async with asyncio.timeout(QUIET_S):
                await sheet.changed(since)
        except TimeoutError:
            text = b": still here\n\n"
            continue
        upto = sheet.seq
        text = b"id: %s.%d\ndata: %s\n\n" % (sheet.life.encode(), upto, sheet.frame(since))
        since = upto


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _last_received(request: Request, sheet: Sheet) -> int:
    """Return the number of the last change that this browser has; 0 if it has none from this run of the process."""
    life, _, seq = request.headers.get("last-event-id", "").partition(".")
    if life != sheet.life or not seq.isdecimal() or len(seq) > 18 or int(seq) > sheet.seq:
        return 0
    return int(seq)
