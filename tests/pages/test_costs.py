"""What pages cost the hall: nothing that its loop would notice, whatever becomes of their process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from edged.sim.broker import free_port
from tests.support.brokers import real_mosquitto, until
from tests.support.daemons import Hall, small_hall

IDLE, SLOW = 100, 20
WATCHED_S = 4.0
LAG_MAX_S = 0.1  # of 99 in 100 looks, on a machine that runs other tests, too
REQUEST = b"GET /changes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def lag_s(hall: Hall) -> float:
    """After a while of watching: the loop's lag that 99 of 100 looks did not exceed."""
    await asyncio.sleep(WATCHED_S)
    return await hall.quantile("edged_loop_lag_seconds", 0.99)


async def test_a_hundred_idle_and_twenty_slow_readers_a_stop_and_a_kill_cost_the_daemon_nothing(
    tmp_path: Path,
) -> None:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (hall, daemon, machines):
        port = free_port()
        hall.file.write_text(f"{hall.file.read_text()}\n[pages]\nport = {port}\n")
        await daemon.start()
        pages = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", "web", "--config", str(hall.file), "--child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        writers: list[asyncio.StreamWriter] = []
        try:
            assert pages.stdout is not None
            await pages.stdout.readline()
            for number in range(IDLE + SLOW):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64)
                writers.append(writer)
                writer.write(REQUEST)
                if number >= SLOW:
                    assert b"200" in await reader.read(64)
            lags = [await lag_s(hall)]
            os.kill(pages.pid, signal.SIGSTOP)
            machines.tickets(5)
            await until(lambda: len(hall.numbers()) == 5)
            lags.append(await lag_s(hall))
            os.kill(pages.pid, signal.SIGKILL)
            machines.tickets(5, first=6)
            await until(lambda: len(hall.numbers()) == 10)
            lags.append(await lag_s(hall))
        finally:
            if pages.returncode is None:
                pages.kill()
            await pages.wait()
            for writer in writers:
                writer.close()
        print("loop lag, p99, with streams, stopped, killed:", lags)  # noqa: T201
        assert max(lags) <= LAG_MAX_S, lags


async def test_who_is_connected_is_let_go_in_order(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (hall, daemon, _):
        port = free_port()
        hall.file.write_text(f"{hall.file.read_text()}\n[pages]\nport = {port}\n")
        await daemon.start()
        pages = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", "web", "--config", str(hall.file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert pages.stdout is not None
        await pages.stdout.readline()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"200" in await reader.readline()
        pages.terminate()
        _, output = await pages.communicate()
        writer.close()
        assert pages.returncode == 0
        assert b"Traceback" not in output
        assert b"Exception" not in output
