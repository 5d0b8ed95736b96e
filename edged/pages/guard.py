"""Checks and limits for every HTTP request: method, Host header, response headers, time.

Follows OWASP ASVS 4.0.3, level 1: V13.2.1 (methods), V14.4 (headers), V14.5.3 (Host), V12.1 (sizes). See decision 0102.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edged.http_host import HostNames
from edged.links.http.listener import ABORT

WRITES = frozenset(
    {"/duty/login", "/duty/logout", "/duty/act"}
)  # paths that take a POST; the rest is for reading
READS = ("GET", "HEAD")
SEND_S = 10.0  # a client that reads nothing for so long is disconnected
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
NO_STORE = (b"cache-control", b"no-store")
# HSTS: a browser that came over HTTPS uses nothing else for half a year. Without subdomains, which are not ours.
HTTPS_ONLY = (b"strict-transport-security", b"max-age=15724800")
# A browser that is led to a JSON address saves a file instead of displaying it (V14.4.2).
AS_FILE = (b"content-disposition", b'attachment; filename="api.json"')
JSON = (b"content-type", b"application/json")


class Guard:
    """An ASGI application that passes a request on to another one (``inner``) only after this module's checks.
    ``host``: the address it listens on; ``names``: further host names it accepts.
    """

    def __init__(
        self, inner: ASGIApp, host: str, names: Iterable[str], writes: frozenset[str] = WRITES
    ) -> None:
        """``writes``: paths that take a POST."""
        self._writes = writes
        self._inner = inner
        self._names = HostNames(host, names)
        self.slow = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection: refuse it, or pass it on with a time limit."""
        if scope["type"] != "http":
            return
        outer = _patient(send, scope.get("scheme") == "https")
        refusal = self._refusal(scope)
        try:
            await (self._inner if refusal is None else refusal)(scope, receive, outer)
        except (TimeoutError, ConnectionError):
            self.slow += 1
            if ABORT in scope:
                scope[ABORT]()  # a normal close would wait until the client reads

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] not in READS and not (scope["method"] == "POST" and scope["path"] in self._writes):
            return PlainTextResponse("GET only\n", 405, {"Allow": "GET, HEAD"})
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if not self._names.has(hosts):
            return PlainTextResponse("unknown Host\n", 421)
        return None


def _patient(send: Send, secure: bool) -> Send:
    """``send`` with our headers and a time limit for each message; ``secure``: the connection is HTTPS."""

    async def outer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *HEADERS]
            if all(name != b"cache-control" for name, _ in headers):
                headers.append(NO_STORE)
            headers += [HTTPS_ONLY] * secure + [AS_FILE] * (JSON in headers)
            message = {**message, "headers": headers}
        async with asyncio.timeout(SEND_S):
            await send(message)

    return outer
