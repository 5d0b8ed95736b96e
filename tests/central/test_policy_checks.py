"""Every way in which a pushed policy may be wrong, and the reason each of them is given."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.central.audience import HighestVersion, Trusted, Verified, epoch_ms
from edged.central.envelope import ENVELOPE_BYTES_MAX, pae, sign
from edged.central.policies import PAYLOAD_TYPE, accept, claimed, reread
from edged.central.refusals import CODES, DocumentRefused, Reason
from edged.core.model.policy import Arbiter, Band, Calling, Peak, Policy, Pw, Tidal, Triggers
from edged.core.model.policy.parameter import parameters
from tests.support.policies import AUDIENCE, KEY, KEYS, NOW_MS, OTHER_KEY, document, envelope

BOUNDS = {name: one.bounds for name, one in parameters(Policy).items() if one.bounds is not None}


def checked(raw: bytes, mark: HighestVersion = HighestVersion(), now_ms: int = NOW_MS) -> Verified:  # noqa: B008 (frozen)
    return accept(raw, Trusted(KEYS), AUDIENCE, mark, now_ms)


def refusal(raw: bytes, **context: Any) -> Reason:
    with pytest.raises(DocumentRefused) as caught:
        checked(raw, **context)
    for one in caught.value.reasons:
        assert one.code in CODES
        assert "{" not in one.message.replace("{ …", "")
        assert any("\u4e00" <= c <= "\u9fff" for c in one.message_zh)
    return caught.value.reasons[0]


def body(**tidal: Any) -> bytes:
    return envelope(document(body={"tidal": tidal}))


def test_a_good_policy_is_accepted_with_defaults_and_area_bands_laid_over_the_pushed_band() -> None:
    verified = checked(envelope())
    assert verified.version == 7
    assert verified.policy.tidal.band == Band(open_above=6)
    assert verified.policy.tidal.areas == {"tax": Band(open_above=6, max_windows=2)}
    assert verified.policy.calling == Calling()


def test_an_empty_body_is_the_built_in_policy() -> None:
    assert checked(envelope(document(body={}))).policy == Policy()


def test_a_group_of_the_city_is_addressed_by_its_name() -> None:
    assert checked(envelope(document(halls=["other", "group:city"]))).version == 7


def test_pae_is_the_published_example() -> None:
    # secure-systems-lab/dsse protocol.md gives these bytes for these two inputs.
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_changed_payload_or_a_foreign_key_under_a_trusted_name_is_a_bad_signature() -> None:
    forged = json.loads(envelope())
    forged["payload"] = base64.b64encode(json.dumps(document(version=8)).encode()).decode()
    assert refusal(json.dumps(forged).encode()).code == "bad-signature"
    foreign = json.loads(envelope(key=OTHER_KEY))
    foreign["signatures"][0]["keyid"] = next(iter(KEYS))
    assert refusal(json.dumps(foreign).encode()).code == "bad-signature"


def test_the_signature_covers_the_payload_type() -> None:
    raw = json.loads(sign(json.dumps(document()).encode(), "application/vnd.edged.operation+json", KEY))
    assert refusal(json.dumps(raw).encode()).code == "wrong-payload-type"
    raw["payloadType"] = PAYLOAD_TYPE
    assert refusal(json.dumps(raw).encode()).code == "bad-signature"


def test_one_good_signature_beside_a_foreign_one_is_enough() -> None:
    both = json.loads(envelope())
    both["signatures"].insert(0, json.loads(envelope(key=OTHER_KEY))["signatures"][0])
    assert checked(json.dumps(both).encode()).version == 7


def test_an_unknown_signer_is_named_and_the_trusted_keys_are_listed() -> None:
    found = refusal(envelope(key=OTHER_KEY))
    assert found.code == "unknown-signer"
    assert next(iter(KEYS)) in found.message


def test_no_configured_key_refuses_all() -> None:
    with pytest.raises(DocumentRefused, match="no signing keys"):
        accept(envelope(), Trusted({}), AUDIENCE, HighestVersion(), NOW_MS)


@pytest.mark.parametrize("size", [0, 1, 10, 100, -100, -10, -1])
def test_every_truncation_is_refused(size: int) -> None:
    assert refusal(envelope()[:size]).code == "not-an-envelope"


def test_one_byte_more_is_refused_in_the_envelope_and_in_the_payload() -> None:
    assert refusal(envelope() + b"}").code == "not-an-envelope"
    longer = json.loads(envelope())
    longer["payload"] = base64.b64encode(base64.b64decode(longer["payload"]) + b" ").decode()
    assert refusal(json.dumps(longer).encode()).code == "bad-signature"


def test_64_kib_is_the_last_size_looked_at() -> None:
    raw = envelope()
    assert checked(raw + b" " * (ENVELOPE_BYTES_MAX - len(raw))).version == 7
    assert refusal(raw + b" " * (ENVELOPE_BYTES_MAX - len(raw) + 1)).code == "too-large"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "not-json"),
        (b"[]", "not-json"),
        (b'{"version": NaN}', "not-json"),
        (b'{"version": 1e999}', "not-json"),
        (b'{"version": ' + b"9" * 5000 + b"}", "not-json"),
        (b'{"version": 1, "version": 2}', "not-json"),
        (b'{"a": "\\ud800"}', "not-json"),
        ('{"a": 1}'.encode("utf-16"), "not-json"),
        (b"[" * 20_000, "not-json"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "not-json"),
        (b"{}", "missing-field"),
    ],
)
def test_hostile_payloads_are_refused_though_signed(payload: bytes, code: str) -> None:
    assert refusal(envelope(payload)).code == code


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"type": "operation"}, "wrong-type", "type"),
        ({"halls": ["elsewhere"]}, "wrong-hall", "halls"),
        ({"halls": ["group:village"]}, "wrong-hall", "halls"),
        ({"halls": []}, "bad-value", "halls"),
        ({"version": 0}, "bad-value", "version"),
        ({"version": 2**53}, "bad-value", "version"),
        ({"version": True}, "bad-value", "version"),
        ({"version": "7"}, "bad-value", "version"),
        ({"version": 7.5}, "bad-value", "version"),
        ({"expires": "2026-05-27T00:00:00+08:00"}, "expired", "expires"),
        ({"expires": "2026-02-30T00:00:00+08:00"}, "bad-value", "expires"),
        ({"expires": "tomorrow"}, "bad-value", "expires"),
        ({"not_before": "2027-06-01T00:00:00+08:00"}, "contradiction", "expires"),
        ({"valid_from": "2026-05-27T00:00:00+08:00"}, "unknown-field", "valid_from"),
        ({"body": None}, "missing-field", "body"),
        ({"previous_sha256": "abc"}, "bad-value", "previous_sha256"),
    ],
)
def test_documents_that_do_not_fit(changes: dict[str, Any], code: str, path: str) -> None:
    made = document() | changes
    found = refusal(envelope({key: value for key, value in made.items() if value is not None}))
    assert (found.code, found.path) == (code, path)


@pytest.mark.parametrize(("count", "named"), [(5, "h1, h2, h3, h4, h5"), (6, "h1, h2, h3, h4, h5, …")])
def test_of_the_halls_of_another_document_five_are_named(count: int, named: str) -> None:
    found = refusal(envelope(document() | {"halls": [f"h{number}" for number in range(1, count + 1)]}))
    assert found.code == "wrong-hall"
    assert f"meant for {named};" in found.message


@pytest.mark.parametrize(
    ("tidal", "code", "path"),
    [
        ({"band": {"max_windows": 0}}, "out-of-bounds", "body.tidal.band.max_windows"),
        (
            {"band": {"open_oldest_wait_s": 1_000_000_000}},
            "out-of-bounds",
            "body.tidal.band.open_oldest_wait_s",
        ),
        ({"band": {"min_open_s": -900}}, "out-of-bounds", "body.tidal.band.min_open_s"),
        ({"pool": 0}, "out-of-bounds", "body.tidal.pool"),
        ({"staff_ack_s": 1}, "out-of-bounds", "body.tidal.staff_ack_s"),
        ({"areas": {"tax": {"cooldown_s": 0}}}, "out-of-bounds", "body.tidal.areas.tax.cooldown_s"),
        ({"band": {"open_above": 5, "close_at": 5}}, "contradiction", "body.tidal.band.close_at"),
        ({"band": {"close_at": 8}}, "contradiction", "body.tidal.band.close_at"),
        (
            {"band": {"close_at": 5}, "areas": {"tax": {"open_above": 5}}},
            "contradiction",
            "body.tidal.areas.tax.close_at",
        ),
        ({"band": {"open_step": 100, "max_windows": 50}}, "contradiction", "body.tidal.band.open_step"),
        ({"areas": {"taxx": {}}}, "unknown-area", "body.tidal.areas.taxx"),
        ({"band": {"open_abov": 5}}, "unknown-field", "body.tidal.band.open_abov"),
        ({"band": {"open_above": 5.5}}, "bad-value", "body.tidal.band.open_above"),
        ({"band": {"open_above": "5"}}, "bad-value", "body.tidal.band.open_above"),
        ({"band": {"open_above": None}}, "bad-value", "body.tidal.band.open_above"),
        ({"band": []}, "bad-value", "body.tidal.band"),
        ({"enabled": 1}, "bad-value", "body.tidal.enabled"),
    ],
)
def test_silly_policies_are_refused_whoever_signed_them(tidal: dict[str, Any], code: str, path: str) -> None:
    found = refusal(body(**tidal))
    assert (found.code, found.path) == (code, path)


def test_an_absent_visitor_may_not_hold_a_window_for_hours() -> None:
    found = refusal(envelope(document(body={"calling": {"max_calls": 10, "call_timeout_s": 900}})))
    assert (found.code, found.path) == ("contradiction", "body.calling.call_timeout_s")


def test_refusals_suggest_what_was_probably_meant() -> None:
    assert 'did you mean "open_above"?' in refusal(body(band={"open_abov": 5})).message
    elsewhere = refusal(envelope(document(open_abov=5))).message
    assert "open_above" not in elsewhere, "a field of another table is no help here"
    assert 'did you mean "tax"?' in refusal(body(areas={"taxx": {}})).message
    found = refusal(body(band={"max_windows": 0}))
    assert found.message == '0 is outside 1 to 50 ("+1" windows of one area)'
    assert found.message_zh == "0 超出允许范围 1 至 50（一个专区的潮汐窗口上限）"


def test_refusals_say_what_would_be_right_in_both_languages() -> None:
    found = refusal(body(rule="pv"))
    assert "must be one of pw, pwf, band, schedule, always, never, not pv" in found.message
    assert "必须是 pw, pwf, band, schedule, always, never 之一（现为 pv）" in found.message_zh
    found = refusal(envelope(document(halls=[])))
    assert "must not be empty, not []" in found.message
    assert "不能为空（现为 []）" in found.message_zh
    assert "必须是 true 或 false（现为 1）" in refusal(body(enabled=1)).message_zh


def test_only_a_higher_version_is_news() -> None:
    raw = envelope()
    sha256 = checked(raw).sha256
    assert refusal(raw, mark=HighestVersion(8)).code == "old-version"
    assert refusal(raw, mark=HighestVersion(7)).code == "old-version"
    assert refusal(raw, mark=HighestVersion(7, "0" * 64)).code == "version-reused"
    assert checked(raw, mark=HighestVersion(7, sha256)).sha256 == sha256
    assert checked(raw, mark=HighestVersion(6, "0" * 64)).version == 7


def test_the_version_is_judged_before_the_bounds_and_the_hall_before_the_version() -> None:
    silly = document(body={"tidal": {"pool": 0}})
    assert refusal(envelope(silly), mark=HighestVersion(8)).code == "old-version"
    assert refusal(envelope(silly | {"halls": ["elsewhere"]}), mark=HighestVersion(8)).code == "wrong-hall"
    assert refusal(envelope(silly, key=OTHER_KEY), mark=HighestVersion(8)).code == "unknown-signer"


def test_a_clock_that_was_never_set_judges_no_dates() -> None:
    assert checked(envelope(document(expires="2026-05-02T00:00:00Z")), now_ms=0).version == 7


def test_a_kept_policy_is_read_again_without_its_key_but_not_without_bounds() -> None:
    foreign = envelope(key=OTHER_KEY)
    assert reread(foreign, AUDIENCE.names).policy == checked(envelope()).policy
    with pytest.raises(DocumentRefused, match="outside 1 to 100"):
        reread(body(pool=0), AUDIENCE.names)


def test_a_refused_message_is_named_as_far_as_it_can_be() -> None:
    assert claimed(envelope(key=OTHER_KEY)) == {"version": 7, "sha256": checked(envelope()).sha256}
    assert claimed(b"{}") is None
    assert claimed(envelope(document(version="seven")))["version"] == 0  # type: ignore[index]


def _holds_numbers(hint: Any) -> bool:
    """Whether a field is a number, or a list or mapping of numbers; parts have fields of their own."""
    return hint in (int, float) or any(map(_holds_numbers, get_args(hint)))


def test_every_pushable_value_has_a_label_and_a_bound() -> None:
    for kind in (Tidal, Band, Pw, Peak, Triggers, Arbiter, Calling):
        for field in dataclasses.fields(kind):
            name = f"{kind.__name__}.{field.name}"
            if kind is Tidal and field.name in ("band", "areas", "pw", "pw_areas", "triggers", "arbiter"):
                continue
            assert name in parameters(Policy)
            assert (name in BOUNDS) == _holds_numbers(get_type_hints(kind)[field.name]), name


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.data())
def test_no_byte_of_an_envelope_can_be_changed_unnoticed(data: st.DataObject) -> None:
    raw = bytearray(envelope())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] = data.draw(st.integers(0, 255).filter(lambda value: value != raw[position]))
    try:
        verified = checked(bytes(raw))
    except DocumentRefused:
        return
    # base64 and JSON have spellings that decode to the same bytes: those are no change at all.
    assert dataclasses.replace(verified, envelope=b"") == dataclasses.replace(
        checked(envelope()), envelope=b""
    )


@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda c: st.lists(c) | st.dictionaries(st.text(), c),
            max_leaves=20,
        ).map(lambda v: json.dumps(v).encode()),
    )
)
def test_arbitrary_signed_payloads_are_refused_and_nothing_else_happens(payload: bytes) -> None:
    assert refusal(envelope(payload)).code in CODES
    assert refusal(payload).code == "not-an-envelope"


VALUES = {
    name.partition(".")[2]: st.integers(*bounds) | st.integers(-10, 10_000) for name, bounds in BOUNDS.items()
}


def fields_of(kind: str) -> st.SearchStrategy[dict[str, int]]:
    names = [name.partition(".")[2] for name in BOUNDS if name.startswith(kind + ".")]
    return st.fixed_dictionaries({}, optional={name: VALUES[name] for name in names})


@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    fields_of("Tidal"),
    st.fixed_dictionaries({}, optional={"band": fields_of("Band")}),
    st.dictionaries(st.sampled_from(["tax", "biz"]), fields_of("Band")),
    fields_of("Calling"),
)
def test_whatever_is_accepted_keeps_every_bound_and_the_hysteresis(
    tidal: dict[str, Any], band: dict[str, Any], areas: dict[str, Any], calling: dict[str, Any]
) -> None:
    try:
        policy = checked(
            envelope(document(body={"tidal": tidal | band | {"areas": areas}, "calling": calling}))
        ).policy
    except DocumentRefused:
        return
    parts: list[Any] = [policy.tidal, policy.tidal.band, *policy.tidal.areas.values(), policy.calling]
    for part in parts:
        for field in dataclasses.fields(part):
            if (name := f"{type(part).__name__}.{field.name}") in BOUNDS:
                assert BOUNDS[name][0] <= getattr(part, field.name) <= BOUNDS[name][1]
    assert all(b.close_at < b.open_above for b in (policy.tidal.band, *policy.tidal.areas.values()))


SECTIONS = {type(getattr(Policy(), field.name)).__name__: field.name for field in dataclasses.fields(Policy)}
del SECTIONS["Tidal"]  # has parts of its own
PARTS: dict[str, Any] = {  # inside a list or mapping of a section
    "Session": lambda part: {"hours": {"week": [{field: [value] for field, value in part.items()}]}},
    "Cutoff": lambda part: {"hours": {"cutoff": part}},
    "CallRule": lambda part: {"calling": {"rules": [{"areas": ["tax"]} | part]}},
    "PriorityClass": lambda part: {"calling": {"classes": {"elderly": part}}},
}


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_both_ends_of_every_bound_are_held(name: str) -> None:
    kind, _, field = name.partition(".")
    low, high = BOUNDS[name]
    for value, outside in ((low, False), (high, False), (low - 1, True), (high + 1, True)):
        part: dict[str, Any] = {field: value}
        if name in ("Pw.mix", "Pw.profile"):
            part = {field: {"tax-general": value} if field == "mix" else {"tax": [0, value]}}
        tidal = {"Tidal": part, "Peak": {"peaks": [part]}}.get(kind, {kind.lower(): part})
        made = {SECTIONS[kind]: part} if kind in SECTIONS else PARTS.get(kind, {"tidal": tidal})
        made = made(part) if callable(made) else made
        codes = set()
        try:
            checked(envelope(document(body=made)))
        except DocumentRefused as caught:
            codes = {one.code for one in caught.reasons}
        assert ("out-of-bounds" in codes) == outside, (name, value)


def test_a_leap_second_is_the_first_of_the_next_minute() -> None:
    assert epoch_ms("2016-12-31T23:59:60Z") == epoch_ms("2017-01-01T00:00:00Z")
    assert epoch_ms("2017-01-01T07:59:60.5+08:00") == epoch_ms("2017-01-01T08:00:00.5+08:00")


def test_an_area_may_have_hours_beside_those_of_the_hall() -> None:
    week = [{"days": [1]}, {"days": [1], "areas": ["tax"], "opens": "10:00", "closes": "12:00"}]
    hours = checked(envelope(document(body={"hours": {"week": week}}))).policy.hours
    assert [one.areas for one in hours.week] == [(), ("tax",)]
