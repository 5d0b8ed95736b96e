"""The wire contract of JSON devices, and everything hostile that can come in its place."""

from __future__ import annotations

import json
import random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.mqtt_json.codec import (
    MODELS,
    Key,
    Unfit,
    at_once,
    by_parts,
    decode,
    encode_action,
    encode_level,
    to_event,
)
from edged.core.model.commands import Action, AreaSummary, Body, Display, Lamp, Page, Panel, Print, Say
from edged.core.model.events import (
    CallReported,
    CommandDone,
    CommandFailed,
    CountRead,
    EndReported,
    Event,
    HealthRead,
    KeyPressed,
    QueueReported,
    RatingGiven,
    TicketPrinted,
    TicketRequested,
    WindowReported,
)
from edged.core.model.events import Key as CoreKey
from edged.core.model.point import Point
from edged.driver import Refused
from edged.personal import is_harmless, names_a_person

ID_NUMBER = "11010519491231002X"  # the worked example of GB 11643
MOBILE = "13800138000"


def event_of(kind: str, payload: str | bytes, **options: Any) -> Event:
    raw = payload if isinstance(payload, bytes) else payload.encode()
    return to_event(Point("d1"), decode(kind, raw).body, **options)


@pytest.mark.parametrize(
    ("kind", "payload", "event"),
    [
        (
            "ticket",
            '{"seq":17,"number":"A012","service":"tax-general","priority":"elderly"}',
            TicketPrinted(Point("d1"), "A012", "tax-general", "elderly", 17),
        ),
        (
            "ticket",
            '{"seq":17,"number":"A012","service":"tax-general","appointment":"b-7"}',
            TicketPrinted(Point("d1"), "A012", "tax-general", "normal", 17, "b-7"),
        ),
        (
            "request",
            '{"seq":18,"service":"tax-general"}',
            TicketRequested(Point("d1"), "tax-general", "normal", 18),
        ),
        (
            "request",
            '{"seq":18,"service":"newborn","appointment":"b-8","reason":"card-shown","returning":"A012"}',
            TicketRequested(Point("d1"), "newborn", "normal", 18, "b-8", "card-shown", "A012"),
        ),
        (
            "key",
            '{"seq":19,"key":"finish","arg":"told-once/photo,id-copy"}',
            KeyPressed(Point("d1"), "finish", "told-once/photo,id-copy", 19),
        ),
        ("key", '{"seq":19,"key":"pause","arg":"午休"}', KeyPressed(Point("d1"), "pause", "午休", 19)),
        ("rating", '{"seq":20,"level":5}', RatingGiven(Point("d1"), 5, 20)),
        ("call", '{"seq":1,"number":"A1","window":"w1"}', CallReported(Point("d1"), "A1", "w1", None, 1)),
        (
            "end",
            '{"seq":2,"window":"w1","outcome":"no-show"}',
            EndReported(Point("d1"), "w1", None, "no-show", 2),
        ),
        (
            "queue",
            '{"seq":3,"service":"tax","waiting":["A1","A2"]}',
            QueueReported(Point("d1"), "tax", ("A1", "A2"), 3),
        ),
        (
            "window",
            '{"seq":4,"window":"w1","staffed":false}',
            WindowReported(Point("d1"), "w1", False, 4),
        ),
        ("count", '{"seq":21,"in_total":7,"out_total":3}', CountRead(Point("d1"), "total", 7, 3, None, 21)),
        (
            "count",
            '{"seq":22,"in":2,"out":1,"from":"a","to":"b"}',
            CountRead(Point("d1"), "window", 2, 1, None, 22),
        ),
        ("count", '{"seq":24,"in_total":0,"out_total":0}', CountRead(Point("d1"), "total", 0, 0, None, 24)),
        ("count", '{"seq":23,"occupancy":-4}', CountRead(Point("d1"), "occupancy", 0, 0, -4, 23)),
        ("health", '{"paper":"low","fault":"cutter\\njam"}', HealthRead(Point("d1"), "low", "cutter jam")),
        ("done", '{"id":"x-1","ok":true}', CommandDone("x-1")),
        ("done", '{"id":"x-1","ok":false,"error":"no paper"}', CommandFailed("x-1", "no paper")),
    ],
)
def test_every_input_of_the_contract_becomes_its_event(kind: str, payload: str, event: Event) -> None:
    assert event_of(kind, payload) == event


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b'{"seq":1,"level":5}' + b" " * 16384, "too_large"),
        (b"[" * 16000, "too_deep"),
        (b'{"a":' * 3000, "too_deep"),
        ('{"seq":1,"level":5}'.encode("utf-16"), "not_utf8"),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"seq":1,"level":5}', "not_json"),
        (b'{"seq":1,"level":5', "not_json"),
        (b"NaN", "not_finite"),
        (b'{"seq":1,"level":NaN}', "not_finite"),
        (b'{"seq":1,"level":-Infinity}', "not_finite"),
        (b'{"seq":1,"level":1e999}', "not_finite"),
        (b'{"seq":1,"level":5,"level":1}', "duplicate_key"),
        (b'{"seq":1180591620717411303424,"level":5}', "number_too_large"),
        (b'{"seq":' + b"9" * 5000 + b',"level":5}', "number_too_large"),
        (b'{"seq":9999999999999999,"level":5}', "invalid"),
        (b'{"seq":-1,"level":5}', "invalid"),
        (b'{"seq":"1","level":5}', "invalid"),
        (b'{"seq":true,"level":5}', "invalid"),
        (b'{"seq":1.0,"level":5.5}', "invalid"),
        (b'{"seq":1,"level":6}', "invalid"),
        (b'{"seq":1}', "invalid"),
        (b"[1]", "not_object"),
        (b"null", "not_object"),
        (b'"x"', "not_object"),
        (b"\xff\xfe", "not_utf8"),
        (b"\x00", "not_json"),
    ],
)
def test_hostile_payloads_are_refused_with_their_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(Unfit) as unfit:
        decode("rating", payload)
    assert unfit.value.reason == reason


@pytest.mark.parametrize(
    "arg", ["\\ud800", "x" * 65, "\\udfff\\ud800"], ids=["lone surrogate", "too long", "reversed surrogates"]
)
def test_texts_that_cannot_be_stored_are_refused(arg: str) -> None:
    with pytest.raises(Unfit) as unfit:
        decode("key", f'{{"seq":1,"key":"pause","arg":"{arg}"}}'.encode())
    assert unfit.value.reason == "invalid"


@pytest.mark.parametrize(
    ("kind", "payload", "event"),
    [
        ("health", b'{"paper":"low","fault":"\\ud800 jam"}', HealthRead(Point("d1"), "low", "? jam")),
        ("done", b'{"id":"a1","ok":true,"error":"\\ud800"}', CommandDone("a1")),
    ],
)
def test_a_broken_character_in_a_text_for_people_loses_no_message(
    kind: str, payload: bytes, event: Event
) -> None:
    assert event_of(kind, payload) == event


def test_a_ticket_number_with_full_width_digits_is_refused() -> None:
    with pytest.raises(Unfit):
        decode("ticket", '{"seq":1,"number":"A０１２","service":"tax"}'.encode())


@pytest.mark.parametrize(
    "text", [ID_NUMBER, ID_NUMBER.lower(), MOBILE, f"电话{MOBILE}", "１３８００１３８０００"]
)
@pytest.mark.parametrize(
    ("kind", "field", "others"),
    [
        ("key", "arg", {"seq": 1, "key": "pause"}),
        ("ticket", "appointment", {"seq": 1, "number": "A1", "service": "tax"}),
        ("ticket", "number", {"seq": 1, "service": "tax"}),
        ("health", "fault", {}),
        ("status", "fw", {"state": "online"}),
        ("done", "error", {"id": "x", "ok": False}),
    ],
)
def test_a_message_with_an_identity_or_mobile_number_is_refused(
    kind: str, field: str, others: dict[str, Any], text: str
) -> None:
    with pytest.raises(Unfit) as unfit:
        decode(kind, json.dumps(others | {field: text}).encode())
    assert unfit.value.reason == "personal_data"
    assert text not in unfit.value.detail


def test_long_numbers_that_identify_nobody_are_accepted() -> None:
    assert not names_a_person("20261123-0012")
    assert not names_a_person("1234567890123456789")  # 19 digits: a hash or serial
    assert not names_a_person("12800138000")  # no mobile prefix


def test_unknown_keys_are_dropped_and_reported_even_with_a_person_in_them() -> None:
    decoded = decode("rating", json.dumps({"seq": 1, "level": 5, "card": ID_NUMBER, "new": [1]}).encode())
    assert decoded.unknown_keys == ("card", "new")
    assert ID_NUMBER not in repr(to_event(Point("d1"), decoded.body))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"in_total": 1},
        {"in": 1},
        {"in_total": 1, "out_total": 1, "occupancy": 1},
        {"in_total": 1, "out_total": 1, "in": 1},
        {"in": 1, "out": 1, "occupancy": 3},
        {"in_total": 1, "out": 1},
    ],
)
def test_incomplete_or_mixed_counts_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(Unfit) as unfit:
        event_of("count", json.dumps({"seq": 1} | fields))
    assert unfit.value.reason == "count_shape"


def test_a_count_of_another_kind_than_configured_is_refused() -> None:
    assert event_of("count", '{"seq":1,"occupancy":4}', count="occupancy") == CountRead(
        Point("d1"), "occupancy", occupancy=4, seq=1
    )
    with pytest.raises(Unfit):
        event_of("count", '{"seq":1,"occupancy":4}', count="total")


def test_levels_are_sent_with_the_payload_of_the_contract() -> None:
    assert encode_level(Lamp("blink")) == ("lamp", b'{"state":"blink"}')
    tail, payload = encode_level(Display(("请A012号", "到3号窗口")))
    assert (tail, json.loads(payload)) == ("display", {"lines": ["请A012号", "到3号窗口"]})
    tail, payload = encode_level(Panel("w3", "serving", 7, "A012"))
    assert (tail, json.loads(payload)) == (
        "panel",
        {"window": "w3", "number": "A012", "waiting": 7, "state": "serving"},
    )
    _, payload = encode_level(Panel("w3", "serving", 7, wait_low_s=60, wait_high_s=300))
    assert json.loads(payload) == {
        "window": "w3",
        "waiting": 7,
        "state": "serving",
        "wait_low_s": 60,
        "wait_high_s": 300,
    }
    with pytest.raises(Refused):
        encode_level(AreaSummary("tax", 1, None, 1, 0))


URL = "https://hall.example/t/0123456789abcdef"


def test_actions_are_sent_with_their_id_and_body() -> None:
    bodies: dict[str, Body] = {
        "say": Say("请A012号", "A012 please", "A012"),
        "print": Print("A012", "tax", 3, 0, 60, 180, "promise", None, ("合同",), ("contract",), 7, "b", URL),
        "page": Page("s1", "tax", "w6", "请到6号窗口", "window 6 please"),
    }
    for kind, body in bodies.items():
        tail, payload = encode_action(Action("a-1", Point("d1"), body))
        assert tail == kind
        assert json.loads(payload)["id"] == "a-1"
        elsewhere = {"kind", "window", "seq", "boot"} if kind == "print" else {"kind"}
        own_fields = {"answers"} if kind == "print" else set()
        assert set(json.loads(payload)) == {"id", *body.__dataclass_fields__} - elsewhere | own_fields


@given(kind=st.sampled_from(sorted(MODELS)), payload=st.binary(max_size=200))
def test_random_bytes_as_an_input_raise_unfit_only(kind: str, payload: bytes) -> None:
    try:
        to_event(Point("d1"), decode(kind, payload).body)
    except Unfit as unfit:
        assert unfit.reason  # noqa: PT017 - either an event or a reason


NUMBERS = ["0", "-0", "1", "1.0", "1e0", "12345678901234567", "9007199254740993", "NaN"]
TEXTS = ["", " ", " x", "a1", "a:b", "next", "finish", "served", "online", "ok", "13800138000"]
ODD_TEXTS = ["\\u0041", "\u529e", "\x7f", "\t"]
OTHERS = ["true", "null", "{}", '["A001"]', '[""]']
VALUES = st.sampled_from([*NUMBERS, *(f'"{text}"' for text in [*TEXTS, *ODD_TEXTS]), *OTHERS])


@given(data=st.data(), kind=st.sampled_from(sorted(MODELS)))
def test_the_fast_reader_gives_what_the_full_reader_gives(data: st.DataObject, kind: str) -> None:
    fields = st.sampled_from([field.encode_name for field in msgspec.structs.fields(MODELS[kind])] + ["x"])
    pairs = data.draw(st.lists(st.tuples(fields, VALUES), max_size=6))
    between, behind = data.draw(st.sampled_from([(":", ","), (": ", ", "), (" : ", " ,\n")]))
    text = data.draw(st.sampled_from(["", "\ufeff"])) + "{"
    payload = (text + behind.join(f'"{key}"{between}{value}' for key, value in pairs) + "}").encode()
    found = at_once(kind, payload)
    assert found is None or by_parts(kind, payload) == (found, ())


@pytest.mark.parametrize(
    "payload",
    [
        '{"seq":1,"key":"next","key":"login"}',
        '{"seq":1,"key":"next","firmware":3}',
        '{"seq":1,"key":"next","arg":""}',
        '{"seq":1,"key":"next","arg":" "}',
        '{"seq":1,"key":"next","arg":"13800138000"}',
        '{"seq":1,"key":"next","arg":"\\u0007"}',
        '{"seq":1.0,"key":"next"}',
        '{"seq":1,"key":"next","arg":"' + " " * 20_000 + '"}',
    ],
)
def test_the_fast_reader_leaves_unusual_payloads_to_the_full_reader(payload: str) -> None:
    assert at_once("key", payload.encode()) is None


def test_ordinary_payloads_are_read_by_the_fast_reader() -> None:
    for payload in ('{"seq":7,"key":"next"}', '{"seq": 7, "boot": "b3", "key": "pause", "arg": "lunch"}'):
        assert at_once("key", payload.encode()) == decode("key", payload.encode()).body


def test_damaged_valid_payloads_raise_unfit_only() -> None:
    seed = random.randrange(2**32)
    print(f"seed={seed}")  # noqa: T201 - to repeat a failure
    dice = random.Random(seed)
    honest = b'{"seq":17,"number":"A012","service":"tax-general","priority":"elderly","appointment":"b-7"}'
    outcomes = set()
    for _ in range(3000):
        damaged = bytearray(honest)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            to_event(Point("d1"), decode("ticket", bytes(damaged)).body)
            outcomes.add("event")
        except Unfit as unfit:
            outcomes.add(unfit.reason)
    assert {"event", "invalid", "not_json", "not_utf8"} <= outcomes


PERSONS = st.sampled_from(
    ["11010519491231002X", "13800138000", "１３８００１３８０００", "1100 13800138000 x"]
)


@given(st.lists(PERSONS | st.text(max_size=12), max_size=4), st.booleans())
def test_a_payload_the_quick_check_passes_contains_no_personal_number(
    texts: list[str], ascii_only: bool
) -> None:
    fields = {f"k{index}": text for index, text in enumerate(texts)}
    payload = json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert not (is_harmless(payload) and names_a_person(fields))
    assert is_harmless(b'{"seq":17,"number":"A012","service":"tax-general"}')
    assert not is_harmless(b'{"arg":"\\u0031\\u0033800138000"}')


def test_every_key_of_the_core_is_read_from_a_message() -> None:
    for key in get_args(Key):
        assert event_of("key", b'{"seq":5,"key":"%b"}' % key.encode()) == KeyPressed(
            Point("d1"), key, None, 5
        )


def test_the_wire_format_has_every_key_of_the_core_but_two_of_shared_buttons() -> None:
    """A key that is new in the core is either on the wire, too, or named here."""
    shared = {"next-or-recall", "no-show-or-finish"}
    assert set(get_args(Key)) == set(get_args(CoreKey)) - shared
