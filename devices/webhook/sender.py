"""The process `edged pager`: receives pages on local sockets and sends them to the robots' vendors. Rules:

1. At most 20 messages a minute per robot: ``BURST`` without a pause, then one every ``REFILL_S``. Pages that wait
   meanwhile are sent as one message, one line per page.
2. Within ``TRY_S`` the daemon is told whether a page was delivered. If the vendor refuses it, that is at once. If the
   vendor does not answer, is busy or sends an invalid answer, the page is tried again after growing pauses. Once the
   daemon has its answer, the page is not sent any more.
3. A robot is down while its vendor cannot be reached. It tries to open a connection until that succeeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog

from devices.webhook import vendors
from devices.webhook.driver import WebhookOptions
from devices.webhook.lines import UNDELIVERED, LineReader, line
from edged.clock import Clock, monotonic_s
from edged.core.model.losses import LOSSES, known
from edged.links.losses import loss_of

BURST = 5  # messages at once; with the refill at most 20 in any minute
REFILL_S = 4.0
TRY_S = 11.0  # real seconds for a page; the daemon waits 13
POST_S = 5.0  # for one try
BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
PROBE_S = (2.0, 5.0, 10.0, 30.0)  # between looks whether the vendor can be reached again
QUEUE_MAX = 100
FILE_BYTES_MAX = 4096
log = structlog.get_logger("edged.pager")


class Wanted(NamedTuple):
    """One page to deliver until ``until_s``, in seconds of ``edged.clock.monotonic_s``. ``at``: the number or id of the
    person to mention; "" for nobody. ``answer`` is called once: with None when the page is delivered, or with the error
    as text.
    """

    text: str
    at: str
    until_s: float
    answer: Callable[[str | None], None]


Post = Callable[[vendors.RobotPost], tuple[int, bytes]]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        """Follow no redirect: the robot's key must only go to the configured host."""


def post(outgoing: vendors.RobotPost) -> tuple[int, bytes]:
    """Send one POST and wait for the answer; returns HTTP status and body. Blocking. Raises ``OSError`` if no HTTP
    answer comes.
    """
    asked = urllib.request.Request(  # noqa: S310 - the scheme was checked when the file was read
        outgoing.url, outgoing.body, {"Content-Type": "application/json; charset=utf-8"}
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(asked, timeout=POST_S) as answer:
            return answer.status, answer.read(vendors.ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        return error.code, b""
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from None
    except HTTPException as error:  # the answer is no HTTP, or incomplete
        raise OSError(f"no HTTP answer: {type(error).__name__}") from None


def secret_line(file: str) -> str:
    """Return the first line of ``file``; "" if the file is empty. Raises ``OSError`` if it cannot be read,
    ``ValueError`` if it is not UTF-8.
    """
    with Path(file).open("rb") as stream:
        text = stream.read(FILE_BYTES_MAX).decode("utf-8-sig")
    return text.splitlines()[0].strip() if text.strip() else ""


def address(file: str) -> str:
    """Read the robot's URL from the first line of ``file``. Raises ``OSError`` if the file cannot be read,
    ``ValueError`` if the line is no http or https URL. The errors' texts do not quote the line, because the URL
    contains the robot's key.
    """
    url = secret_line(file)
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{file} holds no https:// address in its first line")
    return url


class Outlet(ABC):
    """One way to send pages (calls for members of staff) out of the hall, such as a chat robot. ``run`` sends them; it
    must run as a task. ``up``: whether pages can be delivered now (None: not known yet).
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.up: bool | None = None
        self.sent = 0  # messages
        self.loss = ("", "")
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` now and at each change of ``up``. Returns a function that stops these calls."""
        self._watchers.append(changed)
        changed()
        return lambda: self._watchers.remove(changed)

    @abstractmethod
    def want(self, wanted: Wanted) -> None:
        """Queue a page. If it cannot be queued, call its ``answer`` with the reason at once."""

    @abstractmethod
    async def run(self) -> None:
        """Send pages, and check whether they can be delivered, until cancelled."""

    def _set_up(self, up: bool) -> None:
        if up is not self.up:
            self.up = up
            if up:
                log.info(
                    "pages-get-through", device=self.device, effect="staff can be paged through this device"
                )
            else:
                log.warning(
                    "pages-do-not-get-through",
                    device=self.device,
                    reason=self.loss[1],
                    effect="staff cannot be paged through this device: others are paged, or the page is sent later",
                    remedy=LOSSES[known(self.loss[0])].do_en,
                )
            for changed in list(self._watchers):
                changed()


class Robot(Outlet):
    """A chat robot as an outlet: sends pages as messages of the robot. ``up``: whether the robot's vendor can be
    reached.
    """

    def __init__(
        self, device: str, options: WebhookOptions, send: Post = post, refill_s: float = REFILL_S
    ) -> None:
        """``send``: posts a message to the vendor. ``refill_s``: real seconds between messages after a burst. Raises
        ``OSError`` or ``ValueError`` if a file with URL or secret cannot be used.
        """
        super().__init__(device)
        self._options = options
        self._url = address(options.url_file)
        self._secret = None if options.secret_file is None else secret_line(options.secret_file)
        self._send = send
        self._clock = Clock()
        self._refill_s = refill_s
        self._tokens, self._counted_s = float(BURST), monotonic_s()
        self._queue: list[Wanted] = []
        self._some = asyncio.Event()

    def want(self, wanted: Wanted) -> None:
        """Queue a page for the vendor. If too many wait, call its ``answer`` with the reason at once."""
        if len(self._queue) >= QUEUE_MAX:
            wanted.answer(f"{UNDELIVERED}: too many pages at once")
            return
        self._queue.append(wanted)
        self._some.set()

    async def run(self) -> None:
        """Send pages, and check whether the vendor can be reached, until cancelled."""
        await self._check_vendor()
        while True:
            if not self.up:
                await self._probe()
            await self._some.wait()
            await self._token()
            pages, self._queue = self._queue, []
            text, count = vendors.joined([page.text for page in pages])
            self._queue = pages[count:] + self._queue
            if not self._queue:
                self._some.clear()
            await self._deliver(text, pages[:count])

    async def _token(self) -> None:
        while True:
            now_s = monotonic_s()
            self._tokens = min(BURST, self._tokens + (now_s - self._counted_s) / self._refill_s)
            self._counted_s = now_s
            if self._tokens >= 1:
                self._tokens -= 1
                return
            await asyncio.sleep((1 - self._tokens) * self._refill_s)

    async def _deliver(self, text: str, pages: list[Wanted]) -> None:
        at = tuple(dict.fromkeys(page.at for page in pages if page.at))
        until_s = min(page.until_s for page in pages)
        why, reached = "the hall sent too many at once", True
        for wait_s in (*BACKOFF_S, *[BACKOFF_S[-1]] * 4):
            if monotonic_s() >= until_s:
                break
            verdict, why, reached = await self._try(text, at)
            if verdict != "later":
                self._set_up(True)
                for page in pages:
                    page.answer(None if verdict == "sent" else f"{self._options.vendor} refuses: {why}")
                return
            await asyncio.sleep(max(0.0, min(wait_s, until_s - monotonic_s())))
        log.warning(
            "pages-undelivered",
            device=self.device,
            pages=len(pages),
            reason=why,
            effect="these pages probably reached nobody: others are paged, or the pages are sent later",
            remedy="if it happens again, send a message with this chat robot in the vendor's app, and check its URL",
        )
        if not reached:
            self._set_up(False)
        for page in pages:
            page.answer(f"{UNDELIVERED}: {why}")

    async def _try(self, text: str, at: tuple[str, ...]) -> tuple[vendors.Verdict, str, bool]:
        vendor = self._options.vendor
        outgoing = vendors.request(vendor, self._url, self._secret, text, at, self._clock.wall_ms())
        try:
            status, body = await asyncio.to_thread(self._send, outgoing)
        except OSError as error:
            self.loss = loss_of(error)
            return "later", self.loss[1] or self.loss[0], False
        verdict, why = vendors.judged(vendor, status, body)
        self.sent += verdict == "sent"
        if verdict == "later":
            self.loss = ("bad-answer", why)
        return verdict, why, why != vendors.NOBODY

    async def _check_vendor(self) -> None:
        """Try to open a connection to the vendor, and set ``up`` to whether that succeeded."""
        parts = urlsplit(self._url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(POST_S):
                _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.close()
        except (OSError, TimeoutError) as error:
            self.loss = loss_of(error)
            self._set_up(False)
        else:
            self._set_up(True)

    async def _probe(self) -> None:
        for wait_s in (*PROBE_S, *[PROBE_S[-1]] * 10_000):
            await asyncio.sleep(wait_s)
            await self._check_vendor()
            if self.up:
                return


async def _talk(robot: Outlet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection of the daemon to the socket: receive pages, and send back their outcomes and whether
    ``robot`` is up.
    """
    lines = LineReader()

    def send(**fields: Any) -> None:
        if not writer.is_closing():
            writer.write(line(**fields))

    def state() -> None:
        if robot.up is not None:
            send(up=robot.up, word=robot.loss[0], detail=robot.loss[1])

    stop = robot.watch(state)
    try:
        while data := await reader.read(4096):
            for found in lines.feed(data):
                _take(robot, found, send)
    except OSError:
        pass  # the daemon has disconnected
    finally:
        stop()
        writer.close()


def _take(robot: Outlet, found: dict[str, Any], send: Callable[..., None]) -> None:
    key, text, at = found.get("id"), found.get("text"), found.get("at")
    if not (isinstance(key, str) and isinstance(text, str) and isinstance(at, str)):
        return

    def answer(error: str | None) -> None:
        send(id=key, ok=error is None, error=error)

    robot.want(Wanted(text, at, monotonic_s() + TRY_S, answer))


async def serve(robots: Sequence[tuple[Outlet, str]], ready: Callable[[], None] = lambda: None) -> None:
    """Serve the given outlets, each on the socket at its path, until cancelled. ``ready`` is called when all listen.
    Raises ``OSError`` if a socket cannot be made.
    """
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for robot, path in robots:
            server = await asyncio.start_unix_server(partial(_talk, robot), sock=_bound(path))
            await stack.enter_async_context(server)
            group.create_task(robot.run())
        ready()


def _bound(path: str) -> socket.socket:
    """Make a listening socket at ``path``, which only this process's user and group may open. A socket left there by an
    earlier process is deleted first.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    os.chmod(path, 0o660)
    return made
