"""Receives key lists from the city: verifies, stores and answers them, and tells which keys may sign. Rules of this
file:

* Only a root key named in hall.toml ([policy] root) can put a list in force; a hall without root keys accepts none.
* A list is in force from its commit on, and after a restart from the journal, without a network. A hall that missed the
  newest list continues with the one it has.
* The stored list is verified again at each start and whenever hall.toml is read. If none of the present root keys has
  signed it (a lost root key was replaced in hall.toml), the keys in hall.toml are used instead. If the file of the root
  keys cannot be read at all, the stored list stays in force.
* The highest version is remembered for each root key: no lower one is accepted, and a stolen root key cannot use up the
  version numbers of its successor.
* A list takes no policy out of force: one signed with a key revoked since then stays, and an alarm names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from edged import strict_json
from edged.central import topics
from edged.central.audience import Audience, Trusted, rfc3339
from edged.central.condemned import Condemned
from edged.central.envelope import ENVELOPE_BYTES_MAX, Keys, signers
from edged.central.keyring import KeyList, Keyring, RevokedKey, publics
from edged.central.policy_desk import BrokerLink, DeskLedger, PushMessage, Put, TellRefusal, worded
from edged.central.refusals import DocumentRefused, reason
from edged.core.model.events import KeyListTaken, MachineAlarm
from edged.driver import Unreachable
from edged.heartbeat import Heartbeat
from edged.logs import REFUSALS_BURST, REFUSALS_PER_S, Allowance
from edged.store.records import Attachments, MetaLine
from edged.store.uplink import KEY_LIST

if TYPE_CHECKING:
    from edged.central.key_list import Mark

CHECK_S = 1.0  # between looks at dates, at the disk and at the policy in force
LINE_BYTES_MAX = 4 * ENVELOPE_BYTES_MAX  # an envelope whose quotes are escaped, and the marks
MARKS_MAX = 32  # root keys whose versions are remembered: more than a hall ever names

log = structlog.get_logger("edged.central")


class Concern(Protocol):
    """Reports one kind of alarm. ``present`` is the complete list (subject -> reason): an alarm of this kind whose
    subject is not in it ends.

    In the daemon this is ``Concerns.report``, which this package may not import.
    """

    def __call__(self, alarm: MachineAlarm, present: Mapping[str, str]) -> None: ...


class KeyLedger(DeskLedger, Protocol):
    """What ``KeyDesk`` needs of the journal besides ``DeskLedger``: the stored key list. A Protocol, so that a test
    needs no journal on disk.
    """

    @property
    def key_list(self) -> str:
        """The text stored in the journal by an earlier run (see ``kept_list``); "" if there is none."""


class InForce(NamedTuple):
    """The policy in force: its version and its envelope."""

    version: int
    envelope: bytes


class KeyDesk:
    """Receives key lists on the MQTT topic ``keys/push`` and answers on ``keys/report``, for one hall. ``run`` runs
    until cancelled.

    ``rooted``: hall.toml names a file of root keys. ``changed`` is called when the set of keys that may sign has
    changed.
    """

    def __init__(
        self,
        audience: Audience,
        link: BrokerLink,
        put: Put,
        wall_ms: Callable[[], int],
        *,
        rooted: bool,
        ledger: KeyLedger,
        condemned: Condemned,
        concern: Concern,
        refused: TellRefusal,
        in_force: Callable[[], InForce | None],
        changed: Callable[[], None],
    ) -> None:
        self._audience = audience
        self._link = link
        self._put = put
        self._wall_ms = wall_ms
        self._rooted = rooted
        self._ledger = ledger
        self._condemned = condemned
        self._concern = concern
        self._refused = refused
        self._in_force = in_force
        self._changed = changed
        self._ring = Keyring()
        self._roots: Keys | None = {}
        self._kept = b""  # the envelope of the newest list ever accepted
        self._marks: dict[str, Mark] = {}
        self._unkept: bytes | None = None  # refused because the journal could not keep it
        self._lines = Allowance(REFUSALS_BURST, REFUSALS_PER_S)
        self._report: dict[str, Any] = {}
        self._signed_by: tuple[bytes, str, list[RevokedKey]] = (b"", "", [])
        self._why_not = ""
        self._started = False
        self.heartbeat = Heartbeat()

    @property
    def version(self) -> int:
        """The version of the list in force; 0 if there is none."""
        return 0 if self._ring.listed is None else self._ring.listed.version

    def for_policies(self) -> Trusted:
        """The keys that may sign a policy now."""
        return self._ring.for_policies(self._wall_ms())

    def for_operations(self) -> Trusted:
        """The keys that may sign an operation now, and the operations that each restricted key may order."""
        return self._ring.for_operations(self._wall_ms())

    def trust(self, city: Keys, roots: Keys | None) -> None:
        """Set the keys of hall.toml: ``city`` sign policies and operations, ``roots`` sign key lists. ``roots`` None:
        their file cannot be read, so a stored key list stays in force.
        """
        self._ring.city, self._roots = city, roots
        if self._started:
            self._judge_kept()
            self._changed()
            self.check()

    def trust_duty(self, keys: Keys, operations: frozenset[str]) -> None:
        """Set the keys of duty desks, and the operations that any of these keys may order."""
        self._ring.duty, self._ring.duty_operations = keys, operations

    def start(self) -> None:
        """Restore the list stored in the journal; subscribe to new ones if this hall has root keys."""
        self._started = True
        self._read(self._ledger.key_list)
        self._judge_kept()
        if not self._rooted:
            return
        self._report_state("applied", self._named(self._ring.listed))
        self._link.on_state(lambda up, _: self._publish() if up else None)
        self._link.subscribe(topics.keys_push(self._audience.hall), self.receive)
        if self._audience.group is not None:
            self._link.subscribe(topics.group_keys_push(self._audience.group), self.receive)

    async def run(self) -> None:
        """Call ``check`` every ``CHECK_S`` real seconds, because keys and lists end by date; until cancelled."""
        while True:
            self.check()
            await self.heartbeat.sleep(CHECK_S)

    def check(self) -> None:
        """Update the alarms: keys or a list that end soon, a stored list that no root key has signed, a policy signed
        with a revoked key. Also try again a list that the journal could not store.
        """
        if self._unkept is not None and self._ledger.durable:
            raw, self._unkept = self._unkept, None
            self._receive(raw, lambda: None)
        self._concern("key-ends", self._ring.ends(self._wall_ms()))
        self._concern("key-list-unsigned", {"key-list": self._why_not} if self._why_not else {})
        self._concern("policy-key-revoked", self._revoked_in_force())

    def receive(self, message: PushMessage) -> None:
        """Handle a key list received on a push topic of this hall or its group."""
        self._receive(message.payload, message.ack)

    def _receive(self, raw: bytes, ack: Callable[[], None]) -> None:
        try:
            self._condemned.check(raw)
            self._take(raw, ack)
        except DocumentRefused as refusal:
            self._refuse(raw, refusal, ack)
        except Exception as error:  # noqa: BLE001 - whatever it is, this document caused it
            self._refuse(raw, self._condemned.failed(raw, error), ack)

    def _take(self, raw: bytes, ack: Callable[[], None]) -> None:
        from edged.central.key_list import Mark, accept  # loaded with the first list: few starts have any

        listed = accept(raw, self._roots or {}, self._audience, self._marks, self._wall_ms())
        held = self._ring.listed
        if held is not None and (held.sha256, held.root) == (listed.sha256, listed.root):
            self._report_state("applied", self._named(listed))
            ack()
            return
        if not self._ledger.durable:
            self._unkept = raw
            raise DocumentRefused(reason("no-storage"))
        self._unkept = None
        marks = {**self._marks, listed.root: Mark(listed.version, listed.sha256)}
        while len(marks) > MARKS_MAX:
            del marks[next(iter(marks))]
        event = KeyListTaken(listed.version, listed.sha256, len(listed.keys), len(listed.revoked))
        self._condemned.handed_over(event, raw)

        def committed() -> None:
            self._condemned.survived(event)
            self._put_in_force(listed)
            ack()

        if not self._put(event, committed, Attachments(line=MetaLine(KEY_LIST, _line(raw, marks)))):
            self._condemned.survived(event)
            raise DocumentRefused(reason("busy"))
        self._marks = marks

    def _put_in_force(self, listed: KeyList) -> None:
        """Put the list, which is on disk now, in force, unless a newer one of the same root key is."""
        newest = self._ring.listed
        if newest is not None and newest.version > listed.version and newest.root == listed.root:
            return
        self._kept, self._why_not, self._ring.listed = listed.envelope, "", listed
        ignored: dict[str, Any] = {}
        if listed.unknown:
            ignored["ignored"] = list(listed.unknown)
            ignored["reason"] = "this version of edged does not know the algorithm of the ignored keys"
        log.info(
            "key-list-applied",
            version=listed.version,
            root=listed.root,
            keys=len(listed.keys),
            revoked=[one.name for one in listed.revoked],
            **ignored,
        )
        self._report_state("applied", self._named(listed))
        self._changed()
        self.check()

    def _refuse(self, raw: bytes, refusal: DocumentRefused, ack: Callable[[], None]) -> None:
        from edged.central.policies import claimed

        first = refusal.reasons[0]
        left_out = self._lines.take()
        if left_out is not None:
            log.warning(
                "key-list-refused",
                code=first.code,
                path=first.path,
                detail=str(refusal),
                effect="the keys in force stay as they were",
                remedy="correct what detail names, sign the list again and push it",
                **left_out,
            )
        named = claimed(raw)
        self._report_state("rejected", named, worded(refusal.reasons))
        self._refused(first, str((named or {}).get("version", "")))
        ack()

    def _judge_kept(self) -> None:
        """Put the stored list in force if a present root key has signed it, or unverified if the file of the root keys
        cannot be read. Otherwise no list is in force.
        """
        self._ring.listed, self._why_not = None, ""
        if not self._kept or not self._rooted:
            return
        from edged.central.key_list import reread

        try:
            self._condemned.check(self._kept)
            self._ring.listed = reread(self._kept, self._roots)
        except Exception as error:  # noqa: BLE001 - the hall starts, whatever an earlier version has kept
            self._why_not = f"the stored key list is not used, the keys in hall.toml are: {error}"
            log.error(
                "stored-key-list-refused",
                detail=str(error),
                effect="the keys in hall.toml are used",
                remedy="have the centre push a key list that a root key in hall.toml has signed",
            )

    def _revoked_in_force(self) -> dict[str, str]:
        """Return an alarm text for each revoked key that signed the policy in force, by the key's name; empty if a
        valid key of the list has signed that policy, too.
        """
        listed, policy = self._ring.listed, self._in_force()
        if listed is None or policy is None or not policy.envelope:
            return {}
        if self._signed_by[:2] != (policy.envelope, listed.sha256):
            self._signed_by = (policy.envelope, listed.sha256, self._revoked_signers(listed, policy.envelope))
        return {
            one.name: f"policy version {policy.version} is signed with the revoked key {one.name} ({one.keyid}):"
            f" {one.why}"
            for one in self._signed_by[2]
        }

    def _revoked_signers(self, listed: KeyList, envelope: bytes) -> list[RevokedKey]:
        from edged.central.policies import PAYLOAD_TYPE

        good = publics(tuple(one for one in listed.keys if "policies" in one.scopes))
        if not listed.revoked or signers(envelope, PAYLOAD_TYPE, good):
            return []
        found = signers(envelope, PAYLOAD_TYPE, publics(listed.revoked))
        return [one for one in listed.revoked if one.keyid in found]

    def _read(self, stored: str) -> None:
        """Restore the key list and the highest versions from ``stored``, which ``_line`` wrote; if it cannot be read,
        an error is logged and the keys of hall.toml are used.
        """
        if not stored:
            return
        try:
            self._kept, self._marks = kept_list(stored)
        except (ValueError, TypeError, KeyError, AttributeError):
            log.error(
                "key-list-unreadable",
                effect="the keys in hall.toml are used until a key list is pushed",
                remedy="have the centre push its key list again",
            )

    def _named(self, listed: KeyList | None) -> dict[str, Any]:
        return (
            {"version": 0, "sha256": ""}
            if listed is None
            else {"version": listed.version, "sha256": listed.sha256}
        )

    def _report_state(
        self, state: str, desired: dict[str, Any] | None, why: dict[str, str] | None = None
    ) -> None:
        listed = self._ring.listed
        self._report = {
            "desired": desired,
            "applied": self._named(listed),
            "state": state,
            "at": rfc3339(self._wall_ms()),
            **({"reason": why} if why is not None else {}),
            **({"expires": rfc3339(listed.expires_ms)} if listed is not None else {}),
            **({"passed_over": list(listed.unknown)} if listed is not None and listed.unknown else {}),
        }
        self._publish()

    def _publish(self) -> None:
        """Publish the report on the newest key list (``keys/report``, retained); without a connection it is published
        on reconnect.
        """
        if not self._report:
            return
        body = json.dumps(self._report, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._link.publish(topics.keys_report(self._audience.hall), body, retain=True)
        except Unreachable:
            log.debug(
                "key-report-deferred",
                reason="no connection to the broker",
                effect="the report is published after the next connection",
            )


def kept_list(stored: str) -> tuple[bytes, dict[str, Mark]]:
    """Parse what ``_line`` wrote: the envelope, and the highest version of each root key, by key id.

    Raises ``ValueError``, ``TypeError``, ``KeyError`` or ``AttributeError`` if it is anything else.
    """
    from edged.central.key_list import Mark

    found = strict_json.parse_document(stored.encode(), LINE_BYTES_MAX)
    marks = {str(root): Mark(int(version), str(sha256)) for root, (version, sha256) in found["marks"].items()}
    return str(found["envelope"]).encode(), marks


def _line(raw: bytes, marks: Mapping[str, Mark]) -> str:
    return json.dumps({"envelope": raw.decode(), "marks": marks})
