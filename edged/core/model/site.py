"""The hall as built: areas, services, windows, staff and the points (device channels) each of them owns.

A *point* names one channel of one device: ``"relay-1/3"`` (coil 3 of relay-1) or just ``"panel-w3"`` where the
device has a single channel. Everything here is plain data; ``edged/config.py`` validates and builds it from TOML.
"""

from __future__ import annotations

from typing import Literal

from edged.core.model.point import Point
from edged.core.model.value import value

Role = Literal["standby", "commissioner", "guide"]


@value
class Area:
    """A business area (服务专区). ``displays`` and ``voice`` are points; ``voice`` is one serial loudspeaker.

    ``kind``: what it is in every hall of the city, by which a policy for many halls may name it.
    """

    id: str
    name: str
    name_en: str
    displays: tuple[Point, ...] = ()
    voice: Point | None = None
    lamps: tuple[Point, ...] = ()
    kind: str | None = None


@value
class Service:
    """A business (业务) of one area. ``prefix`` starts its ticket numbers; ``mean_s`` is the prior service time.

    ``case``: whoever takes a number here reports what could not be done (办不成事).
    """

    id: str
    area: str
    name: str
    name_en: str
    prefix: str
    mean_s: int = 900
    case: bool = False


@value
class Window:
    """A window (窗口). ``skills`` are service ids it may serve. A tidal window serves nothing until activated.

    ``number`` is what visitors read and hear ("3号窗口"). ``panel``, ``lamp``, ``display`` and ``evaluator`` (评价器)
    are points.
    ``confirms_arrival``: the clerk has an "arrived" key; where not, arrival is inferred (``Calling.infer_arrival_s``).
    ``position``: column and row on the plan that pages show, from 1; None: they stand by number.
    """

    id: str
    number: str
    skills: tuple[str, ...]
    tidal: bool = False
    panel: Point | None = None
    lamp: Point | None = None
    display: Point | None = None
    evaluator: Point | None = None
    confirms_arrival: bool = False
    position: tuple[int, int] | None = None


@value
class Staff:
    """Somebody who can be paged (``pager`` is a point) for the areas named in ``skills``.

    ``roles``: ``standby`` takes "+1" windows (待命人员), ``commissioner`` comes to a window to help (行政专员, 帮办),
    ``guide`` looks after people who stand around, and answers their questions (导办).
    ``shifts``: from and until which minutes after midnight they may be paged (past midnight where until is not later);
    none given: always.
    """

    id: str
    name: str
    skills: tuple[str, ...]
    pager: Point | None = None
    roles: tuple[Role, ...] = ("standby",)
    shifts: tuple[tuple[int, int], ...] = ()


@value
class Board:
    """How much text a display ``point`` has room for: rows, and columns of half-width characters in each.

    ``scrolls``: a line that is too long runs through. ``font``: its character set (gb2312, gbk); "" shows everything.
    """

    point: Point
    rows: int
    columns: int
    scrolls: bool = False
    font: str = ""


@value
class Site:
    """One hall. Ids are ``[a-z0-9][a-z0-9-]{0,31}`` and unique inside their kind.

    ``displays`` are the hall's own boards; ``boards`` has the sizes of all displays, as far as they are known.
    ``queue``: the point of the queue system that calls here (follow mode); None: the hall calls by itself.
    ``tickets_url``: where visitors look after their own number (``[pages] public_url``), without a final "/".
    """

    hall: str
    name: str
    areas: tuple[Area, ...]
    services: tuple[Service, ...]
    windows: tuple[Window, ...]
    staff: tuple[Staff, ...] = ()
    duty_pager: Point | None = None
    duty_panel: Point | None = None
    duty_displays: tuple[Point, ...] = ()
    case_lamps: tuple[Point, ...] = ()
    case_displays: tuple[Point, ...] = ()
    displays: tuple[Point, ...] = ()
    boards: tuple[Board, ...] = ()
    dispensers: tuple[Point, ...] = ()  # points that show which services give no numbers
    queue: Point | None = None
    tickets_url: str | None = None
    printers: tuple[tuple[str, Point], ...] = ()  # device that gives numbers, and who prints them for it
