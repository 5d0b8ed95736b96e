"""Every topic between a hall and the centre, in one place (the devices' topics belong to their drivers).

Ids inside topics are ``[a-z0-9][a-z0-9-]{0,31}`` (checked where the hall's configuration is read), so none of them can
hold a separator or a wildcard.
"""

from __future__ import annotations


def status(hall: str) -> str:
    """Retained, with will: online, degraded or offline."""
    return f"hall/{hall}/status"


def page(hall: str, part: str) -> str:
    """Retained, for the pages: ``part`` is names, window/ID, area/ID, calls, decisions, alarms and the like."""
    return f"hall/{hall}/page/{part}"


def journal(hall: str) -> str:
    """Retained, for the hall itself: where its journal stands."""
    return f"hall/{hall}/journal"


def area_state(hall: str, area: str) -> str:
    """Retained picture of an area."""
    return f"hall/{hall}/state/area/{area}"


def cases_state(hall: str) -> str:
    """Retained picture of the open cases."""
    return f"hall/{hall}/state/cases"


def window_state(hall: str, window: str) -> str:
    """Retained picture of a window."""
    return f"hall/{hall}/state/window/{window}"


def alarms_state(hall: str) -> str:
    """Retained picture of the alarms that stand."""
    return f"hall/{hall}/state/alarms"


def events(hall: str) -> str:
    """The hall's history, upwards."""
    return f"hall/{hall}/events"


def events_ack(hall: str) -> str:
    """The centre's cumulative acknowledgement of ``events``."""
    return f"hall/{hall}/events/ack"


def policy_push(hall: str) -> str:
    """A signed policy for this hall."""
    return f"hall/{hall}/policy/push"


def group_policy_push(group: str) -> str:
    """A signed policy for all halls of a group."""
    return f"city/{group}/policy/push"


def policy_report(hall: str) -> str:
    """Retained answer to policy pushes: desired, applied, state, reason."""
    return f"hall/{hall}/policy/report"


def operation(hall: str, name: str) -> str:
    """A signed operation, never retained."""
    return f"hall/{hall}/ops/{name}"


def appointments(hall: str) -> str:
    """Appointments made with the centre, downwards."""
    return f"hall/{hall}/appointments"
