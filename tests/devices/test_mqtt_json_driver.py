"""JSON devices at a real broker: fakes speak, the driver listens, and the other way round."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiomqtt
import pytest

from devices.mqtt_json import driver as driver_module
from devices.mqtt_json.driver import REFUSALS_MAX, MqttJson, MqttJsonOptions
from devices.mqtt_json.fake import (
    FakeCounter,
    FakeDispenser,
    FakeFleet,
    FakeOutput,
    FakePanel,
    Misbehaviour,
)
from edged.core.model.commands import Action, Display, Lamp, Page, Panel, Print, Say
from edged.core.model.events import (
    CommandDone,
    CountRead,
    DeviceBack,
    DeviceLost,
    Event,
    InputRefused,
    KeyPressed,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.point import Point
from edged.driver import DeviceContext, Refused, Unreachable
from edged.links.mqtt.link import Message, MqttLink
from edged.shapes import read
from tests.support.background import background
from tests.support.brokers import (
    Broker,
    Rejections,
    either_broker,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)


@dataclass
class Hall:
    """One broker, one link, one fleet, and what the drivers emitted."""

    broker: Broker
    link: MqttLink
    fleet: FakeFleet
    rejections: Rejections = field(default_factory=Rejections)
    events: list[Event] = field(default_factory=list)
    unacked: list[Callable[[], None]] = field(default_factory=list)
    hold_acks: bool = False

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        if ack is not None:
            self.unacked.append(ack) if self.hold_acks else ack()
        return True

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @asynccontextmanager
    async def driver(self, device: str, **options: str) -> AsyncIterator[MqttJson]:
        context = DeviceContext(
            device, "t", self.emit, self.rejections, asyncio.sleep, lambda: 0.0, self.link
        )
        driver = MqttJson(context, read(MqttJsonOptions, options))
        async with background(driver.run()):
            await asyncio.sleep(0)
            yield driver


@asynccontextmanager
async def hall_at(broker: Broker) -> AsyncIterator[Hall]:
    rejections = Rejections()
    link = MqttLink(settings_for(broker), rejections)
    hall = Hall(broker, link, FakeFleet("t", port=broker.port), rejections)
    async with running(link):
        yield hall


@pytest.fixture(params=["mosquitto", "embedded"])
async def hall(request: pytest.FixtureRequest) -> AsyncIterator[Hall]:
    async with either_broker(request.param) as broker, hall_at(broker) as started:
        yield started


async def test_inputs_of_all_devices_arrive_and_each_device_is_back_once(hall: Hall) -> None:
    dispenser, panel = FakeDispenser(hall.fleet, "kiosk-1"), FakePanel(hall.fleet, "panel-w3")
    counter = FakeCounter(hall.fleet, "door-1")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hall.driver("kiosk-1", kind="dispenser"))
        await stack.enter_async_context(hall.driver("panel-w3", kind="panel"))
        await stack.enter_async_context(hall.driver("door-1", kind="counter", count="total"))
        await stack.enter_async_context(background(hall.fleet.run()))
        await hall.fleet.connected.wait()
        dispenser.ticket("A012", "tax", "elderly")
        dispenser.request("tax")
        panel.press("pause", "午休")
        counter.passed(3, 1)
        await until(lambda: len(hall.of(CountRead)) == 1 and len(hall.of(KeyPressed)) == 1)
        await until(lambda: len(hall.of(TicketRequested)) == 1 and len(hall.of(DeviceBack)) == 3)
    assert hall.of(TicketPrinted) == [TicketPrinted(Point("kiosk-1"), "A012", "tax", "elderly", 1)]
    assert hall.of(KeyPressed) == [KeyPressed(Point("panel-w3"), "pause", "午休", 1)]
    assert hall.of(CountRead) == [CountRead(Point("door-1"), "total", 3, 1, None, 1)]
    assert hall.rejections == []


async def test_a_device_that_connects_later_receives_its_retained_levels(hall: Hall) -> None:
    lamp = FakeOutput(hall.fleet, "lamp-w3")
    panel = FakePanel(hall.fleet, "panel-w3")
    async with hall.driver("lamp-w3") as lamp_driver, hall.driver("panel-w3") as panel_driver:
        await lamp_driver.show(Point("lamp-w3"), Lamp("blink"))
        await lamp_driver.show(Point("lamp-w3"), Display(("请A012号到3号窗口",)))
        await panel_driver.show(Point("panel-w3"), Panel("w3", "serving", 2, "A012"))
        async with background(hall.fleet.run()):
            await until(lambda: lamp.lamp == "blink" and panel.number == "A012" and bool(lamp.lines))
        with pytest.raises(Refused):
            await lamp_driver.show(Point("lamp-w3/2"), Lamp("on"))


async def test_an_action_returns_when_the_device_reports_it_done(hall: Hall) -> None:
    voice = FakeOutput(hall.fleet, "voice")
    async with hall.driver("voice", kind="voice") as driver, background(hall.fleet.run()):
        await until(lambda: DeviceBack(Point("voice")) in hall.events)
        await driver.act(Action("a-1", Point("voice"), Say("请A012号", "A012 please", "A012")))
        await driver.act(Action("a-2", Point("voice"), Print("A012", "tax", 3)))
        voice.on_action = lambda _kind, _fields: "speaker unplugged"
        with pytest.raises(Refused, match="speaker unplugged"):
            await driver.act(Action("a-3", Point("voice"), Page("s1", "tax", "w6", "请", "please")))
    assert voice.spoken == ["请A012号"]
    assert [kind for kind, _ in voice.actions] == ["say", "print", "page"]
    assert hall.of(CommandDone) == []  # the caller makes the event


async def test_an_unanswered_action_times_out_and_its_late_answer_becomes_an_event(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "ANSWER_S", 0.1)
    voice = FakeOutput(hall.fleet, "voice")
    voice.mute = True
    async with hall.driver("voice") as driver, background(hall.fleet.run()):
        await until(lambda: DeviceBack(Point("voice")) in hall.events)
        with pytest.raises(Unreachable, match="no answer"):
            await driver.act(Action("a-1", Point("voice"), Say("a", "b", "A1")))
        hall.fleet.send("voice", "done", {"id": "a-1", "ok": True})
        await until(lambda: hall.of(CommandDone) == [CommandDone("a-1")])


async def test_a_pager_that_comes_after_its_page_gets_it_once_more(hall: Hall) -> None:
    """A broker that was killed knows no sessions: what is sent before the pager is back reaches nobody."""
    pager = FakePanel(hall.fleet, "pager-1")
    page = Action("a-1", Point("pager-1"), Page("s1", "tax", "w6", "请", "please"))
    async with hall.driver("pager-1", kind="pager") as driver, plain_client(hall.broker) as witness:
        await witness.subscribe("hall/t/dev/pager-1/down/page", qos=1)
        paged = asyncio.create_task(driver.act(page))
        await anext(aiter(witness.messages))
        async with background(hall.fleet.run()):
            await paged
            pager.announce()
            await hall.fleet.drained()
    assert [(kind, fields["id"]) for kind, fields in pager.actions] == [("page", "a-1")]


PAPER = Action("a-1", Point("kiosk-1"), Print("A012", "tax", 3, seq=7, boot="b1"))


async def test_a_ticket_sent_while_no_dispenser_was_connected_is_printed_if_one_comes_in_time() -> None:
    """A broker that says so (MQTT 5, reason code 0x10) knows that it cannot come out twice. The life that asked may be
    over: it goes to whichever is there."""
    async with real_mosquitto() as broker, hall_at(broker) as hall:
        kiosk = FakeDispenser(hall.fleet, "kiosk-1")
        kiosk.boot = "b2"
        async with hall.driver("kiosk-1", kind="dispenser") as driver:
            printed = asyncio.create_task(driver.act(PAPER))
            await until(lambda: "a-1" in driver._no_subscriber)
            async with background(hall.fleet.run()):
                await printed
        assert [(fields["id"], fields.get("answers")) for fields in kiosk.printed] == [("a-1", None)]
        assert hall.events == [DeviceBack(Point("kiosk-1"))]


async def test_a_dispenser_that_repeats_its_request_is_answered_again_with_the_same_number(
    hall: Hall,
) -> None:
    """The same number of the same life: the visitor has one number, and the paper carries the same id."""
    kiosk = FakeDispenser(hall.fleet, "kiosk-1")
    kiosk.boot, kiosk.mute = "b1", True
    async with hall.driver("kiosk-1", kind="dispenser") as driver, background(hall.fleet.run()):
        await until(lambda: DeviceBack(Point("kiosk-1")) in hall.events)
        kiosk.seq = 6
        kiosk.request("tax")
        await until(lambda: len(hall.of(TicketRequested)) == 1)
        printing = asyncio.create_task(driver.act(PAPER))
        await until(lambda: len(kiosk.actions) == 1)
        kiosk.mute, kiosk.seq = False, 6
        kiosk.request("tax")
        await printing
        kiosk.seq = 6
        kiosk.request("tax")  # answered: the core says that it knows it
        await until(lambda: len(hall.of(TicketRequested)) == 3)
    assert [fields["id"] for _kind, fields in kiosk.actions] == ["a-1", "a-1"]
    assert len(kiosk.printed) == 1


async def test_a_device_that_sends_without_subscribing_is_lost_until_it_subscribes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver_module, "ANSWER_S", 0.2)
    async with real_mosquitto() as broker, hall_at(broker) as hall:
        async with hall.driver("kiosk-1", kind="dispenser") as driver, plain_client(broker) as device:
            topic = "hall/t/dev/kiosk-1/down/print"
            request = json.dumps({"seq": 1, "service": "tax"}).encode()
            await device.publish("hall/t/dev/kiosk-1/up/request", request, qos=1)
            await until(lambda: len(hall.of(TicketRequested)) == 1)
            error = ""
            while not error.startswith(
                "not-listening"
            ):  # on a busy machine the broker's word may come after the time
                with pytest.raises(Unreachable) as raised:
                    await driver.act(PAPER)
                error = str(raised.value)
            assert error == f"not-listening: nobody has subscribed to {topic}"
            monkeypatch.setattr(driver_module, "ANSWER_S", math.inf)
            await device.publish("hall/t/dev/kiosk-1/up/request", request.replace(b"1", b"2"), qos=1)
            await until(lambda: len(hall.of(TicketRequested)) == 2)
            with pytest.raises(Unreachable, match="not-listening"):
                await driver.act(PAPER)  # at once: it had its time to come before
            monkeypatch.setattr(driver_module, "ANSWER_S", 14.0)
            async with background(hall.fleet.run()):
                kiosk = FakeDispenser(hall.fleet, "kiosk-1")
                await until(lambda: hall.fleet.connected.is_set())
                await driver.act(PAPER)
        assert [fields["id"] for fields in kiosk.printed] == ["a-1"]
    point = Point("kiosk-1")
    known = [event for event in hall.events if isinstance(event, DeviceLost | DeviceBack)]
    lost = DeviceLost(point, "not-listening", topic)
    assert known == [DeviceBack(point), lost, DeviceBack(point)]


async def test_a_device_that_goes_offline_is_lost_once_and_gets_no_actions(hall: Hall) -> None:
    panel = FakePanel(hall.fleet, "panel-w3")
    async with hall.driver("panel-w3") as driver, background(hall.fleet.run()):
        await until(lambda: hall.events == [DeviceBack(Point("panel-w3"))])
        panel.go(False)
        panel.announce()
        await until(lambda: len(hall.events) == 2)
        with pytest.raises(Unreachable):
            await driver.act(Action("a-1", Point("panel-w3"), Page("s1", "tax", "w6", "请", "please")))
        panel.go(True)
        await until(lambda: len(hall.events) == 3)
    assert hall.events[1:] == [DeviceLost(Point("panel-w3"), "offline"), DeviceBack(Point("panel-w3"))]


async def test_a_lost_broker_loses_every_device_and_its_return_brings_them_back() -> None:
    async with real_mosquitto() as broker, hall_at(broker) as hall:
        for name in ("lamp-1", "lamp-2"):
            FakeOutput(hall.fleet, name)
        async with hall.driver("lamp-1") as driver, hall.driver("lamp-2"), background(hall.fleet.run()):
            await until(lambda: len(hall.of(DeviceBack)) == 2)
            await broker.kill()
            await until(lambda: len(hall.of(DeviceLost)) == 2)
            assert {event.reason for event in hall.of(DeviceLost)} == {"broker"}  # type: ignore[union-attr]
            with pytest.raises(Unreachable):
                await driver.show(Point("lamp-1"), Lamp("on"))
            await broker.start()
            await until(lambda: len(hall.of(DeviceBack)) == 4)


async def test_simulated_devices_reconnect_after_a_broker_that_closed_before_answering() -> None:
    """What a broker does that ends while a client knocks; a fake that waits for its answer for ever proves nothing."""
    async with real_mosquitto() as broker:
        await broker.stop()
        knocks = 0

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal knocks
            knocks += 1
            writer.close()

        fleet = FakeFleet("t", port=broker.port)
        async with background(fleet.run()):
            async with await asyncio.start_server(hang_up, "127.0.0.1", broker.port):
                await until(lambda: knocks == 1)
            await broker.start()
            await until(fleet.connected.is_set)


async def test_a_device_that_never_sent_anything_gets_actions_once_the_broker_is_there() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        hall = Hall(broker, link, FakeFleet("t", port=broker.port))
        async with hall.driver("pager-1", kind="pager") as driver:
            assert hall.events == [DeviceLost(Point("pager-1"), "broker")]
            async with plain_client(broker) as listener, running(link):
                await listener.subscribe("hall/t/dev/pager-1/down/page")
                await until(lambda: link.connected)
                page = Action("a-1", Point("pager-1"), Page("s1", "tax", "w6", "请", "please"))
                async with background(driver.act(page)):
                    message = await anext(aiter(listener.messages))
                    assert json.loads(message.payload)["id"] == "a-1"


@pytest.mark.parametrize("before_the_link", [True, False])
async def test_a_device_that_never_sent_anything_is_lost_as_silent_once_the_link_is_up(
    before_the_link: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "no link to the broker": that sends the technician to a broker that is well, and never alarms."""
    monkeypatch.setattr("edged.driver.ANNOUNCE_S", 1.0)
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        hall = Hall(broker, link, FakeFleet("t", port=broker.port))
        dead, alive = Point("panel-w3"), Point("panel-w4")
        async with AsyncExitStack() as stack:
            if not before_the_link:
                await stack.enter_async_context(running(link))
            await stack.enter_async_context(hall.driver("panel-w3", kind="panel"))
            await stack.enter_async_context(hall.driver("panel-w4", kind="panel"))
            device = await stack.enter_async_context(plain_client(broker))
            await device.publish("hall/t/dev/panel-w4/up/status", b'{"state":"online"}', qos=1, retain=True)
            if before_the_link:
                await stack.enter_async_context(running(link))
            await until(
                lambda: DeviceLost(dead, "silent") in hall.events and DeviceBack(alive) in hall.events
            )
            await device.publish("hall/t/dev/panel-w3/up/status", b'{"state":"online"}', qos=1, retain=True)
            await until(lambda: DeviceBack(dead) in hall.events)
    assert DeviceLost(alive, "silent") not in hall.events


async def test_retained_foreign_and_invalid_inputs_are_counted_and_acknowledged(hall: Hall) -> None:
    async with plain_client(hall.broker) as device:
        up = "hall/t/dev/panel-w3/up"
        await device.publish(f"{up}/key", b'{"seq":1,"key":"next"}', qos=1, retain=True)
        async with hall.driver("panel-w3", kind="panel"):
            await until(lambda: hall.rejections.reasons == ["retained"])
            await device.publish(f"{up}/count", b'{"seq":1,"occupancy":3}', qos=1)
            await device.publish(f"{up}/dance", b"{}", qos=1)
            await device.publish(f"{up}/key", b'{"seq":2,"key":"dance"}', qos=1)
            await device.publish(f"{up}/key", b'{"seq":2,"key":"next","arg":"11010519491231002X"}', qos=1)
            await device.publish(f"{up}/key", b'{"seq":3,"key":"next","beep":true}', qos=1)
            await until(lambda: len(hall.of(KeyPressed)) == 1)
            assert hall.link.connection is not None
            await until(lambda: hall.link.connection is not None and hall.link.connection.unacked == 0)
    assert hall.rejections.reasons == [
        "retained",
        "unexpected",
        "unknown_topic",
        "invalid",
        "personal_data",
        "unknown_key",
    ]
    assert "11010519491231002X" not in repr(hall.rejections)
    assert hall.of(KeyPressed) == [KeyPressed(Point("panel-w3"), "next", None, 3)]


async def test_an_input_is_acknowledged_only_after_its_step_is_stored(hall: Hall) -> None:
    hall.hold_acks = True
    panel = FakePanel(hall.fleet, "panel-w3")
    async with hall.driver("panel-w3"), background(hall.fleet.run()):
        await hall.fleet.connected.wait()
        panel.press("next")
        await until(lambda: len(hall.of(KeyPressed)) == 1)
        assert hall.link.connection is not None
        assert hall.link.connection.unacked == 1
        hall.unacked[0]()
        assert hall.link.connection.unacked == 0


async def test_no_key_is_lost_from_devices_that_repeat_reorder_and_delay_messages() -> None:
    async with real_mosquitto() as broker, hall_at(broker) as hall:
        panel = FakePanel(hall.fleet, "panel-w3")
        seed = 7
        hall.fleet.misbehave(Misbehaviour(seed, duplicate=0.2, reorder=0.2, late=0.2, late_s=0.05))
        async with hall.driver("panel-w3"), background(hall.fleet.run()):
            await hall.fleet.connected.wait()
            for _ in range(100):
                panel.press("next")
            await until(lambda: {event.seq for event in hall.of(KeyPressed)} == set(range(1, 101)), 5)  # type: ignore[union-attr]
            hall.fleet.flush()
        seqs = [event.seq or 0 for event in hall.of(KeyPressed)]  # type: ignore[union-attr]
        assert len(seqs) > 100, f"no duplicate with seed={seed}"
        assert seqs != sorted(seqs), f"nothing out of order with seed={seed}"


async def test_actions_carry_a_message_expiry() -> None:
    async with real_mosquitto() as broker, hall_at(broker) as hall, hall.driver("voice") as driver:
        five = aiomqtt.ProtocolVersion.V5
        async with aiomqtt.Client(
            "127.0.0.1", broker.port, identifier="probe", protocol=five, timeout=math.inf
        ) as probe:
            await probe.subscribe("hall/t/dev/voice/down/say", qos=1)
            async with background(driver.act(Action("a-1", Point("voice"), Say("a", "b", "A1")))):
                async with asyncio.timeout(5):
                    message = await anext(probe.messages)
        assert json.loads(message.payload)["id"] == "a-1"
        expiry_s = message.properties.MessageExpiryInterval  # type: ignore[union-attr]
        assert 0 < expiry_s <= 15


def test_refused_messages_are_reported_up_to_a_limit_and_retained_ones_never() -> None:
    events: list[Event] = []
    acks: list[str] = []

    def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
        events.append(event)
        return True

    context = DeviceContext("panel-1", "t", emit, Rejections(), asyncio.sleep, lambda: 0.0, None)
    driver = MqttJson(context, read(MqttJsonOptions, {}))

    def unreadable(retain: bool) -> Message:
        return Message("t/panel-1/up/key", b"nonsense", retain, lambda: acks.append("ack"))

    for _ in range(2):
        driver._refuse("key", "invalid", unreadable(retain=True))
    assert (events, len(acks)) == ([], 2)
    for _ in range(REFUSALS_MAX + 3):
        driver._refuse("key", "invalid", unreadable(retain=False))
    refusals = [event for event in events if isinstance(event, InputRefused)]
    assert len(refusals) == REFUSALS_MAX
    assert len(acks) == 2 + 3, "the others were acknowledged with the step that they began"
