"""The hall as built: areas, services, windows, staff and the points (device channels) that belong to them.

A *point* names one channel of one device: ``"relay-1/3"`` (coil 3 of relay-1) or just ``"panel-w3"`` where the device
has a single channel. Plain data; ``edged/config/`` builds it from hall.toml and validates it.
"""

from __future__ import annotations

from typing import Literal

from edged.core.model.point import Point
from edged.core.model.value import value

Role = Literal["standby", "commissioner", "guide"]


@value
class Area:
    """A business area (服务专区). ``displays``, ``lamps`` and ``voice`` (a loudspeaker) name device channels, such as
    "relay-1/3".

    ``kind``: what sort of area it is, a name that all halls of the city share. A policy for many halls may use it
    instead of the area's id.
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
    """A service (业务) of one area. ``prefix`` starts its ticket numbers; ``mean_s`` is the assumed service time in
    seconds until enough visits were measured.

    ``case``: a number for this service opens a case (办不成事).
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
    """A window (窗口). ``skills``: ids of the services it may serve. A tidal window serves none until it is activated.

    ``number`` is what visitors read and hear ("3号窗口"). ``panel``, ``lamp``, ``display`` and ``evaluator`` (评价器)
    name device channels. ``confirms_arrival``: the clerk has an "arrived" key; without it arrival is assumed after
    ``Calling.infer_arrival_s``. ``position``: column and row on the plan that pages show, from 1; None: windows are
    placed by number.
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
    """A person who can be paged on ``pager`` (a device channel), to work for the areas in ``skills``.

    ``roles``: ``standby`` staffs "+1" windows (待命人员), ``commissioner`` comes to a window to help (行政专员, 帮办),
    ``guide`` answers questions in the hall (导办). ``shifts``: the times in which the person may be paged, each as
    start and end in minutes after midnight (over midnight if the end is not later than the start); empty: always.
    """

    id: str
    name: str
    skills: tuple[str, ...]
    pager: Point | None = None
    roles: tuple[Role, ...] = ("standby",)
    shifts: tuple[tuple[int, int], ...] = ()


@value
class Board:
    """How much text a display ``point`` has room for: rows, and columns of half-width characters in each row.

    ``scrolls``: a line that is too long scrolls. ``font``: its character set (gb2312, gbk); "": it can show every
    character.
    """

    point: Point
    rows: int
    columns: int
    scrolls: bool = False
    font: str = ""


@value
class Site:
    """One hall as configured. Ids match ``[a-z0-9][a-z0-9-]{0,31}`` and are unique among areas, among services, among
    windows and so on.

    ``displays``: the hall's own boards, which belong to no area. ``boards``: how much text each display has room for,
    as far as known. ``queue``: the point (device channel) of a queue system that calls the visitors itself (follow
    mode); None: this controller calls them. ``tickets_url``: the base address of visitors' own pages (``[pages]
    public_url``), without a final "/".
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
    dispensers: tuple[Point, ...] = ()  # points that show which services give no numbers now
    queue: Point | None = None
    tickets_url: str | None = None
    printers: tuple[tuple[str, Point], ...] = ()  # (device that asks for numbers, device that prints them)
