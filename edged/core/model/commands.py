"""The three kinds of output of the core: ``Desired`` (a level that holds until it changes), ``Action`` (done once),
``Note`` (a fact for observers).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import ClassVar, Literal

from edged.core.model.point import Point
from edged.core.model.value import value


@value
class Lamp:
    """A lamp's level. ``blink`` is a level too: the driver or the device keeps it blinking."""

    state: Literal["off", "on", "blink"]
    kind: ClassVar[str] = "lamp"


@value
class Display:
    """Text lines on an LED bar or screen, newest call first.

    ``call``: the newest ticket and its window, for boards that have only digits; ``calling``: it is being called right
    now. ``large``: in larger letters where the board can, for a visitor who does not see well.
    """

    lines: tuple[str, ...]
    call: tuple[str, str] | None = None
    calling: bool = False
    large: bool = False
    kind: ClassVar[str] = "display"


@value
class Panel:
    """What a clerk's call panel shows. ``state`` is the state of the window (``windows/machine.py``).

    ``wait_low_s`` to ``wait_high_s`` is the predicted wait of somebody who takes a ticket now (see ``AreaSummary``).
    ``prepared``: the number that is called next, shown to the clerk only.
    """

    window: str
    state: str
    waiting: int
    number: str | None = None
    prompt: str | None = None
    wait_low_s: int | None = None
    wait_high_s: int | None = None
    prepared: str | None = None
    kind: ClassVar[str] = "panel"


@value
class Pager:
    """What a pager or the duty manager's panel shows: how many pages wait there for an answer, and the text of one."""

    waiting: int
    prompt: str | None = None
    kind: ClassVar[str] = "pager"


@value
class Serve:
    """Follow mode: the windows that are to serve now, each with its services; the hall's queue system sends visitors
    there.
    """

    windows: tuple[tuple[str, tuple[str, ...]], ...]
    kind: ClassVar[str] = "serve"


@value
class AreaSummary:
    """The state of an area for the city and for boards (a state message).

    ``oldest_since_ms``: the ``at_ms`` stamp since which the longest-waiting visitor waits; None if nobody waits.
    ``open_windows`` take visitors of the area now (paused ones do not), ``tidal_windows`` of them are "+1" windows;
    ``asked_windows`` are "+1" windows whose lamp blinks because nobody has come yet. ``wait_s`` is the predicted wait
    of somebody who takes a ticket now, rounded to whole minutes; 8 of 10 visitors wait between ``wait_low_s`` and
    ``wait_high_s``; all three are None while no prediction is possible. ``override``: the manual decision over the
    area, as a sentence. ``hours`` (open, noon: lunch break, stopped: no more numbers, draining: closing time is past
    and those with a number are still served, closed) and ``mode`` are None if the opening hours are unknown.
    """

    area: str
    waiting: int
    oldest_since_ms: int | None
    open_windows: int
    tidal_windows: int
    wait_low_s: int | None = None
    wait_s: int | None = None
    wait_high_s: int | None = None
    override: str | None = None
    hours: str | None = None
    mode: str | None = None
    asked_windows: int = 0
    kind: ClassVar[str] = "area"


@value
class WindowSummary:
    """The state of a window for the city (a state message).

    ``reason``: one line that says why a tidal window was opened. ``override``: the manual decision over the window,
    with the name of the person and its end. ``stale``: its panel is silent, and this is the last known state.
    ``helpers``: how many people work there beside its clerk.
    """

    window: str
    state: str
    number: str | None
    area: str | None
    reason: str | None
    override: str | None = None
    stale: bool = False
    helpers: int = 0
    reason_zh: str | None = None
    kind: ClassVar[str] = "window"


@value
class AlarmsSummary:
    """The alarms in force (a state message): (kind, subject, since when as an ``at_ms`` stamp), oldest first.

    ``lost``: for each alarm about a lost device, (device, reason as a word of ``losses.LOSSES``).
    """

    standing: tuple[tuple[str, str, int], ...]
    lost: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "alarms"


@value
class Evaluator:
    """What an evaluator (评价器) asks to be rated: the visit of ticket ``number``, or a ``case``; nothing if both are
    None.
    """

    window: str
    number: str | None = None
    case: str | None = None
    kind: ClassVar[str] = "evaluator"


@value
class CaseSummary:
    """One open case in a ``CasesSummary``. ``due`` is a date or None, ``opened_ms`` an ``at_ms`` stamp."""

    case: str
    state: str
    area: str | None
    service: str | None
    code: str
    opened_ms: int
    due: str | None
    special: bool
    overdue: bool


@value
class CasesSummary:
    """The open cases (办不成事) for the city (a state message). A ratio is None while there are no cases to count.

    ``on_time_ratio`` is of cases that could be solved (可办), ``explained_ratio`` of those that could not (不可办).
    """

    cases: tuple[CaseSummary, ...]
    waiting: int
    in_hand: int
    overdue: int
    response_ratio: float | None
    on_time_ratio: float | None
    explained_ratio: float | None = None  # absent in journals from before cases were told apart
    satisfied_ratio: float | None = None
    kind: ClassVar[str] = "cases"


@value
class NoNumber:
    """A service that gives no numbers now. ``reason``: a short word; the texts are shown to the visitor at the
    dispenser.
    """

    service: str
    reason: str
    text: str
    text_en: str


@value
class Issuing:
    """What a dispenser gives numbers for: every service except those in ``stopped``."""

    stopped: tuple[NoNumber, ...] = ()
    kind: ClassVar[str] = "issuing"


Value = (
    Issuing
    | Lamp
    | Display
    | Panel
    | Pager
    | Evaluator
    | AreaSummary
    | WindowSummary
    | AlarmsSummary
    | CasesSummary
    | Serve
)


@value
class Desired:
    """The level ``value`` wanted at ``point``. Of several with the same ``(point, value.kind)`` the last one wins; it
    is sent again from time to time.
    """

    point: Point
    value: Value


@value
class Say:
    """Speak once, Chinese then English; ``slow`` for visitors who need it. ``ticket``: the number that is called; ""
    for announcements.
    """

    text: str
    text_en: str
    ticket: str
    slow: bool = False
    kind: ClassVar[str] = "say"


About = Literal["ticket", "told-once", "promise", "next-stage", "case"]


@value
class Print:
    """Print a ticket or another slip once. ``ahead``: how many visitors are before it; ``wait_*_s``: the predicted wait
    in seconds.

    ``about``: the kind of slip. ``lines`` and ``lines_en`` are printed below the number: papers, deadlines, places, or
    why no wait is given. ``window``: the window that is told if printing fails. ``seq`` and ``boot``: of the request
    that this answers, so that another machine with the same id does not print it. ``url``: the address of the visitor's
    own page, printed as a QR code.
    """

    number: str
    service: str
    ahead: int
    wait_low_s: int | None = None
    wait_s: int | None = None
    wait_high_s: int | None = None
    about: About = "ticket"
    window: str | None = None
    lines: tuple[str, ...] = ()
    lines_en: tuple[str, ...] = ()
    seq: int | None = None
    boot: str | None = None
    url: str | None = None
    kind: ClassVar[str] = "print"


@value
class Page:
    """Page a member of staff (``staff`` = "duty-manager": the duty manager) once."""

    staff: str
    area: str | None
    window: str | None
    text: str
    text_en: str
    kind: ClassVar[str] = "page"


@value
class Refuse:
    """Tell whoever asked for a number, once, why there is none. ``reason``: a short word."""

    service: str
    reason: str
    text: str
    text_en: str
    kind: ClassVar[str] = "refuse"


Body = Say | Print | Page | Refuse


def without_request(body: Body) -> Body:
    """The same body without the ``boot`` and ``seq`` of a request, so that the device prints it even if it has
    restarted since.
    """
    return replace(body, seq=None, boot=None) if isinstance(body, Print) else body


@value
class Action:
    """Something that is done once. ``id`` is never used again in this hall. It is sent only after its step is on
    disk.
    """

    id: str
    point: Point
    body: Body


@value
class Note:
    """A fact for observers. ``kind`` is the type of an event for the city ("ticket.called"), or "ignored" with a
    ``reason``.
    """

    kind: str
    subject: str
    data: Mapping[str, str | bool | int | float | None] = field(default_factory=dict)


Command = Desired | Action
