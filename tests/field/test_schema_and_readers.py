"""configs/asyncapi.yaml and the readers say the same: what the one allows the others take, and the other way round."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from devices.mqtt_json.codec import MODELS, Unfit, decode
from edged.central.appointments import AppointmentBook
from edged.central.documents import parse
from edged.central.envelope import verify
from edged.central.operations import PAYLOAD_TYPE, OperationDocument
from edged.central.refusals import DocumentRefused, reason
from edged.core.model.events import AppointmentCancelled, AppointmentMade, Event
from edged.personal import names_a_person
from edged.texts import cleaned, where_odd
from tests.support.policies import KEYS
from tests.support.schemas import faults, values

API: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "configs" / "asyncapi.yaml").read_text("utf-8")
)
SCHEMAS: dict[str, Any] = API["components"]["schemas"]
MANY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
FORMS = st.sampled_from(["", "\ufeff"])
NOTHING = st.sampled_from(["", " ", "\u3000", None])


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of what a device may publish on ``up/{kind}``."""
    channel = next(
        one for one in API["channels"].values() if str(one["address"]).endswith(f"/dev/{{device}}/up/{kind}")
    )
    message = next(iter(channel["messages"].values()))["$ref"].rpartition("/")[2]
    name = API["components"]["messages"][message]["payload"]["$ref"].rpartition("/")[2]
    found: dict[str, Any] = SCHEMAS[name]
    return found


def payload_of(fields: dict[str, Any], mark: str) -> bytes:
    """Return the fields as JSON behind ``mark`` (a byte order mark or nothing)."""
    return f"{mark}{json.dumps(fields, ensure_ascii=False)}".encode()


@st.composite
def messages(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """A message that the schema allows, and fields that much software fills with nothing."""
    fields: dict[str, Any] = draw(values(schema, API))
    for key in schema["properties"]:
        if key not in fields and draw(st.booleans()):
            fields[key] = draw(NOTHING)
    assume(not names_a_person(fields))
    return fields


def as_read(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields without empty ones and without the characters that readers remove."""
    fields = {k: cleaned(v) if isinstance(v, str) else v for k, v in fields.items()}
    return {k: v for k, v in fields.items() if v is not None and not (isinstance(v, str) and not v.strip())}


@pytest.mark.parametrize("kind", MODELS)
@MANY
@given(data=st.data())
def test_every_device_message_the_schema_allows_is_accepted(kind: str, data: st.DataObject) -> None:
    fields = data.draw(messages(schema_of(kind)))
    payload = payload_of(fields, data.draw(FORMS))
    assert isinstance(decode(kind, payload).body, MODELS[kind])


@st.composite
def near_messages(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """Allowed or not: some fields have values of other fields, or of nothing in particular."""
    fields: dict[str, Any] = draw(values(schema, API))
    names = st.sampled_from(sorted(schema["properties"]))
    other = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 2**54),
        st.floats(),
        st.text(max_size=70),
        st.lists(st.text()),
    )
    for name in draw(st.lists(names, max_size=3)):
        fields[name] = draw(other)
    for name in draw(st.lists(names, max_size=2)):
        fields.pop(name, None)
    return fields


def test_a_control_character_in_a_word_of_a_device_message_is_removed() -> None:
    taken = decode("request", payload_of({"service": "tax", "seq": 1, "priority": "\x08elderly"}, "")).body
    assert getattr(taken, "priority", None) == "elderly"


@pytest.mark.parametrize("kind", MODELS)
@MANY
@given(data=st.data())
def test_every_device_message_accepted_is_allowed_by_the_schema(kind: str, data: st.DataObject) -> None:
    schema = schema_of(kind)
    fields = data.draw(near_messages(schema))
    try:
        decode(kind, payload_of(fields, data.draw(FORMS)))
    except Unfit:
        return
    assert faults(as_read(fields), schema, API) == []


class Book:
    """An appointment book, and what became of one message."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refused: list[str] = []
        book = AppointmentBook("east", self, self._put, self._reject, lambda why, named, order="": None)
        self.receive = book.receive

    def subscribe(self, topic_filter: str, handler: Any) -> None:
        """No-op: no message comes."""

    def _put(self, event: Event, ack: Any = None, attachments: Any = None) -> bool:
        self.events.append(event)
        return True

    def _reject(self, reason: str, detail: str = "") -> None:
        self.refused.append(detail)


class FakeMessage:
    """A fake message of the broker."""

    topic = "hall/east/appointments"

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def ack(self) -> None:
        """Nobody waits for it."""


@MANY
@given(data=st.data())
def test_appointments_are_accepted_exactly_if_the_schema_allows_them(data: st.DataObject) -> None:
    book = Book()
    made = SCHEMAS["AppointmentMade"]
    fields = data.draw(messages(made) | messages(SCHEMAS["AppointmentCancelled"]) | near_messages(made))
    book.receive(FakeMessage(payload_of(fields, data.draw(FORMS))))
    allowed = faults(as_read(fields), SCHEMAS["Appointment"], API) == []
    if allowed and not names_a_person(fields):
        assert [type(event) for event in book.events] in ([AppointmentMade], [AppointmentCancelled]), (
            book.refused
        )
    if book.events:
        assert allowed


@MANY
@given(data=st.data())
def test_operations_are_accepted_exactly_if_the_schema_allows_them(data: st.DataObject) -> None:
    schema = SCHEMAS["OperationDocument"]
    fields = data.draw(messages(schema) | near_messages(schema))
    allowed = faults(as_read(fields), schema, API) == []
    unfit = where_odd(fields) is not None or names_a_person(fields)
    with nullcontext() if allowed and not unfit else pytest.raises(DocumentRefused):
        document = parse(payload_of(fields, data.draw(FORMS)), OperationDocument)
        if (
            document.type != "operation"
        ):  # the shape takes any text: another kind is refused by a reason of its own
            raise DocumentRefused(reason("wrong-type", "type", found=document.type, expected="operation"))


SIGNED = json.loads(
    (Path(__file__).parent / "envelope.json").read_text()
)  # made by another implementation than ours: see there


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["signatures"][0].pop("keyid"),
        lambda made: made["signatures"][0].update(keyid=""),
        lambda made: made["signatures"][0].update(keyid=None),
        lambda made: made["signatures"][0].update(cert="…"),
        lambda made: made.update(timestamp="2026-11-30T08:00:00Z"),
        lambda made: made["signatures"].insert(0, {"sig": "AAAA"}),
        lambda made: made.update(payload=made["payload"].replace("+", "-").replace("/", "_")),
    ],
)
def test_a_signed_envelope_in_every_form_of_the_specification_is_accepted(change: Any) -> None:
    """DSSE 1.0, envelope.md: keyid is optional, unset is as empty, unknown fields MUST be ignored, both base64s are."""
    made = json.loads(json.dumps(SIGNED))
    change(made)
    opened = verify(payload_of(made, "\ufeff"), PAYLOAD_TYPE, KEYS)
    assert opened.keyid in KEYS
    assert opened.payload == base64.b64decode(SIGNED["payload"])


@pytest.mark.parametrize(
    "signatures", [[], [{}], [{"keyid": 1, "sig": "AA=="}], ["x"], [None], [{"keyid": "", "sig": "AAAA"}] * 5]
)
def test_a_document_that_is_no_signed_envelope_is_refused_as_such(signatures: list[Any]) -> None:
    with pytest.raises(DocumentRefused) as refused:
        verify(payload_of(SIGNED | {"signatures": signatures}, ""), PAYLOAD_TYPE, KEYS)
    assert refused.value.reasons[0].code == "not-an-envelope"
