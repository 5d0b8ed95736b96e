"""Checks a pushed policy: from the bytes of an envelope to a ``Policy``, or to a refusal that a manager understands.

The checks, in this order; the first that fails ends it, and the policy is refused as a whole:

1. size, 2. signing key known, 3. signature over the raw bytes (``envelope.verify``)
4. strict parse: JSON, known fields, types     5. type, halls, dates (only while the clock can be trusted)
6. version above the highest one so far        7. bounds of ``core.model.policy``, names, contradictions

The form of its body is that of the core's dataclasses: see ``policy_model.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from edged import strict_json
from edged.central import addressing, envelope
from edged.central.audience import NONE, Audience, HighestVersion, Names, Trusted, Verified, epoch_ms
from edged.central.contradictions import contradictions
from edged.central.documents import REASONS_MAX, Document, check_dates, check_for_us, hints, parse
from edged.central.policy_model import core_policy, model_of, names, numbers
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.central.rehearsed import Terms
from edged.central.visit_contradictions import dead_ends
from edged.core.model.policy import Policy
from edged.core.model.policy.parameter import parameters
from edged.shapes import form

PAYLOAD_TYPE = "application/vnd.edged.policy+json"
TYPE = "policy"
VERSION_MAX = 2**53 - 1  # exact in every JSON reader
NEVER_MS = 1 << 62
PolicyBody = model_of(Policy)


class PolicyDocument(Document, frozen=True, kw_only=True):
    """The payload of a signed policy: the halls it is for, its version and dates, its rehearsal, and its values."""

    type: Annotated[str, Meta(description=f'always "{TYPE}"', extra_json_schema={"const": TYPE})]
    version: Annotated[int, Meta(ge=1, le=VERSION_MAX, description="higher than every version before")]
    previous_sha256: Annotated[str, form(r"^[0-9a-f]{64}$")] | None = None
    rehearsal: Terms = Terms()
    body: PolicyBody  # type: ignore[valid-type]


def accept(raw: bytes, trusted: Trusted, audience: Audience, mark: HighestVersion, now_ms: int) -> Verified:
    """Make all checks, in order. ``now_ms``: wall clock, ms since 1970 UTC. Raises ``DocumentRefused`` at the first
    that fails.
    """
    payload = signed_by(raw, trusted).payload
    document = parse(payload, PolicyDocument)
    check_for_us(document, TYPE, audience)
    check_dates(document, now_ms)
    sha256 = hashlib.sha256(payload).hexdigest()
    _version(document.version, sha256, mark)
    return _verified(document, raw, sha256, audience.names)


def signed_by(raw: bytes, trusted: Trusted) -> envelope.OpenedEnvelope:
    """Make checks 1 to 3 (size, signing key, signature). Raises ``DocumentRefused`` if one fails."""
    return envelope.verify(raw, PAYLOAD_TYPE, trusted.keys, trusted.unusable)


def reread(raw: bytes, known: Names | None) -> Verified:
    """Check a policy that this hall accepted before: only form, bounds and names, because keys may have changed since.

    ``raw`` = ``NONE`` stands for the built-in policy. Raises ``DocumentRefused`` if this version of the program would
    not accept the policy.
    """
    if raw == NONE:
        return Verified(0, "", Policy(), 0, NEVER_MS, None, NONE)
    payload = envelope.opened_unverified(raw)
    document = parse(payload, PolicyDocument, kept=True)
    return _verified(document, raw, hashlib.sha256(payload).hexdigest(), known)


def claimed(raw: bytes) -> dict[str, str | int] | None:
    """Return what a refused message says of itself, unverified, for the report: its version (0 if it has no valid one)
    and the SHA-256 of its payload. None if it is no envelope with JSON.
    """
    try:
        payload = envelope.opened_unverified(raw)
        version = strict_json.parse_document(payload, envelope.ENVELOPE_BYTES_MAX).get("version")
    except (DocumentRefused, strict_json.NotStrictJson):
        return None
    if not isinstance(version, int) or isinstance(version, bool) or abs(version) > VERSION_MAX:
        version = 0
    return {"version": version, "sha256": hashlib.sha256(payload).hexdigest()}


def inspect(payload: bytes, audience: Audience | None) -> PolicyDocument:
    """Check everything in a policy but signature, version and whether it has expired, for those who write one.

    ``audience`` None: for no particular hall. Raises ``DocumentRefused`` if the policy is malformed, out of bounds,
    contradicts itself, or names what the hall does not have.
    """
    document = parse(payload, PolicyDocument)
    if audience is not None:
        check_for_us(document, TYPE, audience)
    check_dates(document, 0)
    _bounded(document, None if audience is None else audience.names)
    return document


def _version(version: int, sha256: str, mark: HighestVersion) -> None:
    if version < mark.version:
        raise DocumentRefused(reason("old-version", "version", version=version, high=mark.version))
    if version == mark.version and sha256 != mark.sha256:
        code = "old-version" if mark.sha256 is None else "version-reused"
        raise DocumentRefused(reason(code, "version", version=version, high=mark.version))


def _verified(document: PolicyDocument, raw: bytes, sha256: str, known: Names | None) -> Verified:
    found = _bounded(document, known)
    return Verified(
        version=document.version,
        sha256=sha256,
        policy=found.policy,
        not_before_ms=epoch_ms(document.not_before),
        expires_ms=epoch_ms(document.expires),
        previous_sha256=document.previous_sha256,
        envelope=raw,
        rehearsal_days=document.rehearsal.days,
        max_worse=document.rehearsal.max_worse,
        unmet=tuple(dict.fromkeys(one.name for one in found.unmet)),
        depends=found.depends,
    )


def _bounded(document: PolicyDocument, known: Names | None) -> addressing.Local:
    """The module's check 7 (bounds, names, contradictions): the policy adapted to this hall. Raises
    ``DocumentRefused`` with the first ``REASONS_MAX`` mistakes. ``known`` None: the hall's names are unknown, so
    names are not checked.
    """
    wrong = [*_bounds(document.body), *addressing.named_twice(names(document.body, "body"))]
    if known is not None:
        wrong += _unknown(document.body, known)
    if not wrong:
        found = of_hall(document, known)
        wrong = list(contradictions(found.policy))
        wrong += [] if known is None else dead_ends(found.policy, known)
        wrong = [replace(one, path=found.place(one.path)) for one in wrong]
    if wrong:
        raise DocumentRefused(*wrong[:REASONS_MAX])
    return found


def of_hall(document: PolicyDocument, known: Names | None) -> addressing.Local:
    """The policy adapted to the hall with the names ``known``; None: as the document has it."""
    policy = core_policy(document.body)
    return addressing.Local(policy) if known is None else addressing.local(policy, known)


def _bounds(body: Struct) -> Iterator[Reason]:
    for name, path, value in numbers(body, "body"):
        known = parameters(Policy)[name]
        if known.bounds is not None and not known.bounds[0] <= value <= known.bounds[1]:
            words = {
                "value": value,
                "low": known.low,
                "high": known.high,
                "label": known.label,
                "label_zh": known.label_zh,
            }
            yield reason("out-of-bounds", path, **words)


def _unknown(body: Struct, known: Names) -> Iterator[Reason]:
    """Yield a refusal for every area, service or window that the policy names without ``if-present:`` and this hall
    does not have.
    """
    for kind, path, found in names(body, "body"):
        if addressing.depends(found):
            continue
        ours: frozenset[str] = getattr(known, f"{kind}s")
        if found not in ours:
            yield reason(f"unknown-{kind}", path, found=found, **hints(found, ours))
