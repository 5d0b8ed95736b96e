"""bridge.toml: where the other system keeps what, in a closed language: names of views and columns, literal tables.

Nothing is evaluated, and no SQL is written by hand: the statements are made of these names, and only select.
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
    """One kind of report. ``view``: a view, table, at HTTP the path of an address, over WebSocket a word of messages.

    ``key``: the column that grows with each row (a number, or a time). The others are names of columns; a report of
    ``waiting`` has no key: it is the whole list, in its ``order``.
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
    """``queue``: the hall's queue device ([hall] queue). ``url_file``: its first line is the address.

    An address is SQLAlchemy's (``postgresql+psycopg://…``), ``http(s)://…`` or ``ws(s)://…``. ``kind_field``: the
    field of a message over WebSocket that says which view it is of.
    ``state``: where it keeps how far it has read. ``services`` and ``windows``: the other system's word -> ours;
    ``outcomes``: its word -> how a visit ended. ``overlap``: of a number key, how many are read again (rows that were
    committed late); of a time, so many seconds. ``username``, ``password_file`` (or ``cert_file`` and ``key_file``):
    who it is at the broker; none given: the device's name without a password.
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
        """What it reads, tickets first: a call of a number that nobody heard of would have to be healed."""
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
    """Read and check a bridge.toml; paths in it start at its folder. Raises ``ValueError`` with every mistake."""
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
