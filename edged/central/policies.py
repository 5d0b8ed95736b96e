"""A pushed policy: from envelope bytes to ``core.policy.Policy``, or a refusal that a manager understands.

The checks, in order; the first that fails ends it, and nothing is ever half accepted:

1. size, 2. signing key known, 3. signature over the raw bytes (``envelope.verify``)
4. strict parse: JSON, known fields, types     5. type, halls, dates (only while the clock can be trusted)
6. version above the high-water mark           7. hard bounds of ``core.policy.BOUNDS``, areas, contradictions

The models are made from the core's dataclasses, so that a field added there can be pushed at once; each needs its
bound in ``BOUNDS`` and its name in ``policy_labels.py``. A field left out keeps the core's default; an area's band
starts from the pushed ``tidal.band``.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from edged.central import envelope, strict_json
from edged.central.contradictions import contradiction, contradictions
from edged.central.policy_labels import LABELS
from edged.central.refusals import PolicyRefused, Reason, reason
from edged.core.policy import BOUNDS, Arbiter, Band, Calling, Peak, Policy, Pw, Tidal, Triggers

PAYLOAD_TYPE = "application/vnd.edged.policy+json"
TYPE = "policy"
VERSION_MAX = 2**53 - 1  # exact in every JSON reader
HALLS_MAX = 200
CLOCK_TRUSTED_FROM_MS = (
    1_767_225_600_000  # 2026-01-01: an earlier clock was never set, dates cannot be judged
)
REASONS_MAX = 8  # of one check; more do not help whoever corrects the document

_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)
_KINDS: dict[type, str] = {
    Policy: "PolicyBody",
    **{kind: kind.__name__ for kind in (Tidal, Band, Pw, Peak, Triggers, Arbiter, Calling)},
}
_LAID_OVER: dict[str, tuple[str, type]] = {"areas": ("band", Band), "pw_areas": ("pw", Pw)}  # per area
NAMED_MAX = 50  # areas or services in a mapping
LISTED_MAX = 100  # quarters of an hour in a profile (a day has 96), peaks of a calendar
_Audience = Annotated[str, StringConstraints(pattern=r"^(group:)?[a-z0-9][a-z0-9-]{0,31}$")]
_AreaId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
_Time = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"),
    Field(description="RFC 3339 with offset", examples=["2026-12-01T00:00:00+08:00"]),
]


def _field(kind: type, field: dataclasses.Field[Any], hint: Any) -> tuple[Any, Any]:
    name = f"{kind.__name__}.{field.name}"
    if hint in _KINDS:
        return _model(hint), Field(default_factory=_model(hint))
    if kind is Tidal and field.name in _LAID_OVER:
        start, part = _LAID_OVER[field.name]
        described = f"{start} for one area; what it leaves out is taken from tidal.{start} / 某专区单独的参数"
        return dict[_AreaId, _model(part)], Field(  # type: ignore[misc]
            default_factory=dict, max_length=NAMED_MAX, description=described
        )
    english, chinese = LABELS[name]
    described = f"{english} / {chinese}"
    if hint is bool or get_origin(hint) is Literal:
        return hint, Field(default=field.default, description=described)
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        listed = _AreaId if item is str else _model(item)
        return tuple[listed, ...], Field(default=(), max_length=LISTED_MAX, description=described)  # type: ignore[valid-type]
    low, high = BOUNDS[name]
    if get_origin(hint) is Mapping:
        return _numbers_by_name(get_args(hint)[1], low, high), Field(
            default_factory=dict, max_length=NAMED_MAX, description=described
        )
    assert hint is int, f"{name}: such a field cannot be pushed"
    return int, Field(
        default=field.default, description=described, json_schema_extra={"minimum": low, "maximum": high}
    )


def _numbers_by_name(item: Any, low: float, high: float) -> Any:
    """A number, or a list of numbers, per area or service; each inside the bounds."""
    number = Annotated[float, Field(json_schema_extra={"minimum": low, "maximum": high})]
    if item is float:
        return dict[_AreaId, number]
    return dict[_AreaId, Annotated[tuple[number, ...], Field(max_length=LISTED_MAX)]]


_models: dict[type, type[BaseModel]] = {}


def _model(kind: type) -> type[BaseModel]:
    """The pydantic twin of a core dataclass. Bounds are checked in step 7, after the version: see ``_bounds``."""
    if kind not in _models:
        hints = get_type_hints(kind)
        fields = {field.name: _field(kind, field, hints[field.name]) for field in dataclasses.fields(kind)}
        _models[kind] = create_model(_KINDS[kind], __config__=_MODEL, __doc__=None, **cast(Any, fields))
    return _models[kind]


PolicyBody = _model(Policy)


class PolicyDocument(BaseModel):
    """What is signed: for whom, which version, when, and the policy itself."""

    model_config = _MODEL

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
class Audience:
    """Who is asked to accept: this hall, its city group, its areas."""

    hall: str
    group: str | None
    areas: frozenset[str]


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
    return _verified(document, raw, sha256, audience.areas)


def reread(raw: bytes, areas: frozenset[str]) -> Verified:
    """A policy this hall accepted before (keys may have been changed since): structure and bounds only.

    Raises ``PolicyRefused`` where this version of the program would not accept it any more.
    """
    payload = envelope.opened_unverified(raw)
    return _verified(parse(payload), raw, hashlib.sha256(payload).hexdigest(), areas)


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
    _bounded(document, None if audience is None else audience.areas)
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


def _verified(document: PolicyDocument, raw: bytes, sha256: str, areas: frozenset[str]) -> Verified:
    return Verified(
        version=document.version,
        sha256=sha256,
        policy=_bounded(document, areas),
        not_before_ms=epoch_ms(document.not_before),
        expires_ms=epoch_ms(document.expires),
        previous_sha256=document.previous_sha256,
        envelope=raw,
    )


def _bounded(document: PolicyDocument, areas: frozenset[str] | None) -> Policy:
    """Step 7. ``areas`` None: not known to whoever asks."""
    wrong = list(_bounds(document.body, "body"))
    if areas is not None:
        wrong += [
            reason("unknown-area", path, found=area, **_hints(area, areas))
            for path, area in _areas_named(document.body)
            if area not in areas
        ]
    if not wrong:
        policy = _core(document.body)
        wrong = list(contradictions(policy))
    if wrong:
        raise PolicyRefused(*wrong[:REASONS_MAX])
    return policy


def _areas_named(body: Any) -> Iterator[tuple[str, str]]:
    """Every area that the document speaks of, with its path."""
    tidal = body.tidal
    for name in _LAID_OVER:
        yield from ((f"body.tidal.{name}.{area}", area) for area in sorted(getattr(tidal, name)))
    parts = {"body.tidal.pw": tidal.pw} | {f"body.tidal.pw_areas.{a}": pw for a, pw in tidal.pw_areas.items()}
    for path, pw in parts.items():
        yield from ((f"{path}.profile.{area}", area) for area in sorted(pw.profile))
    for number, peak in enumerate(tidal.peaks):
        yield from ((f"body.tidal.peaks[{number}].areas", area) for area in peak.areas)


def _bounds(model: BaseModel, path: str) -> Iterator[Reason]:
    for name in type(model).model_fields:
        yield from _within(f"{type(model).__name__}.{name}", getattr(model, name), f"{path}.{name}")


def _within(name: str, value: Any, path: str) -> Iterator[Reason]:
    """Every number in ``value``, however deep, against the bound of the field ``name``."""
    if isinstance(value, BaseModel):
        yield from _bounds(value, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _within(name, child, f"{path}.{key}")
    elif isinstance(value, tuple):
        for number, child in enumerate(value):
            yield from _within(name, child, f"{path}[{number}]")
    elif not isinstance(value, bool | str):
        low, high = BOUNDS[name]
        if not low <= value <= high:
            english, chinese = LABELS[name]
            words = {"value": value, "low": low, "high": high, "label": english, "label_zh": chinese}
            yield reason("out-of-bounds", path, **words)


def _core(body: Any) -> Policy:
    """The core's dataclasses, with areas' own values laid over the pushed band and pw."""
    tidal = _overlaid(Tidal(), body.tidal)
    for areas, (name, kind) in _LAID_OVER.items():
        start = _overlaid(kind(), getattr(body.tidal, name))
        own = {area: _overlaid(start, part) for area, part in getattr(body.tidal, areas).items()}
        tidal = dataclasses.replace(tidal, **{name: start, areas: own})
    return Policy(tidal=tidal, calling=_overlaid(Calling(), body.calling))


def _overlaid(start: Any, model: BaseModel) -> Any:
    """``start`` with every field that was given; parts and lists of parts likewise."""
    given: dict[str, Any] = {}
    for name in model.model_fields_set - _LAID_OVER.keys():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            value = _overlaid(getattr(start, name), value)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            value = tuple(_overlaid(Peak(), part) for part in value)
        given[name] = value
    return dataclasses.replace(start, **given)


def dotted(loc: Iterable[str | int]) -> str:
    """A path as people write it: ``body.tidal.areas.tax.close_at``, ``halls[0]``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
