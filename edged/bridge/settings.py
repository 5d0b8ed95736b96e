"""bridge.toml: where the other queue system keeps its data. It holds only names of views and columns, and tables that
translate words.

Nothing in it is executed. SQL statements are built from these names, and all are SELECTs.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from edged.shapes import ID, Misshapen, Shape, dotted, form, read

NAME = form(
    r"^[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_$\u4e00-\u9fff]{0,62}(\.[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_$\u4e00-\u9fff]{0,62})?$"
)
ViewName = Annotated[str, NAME]
ColumnName = Annotated[str, form(r"^[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_$\u4e00-\u9fff]{0,62}$")]
HallId = Annotated[str, ID]
MAPPED_MAX = 1000
Outcome = Literal["served", "no-show", "parked", "cancelled"]


class ReportTable(Shape, frozen=True):
    """One kind of report. ``view``: a view or table (SQL), the path of an address (HTTP), or the message kind
    (WebSocket).

    The others are names of columns. ``key`` increases with each row (a number or a time). Reports of the kind "waiting"
    have no key: each is the whole list of who waits, sorted by ``order``.
    """

    view: Annotated[str, Meta(min_length=1, max_length=200)]
    number: ColumnName | None = None
    key: ColumnName | None = None
    service: ColumnName | None = None
    window: ColumnName | None = None
    outcome: ColumnName | None = None
    staffed: ColumnName | None = None
    order: ColumnName | None = None


class BridgeSettings(Shape, frozen=True):
    """A whole bridge.toml. ``queue``: the hall's queue device ([hall] queue). ``url_file``: a file with the address in
    its first line.

    An address is SQLAlchemy's (``postgresql+psycopg://…``), ``http(s)://…`` or ``ws(s)://…``. ``kind_field``: the field
    of a WebSocket message that names its view. ``every_s``: seconds between two reads; ``whole_every_s``: the same for
    ``waiting`` and ``staff``. ``state``: the state file. ``services`` and ``windows``: the other system's word → the
    hall's id; ``outcomes``: its word → how a visit ended. ``overlap``: how far before the newest key rows are read
    again, because they may be committed late: a count for numbers, seconds for times. ``username`` and
    ``password_file``, or ``cert_file`` and ``key_file``: the account at the broker; without them, the device's name
    without a password.
    """

    queue: HallId
    url_file: Annotated[str, Meta(min_length=1, max_length=4096)]
    state: Annotated[str, Meta(min_length=1, max_length=4096)] = "/var/lib/edged-bridge/state.json"
    source: Literal["sql", "http", "websocket"] = "sql"
    kind_field: ColumnName = "type"
    every_s: Annotated[float, Meta(ge=0.2, le=60.0)] = 1.0
    whole_every_s: Annotated[float, Meta(ge=1.0, le=3600.0)] = 15.0
    overlap: Annotated[int, Meta(ge=0, le=500)] = 20
    tickets: ReportTable | None = None
    calls: ReportTable | None = None
    ends: ReportTable | None = None
    waiting: ReportTable | None = None
    staff: ReportTable | None = None
    services: Annotated[dict[str, HallId], Meta(max_length=MAPPED_MAX)] = field(default_factory=dict)
    windows: Annotated[dict[str, HallId], Meta(max_length=MAPPED_MAX)] = field(default_factory=dict)
    outcomes: Annotated[dict[str, Outcome], Meta(max_length=MAPPED_MAX)] = field(default_factory=dict)
    username: str | None = None
    password_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        for kind, needed in NEEDED.items():
            report: ReportTable | None = getattr(self, kind)
            missing = [] if report is None else [one for one in needed if getattr(report, one) is None]
            if missing:
                raise ValueError(f"{kind} needs {', '.join(missing)}: the names of the columns")
        if not any(getattr(self, kind) is not None for kind in NEEDED):
            raise ValueError("give at least one of tickets, calls, ends, waiting, staff")

    def reports(self) -> dict[str, ReportTable]:
        """The configured reports by kind, tickets first, so that no call is sent before its number was issued."""
        found = {kind: getattr(self, kind) for kind in NEEDED}
        return {kind: report for kind, report in found.items() if report is not None}


NEEDED: dict[str, tuple[str, ...]] = {
    "tickets": ("key", "number", "service"),
    "calls": ("key", "number", "window"),
    "ends": ("key", "window"),
    "waiting": ("number", "service", "order"),
    "staff": ("window", "staffed"),
}


def load(file: Path) -> BridgeSettings:
    """Read and check a bridge.toml. Relative paths in it start at its folder. Raises ``ValueError`` with every mistake
    if the file cannot be read or is not a valid bridge.toml.
    """
    try:
        fields = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file}: {error}") from None
    for key in ("url_file", "state", "password_file", "cert_file", "key_file"):
        if isinstance(fields.get(key), str):
            fields[key] = str(file.absolute().parent / fields[key])
    try:
        settings = read(BridgeSettings, fields)
    except Misshapen as error:
        lines = [
            f"{file}: {dotted(fault.path)}: {fault.what} {fault.wanted or ''}".rstrip()
            for fault in error.faults
        ]
        raise ValueError("\n".join(lines)) from None
    if settings.source == "sql":
        for kind, report in settings.reports().items():
            try:
                read(_ViewOnly, {"view": report.view})
            except Misshapen:
                raise ValueError(f'{file}: {kind}.view: "{report.view}" is no name of a view') from None
    return settings


class _ViewOnly(Shape, frozen=True):
    view: ViewName
