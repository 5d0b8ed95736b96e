"""Whatever a device says, its numbers count within its epoch: one rule for dispensers, panels, evaluators, counters,
health reports and queue systems.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from typing import Any, get_args

import pytest

from edged.core import sequence
from edged.core.engine import Engine
from edged.core.model.events import ClockSet, DeviceEvent, KeyPressed, SiteLoaded
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.turn import Turn
from tests.support.core_hall import hall_site

AT_MS = 28_800_000
EVENING_MS = 1_795_449_600_000
POINT = Point("sender")
VALUES: dict[str, Any] = {  # by field, of those without a default
    "number": "A001",
    "service": "tax-general",
    "key": "next",
    "level": 5,
    "semantics": "total",
    "window": "w1",
    "waiting": ("A001", "A002"),
    "numbers": ("A001", "A002"),
    "staffed": True,
    "outcome": "served",
}
KINDS = get_args(DeviceEvent)


def message(kind: type, seq: int, **other: Any) -> Any:
    """Return a message of this kind with this sequence number."""
    required = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
    unknown = required - VALUES.keys() - {"point", "seq"} - other.keys()
    assert not unknown, f"{kind.__name__} needs a value for {unknown} in VALUES above"
    wanted = {one.name for one in fields(kind)} & VALUES.keys()
    return kind(point=POINT, seq=seq, **{name: VALUES[name] for name in wanted}, **other)


class HallWithSender:
    """A hall that receives the messages of one device."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.engine.handle(AT_MS, SiteLoaded(hall_site()))
        self.engine.handle(AT_MS, ClockSet(EVENING_MS, 480))
        self.at_ms = AT_MS

    def is_repeat(self, event: Any, after_s: float = 1.0) -> bool:
        """Receive ``event`` after ``after_s`` seconds; return whether the hall takes it for one it has already."""
        self.at_ms += round(after_s * 1000)
        self.engine.state.at_ms = self.at_ms
        return sequence.is_redelivery(Turn(self.engine.state, Lookup(hall_site()), self.at_ms), event)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_messages_of_a_device_switched_off_over_night_are_not_taken_for_repeats(kind: type) -> None:
    hall = HallWithSender()
    assert not any(hall.is_repeat(message(kind, seq)) for seq in (1, 2, 3))
    assert [
        hall.is_repeat(message(kind, seq), after) for seq, after in ((1, 43_200.0), (2, 5.0), (3, 5.0))
    ] == [
        False,
        False,
        False,
    ], "the numbers of yesterday"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_repeated_by_the_device_after_a_short_loss_counts_once(kind: type) -> None:
    hall = HallWithSender()
    assert not any(hall.is_repeat(message(kind, seq)) for seq in (1, 2, 3))
    assert [hall.is_repeat(message(kind, seq), after) for seq, after in ((2, 4.0), (3, 0.1))] == [True, True]
    assert hall.is_repeat(replace(message(kind, 3), again=True), 43_200.0), (
        "the broker's repetition, however old"
    )


def test_a_message_repeated_by_the_broker_counts_once_however_many_came_since() -> None:
    """A broker that nothing bounds had a thousand presses of a key that hangs on their way when its link was cut."""
    hall, many = HallWithSender(), 1_000
    assert not any(hall.is_repeat(message(KeyPressed, seq), 0.001) for seq in range(1, many + 1))
    assert all(hall.is_repeat(message(KeyPressed, seq, again=True), 0.001) for seq in range(1, many + 1))
    assert not hall.is_repeat(message(KeyPressed, many + 1, again=True)), (
        "it had not been sent before the cut"
    )


def test_messages_kept_by_the_broker_from_before_the_first_received_one_are_counted() -> None:
    """Its link was cut before the first of them arrived; of a life in which nothing is forgotten the unknown is new."""
    hall = HallWithSender()
    assert not any(hall.is_repeat(message(KeyPressed, seq), 0.001) for seq in range(10, 1_000))
    assert not hall.is_repeat(message(KeyPressed, 9, again=True))
    fresh = HallWithSender()
    assert not any(fresh.is_repeat(message(KeyPressed, seq), 0.001) for seq in (1, *range(300, 400)))
    assert not fresh.is_repeat(message(KeyPressed, 150, again=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_repeated_lower_sequence_number_does_not_set_where_a_device_begins(kind: type) -> None:
    """It may be of an earlier epoch: the device begins with 1 again, and that counts."""
    hall = HallWithSender()
    assert not hall.is_repeat(message(kind, 1))
    assert not hall.is_repeat(replace(message(kind, 0), again=True))
    assert not hall.is_repeat(message(kind, 1), 600.0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_new_boot_id_makes_the_same_sequence_number_a_new_message(kind: type) -> None:
    hall = HallWithSender()
    assert not hall.is_repeat(message(kind, 1, boot="a"))
    assert not hall.is_repeat(message(kind, 1, boot="b"))
    assert hall.is_repeat(message(kind, 1, boot="b"))
