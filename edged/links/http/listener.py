"""uvicorn with two limits that it lacks: on the number of connections, and on the time until a request has arrived."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX = 256  # a browser has six at most; LimitNOFILE=1024 leaves room for everything else
PHONES_MAX = 512  # each for the moment of a question
HEAD_S = 5.0  # a request's head comes in one packet on a LAN
HEAD_BYTES_MAX = 8_192
IDLE_S = 10.0  # a connection kept for the next request
PHONE_IDLE_S = 1.0  # a phone that loads a page has several; the next question comes much later
SEND_BUFFER_BYTES = 64 * 1024  # what the kernel holds for a slow reader
GRACE_S = 1  # for open streams when we are stopped
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2, whose others are old; those of 1.3 are all good
ABORT = "edged.abort"  # of an ASGI scope: ends the connection at once


class LimitedConnection(H11Protocol):
    """One connection; closed immediately if there are ``connections_max`` already, and after ``HEAD_S`` if no request
    has arrived.
    """

    connections_max = CONNECTIONS_MAX

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._inner = cast(ASGIApp, self.app)
        self.app = cast(Any, self._answer)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            transport.abort()
            return
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and not self._answering:
            self._wait()
        super().data_received(data)
        if self._answering:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._stop_waiting()
        await self._inner({**scope, ABORT: self.transport.abort}, receive, send)

    def _wait(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class PhoneConnection(LimitedConnection):
    """A ``LimitedConnection`` of the listener for visitors' phones, with its own limit ``PHONES_MAX``."""

    connections_max = PHONES_MAX


class _ListenerConfig(uvicorn.Config):
    """uvicorn's settings, with TLS 1.2 as the oldest version: Debian's Python leaves that to the system's settings."""

    def load(self) -> None:
        """Load certificate and application. Raises ``OSError`` if a file cannot be used."""
        super().load()
        if self.ssl is not None:
            self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


class Listener(uvicorn.Server):
    """Serves ``app`` on a socket that is bound already; leaves signal handlers alone."""

    def __init__(
        self,
        app: ASGIApp,
        cert_file: str | None = None,
        key_file: str | None = None,
        phones: bool = False,
    ) -> None:
        """``cert_file`` and ``key_file``: PEM files, which switch HTTPS on. ``phones``: the clients are visitors'
        phones, of which more may connect (``PHONES_MAX``), but whose idle connections end sooner (``PHONE_IDLE_S``).
        """
        super().__init__(
            _ListenerConfig(
                cast(Any, app),
                http=PhoneConnection if phones else LimitedConnection,
                ws="none",
                ssl_certfile=cert_file,
                ssl_keyfile=key_file,
                ssl_ciphers=CIPHERS,
                lifespan="off",
                loop="none",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=int(PHONE_IDLE_S if phones else IDLE_S),
                timeout_graceful_shutdown=GRACE_S,
                h11_max_incomplete_event_size=HEAD_BYTES_MAX,
                backlog=64,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: the process has its own."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises ``OSError`` if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.create_server((host, port), family=family, backlog=64)
    place.setblocking(False)
    return place
