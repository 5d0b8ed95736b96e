"""The present state of every hall of a city, with its faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from edged.config import HallConfig


class CityHall(NamedTuple):
    """One line of ``edged centre status``. ``desired`` and ``applied``: versions of the policy pushed and in force;
    ``waiting``: people who wait now; ``tidal``: "+1" windows open now; ``wrong``: its faults as fixed words.

    ``backlog``: by how much the newest event number exceeds the last one before the first gap; ``since``: when
    ``state`` began, on the hall's clock; ``heard_at``: when an event of it last arrived; None: never.
    """

    hall: str
    name: str
    group: str
    state: str
    since: str
    desired: int | None
    applied: int | None
    policy: str
    reason: str
    reason_zh: str
    backlog: int
    heard_at: datetime | None
    alarms: tuple[str, ...]
    waiting: int
    tidal: int
    wrong: tuple[str, ...]


def hall_states(connection: psycopg.Connection[Any], group: str | None, now: datetime) -> list[CityHall]:
    """The state of every hall, or of those in ``group``, sorted by id."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "SELECT * FROM hall_now WHERE %(group)s::text IS NULL OR group_name = %(group)s ORDER BY hall"
        halls = cursor.execute(query, {"group": group}).fetchall()
        areas = cursor.execute(
            "SELECT hall, sum((payload->>'waiting')::integer) AS waiting,"
            " sum((payload->>'tidal_windows')::integer) AS tidal"
            " FROM pictures WHERE topic LIKE 'hall/%%/state/area/%%' AND payload <> 'null' GROUP BY hall"
        ).fetchall()
    connection.commit()
    now_of = {row["hall"]: row for row in areas}
    return [_hall_state(row, now_of.get(row["hall"], {}), now) for row in halls]


def _hall_state(row: dict[str, Any], areas: dict[str, Any], now: datetime) -> CityHall:
    refusal = row["refusal"] or {}
    received_at: datetime | None = row["heard_at"]
    return CityHall(
        hall=row["hall"],
        name=row["name"] or row["hall"],
        group=row["group_name"] or "",
        state="cut" if row["line_cut"] else row["state"] or "never heard",
        since=row["since"] or "",
        desired=row["desired"],
        applied=row["applied"],
        policy=row["policy_state"] or "",
        reason=str(refusal.get("message", "")),
        reason_zh=str(refusal.get("message_zh", "")),
        backlog=row["open_events"] or 0,
        heard_at=received_at,
        alarms=tuple(_alarms(row["alarms"])),
        waiting=int(areas.get("waiting") or 0),
        tidal=int(areas.get("tidal") or 0),
        wrong=tuple(_wrong(row, now)),
    )


def _wrong(row: dict[str, Any], now: datetime) -> Iterator[str]:
    """Yield a hall's faults as fixed words: cut off, never heard, policy rejected or rolled back, events missing,
    alarms raised, or online without an event for a day.
    """
    if row["line_cut"]:
        yield "line-cut"
    elif row["state"] is None:
        yield "never-heard"
    elif row["state"] != "online":
        yield str(row["state"])
    if row["policy_state"] in ("rejected", "rolled-back"):
        yield f"policy-{row['policy_state']}"
    if row["open_events"]:
        yield "gap"
    if row["alarms"]:
        yield "alarms"
    received_at: datetime | None = row["heard_at"]
    if row["state"] == "online" and received_at is not None and now - received_at > timedelta(days=1):
        yield "silent"


def _alarms(alarms: Any) -> Iterator[str]:
    for alarm in alarms or ():
        yield str(alarm.get("alarm", "?")) if isinstance(alarm, dict) else str(alarm)


def as_json(halls: list[CityHall]) -> str:
    """The halls' states as JSON text."""
    return json.dumps([hall._asdict() for hall in halls], ensure_ascii=False, indent=2, default=str)


def adopt(connection: psycopg.Connection[Any], hall: str) -> list[tuple[int, int, int]]:
    """Accept that another centre acknowledged a hall's earlier events; returns (epoch, first, last) of the events that
    will never arrive here.

    Only the gap before the first stored event of an epoch is accepted: the hall sends the events of any other gap
    again.
    """
    holes: list[tuple[int, int, int]] = []
    rows = connection.execute(
        "SELECT epoch, upto FROM cursors WHERE hall = %s AND seen > upto FOR UPDATE", (hall,)
    ).fetchall()
    for epoch, upto in rows:
        found = connection.execute(
            "SELECT min(previous) FROM events WHERE hall = %s AND epoch = %s AND seq > %s",
            (hall, epoch, upto),
        ).fetchone()
        base = 0 if found is None or found[0] is None else int(found[0])
        if base > upto:
            connection.execute(
                "UPDATE cursors SET base = %s, upto = %s WHERE hall = %s AND epoch = %s",
                (base, base, hall, epoch),
            )
            holes.append((epoch, upto + 1, base))
    connection.commit()
    return holes


def enrol(connection: psycopg.Connection[Any], config: HallConfig) -> None:
    """Store the name of a hall and those of its areas, services and windows, as its hall.toml gives them, in place of
    earlier ones.
    """
    site, hall = config.site, config.hall
    connection.execute(
        "INSERT INTO halls (hall, name, group_name) VALUES (%s, %s, %s)"
        " ON CONFLICT (hall) DO UPDATE SET name = EXCLUDED.name, group_name = EXCLUDED.group_name",
        (hall, site.name, config.policy.group),
    )
    connection.execute("DELETE FROM names WHERE hall = %s", (hall,))
    rows = [(hall, "area", area.id, area.name, area.name_en) for area in site.areas]
    rows += [(hall, "service", one.id, one.name, one.name_en) for one in site.services]
    rows += [(hall, "window", window.id, window.number, window.number) for window in site.windows]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO names (hall, kind, id, name, name_en) VALUES (%s, %s, %s, %s, %s)", rows
        )
    connection.commit()
