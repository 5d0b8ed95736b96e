"""Values are what a frozen dataclass with slots is, to whoever makes, compares, copies, shows or hashes them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, get_args

import pytest

from edged.core.model.commands import Note, Panel
from edged.core.model.events import DeviceEvent, KeyPressed
from edged.core.model.point import Point
from edged.core.model.value import value
from edged.core.sequence import _written


@dataclass(frozen=True, slots=True)
class Plain:
    number: int
    name: str | None = None
    data: dict[str, int] = field(default_factory=dict)


@value
class Quick:
    number: int
    name: str | None = None
    data: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "named"), [((1,), {}), ((1, "x"), {"data": {"a": 1}}), ((), {"number": 3, "name": "y"})]
)
def test_a_value_class_has_the_fields_and_equality_of_a_frozen_dataclass(
    given: tuple[int], named: dict[str, object]
) -> None:
    plain: Any
    plain, made = Plain(*given, **named), Quick(*given, **named)  # type: ignore[arg-type]
    assert repr(made).replace("Quick", "Plain") == repr(plain)
    assert made == Quick(*given, **named)  # type: ignore[arg-type]
    assert made != plain
    assert made != replace(made, number=99)
    assert type(made) is Quick
    assert [one.name for one in fields(Quick)] == [one.name for one in fields(Plain)]
    assert Quick.__match_args__ == Plain.__match_args__
    assert not hasattr(made, "__dict__")


def test_a_value_cannot_be_changed_and_can_be_replaced_pickled_and_copied() -> None:
    panel = Panel("w1", "OPEN", 3)
    with pytest.raises(FrozenInstanceError):
        panel.waiting = 4  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del panel.waiting
    assert panel.waiting == 3
    assert replace(panel, waiting=4) == Panel("w1", "OPEN", 4)
    assert pickle.loads(pickle.dumps(panel)) == panel
    assert copy.deepcopy(panel) == panel
    assert hash(panel) == hash(Panel("w1", "OPEN", 3))


def test_values_do_not_share_default_containers_and_a_missing_field_is_named() -> None:
    assert Note("a", "b").data is not Note("a", "b").data
    with pytest.raises(TypeError, match="waiting"):
        Panel("w1", "OPEN")  # type: ignore[call-arg]


def test_the_text_digested_for_an_event_is_its_repr_without_redelivery_fields() -> None:
    event = KeyPressed(Point("panel-w1"), "next", "A'0\"01 张", 7)
    shape, read = _written(KeyPressed)
    how_it_came = ", again=False, boot=None)"
    assert shape % read(event) == repr(event).removesuffix(how_it_came) + ")"
    assert all(_written(kind)[0].startswith(f"{kind.__name__}(point=%r") for kind in get_args(DeviceEvent))


def test_values_with_no_or_one_field_are_equal_only_within_their_class() -> None:
    @value
    class Nothing:
        """No field."""

    @value
    class One:
        """One field."""

        number: float

    assert Nothing() == Nothing()
    assert repr(Nothing()).endswith("Nothing()")
    assert One(2.0) == One(2.0) != One(3.0)
    assert len({One(2.0), One(2.0), Nothing(), Nothing()}) == 2
