"""Publishes the hall's state messages for the city, ``hall/{hall}/state/…``: retained JSON messages with the present
state of an area, a window, the open cases or the alarms.

The module behaves like a device driver: it receives the summaries to publish as a lamp receives its colour, each is
sent again from time to time, and only the newest value matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from edged.central import topics
from edged.core.model.commands import Action, AlarmsSummary, AreaSummary, CasesSummary, Value, WindowSummary
from edged.core.model.point import Point
from edged.core.people.alarms import LOST
from edged.driver import Options, Refused
from edged.explain.alarm_words import alarm_words
from edged.links.mqtt.link import MqttLink

WORDED = 12  # alarms with words: all of them would not fit a message of 16 KiB
_ENCODER = msgspec.json.Encoder()
CASE_FIGURES = (
    "waiting",
    "in_hand",
    "overdue",
    "response_ratio",
    "on_time_ratio",
    "explained_ratio",
    "satisfied_ratio",
)


class StateMessages:
    """Publishes the summaries of areas, windows, cases and alarms that the core makes. ``stamp`` converts hall time in
    ms to the hall's wall time as RFC 3339.
    """

    OPTIONS: ClassVar[type[Options]] = Options
    deadline_s = 1.0
    pace_s = 0.25  # at most four times a second: read by people and dashboards
    reassert_s = 60.0  # retained and re-sent on reconnect; this only heals a broker that lost its store

    def __init__(self, link: MqttLink, hall: str, stamp: Callable[[int], str]) -> None:
        self._link = link
        self._hall = hall
        self._stamp = stamp

    async def show(self, point: Point, value: Value) -> None:
        """Publish the summary ``value``, retained, on its own topic. Raises ``Unreachable`` without a connection to the
        broker.
        """
        self._link.publish(*self._message(value), retain=True)

    async def act(self, action: Action) -> None:
        """Always raises ``Refused``: the centre carries out no actions."""
        raise Refused(f"the centre takes no {action.body.kind}")

    async def run(self) -> None:
        """Return at once: unlike a device, the centre sends nothing here."""

    def _message(self, value: Value) -> tuple[str, bytes]:
        if isinstance(value, AreaSummary):
            oldest = None if value.oldest_since_ms is None else self._stamp(value.oldest_since_ms)
            body = {
                "waiting": value.waiting,
                "oldest_since": oldest,
                "open_windows": value.open_windows,
                "tidal_windows": value.tidal_windows,
                "asked_windows": value.asked_windows,
                "override": value.override,
                "hours": value.hours,
                "mode": value.mode,
                "wait_low_s": value.wait_low_s,
                "wait_s": value.wait_s,
                "wait_high_s": value.wait_high_s,
            }
            return topics.area_state(self._hall, value.area), _json(body)
        if isinstance(value, WindowSummary):
            body = {
                "state": value.state,
                "number": value.number,
                "tidal_area": value.area,
                "tidal_reason": value.reason,
                "tidal_reason_zh": value.reason_zh,
                "override": value.override,
                "stale": value.stale,
                "helpers": value.helpers,
            }
            return topics.window_state(self._hall, value.window), _json(body)
        if isinstance(value, AlarmsSummary):
            return topics.alarms_state(self._hall), _json({"standing": self._alarms(value)})
        if isinstance(value, CasesSummary):
            return topics.cases_state(self._hall), _json(self._cases(value))
        raise Refused(f"the centre has no {value.kind}")

    def _alarms(self, value: AlarmsSummary) -> list[dict[str, str]]:
        """The alarms, oldest first; the newest ``WORDED`` with the texts of what is wrong and what to do."""
        lost = dict(value.lost)
        plain = len(value.standing) - WORDED
        entries = []
        for number, (alarm, subject, since_ms) in enumerate(value.standing):
            entry = {"alarm": alarm, "subject": subject, "since": self._stamp(since_ms)}
            reason = lost.get(subject, "") if alarm == LOST else ""
            if reason:
                entry["reason"] = reason
            if number >= plain:
                text_zh, text, do_zh, do = alarm_words(alarm, reason)
                entry |= {"text": text, "text_zh": text_zh, "do": do, "do_zh": do_zh}
            entries.append(entry)
        return entries

    def _cases(self, value: CasesSummary) -> dict[str, Any]:
        body = {name: getattr(value, name) for name in CASE_FIGURES}
        open_cases = [
            {
                "case": case.case,
                "state": case.state,
                "area": case.area,
                "service": case.service,
                "code": case.code,
                "opened": self._stamp(case.opened_ms),
                "due": case.due,
                "special": case.special,
                "overdue": case.overdue,
            }
            for case in value.cases
        ]
        return body | {"cases": open_cases}


def _json(body: dict[str, Any]) -> bytes:
    return _ENCODER.encode(body)
