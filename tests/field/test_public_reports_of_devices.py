"""More inputs that others reported in public: what scanners type, what buttons and their gateways say of themselves,
what counters write, and files as a power cut or an editor left them.

The rules are those of ``test_public_reports.py``: bytes, messages and their order are those of the report, with this
hall's names where the report has its own, and ``source`` is the address behind github.com.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devices.escpos import codec as escpos
from devices.evdev.codec import EV_KEY, KEY_NAMES, CodeReader, InputRecord
from devices.http_counter.codec import Vendor
from devices.http_counter.codec import decode as counted_in
from devices.mqtt_json.codec import Unfit, decode
from edged.config import ConfigErrors, load
from edged.core.model.events import (
    CountRead,
    DeviceBack,
    DeviceLost,
    Event,
    InputRefused,
    KeyPressed,
    TicketRequested,
)
from edged.core.model.point import Point
from edged.links.modbus.frames import find_rtu_answer
from edged.links.mqtt.link import MqttLink
from tests.devices.test_evdev import DEVICE, keypad_bench
from tests.devices.test_mqtt_map import Bench
from tests.support.brokers import Rejections, plain_client, real_mosquitto, running, settings_for, until
from tests.support.core_transcript import rerun
from tests.support.halls import GOOD

BUTTON, PLACE = Point("d"), "zigbee2mqtt/b"
CALLED, GONE, THERE = KeyPressed(BUTTON, "next-or-recall"), DeviceLost(BUTTON, "offline"), DeviceBack(BUTTON)
BRIDGE = "zigbee2mqtt/bridge/state"


class Scan(NamedTuple):
    """What a scanner typed; ``asked``: the number it requests, None if it must be refused."""

    source: str
    typed: str
    codes: str
    asked: str | None


SCANS = [
    Scan("markusressel/barcode-server/issues/73", "A01$", "number", None),  # "$" is Shift and 4: no A014
    Scan("JumpMind/openpos-framework/issues/2108", "*A012", "number", None),  # a mark in front: no 8A012
    Scan("node-hid/node-hid/issues/58", "2026$17", "appointment", None),
    Scan("harmon25/node-usb-barcode-scanner/issues/16", "q7K2m9", "appointment", "q7K2m9"),
    Scan("mikerovers/usb-barcode-scanner/pull/4", "tax_0917.b", "appointment", "tax_0917.b"),
    Scan(
        "shaxxx/flutter_barcode_listener/issues/34",
        "3BE9604F-9E76-42F8-A584-288AD1B7D087",
        "appointment",
        "3BE9604F-9E76-42F8-A584-288AD1B7D087",
    ),
    Scan("julzhk/usb_barcode_scanner/issues/7", "?https://revpay.uk/52109618", "appointment", None),
    Scan("shaxxx/flutter_barcode_listener/issues/20", "MIK.SUZ.0140", "appointment", "MIK.SUZ.0140"),
]


@pytest.mark.parametrize("scan", SCANS, ids=lambda one: one.source)
async def test_a_scanned_code_asks_for_its_number_or_is_refused_with_a_reason(
    scan: Scan, tmp_path: Path
) -> None:
    kind: dict[str, Any] = {"appointment" if scan.codes == "appointment" else "returning": scan.asked}
    wanted: Event = InputRefused(DEVICE, "request", "unreadable_code")
    if scan.asked is not None:
        wanted = TicketRequested(DEVICE, "tax", **kind)
    async with keypad_bench(tmp_path, reads="codes", service="tax", codes=scan.codes) as (made, _):
        made.fake.scan(scan.typed)
        await until(lambda: made.received != [])
        assert made.received == [wanted]


def test_a_scanner_with_enter_in_front_or_caps_lock_types_the_same_code() -> None:
    """github.com/namshi/keyscannerjs/pull/1: some press Enter before the code, too."""
    typed = ["ENTER", "CAPSLOCK", "A", "0", "1", "2", "CAPSLOCK", "ENTER"]
    codes = CodeReader()
    read = [codes.take(InputRecord(EV_KEY, KEY_NAMES[name], 1)) for name in typed]
    assert [one for one in read if one is not None] == ["A012"]


class ReportedMessage(NamedTuple):
    """Messages on topics, retained or not, and the events that the hall must get from them."""

    source: str
    messages: tuple[tuple[str, str, bool], ...]
    heard: tuple[Event, ...]


WORDS = [
    ReportedMessage(  # the bare word of releases before 2.0: it was taken for a sign of life
        "stas-demydiuk/domoticz-zigbee2mqtt-plugin/issues/802",
        ((f"{PLACE}/availability", "offline", False), (f"{PLACE}/availability", "online", False)),
        (GONE, THERE),
    ),
    ReportedMessage(
        "Koenkk/zigbee2mqtt/issues/10802",
        ((f"{PLACE}/availability", "online", True), (f"{PLACE}/availability", "offline", True)),
        (THERE,),  # what lay there does not silence a device that is there
    ),
    ReportedMessage(  # a topic that only says who is there, cleared: no sign of life
        "arteck/ioBroker.zigbee2mqtt/issues/255",
        ((f"{PLACE}/availability", "", False), (f"{PLACE}/availability", '{"state":"asleep"}', False)),
        (),
    ),
    ReportedMessage(  # the program between is stopped: its buttons are dead, whatever it left about them
        "OpenZWave/Zwave2Mqtt/issues/894",
        (
            (f"{PLACE}/availability", '{"state":"online"}', True),
            (BRIDGE, '{"state":"offline"}', True),
            (BRIDGE, '{"state":"online"}', False),
        ),
        (THERE, DeviceLost(BUTTON, "offline", BRIDGE), THERE),
    ),
    ReportedMessage(  # it says "offline" for ever, and its buttons are heard: they are there
        "Koenkk/zigbee2mqtt/issues/13382",
        (
            (PLACE, '{"action":"single"}', False),
            (BRIDGE, '{"state":"offline"}', True),
            (PLACE, '{"action":"","linkquality":90}', False),
        ),
        (THERE, CALLED),
    ),
    ReportedMessage(
        "Koenkk/zigbee2mqtt/issues/4854",
        (
            (BRIDGE, "offline", False),
            (f"{PLACE}/availability", '{"state":"online"}', True),
            (PLACE, '{"action":"single"}', False),
        ),
        (DeviceLost(BUTTON, "offline", BRIDGE), THERE, CALLED),
    ),
    ReportedMessage(  # the word of another button: a clerk pressed, and nothing would have happened
        "Koenkk/zigbee-herdsman-converters/issues/2618",
        ((PLACE, '{"action":"on","battery":100,"click":"on","linkquality":114}', False),),
        (THERE, InputRefused(BUTTON, "key", "unknown_value")),
    ),
    ReportedMessage(
        "Koenkk/zigbee2mqtt/issues/15220",  # null, the press, and empty text
        (
            (PLACE, '{"action":null,"battery":100,"voltage":3000}', False),
            (PLACE, '{"action":"single","battery":100,"voltage":3000}', False),
            (PLACE, '{"action":"","battery":100,"voltage":3000}', False),
        ),
        (THERE, CALLED),
    ),
]


@pytest.mark.parametrize("word", WORDS, ids=lambda one: one.source)
def test_a_reported_zigbee_message_gives_the_presence_and_key_expected(word: ReportedMessage) -> None:
    bench = Bench()
    driver = bench.driver(model="zigbee-button", topic="b")
    for topic, payload, retained in word.messages:
        driver._received(bench.message(topic, payload, retain=retained))
    assert tuple(bench.events) == word.heard
    assert bench.acks == len(word.messages)
    driver._presence.forget()


async def test_a_button_behind_a_stopped_bridge_is_lost_whatever_is_retained_at_the_broker() -> None:
    """github.com/yllibed/Zigbee2MqttAssistant/issues/344, at a real broker: both claims are retained."""
    bench = Bench()
    async with real_mosquitto() as broker, plain_client(broker, "zigbee2mqtt") as client:
        await client.publish(f"{PLACE}/availability", '{"state":"online"}', qos=1, retain=True)
        await client.publish(BRIDGE, '{"state":"offline"}', qos=1, retain=True)
        bench.mqtt = MqttLink(settings_for(broker), Rejections())
        driver = bench.driver(model="zigbee-button", topic="b")
        async with running(bench.mqtt), asyncio.TaskGroup() as group:
            life = group.create_task(driver.run())
            await until(lambda: bench.events[-1:] == [DeviceLost(BUTTON, "offline", BRIDGE)])
            await client.publish(PLACE, '{"action":"single"}', qos=1)
            await until(lambda: bench.events[-2:] == [THERE, CALLED])
            life.cancel()


AGAIN = [  # source, what was scanned after the booking's code, and the papers that came out
    (
        "cseg-michigan/chez-betty/issues/298",
        "08:50:01 request tax-general appointment=b-1 from=disp\n",
        "A001 A001",
    ),
    (
        "UCSD/campus-mobile/issues/1042",
        "08:58:00 request tax-general appointment=b-1 from=disp\n",
        "A001 A001",
    ),
    ("opengovsg/queuesg/pull/34", "09:01:00 request tax-general appointment=b-1 from=disp\n", "A001 A001"),
    (  # somebody shows the picture of a code whose visitor is being served
        "Gimhae-Yay/Regional-Event-Platform-Backend/issues/798",
        "08:59:00 p1 login qin\n08:59:05 p1 next\n08:59:40 p1 arrive\n"
        "09:01:00 request tax-general appointment=b-1 from=disp\n",
        "A001 A002",
    ),
]


@pytest.mark.parametrize(("source", "lines", "papers"), AGAIN)
def test_a_booking_code_scanned_again_gives_the_same_ticket(source: str, lines: str, papers: str) -> None:
    assert source
    output = rerun(
        "show actions\n08:00:20 appointment b-1 tax-general 09:00:00\n"
        f"08:50:00 request tax-general appointment=b-1 from=disp\n{lines}"
    )
    assert re.findall(r"> print \S+ disp (\S+)", output) == papers.split()


COUNTED = [  # source, payload of a counter's plain topic, how many
    ("esphome/esphome/pull/7733", "nan", None),
    ("esphome/esphome/pull/9842", "12.0", 12),
    ("home-assistant/core/issues/98096", "unavailable", None),
    ("cyberman54/ESP32-Paxcounter/issues/117", "-1", None),
    ("svenwal/gaszaehler-home-assistant-esphome/issues/1", "14647.71973", None),
]
ROODE = {
    "title": "t",
    "source": "s",
    "verified": "nothing",
    "silent_s": 60,
    "inputs": [{"event": "count", "topic": "{topic}/state", "semantics": "occupancy", "occupancy": ""}],
    "examples": [{"topic": "{topic}/state", "payload": "3", "event": "occupancy 3"}],
}


@pytest.mark.parametrize(("source", "payload", "people"), COUNTED)
def test_a_people_counters_number_is_read_or_refused_as_it_writes_it(
    source: str, payload: str, people: int | None
) -> None:
    assert source
    bench = Bench()
    driver = bench.driver(model=ROODE, topic="door")
    driver._received(bench.message("door/state", payload))
    counted = [one for one in bench.events if isinstance(one, CountRead)]
    assert counted == ([] if people is None else [CountRead(BUTTON, "occupancy", occupancy=people)])
    assert bench.rejections.reasons == ([] if people is not None else ["invalid"])


ENDED = [  # source, topic and payload with the end of a text in C behind it, what comes of it
    ("tuanpmt/espduino/issues/10", "d/binary_sensor/button/state", b"ON\0\0", [THERE, CALLED]),
    ("eclipse-mosquitto/mosquitto/issues/130", "d/status", b"offline\0", [GONE]),
    ("philbowles/PangolinMQTT/issues/7", "d/status", b"online\0", [THERE]),
]


@pytest.mark.parametrize(("source", "topic", "payload", "expected"), ENDED)
def test_a_nul_at_the_end_of_a_payload_is_ignored(
    source: str, topic: str, payload: bytes, expected: list[Event]
) -> None:
    assert source
    bench = Bench()
    driver = bench.driver(model="esphome-button", topic="d")
    driver._received(bench.message(topic, payload))
    assert (bench.events, bench.rejections.reasons) == (expected, [])
    driver._presence.forget()


def test_a_nul_at_the_end_of_a_dispensers_json_is_ignored() -> None:
    """github.com/monstrenyatko/ArduinoMqtt/issues/16: the payload's length counted the terminating NUL."""
    sent_payload = b'{"seq":1,"number":"A001","service":"tax-general"}'
    assert decode("ticket", sent_payload + b"\0").body == decode("ticket", sent_payload).body
    with pytest.raises(Unfit):
        decode("ticket", sent_payload[:20] + b"\0" + sent_payload[20:])


ALERT = (
    '<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"><channelID>1</channelID>'
    "<dateTime>2020-12-18T22:39:43+01:00</dateTime><eventType>{}</eventType>{}</EventNotificationAlert>"
)
COUNT = (
    "<peopleCounting><statisticalMethods>realTime</statisticalMethods><enter>{}</enter><exit>3</exit>"
    "</peopleCounting>"
)
HEADER = '--boundary\r\nContent-Type: application/xml; charset="UTF-8"\r\nContent-Length: 847\r\n\r\n'
XOVIS = (
    '{"logics_data":{"logics":[{"id":1,"records":[{"from":1,"to":2,"counts":[{"name":"fw","value":null},'
    '{"name":"bw","value":null}]},{"from":2,"to":3,"counts":[{"name":"fw","value":4},{"name":"bw","value":1}]}]}]}}'
)
POSTED = [  # source, vendor, what a counter posted, who came in
    (
        "Supergiovane/node-red-contrib-hikvision-ultimate/issues/4",  # each alert of another kind, one after the other
        "hikvision",
        HEADER + ALERT.format("videoloss", "") + HEADER + ALERT.format("PeopleCounting", COUNT.format(7)),
        [7],
    ),
    (
        "home-assistant/core/issues/82767",
        "hikvision",
        ALERT.format("PeopleCounting", COUNT.format(7)) + ALERT.format("PeopleCounting", COUNT.format(9)),
        [7, 9],
    ),
    (
        "henry-spanka/node-red-contrib-hikvision/issues/32",
        "hikvision",
        HEADER + ALERT.format("videoloss", ""),
        [],
    ),
    (
        "CityofToronto/bdit_data-sources/pull/389",
        "xovis",
        XOVIS,
        [4],
    ),  # nothing was counted in the first minute
]


@pytest.mark.parametrize(("source", "vendor", "posted", "entered"), POSTED)
def test_a_counters_posted_report_is_counted_once_and_completely(
    source: str, vendor: Vendor, posted: str, entered: list[int]
) -> None:
    assert source
    assert [one.entered for one in counted_in(vendor, posted.encode())] == entered


ON_THE_LINE = [  # source, the request, what the port heard, the answer in it
    (
        "stephane/libmodbus/issues/302",  # a zero when the line turns round
        "01 04 00 00 00 01 31 CA",
        "00 01 04 02 03 25 78 1B",
        "01 04 02 03 25 78 1B",
    ),
    (  # its own request first
        "rosenrot00/esphome_modbus_bridge/pull/21",
        "01 04 00 00 00 01 31 CA",
        "01 04 00 00 00 01 31 CA 01 04 02 03 28 B9 DE",
        "01 04 02 03 28 B9 DE",
    ),
    (  # the gateway swallowed what was between
        "eModbus/eModbus/issues/198",
        "01 03 00 00 00 1F 05 C2",
        "01 03 3E 00 71 02 7B 00 04 01 3D 00 00 00 00 02 79 01",
        "",
    ),
]


@pytest.mark.parametrize(("source", "sent", "received", "answer"), ON_THE_LINE)
def test_a_modbus_answer_is_found_between_other_bytes_on_the_line(
    source: str, sent: str, received: str, answer: str
) -> None:
    assert source
    assert find_rtu_answer(bytes.fromhex(sent), bytes.fromhex(received)) == bytes.fromhex(answer)


def test_status_bytes_of_printers_that_others_could_not_read() -> None:
    """github.com/lsongdev/node-escpos/issues/288: 22 (the drawer's pin is high); github.com/python-escpos/
    python-escpos/issues/143: 114 (the roll was taken out); XON and XOFF of a port with flow control are no answers.
    """
    assert (escpos.is_at_once(22), 22 & escpos.OFFLINE) == (True, 0)
    assert (escpos.is_at_once(114), escpos.paper_at_once(114)) == (True, "out")
    assert not any(escpos.is_at_once(one) or escpos.is_in_turn(one) for one in (0x11, 0x13))


SPOILT = [  # source, the file, what the technician reads
    ("sysrepo/sysrepo/issues/2270", "\0" * 400, "hall.toml:1: ", "a power cut left this file half written"),
    ("neard/neard/issues/115", f"{GOOD}{chr(0) * 400}", "(U+0000): a power cut", "put a copy back"),
    ("toml-lang/toml/issues/837", GOOD.replace("\n", "\r"), "(U+000D)", "save it with line ends LF"),
    (
        "herdrdev/herdr/issues/3678",
        GOOD.replace("[[areas]]", "\ufeff[[areas]]", 1),
        "ZERO WIDTH",
        "delete it",
    ),
]


@pytest.mark.parametrize(("source", "text", "place", "expected"), SPOILT)
def test_a_damaged_configuration_file_is_refused_with_the_kind_of_damage(
    source: str, text: str, place: str, expected: str, tmp_path: Path
) -> None:
    assert source
    file = tmp_path / "hall.toml"
    file.write_bytes(text.encode())
    with pytest.raises(ConfigErrors) as refused:
        load(file)
    mistakes = "\n".join(refused.value.lines)
    assert (place in mistakes, expected in mistakes) == (True, True), mistakes
    assert not set(mistakes) & {"\0", "\r"}, "a terminal acts on them"
