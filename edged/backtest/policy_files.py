"""Reads policy documents for the backtest with the daemon's own checks, except those of signature and dates."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from edged.backtest.candidates import Candidate
from edged.central.policies import PAYLOAD_TYPE, reread
from edged.central.policy_text import uncommented
from edged.central.refusals import DocumentRefused
from edged.encoding import file_text


class BadPolicy(Exception):
    """A policy file that the daemon would refuse; the text says why."""


def policy_file(path: Path) -> Candidate:
    """Read a policy as a candidate named like the file: a whole policy document, or only its ``body``. Raises
    ``BadPolicy`` if the file cannot be read or the daemon would refuse it.
    """
    try:
        document = json.loads(uncommented(file_text(path).encode()))
    except json.JSONDecodeError as error:
        raise BadPolicy(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        raise BadPolicy(str(error)) from None
    if not isinstance(document, dict):
        raise BadPolicy(f"{path}: must be an object {{ … }}")
    if "body" not in document:
        document = {"body": document, "type": "policy", "halls": ["backtest"], "version": 1}
        document |= {"not_before": "2026-01-01T00:00:00Z", "expires": "2036-01-01T00:00:00Z"}
    try:
        return Candidate(path.stem, reread(_envelope(document), None).policy)
    except DocumentRefused as refused:
        raise BadPolicy(f"{path}: {refused}") from None


def _envelope(document: dict[str, Any]) -> bytes:
    """Wrap a document in an envelope with a void signature: the reader requires an envelope, and does not check the
    signature here.
    """
    payload = base64.b64encode(json.dumps(document, ensure_ascii=False).encode()).decode()
    signatures = [{"keyid": "none", "sig": base64.b64encode(bytes(64)).decode()}]
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": payload, "signatures": signatures}
    return json.dumps(envelope).encode()
