"""Computes the page parts from the state of the core, which is only read. A page part is the JSON message for one
section of the web pages, such as a window, an area or the alarms.

Beside every id stands its name or number; what is unknown is null, never 0; times are RFC 3339. Nothing is decided
again here: the reasons of a decision come from the notes of its step (``page_desk.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edged.central import page_words
from edged.core.calendar import opening, wall
from edged.core.cases import ratings
from edged.core.model.commands import AreaSummary, Display, Lamp, Value
from edged.core.model.events import WHOLE_HALL
from edged.core.model.lookup import Lookup
from edged.core.model.losses import LossWords
from edged.core.model.point import Point, device_of, point_of
from edged.core.model.state import Alarm, State, WindowState
from edged.core.model.turn import Turn
from edged.core.people import staffing
from edged.core.queue.ordering import ASKED, next_up
from edged.core.signage.signs import CENTRE, slot
from edged.core.tide.arbiter import pool_used
from edged.core.windows import attendance, overrides
from edged.explain.alarm_words import alarm_words
from edged.explain.words import OVERRIDES

NEXT_NUMBERS = 4
ALARMS_MAX = 50
LOST_MAX = 100  # devices named; a hall that lost more needs somebody anyway
Stamp = Callable[[int], str]
Body = dict[str, Any]


class AreaDay(NamedTuple):
    """An area's visits of today; ``in_time``: called within the policy's target wait."""

    issued: int = 0
    called: int = 0
    in_time: int = 0
    served: int = 0


class PageParts:
    """Computes the page parts from the state at one moment, ``at_ms`` of hall time. ``stamp`` converts hall time to the
    hall's wall time as RFC 3339.
    """

    def __init__(
        self, state: State, lookup: Lookup, at_ms: int, stamp: Stamp, devices: Mapping[str, page_words.Pair]
    ) -> None:
        """``devices``: device id -> its name for people (``page_words.devices_in_words``)."""
        self._devices = devices
        self._state = state
        self._lookup = lookup
        self._turn = Turn(state, lookup, at_ms)
        self._stamp = stamp

    def names(self, public_url: str | None, timezone: str, name_en: str | None) -> Body:
        """The names of the hall's areas, services, windows, staff and devices, from the configuration alone."""
        site, lookup = self._lookup.site, self._lookup
        return {
            "hall": {"name": site.name, "name_en": name_en, "timezone": timezone},
            "areas": [{"id": one.id, "name": one.name, "name_en": one.name_en} for one in site.areas],
            "services": [
                {
                    "id": one.id,
                    "area": one.area,
                    "name": one.name,
                    "name_en": one.name_en,
                    "prefix": one.prefix,
                }
                for one in site.services
            ],
            "windows": [
                {
                    "id": one.id,
                    "number": one.number,
                    "tidal": one.tidal,
                    "areas": lookup.window_areas[one.id],
                    "position": one.position,
                    "lamp": one.lamp is not None,
                    "led": one.display is not None,
                    "lamp_device": _device(one.lamp),
                    "led_device": _device(one.display),
                    "panel_device": _device(one.panel),
                }
                for one in site.windows
            ],
            "staff": [
                {"id": one.id, "name": one.name, "areas": one.skills, "roles": one.roles}
                for one in site.staff
            ],
            "devices": [{"id": one, **_pair(words)} for one, words in self._devices.items()],
            "public_url": public_url,
        }

    def window(self, window: str) -> Body:
        """A window as it is now, with what its lamp and LED bar show."""
        site, state = self._lookup.windows[window], self._state.windows[window]
        ticket = None if state.ticket is None else self._state.tickets.get(state.ticket)
        reason = (
            None
            if state.reason is None
            else _pair((state.reason_zh or state.reason, state.reason_en or state.reason))
        )
        lent = state.lent_to is not None
        return {
            "state": state.state,
            "since": self._since(state),
            "ticket": None if ticket is None or ticket.direct else ticket.number,
            "clerk": self.name(state.staff),
            "helpers": [self.name(one) for one in state.helpers],
            "area": state.area,
            "reason": reason,
            "pause": self._pause(state),
            "paged": self._paged(state),
            "lent_to": state.lent_to,
            "lent_until": self._stamp(state.lent_until_ms) if lent and state.lent_until_ms else None,
            "lamp": self._lamp(site.lamp),
            "led": self._led(site.display),
            "stale": state.stale,
        }

    def name(self, staff: str | None) -> str | None:
        """The name of a member of staff; an id that is not on the roster is returned as it is. None if ``staff`` is
        None.
        """
        if staff is None or staff == staffing.DUTY_MANAGER:
            return None if staff is None else page_words.DUTY[0]
        known = self._lookup.staff.get(staff)
        return staff if known is None else known.name

    def _since(self, state: WindowState) -> str | None:
        ticket = None if state.ticket is None else self._state.tickets.get(state.ticket)
        since_ms: int | None = None
        if state.state == "PAUSED":
            since_ms = state.paused_ms
        elif state.state in ASKED:
            since_ms = state.requested_ms
        elif ticket is not None:
            since_ms = ticket.called_ms if state.state == "CALLING" else ticket.serving_ms
        elif state.state == "OPEN":
            ends = [one for one in (state.last_ticket_ended_ms, state.opened_ms) if one is not None]
            since_ms = max(ends, default=None)
        return None if since_ms is None else self._stamp(since_ms)

    def _pause(self, state: WindowState) -> Body | None:
        if state.state != "PAUSED":
            return None
        reason = attendance.reason_of(self._turn, state.pause_reason)
        return {"zh": "暂停", "en": "Paused"} if reason is None else {"zh": reason.text, "en": reason.text_en}

    def _paged(self, state: WindowState) -> Body | None:
        if state.state not in ASKED:
            return None
        return {
            "who": self.name(state.paged_staff or state.staff),
            "until": None if state.due_ms is None else self._stamp(state.due_ms),
            "answered": state.acknowledged,
        }

    def _lamp(self, point: Point | None) -> str | None:
        shown = self._shown(point, Lamp)
        return shown.state if isinstance(shown, Lamp) else None

    def _led(self, point: Point | None) -> tuple[str, ...] | None:
        shown = self._shown(point, Display)
        return shown.lines if isinstance(shown, Display) else None

    def _shown(self, point: Point | None, kind: type[Value]) -> Value | None:
        return None if point is None else self._state.shown.get(slot(point, kind))

    def area(self, area: str, day: AreaDay) -> Body:
        """An area: who waits, which windows are being staffed, today's figures, and the limit at which the area asks
        for one more window.
        """
        turn, state = self._turn, self._state
        shown = self._shown(point_of(CENTRE, area), AreaSummary)
        summary = shown if isinstance(shown, AreaSummary) else AreaSummary(area, 0, None, 0, 0)
        hours, policy = opening.of(turn, area), state.policy
        limit_s, (limit_zh, limit_en) = page_words.limit_in_words(policy, area)
        oldest_ms, closes_ms = summary.oldest_since_ms, hours.closes_ms
        opens_ms = None if hours.opens_local_ms is None else wall.stamp_ms(turn, hours.opens_local_ms)
        coming = [
            window
            for window in self._lookup.area_tidal[area]
            if state.windows[window].area == area and state.windows[window].state in ASKED
        ]
        return {
            "waiting": summary.waiting,
            "oldest_since": None if oldest_ms is None else self._stamp(oldest_ms),
            "wait_low_s": summary.wait_low_s,
            "wait_s": summary.wait_s,
            "wait_high_s": summary.wait_high_s,
            "open_windows": summary.open_windows,
            "tidal_windows": summary.tidal_windows,
            "asked_windows": summary.asked_windows,
            "coming": coming,
            "next": next_up(turn, area, NEXT_NUMBERS) if summary.waiting else [],
            "issued": day.issued,
            "called": day.called,
            "served": day.served,
            "in_time": day.in_time,
            "service_level": round(day.in_time / day.called, 3) if day.called else None,
            "target_s": turn.pw(area).target_wait_s,
            "limit": {"zh": limit_zh, "en": limit_en},
            "limit_s": limit_s,
            "hours": hours.phase if hours.known else None,
            "mode": hours.mode if hours.known else None,
            "closes": None if closes_ms is None else self._stamp(closes_ms),
            "opens": None if opens_ms is None else self._stamp(opens_ms),
            "issuing_paused": turn.issuing_paused(area) is not None,
            "stale": state.areas[area].stale is not None,
        }

    def alarms(self) -> Body:
        """The alarms in force, the newest first, in words, with what to do."""
        found = list(self._state.alarms.values())[-ALARMS_MAX:]
        return {
            "alarms": [
                {
                    "key": f"{one.kind}/{one.subject}",
                    "kind": one.kind,
                    "subject": _pair(self.subject(one.subject)),
                    **_pair((words.zh, words.en)),
                    "todo": _pair((words.do_zh, words.do_en)),
                    "since": self._stamp(one.since_ms),
                    "accepted": None
                    if one.accepted_by is None
                    else {
                        "by": self.name(one.accepted_by),
                        "at": None if one.accepted_ms is None else self._stamp(one.accepted_ms),
                    },
                }
                for one, words in ((one, self._words(one)) for one in reversed(found))
            ]
        }

    def _words(self, one: Alarm) -> LossWords:
        known = self._state.devices.get(one.subject)
        return alarm_words(one.kind, (known and known.reason) or "")

    def subject(self, subject: str) -> page_words.Pair:
        """The name of the subject of an alarm or an order, in Chinese and English."""
        lookup = self._lookup
        if subject in lookup.windows:
            number = lookup.windows[subject].number
            return f"{number}号窗口", f"Window {number}"
        if subject in lookup.areas:
            return lookup.areas[subject].name, lookup.areas[subject].name_en
        if subject in (lookup.site.hall, WHOLE_HALL):
            return "全大厅", "The hall"
        if subject in lookup.staff:
            return lookup.staff[subject].name, lookup.staff[subject].name
        if subject in self._state.ratings:
            return ratings.subject_of(self._turn, subject)
        return self._devices.get(device_of(Point(subject)), (subject, subject))

    def overrides(self) -> Body:
        """The overrides (人工干预) in force and people's wishes for one more window: by whom, since and until when, and
        why.
        """
        return {
            "overrides": [
                {
                    "kind": one.kind,
                    "target": one.target,
                    "area": one.area,
                    **_pair(OVERRIDES[one.kind]),
                    "about": _pair(self.subject(one.target)),
                    "by": self.name(one.by),
                    "since": self._stamp(one.since_ms),
                    "until": self._until(name),
                    "reason": one.reason,
                }
                for name, one in self._state.overrides.items()
            ],
            "wishes": [
                {
                    "area": one.area,
                    "by": self.name(one.by),
                    "window": one.window,
                    "since": self._stamp(one.since_ms),
                }
                for one in self._state.wishes.values()
            ],
        }

    def _until(self, name: str) -> str | None:
        due_ms = self._state.timers.get(f"{overrides.TIMER}/{name}")
        return None if due_ms is None else self._stamp(due_ms)

    def staff(self) -> Body:
        """Who is on standby, paged, at a window, off shift or absent."""
        turn, state = self._turn, self._state
        found = []
        for member in self._lookup.site.staff:
            own = state.staff.get(member.id)
            word: str = "standby" if own is None else own.state
            if word == "standby" and not staffing.on_shift(turn, member.id):
                word = "absent" if staffing.absent(turn, member.id) else "off"
            window = None if own is None else state.windows.get(own.window or "")
            due_ms = None if window is None or word != "paged" else window.due_ms
            found.append(
                {
                    "id": member.id,
                    "state": word,
                    "window": None if own is None else own.window,
                    "turns": 0 if own is None else own.activations,
                    "answer_by": None if due_ms is None else self._stamp(due_ms),
                }
            )
        return {"duty": self.name(state.duty_staff), "staff": found}

    def policy(self, pushed: Body | None) -> Body:
        """The policy in force, its tidal rule in words, the state of its trial (试行: for a time after a push, far too
        long waits bring the previous policy back), and the result of the last push (``pushed``).
        """
        state = self._state
        zh, en = page_words.rule_in_words(state.policy)
        trial = state.trial
        return {
            "version": state.policy_version,
            "rule": state.policy.tidal.rule,
            "zh": zh,
            "en": en,
            "since": None if state.policy_since_ms is None else self._stamp(state.policy_since_ms),
            "pushed": pushed,
            "pool": min(state.policy.tidal.pool, len(self._lookup.tidal)),
            "open_now": pool_used(self._turn),
            "safe_mode": state.put_aside is not None,
            "trial": None
            if trial is None
            else {
                "left_min": trial.left_min,
                "waited_s": trial.waited_s,
                "limit_s": trial.limit_s or None,
                "worse_min": trial.worse,
                "worse_limit_min": trial.rules.worse_min,
                "harmful": trial.harmful,
                "back_to": trial.good_version,
            },
        }

    def links(self, backlog: int, durable: bool, clock: bool) -> Body:
        """Whether the connection to the centre, the disk and the clock work, and which devices are lost (all are
        counted, the first ``LOST_MAX`` named).
        """
        known = self._state.devices
        lost = [one for one in self._devices if one not in known or not known[one].up]
        return {
            "centre": {"backlog": backlog},
            "disk": durable,
            "clock": clock,
            "lost": len(lost),
            "devices": [
                {
                    "id": one,
                    **_pair(self._devices[one]),
                    "up": None if one not in known else known[one].up,
                    "since": None if one not in known else self._stamp(known[one].since_ms),
                    "reason": None if one not in known else known[one].reason,
                }
                for one in lost[:LOST_MAX]
            ],
            "people": {"present": sum(self._state.present.values()) if self._state.present else None},
        }


def _device(point: Point | None) -> str | None:
    return None if point is None else device_of(point)


def _pair(words: page_words.Pair) -> Body:
    return {"zh": words[0], "en": words[1]}
