"""The shape of hall.toml: one frozen model per table. Rules of this file:

* An unknown key is an error; values are strict ("8" is not 8); every number has a range, every list a cap.
* Only what one table can say of itself is checked here; what tables say of each other is in ``references.py``.
* Paths are relative to the file that names them (``edged/config/__init__.py`` anchors them).
"""

from __future__ import annotations

import re
import zoneinfo
from contextlib import suppress
from typing import Annotated, Literal, get_args

from msgspec import Meta

from edged.config.nearest import nearest
from edged.core.model.point import Point
from edged.core.model.site import Role
from edged.shapes import ID, Rule, Shape, form, host_name

POINT = form(r"^[a-z0-9][a-z0-9-]{0,31}(/[A-Za-z0-9_.-]{1,32})?$")
# Read aloud and typed at a panel: letters only, so "A1" + "02" cannot be "A" + "102".
CLIENT_ID = form(
    r"^[A-Za-z0-9_.-]{1,64}$", "a client id: letters, digits, '_', '.' and '-', at most 64 characters"
)
PREFIX = form(r"^[A-Z]{1,2}$")
HOST_NAME = form(r"^[A-Za-z0-9._:-]{1,253}$", "a name or an address: letters, digits, '.', ':' and '-'")
NUMBER = form(r"^[0-9A-Z]{1,4}$")
PUBLIC_URL = form(
    r"^https?://[A-Za-z0-9.:\[\]-]{1,200}(/[A-Za-z0-9._~/-]{0,200})?$",
    "an address such as https://hall.example.org",
)

# A hall's own size limits. The largest municipal halls have about 150 windows; the bench decides with 1,000. A window
# may have a panel and a lamp of its own, and the hall its displays, pagers and dispensers beside them.
NAME_MAX = 32  # characters; boards have less room
AREAS_MAX = 100
SERVICES_MAX = 400
WINDOWS_MAX = 1_000
STAFF_MAX = 200
SHIFTS_MAX = 6  # of one member a day
DEVICES_MAX = 2_500
PLAN_MAX = 100  # columns and rows of a plan
WEB_NAMES_MAX = 16  # a machine has a name or two, and perhaps a proxy's
POINTS_PER_AREA_MAX = 16  # displays or lamps of one area: each is written on every change


# What people write for the time of China that is no IANA name, without spaces and in lower case. CST is also a time of
# America; no hall of this program stands there.
CHINA = "Asia/Shanghai"
_CHINA_TIMES = frozenset(
    {
        "beijing",
        "asia/beijing",
        "peking",
        "asia/peking",
        "china",
        "asia/china",
        "prc",
        "cst",
        "chinastandardtime",
        "shanghai",
        "asia/shenzhen",
        "asia/guangzhou",
        "asia/hangzhou",
        "北京",
        "北京时间",
        "中国",
        "中国标准时间",
        "上海",
        "东八区",
    }
)
_EIGHT_EAST = re.compile(r"(?:utc|gmt|etc/utc)?\+0?8(?::?00)?")


def _zone_hint(name: str) -> str:
    plain = name.strip().lower().replace(" ", "").replace("_", "")
    if plain in _CHINA_TIMES or _EIGHT_EAST.fullmatch(plain):
        return f'; write "{CHINA}" for the time of China'
    near = nearest(name, zoneinfo.available_timezones())  # opens six hundred files, so only after a mistake
    return f'; did you mean "{near}"?' if near else ""


def _known_zone(name: str) -> str:
    if not name.startswith(("posix", "right/")):  # other spellings, with leap seconds; not IANA names
        with suppress(KeyError, ValueError, OSError):
            zoneinfo.ZoneInfo(name)
            return name
    allowed = f'allowed are IANA names such as "{CHINA}"'
    raise ValueError(f'"{name}" is not a time zone; {allowed}{_zone_hint(name)}')


def _name(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise ValueError("must not be empty")
    if len(stripped) > NAME_MAX:
        raise ValueError(f"must have at most {NAME_MAX} characters, not {len(stripped)}")
    return stripped


Id = Annotated[str, ID]
PointText = Annotated[Point, POINT]
Name = Annotated[str, Rule(_name)]
FilePath = Annotated[str, Meta(min_length=1, max_length=4096)]
Host = Annotated[str, Meta(min_length=1, max_length=253), Rule(host_name)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Place = Annotated[int, Meta(ge=1, le=PLAN_MAX)]
Points = Annotated[tuple[PointText, ...], Meta(max_length=POINTS_PER_AREA_MAX)]


def _shift(text: str) -> str:
    start, end = minutes(text)
    if start == end:
        raise ValueError(f'"{text}" is no time at all; leave shifts out for somebody who may always be paged')
    return text


Shift = Annotated[
    str,
    form(
        r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
        'hours of a day such as "08:30-12:00", in digits and with ":"',
    ),
    Rule(_shift),
]


def minutes(shift: str) -> tuple[int, int]:
    """Parse ``"08:30-12:00"`` into minutes after midnight (start, end)."""
    start, end = (int(time[:2]) * 60 + int(time[3:]) for time in shift.split("-"))
    return start, end


class Table(Shape, frozen=True):
    """Base of the types of hall.toml's tables: an unknown key or a value of another type is a mistake."""


class HallTable(Table, frozen=True):
    """``[hall]``: the hall itself. ``timezone`` is an IANA name; ``displays`` are the boards of the whole hall.

    ``mode``: with "edge" the daemon calls visitors; with "follow" another queue system calls and reports it as device
    ``queue``. ``descriptions``: the folder of this site's own device descriptions.
    """

    id: Id
    name: Name
    name_en: Name | None = None
    timezone: Annotated[str, Rule(_known_zone)] = "Asia/Shanghai"
    displays: Points = ()
    mode: Literal["edge", "follow"] = "edge"
    queue: Annotated[Point, ID] | None = None
    descriptions: FilePath | None = None


class TlsTable(Table, frozen=True):
    """``[mqtt.tls]``: PEM files. ``ca_file`` verifies the broker; ``cert_file`` and ``key_file`` authenticate the
    daemon.
    """

    ca_file: FilePath
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


class CommandsTable(Table, frozen=True):
    """``[mqtt.commands]``: the account at the broker that commands (status, op, doctor …) use instead of the daemon's.

    A broker with ``use_username_as_clientid`` needs it: with the daemon's account, a command would disconnect the
    daemon.
    """

    username: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    password_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


class MqttTable(Table, frozen=True):
    """``[mqtt]``: the hall's broker. ``keepalive_s``: a dead broker is noticed after about this many seconds."""

    host: Host = "127.0.0.1"
    port: Port = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    username: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    password_file: FilePath | None = None
    client_id: Annotated[str, CLIENT_ID] | None = None
    keepalive_s: Annotated[int, Meta(ge=2, le=300)] = 5
    tls: TlsTable | None = None
    commands: CommandsTable | None = None


class AreaTable(Table, frozen=True):
    """``[[areas]]``: a business area (服务专区). ``kind``: its type, the same in every hall of the city, to which
    policies refer.
    """

    id: Id
    name: Name
    name_en: Name
    displays: Points = ()
    voice: PointText | None = None
    lamps: Points = ()
    kind: Id | None = None


class ServiceTable(Table, frozen=True):
    """``[[services]]``: a service (业务) of one area. ``mean_s``: seconds to serve one visitor, before any were
    measured.

    ``case``: whoever takes a number here reports something that could not be done elsewhere (办不成事).
    """

    id: Id
    area: Id
    name: Name
    name_en: Name
    prefix: Annotated[str, PREFIX]
    mean_s: Annotated[int, Meta(ge=30, le=14400)] = 900
    case: bool = False


class WindowTable(Table, frozen=True):
    """``[[windows]]``: a window (窗口); ``skills`` are service ids.

    ``position``: column and row on the plan that pages show, from 1 (left, top).
    """

    id: Id
    number: Annotated[str, NUMBER]
    skills: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=SERVICES_MAX)]
    tidal: bool = False
    panel: PointText | None = None
    lamp: PointText | None = None
    display: PointText | None = None
    evaluator: PointText | None = None
    confirms_arrival: bool = False
    position: tuple[Place, Place] | None = None


class StaffTable(Table, frozen=True):
    """``[[staff]]``: a member of staff who may be paged for the areas in ``skills``: for "+1" windows (待命人员) or as
    commissioner (帮办).
    """

    id: Id
    name: Name
    skills: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=AREAS_MAX)]
    pager: PointText | None = None
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)] = ("standby",)
    shifts: Annotated[tuple[Shift, ...], Meta(max_length=SHIFTS_MAX)] = ()


PanelOperation = Literal[  # what the keys of a duty panel may do
    "open",
    "close",
    "hold",
    "lift",
    "pause-issuing",
    "priority-insert",
    "hours-flex",
    "accept-alarm",
    "ask-window",
]
DutyOperation = Literal[PanelOperation, "roster", "announce", "notice", "withdraw"]
DUTY_OPERATIONS: tuple[DutyOperation, ...] = get_args(PanelOperation)


class DutyTable(Table, frozen=True):
    """``[duty]``: the duty manager's (值班长) pager, the panel with keys for overrides (人工干预), and the displays
    that show the standing alarms.

    ``keys``: public keys of duty desks (`edged web`). Orders signed by them are limited to ``operations``.
    """

    pager: PointText | None = None
    panel: PointText | None = None
    displays: Points = ()
    keys: FilePath | None = None
    operations: Annotated[tuple[DutyOperation, ...], Meta(min_length=1, max_length=32)] = DUTY_OPERATIONS


class CasesTable(Table, frozen=True):
    """``[cases]``: the hall's lamps and displays that show open cases (办不成事反映窗口)."""

    lamps: Points = ()
    displays: Points = ()


class DeviceTable(Table, frozen=True):
    """``[[devices]]``: the keys that every device has; all others are its driver's options.

    ``printer``: for a dispenser without a printer of its own, the point (device or device/channel) that prints its
    numbers.
    """

    id: Id
    driver: str
    printer: PointText | None = None


class StoreTable(Table, frozen=True):
    """``[store]``: the journal's database file, and how many days of steps it keeps."""

    path: FilePath = "/var/lib/edged/hall.db"
    keep_days: Annotated[int, Meta(ge=2, le=3650)] = 90


class WebTable(Table, frozen=True):
    """``[web]``: the daemon's /metrics and /healthz. Keep ``host`` at 127.0.0.1 unless the hall's LAN is trusted.

    ``names``: further host names accepted in a request's Host header.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9464  # 0: any free port (tests, demo)
    names: Annotated[tuple[Annotated[str, HOST_NAME], ...], Meta(max_length=WEB_NAMES_MAX)] = ()


class PagesTable(Table, frozen=True):
    """``[pages]``: the pages of `edged web`, a process of its own beside the daemon.

    ``names``: further host names accepted in a request's Host header. ``directory``: where recorded days are stored;
    None: they are not. ``username`` or ``cert_file``: its account at the broker; None: that of ``[mqtt]``.
    ``tls_cert_file`` and ``tls_key_file``: serve HTTPS, which the duty desk requires from other machines. ``duty_key``
    and ``pins``: files of the duty desk. ``public_url``: address of the page with a visitor's own number, printed as a
    QR code. ``tickets_host`` and ``tickets_port``: a second listener for those pages alone, behind the proxy of
    ``public_url``; port None: no listener.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9465  # 0: any free port (tests, demo)
    names: Annotated[tuple[Annotated[str, HOST_NAME], ...], Meta(max_length=WEB_NAMES_MAX)] = ()
    directory: FilePath | None = None
    tls_cert_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    public_url: Annotated[str, PUBLIC_URL] | None = None
    tickets_host: Host = "127.0.0.1"
    tickets_port: Port | None = None
    duty_key: FilePath | None = None
    pins: FilePath | None = None
    username: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    password_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


class PolicyTable(Table, frozen=True):
    """``[policy]``: ``keys``: public keys that may sign policies; ``group``: the city's group of halls to which this
    one belongs.

    ``root``: public keys that may sign the city's key list; the list then says what every other key may sign.
    ``rehearse_socket``: the socket of the service that simulates a policy before it is applied.
    """

    keys: FilePath | None = None
    root: FilePath | None = None
    group: Id | None = None
    rehearse_socket: FilePath = "/run/edged-rehearse.sock"


SINGLE: dict[str, type[Table]] = {
    "hall": HallTable,
    "mqtt": MqttTable,
    "duty": DutyTable,
    "cases": CasesTable,
    "store": StoreTable,
    "web": WebTable,
    "pages": PagesTable,
    "policy": PolicyTable,
}
REPEATED: dict[str, tuple[type[Table], int]] = {
    "areas": (AreaTable, AREAS_MAX),
    "services": (ServiceTable, SERVICES_MAX),
    "windows": (WindowTable, WINDOWS_MAX),
    "staff": (StaffTable, STAFF_MAX),
    "devices": (DeviceTable, DEVICES_MAX),
}
REQUIRED = ("hall", "areas", "services", "windows")
