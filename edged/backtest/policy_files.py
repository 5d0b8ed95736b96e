"""Policy documents for the backtest: read with the daemon's own checks, signature and dates aside."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from edged.backtest.candidates import Candidate
from edged.central.policies import PAYLOAD_TYPE, reread
from edged.central.refusals import PolicyRefused


class BadPolicy(Exception):
    """A policy file that the daemon would refuse; the text says why."""


def policy_file(path: Path) -> Candidate:
    """A policy document as it is signed, or only its ``body``. Raises ``BadPolicy``."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadPolicy(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise BadPolicy(f"{path}: must be an object {{ … }}")
    if "body" not in document:
        document = {"body": document, "type": "policy", "halls": ["backtest"], "version": 1}
        document |= {"not_before": "2026-01-01T00:00:00Z", "expires": "2036-01-01T00:00:00Z"}
    try:
        return Candidate(path.stem, reread(_envelope(document), _areas(document)).policy)
    except PolicyRefused as refused:
        raise BadPolicy(f"{path}: {refused}") from None


def _envelope(document: dict[str, Any]) -> bytes:
    """Unsigned: nobody is asked to trust it, only to read it."""
    payload = base64.b64encode(json.dumps(document, ensure_ascii=False).encode()).decode()
    signatures = [{"keyid": "none", "sig": base64.b64encode(bytes(64)).decode()}]
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": payload, "signatures": signatures}
    return json.dumps(envelope).encode()


def _areas(document: dict[str, Any]) -> frozenset[str]:
    """Areas that the policy names: those the hall of the trace does not have never matter."""
    tidal = document["body"].get("tidal") if isinstance(document["body"], dict) else None
    names: set[str] = set()
    for field in ("areas", "pw_areas"):
        named_here = tidal.get(field) if isinstance(tidal, dict) else None
        names |= set(named_here) if isinstance(named_here, dict) else set()
    return frozenset(names)
