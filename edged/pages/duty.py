"""``/duty``: a page with which named members of staff give the orders of a duty manager. Rules of this file:

* Orders need a PIN, and a connection that nobody else can read: HTTPS, or from this machine itself.
* A cookie alone is not enough: each order carries a token that only our own page could read, and comes from our origin
  (OWASP ASVS 4.0.3, V4.2.2). The cookie is HttpOnly and SameSite=Strict.
* An order (identified by a random text from the page) is carried out once, however often it is sent.
* Changing or deleting a PIN ends the sessions that began with it, at their next order.
* Without a signing key ([pages] ``duty_key``), a PIN file or any PIN in it, the page is read-only.
"""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edged import strict_json
from edged.central.envelope import KeyFileError
from edged.pages import pins
from edged.pages.duty_orders import DutyOrders, NotAnAct
from edged.pages.duty_sessions import ACTS_KEPT, DutySession, DutySessions

if TYPE_CHECKING:
    from edged.pages.server import Pages

COOKIE = "edged-duty"
SECURE_COOKIE = "__Secure-edged-duty"  # for HTTPS; plain HTTP cannot set it (RFC 6265bis, 4.1.3.1)
PROOF = "x-edged-proof"
BODY_BYTES_MAX = 4_096
BODY_S = 5.0  # for a request's body, which follows its head at once
KEY_LENGTHS = range(8, 65)
NO_PINS = "nobody can log in or give orders at the duty desk"
PIN_REMEDY = (
    "the file that [pages] names in `pins` must be as `edged web pin` wrote it, readable for edged web"
)

log = structlog.get_logger("edged.pages")


class DutyDesk:
    """The duty desk of one hall: the page on which duty managers log in with a PIN and give signed orders."""

    def __init__(self, pages: Pages) -> None:
        table = pages.config.pages
        self._pages = pages
        self._pins = None if table.pins is None else Path(table.pins)
        self._orders = None if table.duty_key is None else DutyOrders(pages, Path(table.duty_key))
        self._sessions = DutySessions()
        self._one_pin = asyncio.Lock()  # a hash takes 19 MiB: one at a time

    def routes(self) -> list[Route]:
        """The HTTP routes ``/duty`` (the page) and ``/duty/…`` (its requests)."""
        return [
            Route("/duty", self._pages.shown("duty.html")),
            Route("/duty/session", self.session),
            Route("/duty/login", self.login, methods=["POST"]),
            Route("/duty/logout", self.logout, methods=["POST"]),
            Route("/duty/act", self.act, methods=["POST"]),
        ]

    async def session(self, request: Request) -> Response:
        """Return who is logged in, which orders this hall allows, and, if orders cannot be given in this browser, why
        (null: they can).
        """
        found = self._sessions.of(_cookie(request))
        config = self._pages.config
        return JSONResponse(
            {
                "name": None if found is None else found.name,
                "proof": None if found is None else found.proof,
                "why_not": self._why_not(request),
                "operations": list(config.duty.operations),
            }
        )

    def _why_not(self, request: Request) -> dict[str, str] | None:
        if self._orders is None or self._pins is None:
            return _two(
                "本大厅没有配置值班台密钥：此页只能查看",
                "No duty key is configured: this page is for reading",
            )
        if not _is_private(request):
            return _two(
                "请在控制器本机或通过 HTTPS 打开此页，才能操作",
                "Open this page by HTTPS, or on the controller, to act",
            )
        return None

    async def login(self, request: Request) -> Response:
        """Log in with a name and a PIN."""
        body = await _body(request)
        if body is None or not _ours(request):
            return _no(400, "请求无效", "Not a request of this page")
        why = self._why_not(request)
        if why is not None or self._pins is None:
            return JSONResponse(why, 403)
        address = "" if request.client is None else request.client.host
        name, pin = str(body.get("name", ""))[: pins.NAME_MAX].strip(), str(body.get("pin", ""))[:64]
        async with self._one_pin:
            wait_s = self._sessions.wait_s(name, address)
            if wait_s:
                return _no(
                    429, f"尝试过多，请{round(wait_s)}秒后再试", f"Too many tries: again in {round(wait_s)} s"
                )
            try:
                known = await asyncio.to_thread(self._known, self._pins, name, pin)
            except pins.PinsUnusable as error:
                log.error("pin-file-unusable", detail=str(error), effect=NO_PINS, remedy=PIN_REMEDY)
                return _no(503, "PIN 文件不可用，请联系管理员", "The file of PINs cannot be used")
        if known is None:
            self._sessions.wrong(name, address)
            log.warning(  # without the name: it may be somebody's PIN, typed into the wrong field
                "duty-login-refused",
                reason="wrong name or PIN",
                effect="nobody was logged in; more wrong tries make this name and this address wait",
                remedy="a PIN that was forgotten: `edged web pin set` sets another one",
            )
            return _no(403, "姓名或 PIN 不正确", "Wrong name or PIN")
        made = self._sessions.begin(name, known, address)
        log.info("duty-login", by=name)
        answer = JSONResponse({"name": name, "proof": made.proof})
        answer.set_cookie(
            _cookie_name(request),
            made.token,
            path="/duty",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def _known(self, file: Path, name: str, pin: str) -> str | None:
        """The stored hash of the PIN if ``pin`` is right, else None. Raises ``PinsUnusable`` if the PIN file cannot be
        read.
        """
        hashes = pins.load(file)
        return hashes[name] if pins.is_right(hashes, name, pin) else None

    async def _may_still(self, session: DutySession) -> bool:
        """Whether the PIN with which the session began is still valid. False also if the PIN file cannot be read, which
        is logged.
        """
        assert self._pins is not None
        try:
            return (await asyncio.to_thread(pins.load, self._pins)).get(session.name) == session.pin_hash
        except pins.PinsUnusable as error:
            log.error("pin-file-unusable", detail=str(error), effect=NO_PINS, remedy=PIN_REMEDY)
            return False

    async def logout(self, request: Request) -> Response:
        """End the session of this browser."""
        found = self._proven(request)
        if found is not None:
            self._sessions.end(found)
        answer = JSONResponse({})
        secure = request.url.scheme == "https"
        answer.delete_cookie(_cookie_name(request), "/duty", secure=secure, httponly=True, samesite="strict")
        return answer

    async def act(self, request: Request) -> Response:
        """Carry out one order; its ``key_of_act`` is a random text from the page, by which a repeat is recognised."""
        found, body = self._proven(request), await _body(request)
        if found is None or self._why_not(request) is not None:
            return _no(403, "请重新登录", "Log in again")
        if not await self._may_still(found):
            self._sessions.end(found)
            return _no(403, "PIN 已更改或取消，请重新登录", "The PIN was changed or taken away: log in again")
        key = None if body is None else body.get("key_of_act")
        if body is None or not isinstance(key, str) or len(key) not in KEY_LENGTHS:
            return _no(400, "请求无效", "Not an act of this page")
        if key not in found.acts:
            if found.allowance.take() is None:
                return _no(429, "操作过于频繁，请稍候", "Too many acts: wait a moment")
            made = found.acts[key] = asyncio.get_running_loop().create_future()
            while len(found.acts) > ACTS_KEPT:
                found.acts.popitem(last=False)
            try:
                made.set_result(await self._given(found, body))
            except Exception as error:  # noqa: BLE001 - whatever it is, whoever sends it again learns of it, too
                made.set_exception(error)
        return JSONResponse(await asyncio.shield(found.acts[key]))

    async def _given(self, session: DutySession, body: dict[str, Any]) -> dict[str, Any]:
        assert self._orders is not None
        try:
            answer = await self._orders.give(session.name, body)
        except NotAnAct as error:
            answer = {"state": "refused", **error.words}
        except KeyFileError as error:
            log.error(
                "duty-signing-key-unusable",
                detail=str(error),
                effect="orders from the duty desk are not sent",
                remedy="put the key file that [pages] names in `duty_key` in place, readable for edged web",
            )
            answer = {
                "state": "unsent",
                **_two("值班台密钥不可用，请联系管理员", "The desk's key cannot be used"),
            }
        log.info("duty-action", by=session.name, act=str(body.get("act"))[:32], outcome=answer["state"])
        return answer

    def _proven(self, request: Request) -> DutySession | None:
        found = self._sessions.of(_cookie(request))
        proof = request.headers.get(PROOF, "")
        return found if found is not None and _ours(request) and _same(proof, found.proof) else None


def routes(pages: Pages) -> list[Route]:
    """The routes of the duty desk."""
    return DutyDesk(pages).routes()


def _same(one: str, other: str) -> bool:
    import hmac

    return hmac.compare_digest(one.encode(), other.encode())


def _cookie(request: Request) -> str | None:
    """The value of our session cookie; None if the browser sent none. Other programs on this host may have set others:
    cookies ignore the port.
    """
    return request.cookies.get(_cookie_name(request))


def _cookie_name(request: Request) -> str:
    return SECURE_COOKIE if request.url.scheme == "https" else COOKIE


def _ours(request: Request) -> bool:
    """Whether one of our pages sent the request: browsers send Origin with every POST (Fetch standard, 3.2)."""
    origin = request.headers.get("origin")
    return origin == f"{request.url.scheme}://{request.headers.get('host')}" and (
        request.headers.get("content-type") == "application/json"
    )


def _is_private(request: Request) -> bool:
    if request.url.scheme == "https":
        return True
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _body(request: Request) -> dict[str, Any] | None:
    """The request's JSON object; None for anything else. Raises ``TimeoutError`` if it has not arrived within
    ``BODY_S``; the guard then closes the connection.
    """
    raw = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > BODY_BYTES_MAX:
                    return None
    except ClientDisconnect:
        return None
    try:
        return strict_json.parse_document(raw, BODY_BYTES_MAX)
    except strict_json.NotStrictJson:
        return None


def _two(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _no(status: int, zh: str, en: str) -> Response:
    return JSONResponse(_two(zh, en), status)
