"""The signature algorithms: Ed25519, and SM2 with SM3 (国密) if the extra ``gm`` is installed.

Rules of this file:

* The algorithm belongs to the key, as given in hall.toml's key files and the key list. An envelope names none, so
  nobody can have a signature checked with another algorithm.
* For each algorithm, only one form and length of public keys is accepted.
* The libraries are loaded for the first signature, not at the start.

Sources: RFC 8032 (Ed25519); GB/T 32918.2 (SM2), GM/T 0009 §7 (the signer's default id, and ASN.1 DER of r and s); RFC
5480 §2.2 (65 bytes of an uncompressed point); RFC 5958 (PKCS #8).
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519, SM2 = "ed25519", "sm2"
PUBLIC_BYTES = {ED25519: 32, SM2: 65}
UNCOMPRESSED = b"\x04"
SIGNER_ID = b"1234567812345678"  # GM/T 0009 §7: the default id
# PKCS #8 of an SM2 key as `openssl genpkey -algorithm SM2` writes it (OpenSSL 3): version, id-ecPublicKey with the
# curve 1.2.156.10197.1.301, ECPrivateKey with 32 bytes of the key; then the public point.
_PKCS8_HEAD = bytes.fromhex("308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420")
_PKCS8_MIDDLE = bytes.fromhex("a144034200")
_SCALAR_BYTES = 32
_ARMOUR = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----")
_LINE = 64


class PublicKey(NamedTuple):
    """A public key. ``raw``: 32 bytes for Ed25519, 65 bytes (an uncompressed point) for SM2."""

    algorithm: str
    raw: bytes


class Sm2PrivateKey(NamedTuple):
    """An SM2 signing key. ``scalar``: 32 bytes; ``public``: 65 bytes."""

    scalar: bytes
    public: bytes

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``; the signature is in DER."""
        import gmssl_pyx  # type: ignore[import-untyped]

        made: bytes = gmssl_pyx.sm2_sign(self.scalar, self.public[1:], data, SIGNER_ID)
        return made


@cache
def supported() -> frozenset[str]:
    """The algorithms that this installation can verify."""
    found = {ED25519}
    if importlib.util.find_spec("gmssl_pyx") is not None:
        found.add(SM2)
    return frozenset(found)


def is_public(key: PublicKey) -> bool:
    """Whether ``key`` has the length and form that its algorithm requires."""
    formed = len(key.raw) == PUBLIC_BYTES.get(key.algorithm)
    return formed and (key.algorithm != SM2 or key.raw[:1] == UNCOMPRESSED)


def signed(key: PublicKey, sig: bytes, data: bytes) -> bool:
    """Whether ``sig`` is a signature over ``data`` by ``key``, checked with the key's algorithm alone."""
    if not is_public(key) or key.algorithm not in supported():
        return False
    return _signed_sm2(key.raw, sig, data) if key.algorithm == SM2 else _signed_ed25519(key.raw, sig, data)


def _signed_ed25519(public: bytes, sig: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(sig, data)
    except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no key
        return False
    return True


SM2_SIG_BYTES = range(8, 73)  # DER of two whole numbers of at most 32 bytes


def _signed_sm2(public: bytes, sig: bytes, data: bytes) -> bool:
    import gmssl_pyx

    if len(sig) not in SM2_SIG_BYTES:
        return False
    try:
        return bool(gmssl_pyx.sm2_verify(public[1:], data, sig, SIGNER_ID))
    except gmssl_pyx.GmsslInnerError:  # a point that is not on the curve, or invalid DER
        return False


def sign_with(key: Ed25519PrivateKey | Sm2PrivateKey, data: bytes) -> bytes:
    """Sign ``data`` with either kind of key; the signature is 64 bytes (Ed25519) or DER (SM2)."""
    return key.sign(data)


def public_of(key: Ed25519PrivateKey | Sm2PrivateKey) -> PublicKey:
    """The public key of a signing key."""
    if isinstance(key, Sm2PrivateKey):
        return PublicKey(SM2, key.public)
    return PublicKey(ED25519, key.public_key().public_bytes_raw())


def new_sm2() -> Sm2PrivateKey:
    """Generate an SM2 key. Raises ``ImportError`` if the extra ``gm`` is not installed."""
    import gmssl_pyx

    public, scalar = gmssl_pyx.sm2_key_generate()
    return Sm2PrivateKey(scalar, UNCOMPRESSED + public)


def sm2_pem(key: Sm2PrivateKey) -> bytes:
    """The key as PKCS #8 PEM, not encrypted, as OpenSSL writes and reads it."""
    text = base64.b64encode(_PKCS8_HEAD + key.scalar + _PKCS8_MIDDLE + key.public).decode()
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return ("\n".join((_ARMOUR[0], *lines, _ARMOUR[1])) + "\n").encode()


def read_sm2_pem(pem: bytes) -> Sm2PrivateKey | None:
    """The SM2 key in a PKCS #8 PEM file; None if the file contains anything else. Raises ``ImportError`` if the extra
    ``gm`` is not installed.
    """
    try:
        lines = pem.decode("ascii").split("\n")
        start, end = (lines.index(line) for line in _ARMOUR)
        der = base64.b64decode("".join(lines[start + 1 : end]), validate=True)
    except (ValueError, binascii.Error):
        return None
    middle = len(_PKCS8_HEAD) + _SCALAR_BYTES
    scalar, public = der[len(_PKCS8_HEAD) : middle], der[middle + len(_PKCS8_MIDDLE) :]
    if der != _PKCS8_HEAD + scalar + _PKCS8_MIDDLE + public or not is_public(PublicKey(SM2, public)):
        return None
    key = Sm2PrivateKey(scalar, public)
    probe = b"whether the two halves of a key file belong together"
    return key if _signed_sm2(public, key.sign(probe), probe) else None
