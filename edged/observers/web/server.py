"""``/metrics`` and ``/healthz``. Reads, never commands; one request per connection; knows its own name.

The Host check stops a web page on a clerk's PC from reading the hall through a rebound DNS name.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from aiohttp import web

from edged.observers.web.doorkeeper import HEAD_TIMEOUT_S, Doorkeeper

HEAD_LINE_MAX_BYTES = 4096  # longer request lines or headers are nobody's we know
HEADERS_MAX = 32
BACKLOG = 16  # connections the kernel may hold while the loop is busy
CLOSE_TIMEOUT_S = 2.0  # for answers under way at a clean stop

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Health:
    """What ``/healthz`` says. ``serving``: state restored and outputs asserted. Times in seconds.

    ``alarms`` ("kind/subject") stand in the hall: they are people's to mend and leave the health as it is.
    """

    serving: bool
    durable: bool
    mqtt_connected: bool
    devices_lost: tuple[str, ...]
    policy_version: int
    epoch: int
    seq: int
    uptime_s: float
    alarms: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """ "ok", or "degraded" while anything named here is missing."""
        whole = self.serving and self.durable and self.mqtt_connected and not self.devices_lost
        return "ok" if whole else "degraded"

    @property
    def status(self) -> int:
        """200 while calls are served and kept; lost devices and links are for the metrics to alarm."""
        return 200 if self.serving and self.durable else 503


class WebServer:
    """Serves until cancelled. ``metrics`` renders the exposition; ``refused(reason)`` counts turned-away clients."""

    def __init__(
        self,
        metrics: Callable[[], bytes],
        health: Callable[[], Health],
        refused: Callable[[str], None],
        head_timeout_s: float = HEAD_TIMEOUT_S,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._refused = refused
        self._names: frozenset[str] = frozenset()
        self.doorkeeper = Doorkeeper(refused, head_timeout_s)
        self.port: int | None = None

    async def run(
        self,
        host: str = "127.0.0.1",
        port: int = 9464,
        names: tuple[str, ...] = (),
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen on ``host``; ``names`` are further Host values to accept. ``port`` 0 takes a free one (``self.port``).

        Raises ``OSError`` where the address cannot be bound: a configuration mistake that start must show.
        """
        self._names = frozenset({"localhost", "127.0.0.1", "::1", host.lower(), *(n.lower() for n in names)})
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            max_line_size=HEAD_LINE_MAX_BYTES,
            max_field_size=HEAD_LINE_MAX_BYTES,
            max_headers=HEADERS_MAX,
            shutdown_timeout=CLOSE_TIMEOUT_S,
        )
        await runner.setup()
        inner = runner.server
        assert inner is not None
        listener = None
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: self.doorkeeper.guard(inner()), host, port, backlog=BACKLOG
            )
            self.port = listener.sockets[0].getsockname()[1]
            started()
            await asyncio.Event().wait()
        finally:
            if listener is not None:
                listener.close()
            await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        app.router.add_get("/metrics", self._show_metrics, allow_head=False)
        app.router.add_get("/healthz", self._show_health, allow_head=False)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Answer) -> web.StreamResponse:
        self.doorkeeper.request_came(request.transport)
        response: web.StreamResponse
        if request.method != "GET":
            response = web.Response(status=405, text="GET only\n", headers={"Allow": "GET"})
        elif _host_name(request.headers.get("Host", "")) not in self._names:
            self._refused("http-host")
            response = web.Response(status=421, text="unknown Host\n")
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.Response(status=error.status, text=f"{error.reason}\n")
        response.headers.update(SECURITY_HEADERS)
        response.force_close()
        return response

    async def _show_metrics(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _show_health(self, _request: web.Request) -> web.StreamResponse:
        health = self._health()
        return web.json_response({"state": health.state, **asdict(health)}, status=health.status)


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; "" where it is malformed."""
    name, bracket, rest = host.partition("]")
    if bracket:
        try:
            return str(ipaddress.IPv6Address(name.removeprefix("[")))
        except ValueError:
            return ""
    name, colon, rest = host.partition(":")
    return "" if colon and not rest.isdigit() else name.lower()
