"""Checks the city's key list, which says which keys may sign what: from the bytes of an envelope to a ``KeyList``.

The checks, in this order; the first that fails ends it, and the list is refused as a whole:

1. size, 2. a root key of this hall, 3. signature over the raw bytes (``envelope.verify``)
4. strict parse   5. type, halls, dates of the list (only while the clock can be trusted)
6. version: not below the highest accepted from any present root key   7. the keys themselves

A list is complete: a key that it does not name is no longer trusted (for the keys in hall.toml see ``keyring.py``).
Keys with an algorithm that this program does not know are ignored, so that one list fits halls with several versions.
``KeyListDocument`` defines its form; versions that only grow and dates of expiry follow TUF's root role
(theupdateframework.io, specification §5.3).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta

from edged import personal, strict_json, texts
from edged.central import envelope
from edged.central.audience import CLOCK_TRUSTED_FROM_MS, Audience, Moment, epoch_ms
from edged.central.documents import REASONS_MAX, Document, check_dates, check_for_us, parse
from edged.central.keyring import SKEW_MS, KeyList, ListedKey, RevokedKey
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.central.signatures import PUBLIC_BYTES, PublicKey, is_public, supported
from edged.shapes import Shape, form

PAYLOAD_TYPE = "application/vnd.edged.keys+json"
TYPE = "keys"
VERSION_MAX = 2**53 - 1  # exact in every JSON reader
ENTRIES_MAX = 32  # of each kind; with the 16 of a duty desk's file less than KEYS_MAX of operation_desk.py
SCOPE_FORM = r"^(policies|duty|operations(:[a-z][a-z-]{0,31})?)$"
NAME_FORM = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

Scope = Annotated[str, form(SCOPE_FORM)]
KeyName = Annotated[str, form(NAME_FORM)]
KeyId = Annotated[str, form(r"^[0-9a-f]{16}$")]
Public = Annotated[str, Meta(min_length=1, max_length=1024, description="base64 of the raw public key")]
Algorithm = Annotated[str, form(r"^[a-z0-9-]{1,32}$")]


class KeyEntry(Shape, frozen=True, kw_only=True):
    """One key: its scopes (what it may sign) and its period of validity.

    ``scopes``: "policies", "operations" (all), "operations:open" (only this operation), "duty" (those that each hall's
    ``[duty] operations`` allows).
    """

    name: KeyName
    keyid: KeyId
    public: Public
    algorithm: Algorithm = "ed25519"
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=32)]
    not_before: Moment
    not_after: Moment


class RevokedEntry(Shape, frozen=True, kw_only=True):
    """A key that may no longer sign anything, and why. It stays in the list so that halls can name what it has
    signed.
    """

    name: KeyName
    keyid: KeyId
    public: Public
    algorithm: Algorithm = "ed25519"
    reason: Annotated[str, Meta(min_length=1, max_length=120)]


class KeyListDocument(Document, frozen=True, kw_only=True):
    """The payload of a key list, as a root key signs it."""

    type: Annotated[str, Meta(description=f'always "{TYPE}"', extra_json_schema={"const": TYPE})]
    version: Annotated[int, Meta(ge=1, le=VERSION_MAX, description="higher than every version before")]
    keys: Annotated[tuple[KeyEntry, ...], Meta(min_length=1, max_length=ENTRIES_MAX)]
    revoked: Annotated[tuple[RevokedEntry, ...], Meta(max_length=ENTRIES_MAX)] = ()


class Mark(NamedTuple):
    """The highest version among the accepted lists that one root key signed, and the SHA-256 of that list's payload."""

    version: int
    sha256: str


def accept(
    raw: bytes, roots: envelope.Keys, audience: Audience, marks: Mapping[str, Mark], now_ms: int
) -> KeyList:
    """Make all checks, in order, and return the list.

    Raises ``DocumentRefused`` if one fails: no root key signed the list, it is malformed, for another hall, not valid
    yet or expired, or its version is below one accepted before (or equal, with other content).

    ``marks``: root key id -> the highest version accepted with its signature; ``now_ms``: wall clock, ms since 1970
    UTC.
    """
    if not roots:
        raise DocumentRefused(reason("no-root"))
    payload, root = envelope.verify(raw, PAYLOAD_TYPE, roots)
    document = parse(payload, KeyListDocument)
    check_for_us(document, TYPE, audience)
    check_dates(document, now_ms)
    if now_ms >= CLOCK_TRUSTED_FROM_MS and now_ms + SKEW_MS < epoch_ms(document.not_before):
        raise DocumentRefused(reason("not-yet", "not_before", not_before=document.not_before))
    sha256 = hashlib.sha256(payload).hexdigest()
    for keyid in roots:
        mark = marks.get(keyid, Mark(0, ""))
        if document.version < mark.version:
            raise DocumentRefused(
                reason("old-version", "version", version=document.version, high=mark.version)
            )
        if document.version == mark.version and sha256 != mark.sha256:
            raise DocumentRefused(
                reason("version-reused", "version", version=document.version, high=mark.version)
            )
    return _key_list(document, raw, sha256, root, roots)


def reread(raw: bytes, roots: envelope.Keys | None) -> KeyList:
    """Check a list that this hall accepted before. ``roots`` None: their file cannot be read now, and the signature is
    not verified again.

    Raises ``DocumentRefused`` if no root key of this hall has signed it, or if this version of the program cannot read
    it.
    """
    if roots is None:
        payload, root = envelope.opened_unverified(raw), ""
    elif roots:
        payload, root = envelope.verify(raw, PAYLOAD_TYPE, roots)
    else:
        raise DocumentRefused(reason("no-root"))
    document = parse(payload, KeyListDocument, kept=True)
    return _key_list(document, raw, hashlib.sha256(payload).hexdigest(), root, roots or {})


def inspect(payload: bytes) -> KeyListDocument:
    """Check everything in a key list that does not depend on a hall, for those who write one. Raises
    ``DocumentRefused`` if the list is malformed, or if its dates or its keys contradict each other.
    """
    document = parse(payload, KeyListDocument)
    check_dates(document, 0)
    _key_list(document, b"", "", "", {})
    return document


def version_in(payload: bytes) -> int:
    """The version in an unverified payload; 0 if there is none."""
    try:
        named = strict_json.parse_document(payload, envelope.ENVELOPE_BYTES_MAX).get("version")
    except strict_json.NotStrictJson:
        return 0
    return named if isinstance(named, int) and not isinstance(named, bool) else 0


def _key_list(document: KeyListDocument, raw: bytes, sha256: str, root: str, roots: envelope.Keys) -> KeyList:
    wrong = list(_wrong(document, roots))
    if wrong:
        raise DocumentRefused(*wrong[:REASONS_MAX])
    keys = [
        ListedKey(
            one.keyid,
            _public(one),
            one.name,
            frozenset(one.scopes),
            epoch_ms(one.not_before),
            epoch_ms(one.not_after),
        )
        for one in document.keys
        if one.algorithm in supported()
    ]
    revoked = [RevokedKey(one.keyid, _public(one), one.name, one.reason) for one in document.revoked]
    return KeyList(
        document.version,
        sha256,
        root,
        epoch_ms(document.expires),
        tuple(keys),
        tuple(revoked),
        tuple(f"{one.name} ({one.algorithm})" for one in document.keys if one.algorithm not in supported()),
        raw,
    )


def _wrong(document: KeyListDocument, roots: envelope.Keys) -> Iterator[Reason]:
    """The module's check 7 (the keys): every key matches its id and appears once, its dates are in order, and no root
    key is among them.
    """
    seen: dict[str, str] = {}
    for path, one in _entries(document):
        if one.keyid in seen:
            yield _contradiction(
                f"{path}.keyid", f"{seen[one.keyid]} is the same key", f"与 {seen[one.keyid]} 重复"
            )
        seen[one.keyid] = path
        if one.keyid in roots:
            yield _contradiction(
                f"{path}.keyid",
                "a root key signs key lists and nothing else",
                "根密钥只能签发密钥清单，不能列入清单",
            )
        if one.algorithm in PUBLIC_BYTES and not _is_key(one):
            yield _contradiction(
                f"{path}.public",
                f"it must be base64 of a {PUBLIC_BYTES[one.algorithm]}-byte {envelope.NAMES[one.algorithm]} key whose "
                "fingerprint is its keyid",
                "必须是公钥的 base64，且指纹与 keyid 一致",
            )
    for position, key in enumerate(document.keys):
        yield from _wrong_dates(f"keys[{position}]", key)
    for position, gone in enumerate(document.revoked):
        path = f"revoked[{position}].reason"
        if personal.where(gone.reason) is not None:
            yield reason("personal-data", path)
        odd = texts.where_odd(gone.reason)
        if odd is not None:
            yield reason("odd-character", path, position=odd[1], name=odd[2])


def _entries(document: KeyListDocument) -> Iterator[tuple[str, KeyEntry | RevokedEntry]]:
    for position, one in enumerate(document.keys):
        yield f"keys[{position}]", one
    for position, gone in enumerate(document.revoked):
        yield f"revoked[{position}]", gone


def _wrong_dates(path: str, key: KeyEntry) -> Iterator[Reason]:
    try:
        if epoch_ms(key.not_after) > epoch_ms(key.not_before):
            return
    except (ValueError, OverflowError):
        yield _contradiction(
            f"{path}.not_after", "a date is not between the years 1 and 9999", "日期不在公元 1 至 9999 年之间"
        )
        return
    yield _contradiction(
        f"{path}.not_after", "it must be later than not_before", "必须晚于生效时间 not_before"
    )


def _is_key(one: KeyEntry | RevokedEntry) -> bool:
    key = _public(one)
    return is_public(key) and envelope.keyid_of(key.raw) == one.keyid


def _public(one: KeyEntry | RevokedEntry) -> PublicKey:
    try:
        return PublicKey(one.algorithm, base64.b64decode(one.public, validate=True))
    except ValueError:
        return PublicKey(one.algorithm, b"")


def _contradiction(path: str, english: str, chinese: str) -> Reason:
    return reason("contradiction", path, detail=english, detail_zh=chinese)
