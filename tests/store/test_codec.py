"""Everything that can stand in a step or a state comes back equal from its JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.core.model.commands import Body, Command, Desired, Lamp, Note, Value, WindowSummary
from edged.core.model.events import DeviceBack, Event, Tick
from edged.core.model.point import Point
from edged.core.model.policy import Band, Policy, Tidal
from edged.core.model.state import PendingAction, State, WindowState
from edged.store import codec


def drawn(union: Any) -> st.SearchStrategy[Any]:
    """Any member of a union, which mypy does not take for a type."""
    return st.from_type(union)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = TEXT | st.integers() | FINITE | st.none()
st.register_type_strategy(str, TEXT)
st.register_type_strategy(float, FINITE)
st.register_type_strategy(
    Tidal, st.builds(Tidal, areas=st.dictionaries(TEXT, st.from_type(Band), max_size=3), pool=st.integers())
)
st.register_type_strategy(Policy, st.builds(Policy, tidal=st.from_type(Tidal)))
NOTES = st.builds(Note, data=st.dictionaries(TEXT, SCALARS, max_size=4))


@given(drawn(Event))
@settings(max_examples=400, deadline=None)
def test_every_event_comes_back_equal(event: Event) -> None:
    kind, blob = codec.encode_event(event)
    assert codec.decode_event(kind, blob) == event


@given(st.lists(drawn(Command), max_size=4).map(tuple))
@settings(max_examples=400, deadline=None)
def test_every_command_comes_back_equal(commands: tuple[Command, ...]) -> None:
    blob = codec.encode_commands(commands)
    assert codec.decode_commands(blob) == commands
    assert codec.encode_commands(codec.decode_commands(blob)) == blob


@given(st.lists(NOTES, max_size=3).map(tuple))
@settings(deadline=None)
def test_every_note_comes_back_equal(notes: tuple[Note, ...]) -> None:
    assert codec.decode_notes(codec.encode_notes(notes)) == notes


@given(st.from_type(State))
@settings(max_examples=150, deadline=None)
def test_every_state_comes_back_equal_and_in_the_same_order(state: State) -> None:
    blob = codec.dump_state(state)
    again = codec.load_state(blob, State)
    assert again == state
    assert codec.dump_state(again) == blob


def test_the_codec_knows_the_classes_of_events_values_and_bodies() -> None:
    assert {"KeyPressed", "Tick", "PolicyApplied", "SiteLoaded"} <= set(codec.EVENTS)
    assert set(codec.VALUES) | set(codec.BODIES) >= {"Lamp", "Display", "Panel", "Say", "Print", "Page"}


def test_classes_with_the_same_fields_are_distinguished_by_a_type_name() -> None:
    desired = Desired(Point("lamp-1"), Lamp("on"))
    assert codec.encode_commands((desired,)) == (
        b'[{"type":"Desired","point":"lamp-1","value":{"type":"Lamp","state":"on"}}]'
    )
    assert codec.encode_event(DeviceBack(Point("a"))) == ("DeviceBack", b'{"point":"a"}')


def test_window_summaries_are_read_and_written_under_the_name_in_old_journals() -> None:
    blob = (
        b'[{"type":"Desired","point":"centre/w1","value":{"type":"WindowPicture","window":"w1","state":"OPEN",'
        b'"number":null,"area":null,"reason":null,"override":null,"stale":false,"helpers":0,"reason_zh":null}}]'
    )
    desired = Desired(Point("centre/w1"), WindowSummary("w1", "OPEN", None, None, None))
    assert codec.decode_commands(blob) == (desired,)
    assert codec.encode_commands((desired,)) == blob


def test_a_tick_is_decoded_from_no_bytes() -> None:
    assert codec.decode_event("Tick", None) == Tick()


@pytest.mark.parametrize(
    ("kind", "blob"),
    [
        ("KeyPresed", b"{}"),
        ("DeviceBack", b'{"point":"a","colour":1}'),
        ("DeviceBack", b"{}"),
        ("DeviceBack", b'{"point":'),
        ("RatingGiven", b'{"point":"a","level":"much"}'),
        ("RatingGiven", b"[]"),
    ],
)
def test_an_unknown_or_misshapen_event_is_a_codec_error(kind: str, blob: bytes) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode_event(kind, blob)


@pytest.mark.parametrize(
    "blob",
    [
        b'[{"type":"Wanted","point":"a","value":{"type":"Lamp","state":"on"}}]',
        b'[{"type":"Desired","point":"a","value":{"type":"Bell","state":"on"}}]',
        b'[{"type":"Desired","point":"a","value":{"type":"Lamp","state":"on"},"x":1}]',
        b'[{"type":"Desired","point":"a","value":{"type":"Lamp","state":"maybe"}}]',
        b"[7]",
    ],
)
def test_an_unknown_or_misshapen_command_is_a_codec_error(blob: bytes) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode_commands(blob)


def test_a_state_dump_with_unknown_content_is_refused_and_one_without_newer_fields_is_read() -> None:
    state = State(shown={"p": Lamp("on")}, windows={"w1": WindowState("OPEN")})
    blob = codec.dump_state(state)
    older = blob.replace(b',"prepared":null', b"").replace(b'"served_today":0,', b"")
    assert len(older) < len(blob) - 30
    assert codec.load_state(older, State) == state
    assert not codec.reads_back(older, State)
    assert codec.reads_back(blob, State)
    for known, planted in [
        (b'"served_today":0', b'"served_today":0,"colour":1'),
        (b'"state":"OPEN"', b'"state":"OPEN","colour":1'),
        (b'"state":"on"', b'"state":"on","colour":1'),
        (b'"calling":{', b'"calling":{"colour":1,'),
        (b'"shown":{"p":{"state":"on"}}', b'"shown":[]'),
        (b'{"p":{"state":"on"}}', b'{"p":null}'),
        (b'"actions":{}', b'"actions":{"a":null}'),
    ]:
        assert blob.count(known) == 1, known
        with pytest.raises(codec.CodecError):
            codec.load_state(blob.replace(known, planted), State)


def test_the_canonical_json_form_ignores_key_order_and_spaces_only() -> None:
    assert codec.canonical(b'[{"b":1,"a":2}]') == codec.canonical(b'[{"a": 2, "b": 1}]')
    assert codec.canonical(b'[{"a":1}]') != codec.canonical(b'[{"a":2}]')
    assert codec.canonical(None) == codec.canonical(b"[]")


@given(drawn(Value), drawn(Body))
@settings(deadline=None)
def test_values_and_action_bodies_inside_a_state_keep_their_class(value: Value, body: Body) -> None:
    # In a state the class of a part is found by its fields alone: two classes with the same fields would break this.
    state = State(shown={"p": value}, actions={"a1": PendingAction(Point("p"), body, 7)})
    again = codec.load_state(codec.dump_state(state), State)
    assert type(again.shown["p"]) is type(value)
    assert type(again.actions["a1"].body) is type(body)
    assert again == state
