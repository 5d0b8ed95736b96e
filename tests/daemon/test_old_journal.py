"""The hundredth day: a start costs what happened since the last state dump, however old the journal is."""

from __future__ import annotations

import os
from pathlib import Path

from edged.bench import aged
from edged.clock import monotonic_s
from edged.sim.broker import free_port
from edged.store import database
from tests.support.brokers import Mosquitto
from tests.support.cgroups import memory_group
from tests.support.daemons import Daemon, Hall

UNIT_BYTES = 256 << 20  # MemoryMax= of systemd/edged.service
READY_S = 6.0  # on a busy machine; ``edged bench --only age`` holds it to 2 s
DAYS = int(os.environ.get("EDGED_JOURNAL_DAYS", "5"))  # ninety in ``python -m tests.campaign --part age``


def uncached(path: Path) -> None:
    """None of the file is in memory any more."""
    for file in (path, path.with_name(path.name + "-wal")):
        if file.exists():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


async def test_an_old_journal_starts_from_a_cold_disk_in_the_units_memory(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """The rows before the newest dump are not even read: one of them is damaged, and found only later."""
    written = await aged.write(tmp_path / "hall.db", DAYS)
    hall = Hall(tmp_path, broker.port, "5.0", "tcp://127.0.0.1:1")
    hall.file.write_text(aged.hall_toml(written.site, broker.port, hall.web_port or free_port()))
    connection = database.connect(hall.journal, read_only=False)
    last = int(connection.execute("SELECT max(seq) FROM steps").get or 0)
    connection.execute("UPDATE steps SET chain = zeroblob(32) WHERE seq = ?", (last // 2,))
    connection.close()
    uncached(hall.journal)
    daemon = Daemon(hall)
    with memory_group(UNIT_BYTES) as group:
        daemon.before = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
        try:
            await daemon.start()
            took_s = monotonic_s() - daemon.started_s
            print(f"{DAYS} days, {hall.journal.stat().st_size >> 20} MiB: READY after {took_s * 1000:.0f} ms")  # noqa: T201
            assert took_s <= READY_S
            assert await hall.metric("edged_up") >= 0
        finally:
            await daemon.kill()
            daemon.close()
