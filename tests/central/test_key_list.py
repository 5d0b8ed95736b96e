"""Key lists, attacked: whatever no root key signed, or comes again, or is not for this hall, changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey

from edged.central import policies
from edged.central.audience import HighestVersion, Trusted, epoch_ms
from edged.central.envelope import ENVELOPE_BYTES_MAX, Keys, sign
from edged.central.key_list import PAYLOAD_TYPE, Mark, accept, reread
from edged.central.keyring import DAY_MS, KeyList, Keyring
from edged.central.refusals import DocumentRefused, Reason
from edged.central.signatures import PublicKey
from tests.support.key_lists import (
    NEXT_KEY,
    ROOT,
    SPARE_ROOT,
    entry,
    id_of,
    key_list,
    keys_of,
    list_envelope,
    public_of,
    revoked,
)
from tests.support.policies import AUDIENCE, KEY, NOW_MS, OTHER_KEY, document, envelope

ROOTS = keys_of(ROOT)
NO_MARKS: dict[str, Mark] = {}


def taken(
    made: dict[str, Any], key: Any = ROOT, roots: Keys = ROOTS, marks: dict[str, Mark] = NO_MARKS
) -> KeyList:
    return accept(list_envelope(made, key), roots, AUDIENCE, marks, NOW_MS)


def refusal(raw: bytes, roots: Keys = ROOTS, marks: dict[str, Mark] = NO_MARKS) -> Reason:
    with pytest.raises(DocumentRefused) as caught:
        accept(raw, roots, AUDIENCE, marks, NOW_MS)
    return caught.value.reasons[0]


def test_a_list_that_a_root_key_signed_is_taken_whole() -> None:
    made = key_list(3, entry(NEXT_KEY, "policies", name="city-2027"), revoked=[revoked(KEY)])
    listed = taken(made)
    assert (listed.version, listed.root) == (3, id_of(ROOT))
    assert [(one.name, one.public, one.scopes) for one in listed.keys] == [
        ("city-2027", PublicKey("ed25519", public_of(NEXT_KEY)), frozenset({"policies"}))
    ]
    assert [(one.keyid, one.why) for one in listed.revoked] == [(id_of(KEY), "stolen")]
    assert reread(listed.envelope, ROOTS) == listed


def test_what_securesystemslib_signed_as_a_root_is_taken_and_ours_it_verifies() -> None:
    theirs = SSlibKey(id_of(ROOT), "ed25519", "ed25519", {"public": public_of(ROOT).hex()})
    made = Envelope(json.dumps(key_list(1)).encode(), PAYLOAD_TYPE, {})
    made.sign(CryptoSigner(ROOT, theirs))
    assert accept(json.dumps(made.to_dict()).encode(), ROOTS, AUDIENCE, {}, NOW_MS).version == 1
    ours = Envelope.from_dict(json.loads(list_envelope(key_list(1))))
    assert set(ours.verify([theirs], 1)) == {id_of(ROOT)}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (list_envelope(key_list(1), KEY), "unknown-signer"),  # a policy key signs no lists
        (list_envelope(key_list(1), SPARE_ROOT), "unknown-signer"),
        (list_envelope(key_list(1)).replace(b'"sig":"', b'"sig":"AAAA'), "bad-signature"),
        (sign(json.dumps(key_list(1)).encode(), policies.PAYLOAD_TYPE, ROOT), "wrong-payload-type"),
        (list_envelope(key_list(1, halls=["west", "group:other"])), "wrong-hall"),
        (list_envelope(key_list(1, expires="2026-01-02T00:00:00+08:00")), "expired"),
        (list_envelope(key_list(1, not_before="2097-01-01T00:00:00+08:00")), "not-yet"),
        (list_envelope(key_list(1, expires="9999-12-31T23:59:59-23:59")), "bad-value"),
        (list_envelope(key_list(1, type="policy")), "wrong-type"),
        (list_envelope(key_list(0)), "bad-value"),
        (list_envelope(key_list(2**53)), "bad-value"),
        (list_envelope(key_list(1, keys=[])), "bad-value"),
        (list_envelope(key_list(1, keys=[entry(KEY)] * 33)), "bad-value"),
        (list_envelope(key_list(1, entry(KEY, note="hello"))), "unknown-field"),
        (list_envelope(key_list(1, entry(KEY, "everything"))), "bad-value"),
        (list_envelope(key_list(1, entry(KEY, not_after="0000-01-01T00:00:00Z"))), "contradiction"),
        (list_envelope(key_list(1, entry(KEY, not_after="9999-12-31T23:59:59-23:59"))), "contradiction"),
        (list_envelope(key_list(1, entry(KEY, not_after="2019-01-01T00:00:00Z"))), "contradiction"),
        (list_envelope(key_list(1, entry(KEY, keyid="0" * 16))), "contradiction"),
        (list_envelope(key_list(1, entry(KEY, public="AAAA"))), "contradiction"),
        (list_envelope(key_list(1, entry(KEY, public="ä"))), "contradiction"),
        (list_envelope(key_list(1, entry(KEY), entry(KEY, name="twin"))), "contradiction"),
        (list_envelope(key_list(1, revoked=[revoked(KEY)])), "contradiction"),  # good and revoked
        (list_envelope(key_list(1, entry(ROOT))), "contradiction"),  # a root signs lists alone
        (list_envelope(key_list(1, revoked=[revoked(NEXT_KEY, "of 13812345678")])), "personal-data"),
        (list_envelope(key_list(1, revoked=[revoked(NEXT_KEY, "so \u202e it")])), "odd-character"),
        (b" " * (ENVELOPE_BYTES_MAX + 1), "too-large"),
        (b"?", "not-an-envelope"),
    ],
)
def test_what_is_no_list_for_this_hall_is_refused(raw: bytes, code: str) -> None:
    assert refusal(raw).code == code


def test_an_older_list_does_not_come_back_and_a_version_is_used_once() -> None:
    second = taken(key_list(2))
    marks = {id_of(ROOT): Mark(2, second.sha256)}
    assert refusal(list_envelope(key_list(1)), marks=marks).code == "old-version"
    other = list_envelope(key_list(2, entry(NEXT_KEY)))
    assert refusal(other, marks=marks).code == "version-reused"
    assert taken(key_list(2), marks=marks) == second
    both = keys_of(ROOT, SPARE_ROOT)
    assert refusal(list_envelope(key_list(1), SPARE_ROOT), both, marks).code == "old-version"
    # a root that was taken away has used up no numbers of the next one
    spent = {id_of(ROOT): Mark(2**53 - 1, "0" * 64)}
    assert taken(key_list(1), SPARE_ROOT, keys_of(SPARE_ROOT), spent).version == 1


def test_a_hall_without_a_root_takes_no_list_and_a_kept_one_counts_only_with_its_root() -> None:
    raw = list_envelope(key_list(1))
    assert refusal(raw, roots={}).code == "no-root"
    for roots, code in (({}, "no-root"), (keys_of(SPARE_ROOT), "unknown-signer")):
        with pytest.raises(DocumentRefused) as caught:
            reread(raw, roots)
        assert caught.value.reasons[0].code == code
    assert reread(raw, None).version == 1  # the file of the root keys cannot be read now


def test_keys_of_an_algorithm_that_we_do_not_know_are_passed_over() -> None:
    strange = entry(NEXT_KEY, name="later", algorithm="ml-dsa-65", public="AAAA", keyid="0123456789abcdef")
    listed = taken(key_list(1, entry(KEY), strange))
    assert ([one.keyid for one in listed.keys], listed.unknown) == ([id_of(KEY)], ("later (ml-dsa-65)",))


def why_not(ring: Keyring, key: Any, now_ms: int = NOW_MS) -> str:
    """Return the code with which a policy signed by ``key`` is refused; "" if it is accepted."""
    try:
        policies.accept(envelope(key=key), ring.for_policies(now_ms), AUDIENCE, HighestVersion(), now_ms)
    except DocumentRefused as refused:
        return refused.reasons[0].code
    return ""


def ring_of(*keys: dict[str, Any], **changes: Any) -> Keyring:
    duty = frozenset({"open", "close"})
    return Keyring(keys_of(KEY), keys_of(OTHER_KEY), duty, taken(key_list(1, *keys, **changes)))


def test_without_a_list_the_keys_of_the_hall_count_as_ever() -> None:
    ring = Keyring(keys_of(KEY), keys_of(OTHER_KEY), frozenset({"open"}))
    assert why_not(ring, KEY) == ""
    assert why_not(ring, OTHER_KEY) == "unknown-signer"
    assert ring.for_policies(NOW_MS) == Trusted(keys_of(KEY))
    expected = Trusted(keys_of(OTHER_KEY, KEY), {id_of(OTHER_KEY): frozenset({"open"})})
    assert ring.for_operations(NOW_MS) == expected
    assert ring.ends(NOW_MS) == {}


def test_with_a_list_a_key_signs_what_the_list_says_and_when() -> None:
    assert why_not(ring_of(entry(KEY, "policies")), KEY) == ""
    assert why_not(ring_of(entry(NEXT_KEY)), KEY) == "key-not-listed"
    assert why_not(ring_of(entry(NEXT_KEY), revoked=[revoked(KEY)]), KEY) == "key-revoked"
    assert why_not(ring_of(entry(KEY, "operations", "duty")), KEY) == "key-scope"
    assert why_not(ring_of(entry(KEY)), NEXT_KEY) == "unknown-signer"
    ring = ring_of(entry(KEY, not_before="2026-05-20T00:00:00Z", not_after="2026-06-10T00:00:00Z"))
    start_ms, end_ms = epoch_ms("2026-05-20T00:00:00Z"), epoch_ms("2026-06-10T00:00:00Z")
    moments = [start_ms - DAY_MS, start_ms, end_ms - 1, end_ms, 0]
    refusals = [
        "key-not-yet",
        "",
        "",
        "key-ended",
        "",
    ]  # the last: a clock that was never set judges no dates
    assert [why_not(ring, KEY, at_ms) for at_ms in moments] == refusals


def test_a_good_signature_beside_one_of_a_revoked_key_is_enough() -> None:
    ring = ring_of(entry(NEXT_KEY), revoked=[revoked(KEY)])
    signed = [json.loads(envelope(key=key)) for key in (KEY, NEXT_KEY)]
    signed[0]["signatures"] += signed[1]["signatures"]
    raw = json.dumps(signed[0]).encode()
    assert policies.accept(raw, ring.for_policies(NOW_MS), AUDIENCE, HighestVersion(), NOW_MS).version == 7
    signed[0]["signatures"][1]["sig"] = signed[0]["signatures"][0]["sig"]  # the other one's under its name
    with pytest.raises(DocumentRefused) as caught:
        policies.accept(
            json.dumps(signed[0]).encode(), ring.for_policies(NOW_MS), AUDIENCE, HighestVersion(), NOW_MS
        )
    assert caught.value.reasons[0].code == "bad-signature"
    unnamed = json.loads(envelope(document(), KEY))
    del unnamed["signatures"][0]["keyid"]  # whoever leaves the name out wins nothing
    with pytest.raises(DocumentRefused):
        policies.signed_by(json.dumps(unnamed).encode(), ring.for_policies(NOW_MS))


def test_which_operations_a_key_may_order() -> None:
    def may(*scopes: str) -> set[str] | str | None:
        trusted = ring_of(entry(KEY, *scopes)).for_operations(NOW_MS)
        if id_of(KEY) in trusted.unusable:
            return trusted.unusable[id_of(KEY)].code
        return set(trusted.scopes[id_of(KEY)]) if id_of(KEY) in trusted.scopes else None

    assert may("operations") is None
    assert may("operations:open", "operations:of-a-later-version") == {"open", "of-a-later-version"}
    assert may("duty") == {"open", "close"}
    assert may("duty", "operations:rollback") == {"open", "close", "rollback"}
    assert may("policies") == "key-scope"
    own = ring_of(entry(KEY)).for_operations(NOW_MS)  # the desk's own key goes on
    assert own.scopes == {id_of(OTHER_KEY): frozenset({"open", "close"})}
    gone = ring_of(entry(KEY), revoked=[revoked(OTHER_KEY)]).for_operations(NOW_MS)
    assert id_of(OTHER_KEY) not in gone.keys
    assert gone.unusable[id_of(OTHER_KEY)].code == "key-revoked"
    named = ring_of(entry(KEY), entry(OTHER_KEY, "policies")).for_operations(NOW_MS)
    assert named.unusable[id_of(OTHER_KEY)].code == "key-scope"  # what the list names, the list restricts


def test_what_ends_within_a_month_is_told_for_what_no_other_key_can_sign() -> None:
    soon, over = "2026-06-10T00:00:00Z", "2026-05-01T00:00:00Z"
    ring = ring_of(
        entry(KEY, "policies", "operations", not_after=soon),
        entry(NEXT_KEY, "policies", "duty", name="next", not_after="2029-01-01T00:00:00Z"),
        entry(SPARE_ROOT, "operations:open", name="gate", not_after=over),
        expires=soon,
    )
    endings = ring.ends(NOW_MS)
    assert set(endings) == {"operations", "operations:open", "key-list"}
    assert "ends in 12 days" in endings["operations"]
    assert "has ended" in endings["operations:open"]
    assert ring.ends(0) == {}
