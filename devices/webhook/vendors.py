"""Encodes messages for the robots of three vendors, and decodes the answers; no I/O.

Sources: WeCom robot, developer.work.weixin.qq.com/document/path/91770 (20 messages a minute, text up to 2048 bytes) and
path/90313 for its error codes; DingTalk custom robot, open.dingtalk.com/document/robots/custom-robot-access (signature:
HMAC of "milliseconds, newline, secret" with the secret as key; 20 a minute, otherwise blocked for ten minutes); Feishu
custom bot, open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (signature: HMAC of an empty message with
"seconds, newline, secret" as key). Errors come as a code in an answer of HTTP status 200.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from edged.strict_json import NotStrictJson, parse

Vendor = Literal["wecom", "dingtalk", "feishu"]
Verdict = Literal["sent", "later", "refused"]
TEXT_BYTES_MAX = 2048  # the least of the three
ANSWER_BYTES_MAX = 16 * 1024
DIGITS_MAX = 16  # of a number in an answer
NOBODY = "the answer is not the vendor's"
DETAIL_MAX_CHARS = 100  # of a vendor's own words
# "Too many, later": WeCom 45009, -1 (busy); DingTalk 130101, 130102 (too fast), -1; Feishu 9499, 11232, 11233.
LATER: dict[Vendor, frozenset[int]] = {
    "wecom": frozenset({45009, 45033, -1}),
    "dingtalk": frozenset({130101, 130102, -1}),
    "feishu": frozenset({9499, 11232, 11233}),
}
CODES: dict[Vendor, tuple[str, ...]] = {  # keys of an answer that hold its code
    "wecom": ("errcode",),
    "dingtalk": ("errcode",),
    "feishu": ("code", "StatusCode"),
}


class RobotPost(NamedTuple):
    """One POST of JSON. ``url`` contains the robot's key: it must not be logged."""

    url: str
    body: bytes


def request(
    vendor: Vendor, url: str, secret: str | None, text: str, at: tuple[str, ...], now_ms: int
) -> RobotPost:
    """Return the POST that sends ``text`` to the robot at ``url`` and mentions people. ``at``: their mobile numbers; at
    Feishu ids of members. ``secret``: the key for the signature (None: unsigned); ``now_ms``: Unix time, which is
    signed.
    """
    body: dict[str, Any]
    if vendor == "feishu":
        calls = "".join(f'<at user_id="{one}"></at>' for one in at)
        body = {"msg_type": "text", "content": {"text": text + calls}}
        if secret is not None:
            stamp = str(now_ms // 1000)
            body |= {"timestamp": stamp, "sign": _signed(f"{stamp}\n{secret}", "")}
        return RobotPost(url, _json(body))
    body = {"msgtype": "text", "text": {"content": text}}
    if vendor == "wecom" and at:
        body["text"]["mentioned_mobile_list"] = list(at)
    if vendor == "dingtalk" and at:
        body["at"] = {"atMobiles": list(at)}
    if vendor == "dingtalk" and secret is not None:
        signed = urlencode({"timestamp": now_ms, "sign": _signed(secret, f"{now_ms}\n{secret}")})
        url = f"{url}{'&' if '?' in url else '?'}{signed}"
    return RobotPost(url, _json(body))


def judged(vendor: Vendor, status: int, body: bytes) -> tuple[Verdict, str]:
    """Return the outcome of a POST ("sent", "refused", or "later": try again), and the reason in words. An answer that
    does not look like the vendor's means "later".
    """
    if status == 429 or status >= 500 or 300 <= status < 400:
        return "later", f"HTTP {status}"
    if status != 200:
        return "refused", f"HTTP {status}"
    try:
        answer = parse(body, ANSWER_BYTES_MAX, DIGITS_MAX)
    except NotStrictJson:
        return "later", NOBODY
    code = next((answer[key] for key in CODES[vendor] if key in answer), None)
    if type(code) is not int:  # false is no 0: nothing was sent
        return "later", NOBODY
    if code == 0:
        return "sent", ""
    words = answer.get("errmsg", answer.get("msg", answer.get("StatusMessage", "")))
    detail = f"code {code} {words}".strip()[:DETAIL_MAX_CHARS]
    return ("later" if code in LATER[vendor] else "refused"), detail


def joined(texts: list[str]) -> tuple[str, int]:
    """Join as many texts as fit into one message, one per line, from the first on. Returns the message and the number
    of texts in it. If the first text alone is too long, it is cut.
    """
    first = _cut(texts[0])
    held, count = first, 1
    for text in texts[1:]:
        more = f"{held}\n{text}"
        if len(more.encode()) > TEXT_BYTES_MAX:
            break
        held, count = more, count + 1
    return held, count


def _cut(text: str) -> str:
    return text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _signed(key: str, message: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()
