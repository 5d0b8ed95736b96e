"""The office (all desks for the centre's documents): of a flood of refusals the core hears only some, whatever the
clock does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from edged.central import topics
from edged.central.audience import LastOrder, Order
from edged.central.condemned import Condemned
from edged.central.office import REPORTED_MAX, REPORTED_WITHIN_MS, Dependencies, Office
from edged.central.operation_desk import _OpenOrder
from edged.central.refusals import Reason
from edged.config import load
from edged.core.model.commands import Note
from edged.core.model.events import DocumentRejected, Event
from edged.core.model.state import State
from edged.links.mqtt.link import Message, MqttLink, MqttSettings
from edged.store.records import ALONE, Attachments
from tests.support.brokers import Rejections, plain_client, real_mosquitto, running, settings_for, until
from tests.support.halls import GOOD
from tests.support.journals import open_journal
from tests.support.policies import KEYS, NOW_MS

HOUR_MS = 3_600_000
FLOOD = REPORTED_MAX + 5


async def test_of_a_flood_the_core_hears_now_and_then_also_when_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hall.toml"
    file.write_text(GOOD)
    wall_ms, counted = [NOW_MS], list[str]()
    events: list[Event] = []

    def put(event: Event, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE) -> bool:
        events.append(event)
        return True

    async with real_mosquitto() as broker, open_journal(tmp_path / "hall.db") as journal:
        link = MqttLink(settings_for(broker), Rejections())
        given = Dependencies(
            put=put,
            wall_ms=lambda: wall_ms[0],
            stamp=str,
            reject=Rejections(),
            state=State,
            condemned=Condemned(),
            count_refused=counted.append,
            answered=lambda of, body: None,
            ahead=lambda why: None,
            concern=lambda alarm, standing: None,
            silent=False,
        )
        office = Office(load(file), KEYS, link, journal, given)
        office.start()
        async with running(link), plain_client(broker, "centre") as centre:
            for later_ms in (0, REPORTED_WITHIN_MS, -HOUR_MS, REPORTED_WITHIN_MS):
                wall_ms[0] += later_ms
                before = len(counted)
                events.clear()
                for _ in range(FLOOD):
                    await centre.publish(topics.policy_push("east"), b"rubbish", qos=1)
                await until(lambda: len(counted) == before + FLOOD)
                assert events == [DocumentRejected("policy", "not-an-envelope", "")] * REPORTED_MAX


async def test_an_operator_reads_where_an_order_is_wrong_and_the_log_why_it_did_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hall.toml"
    file.write_text(GOOD)
    bodies: list[dict[str, Any]] = []
    async with open_journal(tmp_path / "hall.db") as journal:
        given = Dependencies(
            put=lambda event, ack=None, attachments=ALONE: True,
            wall_ms=lambda: NOW_MS,
            stamp=str,
            reject=Rejections(),
            state=State,
            condemned=Condemned(),
            count_refused=lambda code: None,
            answered=lambda of, body: bodies.append(body),
            ahead=lambda why: None,
            concern=lambda alarm, standing: None,
            silent=False,
        )
        desk = Office(
            load(file), KEYS, MqttLink(MqttSettings("edged-test"), Rejections()), journal, given
        ).operations
        request = Message(topics.operation("east", "close"), b"", False, lambda: None)
        desk._answer(request, Reason("bad-value", "body.window", "no such window", "没有这个窗口"), "order-1")
        desk._answer(request, Reason("expired", "", "too late", "已过期"), "order-1")
        order = Order("close", "order-1", "chen", "key", LastOrder(5, "0" * 64), None, again=False)
        with structlog.testing.capture_logs() as logs:
            for notes in ((), (Note("ignored", "A001", {"reason": "number_unknown"}),)):
                desk._send_answer(_OpenOrder(order, request, notes))
    assert [(body["message"], body["message_zh"]) for body in bodies[:2]] == [
        ("body.window: no such window", "body.window: 没有这个窗口"),
        ("too late", "已过期"),
    ]
    assert [line["refused_by_core"] for line in logs] == [None, "number_unknown"]
