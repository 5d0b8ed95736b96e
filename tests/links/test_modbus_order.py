"""The Modbus bus under load and loss: lamps first, dead units cheap, wires that come back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from devices.modbus_relay.fake import FakeLine, FakeTcp, RelayFaults
from devices.modbus_relay.profiles import profile_of
from edged.clock import monotonic_s
from edged.driver import DeviceError, Unreachable
from edged.links.modbus.frames import rtu_frame
from edged.links.modbus.link import FAIR_S, GIVE_WAY_S, ModbusBus
from edged.links.modbus.queue import TRIES, ModbusUnit, Pace
from tests.support.modbus_peers import (
    QUICK,
    RawLine,
    expect_unreachable,
    link_rested,
    relay,
    running,
    until,
    up,
)

# --- order, dead units, lost wires


async def test_a_lamp_command_overtakes_polls_and_only_the_newest_is_sent() -> None:
    line = RawLine()
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200")
    async with running(link), asyncio.TaskGroup() as group:
        await up(link)
        group.create_task(link.read_coils(1, 0, 1, deadline_s=2))
        await until(lambda: line.received)
        for poll in (2, 3):
            group.create_task(link.read_coils(1, 0, poll))
        for value in (0xFF00, 0x0000, 0xFF00):
            link.write_coil(1, 5, value)
        link.write_coil(1, 6, 0)
        await asyncio.sleep(0)
        line.on_bytes = lambda data: line.send(data if data[1] == 5 else rtu_frame(1, b"\x01\x01\x00"))
        line.send(rtu_frame(1, b"\x01\x01\x00"))
        await until(lambda: link.counts.exchanges == 5)
    line.close()
    order = [(data[1], data[3], data[4]) for data in line.received]
    assert order == [(1, 0, 0), (5, 5, 0xFF), (5, 6, 0), (1, 0, 0), (1, 0, 0)]


async def test_a_dead_unit_rests_for_growing_times_and_requests_to_it_fail_at_once() -> None:
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
            assert monotonic_s() - start_s < 0.2
            link._queue.unit(5).rest_until_s = 0.0
    line.close()
    assert rests == [0.5, 1.0, 2.0, 2.0]


@asynccontextmanager
async def beside_a_dead_unit() -> AsyncIterator[tuple[RawLine, ModbusBus]]:
    """Unit 1 answers; 5 has missed a request, does not answer and may be asked again."""
    line = RawLine(lambda data: line.send(data) if data[0] == 1 else None)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", pace=QUICK)
    async with running(link):
        await up(link)
        with pytest.raises(Unreachable):
            await link.read_coils(5, 0, 8, deadline_s=0.02)
        await link_rested(link, 5)
        yield line, link
    line.close()


async def test_a_probe_of_a_dead_unit_is_interrupted_by_a_lamp_command_to_a_healthy_unit() -> None:
    async with beside_a_dead_unit() as (line, link), asyncio.TaskGroup() as group:
        probe = group.create_task(expect_unreachable(link.read_coils(5, 0, 8, deadline_s=0.6)))
        await until(lambda: line.received and line.received[-1][0] == 5 and len(line.received) == 3)
        start_s = monotonic_s()
        await link.write_coil(1, 0, 0xFF00)
        took_s = monotonic_s() - start_s
        await until(lambda: len(line.received) == 5)
        assert monotonic_s() - start_s >= 0.9 * GIVE_WAY_S, (
            "a busy wire is not asked for the dead at every free moment"
        )
        await probe
    assert took_s < 0.2
    assert link.counts.broken_off == 1


async def test_a_probe_that_waited_its_fair_time_counts_as_a_miss_and_is_not_repeated() -> None:
    async with beside_a_dead_unit() as (line, link), asyncio.TaskGroup() as group:
        missed = link.counts.timeouts
        probe = group.create_task(expect_unreachable(link.read_coils(5, 0, 8, deadline_s=30.0)))
        await until(lambda: len(line.received) == 3)
        asked_s = monotonic_s()
        await until(lambda: monotonic_s() - asked_s > 1.5 * FAIR_S)
        await link.write_coil(1, 0, 0xFF00)
        await probe
    assert link.counts.broken_off == 0
    assert link.counts.timeouts == missed + 1


async def test_a_returning_unit_is_found_even_while_lamp_commands_never_pause() -> None:
    alive = [1]
    line = RawLine(lambda data: line.send(data) if data[0] in alive else None)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", pace=QUICK)

    async def lamps() -> None:
        while True:
            await asyncio.gather(link.write_coil(1, 0, 0xFF00), asyncio.sleep(FAIR_S / 10))

    async with running(link), asyncio.TaskGroup() as group:
        await up(link)
        busy = group.create_task(lamps())
        with pytest.raises(Unreachable):
            await link.write_coil(5, 0, 0xFF00, deadline_s=0.02)
        await link_rested(link, 5)
        probe = asyncio.ensure_future(link.write_coil(5, 0, 0xFF00, deadline_s=30.0))
        await until(lambda: link.counts.broken_off >= 2)
        alive.append(5)
        async with asyncio.timeout(10):
            await probe
        busy.cancel()
    line.close()


async def lamp_times_ms(dead: int | None, seed: int) -> list[float]:
    """Milliseconds per lamp of seven of eight units at 19200 baud, while the other, number 5, is asked without end."""
    modules = [relay(unit, profile=profile_of("plain")) for unit in range(1, 9)]
    for module in modules:
        module.faults = RelayFaults(mute=float(module.unit == dead))
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


async def test_one_dead_unit_hardly_delays_the_lamps_of_the_others() -> None:
    healthy, beside_dead = await asyncio.gather(lamp_times_ms(None, 1), lamp_times_ms(5, 1))
    # Beside a read of the dead unit that just left: 8 characters and a gap, 6 ms; the rest is for a busy machine.
    assert beside_dead[147] <= 1.2 * healthy[147] + 12, (healthy[-5:], beside_dead[-5:])


async def test_an_unplugged_port_is_reopened_under_its_path(tmp_path: Path) -> None:
    module = relay()
    port, changes = tmp_path / "by-path", []
    link = ModbusBus(f"rtu://{port}")
    link.on_state(lambda is_up, reason: changes.append((is_up, reason.word != "")))
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


async def test_a_server_that_restarts_or_refuses_is_connected_again() -> None:
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


async def test_a_peer_that_hangs_up_at_once_is_not_retried_in_a_busy_loop() -> None:
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


async def test_a_silent_tcp_connection_is_reopened_without_reporting_a_loss() -> None:
    """Half-open TCP: the peer is there but nothing comes back."""
    module = relay()
    module.faults = RelayFaults(mute=1.0)
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
        module.faults = RelayFaults()
        assert len(await link.read_coils(1, 0, 8)) == 8
    assert changes == [True]
    await far.stop()


async def test_another_driver_keeps_the_shared_wire_running_when_one_leaves() -> None:
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
async def test_random_faults_never_yield_a_wrong_coil_value(seed: int) -> None:
    """Late, mute, garbled, refused: every value that is returned is the coil's."""
    modules = [relay(unit, seed=seed, profile=profile_of("plain")) for unit in (1, 2)]
    for module in modules:
        module.faults = RelayFaults(mute=0.1, late=0.2, late_s=0.06, garbage=0.1, prefix=0.3, exception=0.1)
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


@pytest.mark.parametrize(("jitter", "rests_s"), [(0.0, 4.0), (0.5, 3.8), (0.9, 3.64)])
def test_jitter_shortens_the_rest_of_a_unit_by_a_tenth_at_most(jitter: float, rests_s: float) -> None:
    unit = ModbusUnit(misses=TRIES + 1)
    unit.rest(100.0, Pace(rest_min_s=2.0), jitter)
    assert unit.rest_until_s - 100.0 == pytest.approx(rests_s)
