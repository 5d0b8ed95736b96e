"""The three outputs of the core: ``Desired`` (level), ``Action`` (once), ``Note`` (a fact for observers)."""

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

    ``call``: the newest ticket and its window, for boards that have only digits; ``calling``: it is called right now.
    ``large``: in larger letters where the board can, for somebody who does not see well.
    """

    lines: tuple[str, ...]
    call: tuple[str, str] | None = None
    calling: bool = False
    large: bool = False
    kind: ClassVar[str] = "display"


@value
class Panel:
    """What a clerk's call panel shows. ``state`` is the window state of ``windows.py``.

    ``wait_low_s`` to ``wait_high_s`` is what somebody who takes a ticket now may expect (see ``AreaSummary``).
    ``prepared``: who is called next, for the clerk only.
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
    """What a pager or the duty manager's panel shows: how many pages wait there for an answer, and what to read."""

    waiting: int
    prompt: str | None = None
    kind: ClassVar[str] = "pager"


@value
class Serve:
    """Follow mode: windows that are to serve now, each with its services; the queue system sends people there."""

    windows: tuple[tuple[str, tuple[str, ...]], ...]
    kind: ClassVar[str] = "serve"


@value
class AreaSummary:
    """What the city and the boards are told of an area (a state message).

    ``oldest_since_ms``, an ``at_ms`` stamp or None: since when the one who waits longest waits.
    ``open_windows`` take visitors of the area now (paused ones do not), ``tidal_windows`` of them are "+1" windows;
    ``asked_windows`` only blink. ``wait_*_s`` is what somebody who takes a ticket now may expect (8 of 10 wait between
    low and high), in whole minutes; None while nobody can know. ``override``: what a person decided over the area, as
    people read it.
    ``hours`` (open, noon, stopped, draining, closed) and ``mode`` are None if nobody knows the opening hours.
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
    """What the city is told of a window (a state message). ``reason`` explains a tidal window in one line, ``override``
    what a person decided over it, by name and until when. ``stale``: its panel is silent, this is the last known.
    ``helpers``: how many work there beside its clerk.
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
    """The standing alarms (a state message): (alarm, subject, since when as an ``at_ms`` stamp), oldest first.

    ``lost``: why each device is lost of which an alarm says so: (device, a word of ``losses.LOSSES``).
    """

    standing: tuple[tuple[str, str, int], ...]
    lost: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "alarms"


@value
class Evaluator:
    """What an evaluator (评价器) asks about: the visit of ticket ``number``, or a ``case``; both None: nothing."""

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
    """The open cases (办不成事), as the city is told (a state message). The ratios are None while nothing is decided.

    ``on_time_ratio`` is of what could be done (可办), ``explained_ratio`` of what could not (不可办).
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
    """A service without numbers now. ``reason``: a short word; the texts are for the visitor at the dispenser."""

    service: str
    reason: str
    text: str
    text_en: str


@value
class Issuing:
    """The services for which a dispenser gives no numbers now; for all others it does."""

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
    """The level ``value`` wanted at ``point``. Its slot is ``(point, value.kind)``: the last one wins, and it is sent
    again from time to time.
    """

    point: Point
    value: Value


@value
class Say:
    """Speak once, Chinese then English; ``slow`` for who needs it. ``ticket``: its number, "" for announcements."""

    text: str
    text_en: str
    ticket: str
    slow: bool = False
    kind: ClassVar[str] = "say"


About = Literal["ticket", "told-once", "promise", "next-stage", "case"]


@value
class Print:
    """Print a ticket or another slip once. ``ahead``: visitors before it; ``wait_*_s``: what is told of the wait.

    ``about``: what it is; ``lines`` (and the same in English) stand below the number: papers, deadlines, places, and
    why no wait is told. ``window``: who hears of it if it does not come out. ``seq`` and ``boot``: of the request that
    it answers, so that another machine under the same id does not print it. ``url``: where this visitor may look after
    the number, printed as a QR code.
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
    """Page a member of staff (or the duty manager, ``staff`` = "duty-manager") once."""

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


def for_any_life(body: Body) -> Body:
    """The same for a device that may have started again since: its paper answers no request of an earlier life."""
    return replace(body, seq=None, boot=None) if isinstance(body, Print) else body


@value
class Action:
    """Something that happens once. ``id`` is unique for ever in this hall; leaves only after its step is on disk."""

    id: str
    point: Point
    body: Body


@value
class Note:
    """A fact. ``kind`` is an event type of the wire contract ("ticket.called") or "ignored" with a ``reason``."""

    kind: str
    subject: str
    data: Mapping[str, str | bool | int | float | None] = field(default_factory=dict)


Command = Desired | Action
