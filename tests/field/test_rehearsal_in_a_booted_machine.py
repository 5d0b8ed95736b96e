"""The shipped units of the rehearsal under systemd: a connection starts it, its sandbox lets it read the journal.

Booting takes a while, so only with ``-m full``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.central.envelope import public_entry
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.containers import LIBRARIES, UNITS, booted
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.policies import KEY, document, envelope

pytestmark = pytest.mark.full
# The machine of the tests is busy all the time, and whoever runs when nobody else wants to does not run at all.
AWAKE = "CPUSchedulingPolicy=other\nNice=0\nCPUWeight=100\n"


async def test_a_rehearsal_is_started_by_its_socket_and_its_failure_affects_no_visitor(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    files, _, machines = hall
    keys = tmp_path / "city.pub.json"
    keys.write_text(json.dumps({"keys": [public_entry(KEY.public_key(), "city")]}))
    libraries = tmp_path / "libraries-rehearse.conf"
    libraries.write_text(LIBRARIES + AWAKE)
    files.edit('path = "hall.db"', 'path = "/var/lib/edged/hall.db"')
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    binds = {
        keys: "/etc/edged/city.pub.json",
        libraries: "/etc/systemd/system/edged-rehearse.service.d/libraries.conf",
        **{
            UNITS / name: f"/etc/systemd/system/{name}"
            for name in ("edged-rehearse.service", "edged-rehearse.socket")
        },
    }
    async with booted(tmp_path / "box", files.file, binds) as container:
        await container.call("systemctl", "start", "edged-rehearse.socket")
        async with (
            plain_client(broker, "centre") as centre,
            watching(broker, "hall/east/policy/report") as reports,
        ):
            pushed = envelope(document(version=1, halls=["east"], body={}))
            await centre.publish("hall/east/policy/push", pushed, qos=1)
            await until(lambda: bool(reports) and reports[-1]["applied"]["version"] == 1, 200.0)
            log = await container.call("journalctl", "-u", "edged-rehearse", "--no-pager", "-n", "30")
            assert reports[-1]["rehearsal"] == {"missed": "no-days"}, (
                log
            )  # it has read the journal, which is young
            assert {"rehearsing", "applied"} <= {one["state"] for one in reports}
            machines.tickets(1)
            await until(lambda: machines.panel.waiting == 1)
