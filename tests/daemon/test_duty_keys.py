"""The key of a duty desk: orders what hall.toml lets it, at once and by name; attacked, it orders nothing."""

from __future__ import annotations

import asyncio
import json

import pytest

from edged.central.audience import rfc3339
from edged.central.envelope import private_pem, public_entry, sign
from edged.central.policies import PAYLOAD_TYPE as POLICY_TYPE
from edged.clock import wall_ms
from edged.core.model.events import AlarmAccepted, OverrideSet
from tests.support.brokers import Mosquitto, until
from tests.support.centres import envelope_of, operator_at
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.pages import pages_at
from tests.support.policies import KEY, OTHER_KEY, document, envelope

HOUR_MS = 3_600_000


@pytest.fixture
def desk(hall: tuple[Hall, Daemon, Machines]) -> tuple[Hall, Daemon, Machines]:
    """The small hall with the city's key, and a desk that may open, lift, accept alarms and pause."""
    files = hall[0]
    for name, key in (("city", KEY), ("duty", OTHER_KEY)):
        entry = public_entry(key.public_key(), name)
        (files.directory / f"{name}.pub.json").write_text(json.dumps({"keys": [entry]}))
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    may = '["open", "lift", "accept-alarm", "pause-issuing"]'
    files.edit("[duty]\n", f'[duty]\nkeys = "duty.pub.json"\noperations = {may}\n')
    return hall


async def test_a_desk_orders_what_it_may_by_name_with_a_reason(
    desk: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = desk
    await daemon.start()
    async with operator_at(broker, "east") as operator, pages_at(broker, "east") as pages:
        body = {"window": "w2", "for_s": 600, "reason": "排队太长"}
        raw = envelope_of(operator.document("open", body, by="赵敏"), OTHER_KEY)
        answer = await operator.send("open", raw)
        assert answer["ok"], answer
        await until(lambda: machines.lamp.lamp == "blink")
        await until(lambda: bool(pages["overrides"].get("overrides")))
        stands = pages["overrides"]["overrides"][0]
        assert (stands["by"], stands["reason"], stands["about"]["zh"]) == ("赵敏", "排队太长", "2号窗口")
        assert stands["until"] is not None
        await until(lambda: bool(pages["answers"].get("answers")))
        on_page = pages["answers"]["answers"][0]
        assert (on_page["ok"], on_page["zh"]) == (True, answer["message_zh"])
        set_by = [e for step in files.steps() if isinstance(e := step.event, OverrideSet)]
        assert [(e.target, e.by, e.for_s, e.reason) for e in set_by] == [("w2", "赵敏", 600, "排队太长")]
        order = operator.document("accept-alarm", {"kind": "no-staff", "subject": "tax"}, by="赵敏")
        refused = await operator.send("accept-alarm", envelope_of(order, OTHER_KEY))
        assert (refused["ok"], refused["code"]) == (False, "unknown-alarm")
        assert any(isinstance(step.event, AlarmAccepted) for step in files.steps())
    assert await daemon.stop() == 0
    identical(files)


async def test_a_desk_is_refused_whatever_is_not_its_own(
    desk: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = desk
    await daemon.start()
    async with operator_at(broker, "east") as operator:

        async def code(operation: str, raw: bytes) -> str:
            return str((await operator.send(operation, raw))["code"])

        for operation, body in (
            ("close", {"window": "w1"}),
            ("reset-day", {"force": True}),
            ("rollback", {}),
            ("override", {"kind": "open", "target": "w2"}),  # the same by another door
        ):
            signed = envelope_of(operator.document(operation, body), OTHER_KEY)
            assert await code(operation, signed) == "out-of-scope", operation
        # signed as one it may, sent as one it may not
        opens = envelope_of(operator.document("open", {"window": "w2"}), OTHER_KEY)
        assert await code("close", opens) == "wrong-operation"
        assert (await operator.send("open", opens))["ok"]
        later = envelope_of(operator.document("lift", {"kind": "open", "target": "w2"}), OTHER_KEY)
        assert (await operator.send("lift", later))["ok"]
        assert (await operator.send("open", opens))["code"] == "replayed"
        ago = {"not_before": rfc3339(wall_ms() - 2 * HOUR_MS), "expires": rfc3339(wall_ms() - HOUR_MS)}
        late = operator.document("open", {"window": "w2"}, **ago)
        assert await code("open", envelope_of(late, OTHER_KEY)) == "expired"
        elsewhere = operator.document("open", {"window": "w2"}, halls=["west"])
        assert await code("open", envelope_of(elsewhere, OTHER_KEY)) == "wrong-hall"
        other = sign(json.dumps(document()).encode(), POLICY_TYPE, OTHER_KEY)
        assert await code("open", other) == "wrong-payload-type"
        policy = envelope(key=OTHER_KEY)
        await operator.client.publish("hall/east/policy/push", policy, qos=1)
        await until(lambda: any(line.get("code") == "unknown-signer" for line in daemon.log))
        # the city may still do everything
        assert (await operator.order("close", {"window": "w1"}))["ok"]
    assert await daemon.stop() == 0
    assert [e.kind for s in files.steps() if isinstance(e := s.event, OverrideSet)] == ["open", "close"]


async def test_a_pushed_order_is_answered_on_a_broker_with_answers(
    desk: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    """The command's own answer topic is one on which halls answer."""
    files, daemon, _ = desk
    (files.directory / "city.key").write_bytes(private_pem(KEY))
    await daemon.start()
    words = ("op", "push", "open", "window=w2", "reason=排队太长", "--by", "赵敏")
    where = ("--key", str(files.directory / "city.key"), "--config", str(files.file))
    done = await asyncio.to_thread(edged, *words, *where)
    assert done.returncode == 0, done.stderr
    assert "陈敏" in done.stdout
    assert await daemon.stop() == 0
