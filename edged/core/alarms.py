"""Alarms: what needs a person now. Raised once, with a reason and a clock; cleared when it is over, never forgotten.

An alarm is ``kind`` (a short fixed word, also a metric label) about ``subject`` (an id of the hall). Raising one that
stands, or clearing one that does not, changes nothing. Their number is bounded by that of the subjects: name parts of
the hall and cases here, not what a message brings.
"""

from __future__ import annotations

from edged.core.state import Alarm
from edged.core.turn import Turn


def key(kind: str, subject: str) -> str:
    """The name of an alarm in ``State.alarms``."""
    return f"{kind}/{subject}"


def stands(turn: Turn, kind: str, subject: str) -> bool:
    """Whether this alarm is raised now."""
    return key(kind, subject) in turn.state.alarms


def sound(turn: Turn, kind: str, subject: str, **data: str | int | float | None) -> bool:
    """Raise an alarm; False if it stands already."""
    name = key(kind, subject)
    if name in turn.state.alarms:
        return False
    turn.state.alarms[name] = Alarm(kind, subject, turn.at_ms)
    turn.note("alarm.raised", subject, alarm=kind, **data)
    return True


def clear(turn: Turn, kind: str, subject: str, **data: str | int | float | None) -> bool:
    """It is over; False if it did not stand."""
    alarm = turn.state.alarms.pop(key(kind, subject), None)
    if alarm is None:
        return False
    turn.note("alarm.cleared", subject, alarm=kind, stood_s=turn.seconds_since(alarm.since_ms), **data)
    return True
