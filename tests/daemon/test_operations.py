"""Orders from the centre to the whole daemon: done, refused in every way, never done twice, always answered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from edged.central.audience import epoch_ms, rfc3339
from edged.central.envelope import public_entry, sign
from edged.central.policies import PAYLOAD_TYPE as POLICY_TYPE
from edged.clock import wall_ms
from edged.core.model.events import NoticePosted, OverrideSet
from tests.support.brokers import Mosquitto, until
from tests.support.centres import Operator, envelope_of, operator_at
from tests.support.daemon_checks import identical, watching
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.policies import KEY, OTHER_KEY, document, envelope

HOUR_MS = 3_600_000


@pytest.fixture
def trusting(hall: tuple[Hall, Daemon, Machines]) -> tuple[Hall, Daemon, Machines]:
    """The small hall, with the city's key."""
    files = hall[0]
    (files.directory / "city.pub.json").write_text(
        json.dumps({"keys": [public_entry(KEY.public_key(), "city")]})
    )
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    return hall


def orders(hall: Hall) -> list[OverrideSet]:
    """Without their ids."""
    return [replace(step.event, order="") for step in hall.steps() if isinstance(step.event, OverrideSet)]


async def test_an_order_is_done_answered_and_shown(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = trusting
    await daemon.start()
    async with operator_at(broker, "east") as operator:
        document = operator.document("open", {"window": "w2", "for_s": 600})
        answer = await operator.send("open", envelope_of(document))
        done = {"ok": True, "code": "done", "id": document["id"]}
        assert answer == done | {"message": answer["message"], "message_zh": answer["message_zh"]}
        assert answer["message_zh"].startswith("已请")  # whom it asked, because it does not open at once
        await until(lambda: machines.lamp.lamp == "blink")
        again = await operator.send("open", envelope_of(document))
        assert again == done | {"message": "done", "message_zh": "已执行"}
        assert orders(files) == [OverrideSet("open", "w2", "陈敏", 600)]
        assert (await operator.order("lift", {"kind": "open", "target": "w2"}))["ok"]
        assert (await operator.order("ask-window", {"area": "tax"}))["ok"]
        wrong = await operator.order("close", {"window": "w9"})
        assert (wrong["ok"], wrong["code"]) == (False, "unknown-window")
        assert "没有这个窗口" in wrong["message_zh"]
    assert await daemon.stop() == 0
    assert files.notes()["override.set"] == 1
    identical(files)


async def test_a_notice_stands_on_the_boards_until_it_is_withdrawn(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = trusting
    await daemon.start()
    notice = {"id": "water", "text": "三楼停水", "text_en": "No water", "areas": ["tax"]}
    async with (
        operator_at(broker, "east") as operator,
        watching(broker, "hall/east/dev/screen/down/display") as shown,
    ):

        def stands() -> bool:
            return shown != [] and "三楼停水 No water" in shown[-1]["lines"]

        until_text = rfc3339(wall_ms() + HOUR_MS)
        assert (await operator.order("notice", {**notice, "until": until_text}))["ok"]
        await until(stands)
        steps = files.steps()
        posted = [replace(step.event, order="") for step in steps if isinstance(step.event, NoticePosted)]
        assert posted == [
            NoticePosted("water", "三楼停水", "No water", ("tax",), epoch_ms(until_text), "陈敏")
        ]
        assert (await operator.order("withdraw", {"id": "water"}))["ok"]
        await until(lambda: not stands())
        for operation, body, code in (
            ("withdraw", {"id": "water"}, "no-such-notice"),
            ("notice", {**notice, "areas": ["garden"]}, "unknown-area"),
            ("notice", {**notice, "until": rfc3339(wall_ms() - HOUR_MS)}, "notice-over"),
            ("notice", {**notice, "until": "2026-02-30T12:00:00+08:00"}, "bad-value"),
            ("notice", {**notice, "until": "noon"}, "bad-value"),
            ("notice", {**notice, "text": ""}, "missing-field"),
        ):
            answer = await operator.order(operation, body)
            assert (answer["ok"], answer["code"]) == (False, code), answer
            assert answer["message_zh"]
    assert await daemon.stop() == 0
    assert files.notes()["notice.posted"] == files.notes()["notice.withdrawn"] == 1
    identical(files)


def refusals(operator: Operator) -> dict[str, tuple[str, bytes]]:
    """Everything that must be refused: code -> what was sent, and under which name."""
    body = {"window": "w2"}

    def signed(**changes: Any) -> tuple[str, bytes]:
        return "open", envelope_of(operator.document("open", body, **changes))

    now_ms = wall_ms()
    good = envelope_of(operator.document("open", body))
    return {
        "too-large": ("open", b"{" + b" " * 65_536),
        "not-an-envelope": ("open", b"{}"),
        "wrong-payload-type": ("open", sign(b"{}", POLICY_TYPE, KEY)),
        "unknown-signer": ("open", envelope_of(operator.document("open", body), OTHER_KEY)),
        "bad-signature": (
            "open",
            good.replace(b'"sig": "', b'"sig": "AAAA').replace(b'"sig":"', b'"sig":"AAAA'),
        ),
        "not-json": ("open", sign(b"{", "application/vnd.edged.operation+json", KEY)),
        "missing-field": signed(by=None),
        "unknown-field": signed(extra=1),
        "bad-value": signed(counter=-1),
        "wrong-type": signed(type="policy"),
        "wrong-hall": signed(halls=["west"]),
        "wrong-operation": ("close", good),
        "expired": signed(not_before=rfc3339(now_ms - 2 * HOUR_MS), expires=rfc3339(now_ms - HOUR_MS)),
        "too-long": signed(expires=rfc3339(now_ms + 48 * HOUR_MS)),
        "not-yet": signed(not_before=rfc3339(now_ms + HOUR_MS), expires=rfc3339(now_ms + 2 * HOUR_MS)),
        "replayed": signed(counter=1),
        "unknown-operation": (
            "opne",
            envelope_of(operator.document("opne", body)),
        ),
        "no-earlier-policy": ("rollback", envelope_of(operator.document("rollback", {}))),
    }


async def test_every_wrong_order_is_refused_with_its_reason(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = trusting
    await daemon.start()
    async with operator_at(broker, "east") as operator:
        assert (await operator.order("pause-issuing", {"for_s": 60}))["ok"]
        for code, (name, raw) in refusals(operator).items():
            answer = await operator.send(name, raw)
            assert (answer["ok"], answer["code"]) == (False, code), answer
            assert answer["message"]
            assert answer["message_zh"]
        for body in ({}, {"window": "W2"}, {"window": "w2", "for_s": 0}, {"window": "w2", "until": "noon"}):
            assert (await operator.order("open", body))["ok"] is False
        assert len(orders(files)) == 2  # W2 may be a name; that nobody bears it, the core finds
        assert await files.metric("edged_policy_rejected_total") == len(refusals(operator)) + 3
        await until(lambda: files.notes()["operation.refused"] == 11)  # ten and W2; the rest is only counted
    assert await daemon.stop() == 0
    identical(files)


async def test_a_retained_order_is_refused_and_no_answer_goes_to_our_own_topics(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = trusting
    async with operator_at(broker, "east") as operator, watching(broker, "hall/east/dev/#") as published:
        kept = envelope_of(operator.document("open", {"window": "w2"}))
        await operator.client.publish("hall/east/ops/open", kept, qos=1, retain=True)
        await daemon.start()
        await until(lambda: daemon.logged("operation-refused") != [])
        assert {line["code"] for line in daemon.logged("operation-refused")} == {"retained"}
        lamp = "hall/east/dev/lamp-w2/down/lamp"
        await operator.send("close", b"?", answers=lamp)
        await until(lambda: [line["reason"] for line in daemon.logged("input-rejected")] == ["answer_topic"])
    assert not any("code" in message for message in published)
    assert orders(files) == []


async def test_a_kill_forgets_neither_counter_nor_policy(
    trusting: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = trusting
    await daemon.start()
    async with (
        operator_at(broker, "east") as operator,
        watching(broker, "hall/east/policy/report") as reports,
    ):
        body = {"calling": {"max_calls": 2}}
        for version in (1, 2):
            pushed = envelope(document(version=version, halls=["east"], body=body))
            await operator.client.publish("hall/east/policy/push", pushed, qos=1)
            await until(lambda: reports != [] and reports[-1]["applied"]["version"] == version)
        assert (await operator.order("rollback", {"version": 1}))["code"] == "not-in-force"
        rollback = envelope_of(operator.document("rollback", {}))
        assert (await operator.send("rollback", rollback))["ok"]
        await until(lambda: reports[-1]["state"] == "rolled-back")
        assert reports[-1]["applied"]["version"] == 1
        announced = envelope_of(operator.document("pause-issuing", {"area": "tax"}))
        assert (await operator.send("pause-issuing", announced))["ok"]
        await daemon.kill()
        await daemon.restart()
        assert (await operator.send("pause-issuing", announced))[
            "ok"
        ]  # the broker's own redelivery looks like this
        assert (await operator.send("rollback", rollback))["code"] == "replayed"
        assert (await operator.order("rollback", {}))["code"] == "no-earlier-policy"
        status = json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])
        assert status["policy_version"] == 1
        reports.clear()
        for version, state, in_force in ((2, "rolled-back", 1), (3, "applied", 3)):
            pushed = envelope(document(version=version, halls=["east"], body=body))
            await operator.client.publish("hall/east/policy/push", pushed, qos=1)
            await until(lambda: reports != [] and reports[-1]["desired"]["version"] == version)
            assert (reports[-1]["state"], reports[-1]["applied"]["version"]) == (state, in_force)
        assert (await operator.order("rollback", {"version": 3}))["ok"]
        await until(lambda: reports[-1].get("reason", {}).get("code") == "taken-back")
        assert reports[-1]["applied"]["version"] == 1, "not to the one that was taken back before"
    assert len(orders(files)) == 1
    assert files.notes()["policy.rolled_back"] == 2
    assert await daemon.stop() == 0
    identical(files)
