"""What all signed documents have in common: the halls they are for, the dates from and until which they are valid, and
the refusals.

Checked here: strict parse (JSON, known fields, types), then type and halls, then dates (only while the clock can be
trusted). The signature is checked before (``envelope.py``), the content afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from edged import personal, strict_json, texts
from edged.central import envelope
from edged.central.audience import CLOCK_TRUSTED_FROM_MS, Audience, Moment, epoch_ms
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.config.nearest import nearest
from edged.shapes import Fault, Misshapen, Shape, dotted, filled, form, read

D = TypeVar("D", bound="Document")

HALLS_MAX = 200
SHOWN_MAX = 40  # characters of a wrong value
REASONS_MAX = 8  # of one check; more do not help whoever corrects the document

_Audience = Annotated[str, form(r"^(group:)?[a-z0-9][a-z0-9-]{0,31}$")]


class Document(Shape, frozen=True):
    """The fields that every signed document has. ``type``: its kind."""

    type: str
    halls: Annotated[
        tuple[_Audience, ...],
        Meta(
            min_length=1,
            max_length=HALLS_MAX,
            description='hall ids, or "group:…" for all halls of a city group',
        ),
    ]
    not_before: Moment
    expires: Moment


def parse(payload: bytes, kind: type[D], kept: bool = False) -> D:
    """Parse ``payload`` as a ``kind``. Raises ``DocumentRefused`` if it is no JSON, lacks a field or has an impossible
    value, or if a text could name a person or has a character that cannot be shown.

    ``kept``: the document was accepted before, so its texts are not checked against rules that may be newer.
    """
    try:
        plain = strict_json.parse_document(payload, envelope.ENVELOPE_BYTES_MAX)
    except strict_json.NotStrictJson as error:
        raise DocumentRefused(reason("not-json", detail=error, detail_zh=error.chinese)) from None
    if not kept:
        # not in hashes, which may look like a personal number
        _check_texts({name: plain[name] for name in ("body", "by", "id") if name in plain})
    try:
        return read(kind, filled(plain))
    except Misshapen as error:
        raise DocumentRefused(*shape_reasons(error)) from None


def _check_texts(document: dict[str, Any]) -> None:
    place = personal.where(document)
    if place is not None:
        raise DocumentRefused(reason("personal-data", dotted(place)))
    odd = texts.where_odd(document)
    if odd is not None:
        path, position, name = odd
        raise DocumentRefused(reason("odd-character", dotted(path), position=position, name=name))


def shape_reasons(error: Misshapen, path: str = "") -> list[Reason]:
    """The faults of a document as refusals, at most ``REASONS_MAX``; ``path``: where the faulty part is in its
    document.
    """
    return [_shape_reason(fault, path) for fault in error.faults[:REASONS_MAX]]


def check_for_us(document: Document, expected: str, audience: Audience) -> None:
    """Check that the document's type is ``expected`` and that it is for this hall. Raises ``DocumentRefused`` with the
    reason if not.
    """
    if document.type != expected:
        raise DocumentRefused(reason("wrong-type", "type", found=document.type[:40], expected=expected))
    ours = {audience.hall} | ({f"group:{audience.group}"} if audience.group else set())
    if not ours & set(document.halls):
        found = ", ".join(document.halls[:5]) + (", …" if len(document.halls) > 5 else "")
        raise DocumentRefused(reason("wrong-hall", "halls", found=found, hall=audience.hall))


def check_dates(document: Document, now_ms: int) -> None:
    """Check that ``not_before`` and ``expires`` exist in the calendar, come in this order, and that ``expires`` is not
    over.

    The last is checked only if ``now_ms`` (ms since 1970 UTC) is a plausible time. Raises ``DocumentRefused`` if one
    fails.
    """
    for name in ("not_before", "expires"):
        try:
            epoch_ms(getattr(document, name))
        except (ValueError, OverflowError):
            text = f"{getattr(document, name)} is not a date between the years 1 and 9999"
            raise DocumentRefused(
                reason("bad-value", name, detail=text, detail_zh="日期不存在，或不在公元 1 至 9999 年之间")
            ) from None
    if epoch_ms(document.expires) <= epoch_ms(document.not_before):
        raise DocumentRefused(
            reason(
                "contradiction",
                "expires",
                detail="it must be later than not_before",
                detail_zh="必须晚于生效时间 not_before",
            )
        )
    if now_ms >= CLOCK_TRUSTED_FROM_MS and epoch_ms(document.expires) <= now_ms:
        raise DocumentRefused(reason("expired", "expires", expires=document.expires))


def hints(word: str, known: Iterable[str]) -> dict[str, str]:
    """The text "did you mean …" in English and Chinese, under "hint" and "hint_zh"; empty texts if no known name is
    similar.
    """
    near = nearest(word, known)
    return {
        "hint": f'; did you mean "{near}"?' if near else "",
        "hint_zh": f"，是否为“{near}”？" if near else "",
    }


def _shape_reason(fault: Fault, inside: str) -> Reason:
    path = dotted((inside, *fault.path) if inside else fault.path)
    if fault.what == "missing":
        return reason("missing-field", path)
    if fault.what == "unknown":
        return reason("unknown-field", path, **hints(str(fault.path[-1]), fault.wanted))
    english, chinese = _shape_words(fault)
    shown = (
        fault.value
        if isinstance(fault.value, str)
        else json.dumps(fault.value, ensure_ascii=False, default=str)
    )
    shown = shown[:SHOWN_MAX]
    if shown:
        english, chinese = f"{english}, not {shown}", f"{chinese}（现为 {shown}）"
    return reason("bad-value", path, detail=english, detail_zh=chinese)


def _shape_words(fault: Fault) -> tuple[str, str]:
    if fault.what == "kind":
        return _KIND_WORDS[fault.wanted]
    if fault.what == "rule":
        return str(fault.wanted), "格式不正确"
    if fault.what == "choice":
        choices = ", ".join(map(str, fault.wanted))
        return f"must be one of {choices}", f"必须是 {choices} 之一"
    if fault.what == "too_short" and fault.wanted == 1:
        return "must not be empty", "不能为空"
    english, chinese = _BOUND_WORDS[fault.what]
    units = ("characters", "字") if isinstance(fault.value, str) else ("entries", "项")
    return english.format(fault.wanted, units[0]), chinese.format(fault.wanted, units[1])


_KIND_WORDS = {
    "text": ("must be text", "必须是文字"),
    "whole": ("must be a whole number", "必须是整数"),
    "number": ("must be a number", "必须是数字"),
    "truth": ("must be true or false", "必须是 true 或 false"),
    "list": ("must be a list [ … ]", "必须是列表 [ … ]"),
    "table": ("must be an object { … }", "必须是对象 { … }"),
}
_BOUND_WORDS = {
    "form": ("does not have the required form", "格式不正确"),
    "at_least": ("must be at least {}", "必须不小于 {}"),
    "more_than": ("must be more than {}", "必须大于 {}"),
    "at_most": ("must be at most {}", "必须不大于 {}"),
    "less_than": ("must be less than {}", "必须小于 {}"),
    "multiple_of": ("must be a multiple of {}", "必须是 {} 的倍数"),
    "too_short": ("must have at least {} {}", "至少 {} {}"),
    "too_long": ("must have at most {} {}", "最多 {} {}"),
}
