"""Why a hall is called degraded: each reason alone, and none on a good day."""

from __future__ import annotations

from dataclasses import replace

from edged.central.audience import CLOCK_TRUSTED_FROM_MS
from edged.central.hall_status import HallFacts, reasons
from edged.core.model.policy import Policy
from edged.core.model.state import State

GOOD = HallFacts(State(), True, CLOCK_TRUSTED_FROM_MS, ())


def test_each_reason_is_told_and_no_other() -> None:
    aside = State(put_aside=replace(Policy()))
    assert reasons(GOOD) == ()
    assert reasons(GOOD._replace(durable=False)) == ("disk",)
    assert reasons(GOOD._replace(wall_ms=CLOCK_TRUSTED_FROM_MS - 1)) == ("clock",)
    assert reasons(GOOD._replace(state=aside)) == ("safe mode",)
    assert reasons(GOOD._replace(lost=("led", "relay"))) == ("device led", "device relay")
