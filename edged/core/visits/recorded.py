"""Works out the state of visits and windows from recorded commands and notes alone, without running the engine.

Applied to what an earlier version recorded and to what this version decides for the same events, it shows where the two
differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edged.core.model.commands import Action, Body, Command, Desired, Note, WindowSummary
from edged.core.model.events import Event, KeptVisit, KeptWindow, OutcomeKept, SiteLoaded
from edged.core.model.point import Point
from edged.core.model.site import Site
from edged.core.model.state import State, TicketState

LEAVES_TO: dict[str, TicketState] = {  # kind of a note -> state of its visit afterwards
    "ticket.issued": "WAITING",
    "ticket.reprinted": "WAITING",
    "ticket.transferred": "WAITING",
    "ticket.returned": "WAITING",
    "ticket.revived": "WAITING",
    "ticket.resumed": "WAITING",
    "ticket.called": "CALLED",
    "ticket.recalled": "CALLED",
    "ticket.arrived": "SERVING",
    "ticket.finished": "SERVED",
    "ticket.no_show": "NO_SHOW",
    "ticket.parked": "PARKED",
    "ticket.cancelled": "CANCELLED",
}
AT_WINDOW: tuple[TicketState, ...] = ("CALLED", "SERVING")
NOT_CALLED: frozenset[str] = frozenset({"WAITING", "BOOKED", "ISSUE_FAILED"})
OVER: tuple[TicketState, ...] = ("SERVED", "CANCELLED", "NO_SHOW", "RETURN_PENDING")


class Recorded:
    """The visits, windows and actions that follow from recorded steps. Starts from a state or empty; ``take`` adds a
    step.
    """

    def __init__(self, state: State | None) -> None:
        self.visits: dict[str, KeptVisit] = {}
        self.windows: dict[str, KeptWindow] = {}
        self.actions: dict[str, tuple[Point, Body]] = {}
        self.next_action, self.cases = 1, 0
        self._site: Site | None = None
        if state is not None:
            self._begin(state)

    def _begin(self, state: State) -> None:
        self._site, self.next_action = state.site, state.next_action
        self.actions = {name: (one.point, one.body) for name, one in state.actions.items()}
        for ticket in state.tickets.values():
            window = ticket.window if ticket.state in AT_WINDOW else None
            self.visits[ticket.number] = KeptVisit(
                ticket.number, ticket.service, ticket.state, window, ticket.priority, ticket.source
            )
        for value in state.shown.values():
            self._show(value)

    def take(self, event: Event, commands: Iterable[Command], notes: Iterable[Note]) -> None:
        """Apply the commands and notes of one recorded step."""
        if isinstance(event, SiteLoaded):
            self._site = event.site
        for command in commands:
            if isinstance(command, Desired):
                self._show(command.value)
            elif isinstance(command, Action):
                self.actions[command.id] = (command.point, command.body)
                number = command.id.removeprefix("a")
                self.next_action = max(self.next_action, 1 + int(number) if number.isdecimal() else 0)
        for note in notes:
            if note.kind in LEAVES_TO:
                self._note(note)
            self.cases += note.kind == "case.opened"

    def agree_with(self, other: Recorded) -> None:
        """Copy everything from ``other``: what was recorded and what this version of the program decides are the same
        up to here.
        """
        self.visits, self.windows = dict(other.visits), dict(other.windows)
        self.actions, self.next_action, self.cases = dict(other.actions), other.next_action, other.cases

    def _show(self, value: object) -> None:
        if isinstance(value, WindowSummary):
            self.windows[value.window] = KeptWindow(value.window, value.state, value.area)

    def _note(self, note: Note) -> None:
        number, state = note.subject, LEAVES_TO[note.kind]
        window = str(note.data["window"]) if state in AT_WINDOW and note.data.get("window") else None
        known = self.visits.get(number)
        if known is None or note.kind == "ticket.issued":
            service, priority = str(note.data.get("service", "")), str(note.data.get("priority", "normal"))
            point = Point(str(note.data.get("point", "")))
            self.visits[number] = KeptVisit(number, service, state, window, priority, point)
            return
        service = known.service
        if note.kind == "ticket.transferred":
            service = self._target(str(note.data.get("target") or ""), service)
        elif note.kind == "ticket.finished" and note.data.get("outcome") == "told-once":
            state = "RETURN_PENDING"
        self.visits[number] = replace(known, service=service, state=state, window=window)

    def _target(self, target: str, service: str) -> str:
        """Return the visit's service after a transfer to ``target``: that service, or the first one of that area. If
        ``target`` is a window, it stays ``service``.
        """
        services = () if self._site is None else self._site.services
        here = [one.id for one in services if target in (one.id, one.area)]
        return target if target in here else next(iter(here), service)


def alike(one: str, other: str) -> bool:
    """Whether two ticket states count as the same, because the recorded notes do not show which of the two a ticket
    has.
    """
    return one == other or {one, other} <= NOT_CALLED or {one, other} <= {"SERVED", "RETURN_PENDING"}


def difference(theirs: Recorded, ours: Recorded, state: State) -> OutcomeKept | None:
    """What must change in ``state`` (decided by this version, as ``ours``) to match ``theirs`` (recorded); None if
    nothing.
    """
    visits = [
        visit for number, visit in theirs.visits.items() if _differs(visit, ours.visits.get(number))
    ] + [
        replace(visit, state="CANCELLED", window=None)  # nobody was given this number
        for number, visit in ours.visits.items()
        if number not in theirs.visits and visit.state not in OVER
    ]
    windows = [window for name, window in theirs.windows.items() if ours.windows.get(name) != window]
    cases = max(0, theirs.cases - ours.cases)
    if not visits and not windows and not cases and theirs.next_action <= ours.next_action:
        return None
    unsure = tuple(
        name for name, one in state.actions.items() if theirs.actions.get(name) != (one.point, one.body)
    )
    return OutcomeKept(tuple(visits), tuple(windows), theirs.next_action, unsure, cases)


def _differs(theirs: KeptVisit, ours: KeptVisit | None) -> bool:
    if ours is None:
        return theirs.state not in OVER
    return (theirs.state, theirs.window, theirs.service) != (ours.state, ours.window, ours.service)
