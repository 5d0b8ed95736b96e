"""The Modbus bus against pymodbus's servers, ptys and raw peers: answers proven, lamps first, dead units cheap."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.modbus_relay.fake import FakeTcp, RelayFaults
from edged.clock import monotonic_s
from edged.driver import DeviceError, Garbled, Refused, Unreachable
from edged.links.modbus.frames import alike, find_rtu_answer, find_tcp_answer, rtu_frame, tcp_frame
from edged.links.modbus.link import ModbusBus, bus
from edged.links.modbus.queue import Pace
from edged.links.modbus.wire import ModbusWire, parse_url
from tests.support.modbus_peers import (
    QUICK,
    RawLine,
    link_rested,
    pymodbus_serial,
    pymodbus_tcp,
    registers,
    relay,
    running,
    sim_device,
    until,
    up,
)

READ_2, READ_4 = bytes.fromhex("0300020001"), bytes.fromhex("0300040001")

# --- URLs and sharing


def test_modbus_urls_are_parsed_into_wire_settings_or_refused() -> None:
    assert parse_url("tcp://10.0.0.9") == ModbusWire("tcp", "10.0.0.9:502")
    assert parse_url("rtu+tcp://gw:4196") == ModbusWire("rtu+tcp", "gw:4196")
    path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0"
    assert parse_url(f"rtu://{path}?baudrate=19200&parity=E") == ModbusWire("rtu", path, 19200, "E")
    assert parse_url("rtu:///dev/x").gap_s == pytest.approx(3.5 * 10 / 9600)
    assert parse_url("rtu:///dev/x?baudrate=115200").gap_s == 0.00175


async def test_one_modbus_wire_has_one_shared_bus_and_other_settings_are_refused() -> None:
    first = bus("rtu:///dev/null-a?baudrate=9600")
    assert bus("rtu:///dev/null-a") is first
    assert bus("rtu:///dev/null-b") is not first
    with pytest.raises(ValueError, match="already used"):
        bus("rtu:///dev/null-a?baudrate=19200")


# --- pymodbus's own servers


async def test_coils_and_registers_are_read_and_written_over_tcp() -> None:
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


async def test_coils_and_registers_are_read_and_written_over_a_serial_line(tmp_path: Path) -> None:
    async with pymodbus_serial(tmp_path, sim_device(1), sim_device(2)) as url:
        link = ModbusBus(url)
        async with running(link):
            await up(link)
            await link.write_coil(2, 0, 0xFF00)
            assert await link.read_coils(2, 0, 1) == (True,)
            assert await link.read_coils(1, 0, 1) == (False,)
            assert await link.read_registers(1, 5, 1) == (50,)


async def test_modbus_serial_of_node_agrees_with_our_frames(tmp_path: Path) -> None:
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
        async with asyncio.timeout(8):
            port = json.loads(await peer.stdout.readline())["port"]
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


async def test_a_modbus_tcp_socket_has_nodelay_set() -> None:
    far = FakeTcp([relay()])
    link = ModbusBus(await far.start())
    async with running(link):
        await up(link)
        assert link._transport
        plug = link._transport.get_extra_info("socket")
        assert plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await far.stop()


async def test_a_request_to_an_idle_wire_is_sent_in_the_same_turn_of_the_loop() -> None:
    """Not one turn of the loop lies between a lamp and its frame; an answer sends the next one likewise."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = ModbusBus(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        async with running(link):
            await up(link)
            module, _ = server.accept()
            module.setblocking(False)
            first, second = link.write_coil(1, 0, 0xFF00), link.write_coil(1, 1, 0xFF00)
            asked = module.recv(100)
            assert asked[7:] == bytes.fromhex("050000ff00"), "the second waits for the first one's answer"
            assert not link.counts.exchanges
            link._received(asked)
            assert module.recv(100)[7:] == bytes.fromhex("050001ff00")
            assert await first == asked[7:]
            assert not second.done()
            module.close()


# --- F23: late answers


async def test_a_late_answer_is_never_taken_for_that_of_another_register() -> None:
    """Each answer comes after 1.5 deadlines; registers 2 and 4 are asked in turn for a while."""

    def answer(data: bytes) -> None:
        line.send_later(0.09, rtu_frame(1, registers(data[1:-2])))

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
async def test_at_any_delay_no_value_is_taken_from_the_answer_to_another_request(delay_s: float) -> None:
    """The first answer is late by ``delay_s``, across the rest of the unit; later ones are prompt."""
    first = True

    def answer(data: bytes) -> None:
        nonlocal first
        line.send_later(delay_s if first else 0.0, rtu_frame(1, registers(data[1:-2])))
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


async def test_a_request_waiting_for_a_late_answer_is_sent_as_soon_as_that_answer_arrives() -> None:
    """And not only when it has lapsed, which would be ten seconds later."""
    first = True

    def answer(data: bytes) -> None:
        nonlocal first
        line.send_later(0.4 if first else 0.0, rtu_frame(1, registers(data[1:-2])))
        first = False

    line = RawLine(answer)
    link = ModbusBus(
        f"rtu://{line.path}?baudrate=115200", pace=Pace(rest_min_s=0.01, rest_max_s=0.01, owed_s=10.0)
    )
    async with running(link):
        await up(link)
        link._queue.unit(1).misses = 1  # one try only, so that exactly one answer is owed
        with pytest.raises(Unreachable):
            await link.read_registers(1, 2, 1, deadline_s=0.05)
        await link_rested(link, 1)
        async with asyncio.timeout(5):
            assert await link.read_registers(1, 4, 1, deadline_s=0.05) == (40,)
    line.close()
    assert link.counts.late == 1


async def test_pymodbus_without_our_guard_takes_a_late_answer_for_the_next_request() -> None:
    """Shows the fault that our guard is for; if this fails, pymodbus has mended it and the guard may go."""
    from pymodbus.client import AsyncModbusSerialClient
    from pymodbus.exceptions import ModbusException

    line = RawLine(lambda data: line.send_later(0.09, rtu_frame(1, registers(data[1:-2]))))
    client = AsyncModbusSerialClient(line.path, timeout=0.06, retries=0)
    await client.connect()
    await asyncio.sleep(0)
    with pytest.raises(ModbusException):
        await client.read_holding_registers(2, count=1)
    wrong = await client.read_holding_registers(4, count=1)
    client.close()
    line.close()
    assert wrong.registers == [20]


async def test_a_late_answer_over_tcp_is_recognised_by_its_transaction_number() -> None:
    module = relay()
    far = FakeTcp([module])
    link = ModbusBus(await far.start())
    async with running(link):
        await up(link)
        module.faults = RelayFaults(late=1.0, late_s=0.15)
        with pytest.raises(Unreachable):
            await link.read_coils(1, 0, 8, deadline_s=0.05)
        await until(lambda: link.counts.late >= 2)
        module.faults = RelayFaults()
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
        (8, Refused),
        (9, Refused),
        (10, Unreachable),
        (11, Unreachable),
        (77, Refused),
    ],
)
async def test_exception_codes_become_device_errors(code: int, kind: type[DeviceError]) -> None:
    line = RawLine(lambda data: line.send(rtu_frame(1, bytes((0x81, code)))))
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link):
        await up(link)
        with pytest.raises(DeviceError) as caught:
            await link.read_coils(1, 0, 8)
        assert (link.rest_s(1) > 0) == (code in (10, 11))
        assert link.counts.refused == link.counts.exchanges >= 1, "of 5 and 6 it is asked again"
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
async def test_misfitting_answers_raise_garbled_and_the_next_right_answer_counts(answer: str) -> None:
    answers = [bytes.fromhex(answer)] * 2 + [rtu_frame(1, b"\x01\x01\x05")]
    line = RawLine(lambda data: line.send(answers.pop(0)))
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
async def test_a_write_is_confirmed_only_by_an_exact_echo(echo: str) -> None:
    """FC05 0x0203 = 8: another address, another value or another function confirm nothing."""
    line = RawLine(lambda data: line.send(rtu_frame(1, bytes.fromhex(echo))))
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link):
        await up(link)
        with pytest.raises(Garbled):
            await link.write_coil(1, 0x0203, 8, deadline_s=0.03)
    line.close()
    assert link.counts.exchanges == 0


async def test_an_answer_behind_noise_or_in_pieces_is_read() -> None:
    """pymodbus drops every answer behind a garbage prefix; here the frame is found inside."""
    frame = rtu_frame(1, b"\x01\x01\x05")

    def answer(data: bytes) -> None:
        line.send(b"\x00\x01\x81\xff")
        for index in range(len(frame)):
            line.send_later(0.003 * (index + 1), frame[index : index + 1])

    line = RawLine(answer)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link):
        await up(link)
        for _ in range(5):
            assert (await link.read_coils(1, 0, 8))[2]
    line.close()
    assert link.counts.garbled == 0


async def test_nothing_is_sent_into_a_babbling_line_and_the_request_raises_garbled() -> None:
    babble = True

    async def talk() -> None:
        while babble:
            line.send(b"\x01\x55")
            await asyncio.sleep(0.001)

    line = RawLine(lambda data: line.send(rtu_frame(1, b"\x01\x01\x05")))
    link = ModbusBus(f"rtu://{line.path}?baudrate=1200")  # the gap is 29 ms: the test's own pauses are none
    async with running(link), asyncio.TaskGroup() as group:
        await up(link)
        talking = group.create_task(talk())
        await asyncio.sleep(0.02)
        with pytest.raises(Garbled, match="never silent"):
            await link.read_coils(1, 0, 8)
        assert not line.received
        babble = False
        await talking
        await link_rested(link, 1)
        assert (await link.read_coils(1, 0, 8))[0]
        assert (link.counts.exchanges, link.counts.refused) == (1, 0)
    line.close()


@given(noise=st.binary(max_size=30), tail=st.binary(max_size=30))
def test_an_answer_is_found_inside_noise_and_never_found_without_one(noise: bytes, tail: bytes) -> None:
    sent, frame = rtu_frame(1, READ_2), rtu_frame(1, registers(READ_2))
    assert find_rtu_answer(sent, noise + frame + tail) == frame
    assert find_rtu_answer(sent, noise) == b""
    tcp_sent, tcp = tcp_frame(9, 1, READ_2), tcp_frame(9, 1, registers(READ_2))
    assert find_tcp_answer(tcp_sent, tcp_frame(8, 1, registers(READ_4)) + tcp + tail) == tcp


def test_requests_whose_answers_could_be_mistaken_for_each_other_are_recognised() -> None:
    assert alike(READ_2, READ_4)
    assert alike(READ_2, READ_2)
    assert not alike(READ_2, bytes.fromhex("0300040002"))
    assert not alike(bytes.fromhex("050000ff00"), bytes.fromhex("050000ff00"))
    assert alike(bytes.fromhex("0f0000000801ff"), bytes.fromhex("0f000000080100"))
    assert not alike(bytes.fromhex("050000ff00"), bytes.fromhex("0500000000"))
