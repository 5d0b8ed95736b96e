"""Safe mode: the daemon crashed repeatedly, so the pushed policy is set aside and the hall goes on calling.

In safe mode the built-in policy without the tidal loop is in force: numbers, calls, lamps and displays work, but no
rule opens a window or pages staff. The pushed policy keeps its version and returns when safe mode ends; one pushed
meanwhile takes effect only then, too.
"""

from __future__ import annotations

from edged.core.model.events import SafeModeSet
from edged.core.model.policy import Policy, Tidal
from edged.core.model.turn import Turn
from edged.core.people import alarms

ALARM = "safe-mode"
SAFE = Policy(tidal=Tidal(enabled=False))


def switch(turn: Turn, event: SafeModeSet) -> bool:
    """Begin or end safe mode, in which the built-in policy without the tidal loop is in force. False if nothing
    changed.
    """
    state, hall = turn.state, turn.lookup.site.hall
    if event.on == (state.put_aside is not None):
        return False
    if state.put_aside is None:
        state.put_aside, state.policy = state.policy, SAFE
        alarms.sound(turn, ALARM, hall, policy=state.policy_version)
    else:
        state.policy, state.put_aside = state.put_aside, None
        alarms.clear(turn, ALARM, hall)
    turn.note("hall.safe_mode", hall, on=int(event.on), policy=state.policy_version)
    return True
