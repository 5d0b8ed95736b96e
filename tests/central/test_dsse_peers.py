"""Our DSSE envelopes and those of securesystemslib, the library of the specification's authors: each opens the
other's.
"""

from __future__ import annotations

import base64
import json

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey

from edged.central.envelope import keyid_of, pae, sign, verify
from edged.central.policies import PAYLOAD_TYPE
from edged.central.refusals import DocumentRefused
from tests.support.policies import KEY, KEYS, OTHER_KEY, PUBLIC, document

PAYLOADS = [
    b"",
    b"{}",
    json.dumps(document(), ensure_ascii=False).encode(),
    "税务\u2028".encode(),
    bytes(range(256)),
]


def their_key(public: bytes = PUBLIC) -> SSlibKey:
    return SSlibKey(keyid_of(public), "ed25519", "ed25519", {"public": public.hex()})


@pytest.mark.parametrize("payload", PAYLOADS)
def test_securesystemslib_verifies_our_envelopes(payload: bytes) -> None:
    envelope = Envelope.from_dict(json.loads(sign(payload, PAYLOAD_TYPE, KEY)))
    assert envelope.pae() == pae(PAYLOAD_TYPE, payload)
    assert set(envelope.verify([their_key()], 1)) == {keyid_of(PUBLIC)}
    assert envelope.payload == payload
    with pytest.raises(VerificationError):
        envelope.verify([their_key(OTHER_KEY.public_key().public_bytes_raw())], 1)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_we_verify_envelopes_of_securesystemslib(payload: bytes) -> None:
    made = Envelope(payload, PAYLOAD_TYPE, {})
    made.sign(CryptoSigner(OTHER_KEY, their_key(OTHER_KEY.public_key().public_bytes_raw())))
    made.sign(CryptoSigner(KEY, their_key()))
    raw = json.dumps(made.to_dict()).encode()
    assert verify(raw, PAYLOAD_TYPE, KEYS) == (payload, keyid_of(PUBLIC))


def test_we_and_securesystemslib_refuse_a_changed_envelope() -> None:
    fields = json.loads(sign(b"{}", PAYLOAD_TYPE, KEY))
    for changed in ({"payload": base64.b64encode(b"[]").decode()}, {"payloadType": PAYLOAD_TYPE + "x"}):
        spoilt = fields | changed
        with pytest.raises(VerificationError):
            Envelope.from_dict(json.loads(json.dumps(spoilt))).verify([their_key()], 1)
        with pytest.raises(DocumentRefused):
            verify(json.dumps(spoilt).encode(), PAYLOAD_TYPE, KEYS)
