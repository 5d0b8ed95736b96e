"""A device's free text in hall.toml is checked before it reaches what others share."""

from __future__ import annotations

import math
import signal
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from devices import REGISTRY
from edged.config import ConfigErrors, load, options_of
from edged.links.mqtt.link import Message, MqttLink
from edged.shapes import Misshapen, read
from tests.support.brokers import Mosquitto, Rejections, plain_client, running, settings_for, until
from tests.support.daemons import Daemon, Hall, Machines

COUNTER = '\n[[devices]]\nid = "door"\ndriver = "milesight_mqtt"\n{}\n'
BAD = {
    'topic = "people/#/vs125"': "#",
    'topic = "people/door#"': "#",
    'topic = "people/+door"': "+",
    'topic = "people/\\u0000"': "U+0000",
    'topic = "$share/hall/people"': "shared",
    'topic = "people/door"\nsilent_s = nan': "nan",
    'topic = "people/door"\nsilent_s = -1.0': "-1.0",
    'topic = "people/door"\nsilent_s = inf': "inf",
}


async def test_check_and_reload_refuse_a_bad_device_text_and_the_hall_goes_on(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    good = files.file.read_text()
    for number, (options, named) in enumerate(BAD.items(), 1):
        files.file.write_text(good + COUNTER.format(options))
        with pytest.raises(ConfigErrors) as refused:
            load(files.file)
        lines = refused.value.lines
        assert any(named in line for line in lines)
        refused_before = len(daemon.logged("reload-refused"))
        daemon.signal(signal.SIGHUP)
        await until(lambda: len(daemon.logged("reload-refused")) == refused_before + len(lines))
        assert [line["mistake"] for line in daemon.logged("reload-refused")[refused_before:]] == lines
        machines.dispenser.ticket(f"A{number:03d}", "tax-general")
        await until(lambda: len(files.tickets()) == number)
    assert await daemon.stop() == 0


async def test_an_invalid_topic_filter_is_refused_and_other_filters_still_receive_messages(
    broker: Mosquitto,
) -> None:
    rejected = Rejections()
    link = MqttLink(settings_for(broker), rejected)
    received: list[str] = []

    def keep(message: Message) -> None:
        received.append(message.topic)
        message.ack()

    link.subscribe("people/#/vs125", keep)
    link.subscribe("people/door", keep)
    async with running(link), plain_client(broker) as client:
        link.subscribe("people/do+or", keep)
        link.subscribe("people/late", keep)
        for topic in ("people/door", "people/late"):
            await client.publish(topic, b"1", qos=1)
        await until(lambda: received == ["people/door", "people/late"])
    assert rejected.reasons == ["bad_filter", "bad_filter"]


NEEDED: dict[str, dict[str, Any]] = {
    "candle485": {"path": "/dev/x"},
    "escpos": {"path": "/dev/x"},
    "evdev": {"path": "/dev/input/by-id/usb-Keypad-event-kbd"},
    "ff68": {"path": "/dev/x", "callers": {"w1": 1}},
    "http_counter": {"vendor": "axis", "secret_file": "/etc/edged/secrets/door"},
    "ledsender2010": {"host": "10.0.0.1"},
    "milesight_mqtt": {"topic": "people/door"},
    "modbus_map": {"url": "tcp://10.0.0.1", "model": "contacts-8"},
    "modbus_relay": {"url": "tcp://10.0.0.1"},
    "mqtt_map": {"model": "zigbee-button", "topic": "door"},
    "onbon_bx": {"host": "10.0.0.1"},
    "sms": {"people": {"chen": "13800000000"}},
    "webhook": {"vendor": "wecom", "url_file": "/etc/edged/secrets/robot.url"},
    "voice_chip": {"path": "/dev/x"},
}
WILD = (math.nan, math.inf, -math.inf, -1, -1.0, 1e300, 2**63)


def _takes_numbers(kind: Any) -> bool:
    plain = getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind
    if plain in (int, float):
        return True
    return get_origin(plain) is not dict and any(_takes_numbers(arg) for arg in get_args(plain))


@pytest.mark.parametrize("driver", REGISTRY)
def test_every_number_in_the_options_of_a_driver_has_bounds(driver: str) -> None:
    model = options_of(driver)
    hints = get_type_hints(model, include_extras=True)
    numbers = [name for name in model.__struct_fields__ if _takes_numbers(hints[name])]
    assert numbers or driver in ("evdev", "milesight_mqtt", "mqtt_json", "sms", "webhook")
    for name in numbers:
        for value in WILD:
            with pytest.raises(Misshapen):
                read(model, NEEDED.get(driver, {}) | {name: value})
