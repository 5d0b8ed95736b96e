"""Help that commissioners (行政专员, 帮办) give at windows: how soon they answered the page, how long they helped,
whether the problem was solved.

A help begins when the commissioner accepts the page. It ends when the clerk says so (key ``commissioner`` with
``solved`` or ``unsolved``) or when the visitor leaves. A note records each end with the commissioner, the seconds and
the outcome.
"""

from __future__ import annotations

from edged.core.model.state import Help
from edged.core.model.turn import Turn

OUTCOMES = ("solved", "unsolved")


def begin(turn: Turn, window: str, staff: str, answer_s: float) -> None:
    """Record that the commissioner ``staff`` has accepted a page to help at ``window``, ``answer_s`` seconds after it
    was first sent.
    """
    turn.state.helps[window] = Help(staff, turn.at_ms, answer_s)
    turn.touch_window(window)


def end(turn: Turn, window: str, outcome: str) -> bool:
    """End a commissioner's help at ``window``; False if nobody helps there."""
    help_ = turn.state.helps.pop(window, None)
    if help_ is None:
        return False
    turn.touch_window(window)
    turn.note(
        "commissioner.helped",
        window,
        staff=help_.staff,
        outcome=outcome,
        answer_s=help_.answer_s,
        helped_s=turn.seconds_since(help_.since_ms),
    )
    return True


def prompt(turn: Turn, window: str) -> str | None:
    """The panel's line on who helps at the window and how to end the help; None if nobody helps."""
    help_ = turn.state.helps.get(window)
    if help_ is None:
        return None
    member = turn.lookup.staff.get(help_.staff)
    name = help_.staff if member is None else member.name
    return f"{name}帮办中，办完请选已解决或未解决 {name} helps here: solved or unsolved"


def end_day(turn: Turn) -> None:
    """End every help at the end of the day."""
    for window in list(turn.state.helps):
        end(turn, window, "unsolved")
