"""How ``edged run`` ends when it cannot go on: a code and a line for whoever has to mend it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

from tests.support.daemon_checks import identical
from tests.support.daemons import ROOT, Daemon, Hall, Machines, device_table, edged

# A driver with a bug, and restarts that a test can wait for.
WITH_A_BUG = """
import devices, sys
from edged.daemon import devices as running
from edged.__main__ import main
devices.REGISTRY["crashing"] = "tests.support.slates:Crashing"
running.RESTART_S = (0.05,)
sys.argv[0] = "edged"
main()
"""


async def test_a_taken_web_port_is_a_mistake_in_the_file(hall: tuple[Hall, Daemon, Machines]) -> None:
    """The relay module does not answer, either: its wire must not outlive the decision to end."""
    files, _daemon, _machines = hall
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", files.web_port))
        taken.listen()
        text = files.file.read_text()
        files.file.write_text(
            text.replace(
                'driver = "modbus_relay"\nurl = "', 'driver = "modbus_relay"\nurl = "tcp://127.0.0.1:1" # '
            )
        )
        done = await asyncio.to_thread(edged, "run", "--config", str(files.file), timeout_s=10.0)
    assert done.returncode == 2
    assert f"{files.file}: web: 127.0.0.1:{files.web_port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_driver_that_crashes_again_and_again_ends_it_as_a_bug(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    """With its traceback, without a state dump; what was committed stands."""
    files, daemon, _machines = hall
    await daemon.start()
    assert await daemon.stop() == 0
    files.file.write_text(
        files.file.read_text()
        + device_table("bad", "x").replace("mqtt_json", "crashing").replace('kind = "x"\n', "")
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", WITH_A_BUG, "run", "--config", str(files.file)],
        capture_output=True,
        text=True,
        timeout=20,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 70, done.stderr[-2000:]
    assert "bad: driver failed 6 times in 60 s" in done.stderr
    assert done.stderr.count('"event": "device-task-failed"') == 6
    identical(files)
