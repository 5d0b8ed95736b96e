"""More inputs that others reported in public: starts and restarts, restored copies, what an administrator types, and
alarms and figures that say what is not so.

The rules are those of ``test_public_reports.py``: order of events, files and bytes are those of the report, with this
hall's names where the report has its own, and ``source`` is the address behind github.com.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged import journald, log_writer
from edged.central.policy_changes import changes
from edged.config import ConfigErrors, load, unit_file
from edged.journald import NativeJournal
from edged.links.mqtt.backoff import Backoff, ConnectionOutcome
from edged.links.pty import Pty
from edged.links.serial import SerialLink
from edged.log_writer import LogWriter
from edged.sim.broker import free_port
from edged.store import database, room
from edged.store.journal import Journal
from edged.store.uplink import KEY, Cursor, write_cursor
from tests.config.test_files_around import EXAMPLE, UNIT
from tests.field.test_journal_identity import (
    assert_journal_renewed,
    assert_no_number_twice,
    copy_journal,
    put_back,
    request_tickets,
    until_broker_knows_journal,
)
from tests.field.test_public_reports import Story
from tests.field.test_refused_configuration import Parts, health, reload
from tests.field.test_said_at_the_terminal import NOBODY, WITHOUT_RIGHTS
from tests.links.test_serial_link import WireObserver
from tests.support.background import background
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.core_transcript import policy_of, rerun
from tests.support.daemon_checks import TIDE
from tests.support.daemons import ROOT, Hall, edged
from tests.support.journals import key_step, open_journal, steps_in

LEAST = 3
TRIALS = "from the trials"
STARTS = "an action at the start meets an outside nobody has tried yet"
ALARMS = "an alarm says what the model does not believe"


# -- from the trials: a second instance, the unit's filter, rights, reloads, partial documents --


def as_it_is(files: Hall) -> Path:
    """Started from two consoles."""
    return files.file


def another_port(files: Hall) -> Path:
    """A second file, with a web port of its own, for the same journal."""
    other = files.directory / "second.toml"
    text = files.file.read_text().replace(f"port = {files.web_port}", f"port = {free_port()}")
    other.write_text(text)
    return other


def through_a_link(files: Hall) -> Path:
    """The second file names the journal through a link to its folder."""
    (files.directory / "link").symlink_to(files.directory)
    other = another_port(files)
    other.write_text(other.read_text().replace('path = "hall.db"', 'path = "link/hall.db"'))
    return other


SECOND: list[tuple[str, Callable[[Hall], Path]]] = [
    ("cminyard/ser2net/issues/13", as_it_is),  # the first one's connections dropped, no error
    ("decred/dcrdata/issues/67", another_port),  # the second cleared the database of the first
    ("MaterializeInc/materialize/issues/6383", through_a_link),  # both wrote the same folder
]


@pytest.mark.parametrize(("source", "second"), SECOND)
async def test_a_second_instance_is_refused_and_takes_nothing_from_the_first(
    source: str, second: Callable[[Hall], Path], hall: Parts
) -> None:
    assert source
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(2)
    await until(lambda: machines.panel.waiting == 2)
    ended = await asyncio.to_thread(edged, "run", "--config", str(second(files)))
    assert ended.returncode not in (0, 2), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "another process" in ended.stderr
    machines.tickets(1, first=3)
    await until(lambda: machines.panel.waiting == 3)
    assert await daemon.stop() == 0
    assert [line for line in daemon.logged("link-down") if line["reason"] != "stopped"] == []
    assert files.numbers() == ["A001", "A002", "A003"]


FILTERS = [  # source, lines of the unit, how many of the broker and the two devices it keeps from us
    ("rfjakob/earlyoom/pull/312", "IPAddressDeny=true", 0),  # no address: systemd ignores the line
    (
        "systemd/systemd/issues/16564",
        "IPAddressDeny=any\nIPAddressAllow=localhost\nIPAddressAllow=10.0.0.0/8",
        2,
    ),
    ("JGoutin/ansible_home/issues/51", "IPAddressDeny=any", 3),  # the broker on localhost, too
]


@pytest.mark.parametrize(("source", "lines", "many"), FILTERS)
def test_check_names_the_devices_that_the_units_address_filter_blocks(
    source: str, lines: str, many: int
) -> None:
    assert source
    unit = re.sub(r"(?m)^IPAddress(Allow|Deny)=.*\n", "", UNIT.read_text()) + f"\n[Service]\n{lines}\n"
    blocked = [line for line in unit_file.mistakes(load(EXAMPLE), unit) if "the unit denies" in line]
    assert len(blocked) == many, blocked


def unreadable(file: Path) -> None:
    file.chmod(0o1033)


def folder_not_mine(file: Path) -> None:
    file.parent.chmod(0o700)


def not_writable(file: Path) -> None:
    file.parent.chmod(0o555)


RIGHTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("dbrgn/orochi/issues/50", unreadable, "Permission denied|is not readable"),  # ---x-wx-wT
    (
        "Supervisor/supervisor/issues/61",
        folder_not_mine,
        "Permission denied",
    ),  # "could not find" what is there
    ("metomi/rose/issues/434", not_writable, ""),  # a folder in which nothing may be written
]


@pytest.mark.skipif(os.geteuid() != 0, reason="taking rights away takes root")
@pytest.mark.parametrize(("source", "spoil", "expected"), RIGHTS)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_command_without_rights_names_the_true_reason(
    source: str, spoil: Callable[[Path], None], expected: str, command: str, tmp_path: Path
) -> None:
    assert source
    folder = tmp_path / "etc"
    folder.mkdir()
    file = folder / "hall.toml"
    shutil.copy(ROOT / "configs" / "hall-small.toml", file)
    for one in (file, folder):
        os.chown(one, NOBODY, NOBODY)
    spoil(file)
    done = subprocess.run(
        [
            *(*WITHOUT_RIGHTS, sys.executable, "-m", "edged", command),
            *((str(file),) if command == "check" else ("--config", str(file))),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(ROOT)} | {"STATE_DIRECTORY": str(folder)},
        check=False,
    )
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert "No such file" not in output
    if expected:
        assert done.returncode == 2
        assert re.search(expected, output), output
    elif command == "check":
        assert done.returncode == 0, output


CHANGED = [  # source, a change that a reload cannot take
    ("h2o/h2o/issues/770", ('name = "税务"', 'name = ["税务"]')),  # no message at all; a restart showed it
    ("elastic/logstash/issues/5129", ("[store]", "[store")),  # the signal was taken, nothing was said
    ("nspcc-dev/neofs-node/pull/4113", ('url = "tcp://', 'uri = "tcp://')),  # a line in the log, and READY
]


async def test_a_refused_reload_is_shown_by_the_command_and_by_healthz(
    hall: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, daemon, _machines = hall
    monkeypatch.setenv("STATE_DIRECTORY", str(files.directory))  # as systemd does
    await daemon.start()
    good = files.file.read_text()
    for source, change in CHANGED:
        files.edit(*change)
        code, output = await reload(files)
        assert (code, "未生效" in output) == (1, True), (source, output)
        now = await health(files)
        assert now["state"] == "degraded", source
        assert "config-refused/hall.toml" in now["alarms"], source
        assert await files.metric("edged_config_accepted") == 0
        files.file.write_text(good)
        assert (await reload(files))[0] == 0, source
        assert (await health(files))["config_mistakes"] == []
    files.edit("[store]", "[store")
    monkeypatch.delenv("STATE_DIRECTORY")  # typed by hand, and the file hides where its journal is
    code, output = await reload(files)
    assert (code, "hall.toml:" in output) == (1, True), output
    assert await daemon.stop() == 0


PARTIAL: list[tuple[str, dict[str, str], dict[str, str], set[str]]] = [
    (  # a group that falls back, with one or two values that were not the usual ones: hard to see
        "betaflight/betaflight/issues/5305",
        {"calling.max_calls": "5", "tidal.band.open_above": "6"},
        {"tidal.band.open_above": "6"},
        {"calling.max_calls"},
    ),
    (  # one value is sent; all others fall back
        "openhab/openhab-core/pull/2698",
        {"calling.max_calls": "5", "tidal.band.open_above": "6", "tidal.enabled": "0"},
        {"calling.max_calls": "5"},
        {"tidal.band.open_above", "tidal.enabled"},
    ),
    (  # what was switched off is on again
        "themactep/thingino-firmware/issues/509",
        {"tidal.enabled": "0"},
        {},
        {"tidal.enabled"},
    ),
]


@pytest.mark.parametrize(("source", "before", "document", "reset"), PARTIAL)
def test_the_values_that_a_partial_policy_resets_are_listed(
    source: str, before: dict[str, str], document: dict[str, str], reset: set[str]
) -> None:
    assert source
    found = {one.path for one in changes(policy_of(before), policy_of(document))}
    assert found == reset


# -- an action at the start --


BEFORE_THE_BROKER = [  # source, how the last life ended
    ("home-assistant/core/issues/18218", "stop"),  # what waited for the broker was switched off for good
    ("node-red/node-red/issues/2864", "kill"),  # the first messages were sent before there was a connection
    ("jamiebegin/metrics2mqtt/pull/5", "fresh"),  # the retained description was lost, and never sent again
]


@pytest.mark.parametrize(("source", "how"), BEFORE_THE_BROKER)
async def test_a_start_before_the_broker_runs_keeps_every_page(
    source: str, how: str, hall: Parts, broker: Mosquitto
) -> None:
    assert source
    files, daemon, machines = hall
    page: list[str] = []
    if how != "fresh":
        await daemon.start()
        machines.pager.mute = True
        machines.tickets(TIDE)
        await until(lambda: machines.ids(machines.pager, "page") != [])
        page = machines.ids(machines.pager, "page")
        await (daemon.kill() if how == "kill" else daemon.stop())
    await broker.kill()
    await daemon.restart(ready=False)
    await until(lambda: daemon.logged("link-down") != [])
    machines.pager.mute = False
    await broker.start()
    if how == "fresh":
        await until(lambda: "panel" in machines.panel.shown, 20.0)
        machines.tickets(1)
        await until(lambda: machines.panel.waiting == 1)
    else:
        await until(lambda: machines.ids(machines.pager, "page")[1:] != [], 20.0)
        assert set(machines.ids(machines.pager, "page")) == set(page), "the same page, and no other"
        await until(lambda: machines.lamp.lamp == "blink")
        assert files.notes()["staff.unanswered"] == 0
    assert await daemon.stop() == 0


TOO_EARLY = [  # source, what a device says the moment it hears that we are here
    ("home-assistant/core/issues/39007", 1),  # the birth was said 12 s before anybody listened
    ("arendst/Tasmota/issues/12458", 3),  # commands went out before the subscription stood
]


@pytest.mark.parametrize(("source", "many"), TOO_EARLY)
async def test_messages_sent_at_once_after_our_online_message_are_received(
    source: str, many: int, hall: Parts, broker: Mosquitto
) -> None:
    assert source
    files, daemon, machines = hall
    async with plain_client(broker, "quick") as quick:
        await quick.subscribe("hall/east/status", qos=1)

        async def answer() -> None:
            async for message in quick.messages:
                body = message.payload
                assert isinstance(body, bytes)
                if json.loads(body)["state"] != "offline":
                    machines.tickets(many)
                    return

        answering = asyncio.create_task(answer())
        await daemon.start()
        await answering
    await until(lambda: machines.panel.waiting == many)
    assert await daemon.stop() == 0
    assert len(files.tickets()) == many


def main_file_only(files: Hall, backup: Path) -> None:
    """Copied while it was written, without what stood beside it; everything else is lost."""
    put_back(files, backup / "nothing")
    shutil.copy(backup / "hall.db", files.journal)


def over_the_main_file(files: Hall, backup: Path) -> None:
    """Put over the file, while the newer WAL and its index stay beside it."""
    shutil.copy(backup / "hall.db", files.journal)


def without_its_marks(files: Hall, backup: Path) -> None:
    """Journal and WAL, but none of the files that say how far it had been."""
    put_back(files, backup)
    for name in ("hall.db.keep", "hall.db.mark"):
        (files.directory / name).unlink(missing_ok=True)


RESTORED: list[tuple[str, Callable[[Hall, Path], None], bool, str]] = [
    # …, copied from the running daemon, what the alarm says (nothing where all the copy lacks stands in the WAL)
    ("gem/oq-engine/pull/11752", main_file_only, True, "new"),  # recent rows are missing, ids begin again
    ("vavallee/bindery/issues/2337", over_the_main_file, False, ""),  # old frames over a fresh copy
    (
        "datalust/seq-tickets/issues/812",
        without_its_marks,
        False,
        "older-copy",
    ),  # where ids stood was not kept
    (
        "theoriclabs/LeanDB/issues/60",
        main_file_only,
        False,
        "older-copy",
    ),  # what was checked is not what was copied
]


@pytest.mark.parametrize(("source", "put", "running", "why"), RESTORED)
async def test_after_a_journal_copy_was_restored_no_number_is_given_twice(
    source: str,
    put: Callable[[Hall, Path], None],
    running: bool,
    why: str,
    hall: Parts,
    broker: Mosquitto,
    tmp_path: Path,
) -> None:
    assert source
    files, daemon, machines = hall
    backup = tmp_path / "backup"
    await daemon.start()
    await request_tickets(machines, 4)
    if running:
        copy_journal(files, backup)
    else:
        assert await daemon.stop() == 0
        copy_journal(files, backup)
        await daemon.restart()
    await request_tickets(machines, 3)
    await until(lambda: len(files.tickets()) == 7)
    await until_broker_knows_journal(broker, files)
    await daemon.kill()
    put(files, backup)
    await daemon.restart(ready=False)
    if why:  # it learns from the broker whose journal it has; the next start goes on behind it
        assert await daemon.ended(30.0) == 74
        await daemon.restart()
    else:
        await until(lambda: daemon.ready, 20.0)
    await request_tickets(machines, 3)
    assert_no_number_twice(machines)
    if why:
        await assert_journal_renewed(files, why)
    else:
        assert (await health(files))["epoch"] == 1
        assert len(files.tickets()) == 10, "not a step was lost"
    assert await daemon.stop() == 0
    assert files.replay().returncode == 0


# -- figures and alarms that are not so --

CAPACITY = [
    Story(
        ALARMS,
        "Cal-CS-61A-Staff/oh-queue/pull/142",  # 20 waiting, nobody assists: nobody can know
        "08:10:00 policy tidal.enabled=0\n08:30:00 tickets A001-A020 tax-general 1\n",
        ("税务 等候20人 20 waiting",),
        ("约",),
    ),
    Story(
        ALARMS,
        "iheartradio/kanaloa/issues/162",  # nobody waits, and a wait is told
        "08:10:00 policy tidal.enabled=0\n08:29:00 p1 next\n08:30:00 ticket A001 tax-general\n08:30:05 p1 next\n"
        "08:31:00 p1 finish\n",
        ("税务 等候0人 0 waiting",),
        ("等候0人 约",),
    ),
    Story(
        ALARMS,
        "TheJoin95/covid19-market-waiting-times/issues/17",  # "20 min" for ever, and there is no line
        "08:10:00 policy tidal.enabled=0\n08:29:00 p1 next\n08:30:00 tickets A001-A003 tax-general 1\n"
        "08:30:10 p1 next\n08:31:00 p1 finish\n08:31:10 p1 next\n08:32:00 p1 finish\n08:32:10 p1 next\n"
        "08:33:00 p1 finish\n08:40:00 state tax\n",
        ("等候0人 0 waiting",),
        ("等候0人 约",),
    ),
]


@pytest.mark.parametrize("story", CAPACITY, ids=lambda one: one.source)
def test_a_predicted_wait_is_shown_only_where_somebody_serves_and_waits(story: Story) -> None:
    output = rerun("show areas\n" + story.lines)
    for wanted in story.says:
        assert wanted in output, output
    for wrong in story.never:
        assert wrong not in output, output


DAY_MS = 86_400_000
KEPT = [  # source, days lived, steps a day, days kept in the first life, days kept now
    ("cdsap/daemonitor/issues/178", 12, 40, 30, 7),  # the setting was lowered; what is older stays
    ("cybertec-postgresql/pgwatch2/issues/714", 14, 40, 7, 7),  # seven days, and nothing goes after fourteen
    ("kOlapsis/maintenant/issues/46", 6, 1200, 30, 1),  # one batch an hour, and more than that comes
]


@pytest.mark.parametrize(("source", "days", "a_day", "first", "now"), KEPT)
async def test_steps_older_than_the_configured_days_are_deleted(
    source: str, days: int, a_day: int, first: int, now: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source
    monkeypatch.setattr(room, "CHECK_S", 0.0)
    path = tmp_path / "hall.db"
    Journal.open(path).close()
    connection = database.connect(path, read_only=False)
    database.set_meta(connection, KEY, write_cursor(Cursor(0, 10**6, 0), 1))
    connection.close()
    async with open_journal(path, keep_days=first) as journal:
        for day in range(days):
            for number in range(a_day):
                seq, at_ms = journal.last_seq + 1, day * DAY_MS + number * (DAY_MS // a_day)
                journal.append(key_step(seq)._replace(at_ms=at_ms))
                if journal.dump_due(at_ms, 20_000 + day):
                    journal.snapshot({"seq": seq}, seq, at_ms, 20_000 + day)
            await journal.drain()
    async with open_journal(path, keep_days=now) as journal:
        seq = journal.last_seq + 1
        journal.append(key_step(seq)._replace(at_ms=days * DAY_MS))
        await journal.drain()
        async with asyncio.timeout(20):
            while steps_in(path)[0].at_ms < (days - now - 1) * DAY_MS:
                await asyncio.sleep(0.2)
    assert steps_in(path)[-1].at_ms - steps_in(path)[0].at_ms >= now * DAY_MS


class Journald:
    """A stand-in for journald: its stream socket and its native one, in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.stream, self.native = str(folder / "stdout"), str(folder / "socket")
        self._wires: list[socket.socket] = []

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.stream)
        self._listener.listen()
        self._entries = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._entries.bind(self.native)
        self._wires = [self._listener, self._entries]

    def accept(self) -> socket.socket:
        self._listener.settimeout(5.0)
        wire, _ = self._listener.accept()
        wire.settimeout(5.0)
        self._wires.append(wire)
        return wire

    def entry(self) -> bytes:
        self._entries.settimeout(5.0)
        return self._entries.recv(65536)

    def die(self) -> None:
        """With its sockets: what is held of them is dead."""
        for wire in self._wires:
            wire.close()
        for place in (self.stream, self.native):
            os.unlink(place)


LINE = b'<3>{"event": "error"}\n'  # errors take the stream
FIELDED = b'<6>{"event": "step"}\n'  # others the native socket
AWAY = [  # source, lines that are written while journald is away
    ("coreos/go-systemd/issues/233", 1),  # out of memory, restarted at once
    ("moby/moby/issues/39272", 50),  # ended by its watchdog, and back after a while
    ("systemd/systemd/issues/6620", 3),  # systemctl stop, systemctl start
]


@pytest.mark.parametrize(("source", "lines"), AWAY)
def test_log_lines_are_written_again_once_journald_is_back_with_a_count_of_the_lost(
    source: str, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source
    for module in (log_writer, journald):
        monkeypatch.setattr(module, "RETRY_S", 0.0)
    there = Journald(tmp_path)
    monkeypatch.setattr(log_writer, "STREAM", there.stream)
    there.start()
    out = LogWriter(log_writer.open_journal(), True, native=NativeJournal(there.native))
    stream = there.accept()
    out.put(FIELDED)
    assert b'MESSAGE={"event": "step"}' in there.entry()
    there.die()
    for _ in range(lines):
        out.put(LINE)
        out.put(FIELDED)
    assert out.drain(10.0)
    assert out.lost == 2 * lines, "counted, not believed to be written"
    there.start()
    out.put(LINE)
    stream = there.accept()
    assert out.drain(10.0)
    received = stream.recv(65536)
    assert LINE in received
    out.put(FIELDED)
    logged = received + there.entry()
    assert out.drain(10.0)
    assert b"step" in logged or b"step" in there.entry()
    assert f'"lost": {2 * lines}'.encode() in logged, "how many are missing stands in the log"
    out.stop()
    there.die()


ABSENT, BROKEN = ConnectionOutcome("absent", 0.0), ConnectionOutcome("broken", 30.0)
AGAIN: list[
    tuple[str, list[tuple[float, ConnectionOutcome]], float]
] = [  # …, (after so many s, what was met), longest
    ("eclipse-paho/paho.mqtt.python/issues/331", [(3600.0, BROKEN), (0.1, ABSENT)], 0.25),  # took 40 s
    ("fabric8io/fabric8/issues/1215", [(1.0, ABSENT)] * 1800, 5.0),  # away half an hour, found 5 minutes late
    (
        "kbialek/deye-inverter-mqtt/pull/298",
        [(1.0, ABSENT)] * 128,
        5.0,
    ),  # away two minutes, found 2 minutes late
    ("ClusterHQ/flocker/pull/2044", [(60.0, BROKEN)] * 40, 0.1),  # each loss made the next wait longer
    ("MetPX/sarracenia/issues/1436", [(60.0, BROKEN), (1.0, ABSENT), (1.0, ABSENT)], 0.25),  # high at once
]


@pytest.mark.parametrize(("source", "outcomes", "longest_s"), AGAIN)
def test_a_broker_that_is_back_is_connected_within_the_expected_time(
    source: str, outcomes: list[tuple[float, ConnectionOutcome]], longest_s: float
) -> None:
    assert source
    backoff, now_s = Backoff(jitter=lambda: 1.0), 0.0
    for passed_s, outcome in outcomes:
        now_s += passed_s
        assert backoff.delay_s(outcome, now_s) <= longest_s


NAMES = [  # source, two names of one port: a link with what it holds, and the other name
    (
        "Koenkk/zigbee2mqtt/issues/3540",
        "serial/by-id/usb-Texas_Instruments_TI_CC2531_USB_CDC___0X00124B0018E27B05-if00",
        "../../ttyACM0",
        "ttyACM0",
    ),
    (
        "ioBroker/ioBroker.zigbee/issues/1085",
        "serial/by-id/usb-Texas_Instruments_CC2538_USB_CDC-if00",
        "../../ttyACM0",
        "serial/by-id/../../ttyACM0",
    ),
]


@pytest.mark.parametrize(("source", "link", "held", "other"), NAMES)
def test_one_serial_port_configured_under_two_names_is_refused(
    source: str, link: str, held: str, other: str, tmp_path: Path
) -> None:
    assert source
    (tmp_path / "ttyACM0").touch()
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(held)
    card = '[[devices]]\nid = "card{0}"\ndriver = "onbon_bx"\npath = "{1}"\nwidth = 64\nheight = 16\n'
    file = tmp_path / "hall.toml"
    text = (ROOT / "configs" / "hall-small.toml").read_text()
    file.write_text(text + "".join(card.format(n, tmp_path / name) for n, name in enumerate((link, other))))
    with pytest.raises(ConfigErrors, match='already belongs to device "card0"'):
        load(file)


@asynccontextmanager
async def living(link: SerialLink, observer: WireObserver) -> AsyncIterator[None]:
    async with background(link.run(observer.receive, observer.state_changed)):
        yield


HELD_PORT = [  # source, whether the other program has the port before us
    ("Koenkk/zigbee2mqtt/issues/8714", True),  # the unit runs as well as what was typed
    ("Klipper3d/klipper/issues/1210", False),  # a second configuration with the same port
]


@pytest.mark.parametrize(("source", "before"), HELD_PORT)
async def test_a_serial_port_held_by_another_program_is_reported_as_such(
    source: str, before: bool, tmp_path: Path
) -> None:
    assert source
    port = Pty(tmp_path / "led")
    port.plug()
    observer = WireObserver()
    far = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if before:
            fcntl.flock(far, fcntl.LOCK_EX | fcntl.LOCK_NB)
        async with living(SerialLink(str(port.path), baudrate=9600), observer):
            if before:
                await until(lambda: observer.states != [] and not observer.states[-1])
                assert "already locked by another process" in observer.reasons[-1]
                fcntl.flock(far, fcntl.LOCK_UN)
            await until(lambda: observer.states != [] and observer.states[-1])
            with pytest.raises(BlockingIOError):
                fcntl.flock(far, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(far)


def sources() -> Iterable[tuple[str, str]]:
    """Kind and source of every input above."""
    yield from ((one.kind, one.source) for one in CAPACITY)
    tables: tuple[tuple[str, Iterable[tuple[object, ...]]], ...] = (
        *((TRIALS, table) for table in (SECOND, FILTERS, RIGHTS, CHANGED, PARTIAL)),
        *((STARTS, table) for table in (BEFORE_THE_BROKER, TOO_EARLY, RESTORED)),
        *((ALARMS, table) for table in (KEPT, AWAY, AGAIN, NAMES, HELD_PORT)),
    )
    for kind, rows in tables:
        for row in rows:
            yield kind, str(row[0])


def test_each_kind_of_report_on_starts_and_alarms_has_at_least_three_sources() -> None:
    found = Counter(kind for kind, _ in set(sources()))
    assert {TRIALS, STARTS, ALARMS} == found.keys()
    assert min(found.values()) >= LEAST
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+/(issues|pull)/\d+", source) for _, source in sources())
