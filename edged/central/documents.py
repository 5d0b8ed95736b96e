"""What every signed document has: for whom, from when, until when; and how one that is wrong is told so.

Checks made here: strict parse (JSON, known fields, types), then type and halls, then dates (only while the clock can be
trusted). ``envelope.py`` comes before them, what the document says after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from edged import personal
from edged.central import envelope, strict_json
from edged.central.audience import CLOCK_TRUSTED_FROM_MS, Audience, epoch_ms
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.central.strict_model import MODEL
from edged.config.nearest import nearest

D = TypeVar("D", bound="Document")

HALLS_MAX = 200
REASONS_MAX = 8  # of one check; more do not help whoever corrects the document

_Audience = Annotated[str, StringConstraints(pattern=r"^(group:)?[a-z0-9][a-z0-9-]{0,31}$")]
_Time = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"),
    Field(description="RFC 3339 with offset", examples=["2026-12-01T00:00:00+08:00"]),
]


class Document(BaseModel):
    """What a signed document says of itself. ``type``: which kind it is."""

    model_config = MODEL

    type: str
    halls: Annotated[tuple[_Audience, ...], Field(min_length=1, max_length=HALLS_MAX)] = Field(
        description='hall ids, or "group:…" for all halls of a city group'
    )
    not_before: _Time
    expires: _Time


def parse(payload: bytes, kind: type[D], known: Iterable[str]) -> D:
    """The document in ``payload``; ``known``: fields to suggest for a misspelt one. Raises ``DocumentRefused``."""
    try:
        plain = strict_json.parse(payload, envelope.ENVELOPE_BYTES_MAX)
    except strict_json.NotStrictJson as error:
        raise DocumentRefused(reason("not-json", detail=error)) from None
    told = {
        field: plain[field] for field in ("body", "by", "id") if field in plain
    }  # a hash may look like a person
    place = personal.where(told)
    if place is not None:
        raise DocumentRefused(reason("personal-data", dotted(place)))
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        raise DocumentRefused(*shape_reasons(error, known)) from None


def shape_reasons(error: ValidationError, known: Iterable[str], path: str = "") -> list[Reason]:
    """Why a shape is wrong, at most ``REASONS_MAX`` reasons; ``path``: where the shape stands in its document."""
    names = tuple(known)
    details = error.errors(include_url=False)[:REASONS_MAX]
    return [_shape_reason(dict(detail), names, path) for detail in details]


def check_for_us(document: Document, expected: str, audience: Audience) -> None:
    """Its type is ``expected``, and this hall is meant. Raises ``DocumentRefused``."""
    if document.type != expected:
        raise DocumentRefused(reason("wrong-type", "type", found=document.type[:40], expected=expected))
    ours = {audience.hall} | ({f"group:{audience.group}"} if audience.group else set())
    if not ours & set(document.halls):
        found = ", ".join(document.halls[:5]) + (", …" if len(document.halls) > 5 else "")
        raise DocumentRefused(reason("wrong-hall", "halls", found=found, hall=audience.hall))


def check_dates(document: Document, now_ms: int) -> None:
    """They exist, are in order, and are not over (while ``now_ms`` can be believed). Raises ``DocumentRefused``."""
    for name in ("not_before", "expires"):
        try:
            epoch_ms(getattr(document, name))
        except (ValueError, OverflowError):
            text = f"{getattr(document, name)} is not a date"
            raise DocumentRefused(reason("bad-value", name, detail=text, detail_zh="日期不存在")) from None
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
    """Words for "did you mean", English and Chinese; empty where nothing is near."""
    near = nearest(word, known)
    return {
        "hint": f'; did you mean "{near}"?' if near else "",
        "hint_zh": f",是否为“{near}”?" if near else "",
    }


def dotted(loc: Iterable[str | int]) -> str:
    """A path as people write it: ``body.tidal.areas.tax.close_at``, ``halls[0]``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shape_reason(detail: dict[str, Any], known: tuple[str, ...], inside: str) -> Reason:
    path, kind = dotted((inside, *detail["loc"]) if inside else detail["loc"]), detail["type"]
    if kind == "missing":
        return reason("missing-field", path)
    if kind == "extra_forbidden":
        return reason("unknown-field", path, **hints(str(detail["loc"][-1]), known))
    english, chinese = _SHAPE_WORDS.get(kind, (str(detail["msg"]), "格式不正确"))
    shown = str(detail["input"])[:40]
    return reason("bad-value", path, detail=f"{english}, not {shown}", detail_zh=f"{chinese}(现为 {shown})")


_SHAPE_WORDS = {
    "int_type": ("must be a whole number", "必须是整数"),
    "float_type": ("must be a number", "必须是数字"),
    "literal_error": ("is not one of the choices", "不是可选值"),
    "int_from_float": ("must be a whole number", "必须是整数"),
    "bool_type": ("must be true or false", "必须是 true 或 false"),
    "string_type": ("must be text", "必须是文字"),
    "string_pattern_mismatch": ("does not have the required form", "格式不正确"),
    "model_type": ("must be an object { … }", "必须是对象 { … }"),
    "dict_type": ("must be an object { … }", "必须是对象 { … }"),
    "tuple_type": ("must be a list [ … ]", "必须是列表 [ … ]"),
    "too_short": ("must name at least one hall", "至少写一个大厅"),
    "greater_than_equal": ("must be at least 1", "必须不小于 1"),
}
