"""An ASGI app to which devices post their reports: authenticates the device, limits size and time of the body, and
passes it on.

The path is ``/DEVICE``, or ``/DEVICE/TOKEN`` for devices that support neither Basic nor Digest. Answers: 200 stored,
400 unreadable body, 401 wrong or no credentials, 404 unknown device, 405 not a POST, 408 body too slow, 413 body too
large, 503 not stored, send it again later. A wrong secret is answered only after ``WRONG_S`` seconds, so that guessing
takes years.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from edged.clock import monotonic_s
from edged.links.http.credentials import Credential, PostDoorkeeper

BODY_BYTES_MAX = 64 * 1024  # an hour of a sensor with eight lines takes 20 KiB; pictures are not for us
BODY_S = 10.0  # real seconds for the whole body
WRONG_S = 1.0
Outcome = Literal["kept", "unreadable", "later"]
Take = Callable[[str, bytes], Awaitable[Outcome]]
STATUS = {"kept": 200, "unreadable": 400, "later": 503}


class PostDoor:
    """An ASGI app that receives the reports of devices. ``doors`` maps each device's id to the credential that it has
    to send. ``take(device, body)`` handles a body and returns the outcome. ``answered`` counts answers by HTTP status.
    """

    def __init__(self, doors: Mapping[str, Credential], take: Take, body_s: float = BODY_S) -> None:
        self._doors = doors
        self._take = take
        self._body_s = body_s
        self._keeper = PostDoorkeeper()
        self.answered: Counter[int] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request of a device (the ASGI interface)."""
        status, more = await self._judged(scope, receive)
        self.answered[status] += 1
        headers = [(b"content-length", b"0"), (b"cache-control", b"no-store"), *more]
        if status in (408, 413):  # the rest of the body is not read
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _judged(self, scope: Any, receive: Any) -> tuple[int, list[tuple[bytes, bytes]]]:
        _, _, rest = scope["path"].partition("/")
        device, _, token = rest.partition("/")
        credential = self._doors.get(device)
        if credential is None:
            await asyncio.sleep(WRONG_S)
            return 404, []
        if scope["method"] != "POST":
            return 405, [(b"allow", b"POST")]
        refused = await self._refused(scope, credential, unquote(token))
        if refused is not None:
            return 401, [(b"www-authenticate", one.encode()) for one in refused]
        try:
            async with asyncio.timeout(self._body_s):
                body = await _body(scope, receive)
        except TimeoutError:
            return 408, []
        if body is None:
            return 413, []
        status = STATUS[await self._take(device, body)]
        return status, [(b"retry-after", b"5")] if status == 503 else []

    async def _refused(self, scope: Any, credential: Credential, token: str) -> list[str] | None:
        """Authenticate a request. None: it comes from the device; otherwise the WWW-Authenticate headers of a 401
        answer.
        """
        if token and credential.is_token(token):
            return None
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        query = scope["query_string"].decode("latin-1")
        target = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
        target = f"{target}?{query}" if query and "?" not in target else target
        now_s = monotonic_s()
        header = given[0] if len(given) == 1 else ""
        verdict = self._keeper.judge(header, scope["method"], target, credential, now_s)
        if verdict == "yes":
            return None
        if verdict == "no" or token:
            await asyncio.sleep(WRONG_S)
        return self._keeper.challenges(now_s, verdict == "stale")


async def _body(scope: Any, receive: Any) -> bytes | None:
    """Read the whole body; None if it exceeds ``BODY_BYTES_MAX``. If the client disconnects, what arrived is returned;
    being incomplete JSON, it is refused later.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > BODY_BYTES_MAX):
            return None
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return body
