"""Compares what lamps, displays and panels show with what the core would command if it worked out every one anew."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from edged.core.engine import Engine
from edged.core.model.commands import AreaSummary, Desired, Display, Pager, Panel, Value
from edged.core.model.lookup import Lookup
from edged.core.model.turn import Turn
from edged.core.signage import signs

TOLD = re.compile(r"(约|, )\d+-\d+ ?(分钟|min)")  # what newcomers are told, in words
AT_NIGHT = re.compile(
    r"(已闭厅|已下班|未到开放时间)，.*"
)  # a closed window says until when; midnight touches none

BLANK = Pager(0, None)  # where nothing was shown yet


def left_behind(engine: Engine) -> list[str]:
    """Describe each lamp, display or panel that does not show what the core would command if it worked out every one
    anew. Empty while the core has postponed some.
    """
    state = engine.state
    if state.site is None or state.put_off or state.words_put_off:
        return []
    shown = dict(state.shown)
    turn = Turn(state, Lookup(state.site), state.at_ms)
    for window in turn.lookup.windows:
        turn.touch_window(window)
    for area in turn.lookup.areas:
        turn.touch_area(area)
    for pager in (*turn.lookup.staff_of_pager, state.site.duty_pager, state.site.duty_panel):
        turn.touch_pager(pager)
    turn.issuing_changed = turn.alarmed = turn.cases_changed = True
    signs.sign(turn)
    state.shown = shown
    return [
        f"{command} instead of {shown.get(signs.slot(command.point, command.value))}"
        for command in turn.commands
        if isinstance(command, Desired)
        and _timeless(command.value) != _timeless(shown.get(signs.slot(command.point, command.value), BLANK))
    ]


def _timeless(value: Value) -> Any:
    """``value`` without predicted waits and opening times, which change as time passes and are updated by ticks
    only.
    """
    if isinstance(value, Panel):
        return replace(value, wait_low_s=None, wait_high_s=None)
    if isinstance(value, Display):
        return replace(value, lines=tuple(AT_NIGHT.sub("", TOLD.sub("", line)) for line in value.lines))
    if isinstance(value, AreaSummary):
        return replace(value, wait_low_s=None, wait_s=None, wait_high_s=None)
    return value
