"""The desk between a real broker and a real journal: what is pushed, what comes into force, what is reported."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import structlog

from edged.central import topics
from edged.central.audience import Trusted, epoch_ms
from edged.central.condemned import Condemned
from edged.central.policy_desk import Known, PolicyDesk
from edged.central.refusals import reason
from edged.central.rehearsed import Missed, Rehearsed
from edged.core.model.events import Event, PolicyApplied, Tick
from edged.core.model.policy import Tidal, Trial
from edged.core.model.state import LeftPolicy, PolicyTrial, State
from edged.links.mqtt.link import MqttLink
from edged.observer import Step
from edged.store.journal import Journal
from edged.store.records import ALONE, Attachments, Policies
from tests.support.brokers import (
    Mosquitto,
    Rejections,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)
from tests.support.journals import open_journal
from tests.support.policies import AUDIENCE, KEYS, NOW_MS, OTHER_KEY, document, envelope

PUSH = topics.policy_push("demo")


class Hall:
    """Link, journal and desk of one hall; ``put`` replaces the inbox and the loop."""

    def __init__(
        self, broker: Mosquitto, journal: Journal, in_force: str = "", left: Sequence[LeftPolicy] = ()
    ) -> None:
        self.journal = journal
        self.now_ms = NOW_MS
        self.room = True
        self.durable = True
        self.refused: list[str] = []
        self.trusted = Trusted(KEYS)
        self.rehearses = False
        self.questions: list[tuple[bytes, bytes, int]] = []
        self.rehearsed: Callable[[Rehearsed | Missed], None] = lambda found: None
        self.link = MqttLink(settings_for(broker, "edged-demo", keepalive_s=2), Rejections())
        self.state = State(left=list(left))
        self.desk = PolicyDesk(
            AUDIENCE,
            lambda: self.trusted,
            self.link,
            self.put,
            lambda: self.now_ms,
            ledger=self,
            state=lambda: self.state,
            condemned=Condemned(),
            refused=lambda why, named, order="": self.refused.append(why.code),
            rehearse=self.rehearse,
        )
        kept = journal.policies()
        self.desk.start(
            Known(None if kept.last_good is None else kept.last_good.envelope, kept.high_water, in_force)
        )

    def rehearse(
        self, policy: bytes, in_force: bytes, days: int, done: Callable[[Rehearsed | Missed], None]
    ) -> Missed | None:
        """What the desk is told at once, or later by ``rehearsed``."""
        if self.rehearses:
            self.questions.append((policy, in_force, days))
            self.rehearsed = done
            return None
        return Missed(missed="no-service")

    def condemn(self, good: int = 0, good_sha256: str = "") -> None:
        """Let the core's state say that the policy in force on trial does harm; ``good`` is the version to return
        to.
        """
        self.state.trial = PolicyTrial(good, good_sha256, Trial(), Tidal(), harmful=True)

    def policies(self) -> Policies:
        """Return the policies that the journal holds, as the desk's ledger."""
        return self.journal.policies()

    def judge(self) -> None:
        """Give the desk one step of the core, after which it looks at the trial."""
        self.desk.step(Step(self.journal.last_seq, 0, Tick(), (), ()), 0.0)

    def put(
        self, event: Event, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE
    ) -> bool:
        assert isinstance(event, PolicyApplied)
        if self.room:
            seq = self.journal.last_seq + 1
            self.journal.append(Step(seq, seq, event, (), ()), ack, attachments)
            if event.version < self.version and self.state.trial is not None:  # as the core does
                self.state.left.append(LeftPolicy(self.version, sha256_of(self.version), 1300, 600))
                self.state.trial = None
        return self.room

    @property
    def version(self) -> int:
        last = self.journal.policies().last_good
        return 0 if last is None else last.version


def sha256_of(version: int) -> str:
    return hashlib.sha256(json.dumps(document(version=version)).encode()).hexdigest()


class Centre:
    """A fake centre that pushes policies and collects reports. ``at`` of a report has only seconds, so reports are
    counted.
    """

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.reports: list[dict[str, Any]] = []

    async def listen(self) -> None:
        with suppress(aiomqtt.MqttError):  # tests stop the broker
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                self.reports.append(json.loads(message.payload))

    async def push(self, raw: bytes, topic: str = PUSH, *, retain: bool = False) -> dict[str, Any]:
        reports_before = len(self.reports)
        await self.client.publish(topic, raw, qos=1, retain=retain)
        await until(lambda: len(self.reports) > reports_before)
        return self.reports[-1]


@asynccontextmanager
async def centre_at(broker: Mosquitto) -> AsyncIterator[Centre]:
    async with plain_client(broker, "centre") as client:
        centre = Centre(client)
        await client.subscribe(topics.policy_report("demo"), qos=1)
        task = asyncio.get_running_loop().create_task(centre.listen())
        yield centre
        task.cancel()


@asynccontextmanager
async def hall_and_centre(path: Path) -> AsyncIterator[tuple[Hall, Centre]]:
    async with real_mosquitto() as broker, open_journal(path) as journal:
        hall = Hall(broker, journal)
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: len(centre.reports) == 1)
            yield hall, centre


async def test_a_pushed_policy_is_in_the_journal_before_it_is_reported(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        assert centre.reports[0]["applied"]["version"] == 0
        assert hall.desk.last_push is None
        report = await centre.push(envelope())
        assert report["state"] == "applied"
        assert report["applied"] == report["desired"]
        last = hall.journal.policies().last_good
        assert last is not None
        assert (last.version, last.sha256, last.envelope) == (7, report["applied"]["sha256"], envelope())
        assert hall.journal.policies().high_water == 7
        pushed = hall.desk.last_push
        assert pushed is not None
        assert (pushed["version"], pushed["state"], pushed["why"]) == (7, "applied", None)


async def test_a_refusal_says_why_and_changes_nothing(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        await centre.push(envelope())
        report = await centre.push(envelope(document(version=8), key=OTHER_KEY))
        assert report["state"] == "rejected"
        assert report["desired"]["version"] == 8
        assert report["applied"]["version"] == 7
        assert report["reason"]["code"] == "unknown-signer"
        assert report["reason"]["message_zh"].startswith("签名密钥")
        report = await centre.push(b"\xff\x00 not json")
        assert (report["desired"], report["reason"]["code"]) == (None, "not-an-envelope")
        report = await centre.push(envelope() + b" " * 65536)
        assert report["reason"]["code"] == "too-large"
        silly = document(version=9, body={"tidal": {"pool": 0, "staff_ack_s": 1, "retry_s": 0}})
        report = await centre.push(envelope(silly))
        assert report["reason"]["path"] == "body.tidal.pool"
        assert report["reason"]["message"].endswith("(and 2 more)")
        pushed = hall.desk.last_push
        assert pushed is not None
        assert (pushed["version"], pushed["state"]) == (9, "rejected")
        assert pushed["why"] == {"zh": report["reason"]["message_zh"], "en": report["reason"]["message"]}
        assert hall.refused == ["unknown-signer", "not-an-envelope", "too-large", "out-of-bounds"]
        assert hall.version == 7
        assert hall.journal.last_seq == 1


async def test_refused_messages_are_acknowledged_so_the_broker_does_not_bring_them_again(
    tmp_path: Path,
) -> None:
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        for _ in range(2):
            hall = Hall(broker, journal)
            async with running(hall.link), centre_at(broker) as centre:
                await until(lambda: bool(centre.reports))
                await centre.push(envelope(document(halls=["elsewhere"])))
                assert hall.refused == ["wrong-hall"]


async def test_the_same_policy_again_is_answered_and_not_applied_again(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        await centre.push(envelope())
        report = await centre.push(envelope(), retain=True)
        assert report["state"] == "applied"
        assert hall.journal.last_seq == 1
        assert hall.refused == []


async def test_older_and_reused_versions_are_refused_also_after_a_restart(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (_, centre):
        await centre.push(envelope(document(version=5)))
        await centre.push(envelope())
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        hall = Hall(broker, journal, in_force=journal.policies().last_good.sha256)  # type: ignore[union-attr]
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: bool(centre.reports))
            assert centre.reports[0]["applied"]["version"] == 7
            assert journal.last_seq == 2
            report = await centre.push(envelope(document(version=5)))
            assert report["reason"]["code"] == "old-version"
            report = await centre.push(envelope(document(version=7, body={})))
            assert report["reason"]["code"] == "version-reused"
            assert (await centre.push(envelope(document(version=8))))["state"] == "applied"


async def test_a_lost_state_gets_its_last_good_policy_back(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (_, centre):
        await centre.push(envelope())
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        Hall(broker, journal, in_force="")
        await until(lambda: journal.last_seq == 2 and journal.pending == 0)
        assert journal.policies().last_good.seq == 2  # type: ignore[union-attr]


async def test_a_high_water_mark_above_the_kept_policy_refuses_the_replay(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        hall = Hall(broker, journal)
        hall.desk.start(Known(None, high_water=7))
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: bool(centre.reports))
            assert (await centre.push(envelope()))["reason"]["code"] == "old-version"


async def test_the_highest_of_mark_and_kept_policy_wins(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        hall = Hall(broker, journal)
        hall.desk.start(Known(envelope(), high_water=3, in_force_sha256="other"))
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: bool(centre.reports))
            assert (await centre.push(envelope(document(version=5))))["reason"]["code"] == "old-version"


async def test_a_policy_for_tomorrow_waits_unacknowledged_and_comes_into_force_in_time(
    tmp_path: Path,
) -> None:
    tomorrow = document(not_before="2026-06-01T00:00:00+08:00")
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        hall = Hall(broker, journal)
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: bool(centre.reports))
            report = await centre.push(envelope(tomorrow))
            assert (report["state"], report["desired"]["version"], report["applied"]["version"]) == (
                "staged",
                7,
                0,
            )
            hall.desk.check()
            assert journal.last_seq == 0
        # The process ends: the broker still has the push, because nobody acknowledged it.
        hall = Hall(broker, journal)
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: hall.desk.waiting_version == 7)
            assert journal.last_seq == 0
            hall.now_ms = epoch_ms("2026-06-01T00:00:00+08:00")
            hall.desk.check()
            await until(lambda: bool(centre.reports) and centre.reports[-1]["state"] == "applied")
            assert hall.version == 7


@pytest.mark.parametrize("when", ["at once", "at its date"])
async def test_a_staged_policy_needs_a_key_that_still_may_sign(tmp_path: Path, when: str) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        report = await centre.push(envelope(document(not_before="2026-06-01T00:00:00+08:00")))
        assert report["state"] == "staged"
        keyid = next(iter(KEYS))
        hall.trusted = Trusted({}, {}, {keyid: reason("key-ended", "signatures", key="city", at="today")})
        if when == "at once":
            hall.desk.keys_changed()
        else:
            hall.now_ms = epoch_ms("2026-06-01T00:00:00+08:00")
            hall.desk.check()
        await until(lambda: centre.reports[-1]["state"] == "rejected")
        assert centre.reports[-1]["reason"]["code"] == "key-ended"
        assert (hall.desk.waiting_version, hall.journal.last_seq) == (None, 0)


async def test_every_copy_of_a_waiting_policy_is_acknowledged_with_it(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        hall.now_ms = epoch_ms("2026-04-01T00:00:00+08:00")
        for _ in range(3):
            await centre.client.publish(PUSH, envelope(), qos=1)
        connection = hall.link.connection
        assert connection is not None
        await until(lambda: connection.unacked == 3)
        hall.now_ms = NOW_MS
        hall.desk.check()
        await until(lambda: connection.unacked == 0)
        assert hall.version == 7
        assert hall.journal.last_seq == 1


async def test_a_full_inbox_delays_a_policy_and_does_not_lose_it(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        hall.room = False
        await centre.client.publish(PUSH, envelope(), qos=1)
        await until(lambda: hall.desk.waiting_version == 7)
        hall.desk.check()
        assert hall.journal.last_seq == 0
        hall.room = True
        hall.desk.check()
        await until(lambda: centre.reports[-1]["applied"]["version"] == 7)


async def test_expiry_is_reported_and_takes_nothing_out_of_force(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        report = await centre.push(envelope())
        assert "expired" not in report
        hall.now_ms = epoch_ms("2027-05-01T00:00:00+08:00")
        hall.desk.check()
        await until(lambda: centre.reports[-1].get("expired") is True)
        assert centre.reports[-1]["state"] == "applied"
        assert centre.reports[-1]["applied"]["version"] == 7
        assert hall.desk.expired


async def test_the_group_topic_reaches_the_hall_and_the_signature_still_decides(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        topic = topics.group_policy_push("city")
        assert (await centre.push(envelope(document(halls=["group:city"])), topic))["state"] == "applied"
        report = await centre.push(envelope(document(version=9, halls=["other"])), topic)
        assert report["reason"]["code"] == "wrong-hall"
        assert hall.version == 7


async def test_a_hall_that_cannot_write_takes_no_policy(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        hall.durable = False
        assert (await centre.push(envelope()))["reason"]["code"] == "no-storage"
        hall.durable = True
        assert (await centre.push(envelope()))["state"] == "applied"


@pytest.mark.parametrize("versions", [(7, 8), (8, 7)])
async def test_a_policy_that_could_not_be_kept_is_applied_once_it_can(
    tmp_path: Path, versions: tuple[int, int]
) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        hall.durable = False
        for version in versions:
            report = await centre.push(envelope(document(version=version)))
            assert report["reason"]["code"] == "no-storage"
        hall.desk.check()
        assert hall.version == 0
        hall.durable = True
        hall.desk.check()
        await until(lambda: centre.reports[-1]["state"] == "applied")
        assert hall.version == 8
        reports_before = len(centre.reports)
        hall.desk.check()
        assert len(centre.reports) == reports_before


async def test_a_report_made_while_the_broker_was_away_is_sent_when_it_is_back(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        hall = Hall(broker, journal)
        async with running(hall.link), centre_at(broker) as centre:
            await centre.push(envelope())
            await broker.kill()
            await until(lambda: not hall.link.connected)
            hall.now_ms = epoch_ms("2028-01-01T00:00:00Z")
            hall.desk.check()
            await broker.start()
            await until(lambda: hall.link.connected)
        async with centre_at(broker) as centre:  # a retained report waits for whoever comes
            await until(lambda: bool(centre.reports) and centre.reports[-1].get("expired") is True)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_two_pushes_at_once_end_with_the_higher_version(tmp_path: Path, order: tuple[int, int]) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        for version in order:
            await centre.client.publish(PUSH, envelope(document(version=version)), qos=1)
        await until(lambda: len(centre.reports) >= 3)
        assert hall.version == 2
        assert centre.reports[-1]["applied"]["version"] in (0, 2)
        assert hall.refused == (["old-version"] if order == (2, 1) else [])


async def test_a_condemned_policy_is_put_back_reported_and_never_taken_again(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        for version in (7, 8):
            await centre.push(envelope(document(version=version)))
        hall.room = False
        hall.condemn(7, sha256_of(7))
        hall.judge()
        assert hall.version == 8, "a full inbox is tried again"
        hall.room = True
        hall.judge()
        await until(lambda: hall.version == 7)
        await until(lambda: centre.reports[-1]["state"] == "rolled-back")
        first = centre.reports[-1]
        assert (first["desired"]["version"], first["applied"]["version"]) == (8, 7)
        assert first["reason"]["code"] == "made-it-worse"
        assert "1300" in first["reason"]["message"]
        assert "1300" in first["reason"]["message_zh"]
        again = await centre.push(envelope(document(version=8)))
        assert {**again, "at": ""} == {**first, "at": ""}
        assert hall.version == 7
        assert (await centre.push(envelope(document(version=9))))["state"] == "applied"
        assert hall.refused == []


async def test_after_a_restart_what_left_is_still_answered_and_still_gone(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        await centre.push(envelope(document(version=7)))
        hall.condemn()
        hall.judge()
        await until(lambda: centre.reports[-1]["state"] == "rolled-back")
        assert centre.reports[-1]["applied"] == {"version": 0, "sha256": ""}
        left = hall.state.left
    async with real_mosquitto() as broker, open_journal(tmp_path / "j.db") as journal:
        kept = journal.policies()
        assert kept.last_good is not None
        assert (kept.last_good.version, kept.last_good.envelope, kept.high_water) == (0, b"", 7)
        hall = Hall(broker, journal, left=left)
        async with running(hall.link), centre_at(broker) as centre:
            await until(lambda: len(centre.reports) == 1)
            assert centre.reports[-1]["state"] == "rolled-back"
            report = await centre.push(envelope(document(version=7)))
            assert (report["state"], report["applied"]["version"]) == ("rolled-back", 0)
            assert (hall.version, hall.refused) == (0, [])
            assert (await centre.push(envelope(document(version=8))))["state"] == "applied"


async def test_a_good_policy_whose_document_is_gone_is_told_once(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "j.db") as (hall, centre):
        await centre.push(envelope(document(version=7)))
        hall.condemn(3, "0" * 64)
        with structlog.testing.capture_logs() as logs:
            hall.judge()
            hall.judge()
        assert [line["event"] for line in logs] == ["policy-rollback-failed"]
        assert hall.version == 7
