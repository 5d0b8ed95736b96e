"""DSSE envelopes signed with Ed25519. Rules of this file:

* The signature is over the PAE of the raw payload bytes; the payload is parsed only by whoever verified it.
* A key id is the first 16 hex digits of the SHA-256 of the raw public key: it cannot be given to another key.
* One good signature of a trusted key is enough; signatures of other keys are passed over. The key id is a hint that may
  be left out or empty: then every trusted key is tried.
* Fields that the specification does not know are passed over, as it wants.
* The cryptography library (7 MiB of memory) is loaded by the first signature, not by the start.

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

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ENVELOPE_BYTES_MAX = 64 * 1024  # WIRE: policy messages; a policy for 50 areas is under 20 KiB
SIGNATURES_MAX = 4  # two active keys and their successors: more only costs verification time
KEYS_MAX = 16
ATTEMPTS_MAX = SIGNATURES_MAX * KEYS_MAX  # verifications of one envelope, whatever it leaves out
KEY_FILE_BYTES_MAX = 64 * 1024
KEYID_DIGITS = 16
PUBLIC_BYTES = 32  # RFC 8032 §5.1.5

Keys = Mapping[str, bytes]  # key id -> raw public key


class KeyFileError(ValueError):
    """A key file cannot be used; the text names the file and the remedy."""


class OpenedEnvelope(NamedTuple):
    """A payload whose signature was verified with the key ``keyid``."""

    payload: bytes
    keyid: str


def keyid_of(public: bytes) -> str:
    """The fingerprint by which envelopes name the raw public key."""
    return hashlib.sha256(public).hexdigest()[:KEYID_DIGITS]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """The envelope around ``payload``, as JSON."""
    signature = key.sign(pae(payload_type, payload))
    envelope = {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": keyid_of(key.public_key().public_bytes_raw()),
                "sig": base64.b64encode(signature).decode(),
            }
        ],
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def verify(
    raw: bytes, payload_type: str, keys: Keys, unusable: Mapping[str, Reason] = MappingProxyType({})
) -> OpenedEnvelope:
    """Size, key, signature. ``unusable``: keys that may not sign this now, and what a refusal says of them.

    Raises ``DocumentRefused``.
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
    trusted = [
        (known, sig)
        for keyid, sig in signatures
        for known in ([keyid] if keyid in keys else [] if keyid else keys)
    ]
    if not trusted:
        for keyid, _ in signatures:
            if keyid in unusable:
                raise DocumentRefused(unusable[keyid])
        named = ", ".join(keyid[:40] for keyid, _ in signatures)
        raise DocumentRefused(
            reason("unknown-signer", "signatures", found=named, known=", ".join(sorted(keys)))
        )
    for keyid, sig in trusted[:ATTEMPTS_MAX]:
        if _signed(keys[keyid], sig, pae(kind, payload)):
            return OpenedEnvelope(payload, keyid)
    raise DocumentRefused(reason("bad-signature", "signatures"))


def signers(raw: bytes, payload_type: str, keys: Keys) -> frozenset[str]:
    """Which of ``keys`` have signed the envelope. Raises ``DocumentRefused`` for what is none."""
    kind, payload, signatures = _parts(raw)
    if kind != payload_type:
        return frozenset()
    tries = [
        (known, sig)
        for keyid, sig in signatures
        for known in ([keyid] if keyid in keys else [] if keyid else keys)
    ]
    data = pae(kind, payload)
    return frozenset(keyid for keyid, sig in tries[:ATTEMPTS_MAX] if _signed(keys[keyid], sig, data))


def _signed(public: bytes, sig: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(sig, data)
    except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no key
        return False
    return True


def opened_unverified(raw: bytes) -> bytes:
    """The payload without checking signatures: for documents verified earlier, and for showing a file."""
    return _parts(raw)[1]


def _parts(raw: bytes) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    try:
        envelope = strict_json.parse_document(raw, ENVELOPE_BYTES_MAX)
    except strict_json.NotStrictJson as error:
        raise _not_an_envelope(str(error)) from None
    if not {"payloadType", "payload", "signatures"} <= set(envelope):
        raise _not_an_envelope("it must have payloadType, payload and signatures")
    kind, signatures = envelope["payloadType"], envelope["signatures"]
    if not isinstance(kind, str) or not isinstance(signatures, list):
        raise _not_an_envelope("payloadType must be text and signatures a list")
    if not 1 <= len(signatures) <= SIGNATURES_MAX:
        raise _not_an_envelope(f"it must have 1 to {SIGNATURES_MAX} signatures")
    return kind, _decoded(envelope["payload"], "payload"), [_signature(entry) for entry in signatures]


def _signature(entry: Any) -> tuple[str, bytes]:
    keyid = (entry.get("keyid") or "") if isinstance(entry, dict) else None
    if not isinstance(keyid, str) or "sig" not in entry:
        raise _not_an_envelope("a signature must have sig, and may have keyid, a text")
    return keyid, _decoded(entry["sig"], "sig")


def _decoded(text: Any, name: str) -> bytes:
    """Standard or URL-safe base64: the specification allows both."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (AttributeError, ValueError, binascii.Error):
        raise _not_an_envelope(f"{name} must be base64") from None


def _not_an_envelope(detail: str) -> DocumentRefused:
    return DocumentRefused(reason("not-an-envelope", detail=detail))


def load_names(file: str | Path) -> dict[str, str]:
    """The names of a key file's keys, by id; a key without one is left out. Raises ``KeyFileError``."""
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


def load_keys(file: str | Path) -> dict[str, bytes]:
    """Trusted public keys of ``{"keys": [{"keyid": …, "public": base64 of 32 bytes, "name": …?}]}``.

    Raises ``KeyFileError``.
    """
    keys: dict[str, bytes] = {}
    for position, entry in enumerate(_entries(file)):
        try:
            key = base64.b64decode(entry["public"], validate=True)
        except (KeyError, TypeError, ValueError):
            key = b""
        if len(key) != PUBLIC_BYTES:
            raise KeyFileError(f"{file}: keys[{position}].public must be base64 of a 32-byte Ed25519 key")
        if entry.get("keyid") != keyid_of(key):
            raise KeyFileError(
                f'{file}: keys[{position}].keyid must be "{keyid_of(key)}", the fingerprint of its key'
            )
        keys[keyid_of(key)] = key
    return keys


def public_entry(key: Ed25519PublicKey, name: str) -> dict[str, str]:
    """One entry of a key file."""
    raw = key.public_bytes_raw()
    return {"keyid": keyid_of(raw), "public": base64.b64encode(raw).decode(), "name": name}


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """PKCS #8 PEM, not encrypted: the file's mode protects it."""
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private(file: str | Path) -> Ed25519PrivateKey:
    """A signing key from a PEM file. Raises ``KeyFileError``."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(Path(file).read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):
        raise KeyFileError(
            f"{file}: not a signing key (an unencrypted PEM file of `edged policy keygen`)"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{file}: not an Ed25519 key")
    return key
