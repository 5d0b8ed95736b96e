"""DSSE envelopes, signed with Ed25519 or SM2 (``signatures.py``). Rules of this file:

* The signature is over the PAE (``pae``) of the raw payload bytes; the payload is parsed only after it was verified.
* A key id is the first 16 hex digits of the SHA-256 of the raw public key, so no other key can have it.
* One good signature of a trusted key is enough; signatures of other keys are ignored. The key id is a hint that may be
  left out or empty: then every trusted Ed25519 key is tried.
* Fields that the specification does not define are ignored, as it requires.
* The cryptography library (7 MiB of memory) is loaded for the first signature, not at the start.

Source: secure-systems-lab/dsse, protocol.md and envelope.md (v1.0).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from edged import strict_json
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.central.signatures import (
    ED25519,
    PUBLIC_BYTES,
    SM2,
    PublicKey,
    Sm2PrivateKey,
    is_public,
    public_of,
    read_sm2_pem,
    sign_with,
    signed,
    sm2_pem,
    supported,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ENVELOPE_BYTES_MAX = 64 * 1024  # a policy for 50 areas has less than 20 KiB
SIGNATURES_MAX = 4  # two active keys and their successors: more only costs verification time
KEYS_MAX = 16
ATTEMPTS_MAX = SIGNATURES_MAX * KEYS_MAX  # verifications of one envelope, with or without key ids
KEY_FILE_BYTES_MAX = 64 * 1024
KEYID_DIGITS = 16
NAMES = {ED25519: "Ed25519", SM2: "SM2"}
NEEDS_GM = "this installation lacks the extra gm (pip install 'edged[gm]')"

Keys = Mapping[str, PublicKey]  # key id -> public key


class KeyFileError(ValueError):
    """A key file cannot be used; the text names the file and the remedy."""


class OpenedEnvelope(NamedTuple):
    """A payload whose signature was verified with the key ``keyid``."""

    payload: bytes
    keyid: str


def keyid_of(public: bytes) -> str:
    """The key id of a raw public key, as envelopes name it."""
    return hashlib.sha256(public).hexdigest()[:KEYID_DIGITS]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of a payload: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey | Sm2PrivateKey) -> bytes:
    """Sign ``payload`` and return its envelope as JSON."""
    signature = sign_with(key, pae(payload_type, payload))
    envelope = {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": keyid_of(public_of(key).raw),
                "sig": base64.b64encode(signature).decode(),
            }
        ],
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def verify(
    raw: bytes, payload_type: str, keys: Keys, unusable: Mapping[str, Reason] = MappingProxyType({})
) -> OpenedEnvelope:
    """Check size, key and signature of an envelope, and return its payload.

    ``unusable``: known keys that may not sign this type of document now, with the refusal for each. Raises
    ``DocumentRefused`` if the envelope is too large, malformed or of another payload type, or if it has no valid
    signature by a key in ``keys``.
    """
    if len(raw) > ENVELOPE_BYTES_MAX:
        raise DocumentRefused(reason("too-large", size=len(raw), limit=ENVELOPE_BYTES_MAX))
    kind, payload, signatures = _parts(raw)
    if kind != payload_type:
        raise DocumentRefused(
            reason("wrong-payload-type", "payloadType", found=kind[:80], expected=payload_type)
        )
    if not keys and not unusable:
        raise DocumentRefused(reason("no-keys"))
    trusted = _tries(signatures, keys)
    if not trusted:
        for keyid, _ in signatures:
            if keyid in unusable:
                raise DocumentRefused(unusable[keyid])
        named = ", ".join(keyid[:40] for keyid, _ in signatures)
        raise DocumentRefused(
            reason("unknown-signer", "signatures", found=named, known=", ".join(sorted(keys)))
        )
    for keyid, sig in trusted:
        if signed(keys[keyid], sig, pae(kind, payload)):
            return OpenedEnvelope(payload, keyid)
    raise DocumentRefused(reason("bad-signature", "signatures"))


def signers(raw: bytes, payload_type: str, keys: Keys) -> frozenset[str]:
    """Return which of ``keys`` have signed the envelope; none if it is of another payload type. Raises
    ``DocumentRefused`` if it is no envelope.
    """
    kind, payload, signatures = _parts(raw)
    if kind != payload_type:
        return frozenset()
    data = pae(kind, payload)
    return frozenset(keyid for keyid, sig in _tries(signatures, keys) if signed(keys[keyid], sig, data))


def _tries(signatures: list[tuple[str, bytes]], keys: Keys) -> list[tuple[str, bytes]]:
    """The pairs of key and signature to verify.

    A signature without a key id is tried with every Ed25519 key, but not with SM2 keys: verifying those takes five
    times as long.
    """
    unnamed = [keyid for keyid, key in keys.items() if key.algorithm == ED25519]
    tries = [
        (known, sig)
        for keyid, sig in signatures
        for known in ([keyid] if keyid in keys else [] if keyid else unnamed)
    ]
    return tries[:ATTEMPTS_MAX]


def opened_unverified(raw: bytes) -> bytes:
    """The payload, without checking signatures: for documents verified earlier, and for displaying a file. Raises
    ``DocumentRefused`` if it is no envelope.
    """
    return _parts(raw)[1]


def _parts(raw: bytes) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    try:
        envelope = strict_json.parse_document(raw, ENVELOPE_BYTES_MAX)
    except strict_json.NotStrictJson as error:
        raise _not_an_envelope(str(error), error.chinese) from None
    if not {"payloadType", "payload", "signatures"} <= set(envelope):
        raise _not_an_envelope(
            "it must have payloadType, payload and signatures", "缺少 payloadType、payload 或 signatures"
        )
    kind, signatures = envelope["payloadType"], envelope["signatures"]
    if not isinstance(kind, str) or not isinstance(signatures, list):
        raise _not_an_envelope(
            "payloadType must be text and signatures a list", "payloadType 必须是文字，signatures 必须是列表"
        )
    if not 1 <= len(signatures) <= SIGNATURES_MAX:
        raise _not_an_envelope(
            f"it must have 1 to {SIGNATURES_MAX} signatures", f"必须有 1 至 {SIGNATURES_MAX} 个签名"
        )
    return kind, _decoded(envelope["payload"], "payload"), [_signature(entry) for entry in signatures]


def _signature(entry: Any) -> tuple[str, bytes]:
    keyid = (entry.get("keyid") or "") if isinstance(entry, dict) else None
    if not isinstance(keyid, str) or "sig" not in entry:
        raise _not_an_envelope(
            "a signature must have sig, and may have keyid, a text",
            "签名必须有 sig；keyid 可省略，且必须是文字",
        )
    return keyid, _decoded(entry["sig"], "sig")


def _decoded(text: Any, name: str) -> bytes:
    """Decode standard or URL-safe base64: the specification allows both."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (AttributeError, ValueError, binascii.Error):
        raise _not_an_envelope(f"{name} must be base64", f"{name} 必须是 base64 编码") from None


def _not_an_envelope(detail: str, detail_zh: str) -> DocumentRefused:
    return DocumentRefused(reason("not-an-envelope", detail=detail, detail_zh=detail_zh))


def load_names(file: str | Path) -> dict[str, str]:
    """The names of the keys in a key file, by key id; keys without a name are left out. Raises ``KeyFileError`` if the
    file cannot be read or is not a key file.
    """
    return {
        str(entry.get("keyid")): str(entry["name"])
        for entry in _entries(file)
        if isinstance(entry, dict) and entry.get("name")
    }


def _entries(file: str | Path) -> list[Any]:
    try:
        with open(file, "rb") as stream:
            entries = strict_json.parse_document(stream.read(KEY_FILE_BYTES_MAX + 1), KEY_FILE_BYTES_MAX).get(
                "keys"
            )
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read: {error.strerror or error}") from None
    except strict_json.NotStrictJson as error:
        raise KeyFileError(f"{file}: {error}") from None
    if not isinstance(entries, list) or not 1 <= len(entries) <= KEYS_MAX:
        raise KeyFileError(f'{file}: must hold {{"keys": [ … ]}} with 1 to {KEYS_MAX} keys')
    return entries


def load_keys(file: str | Path) -> dict[str, PublicKey]:
    """Load the public keys of a key file, by key id. Raises ``KeyFileError`` if it cannot be read or one key is wrong.

    Its form: ``{"keys": [{"keyid": …, "public": base64 of the raw key, "algorithm": "ed25519" or "sm2", "name": …}]}``;
    the name may be missing, and the algorithm too (then Ed25519).
    """
    keys: dict[str, PublicKey] = {}
    for position, entry in enumerate(_entries(file)):
        try:
            algorithm = entry.get("algorithm", ED25519)
            key = PublicKey(algorithm, base64.b64decode(entry["public"], validate=True))
        except (AttributeError, KeyError, TypeError, ValueError):
            algorithm, key = ED25519, PublicKey(ED25519, b"")
        if algorithm not in PUBLIC_BYTES:
            known = " or ".join(PUBLIC_BYTES)
            raise KeyFileError(f"{file}: keys[{position}].algorithm must be {known}")
        if not is_public(key):
            wanted = f"{PUBLIC_BYTES[algorithm]}-byte {NAMES[algorithm]} key"
            raise KeyFileError(f"{file}: keys[{position}].public must be base64 of a {wanted}")
        if algorithm not in supported():
            raise KeyFileError(f"{file}: keys[{position}] is an SM2 key: {NEEDS_GM}")
        if entry.get("keyid") != keyid_of(key.raw):
            raise KeyFileError(
                f'{file}: keys[{position}].keyid must be "{keyid_of(key.raw)}", the fingerprint of its key'
            )
        keys[keyid_of(key.raw)] = key
    return keys


def public_entry(key: Ed25519PublicKey | PublicKey, name: str) -> dict[str, str]:
    """The entry of a public key in a key file: ``keyid``, ``public`` (base64), ``algorithm`` unless it is Ed25519, and
    ``name``.
    """
    public = key if isinstance(key, PublicKey) else PublicKey(ED25519, key.public_bytes_raw())
    algorithm = {} if public.algorithm == ED25519 else {"algorithm": public.algorithm}
    text = base64.b64encode(public.raw).decode()
    return {"keyid": keyid_of(public.raw), "public": text, **algorithm, "name": name}


def private_pem(key: Ed25519PrivateKey | Sm2PrivateKey) -> bytes:
    """A private key as PKCS #8 PEM, not encrypted: the file's mode protects it."""
    if isinstance(key, Sm2PrivateKey):
        return sm2_pem(key)
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private(file: str | Path) -> Ed25519PrivateKey | Sm2PrivateKey:
    """A signing key from a PEM file. Raises ``KeyFileError`` if the file cannot be read, holds another kind of key, or
    holds an SM2 key for which the library is missing.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        pem = Path(file).read_bytes()
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read: {error.strerror or error}") from None
    try:
        sm2 = read_sm2_pem(pem)
        if sm2 is not None:
            return sm2
        key = serialization.load_pem_private_key(pem, password=None)
    except ImportError:
        raise KeyFileError(f"{file}: an SM2 key: {NEEDS_GM}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"{file}: not a signing key (an unencrypted PEM file of `edged policy keygen`)"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{file}: neither an Ed25519 nor an SM2 key")
    return key
