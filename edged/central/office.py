"""The hall's office for its centre: every part that speaks with it, built and run together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from edged.central.documents import Audience, Names
from edged.central.policy_desk import Known, PolicyDesk, Put, trusted_keys
from edged.central.uplink import Uplink
from edged.config import HallConfig
from edged.driver import Reject
from edged.links.mqtt import MqttLink
from edged.store.journal import Journal


class Ground(NamedTuple):
    """What the office needs of the daemon: inbox, wall clock (ms since 1970 UTC), stamps as RFC 3339."""

    put: Put
    wall_ms: Callable[[], int]
    stamp: Callable[[int], str]
    reject: Reject


class Office:
    """Policies down, events up. ``start`` once the state is restored, then ``run`` until cancelled, then ``stop``."""

    def __init__(self, config: HallConfig, link: MqttLink, journal: Journal, ground: Ground) -> None:
        self._journal = journal
        audience = Audience(config.hall, config.policy.group, Names.of(config.site))
        keys = trusted_keys(config.policy.keys)
        self.policies = PolicyDesk(audience, keys, link, ground.put, ground.wall_ms)
        self.policies.durable = lambda: journal.durable
        self.uplink = Uplink(link, journal, config.hall, ground.stamp)
        self.uplink.reject = ground.reject

    def start(self, in_force_sha256: str) -> None:
        """Take up where the journal stands; ``in_force_sha256``: of the policy in the restored state."""
        kept = self._journal.policies()
        envelope = None if kept.last_good is None else kept.last_good.envelope
        self.policies.start(Known(envelope, kept.high_water, in_force_sha256))
        self.uplink.start()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.policies.run(), name="policy")
            tasks.create_task(self.uplink.run(), name="uplink")

    def stop(self) -> None:
        """Before the journal closes."""
        self.uplink.stop()
