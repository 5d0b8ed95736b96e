"""Values that are made by a shorter way are what the long way makes."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import get_args

import pytest

from edged.core.commands import Note, Panel
from edged.core.events import DeviceEvent, KeyPressed
from edged.core.quick import quick
from edged.core.sequence import _written


@dataclass(frozen=True, slots=True)
class Plain:
    number: int
    name: str | None = None
    data: dict[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    number: int
    name: str | None = None
    data: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "named"), [((1,), {}), ((1, "x"), {"data": {"a": 1}}), ((), {"number": 3, "name": "y"})]
)
def test_it_has_the_fields_that_a_frozen_dataclass_has(given: tuple[int], named: dict[str, object]) -> None:
    plain, made = Plain(*given, **named), Quick(*given, **named)  # type: ignore[arg-type]
    assert repr(made).replace("Quick", "Plain") == repr(plain)
    assert made == Quick(*given, **named)  # type: ignore[arg-type]
    assert type(made) is Quick


def test_it_stays_frozen_and_can_be_copied() -> None:
    panel = Panel("w1", "OPEN", 3)
    with pytest.raises(FrozenInstanceError):
        panel.waiting = 4  # type: ignore[misc]
    assert panel.waiting == 3
    assert replace(panel, waiting=4) == Panel("w1", "OPEN", 4)
    assert pickle.loads(pickle.dumps(panel)) == panel
    assert hash(panel) == hash(Panel("w1", "OPEN", 3))


def test_default_containers_are_not_shared_and_missing_fields_are_told() -> None:
    assert Note("a", "b").data is not Note("a", "b").data
    with pytest.raises(TypeError, match="waiting"):
        Panel("w1", "OPEN")  # type: ignore[call-arg]


def test_the_digest_of_an_event_is_taken_of_its_repr() -> None:
    event = KeyPressed("panel-w1", "next", "A'0\"01 张", 7)
    shape, read = _written(KeyPressed)
    assert shape % read(event) == repr(event)
    assert all(_written(kind)[0].startswith(f"{kind.__name__}(point=%r") for kind in get_args(DeviceEvent))
