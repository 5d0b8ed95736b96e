"""SM2 beside Ed25519: cross-checked with the openssl command, attacked where one could pass for the other."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope

from edged.central import envelope, policies, signatures
from edged.central.audience import HighestVersion, Trusted
from edged.central.envelope import KeyFileError, keyid_of, load_keys, load_private, private_pem, public_entry
from edged.central.key_list import PAYLOAD_TYPE as LIST_TYPE
from edged.central.key_list import accept
from edged.central.keyring import Keyring
from edged.central.refusals import DocumentRefused
from edged.central.signatures import ED25519, SM2, PublicKey, Sm2PrivateKey, new_sm2, public_of, signed
from tests.support import key_lists
from tests.support.key_lists import ROOT, entry, key_list, keys_of
from tests.support.policies import AUDIENCE, KEY, NOW_MS, OTHER_KEY, PUBLIC, document

SM2_KEY = new_sm2()
SM2_ID = keyid_of(SM2_KEY.public)
DATA = "DSSEv1 税务".encode()
DISTID = ("-pkeyopt", "distid:1234567812345678")


def openssl(*words: str, code: int = 0) -> bytes:
    done = subprocess.run(["openssl", *words], capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def sm2_entry(*scopes: str, **changes: Any) -> dict[str, Any]:
    return entry(KEY, *scopes) | {
        "name": "gm",
        "keyid": SM2_ID,
        "public": base64.b64encode(SM2_KEY.public).decode(),
        "algorithm": "sm2",
        **changes,
    }


def pushed(key: Any, **changes: Any) -> bytes:
    return envelope.sign(json.dumps(document(**changes)).encode(), policies.PAYLOAD_TYPE, key)


def code_of(raw: bytes, trusted: Trusted) -> str:
    try:
        policies.accept(raw, trusted, AUDIENCE, HighestVersion(), NOW_MS)
    except DocumentRefused as refused:
        return refused.reasons[0].code
    return ""


def test_openssl_reads_our_key_and_verifies_what_it_signs(tmp_path: Path) -> None:
    key, data, sig = tmp_path / "our.key", tmp_path / "data", tmp_path / "sig"
    key.write_bytes(private_pem(SM2_KEY))
    data.write_bytes(DATA)
    sig.write_bytes(SM2_KEY.sign(DATA))
    assert openssl("pkey", "-in", str(key), "-pubout", "-outform", "DER").endswith(SM2_KEY.public)
    verify = ("pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-in", str(data), "-inkey", str(key), *DISTID)
    assert b"Success" in openssl(*verify, "-sigfile", str(sig))
    data.write_bytes(DATA + b"!")
    openssl(*verify, "-sigfile", str(sig), code=1)
    theirs = Envelope.from_dict(json.loads(pushed(SM2_KEY)))  # what is signed is what others say that it is
    data.write_bytes(theirs.pae())
    sig.write_bytes(bytes.fromhex(theirs.signatures[SM2_ID].signature))
    assert b"Success" in openssl(*verify, "-sigfile", str(sig))


def test_we_read_a_key_of_openssl_and_verify_what_it_signs(tmp_path: Path) -> None:
    file, data, sig = tmp_path / "their.key", tmp_path / "data", tmp_path / "sig"
    openssl("genpkey", "-algorithm", "SM2", "-out", str(file))
    key = load_private(file)
    assert isinstance(key, Sm2PrivateKey)
    data.write_bytes(DATA)
    common = ("pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-in", str(data), "-inkey", str(file))
    openssl(*common, *DISTID, "-out", str(sig))
    assert signed(public_of(key), sig.read_bytes(), DATA)
    assert not signed(public_of(key), sig.read_bytes(), DATA + b"!")
    openssl(*common, "-pkeyopt", "distid:somebody", "-out", str(sig))
    assert not signed(public_of(key), sig.read_bytes(), DATA)


def test_key_files_of_both_algorithms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, secret = tmp_path / "city.pub.json", tmp_path / "gm.key"
    file.write_text(
        json.dumps({"keys": [public_entry(KEY.public_key(), "a"), public_entry(public_of(SM2_KEY), "b")]})
    )
    keys = load_keys(file)
    assert set(keys.values()) == {PublicKey(ED25519, PUBLIC), PublicKey(SM2, SM2_KEY.public)}
    secret.write_bytes(private_pem(SM2_KEY))
    assert load_private(secret) == SM2_KEY
    swapped = Sm2PrivateKey(SM2_KEY.scalar, new_sm2().public)
    for pem in (private_pem(swapped), private_pem(SM2_KEY)[:-40], b"-----BEGIN PRIVATE KEY-----\nAA==\n"):
        secret.write_bytes(pem)
        with pytest.raises(KeyFileError):
            load_private(secret)
    for changes in ({"algorithm": "ed25519"}, {"algorithm": "rsa"}, {"algorithm": 7}, {"public": "AAAA"}):
        file.write_text(json.dumps({"keys": [public_entry(public_of(SM2_KEY), "b") | changes]}))
        with pytest.raises(KeyFileError):
            load_keys(file)
    file.write_text(json.dumps({"keys": [public_entry(public_of(SM2_KEY), "b")]}))
    monkeypatch.setattr(envelope, "supported", lambda: frozenset({ED25519}))
    with pytest.raises(KeyFileError, match=r"edged\[gm\]"):
        load_keys(file)


def test_a_policy_signed_with_sm2_is_taken_and_one_changed_on_the_way_is_not() -> None:
    trusted = Trusted({SM2_ID: public_of(SM2_KEY), **keys_of(KEY)})
    raw = pushed(SM2_KEY)
    assert code_of(raw, trusted) == ""
    spoilt = json.loads(raw)
    spoilt["payload"] = base64.b64encode(json.dumps(document(version=8)).encode()).decode()
    assert code_of(json.dumps(spoilt).encode(), trusted) == "bad-signature"
    assert code_of(raw, Trusted(keys_of(KEY))) == "unknown-signer"


def test_one_algorithm_does_not_pass_for_the_other() -> None:
    trusted = Trusted({SM2_ID: public_of(SM2_KEY), **keys_of(KEY)})
    ed25519, sm2 = json.loads(pushed(KEY)), json.loads(pushed(SM2_KEY))
    own = keyid_of(PUBLIC)
    for made, keyid in ((ed25519, SM2_ID), (sm2, own)):  # a good signature under the other key's name
        made["signatures"][0]["keyid"] = keyid
        assert code_of(json.dumps(made).encode(), trusted) == "bad-signature"
    for extra in ("algorithm", "alg", "scheme", "keytype"):  # an envelope cannot choose
        made = json.loads(pushed(OTHER_KEY))
        made["signatures"][0] |= {"keyid": SM2_ID, extra: "ed25519"}
        assert code_of(json.dumps(made).encode(), trusted) == "bad-signature"
    unnamed = json.loads(pushed(SM2_KEY))
    del unnamed["signatures"][0][
        "keyid"
    ]  # SM2 is not tried blindly: it would cost a flood five times as much
    assert code_of(json.dumps(unnamed).encode(), trusted) == "bad-signature"
    # a trusted key of which somebody says that it is of the other algorithm verifies nothing
    for key, sig in ((SM2_KEY, SM2_KEY.sign(DATA)), (KEY, KEY.sign(DATA))):
        true = public_of(key)
        assert signed(true, sig, DATA)
        assert not signed(PublicKey(SM2 if true.algorithm == ED25519 else ED25519, true.raw), sig, DATA)
        assert not signed(PublicKey("none", true.raw), sig, DATA)


@pytest.mark.parametrize(
    "sig",
    [
        *(b"", b"0", bytes(64), b"\xff" * 72, b"\x30\x80" + bytes(70), b"x" * 60_000),
        b"\x30\x06\x02\x01\x00\x02\x01\x00",
        b"\x30\x06\x02\x01\x01\x02\x01\x01",
    ],
)
def test_a_signature_that_is_none_is_refused(sig: bytes) -> None:
    assert not signed(public_of(SM2_KEY), sig, DATA)


def test_a_point_that_is_not_on_the_curve_signs_nothing() -> None:
    for raw in (b"\x04" + bytes(64), b"\x04" + b"\xff" * 64, SM2_KEY.public[:-1] + b"\x00"):
        assert not signed(PublicKey(SM2, raw), SM2_KEY.sign(DATA), DATA)


def test_a_key_list_holds_keys_of_both_and_a_root_may_be_sm2(monkeypatch: pytest.MonkeyPatch) -> None:
    made = key_list(1, entry(KEY, "operations"), sm2_entry("policies"))
    raw = envelope.sign(json.dumps(made).encode(), LIST_TYPE, SM2_KEY)
    with pytest.raises(DocumentRefused):  # a root key is not in its list
        accept(raw, {SM2_ID: public_of(SM2_KEY)}, AUDIENCE, {}, NOW_MS)
    root = new_sm2()
    raw = envelope.sign(json.dumps(made).encode(), LIST_TYPE, root)
    listed = accept(raw, {keyid_of(root.public): public_of(root)}, AUDIENCE, {}, NOW_MS)
    trusted = Keyring(listed=listed).for_policies(NOW_MS)
    assert code_of(pushed(SM2_KEY), trusted) == ""
    assert code_of(pushed(KEY), trusted) == "key-scope"
    for wrong in ({"algorithm": "ed25519"}, {"public": base64.b64encode(PUBLIC).decode()}):
        with pytest.raises(DocumentRefused) as caught:
            accept(
                key_lists.list_envelope(key_list(2, sm2_entry(**wrong))), keys_of(ROOT), AUDIENCE, {}, NOW_MS
            )
        assert caught.value.reasons[0].code == "contradiction"
    # a hall without the extra passes the key over, and judges nothing by another algorithm
    monkeypatch.setattr("edged.central.key_list.supported", lambda: frozenset({ED25519}))
    poorer = accept(key_lists.list_envelope(made), keys_of(ROOT), AUDIENCE, {}, NOW_MS)
    assert (len(poorer.keys), poorer.unknown) == (1, ("gm (sm2)",))
    assert code_of(pushed(SM2_KEY), Keyring(listed=poorer).for_policies(NOW_MS)) == "unknown-signer"


def test_without_the_extra_an_sm2_signature_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sig = SM2_KEY.sign(DATA)
    monkeypatch.setattr(signatures, "supported", lambda: frozenset({ED25519}))
    assert not signed(public_of(SM2_KEY), sig, DATA)
