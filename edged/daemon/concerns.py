"""Reports faults of the machine that the hall runs on (such as disk, clock, files, devices): to the core as alarms, and
with their reasons to ``/healthz`` and `edged status`.

Each report lists all present faults of one kind. A fault that was reported before, even by an earlier run of this
process, and is missing from the list has ended; so callers need not remember what they reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from edged.core.model.events import Event, MachineAlarm, MachineTold
from edged.core.model.state import State
from edged.core.people.alarms import DO, TEXT, key

PER_KIND_MAX = 50  # alarms of one kind: more have one common cause
DETAIL_MAX_CHARS = 300
OWN_LINES = ("device-lost",)  # logged where it happens: not again here

log = structlog.get_logger("edged.concerns")


class Concerns:
    """The present faults by kind and subject. ``put`` queues an event for the core (False: the inbox is full; the next
    report tries again). ``state`` returns the core's state.
    """

    def __init__(self, put: Callable[[Event], bool], state: Callable[[], State]) -> None:
        self._put = put
        self._state = state
        self._reported: dict[MachineAlarm, dict[str, str]] = {}
        self._sent: dict[str, bool] = {}  # alarm key -> last value sent; else the core's state counts

    def report(self, alarm: MachineAlarm, present: Mapping[str, str]) -> None:
        """Report all present faults of one kind (of more than ``PER_KIND_MAX`` the first so many): ``present`` maps
        subject to reason. A fault of this kind that ``present`` does not name counts as ended.
        """
        now = {subject: detail[:DETAIL_MAX_CHARS] for subject, detail in list(present.items())[:PER_KIND_MAX]}
        before = self._reported.get(alarm, {})
        for subject, detail in now.items():
            if before.get(subject) != detail and alarm not in OWN_LINES:
                means, remedy = TEXT[alarm][1], DO[alarm][1]
                log.error(
                    "alarm-raised", alarm=alarm, subject=subject, detail=detail, means=means, remedy=remedy
                )
            if not self._stands(alarm, subject):
                self._send(MachineTold(alarm, subject, True, detail))
        known = {other.subject for other in self._state().alarms.values() if other.kind == alarm}
        for subject in sorted(known | before.keys()):
            if subject not in now and self._stands(alarm, subject):
                if alarm not in OWN_LINES:
                    log.info("alarm-cleared", alarm=alarm, subject=subject)
                self._send(MachineTold(alarm, subject, False))
        self._reported[alarm] = now

    def add(self, alarm: MachineAlarm, subject: str, detail: str) -> None:
        """Report one more fault of this kind; the others stay."""
        self.report(alarm, {**self._reported.get(alarm, {}), subject: detail})

    def drop(self, alarm: MachineAlarm, subject: str) -> None:
        """Report that one fault of this kind has ended; the others stay."""
        self.report(
            alarm, {other: why for other, why in self._reported.get(alarm, {}).items() if other != subject}
        )

    @property
    def details(self) -> dict[str, str]:
        """The reason of each present fault; its key is kind and subject, such as "config-refused/hall.toml"."""
        return {
            key(alarm, subject): detail
            for alarm, faults in self._reported.items()
            for subject, detail in faults.items()
        }

    def _stands(self, alarm: MachineAlarm, subject: str) -> bool:
        name = key(alarm, subject)
        return self._sent.get(name, name in self._state().alarms)

    def _send(self, event: MachineTold) -> None:
        if self._put(event):
            self._sent[key(event.alarm, event.subject)] = event.stands
