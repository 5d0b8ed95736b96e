"""Inputs that others reported in public, each with its source, and what this hall makes of them.

Nobody here made them up: the messages, bytes, files and order of events are those of the report, with this hall's names
where the report has its own. ``source`` is the address behind github.com. ``kind`` is the kind of fault they belong to;
every kind that is tried here has at least three from different reports.
"""

from __future__ import annotations

import io
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

import configs
from devices.mqtt_json.codec import Unfit, decode
from devices.mqtt_map.codec import findings
from devices.mqtt_map.driver import MqttMapOptions
from edged.central.audience import epoch_ms
from edged.central.operations import inspect
from edged.central.refusals import DocumentRefused
from edged.cli.terminal import NAME, substitute_unprintable
from edged.config import ConfigErrors, accepted, load
from edged.driver import Garbled
from edged.links.modbus.frames import find_rtu_answer, find_tcp_answer, misfit, rtu_frame
from edged.links.mqtt.settings import first_line
from tests.field.test_stale_claims import Parts, publish_presence
from tests.observers.test_web import served
from tests.support import host_headers
from tests.support.brokers import Mosquitto, until
from tests.support.core_transcript import rerun
from tests.support.halls import GOOD

SHIPPED = Path(configs.__path__[0]) / "mosquitto" / "edged.conf"
LEAST = 3


class Story(NamedTuple):
    """A transcript of what happened elsewhere; its outcome must contain ``says`` and must not contain ``never``."""

    kind: str
    source: str
    lines: str
    says: tuple[str, ...]
    never: tuple[str, ...] = ()


SENDERS = "seen once: one sender assumed"
FOLLOW = "follow mode"
QUEUE = "08:20:00 site queue queue\n"
STORIES = [
    Story(
        "an identity without the sender's epoch",
        "arendst/Tasmota/issues/7766",  # 483 in the evening, 310 after two power cuts
        "08:30:00 count door 400\n08:31:00 count door 483\n08:32:00 lost door offline\n08:40:00 back door\n"
        "08:40:01 count door 310\n08:41:00 count door 312\n",
        ("entered=83", "entered=2"),
        ("entered=310", "entered=-"),
    ),
    Story(
        "an identity without the sender's epoch",
        "letscontrolit/ESPEasy/pull/72",  # a total that begins with 0 after a reboot
        "08:30:00 count door 1000\n08:31:00 count door 1040\n08:32:00 count door 3\n08:33:00 count door 9\n",
        ("entered=40", "entered=6"),
        ("entered=-",),
    ),
    Story(
        "an identity without the sender's epoch",
        "domoticz/domoticz/pull/6429",  # meter and controller restart at once
        "08:30:00 count door 2000\n08:31:00 count door 2010\n08:32:00 resumed restart\n08:32:10 count door 4\n"
        "08:33:00 count door 7\n",
        ("entered=10", "entered=3"),
        ("entered=2000", "entered=-"),
    ),
    Story(
        "an identity without the sender's epoch",
        "Koenkk/zigbee2mqtt/issues/649",  # one press, four messages with the same number
        "08:30:00 ticket A001 tax-general\n08:30:01 ticket A002 tax-general\n08:31:00 p1 next seq=5\n"
        "08:31:00 p1 next seq=5\n08:31:00 p1 next seq=5\n08:31:01 p1 next seq=5\n",
        ("ticket.called A001", "reason=duplicate seq=5"),
        ("ticket.called A002",),
    ),
    Story(
        "a visitor's input that ends in ignored",
        "Memuro-Town/MADO-queue/issues/21",  # no paper came out, and the number waits
        "08:30:00 request tax-general\n08:30:05 failed a1 USB device not found\n08:30:10 state A001\n",
        ("alarm=print-failed", "state=WAITING"),
    ),
    Story(
        "a visitor's input that ends in ignored",
        "Repair-DeskPOS/RepairDesk-BUGS-IMPROVEMENTS/issues/367",  # numbers begin again and overwrite old ones
        "08:28:00 ticket A001 tax-general seq=1\n08:28:01 ticket A002 tax-general seq=2\n"
        "08:30:00 ticket A001 tax-general seq=3\n",
        ("number-repeated", "alarm=paper-in-doubt"),
    ),
    Story(
        "a visitor's input that ends in ignored",
        "mrf345/FQM/issues/230",  # after "reset all" the same serials are given again
        "08:28:00 ticket A001 tax-general seq=1\n08:28:10 p1 next\n08:28:20 p1 arrive\n08:30:00 p1 finish\n"
        "08:31:00 ticket A001 tax-general seq=2\n",
        ("A001",),
        ("reason=duplicate",),
    ),
    Story(
        "a visitor's input that ends in ignored",
        "Repair-DeskPOS/RepairDesk-BUGS-IMPROVEMENTS/issues/1440",  # from T-17xx back to 0-1, 0-2, 0-3
        "08:28:00 tickets A001-A003 tax-general 5\n08:40:00 ticket A001 tax-general\n"
        "08:40:10 ticket A002 tax-general\n",
        ("alarm=paper-in-doubt", "number-repeated"),
    ),
    Story(
        SENDERS,
        "knolleary/pubsubclient/issues/129",  # two that throw each other off, again and again
        "08:30:00 health disp low seq=1 boot=a\n08:30:01 lost disp offline\n08:30:02 back disp\n"
        "08:30:03 health disp low seq=1 boot=b\n08:30:04 lost disp offline\n08:30:05 back disp\n"
        "08:30:06 health disp low seq=2 boot=a\n08:30:10 request tax-general seq=3 boot=a\n",
        ("alarm=device-twice", "refuse a1 disp"),
        ("print a1",),
    ),
    Story(
        SENDERS,
        "Edubits/Zway-MQTT/issues/49",  # each counts by itself
        "08:30:00 health disp low seq=50\n08:30:10 health disp low seq=3\n08:30:20 health disp low seq=51\n"
        "08:30:30 health disp low seq=4\n",
        ("alarm=device-twice",),
    ),
    Story(
        SENDERS,
        "allangood/rtlamr2mqtt/issues/312",  # the will of one says "offline" of both
        "08:30:00 request tax-general seq=1 boot=a\n08:30:05 lost disp offline\n08:30:06 back disp\n"
        "08:30:07 request tax-general seq=1 boot=b\n08:30:12 request tax-general seq=2 boot=a\n",
        ("alarm=device-twice", "print a1 disp A001", "print a2 disp A002", "device_twice"),
    ),
    Story(
        FOLLOW,
        "unc-csxl/csxl.unc.edu/issues/639",  # each poll has the list in another order
        f"{QUEUE}08:30:00 ticket A001 tax-general from=queue\n08:30:01 ticket A002 tax-general from=queue\n"
        "08:30:02 ticket A003 tax-general from=queue\n08:31:00 queued tax-general A003 A001 A002\n"
        "08:31:10 queued tax-general A002 A003 A001\n08:31:20 queued tax-general A001 A002 A003\n"
        "08:31:30 state A001\n08:31:30 state A003\n",
        ("A001 service=tax-general", "state=WAITING"),
        ("ticket.cancelled", "reason="),
    ),
    Story(
        FOLLOW,
        "mrf345/FQM/issues/230",  # "reset all": the same numbers for other people
        f"{QUEUE}08:30:00 ticket A001 tax-general from=queue\n08:30:10 called A001 w1\n08:31:00 ended w1 A001\n"
        "08:40:00 ticket A001 tax-general from=queue\n08:40:10 called A001 w1\n",
        (
            "ticket.finished A001",
            "ticket.called A001 window=w1 area=tax service=tax-general priority=normal wait_s=10",
        ),
        ("reason=number_repeated",),
    ),
    Story(
        FOLLOW,
        "lijsamuael/qms/issues/3",  # somebody edits a ticket: it is called without having been in the list
        f"{QUEUE}08:30:00 queued tax-general A001\n08:30:10 called A009 w1\n08:31:00 ended w1 A009\n",
        ("A009",),
    ),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda one: one.source)
def test_a_publicly_reported_queue_problem_ends_well_here(story: Story) -> None:
    output = rerun("show notes actions\n" + story.lines)
    for wanted in story.says:
        assert wanted in output, output
    for wrong in story.never:
        assert wrong not in output, output


class Sent(NamedTuple):
    """A message of a described device; ``says``: how it is read, None if it is refused and counted."""

    kind: str
    source: str
    description: str
    topic: str
    payload: bytes
    says: tuple[str, ...] | None


EMPTY = "empty is not absent"
GRAMMAR = "our own grammar for a named standard"
BUTTON = ("zigbee-button", "zigbee2mqtt/press")
SENT = [
    Sent(
        EMPTY,
        "Koenkk/zigbee2mqtt/issues/15771",
        *BUTTON,
        b'{"action":"","battery":100,"device":{"applicationVersion":9,"manufacturerName":"Signify Netherlands B.V."},'
        b'"device_mode":"single_rocker","last_seen":"2022-12-27T15:39:36.837Z","linkquality":255}',
        (),
    ),
    Sent(
        EMPTY,
        "Koenkk/zigbee2mqtt/issues/7526",
        *BUTTON,
        b'{"action":"","battery":66.5,"linkquality":87,"update":{"installed_version":33565696,'
        b'"latest_version":33565954,"state":"available"},"update_available":null}',
        (),
    ),
    Sent(
        EMPTY,
        "Koenkk/zigbee-herdsman-converters/issues/3340",
        *BUTTON,
        b'{"action":"","battery":100,"battery_low":false,"brightness":64,"linkquality":57,"voltage":3100}',
        ("fault",),  # none: the battery is not low
    ),
    Sent(
        EMPTY,
        "Koenkk/zigbee2mqtt/issues/32015",
        *BUTTON,
        b'{"action":"single","battery":100,"linkquality":98,"update":{"installed_version":-1,"latest_version":-1,'
        b'"state":null},"voltage":3000}',
        ("key next-or-recall",),
    ),
    Sent(
        GRAMMAR,
        "home-climate-control/dz/issues/145",
        *BUTTON,
        b'{"entity_type":"sensor","name":"1B0300A279691428","signal":NaN,"device_id":"ESP8266-7ADDC8"}',
        None,
    ),
    Sent(
        GRAMMAR,
        "Blueforcer/awtrix-ng/issues/9",
        *BUTTON,
        b'{"version":"1.0.13","wifiRssi":-52,"batteryVoltage":3.88,"lowBattery":false,"temperature":nan,"humidity":nan}',
        None,
    ),
]


@pytest.mark.parametrize("sent", SENT, ids=lambda one: one.source)
def test_a_publicly_reported_device_message_is_read_or_refused_as_described(sent: Sent) -> None:
    model = MqttMapOptions(model=sent.description, topic="press").described
    try:
        read: tuple[str, ...] | None = tuple(
            finding.words for finding in findings(model, sent.topic, sent.payload, "press")
        )
    except Garbled:
        read = None
    assert read == sent.says


class Moment(NamedTuple):
    """A time as text; ``ms``: milliseconds since 1970, None if the text is no time."""

    kind: str
    source: str
    text: str
    ms: int | None


MOMENTS = [
    Moment(GRAMMAR, "nanoframework/Home/issues/1485", "2024-05-15T04:20:05.069Z", 1715746805069),
    Moment(GRAMMAR, "moment/luxon/issues/474", "2006-01-02T15:04:05.999999999Z", 1136214245999),
    Moment(GRAMMAR, "moment/moment/issues/5045", "2006-01-02T15:04:05Z07:00", None),
    Moment(GRAMMAR, "madesroches/micromegas/issues/1405", "2024-01-01T12:00:00Z", 1704110400000),
    Moment(GRAMMAR, "abritinthebay/datejs/issues/146", "1985-04-12T23:20:50Z", 482196050000),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda one: one.source)
def test_a_publicly_reported_spelling_of_a_time_is_read_or_refused(moment: Moment) -> None:
    if moment.ms is None:
        with pytest.raises(ValueError, match="isoformat"):
            epoch_ms(moment.text)
    else:
        assert epoch_ms(moment.text) == moment.ms


class Answer(NamedTuple):
    """What came on a Modbus wire after ``sent``: the frame that answers; "" and ``words``: why none does."""

    kind: str
    source: str
    sent: str
    received: str
    answers: str
    words: str = ""


MODBUS = "Modbus answers mean what the protocol says"
ANSWERS = [
    Answer(
        MODBUS,
        "pymodbus-dev/pymodbus/issues/2709",  # bytes of the transaction number in the other order
        "000100000006 01 03 0bb7 0002",
        "010000000007 01 03 04 00000000",
        "",
        "another transaction number",
    ),
    Answer(
        MODBUS,
        "pymodbus-dev/pymodbus/issues/2777",  # the answer before, late, in front of ours
        "001c00000006 00 04 0000 0001",
        "001b00000005 00 04 02 0000 001c00000005 00 04 02 0002",
        "001c00000005 00 04 02 0002",
    ),
    Answer(
        MODBUS,
        "kellerza/sunsynk/issues/680",  # a gateway that numbers by itself: always one more
        "000100000006 01 03 0003 0008",
        "000200000013 01 03 10 00050001010432323130323439313331",
        "",
        "",
    ),
    Answer(
        MODBUS,
        "pymodbus-dev/pymodbus/issues/1851",  # a length six bytes longer than what follows
        "000100000006 01 03 0000 000a",
        "00010000001d 01 03 14 00000000000000000000000000001388138800 00",
        "",
    ),
    Answer(
        MODBUS, "pymodbus-dev/pymodbus/issues/956", "000400000006 01 02 0001 0008", "46494e5300000010", ""
    ),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: one.source)
def test_a_publicly_reported_modbus_answer_is_found_or_explained(answer: Answer) -> None:
    sent, received = bytes.fromhex(answer.sent), bytes.fromhex(answer.received)
    assert find_tcp_answer(sent, received) == bytes.fromhex(answer.answers)
    if not answer.answers:
        assert answer.words in misfit(sent, received, rtu=False)


def test_a_modbus_rtu_answer_without_its_last_byte_is_no_answer() -> None:
    """github.com/pymodbus-dev/pymodbus/issues/1542: a serial server that cuts off the end."""
    asked = rtu_frame(1, bytes.fromhex("0370020001"))
    assert find_rtu_answer(asked, bytes.fromhex("0103000217812b")) == b""


class Host(NamedTuple):
    """A broker's address as somebody typed it; ``advice``: the advice of `edged check`."""

    kind: str
    source: str
    typed: str
    advice: str


CHECK = "a check that asks less than the daemon needs"
HOSTS = [
    Host(CHECK, "arendst/Tasmota/issues/22628", "mqtt://192.168.1.20", 'write host = "192.168.1.20"'),
    Host(
        CHECK, "dchesterton/texecom2mqtt-hassio/issues/14", "core-mosquitto:1883", 'host = "core-mosquitto"'
    ),
    Host(
        CHECK,
        "blakeblackshear/frigate/issues/9324",
        "mqtt://10.0.0.5:1883",
        'host = "10.0.0.5" and port = 1883',
    ),
    Host(CHECK, "emqx/qmqtt/issues/123", "mqtt://m11.cloudmqtt.com", 'write host = "m11.cloudmqtt.com"'),
    Host(CHECK, "eschava/psmqtt/issues/6", "'192.168.0.34'", "mqtt.host"),
]


@pytest.mark.parametrize("host", HOSTS, ids=lambda one: one.source)
def test_a_publicly_reported_wrong_broker_address_is_refused_with_a_hint(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    file.write_text(f'{GOOD}\n[mqtt]\nhost = "{host.typed}"\n')
    with pytest.raises(ConfigErrors) as refused:
        load(file)
    assert any(host.advice in line and "mqtt.host" in line for line in refused.value.lines), (
        refused.value.lines
    )


FILES = "the terminal and the files of this country"
PASSWORDS = [  # source, the file
    ("hivemq/mqtt-cli/issues/136", b"PASSWORD\n"),
    ("jdx/npm-register/issues/72", b"PASSWORD\r\n"),
    ("gevorg/http-auth/pull/28", b"PASSWORD\r\nother\r\n"),
]


@pytest.mark.parametrize(("source", "written"), PASSWORDS)
def test_a_password_file_saved_in_any_reported_form_gives_the_password(
    source: str, written: bytes, tmp_path: Path
) -> None:
    assert source
    (tmp_path / "password").write_bytes(written)
    assert first_line(str(tmp_path / "password")) == "PASSWORD"


PRINTED = [  # source, what could not be printed on a GBK terminal
    ("chriskiehl/Gooey/issues/220", "\ub2e8"),
    ("knownsec/aipyapp/issues/47", "\u2839"),
    ("microsoft/markitdown/issues/1148", "\uf075 \u2022"),
    ("joeseesun/qiaomu-anything-to-notebooklm/pull/5", "\u2705 \u274c \u26a0\ufe0f \u2139\ufe0f"),
    ("fate0/pychrome/issues/10", "SEND \u25ba"),
    ("Ar9av/obsidian-wiki/issues/188", "\u2705"),
]


@pytest.mark.parametrize(("source", "text"), PRINTED)
def test_a_character_the_terminal_lacks_is_replaced_when_printed(source: str, text: str) -> None:
    assert source
    substitute_unprintable()
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="gbk", errors=NAME)
    terminal.write(f"{text} 完成\n")
    terminal.flush()
    assert "完成" in terminal.buffer.getvalue().decode("gbk")


def test_a_file_saved_as_utf_16_is_named_as_such(tmp_path: Path) -> None:
    """github.com/eclipse-mosquitto/mosquitto/issues/1724: PowerShell writes UTF-16."""
    file = tmp_path / "hall.toml"
    file.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(ConfigErrors) as refused:
        load(file)
    assert "UTF-16" in "\n".join(refused.value.lines) or "UTF-8" in "\n".join(refused.value.lines)


WIRED = "options built, not wired"
ASKED = [  # source, the Host header a scraper or a proxy sends
    ("prometheus/prometheus/issues/1741", "{name}:80"),
    ("minio/minio/pull/13514", "{name}:9464"),
    ("prometheus/prometheus/pull/896", "{name}"),
    ("besu-eth/besu/issues/615", "{name}:9100"),
]


@pytest.mark.parametrize(("source", "host"), ASKED)
async def test_metrics_are_served_under_a_configured_host_name(source: str, host: str) -> None:
    assert source
    async with served(names=("hall-east.example",)) as hall:
        assert hall.server.port is not None
        named = host.format(name="hall-east.example")
        assert await host_headers.status(hall.server.port, "/metrics", (named,)) == 200


BENCH = "from an attacker's bench"
HOSTILE = [  # source, what was sent
    ("flop-labs/technocore-chat/issues/130", b"[" * 20_000 + b"]" * 20_000),
    ("antirez/ds4/issues/43", b'{"x":' + b"[" * 10_000 + b"0" + b"]" * 10_000 + b"}"),
    ("kirodotdev/KiroCrew/pull/5886", b'{"seq":1e309,"number":"A001","service":"tax-general"}'),
    ("kirodotdev/KiroCrew/pull/5886", b'{"seq":' + b"9" * 401 + b',"number":"A001","service":"tax-general"}'),
    ("sparks-baird/self-driving-lab-demo/issues/99", b'{"number":"A001"}'),
    ("esphome/issues/issues/1436", b'{"seq":1,"number":"A001","service":"tax-general","wait":nan}'),
]


@pytest.mark.parametrize(("source", "payload"), HOSTILE)
def test_a_publicly_reported_broken_payload_is_refused_by_every_reader(source: str, payload: bytes) -> None:
    assert source
    with pytest.raises(Unfit):
        decode("ticket", payload)
    with pytest.raises(DocumentRefused):
        inspect(payload)


RELOAD = "a refusal that changes nothing now and everything at the next start"
BROKEN = [  # source, what became of a good file
    ("NagiosEnterprises/nagioscore/pull/715", ("[hall]", "[hall\n")),
    ("Icinga/icinga2/issues/7553", ('skills = ["tax-general"]', 'skills = ["tax-genral"]')),
    ("naemon/naemon-core/pull/147", ("prefix =", "prefiks =")),
]


@pytest.mark.parametrize(("source", "change"), BROKEN)
def test_a_start_after_a_bad_change_uses_the_last_accepted_configuration(
    source: str, change: tuple[str, str], tmp_path: Path
) -> None:
    assert source
    file = tmp_path / "hall.toml"
    file.write_text(f'{GOOD}\n[store]\npath = "hall.db"\n')
    good = load(file)
    accepted.keep(good)
    file.write_text(file.read_text().replace(*change, 1))
    begun = accepted.begin(file)
    assert begun.config.site == good.site
    assert begun.mistakes


CLAIMS = "a stale claim believed over the device's own messages"
CLAIMED = [  # source, what stands at the broker about a dispenser: state, retained
    ("F1p/Home-Assistant-Mitsubishi-CN105-to-MQTT/issues/60", (("offline", True), ("online", False))),
    ("256dpi/arduino-mqtt/issues/166", (("online", False), ("offline", True))),
    ("arachnetech/homebridge-mqttthing/issues/36", (("offline", True),)),
]


@pytest.mark.parametrize(("source", "claims"), CLAIMED)
async def test_a_retained_offline_message_does_not_keep_a_dispenser_from_being_served(
    source: str, claims: tuple[tuple[str, bool], ...], hall: Parts, broker: Mosquitto
) -> None:
    assert source
    files, daemon, machines = hall
    for state, retained in claims:
        await publish_presence(broker, "dispenser", state, retained)
    await daemon.start()
    machines.dispenser.request("tax-general")
    await until(lambda: len(machines.dispenser.printed) == 1)
    assert await daemon.stop() == 0
    assert files.notes()["ticket.issued"] == 1


SIBLINGS = "one sibling of a handled fault"
HELD = [  # source, what another program does with the journal meanwhile
    ("borgbase/vorta/issues/1032", "BEGIN; SELECT count(*) FROM sqlite_master"),  # a backup reads for long
    ("David-Crty/databasement/issues/230", "BEGIN IMMEDIATE"),  # a second writer
    ("web2py/web2py/issues/2376", "BEGIN EXCLUSIVE"),  # one that failed in its middle
]


@pytest.mark.parametrize(("source", "hold"), HELD)
async def test_while_another_program_locks_the_journal_visitors_are_called(
    source: str, hold: str, hall: Parts
) -> None:
    assert source
    files, daemon, machines = hall
    await daemon.start()
    machines.panel.press("login")
    machines.tickets(2)
    await until(lambda: len(files.tickets()) == 2)
    with closing(sqlite3.connect(files.journal, isolation_level=None)) as other:
        other.executescript(hold)
        called = machines.panel.number
        machines.panel.press("next")
        await until(lambda: machines.panel.number not in (None, called), 20.0)
    await until(lambda: files.notes()["ticket.called"] >= 1, 20.0)  # it was written once the other was done
    assert await daemon.stop() == 0
    assert daemon.logged("heartbeat-stopped") == []


RUN_TOGETHER = "what we ship was never run together"
SETTINGS = [  # source, a line of the shipped broker's file, or what none of its lines has
    ("eclipse-mosquitto/mosquitto/issues/3695", r"(?m)^autosave_on_changes true$", True),
    ("eclipse-mosquitto/mosquitto/issues/1855", r"(?m)^autosave_interval 1$", True),
    ("eclipse-mosquitto/mosquitto/issues/1566", r"(?m)^[^#\n]*[ \t]$", False),
    ("EdwinVW/dapr-workshop/issues/25", r"\r", False),
    ("homematic-community/ccu-addon-mosquitto/issues/1", r"(?m)^persistence true$", True),
]


@pytest.mark.parametrize(("source", "line", "there"), SETTINGS)
def test_the_shipped_broker_configuration_keeps_acknowledged_messages(
    source: str, line: str, there: bool
) -> None:
    assert source
    assert bool(re.search(line, SHIPPED.read_bytes().decode())) is there


def sources() -> Iterable[tuple[str, str]]:
    """Kind and source of every input above."""
    yield from ((one.kind, one.source) for one in STORIES)
    yield from ((one.kind, one.source) for one in SENT)
    yield from ((one.kind, one.source) for one in MOMENTS)
    yield from ((one.kind, one.source) for one in ANSWERS)
    yield from ((one.kind, one.source) for one in HOSTS)
    tables: tuple[tuple[str, Iterable[tuple[object, ...]]], ...] = (
        (FILES, PASSWORDS),
        (FILES, PRINTED),
        (WIRED, ASKED),
        (BENCH, HOSTILE),
        (RELOAD, BROKEN),
        (CLAIMS, CLAIMED),
        (SIBLINGS, HELD),
        (RUN_TOGETHER, SETTINGS),
    )
    for kind, rows in tables:
        for row in rows:
            yield kind, str(row[0])


def test_each_kind_of_public_report_here_has_at_least_three_sources() -> None:
    found = Counter(kind for kind, _ in set(sources()))
    assert {kind: many for kind, many in found.items() if many < LEAST} == {}
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+/(issues|pull)/\d+", source) for _, source in sources())
