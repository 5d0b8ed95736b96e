"""Records what the pages show of one day: per-minute values by area, visits, "+1" openings, pauses, alarms, cases,
decisions, window states.

The data are the hall's messages as they arrive; times are minutes after midnight on the hall's clock. Every list has a
cap: further entries are left out and counted.
"""

from __future__ import annotations

from typing import Any

VISITS_MAX = 20_000  # of one day; a large hall has 5,000
BANDS_MAX = 4_000
PAUSES_MAX = 4_000
ALARMS_MAX = 2_000
CASES_MAX = 2_000
CASES_LISTED = 60  # open cases listed in the hall's message at most: a full list may lack open ones
DECISIONS_MAX = 2_000
STEPS_MAX = 4_000  # of one window
SEEN_MAX = 256  # calls remembered so as not to count one twice: the topic holds twelve
MINUTES_MAX = 1_440
SERVES = ("OPEN", "CALLING", "SERVING", "DRAINING", "PAUSED")
SERIES = ("waiting", "open", "tidal", "wait_s", "low_s", "high_s")
FIELDS = ("waiting", "open_windows", "tidal_windows", "wait_s", "wait_low_s", "wait_high_s")
TOTALS = ("issued", "called", "served", "in_time", "target_s", "limit_s")
CAPS = {
    "visits": VISITS_MAX,
    "bands": BANDS_MAX,
    "pauses": PAUSES_MAX,
    "alarms": ALARMS_MAX,
    "cases": CASES_MAX,
    "decisions": DECISIONS_MAX,
}

Body = dict[str, Any]


def minute_of(at: str) -> float:
    """Minutes after midnight in a time such as ``2026-11-23T10:41:20+08:00``."""
    return int(at[11:13]) * 60 + int(at[14:16]) + round(float(at[17:19]) / 60, 2)


def empty(date: str) -> Body:
    """Return the empty record of the day ``date`` (2026-11-23), before anything has happened."""
    lists: Body = {name: [] for name in CAPS}
    return (
        {"date": date, "names": None, "policy": None, "begin": None, "areas": {}, "totals": {}}
        | lists
        | {
            "windows": {},
            "left_out": 0,
        }
    )


class DayRecorder:
    """The record of one day, which grows with the hall's messages. Call ``record`` with each page part that changes,
    and ``minute`` once a minute to sample the per-minute values.
    """

    def __init__(self, date: str, known: Body | None = None) -> None:
        """``known``: what an earlier process recorded of the same day."""
        self.day = empty(date) if known is None else empty(date) | known
        self._areas: dict[str, Body] = {}
        self._numbers: dict[str, str] = {}
        self._calls: list[tuple[str, str]] = []
        self._close_what_stood_open()

    @property
    def date(self) -> str:
        """The day's date in the form 2026-11-23."""
        return str(self.day["date"])

    def as_json(self) -> Body:
        """The day recorded so far, as JSON values."""
        return self.day

    def record(self, name: str, body: Body | None, at: str) -> None:
        """Record that the page part ``name`` changed to ``body`` (None: it was deleted) at ``at`` (RFC 3339, the hall's
        zone).
        """
        kind, _, which = name.partition("/")
        if kind == "names" and body is not None:
            self._named(body)
        elif kind == "area":
            self._areas[which] = body or {}
            if body is not None:
                self.day["totals"][which] = {key: body.get(key) for key in TOTALS}
        elif kind == "window" and body is not None:
            self._window(which, body, minute_of(at))
        elif kind == "calls" and body is not None:
            self._called(body.get("calls") or [])
        elif kind == "alarms" and body is not None:
            self._alarmed(body.get("alarms") or [], minute_of(at))
        elif kind == "cases" and body is not None:
            self._cases(body.get("cases") or [], minute_of(at))
        elif kind == "decisions" and body is not None:
            self._decided(body.get("decisions") or [])
        elif kind == "policy" and body is not None:
            self.day["policy"] = {key: body.get(key) for key in ("version", "rule", "zh", "en")}

    def minute(self, at: str) -> None:
        """Sample the per-minute values of every area at ``at``; a minute without a sample stays null."""
        now = int(minute_of(at))
        if self.day["begin"] is None:
            self.day["begin"] = now
        position = now - self.day["begin"]
        if not 0 <= position < MINUTES_MAX:
            return
        for area, body in self._areas.items():
            lanes = self.day["areas"].setdefault(area, {key: [] for key in SERIES})
            for key, field in zip(SERIES, FIELDS, strict=True):
                series = lanes[key]
                series += [None] * (position + 1 - len(series))
                series[position] = body.get(field)
            if lanes["open"][position] is not None:  # the topic counts "+1" windows among the open ones
                lanes["open"][position] = max(0, lanes["open"][position] - (lanes["tidal"][position] or 0))

    # -- parts --

    def _named(self, body: Body) -> None:
        self.day["names"] = {key: body.get(key) for key in ("hall", "areas", "windows", "staff")}
        for one in body.get("windows") or []:
            self._numbers[str(one.get("id"))] = str(one.get("number"))

    def _window(self, window: str, body: Body, at: float) -> None:
        steps = self.day["windows"].setdefault(window, [])
        step = [at, body.get("state"), body.get("ticket"), body.get("area")]
        if (not steps or steps[-1][1:] != step[1:]) and self._room(steps, STEPS_MAX):
            steps.append(step)
        self._pause(window, body, at)
        self._band(window, body, at)

    def _pause(self, window: str, body: Body, at: float) -> None:
        number = self._numbers.get(window, window)
        open_pause = next(
            (one for one in self.day["pauses"] if one["window"] == number and one["until"] is None), None
        )
        paused = body.get("state") == "PAUSED"
        if paused and open_pause is None:
            self._add("pauses", {"window": number, "from": at, "until": None} | (body.get("pause") or {}))
        elif not paused and open_pause is not None:
            open_pause["until"] = at

    def _band(self, window: str, body: Body, at: float) -> None:
        """Track a window's "+1" opening from request to release; serving another area begins a new entry."""
        number, state, area = self._numbers.get(window, window), body.get("state"), body.get("area")
        band = next(
            (one for one in self.day["bands"] if one["window"] == number and one["until"] is None), None
        )
        asked = area is not None and state in ("ACTIVATING", "INVITED")
        serves = area is not None and state in SERVES
        if band is not None and (not (asked or serves) or band["area"] != area):
            band["until"], band = at, None
        if band is None and (asked or serves):
            band = {
                "window": number,
                "area": area,
                "asked": at if asked else None,
                "opened": None,
                "until": None,
            }
            band |= {"who": None, "zh": "", "en": ""}
            self._add("bands", band)
        if band is None:
            return
        if serves and band["opened"] is None:
            band["opened"] = at
        paged = body.get("paged") or {}
        band["who"] = body.get("clerk") or paged.get("who") or band["who"]
        band |= body.get("reason") or {}

    def _called(self, calls: list[Body]) -> None:
        for one in reversed(calls):
            key = (str(one.get("number")), str(one.get("at")))
            if key in self._calls or key[1][:10] != self.date:
                continue
            self._calls = [*self._calls[1 - SEEN_MAX :], key]
            at = minute_of(key[1])
            if one.get("again") or any(
                each[0] == at and each[5] == key[0] for each in self.day["visits"][-SEEN_MAX:]
            ):
                continue
            wait_s = one.get("told_s") or [None, None, None]
            number = self._numbers.get(str(one.get("window")), str(one.get("window")))
            self._add(
                "visits",
                [at, one.get("area"), one.get("wait_s"), wait_s[0], wait_s[-1], key[0], number],
            )

    def _alarmed(self, alarms: list[Body], at: float) -> None:
        raised = {str(one.get("key")): one for one in alarms}
        known = {one["key"] for one in self.day["alarms"] if one["until"] is None}
        for one in self.day["alarms"]:
            if one["until"] is None and one["key"] not in raised:
                one["until"] = at
        for key, one in raised.items():
            since = str(one.get("since") or "")
            begun = minute_of(since) if since[:10] == self.date else 0.0
            if key not in known:
                words = {name: one.get(name) for name in ("zh", "en", "subject")}
                self._add("alarms", {"key": key, **words, "from": begun, "until": None})

    def _cases(self, listed: list[Body], at: float) -> None:
        """Track open cases (办不成事): when each was brought, answered and closed. One brought on an earlier day begins
        at 0.
        """
        known = {one["case"]: one for one in self.day["cases"]}
        for one in listed:
            case = known.get(one.get("case"))
            opened = str(one.get("opened") or "")
            begun = minute_of(opened) if opened[:10] == self.date else 0.0
            if case is None:
                case = {
                    "case": one.get("case"),
                    "area": one.get("area"),
                    "code": one.get("code"),
                    "from": begun,
                }
                case |= {"answered": None, "until": None, "overdue": False}
                self._add("cases", case)
            if one.get("state") == "ACKNOWLEDGED" and case["answered"] is None:
                case["answered"] = max(begun, at) if begun else 0.0
            case |= {"until": None, "overdue": case["overdue"] or bool(one.get("overdue"))}
        if len(listed) < CASES_LISTED:
            listed_ids = {one.get("case") for one in listed}
            for case in self.day["cases"]:
                if case["until"] is None and case["case"] not in listed_ids:
                    case["until"] = at

    def _decided(self, decisions: list[Body]) -> None:
        known = {(one["n"], one["at"]): one for one in self.day["decisions"]}
        for one in reversed(decisions):
            if str(one.get("at"))[:10] != self.date:
                continue
            found = known.get((one.get("n"), one.get("at")))
            kept = {
                key: one.get(key) for key in ("n", "at", "decision", "area", "window", "zh", "en", "outcome")
            }
            if found is None:
                self._add("decisions", kept)
            else:
                found |= kept

    # -- caps --

    def _add(self, name: str, one: Any) -> None:
        if self._room(self.day[name], CAPS[name]):
            self.day[name].append(one)

    def _room(self, rows: list[Any], most: int) -> bool:
        if len(rows) >= most:
            self.day["left_out"] += 1
            return False
        return True

    def _close_what_stood_open(self) -> None:
        """End every open entry of an earlier process at the last minute that it sampled."""
        series = [one["waiting"] for one in self.day["areas"].values()]
        if self.day["begin"] is None or not series:
            return
        end = self.day["begin"] + max(len(one) for one in series)
        for name in ("bands", "pauses", "alarms"):
            for one in self.day[name]:
                one["until"] = end if one["until"] is None else one["until"]
