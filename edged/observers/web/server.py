"""``/metrics`` and ``/healthz``: read-only, one request per connection, for known Host headers only.

No HTTP library: GET without a body needs a page of code; a framework takes 11 MiB of memory and a quarter of the start
time (edged/bench/MEASUREMENTS.md).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus

from edged.http_host import HostNames
from edged.observers.web.doorkeeper import HEAD_TIMEOUT_S, Doorkeeper

HEAD_MAX_BYTES = 8192  # request line and headers; no known client sends more
HEADERS_MAX = 32
BACKLOG = 16  # connections the kernel may hold while the loop is busy
REQUEST = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,2048}) HTTP/1\.[01]")  # RFC 9112 §3
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\x20-\x7e\t\x80-\xff]*)")  # RFC 9112 §5

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class DeviceLoss:
    """Why a device is lost. ``reason``: a word of ``LOSSES``; ``detail``: what was seen; ``since``: RFC 3339; ``zh``,
    ``en``: the reason in words; ``do_zh``, ``do_en``: the remedy.
    """

    reason: str
    detail: str
    since: str
    zh: str
    en: str
    do_zh: str
    do_en: str


@dataclass(frozen=True, slots=True)
class HallHealth:
    """The content of ``/healthz``. ``serving``: the state is restored and outputs are set.

    ``mqtt_reason``: why the broker is not connected. ``config_mistakes``: the errors in hall.toml, while the version
    accepted before is in use. ``concerns``: the daemon's own alarms ("kind/subject") with the reason for each.

    ``losses``: reason, time and remedy for each of ``devices_lost``.

    ``alarms`` ("kind/subject"): the hall's standing alarms, for people to settle; they do not affect the health.
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
    mqtt_reason: str = ""
    config_mistakes: tuple[str, ...] = ()
    concerns: dict[str, str] = field(default_factory=dict)
    losses: dict[str, DeviceLoss] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """ "ok" while the hall is served, events reach the disk, the broker is connected, no device is lost and
        hall.toml has no mistakes; otherwise "degraded".
        """
        whole = self.serving and self.durable and self.mqtt_connected
        whole = whole and not (self.devices_lost or self.config_mistakes)
        return "ok" if whole else "degraded"

    @property
    def status(self) -> int:
        """The HTTP status: 200 while the hall is served and events reach the disk, else 503. Lost devices and links do
        not count here; they have metrics and alarms.
        """
        return 200 if self.serving and self.durable else 503


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response. ``kind`` is the Content-Type."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    allow: str | None = None

    def encode(self) -> bytes:
        """The whole HTTP answer, head and body, as bytes."""
        headers = {"Content-Type": self.kind, "Content-Length": str(len(self.body)), "Connection": "close"}
        if self.allow is not None:
            headers["Allow"] = self.allow
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in (headers | SECURITY_HEADERS).items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request. Header names are in lower case; ``hosts``: the values of all Host headers."""

    method: str
    path: str
    headers: Mapping[str, str]
    hosts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, head: bytes) -> HttpRequest | None:
        """Parse the bytes before the empty line; None if they are malformed."""
        first, *lines = head.decode("latin-1").split("\r\n")
        asked = REQUEST.fullmatch(first)
        found = [HEADER.fullmatch(line) for line in lines]
        if asked is None or len(lines) > HEADERS_MAX:
            return None
        headers: dict[str, str] = {}
        hosts: list[str] = []
        for header in found:
            if header is None:
                return None
            name, value = header[1].lower(), header[2].strip()
            if name == "host":
                hosts.append(value)
            elif headers.setdefault(name, value) != value:
                return None
        return cls(asked[1], asked[2].partition("?")[0], headers, tuple(hosts))


class WebServer:
    """The HTTP server: ``open`` it, then ``run`` until cancelled. ``metrics`` returns the exposition text;
    ``refused(reason)`` counts refused requests and connections.
    """

    def __init__(
        self,
        metrics: Callable[[], bytes],
        health: Callable[[], HallHealth],
        refused: Callable[[str], None],
        head_timeout_s: float = HEAD_TIMEOUT_S,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._refused = refused
        self._names = HostNames("localhost")
        self._routes = {"/metrics": self._show_metrics, "/healthz": self._show_health}
        self.doorkeeper = Doorkeeper(refused, head_timeout_s)
        self.port: int | None = None
        self._listener: asyncio.Server | None = None

    async def open(self, host: str = "127.0.0.1", port: int = 9464, names: Iterable[str] = ()) -> None:
        """Bind the address; ``names`` are further accepted Host values. With ``port`` 0 the system chooses one
        (``self.port``).

        Raises ``OSError`` if the address cannot be bound: the start must fail before it connects to the broker. No
        connection is accepted before ``run``.
        """
        self._names = HostNames(host, names)
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: self.doorkeeper.guard(_OneRequest(self.doorkeeper, self.answer)),
            host,
            port,
            backlog=BACKLOG,
            start_serving=False,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def run(self) -> None:
        """Serve until cancelled; call ``open`` first."""
        assert self._listener is not None
        await self._listener.start_serving()
        await asyncio.Event().wait()

    def close(self) -> None:
        """Close the listener and every connection."""
        if self._listener is not None:
            self._listener.close()
        self.doorkeeper.close()

    def answer(self, request: HttpRequest | None) -> HttpAnswer:
        """The response to ``request``; None: the request was malformed."""
        if request is None:
            return HttpAnswer(400, b"not a request\n")
        if request.method != "GET":
            return HttpAnswer(405, b"GET only\n", allow="GET")
        if not self._names.has(request.hosts):
            self._refused("http-host")
            return HttpAnswer(421, b"unknown Host\n")
        show = self._routes.get(request.path)
        return HttpAnswer(404, b"Not Found\n") if show is None else show()

    def _show_metrics(self) -> HttpAnswer:
        return HttpAnswer(200, self._metrics(), "text/plain; version=0.0.4; charset=utf-8")

    def _show_health(self) -> HttpAnswer:
        health = self._health()
        body = json.dumps({"state": health.state, **asdict(health)}, ensure_ascii=False).encode()
        return HttpAnswer(health.status, body, "application/json; charset=utf-8")


class _OneRequest(asyncio.Protocol):
    """One request, one answer, then the connection is closed."""

    def __init__(self, doorkeeper: Doorkeeper, answer: Callable[[HttpRequest | None], HttpAnswer]) -> None:
        self._doorkeeper = doorkeeper
        self._answer = answer
        self._head = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return  # already answered: further bytes are ignored
        self._head += data
        head, end, _body = self._head.partition(b"\r\n\r\n")
        if not end and len(self._head) <= HEAD_MAX_BYTES:
            return
        self._transport = None
        self._doorkeeper.request_came(transport)
        transport.write(self._answer(HttpRequest.parse(head) if end else None).encode())
        transport.close()
