"""Nothing that a visitor did ends in "ignored" alone: every place in the core that ignores an input is looked at here.

A new ``turn.ignore`` fails this test until its line below says who is told, or why nobody has to be.
"""

from __future__ import annotations

import ast
from pathlib import Path

import edged.core
from edged.core.people import alarms, stranded
from edged.core.people.answers import REFUSED, SILENT

CORE = Path(edged.core.__file__).parent
# Who is told. "key": whoever pressed it, on that panel or pager (keys.press answers each ignored key). "order": whoever
# ordered it, by the operation's outcome. "refuse": the dispenser shows it, and where nobody decided it an alarm stands
# (issuing.turn_away). "alarm": an alarm stands beside it. Any other text: why it is harmless.
INFORMED_BY: dict[str, str] = {
    "cases/case_book.py": "key order",
    "cases/case_requests.py": "key order",
    "cases/ratings.py": "key order",
    "dispatch.py/_ask": "order",
    "dispatch.py/_rate": "alarm",
    "engine.py/lamps_first": "a message that came twice; the first of them was taken",
    "equipment.py/outcome": "a device answers an action that nobody waits for any more",
    "hours/day.py": "order",
    "hours/late_hours.py": "key",
    "hours/phases.py": "order",
    "keys.py/_route": "key",
    "keys.py/press/double_press": "one press; the first was taken",
    "keys.py/press/no_window_for_panel": "alarm",
    "keys.py": "key",
    "people/announcements.py": "order",
    "people/notices.py": "order",
    "people/pages.py": "key order",
    "queue/by_hand.py": "key order",
    "queue/bookings.py/cancelled": "the centre: the outcome is its event",
    "queue/bookings.py/claim": "the visitor has a number like any other",
    "queue/bookings.py/made": "the centre: the outcome is its event",
    "queue/issuing.py/refused": "refuse",
    "queue/tickets.py/allot": "refuse",
    "queue/tickets.py/issue": "the visitor waits, in the usual class",
    "queue/tickets.py/issue_printed": "alarm",
    "queue/tickets.py/move": "key order",
    "rebuild.py/load_site": "the reload is refused",
    "tide/arbiter.py": "key",
    "tide/triggers.py": "key order",
    "visits/detours.py/check_in": "a new number is printed",
    "visits/detours.py/_bring_back": "key; at a dispenser a new number is printed",
    "visits/detours.py/_revive": "key; at a dispenser a new number is printed",
    "visits/detours.py": "key",
    "visits/follow.py/_speaks": "alarm",
    "visits/follow.py/_ticket": "alarm",
    "visits/follow.py/called": "the queue system repeats itself; the visitor is where it says",
    "visits/follow.py/ended": "nobody is there: the visitor was moved before",
    "visits/follow.py/_listed": "an old list; the visitor is where the call said",
    "visits/follow.py/issued": "the visitor waits already",
    "visits/follow.py/listed": "alarm",
    "visits/follow.py/seated": "the queue system is told in down/serve that nobody goes there",
    "visits/outcomes.py": "key",
    "visits/promises.py": "key",
    "visits/printing.py/issue_requested": "refuse",
    "visits/printing.py/reprint": "key",
    "visits/rating.py": "the evaluator shows when it may be rated, and takes nothing else",
    "visits/walkins.py": "key",
    "windows/activation.py": "key",
    "windows/attendance.py": "key",
    "windows/machine.py": "key",
    "windows/overrides.py": "key order",
    "windows/preparation.py": "key",
    "windows/roster.py": "key order",
    "windows/wishes.py": "key order",
}


def ignored() -> list[tuple[str, str, str]]:
    """List every place where the core ignores an input: file, function, reason ("" where the reason is computed)."""
    found: list[tuple[str, str, str]] = []
    for path in sorted(CORE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                called = node.func if isinstance(node, ast.Call) else None
                if (
                    isinstance(called, ast.Attribute)
                    and called.attr == "ignore"
                    and isinstance(node, ast.Call)
                ):
                    reason = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
                    found.append((str(path.relative_to(CORE)), function.name, str(reason)))
    return found


def entry_in_table(place: tuple[str, str, str]) -> str | None:
    """Return the table's most specific key for a place; None if it has none."""
    file, function, reason = place
    for name in (f"{file}/{function}/{reason}", f"{file}/{function}", file):
        if name in INFORMED_BY:
            return name
    return None


def test_every_place_that_ignores_an_input_states_who_is_informed() -> None:
    places = ignored()
    assert len(places) > 100
    unknown = [place for place in places if entry_in_table(place) is None]
    assert not unknown, f"who is told of these? {unknown}"
    unused = INFORMED_BY.keys() - {entry_in_table(place) for place in places}
    assert not unused, f"nothing is ignored there any more: {unused}"


def test_every_ignored_input_that_is_answered_has_a_text() -> None:
    for place in ignored():
        name, reason = entry_in_table(place), place[2]
        assert name is not None
        if INFORMED_BY[name].startswith("key") and reason:
            assert reason in REFUSED or reason in SILENT, f"no words for {place}"
    assert all(
        name in alarms.TEXT for name in ("paper-in-doubt", "nobody-gets-a-number", "device-unreadable")
    )
    assert all(text and english for text, english in stranded.WORDS.values())


def test_where_an_alarm_is_promised_the_function_sounds_one() -> None:
    for name, who in INFORMED_BY.items():
        if who != "alarm":
            continue
        file, function, *_ = name.split(".py/")[0] + ".py", *name.split(".py/")[1].split("/")
        body = next(
            ast.unparse(node)
            for node in ast.walk(ast.parse((CORE / file).read_text()))
            if isinstance(node, ast.FunctionDef) and node.name == function
        )
        assert "stranded." in body, f"{name} ignores a visitor, and nobody is told"
