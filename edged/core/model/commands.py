"""The three kinds of output of the core: ``Desired`` (a level: a value that a device keeps showing until the next one),
``Action`` (done once), ``Note`` (a fact for observers: the city, metrics, logs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import ClassVar, Literal

from edged.core.model.point import Point
from edged.core.model.value import value


@value
class Lamp:
    """The state in which a lamp stays. ``blink`` is such a state too: the core sends it once, and the driver or the
    device keeps the lamp blinking.
    """

    state: Literal["off", "on", "blink"]
    kind: ClassVar[str] = "lamp"


@value
class Display:
    """Text lines on an LED bar or screen; recent calls stand with the newest first.

    ``call``: the newest called ticket number and its window, for boards that have only digits. ``calling``: that
    visitor has been called but has not arrived yet. ``large``: for a visitor who does not see well, in larger letters
    if the board can show them.
    """

    lines: tuple[str, ...]
    call: tuple[str, str] | None = None
    calling: bool = False
    large: bool = False
    kind: ClassVar[str] = "display"


@value
class Panel:
    """What a clerk's call panel shows. ``state`` is the state of the window (``windows/machine.py``).

    ``waiting``: how many visitors wait for the window's services. ``number``: the ticket called or served there; None:
    no ticket. ``prompt``: a line for the clerk. ``wait_low_s`` to ``wait_high_s`` is the predicted wait of somebody who
    takes a ticket now (see ``AreaSummary``). ``prepared``: the ticket number that the window calls next; only the clerk
    sees it.
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
    """What a pager or the duty manager's panel shows: how many pages (messages to its owner) wait for an answer, and in
    ``prompt`` the text of one of them.
    """

    waiting: int
    prompt: str | None = None
    kind: ClassVar[str] = "pager"


@value
class Serve:
    """Sent to the hall's own queue system in follow mode (there, that system calls the visitors): the windows to which
    it should send visitors now, each with the ids of the services it serves.
    """

    windows: tuple[tuple[str, tuple[str, ...]], ...]
    kind: ClassVar[str] = "serve"


@value
class AreaSummary:
    """The state of an area, sent to the city and used for boards.

    ``oldest_since_ms``: the ``at_ms`` stamp since which the longest-waiting visitor waits; None if nobody waits.
    ``open_windows`` counts the windows that take visitors of the area now, paused ones left out; ``tidal_windows``
    counts the "+1" windows among them. ``asked_windows`` counts "+1" windows whose lamp blinks because nobody has come
    yet.

    ``wait_s`` is the predicted wait of somebody who takes a ticket now, rounded to whole minutes; 8 of 10 visitors wait
    between ``wait_low_s`` and ``wait_high_s``. All three are None while no prediction is possible. ``override``: the
    manual decision over the area, as a sentence.

    ``hours`` and ``mode`` are None if the opening hours are unknown. ``hours``: "open", "noon" (lunch break), "stopped"
    (no more numbers are given), "draining" (closing time is past, visitors with a number are still served) or "closed".
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
    """The state of a window, sent to the city.

    ``reason``: one line that says why a "+1" window (an extra one) was opened. ``override``: the manual decision over
    the window, with the name of the person and its end. ``stale``: the window's panel is silent, and this is the last
    known state. ``helpers``: how many people work there beside its clerk.
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
    """The alarms in force (at most the 100 newest), sent to the city, oldest first. Each is (kind, subject, ``at_ms``
    stamp since which it is in force).

    ``lost``: a pair for each alarm about a lost device: the device, and why it is lost, as a word of ``losses.LOSSES``.
    """

    standing: tuple[tuple[str, str, int], ...]
    lost: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "alarms"


@value
class Evaluator:
    """What an evaluator (评价器, the device on which a visitor rates the service) asks to be rated: the visit of ticket
    ``number``, or the case ``case`` (an id). It asks for nothing if both are None.
    """

    window: str
    number: str | None = None
    case: str | None = None
    kind: ClassVar[str] = "evaluator"


@value
class CaseSummary:
    """One case (办不成事) that is not closed, as listed in ``CasesSummary``. ``due`` is the date by which it must be
    closed, None if unknown; ``opened_ms`` is an ``at_ms`` stamp.
    """

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
    """The cases (办不成事) that are not closed, with counts and ratios, sent to the city. ``cases`` lists at most 60;
    the counts include all.

    ``waiting``: cases that nobody has acknowledged yet; ``in_hand``: those that somebody deals with; ``overdue``: how
    many of both are late. A ratio is from 0 to 1; None: no cases to count. ``on_time_ratio``: the share closed in time,
    of cases that are overdue or were closed as possible (可办). ``explained_ratio``: the same, of cases closed as
    impossible (不可办).
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
    """A service for which no numbers are given now. ``reason`` is a short code word; dispensers show the two texts to
    the visitor.
    """

    service: str
    reason: str
    text: str
    text_en: str


@value
class Issuing:
    """What a dispenser offers to visitors: a number for every service except those in ``stopped``."""

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
    """The level ``value`` that the device at ``point`` is to keep showing. A later one with the same ``point`` and
    ``value.kind`` replaces it. Outputs are repeated from time to time, in case a device missed one.
    """

    point: Point
    value: Value


@value
class Say:
    """Speak a text once, in Chinese and then in English. ``slow``: more slowly, for a visitor who needs it. ``ticket``:
    the ticket number that is called; "" if the text calls nobody.
    """

    text: str
    text_en: str
    ticket: str
    slow: bool = False
    kind: ClassVar[str] = "say"


About = Literal["ticket", "told-once", "promise", "next-stage", "case"]


@value
class Print:
    """Print a ticket or another slip once. ``ahead``: how many visitors are before this one; ``wait_*_s``: the
    predicted wait in seconds, None if unknown.

    ``about``: the kind of slip. ``lines`` and ``lines_en`` are printed below the number: papers, deadlines, places, or
    why no wait is given. ``window``: the window whose clerk learns of it if printing fails. ``seq`` and ``boot`` are
    copied from the request that this answers, so that another machine with the same id does not print it too. ``url``:
    the address of the visitor's own page, printed as a QR code.
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
    """Send a message to the pager of a member of staff, once (``staff`` = "duty-manager": to the duty manager's)."""

    staff: str
    area: str | None
    window: str | None
    text: str
    text_en: str
    kind: ClassVar[str] = "page"


@value
class Refuse:
    """Tell the visitor at a dispenser, once, why there is no number. ``reason`` is a short code word; the two texts are
    for the visitor.
    """

    service: str
    reason: str
    text: str
    text_en: str
    kind: ClassVar[str] = "refuse"


Body = Say | Print | Page | Refuse


def without_request(body: Body) -> Body:
    """Return the same body; a ``Print`` without the ``boot`` and ``seq`` of the request that it answers. A device that
    has restarted since the request would otherwise refuse to print it.
    """
    return replace(body, seq=None, boot=None) if isinstance(body, Print) else body


@value
class Action:
    """A command that a device carries out once. ``id`` is never used again in this hall. It is sent only after the
    event that caused it is on disk.
    """

    id: str
    point: Point
    body: Body


@value
class Note:
    """A fact for observers (the city, metrics, logs). ``kind`` is the type of the event that the city receives, such as
    "ticket.called"; "ignored" marks an input without effect, and ``data`` then holds the ``reason``.
    """

    kind: str
    subject: str
    data: Mapping[str, str | bool | int | float | None] = field(default_factory=dict)


Command = Desired | Action
