"""A pushed policy: from envelope bytes to ``core.policy.Policy``, or a refusal that a manager understands.

The checks, in order; the first that fails ends it, and nothing is ever half accepted:

1. size, 2. signing key known, 3. signature over the raw bytes (``envelope.verify``)
4. strict parse: JSON, known fields, types     5. type, halls, dates (only while the clock can be trusted)
6. version above the high-water mark           7. hard bounds of ``core.policy.BOUNDS``, names, contradictions

The shape of a body is that of the core's dataclasses: see ``policy_model.py``.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from edged.central import envelope, strict_json
from edged.central.contradictions import contradiction, contradictions
from edged.central.policy_labels import LABELS
from edged.central.policy_model import MODEL, core_policy, model_of, names, numbers
from edged.central.refusals import PolicyRefused, Reason, reason
from edged.core.policy import BOUNDS, Policy, Tidal
from edged.core.site import Site

PAYLOAD_TYPE = "application/vnd.edged.policy+json"
TYPE = "policy"
VERSION_MAX = 2**53 - 1  # exact in every JSON reader
HALLS_MAX = 200
CLOCK_TRUSTED_FROM_MS = (
    1_767_225_600_000  # 2026-01-01: an earlier clock was never set, dates cannot be judged
)
REASONS_MAX = 8  # of one check; more do not help whoever corrects the document

_Audience = Annotated[str, StringConstraints(pattern=r"^(group:)?[a-z0-9][a-z0-9-]{0,31}$")]
_Time = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"),
    Field(description="RFC 3339 with offset", examples=["2026-12-01T00:00:00+08:00"]),
]


PolicyBody = model_of(Policy)


class PolicyDocument(BaseModel):
    """What is signed: for whom, which version, when, and the policy itself."""

    model_config = MODEL

    type: str = Field(description=f'always "{TYPE}"', json_schema_extra={"const": TYPE})
    halls: Annotated[tuple[_Audience, ...], Field(min_length=1, max_length=HALLS_MAX)] = Field(
        description='hall ids, or "group:…" for all halls of a city group'
    )
    version: int = Field(ge=1, le=VERSION_MAX, description="higher than every version before")
    not_before: _Time
    expires: _Time
    previous_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    body: PolicyBody  # type: ignore[valid-type]


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What a policy may speak of: the hall's areas, services and windows."""

    areas: frozenset[str]
    services: frozenset[str]
    windows: frozenset[str]

    @classmethod
    def of(cls, site: Site) -> Names:
        """Of a hall as it is built."""
        return cls(
            *(frozenset(part.id for part in parts) for parts in (site.areas, site.services, site.windows))
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Audience:
    """Who is asked to accept: this hall, its city group, what it has."""

    hall: str
    group: str | None
    names: Names


@dataclasses.dataclass(frozen=True, slots=True)
class Verified:
    """A policy that passed every check. ``sha256`` is over the payload bytes; times are ms since 1970 UTC."""

    version: int
    sha256: str
    policy: Policy
    not_before_ms: int
    expires_ms: int
    previous_sha256: str | None
    envelope: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """The highest version ever accepted, and its content where known (a redelivery of it is no replay)."""

    version: int = 0
    sha256: str | None = None


def accept(raw: bytes, keys: envelope.Keys, audience: Audience, mark: Mark, now_ms: int) -> Verified:
    """All checks, in order. ``now_ms``: wall clock. Raises ``PolicyRefused``."""
    payload = envelope.verify(raw, PAYLOAD_TYPE, keys).payload
    document = parse(payload)
    _for_us(document, audience)
    _dates(document, now_ms)
    sha256 = hashlib.sha256(payload).hexdigest()
    _version(document.version, sha256, mark)
    return _verified(document, raw, sha256, audience.names)


def reread(raw: bytes, known: Names | None) -> Verified:
    """A policy this hall accepted before (keys may have been changed since): structure, bounds and names only.

    Raises ``PolicyRefused`` where this version of the program would not accept it any more.
    """
    payload = envelope.opened_unverified(raw)
    return _verified(parse(payload), raw, hashlib.sha256(payload).hexdigest(), known)


def claimed(raw: bytes) -> dict[str, str | int] | None:
    """Version and hash that a refused message claims for itself, for the report; None where it has none."""
    try:
        payload = envelope.opened_unverified(raw)
        version = strict_json.parse(payload, envelope.ENVELOPE_BYTES_MAX).get("version")
    except (PolicyRefused, strict_json.NotStrictJson):
        return None
    if not isinstance(version, int) or isinstance(version, bool) or abs(version) > VERSION_MAX:
        version = 0
    return {"version": version, "sha256": hashlib.sha256(payload).hexdigest()}


def inspect(payload: bytes, audience: Audience | None) -> PolicyDocument:
    """Everything but signature, version and dates: for whoever writes a policy. Raises ``PolicyRefused``."""
    document = parse(payload)
    if audience is not None:
        _for_us(document, audience)
    _dates(document, 0)
    _bounded(document, None if audience is None else audience.names)
    return document


def parse(payload: bytes) -> PolicyDocument:
    """Step 4. Raises ``PolicyRefused``."""
    try:
        strict_json.parse(payload, envelope.ENVELOPE_BYTES_MAX)
    except strict_json.NotStrictJson as error:
        raise PolicyRefused(reason("not-json", detail=error)) from None
    try:
        return PolicyDocument.model_validate_json(payload)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise PolicyRefused(*[_shape_reason(dict(d)) for d in details[:REASONS_MAX]]) from None


def epoch_ms(time: str) -> int:
    """RFC 3339 to ms since 1970 UTC. Raises ValueError for a date that does not exist."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def rfc3339(ms: int) -> str:
    """Ms since 1970 UTC to RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _shape_reason(detail: dict[str, Any]) -> Reason:
    path, kind = dotted(detail["loc"]), detail["type"]
    if kind == "missing":
        return reason("missing-field", path)
    if kind == "extra_forbidden":
        known = (name.split(".")[1] for name in (*LABELS, *_NAMES))
        return reason("unknown-field", path, **_hints(str(detail["loc"][-1]), known))
    english, chinese = _SHAPE_WORDS.get(kind, (str(detail["msg"]), "格式不正确"))
    shown = str(detail["input"])[:40]
    return reason("bad-value", path, detail=f"{english}, not {shown}", detail_zh=f"{chinese}(现为 {shown})")


_NAMES = tuple(
    f".{name}"
    for name in (*PolicyDocument.model_fields, *PolicyBody.model_fields, *Tidal.__dataclass_fields__)
)
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


def _hints(word: str, known: Iterable[str]) -> dict[str, str]:
    near = difflib.get_close_matches(word, sorted(set(known)), n=1)
    return {
        "hint": f'; did you mean "{near[0]}"?' if near else "",
        "hint_zh": f",是否为“{near[0]}”?" if near else "",
    }


def _for_us(document: PolicyDocument, audience: Audience) -> None:
    if document.type != TYPE:
        raise PolicyRefused(reason("wrong-type", "type", found=document.type[:40], expected=TYPE))
    ours = {audience.hall} | ({f"group:{audience.group}"} if audience.group else set())
    if not ours & set(document.halls):
        found = ", ".join(document.halls[:5]) + (", …" if len(document.halls) > 5 else "")
        raise PolicyRefused(reason("wrong-hall", "halls", found=found, hall=audience.hall))


def _dates(document: PolicyDocument, now_ms: int) -> None:
    for name in ("not_before", "expires"):
        try:
            epoch_ms(getattr(document, name))
        except (ValueError, OverflowError):
            text = f"{getattr(document, name)} is not a date"
            raise PolicyRefused(reason("bad-value", name, detail=text, detail_zh="日期不存在")) from None
    if epoch_ms(document.expires) <= epoch_ms(document.not_before):
        raise PolicyRefused(
            contradiction("expires", "it must be later than not_before", "必须晚于生效时间 not_before")
        )
    if now_ms >= CLOCK_TRUSTED_FROM_MS and epoch_ms(document.expires) <= now_ms:
        raise PolicyRefused(reason("expired", "expires", expires=document.expires))


def _version(version: int, sha256: str, mark: Mark) -> None:
    if version < mark.version:
        raise PolicyRefused(reason("old-version", "version", version=version, high=mark.version))
    if version == mark.version and sha256 != mark.sha256:
        code = "old-version" if mark.sha256 is None else "version-reused"
        raise PolicyRefused(reason(code, "version", version=version, high=mark.version))


def _verified(document: PolicyDocument, raw: bytes, sha256: str, known: Names | None) -> Verified:
    return Verified(
        version=document.version,
        sha256=sha256,
        policy=_bounded(document, known),
        not_before_ms=epoch_ms(document.not_before),
        expires_ms=epoch_ms(document.expires),
        previous_sha256=document.previous_sha256,
        envelope=raw,
    )


def _bounded(document: PolicyDocument, known: Names | None) -> Policy:
    """Step 7. ``known`` None: whoever asks does not know the hall."""
    wrong = list(_bounds(document.body))
    if known is not None:
        wrong += _unknown(document.body, known)
    if not wrong:
        policy = core_policy(document.body)
        wrong = list(contradictions(policy))
    if wrong:
        raise PolicyRefused(*wrong[:REASONS_MAX])
    return policy


def _bounds(body: BaseModel) -> Iterator[Reason]:
    for name, path, value in numbers(body, "body"):
        low, high = BOUNDS[name]
        if not low <= value <= high:
            english, chinese = LABELS[name]
            words = {"value": value, "low": low, "high": high, "label": english, "label_zh": chinese}
            yield reason("out-of-bounds", path, **words)


def _unknown(body: BaseModel, known: Names) -> Iterator[Reason]:
    """Every area, service or window that this hall does not have."""
    for kind, path, found in names(body, "body"):
        ours: frozenset[str] = getattr(known, f"{kind}s")
        if found not in ours:
            yield reason(f"unknown-{kind}", path, found=found, **_hints(found, ours))


def dotted(loc: Iterable[str | int]) -> str:
    """A path as people write it: ``body.tidal.areas.tax.close_at``, ``halls[0]``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
