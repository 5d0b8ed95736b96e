"""Turns orders of the duty desk into signed operations, and waits for the hall's answer. Rules of this file:

* An order is sent once. Without an answer within ``ANSWER_S`` the page says so, and a person decides whether to repeat
  it.
* Pages name windows by number and areas by id, as in the hall's ``names`` part; numbers are replaced by ids here.
* Dates are by the hall's clock, not this machine's: in a demo they differ.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.central import topics
from edged.central.audience import epoch_ms, rfc3339
from edged.central.envelope import load_private, sign
from edged.central.operation_desk import OF_DIGITS
from edged.central.operations import PAYLOAD_TYPE, TYPE, inspect
from edged.central.refusals import DocumentRefused
from edged.clock import monotonic_s
from edged.driver import Unreachable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edged.central.signatures import Sm2PrivateKey
    from edged.pages.server import Pages

ANSWER_S = 3.0
POLL_S = 0.05
LIFE_MS = 120_000  # validity of an order at normal clock speed; it is meant for now
BACK_MS = 60_000  # the hall's clock may be behind ours
Answer = dict[str, Any]
Body = dict[str, Any]


class NotAnAct(ValueError):
    """The request is not an order that this hall knows. ``words``: the reason in Chinese and English."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.words = {"zh": zh, "en": en}


class DutyOrders:
    """Signs orders and sends them as operations. ``key``: the file of the desk's private key."""

    def __init__(self, pages: Pages, key: Path) -> None:
        self._pages = pages
        self._file = key
        self._key: Ed25519PrivateKey | Sm2PrivateKey | None = None
        self._counter = 0

    async def give(self, name: str, act: Body) -> Answer:
        """Send the order ``act`` (the JSON object that the page sent) in the name of ``name``, and wait for the hall's
        answer. Raises ``NotAnAct`` if the hall knows no such order, ``KeyFileError`` if the key cannot be used.
        """
        operation, body = self._operation(act)
        payload = self._document(operation, body, name)
        try:
            inspect(payload)
        except DocumentRefused as refusal:
            why = refusal.reasons[0]
            raise NotAnAct(
                why.message_zh, f"{why.path}: {why.message}" if why.path else why.message
            ) from None
        if self._key is None:
            self._key = await asyncio.to_thread(load_private, self._file)
        raw = sign(payload, PAYLOAD_TYPE, self._key)
        try:
            self._pages.link.publish(topics.operation(self._pages.config.hall, operation), raw)
        except Unreachable:
            return _outcome(
                "unsent",
                "大厅消息服务不通，操作没有发出，请到窗口面板操作",
                "No link to the hall: nothing was sent. Use the panel",
            )
        return await self._answer(hashlib.sha256(raw).hexdigest()[:OF_DIGITS])

    async def _answer(self, of: str) -> Answer:
        until_s = monotonic_s() + ANSWER_S
        while monotonic_s() < until_s:
            for one in self._pages.mirror.staff.part("answers").get("answers", ()):
                if one.get("of") == of:
                    state = "done" if one["ok"] else "refused"
                    return _outcome(state, one["zh"], one["en"]) | {"code": one["code"], "at": one["at"]}
            await asyncio.sleep(POLL_S)
        return _outcome(
            "unanswered",
            "大厅 3 秒内未应答，不会重复发送；请看下方现状或到窗口面板操作",
            "No answer within 3 s. It is not sent again: look at what stands below, or use the panel",
        )

    def _document(self, operation: str, body: Body, name: str) -> bytes:
        now_ms = self._pages.clock.wall_ms()
        beat = self._pages.mirror.staff.part("beat").get("at")
        now_ms = now_ms if beat is None else max(epoch_ms(beat), now_ms - BACK_MS)
        self._counter = max(self._counter + 1, self._pages.clock.wall_ms())
        life_ms = round(LIFE_MS * max(1.0, self._pages.clock.speed))
        document = {
            "type": TYPE,
            "halls": [self._pages.config.hall],
            "operation": operation,
            "id": f"desk-{secrets.token_hex(8)}",
            "counter": self._counter,
            "not_before": rfc3339(now_ms - BACK_MS),
            "expires": rfc3339(now_ms + life_ms),
            "by": name,
            "body": body,
        }
        return json.dumps(document, ensure_ascii=False).encode()

    # -- what a page says --

    def _operation(self, act: Body) -> tuple[str, Body]:
        name = act.get("act")
        if name not in self._pages.config.duty.operations:
            raise NotAnAct("本大厅不允许在此执行这项操作", "This hall does not let the desk do that")
        made: dict[str, Callable[[Body], Body]] = {
            "open": self._window,
            "close": self._window,
            "hold": self._window,
            "lift": lambda act: _text(act, "kind", "target", "reason"),
            "pause-issuing": lambda act: self._area(act) | self._for(act) | _text(act, "reason"),
            "priority-insert": lambda act: _text(act, "number", "reason"),
            "hours-flex": self._longer,
            "accept-alarm": self._alarm,
            "ask-window": self._wish,
        }
        if name not in made:
            raise NotAnAct("页面没有这项操作", "The page does not know this act")
        return str(name), made[str(name)](act)

    def _window(self, act: Body) -> Body:
        for window in self._pages.mirror.staff.part("names").get("windows", ()):
            if window["number"] == act.get("window"):
                area = self._area(act) if act["act"] == "open" else {}
                return {"window": window["id"]} | area | self._for(act) | _text(act, "reason")
        raise NotAnAct("没有这个窗口", "There is no such window")

    def _area(self, act: Body) -> Body:
        wanted = act.get("area")
        known = {one["id"] for one in self._pages.mirror.staff.part("names").get("areas", ())}
        if wanted is None:
            return {}
        if not isinstance(wanted, str) or wanted not in known:
            raise NotAnAct("没有这个专区", "There is no such area")
        return {"area": wanted}

    def _for(self, act: Body) -> Body:
        minutes = act.get("minutes")
        if not (type(minutes) is int and 1 <= minutes <= 12 * 60):
            raise NotAnAct("请选择到什么时候", "Say until when")
        return {"for_s": minutes * 60}

    def _longer(self, act: Body) -> Body:
        """Return an operation's body that moves today's closing time of the area (or hall) in ``act`` by the minutes
        that it asks for. Raises ``NotAnAct`` if no closing time is known today.
        """
        area, more_s = self._area(act), self._for(act)["for_s"]
        areas = self._pages.mirror.staff.parts("area/")
        closings = [
            one["closes"]
            for name, one in areas.items()
            if one.get("closes") and area.get("area", name) == name
        ]
        if not closings:
            raise NotAnAct("今日没有下班时间可以延后", "No closing time is known today")
        until = datetime.fromisoformat(max(closings)) + timedelta(seconds=more_s)
        return area | {"closes": f"{until:%H:%M}"}

    def _alarm(self, act: Body) -> Body:
        kind, _, subject = str(act.get("key", "")).partition("/")
        return {"kind": kind, "subject": subject}

    def _wish(self, act: Body) -> Body:
        area = self._area(act)
        if not area:
            raise NotAnAct("请选择专区", "Say which area")
        return area | ({"withdraw": True, "everybody": True} if act.get("withdraw") is True else {})


def _text(act: Body, *names: str) -> Body:
    return {name: act[name] for name in names if isinstance(act.get(name), str) and act[name]}


def _outcome(state: str, zh: str, en: str) -> Answer:
    return {"state": state, "zh": zh, "en": en}
