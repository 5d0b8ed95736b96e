"""What one signed or unsigned document does wrong is handled once: it never ends the hall, at no start, in no mode."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.central.audience import rfc3339
from edged.central.condemned import KEPT_MAX, Condemned
from edged.central.envelope import public_entry
from edged.central.refusals import DocumentRefused
from edged.clock import wall_ms
from edged.core.model.events import OverrideSet, PolicyApplied
from edged.core.model.policy import Policy
from edged.links.mqtt.names import filter_fault, topic_fault
from edged.store.starts import FAST_STARTS
from tests.support.brokers import Mosquitto, until
from tests.support.centres import envelope_of, operator_at
from tests.support.daemon_checks import identical, watching
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.policies import KEY, document, envelope

PUSH, REPORT = "hall/east/policy/push", "hall/east/policy/report"
BODY = {"calling": {"max_calls": 2}}
# Dates that no clock can print: beyond the calendar's last or first day in UTC.
UNPRINTABLE = ("9999-12-31T23:59:59-08:00", "9999-12-31T12:00:00-12:01", "0001-01-01T00:00:00+08:00")
FOR_EVER = "9999-12-31T23:59:59Z"  # what many systems write for "no end"; printable, and behind midnight here


@pytest.fixture
def trusting(hall: tuple[Hall, Daemon, Machines]) -> tuple[Hall, Daemon, Machines]:
    """The small hall, with the city's key."""
    files = hall[0]
    (files.directory / "city.pub.json").write_text(
        json.dumps({"keys": [public_entry(KEY.public_key(), "city")]})
    )
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    return hall


def policy(version: int, **changes: Any) -> bytes:
    return envelope(document(version=version, halls=["east"], body=BODY, **changes))


async def test_a_retained_policy_of_the_year_9999_is_refused_at_every_start_and_in_safe_mode(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = trusting
    async with operator_at(broker, "east") as operator, watching(broker, REPORT) as reports:
        for version, moment in enumerate(UNPRINTABLE, 2):
            first, last = ("not_before", moment), ("expires", moment)
            bad = policy(version, **dict([first if version % 2 == 0 else last]))
            await operator.client.publish(PUSH, bad, qos=1, retain=True)
            if version == 2:
                await daemon.start()
            await until(lambda: reports != [] and reports[-1]["desired"]["version"] == version)
            assert (reports[-1]["state"], reports[-1]["reason"]["code"]) == ("rejected", "bad-value")
        assert await daemon.stop() == 0
        (files.directory / "hall.db.starts").write_text(f"{FAST_STARTS}\n")
        await operator.client.publish(PUSH, policy(2, not_before=UNPRINTABLE[0]), qos=1, retain=True)
        reports.clear()
        await daemon.restart()
        await until(lambda: any(one["state"] == "rejected" for one in reports))
        assert "safe-mode/east" in json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])["alarms"]
        good = policy(9, expires=FOR_EVER)
        await operator.client.publish(PUSH, good, qos=1, retain=True)
        await until(lambda: reports[-1]["state"] == "applied" and reports[-1]["applied"]["version"] == 9)
        until_text = {"id": "n", "text": "停水", "text_en": "No water", "until": FOR_EVER}
        assert (await operator.order("notice", until_text))["ok"]
        body = until_text | {"until": UNPRINTABLE[0]}
        assert (await operator.order("notice", body))["code"] == "bad-value"
        assert (await operator.order("open", {"window": "w2"}, expires=UNPRINTABLE[0]))["code"] == "bad-value"
    assert await daemon.stop() == 0
    identical(files)


@pytest.mark.parametrize("planted", ["failing_desks", "core_without_policies"])
async def test_a_document_that_crashes_the_program_is_refused_from_the_next_start_on(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto, planted: str
) -> None:
    """A bug in a desk costs the document; a bug in the core one process, and the next start refuses the document."""
    files, daemon, _ = trusting
    daemon.planted = planted
    await daemon.start()
    async with operator_at(broker, "east") as operator, watching(broker, REPORT) as reports:
        bad = policy(3)
        await operator.client.publish(PUSH, bad, qos=1, retain=True)
        if planted == "core_without_policies":
            assert await daemon.ended() != 0
            await daemon.restart()
        await until(lambda: reports != [] and reports[-1]["state"] == "rejected")
        assert reports[-1]["reason"]["code"] == "failed-before"
        if planted == "failing_desks":
            for _ in range(2):
                order = envelope_of(operator.document("open", {"window": "w2"}))
                assert (await operator.send("open", order))["code"] == "failed-before"
                assert (await operator.send("open", order))["code"] == "failed-before"
        assert await daemon.stop() == 0
        if planted == "failing_desks":
            assert len(daemon.logged("document-failed")) == 3, "each once"
        reports.clear()
        await daemon.restart()
        await until(lambda: any(one["state"] == "rejected" for one in reports))
        assert await daemon.stop() == 0
        daemon.planted = ""
        await daemon.restart()
        await operator.client.publish(PUSH, policy(4), qos=1, retain=True)
        await until(lambda: reports[-1]["applied"]["version"] == 4)
    assert not any(isinstance(step.event, OverrideSet) for step in files.steps())
    assert await daemon.stop() == 0
    identical(files)


HOSTILE = (
    "",
    "hall/east/ops/open",
    "hall/west/policy/push",
    "hall/east/anything",
    "hall",
    "city/centre/policy/push",
    "$SYS/broker/version",
    "a/+/b",
    "#",
    "x" * 65_535,
)


async def test_hostile_response_topics_are_dropped_and_counted_and_the_order_is_done(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = trusting
    await daemon.start()
    async with operator_at(broker, "east") as operator, watching(broker, "hall/#") as published:
        for target in HOSTILE:
            with_answer = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            try:
                with_answer.ResponseTopic = target
            except Exception:  # noqa: BLE001 - paho itself refuses wildcards: see the unit below
                continue
            for payload in (b"?", envelope_of(operator.document("pause-issuing", {"for_s": 60}))):
                await publish(operator.client, "hall/east/ops/pause-issuing", payload, with_answer)
        assert (await operator.order("lift", {"kind": "pause-issuing", "target": "hall"}))["ok"]
        done = [step for step in files.steps() if isinstance(step.event, OverrideSet)]
        assert len(done) >= 7
        withheld = 'edged_rejected_inputs_total{reason="answer_topic"}'
        _, metrics = await asyncio.to_thread(files.get, "/metrics")
        count = next(line for line in metrics.splitlines() if "answer_topic" in line)
        assert float(count.rpartition(" ")[2]) >= 2 * 7 - 2, withheld
    places = ("/page/answers", "/answer/operator")  # where pages and a sender of good faith are answered
    own = [message for message in published if not message["topic"].endswith(places)]
    spoken = [message for message in own if "code" in message]
    assert not spoken, f"nothing is said on a hall's own topics: {spoken}"
    assert await daemon.stop() == 0
    assert [line["reason"] for line in daemon.logged("link-down")] == ["stopped"]
    identical(files)


async def publish(client: aiomqtt.Client, topic: str, payload: bytes, properties: Properties) -> None:
    await client.publish(topic, payload, qos=1, properties=properties)


TOPICS = {
    "": False,
    "a/b": True,
    "/": True,
    "号/窗口": True,
    "a/+": False,
    "a#": False,
    "nul\0": False,
    "esc\x1b": False,
    "c1\x85": False,
    "non\ufffe": False,
    "half\ud800": False,
    "x" * 65_536: False,
}
FILTERS = {
    "people/#": True,
    "people/+/vs125": True,
    "#": True,
    "+": True,
    "people/#/vs125": False,
    "people#": False,
    "peo+ple/x": False,
    "people/+x": False,
    "people/##": False,
    "": False,
    "a\0b": False,
    "$share/g/people/#": False,
    "x" * 65_536: False,
}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_to_publish_on_is_accepted_or_refused_as_mqtt_requires(topic: str) -> None:
    assert (topic_fault(topic) == "") is TOPICS[topic]


@pytest.mark.parametrize("topic_filter", FILTERS)
def test_a_topic_filter_is_accepted_or_refused_as_mqtt_requires(topic_filter: str) -> None:
    assert (filter_fault(topic_filter) == "") is FILTERS[topic_filter]


def test_a_condemned_document_is_remembered_on_disk_and_a_damaged_list_counts_as_empty(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "hall.db"
    event = PolicyApplied(1, "", Policy())
    for number in range(KEPT_MAX + 1):
        known = Condemned(journal)
        known.handed_over(event, b"%d" % number)
        known.crashed(event)
    with pytest.raises(DocumentRefused):
        Condemned(journal).check(b"%d" % KEPT_MAX)
    Condemned(journal).check(b"0")
    Condemned(journal).check(b"another")
    known.handed_over(event, b"good")
    known.survived(event)
    known.crashed(event)
    Condemned(journal).check(b"good")
    journal.with_name("hall.db.condemned").write_bytes(b"\xff\n" + b"x" * 99)
    Condemned(journal).check(b"1")


def test_times_out_of_range_are_written_as_the_earliest_or_latest_possible() -> None:
    assert rfc3339(10**18) == "9999-12-31T23:59:59+00:00"
    assert rfc3339(-(10**18)) == "0001-01-01T00:00:00+00:00"
    assert wall_ms() > 0
