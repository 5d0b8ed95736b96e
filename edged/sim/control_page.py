"""The demo's page of controls, on which a person takes numbers, presses keys and causes faults. Rules of this file:

* It exists only in the demo and listens only on this machine; ``edged web`` of a real hall has nothing of it.
* A request must come from our own page: same origin, JSON; there is no cookie that another site could use.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edged import strict_json
from edged.links.http.listener import Listener, bind
from edged.pages import assets
from edged.pages.guard import Guard
from edged.sim.controls import Controls, NotDone

HERE = "127.0.0.1"
BODY_BYTES_MAX = 1_024
BODY_S = 5.0
ACTS = frozenset({"/do"})


class ControlPage:
    """The web server of the page of controls: call ``bind`` to take a port, then ``run`` to serve until cancelled."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._files = assets.load() | assets.load("edged.sim", "touch")
        self._place: socket.socket | None = None

    def bind(self) -> str:
        """Bind a free port of this machine; returns the page's URL. Raises ``OSError`` if that fails."""
        self._place = bind(HERE, 0)
        return f"http://{HERE}:{self._place.getsockname()[1]}/"

    async def run(self) -> None:
        """Serve until cancelled; call ``bind`` first."""
        assert self._place is not None
        routes = [
            Route("/", self._page),
            Route("/state", self._state),
            Route("/do", self._do, methods=["POST"]),
            Route("/files/{name}", self._file),
        ]
        listener = Listener(Guard(Starlette(routes=routes), HERE, (), writes=ACTS))
        serving = asyncio.ensure_future(listener.serve(sockets=[self._place]))  # noqa: TID251 (ends with this block)
        try:
            await asyncio.shield(serving)
        finally:
            listener.should_exit = True
            await serving
            self._place.close()

    async def _page(self, request: Request) -> Response:
        return assets.answer(self._files["touch.html"], request)

    async def _file(self, request: Request) -> Response:
        return assets.answer(self._files.get(request.path_params["name"]), request)

    async def _state(self, _request: Request) -> Response:
        return JSONResponse(self._controls.state())

    async def _do(self, request: Request) -> Response:
        act = await _body(request)
        if act is None or request.headers.get("origin") != f"http://{request.headers.get('host')}":
            return _response("请求无效", "Not a request of this page", 400)
        try:
            return _response(*self._controls.do(act))
        except NotDone as error:
            return _response(*error.words, 409)


def _response(zh: str, en: str, status: int = 200) -> Response:
    return JSONResponse({"zh": zh, "en": en}, status)


async def _body(request: Request) -> dict[str, Any] | None:
    if request.headers.get("content-type") != "application/json":
        return None
    raw = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > BODY_BYTES_MAX:
                    return None
        return strict_json.parse_document(raw, BODY_BYTES_MAX)
    except (ClientDisconnect, strict_json.NotStrictJson):
        return None
