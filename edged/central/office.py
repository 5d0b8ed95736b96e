"""The hall's office for its centre: every part that speaks with it, built and run together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple

from edged.central.appointments import AppointmentBook
from edged.central.audience import Audience, Names
from edged.central.condemned import Condemned
from edged.central.envelope import Keys
from edged.central.operation_desk import OperationDesk
from edged.central.policy_desk import Known, PolicyDesk, Put
from edged.central.refusals import Reason
from edged.central.uplink import Uplink
from edged.config import HallConfig
from edged.core.model.events import DocumentRejected
from edged.core.model.state import State
from edged.driver import Reject
from edged.heart import lasting
from edged.links.mqtt.link import MqttLink
from edged.store.journal import Journal

TOLD_MAX = (
    10  # refusals that the journal keeps within TOLD_WITHIN_MS: whoever floods us does not fill the disk
)
TOLD_WITHIN_MS = 60_000


class Ground(NamedTuple):
    """What the office needs of the daemon: inbox, wall clock (ms since 1970 UTC), its RFC 3339 stamps, state."""

    put: Put
    wall_ms: Callable[[], int]
    stamp: Callable[[int], str]
    reject: Reject
    state: Callable[[], State]


class Office:
    """Policies down, events up. ``start`` once the state is restored, then ``run`` until cancelled, then ``stop``."""

    def __init__(
        self,
        config: HallConfig,
        keys: Keys,
        link: MqttLink,
        journal: Journal,
        ground: Ground,
        condemned: Condemned,
    ) -> None:
        self._journal = journal
        self._ground = ground
        self._told_ms: list[int] = []
        self.silent = False  # safe mode: the history stays here until it is over
        audience = Audience(config.hall, config.policy.group, Names.of(config.site))
        self.policies = PolicyDesk(audience, keys, link, ground.put, ground.wall_ms)
        self.condemned = self.policies.condemned = condemned
        self.policies.durable = lambda: journal.durable
        self.policies.state = ground.state
        self.policies.kept = journal.policies
        self.policies.tell_rejected = self._telling("policy")
        self.operations = OperationDesk(audience, keys, link, journal, ground.put)
        self.operations.condemned, self.operations.reject = condemned, ground.reject
        self.operations.wall_ms = ground.wall_ms
        self.operations.policies = self.policies
        self.operations.site = lambda: ground.state().site
        self.operations.tell_rejected = self._telling("operation")
        self.appointments = AppointmentBook(config.hall, link, ground.put, ground.reject)
        self.uplink = Uplink(link, journal, config.hall, ground.stamp)
        self.uplink.reject = ground.reject

    def start(self) -> None:
        """Take up where the journal and the restored state stand."""
        kept = self._journal.policies()
        envelope = None if kept.last_good is None else kept.last_good.envelope
        self.policies.start(Known(envelope, kept.high_water, self._ground.state().policy_sha256))
        self.operations.start()
        self.appointments.start()
        self.uplink.start(self._ground.state().wall_offset_ms or 0)

    def trust(self, keys: Keys) -> None:
        """From now on these keys may sign."""
        self.policies.keys = self.operations.keys = keys

    def count_refusals(self, count: Callable[[str], None]) -> None:
        """``count(code)`` for every refused document."""
        self.policies.on_refused = self.operations.on_refused = count

    def _telling(self, kind: Literal["policy", "operation"]) -> Callable[[Reason, str], None]:
        """Tell the core of refusals, so that the centre hears of them; a flood of them only now and then."""

        def tell(why: Reason, named: str) -> None:
            now_ms = self._ground.wall_ms()
            self._told_ms = [at_ms for at_ms in self._told_ms if 0 <= now_ms - at_ms < TOLD_WITHIN_MS]
            if len(self._told_ms) < TOLD_MAX:
                self._told_ms.append(now_ms)
                self._ground.put(DocumentRejected(kind, why.code, named))

        return tell

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lasting("policy desk", self.policies.run()), name="policy")
            if not self.silent:
                tasks.create_task(lasting("uplink", self.uplink.run()), name="uplink")

    def hearts(self) -> dict[str, float]:
        """By when each part promised its next sign of life, in ``monotonic_s``."""
        hearts = {"policy desk": self.policies.heart.due_s}
        return hearts if self.silent else hearts | {"uplink": self.uplink.heart.due_s}

    def stop(self) -> None:
        """Before the journal closes."""
        self.uplink.stop()
