"""What is wrong with the machine the hall runs on, reported to the core as alarms and by name to ``/healthz`` and
`edged status`.

Each kind of problem is always reported whole: everything of this kind that is wrong now, with the reason. What was
reported before and is missing now is over, also what an earlier run of this process reported; so no part has to
remember what it reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from edged.core.model.events import Event, MachineAlarm, MachineTold
from edged.core.model.state import State
from edged.core.people.alarms import key

PER_KIND_MAX = 50  # subjects of one kind that become alarms: a hall with more has one trouble, not many
DETAIL_MAX_CHARS = 300
OWN_LINES = ("device-lost",)  # the log has had a line of these when it happened

log = structlog.get_logger("edged.concerns")


class Concerns:
    """``put`` hands an event to the core (False: its inbox is full; repeated at the next check). ``state`` returns the
    core's state.
    """

    def __init__(self, put: Callable[[Event], bool], state: Callable[[], State]) -> None:
        self._put = put
        self._state = state
        self._told: dict[MachineAlarm, dict[str, str]] = {}
        self._sent: dict[str, bool] = {}  # what the core was told last; until then its own memory counts

    def tell(self, alarm: MachineAlarm, standing: Mapping[str, str]) -> None:
        """Report all concerns of one kind: ``standing`` maps each subject to the reason. Others of this kind end."""
        now = {
            subject: detail[:DETAIL_MAX_CHARS] for subject, detail in list(standing.items())[:PER_KIND_MAX]
        }
        before = self._told.get(alarm, {})
        for subject, detail in now.items():
            if before.get(subject) != detail and alarm not in OWN_LINES:
                log.error("alarm-raised", alarm=alarm, subject=subject, detail=detail)
            if not self._stands(alarm, subject):
                self._send(MachineTold(alarm, subject, True, detail))
        known = {one.subject for one in self._state().alarms.values() if one.kind == alarm}
        for subject in sorted(known | before.keys()):
            if subject not in now and self._stands(alarm, subject):
                if alarm not in OWN_LINES:
                    log.info("alarm-cleared", alarm=alarm, subject=subject)
                self._send(MachineTold(alarm, subject, False))
        self._told[alarm] = now

    def add(self, alarm: MachineAlarm, subject: str, detail: str) -> None:
        """Add one concern of this kind; others stay."""
        self.tell(alarm, {**self._told.get(alarm, {}), subject: detail})

    def drop(self, alarm: MachineAlarm, subject: str) -> None:
        """End one concern of this kind; others stay."""
        self.tell(alarm, {one: why for one, why in self._told.get(alarm, {}).items() if one != subject})

    @property
    def details(self) -> dict[str, str]:
        """The reason of each concern, by kind and subject ("config-refused/hall.toml")."""
        return {
            key(alarm, subject): detail
            for alarm, told in self._told.items()
            for subject, detail in told.items()
        }

    def _stands(self, alarm: MachineAlarm, subject: str) -> bool:
        name = key(alarm, subject)
        return self._sent.get(name, name in self._state().alarms)

    def _send(self, event: MachineTold) -> None:
        if self._put(event):
            self._sent[key(event.alarm, event.subject)] = event.stands
