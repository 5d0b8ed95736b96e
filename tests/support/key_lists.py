"""Key lists for tests: root keys, keys of a city, a list of them, and its signed envelope."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.central.envelope import keyid_of, sign
from edged.central.key_list import PAYLOAD_TYPE
from edged.central.signatures import ED25519, PublicKey
from tests.support.policies import KEY

ROOT = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
SPARE_ROOT = Ed25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
NEXT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(4, 36)))


def public_of(key: Ed25519PrivateKey) -> bytes:
    """The public key of ``key`` as raw bytes."""
    return key.public_key().public_bytes_raw()


def id_of(key: Ed25519PrivateKey) -> str:
    """The key id of ``key``."""
    return keyid_of(public_of(key))


def keys_of(*keys: Ed25519PrivateKey) -> dict[str, PublicKey]:
    """The public keys by key id."""
    return {id_of(key): PublicKey(ED25519, public_of(key)) for key in keys}


def entry(key: Ed25519PrivateKey, *scopes: str, **changes: Any) -> dict[str, Any]:
    """The entry of a key list for ``key``, valid from 2020 to 2097. ``scopes``: what it may sign, by default policies
    and operations; ``changes``: fields to replace.
    """
    return {
        "name": "city",
        "keyid": id_of(key),
        "public": base64.b64encode(public_of(key)).decode(),
        "algorithm": "ed25519",
        "scopes": list(scopes or ("policies", "operations")),
        "not_before": "2020-01-01T00:00:00+08:00",
        "not_after": "2098-01-01T00:00:00+08:00",
    } | changes


def revoked(key: Ed25519PrivateKey, why: str = "stolen", name: str = "old") -> dict[str, Any]:
    """The entry of a key list that revokes ``key``."""
    public = base64.b64encode(public_of(key)).decode()
    return {"name": name, "keyid": id_of(key), "public": public, "algorithm": "ed25519", "reason": why}


def key_list(version: int, *keys: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An unsigned list for hall "demo" with the entries ``keys``; by default the city's key, which may sign policies
    and operations. ``changes``: fields to replace.
    """
    return {
        "type": "keys",
        "halls": ["demo"],
        "version": version,
        "not_before": "2020-01-01T00:00:00+08:00",
        "expires": "2098-01-01T00:00:00+08:00",
        "keys": list(keys or (entry(KEY),)),
    } | changes


def list_envelope(made: dict[str, Any], key: Ed25519PrivateKey = ROOT) -> bytes:
    """Sign the list ``made`` with ``key``."""
    return sign(json.dumps(made, ensure_ascii=False).encode(), PAYLOAD_TYPE, key)
