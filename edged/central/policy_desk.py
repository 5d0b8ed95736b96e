"""Receives pushed policies: verifies them, puts them into the inbox, answers. Rules of this file:

* Only the signature decides, not who may publish on the topic.
* A refused policy is acknowledged at once and reported with the reason; an accepted one after its commit.
* The same content again (redelivery, retained message) is answered, not applied again. That is so even if the policy
  was taken out of force meanwhile, by an order or because its trial (``core/trial.py``) found it harmful.
* Before a policy takes effect, another process rehearses it: it simulates recorded days (``rehearsals.py``). The report
  says "rehearsing", then has the results. They cause a refusal only if the policy itself demands that
  (``rehearsal.max_worse``). A return to an earlier policy is not rehearsed.
* A policy whose ``not_before`` is in the future is staged: not acknowledged, so that the broker keeps it over a
  restart.
* While the journal cannot store anything (full disk, locked file) a policy is refused, and tried again once it can.
* A policy past ``expires`` stays in force, and the report says that it has expired.
* A document on which this program fails is refused from then on (``condemned.py``): none ends the process twice.
* A policy for many halls is stored as received, and adapted to this hall before it takes effect (``addressing.py``) and
  again after a change of hall.toml.
* The highest version and the last good policy are stored in the journal (and in its copy, the keep file). If the broker
  retains no policy, the stored one stays in force.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from edged.central import topics
from edged.central.audience import (
    CLOCK_TRUSTED_FROM_MS,
    NONE,
    Audience,
    HighestVersion,
    Names,
    Trusted,
    Verified,
    rfc3339,
)
from edged.central.condemned import Condemned
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.central.rehearsed import Missed, Rehearsed, objection, to_json
from edged.core.model.events import Event, PolicyApplied
from edged.core.model.state import LeftPolicy, PolicyTrial, State
from edged.driver import Unreachable
from edged.heartbeat import Heartbeat
from edged.logs import REFUSALS_BURST, REFUSALS_PER_S, Allowance
from edged.observer import Observer, Step
from edged.store.records import ALONE, Attachments, MetaLine, Policies

CHECK_S = 1.0  # between checks of the clock and of a full inbox
LEFT_OUT_MAX = 20  # names in a report: enough to see a mistake in one
ACKS_MAX = 32  # redeliveries of one policy waiting for its commit: the link's receive maximum

log = structlog.get_logger("edged.central")


class PushMessage(Protocol):
    """The part of ``edged.links.mqtt.Message`` that is needed to handle a received document. A Protocol, because a
    stored policy is handled once more in the same way, without a message.
    """

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def ack(self) -> Callable[[], None]: ...


class BrokerLink(Protocol):
    """What a desk (a receiver of signed documents) needs of the connection to the broker: to subscribe, to publish
    reports, and to report when a connection is made or lost. ``MqttLink`` does it in the daemon; a Protocol, so that a
    test needs no broker.
    """

    def subscribe(self, topic_filter: str, handler: Callable[[Any], None]) -> None: ...
    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...
    def on_state(self, callback: Callable[[bool, str], None]) -> object: ...


class Put(Protocol):
    """Puts an event into the core's inbox; returns False if it is full. ``ack`` is called once the event's step is on
    disk; ``attachments`` are stored together with the step. ``Inbox.put`` of the daemon, which this package may not
    import.
    """

    def __call__(
        self, event: Event, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE
    ) -> bool: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What the journal and the restored state say of policies when the daemon starts.

    ``envelope``: the signed document of the last policy in force (None: the centre never pushed one); ``high_water``:
    the highest version ever accepted; ``in_force_sha256``: payload hash of the policy in the restored state.
    """

    envelope: bytes | None = None
    high_water: int = 0
    in_force_sha256: str = ""


@dataclass(slots=True)
class _Waiting:
    """A verified policy that is not in force yet: staged (its ``not_before`` is in the future), being rehearsed, or in
    the inbox until its commit.

    ``acks`` acknowledge its MQTT messages; they are called when it is in force or refused.
    """

    verified: Verified
    acks: list[Callable[[], None]] = field(default_factory=list)
    in_inbox: bool = False
    staged: bool = False
    rehearsing: bool = False
    rehearsed: Rehearsed | Missed | None = None

    @property
    def rehearsal(self) -> dict[str, Any] | None:
        """The figures of the rehearsal for the report; None if there are none."""
        return None if self.rehearsed is None else to_json(self.rehearsed)


@dataclass(frozen=True, slots=True)
class _Again:
    """The message of a policy that was acknowledged but could not be stored, to be handled once more."""

    payload: bytes
    topic: str = ""

    def ack(self) -> None:
        """No-op: the message was acknowledged when it was refused."""


class DeskLedger(Protocol):
    """What a desk (a receiver of signed documents) needs of the journal: whether it reaches the disk, and the policies
    in it. A Protocol, so that a test needs no journal on disk.
    """

    @property
    def durable(self) -> bool:
        """Whether accepted inputs reach the disk."""

    def policies(self) -> Policies:
        """The policies stored in the journal."""


class Rehearse(Protocol):
    """Has a policy rehearsed: ``policy`` and ``in_force`` are envelopes. Returns None and passes the result to ``done``
    later, or returns at once why there will be none. ``Rehearsals.want`` in the daemon; a Protocol, so that a test
    needs no second process.
    """

    def __call__(
        self, policy: bytes, in_force: bytes, days: int, done: Callable[[Rehearsed | Missed], None]
    ) -> Missed | None: ...


class TellRefusal(Protocol):
    """Counts a refused document and reports it to the core. ``named``: the version that it claims, or the name of the
    operation; ``order``: the id that an operation or appointment claims. "" if there is none.
    """

    def __call__(self, why: Reason, named: str, order: str = "") -> None: ...


class PolicyDesk(Observer):
    """Receives policies on the MQTT topic ``policy/push`` and answers on ``policy/report``, for one hall. ``run`` runs
    until cancelled.

    As an observer of the core's steps it also ends a trial: if the core found a pushed policy harmful, it puts the
    previous one back in force.
    """

    def __init__(
        self,
        audience: Audience,
        trusted: Callable[[], Trusted],
        link: BrokerLink,
        put: Put,
        wall_ms: Callable[[], int],
        *,
        ledger: DeskLedger,
        state: Callable[[], State],
        condemned: Condemned,
        refused: TellRefusal,
        rehearse: Rehearse,
    ) -> None:
        """``state()`` returns the core's state."""
        self._audience = audience
        self._trusted = trusted
        self._lines = Allowance(REFUSALS_BURST, REFUSALS_PER_S)
        self._link = link
        self._put = put
        self._wall_ms = wall_ms
        self._applied: Verified | None = None
        self._mark = HighestVersion()
        self._waiting: _Waiting | None = None
        self._unkept: Verified | None = None  # refused because the journal could not keep it
        self._inbox_was_full = False  # when the policy in force was to be put into it once more
        self.heartbeat = Heartbeat()
        self._report: dict[str, Any] = {}
        self._pushed_wall_ms: int | None = None  # when the report was made; None: at start, without a push
        self._reported_expired = False
        self._ledger = ledger
        self._state = state
        self._condemned = condemned
        self._refused = refused
        self._rehearse = rehearse
        self._going_back: PolicyTrial | None = None

    @property
    def expired(self) -> bool:
        """Whether the policy in force is past its ``expires`` (it stays in force)."""
        now_ms = self._wall_ms()
        return (
            self._applied is not None
            and now_ms >= CLOCK_TRUSTED_FROM_MS
            and now_ms >= self._applied.expires_ms
        )

    @property
    def in_force(self) -> tuple[int, bytes] | None:
        """Version and envelope of the policy in force; None if none came from the centre."""
        return None if self._applied is None else (self._applied.version, self._applied.envelope)

    @property
    def waiting_version(self) -> int | None:
        """The version of a verified policy that is not in force yet (staged, being rehearsed, or on its way to the
        disk); None if there is none.
        """
        return None if self._waiting is None else self._waiting.verified.version

    @property
    def left_versions(self) -> set[int]:
        """The versions of policies that were taken out of force, by an order or because of their trial."""
        return {one.version for one in self._state().left}

    @property
    def last_push(self) -> dict[str, Any] | None:
        """The result of the newest push since the start: ``version``, ``state``, ``wall_ms`` (when), and ``why`` it was
        refused; None if there was none.
        """
        if self._pushed_wall_ms is None:
            return None
        desired, why = self._report["desired"], self._report.get("reason")
        return {
            "version": None if desired is None else desired["version"],
            "state": self._report["state"],
            "wall_ms": self._pushed_wall_ms,
            "why": None if why is None else {"zh": why["message_zh"], "en": why["message"]},
        }

    def start(self, known: Known) -> None:
        """Restore the last good policy from the journal, and subscribe."""
        self._mark = HighestVersion(known.high_water)
        if known.envelope is not None:
            self._restore(known.envelope, known)
        left = self._state().left
        if left and left[-1].version > self._in_force()["version"]:
            if left[-1].version == self._mark.version:
                self._mark = HighestVersion(
                    left[-1].version, left[-1].sha256
                )  # so that the same content again is a redelivery
            self._report_left(left[-1])
        else:
            self._report_state("applied", self._in_force())
        self._pushed_wall_ms = None
        self._link.on_state(lambda up, _: self._publish() if up else None)
        self._link.subscribe(topics.policy_push(self._audience.hall), self.receive)
        if self._audience.group is not None:
            self._link.subscribe(topics.group_policy_push(self._audience.group), self.receive)

    async def run(self) -> None:
        """Call ``check`` every ``CHECK_S`` seconds until cancelled: staged policies become due, the one in force
        expires.
        """
        while True:
            await self.heartbeat.sleep(CHECK_S)
            self.check()

    def check(self) -> None:
        """Do what has become possible or due: continue with a policy whose date or rehearsal was awaited, try again one
        that could not be stored or put into the inbox, report that the one in force has expired.
        """
        waiting = self._waiting
        if waiting is not None and not waiting.in_inbox:
            try:
                self._hand_over(waiting)
            except Exception as error:  # noqa: BLE001 - whatever it is, this document caused it
                self._give_up(waiting, error)
        if self._unkept is not None and self._ledger.durable:
            again, self._unkept = self._unkept, None
            self.receive(_Again(again.envelope))
        if self._inbox_was_full and self._applied is not None:
            self._put_again(self._applied)
        if self.expired != self._reported_expired:
            log.warning(
                "policy-expired",
                version=self._applied.version if self._applied else 0,
                effect="it stays in force until another policy is pushed",
                remedy="push a policy with a later date in `expires`",
            )
            self._repeat_report()

    def keys_changed(self) -> None:
        """Refuse the policy that waits (staged or being rehearsed) if its key may no longer sign."""
        waiting = self._waiting
        if waiting is None or waiting.in_inbox:
            return
        from edged.central.policies import signed_by

        try:
            signed_by(waiting.verified.envelope, self._trusted())
        except DocumentRefused as refusal:
            self._waiting = None
            self._refuse(waiting.verified.envelope, refusal, *waiting.acks)

    def step(self, step: Step, decision_s: float) -> None:
        """As an observer: put the previous policy back in force if the trial found the present one harmful.

        While the inbox is full, each further step tries again.
        """
        trial = self._state().trial
        if trial is not None and trial.harmful and trial is not self._going_back:
            self._go_back(trial)

    def receive(self, message: PushMessage) -> None:
        """Handle a policy received on a push topic of this hall or its group."""
        raw = message.payload
        try:
            self._condemned.check(raw)
            self._take(message)
        except DocumentRefused as refusal:
            self._refuse(raw, refusal, message.ack)
        except Exception as error:  # noqa: BLE001 - whatever it is, this document caused it
            waiting = self._waiting
            if waiting is not None and waiting.verified.envelope == raw and not waiting.in_inbox:
                self._give_up(waiting, error)
            else:
                self._refuse(raw, self._condemned.failed(raw, error), message.ack)

    def _give_up(self, waiting: _Waiting, error: Exception) -> None:
        """Refuse a verified policy because handling it raised ``error``."""
        self._waiting = None
        raw = waiting.verified.envelope
        self._refuse(raw, self._condemned.failed(raw, error), *waiting.acks)

    def _take(self, message: PushMessage) -> None:
        from edged.central.policies import accept  # loaded with the first policy: few starts have any

        verified = accept(message.payload, self._trusted(), self._audience, self._high(), self._wall_ms())
        older = self._unkept is not None and verified.version < self._unkept.version
        if not self._ledger.durable and not self._is_applied(verified):
            self._unkept = self._unkept if older else verified
            raise DocumentRefused(reason("no-storage"))
        self._unkept = self._unkept if older else None
        waiting = self._waiting
        left = next((one for one in self._state().left if one.sha256 == verified.sha256), None)
        if self._is_applied(verified):
            self._report_state("applied", _named(verified))
            message.ack()
        elif left is not None:
            self._report_left(left)
            message.ack()
        elif waiting is not None and waiting.verified.sha256 == verified.sha256:
            waiting.acks = [*waiting.acks, message.ack][-ACKS_MAX:]
        else:
            self._replace(_Waiting(verified, [message.ack]))

    def roll_back(self, envelope: bytes, line: MetaLine, done: Callable[[], None], order: str) -> None:
        """Put an earlier policy back in force. ``line``, a row of the journal's table ``meta``, is stored with it;
        ``done`` is called after the commit.

        ``order``: the id of the operation that asks for it. Raises ``DocumentRefused`` if the policy does not fit this
        hall any more, or if the inbox is full.
        """
        if not self._put_earlier(envelope, line, done, order):
            raise DocumentRefused(reason("busy"))

    def _put_earlier(
        self, envelope: bytes, line: MetaLine | None, done: Callable[[], None], order: str = ""
    ) -> bool:
        from edged.central.policies import reread

        earlier = _Waiting(reread(envelope, self._audience.names), [done])
        verified = earlier.verified
        event = PolicyApplied(verified.version, verified.sha256, verified.policy, order=order)
        return self._put_policy(event, earlier, Attachments(envelope, line))

    def _put_policy(self, event: PolicyApplied, waiting: _Waiting, attachments: Attachments) -> bool:
        """Put an event made from a document into the inbox; if the core crashes on it, the next start refuses the
        document. False if the inbox is full.
        """
        self._condemned.handed_over(event, waiting.verified.envelope)
        taken = self._put(event, lambda: self._committed(event, waiting), attachments)
        if not taken:
            self._condemned.survived(event)
        return taken

    def _go_back(self, trial: PolicyTrial) -> None:
        """Put the previous policy back in force, because the trial found the present one harmful."""
        rows = {(row.version, row.sha256): row.envelope for row in self._ledger.policies().known}
        envelope = rows.get((trial.good_version, trial.good_sha256), None if trial.good_version else NONE)
        refused = "its document is not kept any more"
        if envelope is not None:
            try:
                if self._put_earlier(envelope, None, lambda: None):
                    self._going_back = trial
                return
            except DocumentRefused as refusal:
                refused = str(refusal)
            except Exception as error:  # noqa: BLE001 - whatever it is, this document caused it
                refused = str(self._condemned.failed(envelope, error))
        self._going_back = trial  # logged once; a person has to act
        log.error(
            "policy-rollback-failed",
            version=trial.good_version,
            detail=refused,
            effect="the policy that its trial found harmful stays in force",
            remedy="push a policy with a higher version",
        )

    def _high(self) -> HighestVersion:
        """The highest version so far, including a policy that is still in the inbox."""
        waiting = self._waiting
        if waiting is not None and waiting.in_inbox:
            return HighestVersion(waiting.verified.version, waiting.verified.sha256)
        return self._mark

    def _is_applied(self, verified: Verified) -> bool:
        return self._applied is not None and self._applied.sha256 == verified.sha256

    def _replace(self, waiting: _Waiting) -> None:
        """Let ``waiting`` wait in place of the policy that waited before, and continue with it: stage it, rehearse it,
        or put it into the inbox.

        The earlier policy never comes into force, unless it is already in the inbox: then it does so first.
        """
        old, self._waiting = self._waiting, waiting
        if old is not None and not old.in_inbox:
            log.warning(
                "staged-policy-replaced",
                version=old.verified.version,
                by=waiting.verified.version,
                effect="the earlier policy, which waited for its date, never comes into force",
            )
            for ack in old.acks:
                ack()
        self._hand_over(waiting)

    def _hand_over(self, waiting: _Waiting) -> None:
        verified, now_ms = waiting.verified, self._wall_ms()
        if now_ms >= CLOCK_TRUSTED_FROM_MS and now_ms < verified.not_before_ms:
            waiting.staged = True
            if self._report.get("state") != "staged" or self._report.get("desired") != _named(verified):
                log.info(
                    "policy-staged", version=verified.version, in_force_from=rfc3339(verified.not_before_ms)
                )
                self._report_state("staged", _named(verified))
            return
        if waiting.staged:
            self.keys_changed()  # a key may have expired while the policy waited for its date
            if self._waiting is not waiting:
                return
        if waiting.rehearsed is None:
            self._begin_rehearsal(waiting)
        if waiting.rehearsed is None:
            return
        why = objection(waiting.rehearsed, verified.max_worse)
        if why is not None:
            self._waiting = None
            self._refuse(verified.envelope, DocumentRefused(why), *waiting.acks, rehearsal=waiting.rehearsal)
            return
        event = PolicyApplied(verified.version, verified.sha256, verified.policy, pushed=True)
        waiting.in_inbox = self._put_policy(event, waiting, Attachments(verified.envelope))

    def _begin_rehearsal(self, waiting: _Waiting) -> None:
        """Start the rehearsal of a policy, unless it was started before. If there is no rehearsal service,
        ``waiting.rehearsed`` is set at once to say so.
        """
        if waiting.rehearsing:
            return
        waiting.rehearsing = True
        in_force = NONE if self._applied is None else self._applied.envelope

        def done(found: Rehearsed | Missed) -> None:
            waiting.rehearsed = found
            if self._waiting is waiting:
                self.check()

        verified = waiting.verified
        waiting.rehearsed = self._rehearse(verified.envelope, in_force, verified.rehearsal_days, done)
        if waiting.rehearsed is None:
            self._report_state("rehearsing", _named(verified))

    def _committed(self, event: PolicyApplied, waiting: _Waiting) -> None:
        self._condemned.survived(event)
        if self._waiting is waiting:
            self._waiting = None
        try:
            self._in_force_now(waiting.verified, waiting.rehearsal)
        except Exception as error:  # noqa: BLE001 - it is in force: only the report of it failed
            log.error(
                "policy-report-failed",
                error=type(error).__name__,
                detail=str(error),
                effect="the policy is in force, but the centre got no report of it",
                remedy="a fault of this program: send `edged diagnose` to support",
            )
        for ack in waiting.acks:
            ack()

    def _in_force_now(self, verified: Verified, rehearsal: dict[str, Any] | None) -> None:
        before = "" if self._applied is None else self._applied.sha256
        back = verified.version < self._mark.version
        if not back and verified.previous_sha256 not in (None, before):
            log.warning(
                "policy-predecessor-differs",
                version=verified.version,
                detail="it was written to follow another policy than the one it replaces",
                effect="it is applied all the same",
            )
        self._applied = verified
        self._inbox_was_full = False
        if not back:
            self._mark = HighestVersion(verified.version, verified.sha256)
        log.info("policy-applied", version=verified.version, sha256=verified.sha256, rolled_back=back)
        left = next((one for one in reversed(self._state().left) if one.sha256 == before), None)
        if back and left is not None:
            self._report_left(left)
        else:
            self._report_state("rolled-back" if back else "applied", _named(verified), rehearsal=rehearsal)

    def _refuse(
        self,
        raw: bytes,
        refusal: DocumentRefused,
        *acks: Callable[[], None],
        rehearsal: dict[str, Any] | None = None,
    ) -> None:
        from edged.central.policies import claimed

        first = refusal.reasons[0]
        left_out = self._lines.take()
        if left_out is not None:
            log.warning(
                "policy-refused",
                code=first.code,
                path=first.path,
                detail=str(refusal),
                effect="it does not come into force; the policy in force stays",
                remedy="correct what detail names, sign it again and push it",
                **left_out,
            )
        named = claimed(raw)
        self._report_state("rejected", named, worded(refusal.reasons), rehearsal)
        self._refused(first, str((named or {}).get("version", "")))
        for ack in acks:
            ack()

    def _restore(self, envelope: bytes, known: Known) -> None:
        from edged.central.policies import reread

        try:
            self._condemned.check(envelope)
            self._applied = reread(envelope, self._audience.names)
        except Exception as error:  # noqa: BLE001 - the hall starts, whatever an earlier version has kept
            log.error(
                "stored-policy-refused",
                detail=str(error),
                effect="the hall keeps the parameters it had before this start; the centre sees no policy in force",
                remedy="push a policy that this version of edged accepts",
            )
            return
        applied = self._applied
        self._mark = HighestVersion(
            max(known.high_water, applied.version),
            applied.sha256 if applied.version >= known.high_water else None,
        )
        if known.in_force_sha256 != applied.sha256 or (applied.depends and self._fits_otherwise(applied)):
            self._put_again(applied)

    def names_changed(self, names: Names) -> None:
        """Adapt the policy in force to changed areas, services or windows of the hall, and use them for later
        checks.
        """
        from edged.central.policies import reread

        self._audience = replace(self._audience, names=names)
        applied = self._applied
        if applied is None or not applied.depends:
            return
        try:
            self._applied = fitted = reread(applied.envelope, names)
        except DocumentRefused as refusal:
            log.error(
                "policy-does-not-fit",
                detail=str(refusal),
                effect="the hall goes on with the policy as it was before hall.toml changed",
                remedy="push a policy that fits the present hall.toml",
            )
            return
        if fitted.policy != applied.policy:
            self._put_again(fitted)
        if fitted.unmet != applied.unmet:
            self._repeat_report()

    def _fits_otherwise(self, applied: Verified) -> bool:
        """Whether the core's policy differs from ``applied``, which is the same document adapted to the hall's present
        areas.
        """
        state = self._state()
        return applied.policy != (state.policy if state.put_aside is None else state.put_aside)

    def _put_again(self, applied: Verified) -> None:
        """Put the policy in force into the inbox once more, because the core has another one or adapted it
        differently.
        """
        event = PolicyApplied(applied.version, applied.sha256, applied.policy)
        self._condemned.handed_over(event, applied.envelope)
        reported = self._inbox_was_full
        self._inbox_was_full = not self._put(
            event, lambda: self._condemned.survived(event), Attachments(applied.envelope)
        )
        if self._inbox_was_full:
            self._condemned.survived(event)
            if not reported:
                log.error(
                    "stored-policy-not-applied",
                    version=applied.version,
                    reason="too many inputs wait to be handled",
                    effect="the hall decides by the parameters it had before; the program tries again by itself",
                )

    def _report_state(
        self,
        state: str,
        desired: dict[str, Any] | None,
        why: dict[str, str] | None = None,
        rehearsal: dict[str, Any] | None = None,
    ) -> None:
        self._reported_expired = self.expired
        self._pushed_wall_ms = wall_ms = self._wall_ms()
        self._report = {
            "desired": desired,
            "applied": self._in_force(),
            "state": state,
            "at": rfc3339(wall_ms),
            **({"reason": why} if why is not None else {}),
            **({"rehearsal": rehearsal} if rehearsal is not None else {}),
            **({"expired": True} if self._reported_expired else {}),
            **self._left_out(),
        }
        self._publish()

    def _repeat_report(self) -> None:
        """Publish the report on the newest push again, because its facts about the policy in force have changed."""
        kept = (self._report.get("reason"), self._report.get("rehearsal"))
        pushed_wall_ms = self._pushed_wall_ms
        self._report_state(self._report["state"], self._report["desired"], *kept)
        self._pushed_wall_ms = pushed_wall_ms

    def _report_left(self, left: LeftPolicy) -> None:
        """Report that a policy was in force and no longer is, because of its trial or by an order."""
        code = "made-it-worse" if left.waited_s else "taken-back"
        words = {"version": left.version, "waited_s": left.waited_s, "limit_s": left.limit_s}
        why = worded((reason(code, "version", **words),))
        self._report_state("rolled-back", {"version": left.version, "sha256": left.sha256}, why)

    def _left_out(self) -> dict[str, list[str]]:
        """Return the names in the policy in force that match nothing in this hall, as the field ``left_out`` of the
        report; {} if there are none.
        """
        unmet = () if self._applied is None else self._applied.unmet
        return {"left_out": list(unmet[:LEFT_OUT_MAX])} if unmet else {}

    def _in_force(self) -> dict[str, Any]:
        return {"version": 0, "sha256": ""} if self._applied is None else _named(self._applied)

    def _publish(self) -> None:
        """Publish the report on the newest policy (``policy/report``, retained); without a connection it is published
        on reconnect.
        """
        body = json.dumps(self._report, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._link.publish(topics.policy_report(self._audience.hall), body, retain=True)
        except Unreachable:
            log.debug(
                "policy-report-deferred",
                reason="no connection to the broker",
                effect="the report is published after the next connection",
            )


def _named(verified: Verified) -> dict[str, Any]:
    return {"version": verified.version, "sha256": verified.sha256}


def worded(reasons: tuple[Reason, ...]) -> dict[str, str]:
    """The first reason of a refusal as JSON values (``code``, ``path``, ``message`` and ``message_zh``), with how many
    more there are; ``edged policy check`` shows all of them.
    """
    first, more = reasons[0], len(reasons) - 1
    return {
        "code": first.code,
        "path": first.path,
        "message": first.message + (f" (and {more} more)" if more else ""),
        "message_zh": first.message_zh + (f"（另有 {more} 处）" if more else ""),
    }
