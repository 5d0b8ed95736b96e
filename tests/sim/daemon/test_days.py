"""Whole daemons in virtual time: seeds that once found a bug live on here; the same seed is the same day."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import apsw
import pytest

from edged.sim.daemon.days import HALL, live
from edged.sim.daemon.disk import SECTOR_BYTES, Disk
from edged.sim.daemon.faults import DaemonFaults
from edged.sim.daemon.loop import Standstill, VirtualLoop
from tests.support.seeds import kept_seeds

KEPT = Path(__file__).with_name("failing_seeds.txt")


@pytest.mark.parametrize(("seed", "days"), kept_seeds(KEPT))
def test_a_seed_that_once_found_a_bug_finds_none(seed: int, days: int) -> None:
    verdict = live(HALL, seed, days)
    assert verdict.broken is None, (
        f"{verdict.broken}; again: edged simulate --level daemon --seeds {seed} --days {days}"
    )


SHORT = """
import sys
from edged.sim.daemon import days
days.FAULTS_H = 0.3
verdict = days.live(days.HALL, int(sys.argv[1]), 1)
print(verdict.digest, verdict.steps, verdict.tickets, verdict.broken)
"""


def short_day(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-c", SHORT, str(seed)]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environ)
    return done.stdout or done.stderr


def test_the_same_seed_is_the_same_day_in_another_process() -> None:
    first, second = short_day(11, "1"), short_day(11, "2")
    assert first == second
    assert first.endswith("None\n")
    assert short_day(12, "1") != first


def test_an_unknown_level_is_said() -> None:
    command = [sys.executable, "-m", "edged", "simulate", "--level", "town"]
    wrong = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2
    assert "daemon" in wrong.stderr


def test_time_is_virtual_and_nothing_real_is_at_hand() -> None:
    loop = VirtualLoop()
    loop.run_until_complete(asyncio.sleep(100_000))
    assert loop.now_s == pytest.approx(100_000)
    with pytest.raises(ConnectionRefusedError):
        loop.run_until_complete(loop.create_connection(asyncio.Protocol, "127.0.0.1", 80))
    with pytest.raises(Standstill):
        loop.run_until_complete(asyncio.Event().wait())
    loop.close()


def test_a_cut_keeps_what_was_synced_and_some_sectors_of_the_rest(tmp_path: Path) -> None:
    disk = Disk("cutting", tmp_path, Random(1))
    try:
        database = apsw.Connection(str(tmp_path / "a.db"), vfs="cutting")
        database.pragma("journal_mode", "wal")
        database.pragma("synchronous", 2)
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (1)")
        database.pragma("synchronous", 0)
        database.execute("INSERT INTO t VALUES (2)")
        disk.alive = False
        disk.close_killed(database)
        disk.cut()
        disk.alive = True
        after = apsw.Connection(str(tmp_path / "a.db"), vfs="cutting")
        assert [x for (x,) in after.execute("SELECT x FROM t")] in ([1], [1, 2])
        after.close(True)
    finally:
        disk.unregister()
    assert SECTOR_BYTES == 512


def test_about_half_of_all_worlds_have_a_given_fault() -> None:
    worlds = [DaemonFaults.draw(Random(seed)) for seed in range(200)]
    for name in ("cut_per_h", "frozen_per_h", "noise_share", "dead_per_h"):
        assert 60 < sum(getattr(world, name) > 0 for world in worlds) < 140
