"""A lost device is shown with its reason in the log, health, status, alarms and metrics."""

from __future__ import annotations

import asyncio
import json

from edged.core.model.losses import LOSSES
from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall, Machines, edged


async def test_a_lost_device_is_told_with_its_reason_everywhere_and_once(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    daemon.planted = "impatient"  # the alarm rises after a second
    words = LOSSES["connection-refused"]
    async with watching(broker, "hall/east/state/alarms") as alarms:
        await daemon.start()
        await until(lambda: json.loads(files.get("/healthz")[1])["devices_lost"] == [])
        await machines.relay_server.stop()
        await until(lambda: alarms != [] and alarms[-1]["standing"] != [], 20.0)
        await until(lambda: alarms[-1]["standing"][0]["reason"] == "connection-refused", 40.0)
        entry = alarms[-1]["standing"][0]
        assert (entry["alarm"], entry["subject"]) == ("device-lost", "relay")
        assert (entry["do"], entry["do_zh"]) == (words.do_en, words.do_zh)
        assert words.zh in entry["text_zh"]
        assert words.en in entry["text"]
        health = json.loads(files.get("/healthz")[1])
        assert list(health["losses"]) == health["devices_lost"] == ["relay"]
        assert health["losses"]["relay"]["reason"] == "connection-refused"
        metrics = files.get("/metrics")[1]
        assert 'edged_device_lost{device="relay",reason="connection-refused"} 1.0' in metrics
        assert 'edged_devices_lost{reason="connection-refused"} 1.0' in metrics
        done = await asyncio.to_thread(edged, "status", "--config", str(files.file))
        assert words.do_zh in done.stdout
        assert words.do_en in done.stdout
        done = await asyncio.to_thread(edged, "alarms", "--config", str(files.file), "--lang", "zh")
        assert done.returncode == 1
        assert words.do_zh in done.stdout
        assert words.do_en not in done.stdout
        await machines.relay_server.start(machines.relay_server.port)
        await until(lambda: alarms[-1]["standing"] == [], 20.0)
    await until(lambda: daemon.logged("device-back") != [])
    lost, back = daemon.logged("device-lost"), daemon.logged("device-back")
    assert [(one["device"], one["level"]) for one in lost] == [("relay", "warning")]
    assert lost[0]["remedy"] == LOSSES[lost[0]["reason"]].do_en
    assert [*lost, *daemon.logged("device-still-lost")][-1]["reason"] == "connection-refused"
    assert [one["device"] for one in back] == ["relay"]
    assert back[0]["away_s"] > 0
    assert daemon.logged("alarm-raised") == []


async def test_a_lost_device_that_is_taken_out_is_missed_by_nobody(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    daemon.planted = "impatient"
    await daemon.start()
    await machines.relay_server.stop()
    await until(lambda: "device-lost/relay" in json.loads(files.get("/healthz")[1])["alarms"], 20.0)
    text = files.file.read_text()
    table = text[text.index('\n[[devices]]\nid = "relay"') : text.index('\n[[devices]]\nid = "dispenser"')]
    files.edit(table, "")
    files.edit('lamps = ["relay/1"]', "lamps = []")
    files.edit('tidal = true\nskills = ["tax-general"]\nlamp = "relay/0"', 'skills = ["tax-general"]')
    done = await asyncio.to_thread(edged, "reload", "--config", str(files.file))
    assert done.returncode == 0, done.stdout + done.stderr
    await until(lambda: json.loads(files.get("/healthz")[1])["alarms"] == [], 20.0)
    assert json.loads(files.get("/healthz")[1])["state"] == "ok"
