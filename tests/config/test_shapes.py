"""Shapes: every mistake at once, where it is; what rules keep; forms from end to end."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from edged.shapes import (
    Fault,
    Misshapen,
    Rule,
    Shape,
    faults,
    form,
    json_schema,
    keys_of,
    read,
    without_words,
)

Word = Annotated[str, form(r"^[a-z]\d?$")]


def _stripped(text: str) -> str:
    if not text.strip():
        raise ValueError("says nothing")
    return text.strip()


class Part(Shape, frozen=True):
    """A part of a sample."""

    level: Annotated[int, Meta(ge=1, lt=5)]
    ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5


class Sample(Shape, frozen=True):
    """One of everything."""

    name: Annotated[str, Rule(_stripped), Meta(max_length=8)]
    words: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=3)] = ("a",)
    said: tuple[Annotated[str, Rule(_stripped)], ...] = ()
    kind: Literal["lamp", "panel"] = "lamp"
    size: Annotated[int, Meta(multiple_of=8)] | None = None
    on: bool = False
    parts: Annotated[dict[Word, Part], Meta(max_length=2)] = msgspec.field(default_factory=dict)
    buttons: dict[Annotated[int, Meta(ge=1, le=9)], Word] = msgspec.field(default_factory=dict)
    until: str | None = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        Shape.__post_init__(self)
        if self.on and self.size is None:
            raise ValueError("what is on has a size")


def wrong(fields: object) -> list[tuple[Any, ...]]:
    with pytest.raises(Misshapen) as misshapen:
        read(Sample, fields)
    return [(fault.path, fault.what, fault.wanted) for fault in misshapen.value.faults]


def test_a_correct_value_is_read_and_cannot_be_changed() -> None:
    sample = read(Sample, {"name": " x ", "parts": {"a": {"level": 4}}, "buttons": {"3": "b"}, "to": "t"})
    assert (sample.name, sample.parts["a"].level, sample.buttons, sample.until) == ("x", 4, {3: "b"}, "t")
    with pytest.raises(AttributeError):
        sample.name = "y"  # type: ignore[misc]


def test_every_mistake_is_told_at_once_where_it_is() -> None:
    fields = {
        "words": [],
        "kind": "lamb",
        "size": 12,
        "on": 1,
        "parts": {"a": {"level": 5, "ratio": 0}, "B": {"level": "4"}, "c": {}},
        "buttons": {"0": "b", "2": "bb", "x": "a"},
        "nane": "x",
    }
    assert wrong(fields) == [
        (("nane",), "unknown", tuple(keys_of(Sample))),
        (("name",), "missing", None),
        (("words",), "too_short", 1),
        (("kind",), "choice", ("lamp", "panel")),
        (("size",), "multiple_of", 8),
        (("on",), "kind", "truth"),
        (("parts",), "too_long", 2),
        (("parts", "a", "level"), "less_than", 5),
        (("parts", "a", "ratio"), "more_than", 0),
        (("parts", "B"), "form", r"(?a)^[a-z]\d?\Z"),
        (("parts", "B", "level"), "kind", "whole"),
        (("parts", "c", "level"), "missing", None),
        (("buttons", "0"), "at_least", 1),
        (("buttons", "2"), "form", r"(?a)^[a-z]\d?\Z"),
        (("buttons", "x"), "kind", "whole"),
    ]


@pytest.mark.parametrize(
    ("fields", "path", "what"),
    [
        ({"name": "  "}, ("name",), "says nothing"),
        ({"name": "x", "said": ["a", " "]}, ("said", 1), "says nothing"),
        ({"name": "x", "on": True}, (), "what is on has a size"),
    ],
)
def test_a_broken_rule_is_reported_at_its_field_or_at_the_whole(
    fields: dict[str, Any], path: tuple[Any, ...], what: str
) -> None:
    assert wrong(fields) == [(path, "rule", what)]


def test_rules_are_checked_even_where_other_fields_are_wrong() -> None:
    fields = {"name": " ", "said": ["", "x", " "], "size": 9, "buttons": {"1.0": "b", "2": "?"}}
    assert [(path, what) for path, what, _ in wrong(fields)] == [
        (("name",), "rule"),
        (("said", 0), "rule"),
        (("said", 2), "rule"),
        (("size",), "multiple_of"),
        (("buttons", "1.0"), "kind"),
        (("buttons", "2"), "form"),
    ]


def test_a_reader_that_shows_one_mistake_stops_at_the_first() -> None:
    with pytest.raises(Misshapen) as misshapen:
        read(Sample, {"name": " ", "words": [1] * 8000}, most=1)
    assert [fault.path for fault in misshapen.value.faults] == [("name",)]
    assert wrong({"name": "x", "words": [1] * 8000}) == [(("words",), "too_long", 3)], (
        "entries are not looked at"
    )


def test_a_log_gets_neither_values_nor_keys_of_somebody_else() -> None:
    assert without_words(Fault(("a", "张三"), "unknown", 1)) == "a: unknown"
    assert without_words(Fault(("a", 0), "form", "张三")) == "a[0]: form"


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_a_value_that_is_not_a_table_gives_one_mistake(value: object) -> None:
    assert wrong(value) == [((), "kind", "table")]


def test_rules_also_hold_for_objects_made_in_code() -> None:
    assert Sample(name=" x").name == "x"
    with pytest.raises(ValueError, match="says nothing"):
        Sample(name=" ")


@pytest.mark.parametrize("word", ["a\n", "a٣", "aa", "A", ""])
def test_a_form_holds_from_end_to_end_and_in_ascii(word: str) -> None:
    assert wrong({"name": "x", "words": [word]}) == [(("words", 0), "form", r"(?a)^[a-z]\d?\Z")]


def test_a_schema_says_it_as_everybody_else_does() -> None:
    schema = json_schema(Sample)
    assert schema["properties"]["words"]["items"] == {"type": "string", "pattern": r"^[a-z]\d?$"}
    assert schema["properties"]["kind"] == {"type": "string", "enum": ["lamp", "panel"], "default": "lamp"}
    assert schema["required"] == ["name"]
    assert "required" not in json_schema(msgspec.defstruct("Empty", []))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 20) | st.floats() | st.text("aZ 1\n", max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab1.e-٣", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from([*keys_of(Sample), "nane"]), VALUES),
    st.sampled_from([{}, {"name": "x"}]),
)
def test_our_own_checks_refuse_exactly_what_msgspec_refuses(
    fields: dict[str, Any], usual: dict[str, Any]
) -> None:
    fields = usual | fields
    found = list(faults(Sample, fields))
    try:
        msgspec.convert(fields, Sample, str_keys=True)
        refused = None
    except msgspec.ValidationError as error:
        refused = str(error)
    assert bool(found) == (refused is not None), f"{fields}: msgspec says {refused}, the second look {found}"
