"""What people type and read at the machine: names they use, sentences instead of tracebacks, no password for all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged.config import ConfigErrors, load
from edged.logs import REFUSALS_BURST
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import TIDE
from tests.support.daemons import ROOT, Daemon, Hall, Machines, edged

Parts = tuple[Hall, Daemon, Machines]
NOBODY = 65_534
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


async def test_the_why_command_accepts_window_numbers_and_area_names(hall: Parts) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.lamp.lamp == "blink")
    assert await daemon.stop() == 0
    journal = str(files.journal)
    for words in (
        ("--window", "2"),
        ("--window", "2号窗口"),
        ("--window", "w2"),
        ("--area", "税务"),
        ("--area", "tax"),
    ):
        done = await asyncio.to_thread(edged, "why", journal, *words)
        assert (done.returncode, "OPEN" in done.stdout) == (0, True), words
        assert "(w2)" not in done.stdout, "names, not ids"
    assert edged("why", journal, "--window", "1").returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="taking rights away takes root")
@pytest.mark.parametrize("command", ["why", "doctor"])
async def test_a_command_without_rights_prints_a_sentence_and_no_traceback(hall: Parts, command: str) -> None:
    files, daemon, _machines = hall
    state = files.directory / "state"
    state.mkdir()
    files.edit('path = "hall.db"', 'path = "state/hall.db"')
    await daemon.start()
    assert await daemon.stop() == 0
    state.chmod(0o700)
    os.chown(state, NOBODY, NOBODY)
    done = await asyncio.to_thread(
        subprocess.run,
        [*WITHOUT_RIGHTS, sys.executable, "-m", "edged", command, "--config", str(files.file)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert "root" in output


def test_a_password_on_the_command_line_is_refused_naming_the_password_file_variable(tmp_path: Path) -> None:
    done = edged("status", "--broker", "mqtt://edged:secret@127.0.0.1:1", "--hall", "x")
    assert done.returncode == 2
    assert "EDGED_PASSWORD_FILE" in done.stderr
    assert "secret" not in done.stderr


def test_two_names_of_one_serial_port_are_recognised_as_one(tmp_path: Path) -> None:
    """By-id and by-path links lead to the same ttyUSB0 (Zigbee2MQTT's and Home Assistant's forums know the pair)."""
    port = tmp_path / "ttyUSB0"
    port.touch()
    for link in ("by-id", "by-path"):
        (tmp_path / link).symlink_to(port)
    card = '[[devices]]\nid = "card{0}"\ndriver = "onbon_bx"\npath = "{1}"\nwidth = 64\nheight = 16\n'
    text = (ROOT / "configs" / "hall-small.toml").read_text()
    for pair in (("by-id", "by-path"), ("by-id", "ttyUSB0")):
        file = tmp_path / "hall.toml"
        file.write_text(text + "".join(card.format(n, tmp_path / name) for n, name in enumerate(pair)))
        with pytest.raises(ConfigErrors, match='already belongs to device "card0"'):
            load(file)


async def test_a_flood_of_refused_documents_is_counted_and_writes_few_log_lines(
    hall: Parts, broker: Mosquitto
) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    async with plain_client(broker, "centre") as centre:
        for number in range(200):
            await centre.publish("hall/east/policy/push", f'{{"n":{number}}}', qos=1)
    await until(
        lambda: (
            files.get("/metrics")[1].count('edged_policy_rejected_total{reason="not-an-envelope"} 200.0') == 1
        )
    )
    assert len(daemon.logged("policy-refused")) <= REFUSALS_BURST + 2
