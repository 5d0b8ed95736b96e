"""Why a hall is called degraded: each reason alone, and none on a good day."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from edged import __version__
from edged.central.audience import CLOCK_TRUSTED_FROM_MS
from edged.central.hall_status import REASONS_MAX, HallFacts, HallStatus, reasons
from edged.core.model.policy import Policy
from edged.core.model.state import State
from edged.driver import Unreachable

GOOD = HallFacts(State(), True, CLOCK_TRUSTED_FROM_MS, ())


def test_each_reason_is_told_and_no_other() -> None:
    aside = State(put_aside=replace(Policy()))
    assert reasons(GOOD) == ()
    assert reasons(GOOD._replace(durable=False)) == ("disk",)
    assert reasons(GOOD._replace(wall_ms=CLOCK_TRUSTED_FROM_MS - 1)) == ("clock",)
    assert reasons(GOOD._replace(state=aside)) == ("safe mode",)
    assert reasons(GOOD._replace(lost=("led", "relay"))) == ("device led", "device relay")


class Told:
    """A fake link that records published messages in order; while disconnected it records none."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.up = True

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if not self.up:
            raise Unreachable("no connection")
        assert (topic, retain) == ("hall/h/status", True)
        self.bodies.append(json.loads(payload))


def test_the_centre_is_told_each_change_once_and_since_when() -> None:
    reported, status = Told(), HallStatus("h", 3, str, "city")
    same = {"version": __version__, "policy": 0, "epoch": 3, "group": "city"}
    later = [GOOD._replace(wall_ms=GOOD.wall_ms + s * 1000) for s in range(9)]
    status.publish_now(reported, later[0])
    status.publish_if_changed(reported, later[1])
    status.publish_if_changed(reported, later[2]._replace(lost=("led",)))
    status.publish_if_changed(reported, later[3]._replace(lost=("led",)))
    status.publish_if_changed(reported, later[4]._replace(lost=("led", "relay")))
    status.publish_if_changed(reported, later[5])
    status.publish_if_changed(reported, later[6]._replace(state=State(policy_version=7)))
    reported.up = False
    status.publish_now(reported, later[7])
    reported.up = True
    status.leave(reported, later[8])

    def since(second: int) -> str:
        return str(GOOD.wall_ms + second * 1000)

    assert reported.bodies == [
        same | {"state": "online", "since": since(0)},
        same | {"state": "degraded", "since": since(2), "reasons": ["device led"]},
        same | {"state": "degraded", "since": since(2), "reasons": ["device led", "device relay"]},
        same | {"state": "online", "since": since(5)},
        same | {"state": "online", "since": since(5), "policy": 7},
        same | {"state": "offline", "since": since(8)},
    ]
    assert "group" not in json.loads(HallStatus("h", 3, str).payload("online", GOOD))


def test_of_many_reasons_the_first_are_told() -> None:
    many = GOOD._replace(durable=False, lost=tuple(f"d{n}" for n in range(REASONS_MAX)))
    assert reasons(many) == ("disk", *(f"device d{n}" for n in range(REASONS_MAX - 1)))
