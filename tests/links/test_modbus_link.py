"""The Modbus bus against pymodbus's servers, ptys and raw peers: answers proven, lamps first, dead units cheap."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.modbus_relay.fake import FakeLine, FakeRelay, FakeTcp, Faults
from devices.modbus_relay.profiles import PROFILES
from edged.clock import monotonic_s
from edged.driver import DeviceError, Garbled, Refused, Unreachable
from edged.links import modbus
from edged.links.modbus import ModbusBus, bus
from edged.links.modbus_frames import alike, find_rtu_answer, find_tcp_answer, rtu_frame, tcp_frame
from edged.links.modbus_queue import Pace
from edged.links.modbus_wire import Client, Wire, open_client, parse_url
from tests.support.modbus_peers import (
    RawLine,
    pymodbus_serial,
    pymodbus_tcp,
    running,
    sim_device,
    until,
    up,
)

READ_2, READ_4 = bytes.fromhex("0300020001"), bytes.fromhex("0300040001")


QUICK = Pace(rest_max_s=0.05, owed_s=0.2)


def relay(unit: int = 1, **options: object) -> FakeRelay:
    return FakeRelay(monotonic_s, unit=unit, **options)  # type: ignore[arg-type]


def registers(pdu: bytes) -> bytes:
    """Every register holds ten times its address, as the answer of a raw slave."""
    return bytes((3, 2)) + (10 * int.from_bytes(pdu[1:3], "big")).to_bytes(2, "big")


# --- URLs and sharing


def test_urls_are_parsed_at_the_border() -> None:
    assert parse_url("tcp://10.0.0.9") == Wire("tcp", "10.0.0.9:502")
    assert parse_url("rtu+tcp://gw:4196") == Wire("rtu+tcp", "gw:4196")
    path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0"
    assert parse_url(f"rtu://{path}?baudrate=19200&parity=E") == Wire("rtu", path, 19200, "E")
    assert parse_url("rtu:///dev/x").gap_s == pytest.approx(3.5 * 10 / 9600)
    assert parse_url("rtu:///dev/x?baudrate=115200").gap_s == 0.00175


async def test_one_wire_has_one_bus_and_one_set_of_settings() -> None:
    first = bus("rtu:///dev/null-a?baudrate=9600")
    assert bus("rtu:///dev/null-a") is first
    assert bus("rtu:///dev/null-b") is not first
    with pytest.raises(ValueError, match="already used"):
        bus("rtu:///dev/null-a?baudrate=19200")


# --- pymodbus's own servers


async def test_coils_and_registers_over_tcp() -> None:
    async with pymodbus_tcp(sim_device(1), sim_device(7, first=16)) as url:
        link = ModbusBus(url)
        async with running(link):
            await up(link)
            await link.write_coil(1, 3, 0xFF00)
            await link.write_coil(7, 17, 0xFF00)
            assert await link.read_coils(1, 0, 5) == (False, False, False, True, False)
            assert await link.read_coils(7, 16, 2) == (False, True)
            assert await link.read_registers(1, 2, 2) == (20, 30)
            await link.write_coil(1, 3, 0)
            assert not any(await link.read_coils(1, 0, 8))
            with pytest.raises(Refused, match="illegal address"):
                await link.read_coils(1, 4000, 8)
            assert await link.read_registers(1, 4, 1) == (40,)


async def test_coils_over_a_serial_line(tmp_path: Path) -> None:
    async with pymodbus_serial(tmp_path, sim_device(1), sim_device(2)) as url:
        link = ModbusBus(url)
        async with running(link):
            await up(link)
            await link.write_coil(2, 0, 0xFF00)
            assert await link.read_coils(2, 0, 1) == (True,)
            assert await link.read_coils(1, 0, 1) == (False,)
            assert await link.read_registers(1, 5, 1) == (50,)


async def test_a_second_implementation_agrees(tmp_path: Path) -> None:
    """node's modbus-serial; its folder of packages is named by EDGED_NODE_PEERS."""
    packages = os.environ.get("EDGED_NODE_PEERS")
    node = shutil.which("node")
    if not packages or not node:
        pytest.skip("EDGED_NODE_PEERS names no folder with modbus-serial")
    script = Path(__file__).parent.parent / "support" / "modbus_server.js"
    peer = await asyncio.create_subprocess_exec(
        node,
        str(script),
        env={"NODE_PATH": packages, "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
    )
    assert peer.stdout
    try:
        port = json.loads(await asyncio.wait_for(peer.stdout.readline(), 8))["port"]
        link = ModbusBus(f"tcp://127.0.0.1:{port}")
        async with running(link):
            await up(link)
            await link.write_coil(1, 9, 0xFF00)
            assert (await link.read_coils(1, 0, 16)).index(True) == 9
            assert await link.read_registers(1, 6, 2) == (60, 70)
            with pytest.raises(Refused, match="illegal address"):
                await link.read_coils(1, 900, 1)
    finally:
        peer.terminate()
        await peer.wait()


async def test_flash_value_reaches_the_module_and_its_echo_must_match() -> None:
    module = relay()
    far = FakeTcp([module])
    link = ModbusBus(await far.start())
    async with running(link):
        await up(link)
        await link.write_coil(1, 0x0202, 2)
        assert module.writes[0].value == 2
        assert module.level(2)
        await until(lambda: not module.level(2))
    await far.stop()


async def test_small_segments_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clients: list[Client] = []

    def remembered(*arguments: Any) -> Client:
        clients.append(open_client(*arguments))
        return clients[-1]

    monkeypatch.setattr(modbus, "open_client", remembered)
    far = FakeTcp([relay()])
    link = ModbusBus(await far.start())
    async with running(link):
        await up(link)
        plug = clients[0].ctx.transport.get_extra_info("socket")
        assert plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await far.stop()


# --- F23: late answers


async def test_late_answer_is_never_taken_for_another_register() -> None:
    """Each answer comes after 1.5 deadlines; registers 2 and 4 are asked in turn for a while."""

    def answer(data: bytes) -> None:
        line.say_later(0.09, rtu_frame(1, registers(data[1:-2])))

    line = RawLine(answer)
    link = ModbusBus(f"rtu://{line.path}")
    values: dict[int, list[int]] = {2: [], 4: []}
    async with running(link):
        await up(link)
        end_s = monotonic_s() + 2
        while monotonic_s() < end_s:
            for register in (2, 4):
                try:
                    values[register] += await link.read_registers(1, register, 1, deadline_s=0.06)
                except DeviceError:
                    await asyncio.sleep(0.01)
    line.close()
    assert set(values[2]) <= {20}
    assert set(values[4]) <= {40}
    assert link.counts.late > 0
    assert values[2] or values[4], "the guard must not silence a slow unit for ever"


@pytest.mark.parametrize("delay_s", [0.15, 0.7, 1.2])
async def test_whatever_the_delay_no_value_comes_from_another_request(delay_s: float) -> None:
    """The first answer is late by ``delay_s``, across the rest of the unit; later ones are prompt."""
    first = True

    def answer(data: bytes) -> None:
        nonlocal first
        line.say_later(delay_s if first else 0.0, rtu_frame(1, registers(data[1:-2])))
        first = False

    line = RawLine(answer)
    line_url = f"rtu://{line.path}?baudrate=115200"
    link = ModbusBus(line_url)
    async with running(link):
        await up(link)
        link._queue.unit(1).misses = 1  # one try only, so that exactly one answer is owed
        with pytest.raises(Unreachable):
            await link.read_registers(1, 2, 1, deadline_s=0.05)
        await link_rested(link, 1)
        value = await link.read_registers(1, 4, 1, deadline_s=0.05)
    line.close()
    assert value == (40,)
    assert link.counts.late == 1


async def test_pymodbus_alone_takes_the_late_answer() -> None:
    """The fault that the guard is for; when this fails, the library has learned it."""
    from pymodbus.client import AsyncModbusSerialClient
    from pymodbus.exceptions import ModbusException

    line = RawLine(lambda data: line.say_later(0.09, rtu_frame(1, registers(data[1:-2]))))
    client = AsyncModbusSerialClient(line.path, timeout=0.06, retries=0)
    await client.connect()
    await asyncio.sleep(0)
    with pytest.raises(ModbusException):
        await client.read_holding_registers(2, count=1)
    wrong = await client.read_holding_registers(4, count=1)
    client.close()
    line.close()
    assert wrong.registers == [20]


async def test_late_answer_over_tcp_is_told_by_its_transaction() -> None:
    module = relay()
    far = FakeTcp([module])
    link = ModbusBus(await far.start())
    async with running(link):
        await up(link)
        module.faults = Faults(late=1.0, late_s=0.15)
        with pytest.raises(Unreachable):
            await link.read_coils(1, 0, 8, deadline_s=0.05)
        await until(lambda: link.counts.late >= 2)
        module.faults = Faults()
        await link_rested(link, 1)
        await link.write_coil(1, 0, 0xFF00)
        assert (await link.read_coils(1, 0, 8))[0]
    await far.stop()


# --- F21, F22, F25: what else may be on a line


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, Refused),
        (2, Refused),
        (3, Refused),
        (4, Refused),
        (5, Unreachable),
        (6, Unreachable),
        (7, Refused),
        (8, Garbled),
        (9, Garbled),
        (10, Unreachable),
        (11, Unreachable),
        (77, Garbled),
    ],
)
async def test_exception_codes_become_device_errors(code: int, kind: type[DeviceError]) -> None:
    line = RawLine(lambda data: line.say(rtu_frame(1, bytes((0x81, code)))))
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link):
        await up(link)
        with pytest.raises(DeviceError) as caught:
            await link.read_coils(1, 0, 8)
        assert (link.rest_s(1) > 0) == (code in (10, 11))
    line.close()
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "answer",
    [
        "010201005188",  # wrong function
        "0101020000b9fc",  # one byte too many
        "0101010051ff",  # wrong checksum
        "020101005188",  # another unit
        "01050000ff008c3a",  # an answer to something else
        "ff" * 200,  # noise
    ],
)
async def test_wrong_answers_are_garbled_and_the_next_right_one_counts(answer: str) -> None:
    answers = [bytes.fromhex(answer)] * 2 + [rtu_frame(1, b"\x01\x01\x05")]
    line = RawLine(lambda data: line.say(answers.pop(0)))
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", pace=QUICK)
    async with running(link):
        await up(link)
        with pytest.raises(Garbled):
            await link.read_coils(1, 0, 8, deadline_s=0.05)
        await link_rested(link, 1)
        bits = await link.read_coils(1, 0, 8, deadline_s=0.05)
    line.close()
    assert bits[:3] == (True, False, True)


@pytest.mark.parametrize("echo", ["0505030008", "0502030000", "05020300ff", "0f02030008"])
async def test_echo_that_says_something_else_is_not_an_echo(echo: str) -> None:
    """FC05 0x0203 = 8: another address, another value or another function confirm nothing."""
    line = RawLine(lambda data: line.say(rtu_frame(1, bytes.fromhex(echo))))
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link):
        await up(link)
        with pytest.raises(Garbled):
            await link.write_coil(1, 0x0203, 8, deadline_s=0.03)
    line.close()
    assert link.counts.exchanges == 0


async def test_noise_before_an_answer_and_splits_in_it_do_not_matter() -> None:
    """pymodbus drops every answer behind a garbage prefix; here the frame is found inside."""
    frame = rtu_frame(1, b"\x01\x01\x05")

    def answer(data: bytes) -> None:
        line.say(b"\x00\x01\x81\xff")
        for index in range(len(frame)):
            line.say_later(0.003 * (index + 1), frame[index : index + 1])

    line = RawLine(answer)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link):
        await up(link)
        for _ in range(5):
            assert (await link.read_coils(1, 0, 8))[2]
    line.close()
    assert link.counts.garbled == 0


async def test_babbling_line_is_garbled_without_a_byte_sent_into_it() -> None:
    babble = True

    async def talk() -> None:
        while babble:
            line.say(b"\x01\x55")
            await asyncio.sleep(0.001)

    line = RawLine(lambda data: line.say(rtu_frame(1, b"\x01\x01\x05")))
    link = ModbusBus(f"rtu://{line.path}?baudrate=1200")  # the gap is 29 ms: the test's own pauses are none
    async with running(link), asyncio.TaskGroup() as group:
        await up(link)
        talking = group.create_task(talk())
        await asyncio.sleep(0.02)
        with pytest.raises(Garbled, match="never silent"):
            await link.read_coils(1, 0, 8)
        assert not line.heard
        babble = False
        await talking
        await link_rested(link, 1)
        assert (await link.read_coils(1, 0, 8))[0]
    line.close()


@given(noise=st.binary(max_size=30), tail=st.binary(max_size=30))
def test_answer_is_found_inside_noise_and_never_invented(noise: bytes, tail: bytes) -> None:
    sent, frame = rtu_frame(1, READ_2), rtu_frame(1, registers(READ_2))
    assert find_rtu_answer(sent, noise + frame + tail) == frame
    assert find_rtu_answer(sent, noise) == b""
    tcp_sent, tcp = tcp_frame(9, 1, READ_2), tcp_frame(9, 1, registers(READ_2))
    assert find_tcp_answer(tcp_sent, tcp_frame(8, 1, registers(READ_4)) + tcp + tail) == tcp


def test_requests_whose_answers_look_alike_are_known() -> None:
    assert alike(READ_2, READ_4)
    assert alike(READ_2, READ_2)
    assert not alike(READ_2, bytes.fromhex("0300040002"))
    assert not alike(bytes.fromhex("050000ff00"), bytes.fromhex("050000ff00"))
    assert alike(bytes.fromhex("0f0000000801ff"), bytes.fromhex("0f000000080100"))
    assert not alike(bytes.fromhex("050000ff00"), bytes.fromhex("0500000000"))


# --- order, dead units, lost wires


async def test_lamp_overtakes_polls_and_the_newest_lamp_wins() -> None:
    line = RawLine()
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link), asyncio.TaskGroup() as group:
        await up(link)
        group.create_task(link.read_coils(1, 0, 1, deadline_s=2))
        await until(lambda: line.heard)
        for poll in (2, 3):
            group.create_task(link.read_coils(1, 0, poll))
        for value in (0xFF00, 0x0000, 0xFF00):
            group.create_task(link.write_coil(1, 5, value))
        group.create_task(link.write_coil(1, 6, 0))
        await asyncio.sleep(0)
        line.on_bytes = lambda data: line.say(data if data[1] == 5 else rtu_frame(1, b"\x01\x01\x00"))
        line.say(rtu_frame(1, b"\x01\x01\x00"))
        await until(lambda: link.counts.exchanges == 5)
    line.close()
    order = [(data[1], data[3], data[4]) for data in line.heard]
    assert order == [(1, 0, 0), (5, 5, 0xFF), (5, 6, 0), (1, 0, 0), (1, 0, 0)]


async def test_dead_unit_rests_longer_and_longer_and_a_request_to_it_fails_at_once() -> None:
    line = RawLine()
    link = ModbusBus(
        f"rtu://{line.path}?baudrate=115200", pace=Pace(rest_max_s=2.0, owed_s=0.0), jitter=lambda: 0.0
    )
    rests = []
    async with running(link):
        await up(link)
        for _ in range(4):
            with pytest.raises(Unreachable, match="no answer"):
                await link.read_coils(5, 0, 8, deadline_s=0.02)
            rests.append(round(link.rest_s(5), 1))
            start_s = monotonic_s()
            with pytest.raises(Unreachable, match="resting"):
                await link.write_coil(5, 0, 0xFF00)
            assert monotonic_s() - start_s < 0.01
            link._queue.unit(5).rest_until_s = 0.0
    line.close()
    assert rests == [0.5, 1.0, 2.0, 2.0]


async def test_probe_of_a_dead_unit_gives_way_to_a_healthy_lamp() -> None:
    line = RawLine(lambda data: line.say(data) if data[0] == 1 else None)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", pace=QUICK)
    async with running(link), asyncio.TaskGroup() as group:
        await up(link)
        with pytest.raises(Unreachable):
            await link.read_coils(5, 0, 8, deadline_s=0.02)
        await link_rested(link, 5)
        probe = group.create_task(expect_unreachable(link.read_coils(5, 0, 8, deadline_s=0.6)))
        await until(lambda: line.heard and line.heard[-1][0] == 5 and len(line.heard) == 3)
        start_s = monotonic_s()
        await link.write_coil(1, 0, 0xFF00)
        took_s = monotonic_s() - start_s
        await probe
    line.close()
    assert took_s < 0.2
    assert link.counts.broken_off == 1


async def lamp_times_ms(dead: int | None, seed: int) -> list[float]:
    """Milliseconds per lamp of seven of eight units at 19200 baud, while the other, number 5, is asked without end."""
    modules = [relay(unit, profile=PROFILES["plain"]) for unit in range(1, 9)]
    for module in modules:
        module.faults = Faults(mute=float(module.unit == dead))
    line = FakeLine(modules, char_s=10 / 19200)
    link = ModbusBus(f"rtu://{line.path}?baudrate=19200", Pace(rest_max_s=0.5))
    dice, times_ms = random.Random(seed), []

    async def ask_number_5() -> None:
        while True:
            with suppress(DeviceError):
                await link.read_coils(5, 0, 8)
            await asyncio.sleep(max(0.05, link.rest_s(5)))

    async with running(line, link), asyncio.TaskGroup() as group:
        await up(link)
        asking = group.create_task(ask_number_5())
        await until(lambda: link.counts.timeouts >= (2 if dead else 0))
        for _ in range(150):
            await asyncio.sleep(dice.expovariate(1 / 0.005))
            start_s = monotonic_s()
            await link.write_coil(dice.choice((1, 2, 3, 4, 6, 7, 8)), 0, 0xFF00)
            times_ms.append(1000 * (monotonic_s() - start_s))
        asking.cancel()
    return sorted(times_ms)


async def test_one_dead_unit_of_eight_hardly_delays_the_lamps_of_the_others() -> None:
    healthy, beside_dead = await asyncio.gather(lamp_times_ms(None, 1), lamp_times_ms(5, 1))
    # Beside a read of the dead unit that just left: 8 characters and a gap, 6 ms; the rest is for a busy machine.
    assert beside_dead[147] <= 1.2 * healthy[147] + 12, (healthy[-5:], beside_dead[-5:])


async def test_unplugged_port_is_reopened_under_its_path(tmp_path: Path) -> None:
    module = relay()
    port, changes = tmp_path / "by-path", []
    link = ModbusBus(f"rtu://{port}")
    link.on_state(lambda is_up, reason: changes.append((is_up, reason != "")))
    async with running(link):
        await until(lambda: changes)
        for _ in range(2):
            line = FakeLine([module])
            port.symlink_to(line.path)
            async with running(line):
                await up(link)
                await link.write_coil(1, 0, 0xFF00)
            port.unlink()
            await until(lambda: not link.connected)
            with pytest.raises(Unreachable):
                await link.read_coils(1, 0, 8)
    assert changes == [(False, True), (True, False), (False, True), (True, False), (False, True)]


async def test_server_that_restarts_or_refuses_is_found_again() -> None:
    module = relay()
    far = FakeTcp([module])
    url = await far.start()
    link = ModbusBus(url)
    async with running(link):
        await up(link)
        waiting = asyncio.gather(link.read_coils(1, 0, 8), return_exceptions=True)
        await far.stop()
        [outcome] = await waiting
        assert isinstance(outcome, (Unreachable, tuple))
        await until(lambda: not link.connected)
        again = FakeTcp([module])
        await again.start(far.port)
        await up(link)
        assert len(await link.read_coils(1, 0, 8)) == 8
        await again.stop()


async def test_peer_that_hangs_up_at_once_does_not_make_the_loop_spin() -> None:
    accepted = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    link = ModbusBus(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", jitter=lambda: 0.0)
    async with running(link):
        await until(lambda: accepted >= 1)
        await asyncio.sleep(1.2)
    server.close()
    assert accepted == 2  # at 0 and 0.5 s; the third comes 1.0 s later


async def test_wire_that_stays_silent_is_opened_afresh_without_a_word() -> None:
    """Half-open TCP: the peer is there but nothing comes back."""
    module = relay()
    module.faults = Faults(mute=1.0)
    far = FakeTcp([module])
    link = ModbusBus(await far.start(), pace=QUICK)
    changes: list[bool] = []
    link.on_state(lambda is_up, reason: changes.append(is_up))
    async with running(link):
        await up(link)
        for _ in range(20):
            await expect_unreachable(link.read_coils(1, 0, 8, deadline_s=0.02))
            await link_rested(link, 1)
            if link.counts.opened > 1:
                break
        module.faults = Faults()
        assert len(await link.read_coils(1, 0, 8)) == 8
    assert changes == [True]
    await far.stop()


async def test_another_driver_takes_the_wire_over_when_one_leaves() -> None:
    module = relay()
    far = FakeTcp([module])
    link = ModbusBus(await far.start())
    changes: list[bool] = []
    link.on_state(lambda is_up, reason: changes.append(is_up))
    async with running(link):
        await up(link)
        async with asyncio.TaskGroup() as group:
            second = group.create_task(link.run())
            await asyncio.sleep(0)
            async with running(link):
                await link.write_coil(1, 0, 0xFF00)
            assert (await link.read_coils(1, 0, 8))[0]
            second.cancel()
    assert changes == [True]
    await far.stop()


@pytest.mark.parametrize("seed", range(2))
async def test_seeded_mischief_never_yields_a_wrong_level(seed: int) -> None:
    """Late, mute, garbled, refused: every value that is returned is the coil's."""
    modules = [relay(unit, seed=seed, profile=PROFILES["plain"]) for unit in (1, 2)]
    for module in modules:
        module.faults = Faults(mute=0.1, late=0.2, late_s=0.06, garbage=0.1, prefix=0.3, exception=0.1)
    line = FakeLine(modules)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", pace=QUICK)
    good = 0
    async with running(line, link):
        await up(link)
        for turn in range(30):
            module = modules[turn % 2]
            try:
                await link.write_coil(module.unit, turn % 8, 0xFF00 if turn % 3 else 0, deadline_s=0.04)
                levels = await link.read_coils(module.unit, 0, 8, deadline_s=0.04)
            except DeviceError:
                await link_rested(link, module.unit)
                continue
            good += 1
            assert levels == tuple(module.level(channel) for channel in range(8))
    assert good > 5


async def link_rested(link: ModbusBus, unit: int) -> None:
    await until(lambda: link.rest_s(unit) == 0)


async def expect_unreachable(request) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unreachable):
        await request
