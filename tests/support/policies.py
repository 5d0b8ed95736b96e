"""A signing key, example policies and orders, and signed envelopes, for tests."""

from __future__ import annotations

import copy
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.central.audience import Audience, Names
from edged.central.envelope import keyid_of, sign
from edged.central.policies import PAYLOAD_TYPE
from edged.central.signatures import ED25519, PublicKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {keyid_of(PUBLIC): PublicKey(ED25519, PUBLIC)}
NAMES = Names(
    areas=frozenset({"tax", "biz"}),
    services=frozenset({"tax-general", "tax-invoice", "biz-open", "biz-seal"}),
    windows=frozenset({"w1", "w11"}),
    unserved=frozenset({"biz-seal"}),
    serves={"w1": ("tax-general", "tax-invoice"), "w11": ("tax-general", "biz-open")},
    area_of={"tax-general": "tax", "tax-invoice": "tax", "biz-open": "biz", "biz-seal": "biz"},
)
AUDIENCE = Audience("demo", "city", NAMES)
NOW_MS = 1_780_000_000_000  # 2026-05-28

DOCUMENT: dict[str, Any] = {
    "type": "policy",
    "halls": ["demo"],
    "version": 7,
    "not_before": "2026-05-01T00:00:00+08:00",
    "expires": "2027-05-01T00:00:00+08:00",
    "body": {"tidal": {"band": {"open_above": 6}, "areas": {"tax": {"max_windows": 2}}}},
}
ORDER: dict[str, Any] = {
    "type": "operation",
    "halls": ["demo"],
    "operation": "close",
    "id": "order-1",
    "counter": 5,
    "not_before": "2026-05-28T20:20:00Z",
    "expires": "2026-05-28T20:30:00Z",
    "by": "chen",
    "body": {"window": "w1"},
}


def document(**changes: Any) -> dict[str, Any]:
    """The example document with top-level fields replaced; None removes a field."""
    made = copy.deepcopy(DOCUMENT) | changes
    return {key: value for key, value in made.items() if value is not None}


def envelope(made: dict[str, Any] | bytes | None = None, key: Ed25519PrivateKey = KEY) -> bytes:
    """Sign ``made``, a document or raw bytes (None: the example document), with ``key``; returns the envelope."""
    payload = made if isinstance(made, bytes) else json.dumps(document() if made is None else made).encode()
    return sign(payload, PAYLOAD_TYPE, key)
