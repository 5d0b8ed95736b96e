"""Builds and runs together every part that communicates with the centre."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from edged.central.appointments import AppointmentBook
from edged.central.audience import Audience, Names
from edged.central.condemned import Condemned
from edged.central.envelope import Keys
from edged.central.key_desk import Concern, InForce, KeyDesk
from edged.central.operation_desk import OperationDesk
from edged.central.policy_desk import Known, PolicyDesk, Put
from edged.central.refusals import Reason
from edged.central.rehearsals import Rehearsals
from edged.central.uplink import Uplink
from edged.config import HallConfig
from edged.core.model.events import DocumentRejected
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.driver import Reject
from edged.heartbeat import lasting
from edged.links.mqtt.link import MqttLink
from edged.observer import Observer
from edged.store.journal import Journal

REPORTED_MAX = (
    10  # refusals recorded in the journal within REPORTED_WITHIN_MS, so that a flood does not fill the disk
)
REPORTED_WITHIN_MS = 60_000


class Dependencies(NamedTuple):
    """What the parts that communicate with the centre need of the daemon. ``wall_ms``: wall clock, ms since 1970 UTC;
    ``stamp`` converts that to RFC 3339.

    ``count_refused(code)`` counts a refused document. ``answered(of, body)`` is called with the answer ``body`` to each
    order (``of``: hash of the order, see ``PageDesk.answered``). ``ahead(why)`` is called when the centre acknowledges
    events that were never sent, and ``ahead(None)`` once that is over. ``concern``: ``Concerns.report``. ``silent``:
    safe mode, in which no events are sent to the centre.
    """

    put: Put
    wall_ms: Callable[[], int]
    stamp: Callable[[int], str]
    reject: Reject
    state: Callable[[], State]
    condemned: Condemned
    count_refused: Callable[[str], None]
    answered: Callable[[str, dict[str, Any]], None]
    ahead: Callable[[str | None], None]
    concern: Concern
    silent: bool


class Office:
    """All parts that communicate with the centre. Call ``start`` once the state is restored, then ``run`` until
    cancelled, then ``stop``.
    """

    def __init__(
        self,
        config: HallConfig,
        keys: Keys,
        link: MqttLink,
        journal: Journal,
        given: Dependencies,
        roots: Keys | None = None,
    ) -> None:
        """``keys``: public keys that may sign policies and operations, ``roots``: those that may sign key lists, both
        from the files that [policy] names; ``roots`` None: no file, or one that cannot be read.
        """
        self._journal = journal
        self._given = given
        self._reported_ms: list[int] = []
        audience = Audience(config.hall, config.policy.group, Names.of(config.site))
        self.rehearsals = Rehearsals(config.policy.rehearse_socket, str(Path(config.store.path).absolute()))
        self.policies = PolicyDesk(
            audience,
            lambda: self.keys.for_policies(),
            link,
            given.put,
            given.wall_ms,
            ledger=journal,
            state=given.state,
            condemned=given.condemned,
            refused=partial(self._refused, "policy"),
            rehearse=self.rehearsals.want,
        )
        self.operations = OperationDesk(
            audience,
            lambda: self.keys.for_operations(),
            link,
            given.put,
            given.wall_ms,
            ledger=journal,
            policies=self.policies,
            condemned=given.condemned,
            reject=given.reject,
            site=lambda: given.state().site,
            refused=partial(self._refused, "operation"),
            answered=given.answered,
        )
        self.keys = KeyDesk(
            audience,
            link,
            given.put,
            given.wall_ms,
            rooted=config.policy.root is not None,
            ledger=journal,
            condemned=given.condemned,
            concern=given.concern,
            refused=partial(self._refused, "keys"),
            in_force=self._policy_in_force,
            changed=self.policies.keys_changed,
        )
        self.keys.trust(keys, roots)
        self.appointments = AppointmentBook(
            config.hall, link, given.put, given.reject, partial(self._refused, "appointment")
        )
        self.uplink = Uplink(link, journal, config.hall, given.stamp, given.reject, given.ahead)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """The parts of the office that observe each step."""
        return self.policies, self.operations, self.uplink

    def start(self) -> None:
        """Start every part from the journal and the restored state."""
        self.keys.start()
        kept = self._journal.policies()
        envelope = None if kept.last_good is None else kept.last_good.envelope
        self.policies.start(Known(envelope, kept.high_water, self._given.state().policy_sha256))
        self.operations.start()
        self.appointments.start()
        self.uplink.start(self._given.state().wall_offset_ms or 0)

    def trust(self, keys: Keys, roots: Keys | None) -> None:
        """Set the keys of hall.toml that may sign policies and operations, and those that may sign key lists."""
        self.keys.trust(keys, roots)

    def serve(self, site: Site) -> None:
        """Use the areas, services and windows of ``site`` from now on."""
        self.policies.names_changed(Names.of(site))

    def trust_duty(self, keys: Keys, operations: Iterable[str]) -> None:
        """Set the keys of duty desks, and the operations that any of these keys may order; they sign nothing else."""
        self.keys.trust_duty(keys, frozenset(operations))

    def _policy_in_force(self) -> InForce | None:
        found = self.policies.in_force
        return None if found is None else InForce(*found)

    def _refused(
        self,
        kind: Literal["policy", "operation", "appointment", "keys"],
        why: Reason,
        named: str,
        order: str = "",
    ) -> None:
        """Count a refusal and report it to the core, so that it becomes an event for the centre; at most
        ``REPORTED_MAX`` in ``REPORTED_WITHIN_MS``.

        ``named``: the version of a policy or key list, or the name of an operation; ``order``: the id of an operation
        or appointment. Both are what the document claims, "" if there is none.
        """
        if kind != "appointment":  # counted as inputs already
            self._given.count_refused(why.code)
        now_ms = self._given.wall_ms()
        self._reported_ms = [at_ms for at_ms in self._reported_ms if 0 <= now_ms - at_ms < REPORTED_WITHIN_MS]
        if len(self._reported_ms) < REPORTED_MAX:
            self._reported_ms.append(now_ms)
            self._given.put(DocumentRejected(kind, why.code, named, order))

    async def run(self) -> None:
        """Run every part until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lasting("policy desk", self.policies.run()), name="policy")
            tasks.create_task(lasting("key desk", self.keys.run()), name="keys")
            tasks.create_task(lasting("rehearsals", self.rehearsals.run()), name="rehearsals")
            if not self._given.silent:
                tasks.create_task(lasting("uplink", self.uplink.run()), name="uplink")

    def heartbeats(self) -> dict[str, float]:
        """For each running part of this office, by its name: the time by which its next heartbeat is due, in seconds of
        ``monotonic_s``.
        """
        heartbeats = {
            "policy desk": self.policies.heartbeat.due_s,
            "key desk": self.keys.heartbeat.due_s,
            "rehearsals": self.rehearsals.heartbeat.due_s,
        }
        return heartbeats if self._given.silent else heartbeats | {"uplink": self.uplink.heartbeat.due_s}

    def stop(self) -> None:
        """Store in the journal how far the centre has acknowledged events; to be called before the journal closes."""
        self.uplink.stop()
