"""The daemon as systemd starts it, against real brokers and devices on real wires."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from edged.clock import monotonic_s
from edged.core.model.commands import Print
from edged.core.model.events import Resumed
from tests.support.brokers import Mosquitto, either_broker, plain_client, until
from tests.support.daemon_checks import (
    FROZEN_S,
    RESTART_S,
    TIDE,
    identical,
    watching,
)
from tests.support.daemons import (
    EXTRA_WINDOW,
    STOP_S,
    Daemon,
    Hall,
    Machines,
    device_table,
    edged,
    relay_module,
    small_hall,
)

BURST = 800  # fewer than the broker queues; most of it waits while the first texts leave
LAST = 50  # sent with the signal already on its way


@contextmanager
def apsw_connection(path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path))
    try:
        yield connection
    finally:
        connection.close()


def dumps(hall: Hall) -> list[int]:
    """Steps after which a state dump was taken."""
    with apsw_connection(hall.journal) as connection:
        return [int(seq) for (seq,) in connection.execute("SELECT seq FROM snapshots ORDER BY seq")]


async def mosquitto_pub(port: int, topic: str, payload: dict[str, object]) -> None:
    process = await asyncio.create_subprocess_exec(
        "mosquitto_pub", "-p", str(port), "-V", "5", "-q", "1", "-t", topic, "-m", json.dumps(payload)
    )
    async with asyncio.timeout(10):
        assert await process.wait() == 0


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
async def test_ninth_ticket_lights_the_tidal_window_and_a_login_opens_it(kind: str, tmp_path: Path) -> None:
    async with either_broker(kind) as broker, small_hall(tmp_path, broker) as (hall, daemon, machines):
        await daemon.start()
        await until(lambda: machines.relay.frames != {} and "panel" in machines.panel.shown)
        async with plain_client(broker, "dispenser") as device:
            for seq in range(1, TIDE):
                ticket = {"seq": seq, "number": f"A{seq:03d}", "service": "tax-general"}
                await device.publish("hall/east/dev/dispenser/up/ticket", json.dumps(ticket), qos=1)
            await until(lambda: machines.panel.waiting == TIDE - 1)
            assert machines.lamp.lamp in (None, "off")
            ninth = {"seq": TIDE, "number": "A009", "service": "tax-general"}
            await device.publish("hall/east/dev/dispenser/up/ticket", json.dumps(ninth), qos=1)
        await until(lambda: machines.lamp.lamp == "blink" and machines.pager.actions != [])
        _, page = machines.pager.actions[0]
        assert (page["staff"], page["window"]) == ("chen", "w2")
        async with plain_client(broker, "onlooker") as onlooker:
            await onlooker.subscribe("hall/east/dev/lamp-w2/down/lamp", qos=1)
            async with asyncio.timeout(5):
                retained = await anext(aiter(onlooker.messages))
            assert retained.retain
            assert json.loads(bytes(retained.payload)) == {"state": "blink"}
        machines.pager.press("accept")
        machines.tidal_panel.press("login", "chen")
        await until(lambda: machines.lamp.lamp == "on" and machines.relay.seen(1) == "on")
        assert await daemon.stop() == 0
        notes = hall.notes()
        assert (notes["tidal.requested"], notes["tidal.acknowledged"], notes["tidal.opened"]) == (1, 1, 1)
        identical(hall)


async def test_mosquitto_pub_is_device_enough(hall: tuple[Hall, Daemon, Machines], broker: Mosquitto) -> None:
    """Also: the same message three times changes the hall once, and health and metrics tell of it."""
    files, daemon, machines = hall
    await daemon.start()
    for seq in range(1, TIDE + 1):
        ticket: dict[str, object] = {"seq": seq, "number": f"A{seq:03d}", "service": "tax-general"}
        for _ in range(3 if seq == 5 else 1):
            await mosquitto_pub(broker.port, "hall/east/dev/dispenser/up/ticket", ticket)
    await until(lambda: machines.lamp.lamp == "blink")
    await mosquitto_pub(broker.port, "hall/east/dev/dispenser/up/ticket", {"seq": 99, "number": "A1"})
    await until(lambda: len(files.tickets()) == TIDE)  # the lamp does not wait for the disk
    assert files.notes()["ticket.issued"] == TIDE
    duplicates = [n for s in files.steps() for n in s.notes if n.data.get("reason") == "duplicate"]
    assert len(duplicates) == 2
    status, body = await asyncio.to_thread(files.get, "/healthz")
    health = json.loads(body)
    assert (status, health["state"], health["serving"], health["durable"]) == (200, "ok", True, True)
    assert (health["mqtt_connected"], health["devices_lost"], health["epoch"]) == (True, [], 1)
    assert await files.metric("edged_tickets_waiting") == TIDE
    assert await files.metric('edged_inputs_ignored_total{reason="duplicate"}') == 2
    assert await files.metric("edged_inputs_rejected_total") == 1
    assert await files.metric("edged_link_up") == 1
    assert await files.metric("edged_durable") == 1
    assert await files.metric("edged_device_up") == 9
    assert await files.metric("edged_commit_seconds_count") > 0
    measured = await files.metric("edged_input_to_output_seconds_count")
    assert measured >= 2, (
        "a text keeps a pace of a tenth of a second, so not every ticket; a lamp and a panel do"
    )
    assert await files.metric("edged_input_to_output_seconds_sum") < measured, "under a second each"
    assert await daemon.stop() == 0
    identical(files)


async def test_killed_in_a_burst_nothing_is_lost_doubled_or_announced_twice(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    machines.panel.press("login")
    await until(lambda: machines.lamp.lamp == "blink" and machines.pager.actions != [])
    machines.panel.press("next")
    await until(lambda: machines.voice.spoken != [])
    machines.voice.mute = True
    machines.panel.press("recall")
    await until(lambda: len(machines.voice.spoken) == 2)
    for _ in range(20):
        machines.dispenser.request("tax-general")
    machines.tickets(BURST, first=501)
    await until(lambda: (machines.panel.waiting or 0) >= TIDE + 25)
    machines.tickets(LAST, first=501 + BURST)  # a quick machine may have taken all of the others
    await daemon.kill()
    assert len(files.tickets()) < TIDE + 20 + BURST + LAST, "killed too late to show anything"
    machines.tickets(50, first=501 + BURST + LAST)
    machines.lamp.shown.clear()
    await daemon.restart()
    ready_s = monotonic_s() - daemon.started_s
    assert any(isinstance(step.event, Resumed) for step in files.steps()), "READY means restored and on disk"
    await until(lambda: machines.lamp.lamp == "blink")
    assert monotonic_s() - daemon.started_s < RESTART_S, "lamps are right again soon"
    print(f"ready {ready_s:.2f} s, lamp {monotonic_s() - daemon.started_s:.2f} s after the start")  # noqa: T201
    await until(lambda: len(files.tickets()) == TIDE + 70 + BURST + LAST)
    machines.dispenser.request("tax-general")
    await until(lambda: len(files.tickets()) == TIDE + 71 + BURST + LAST)
    assert await daemon.stop() == 0
    sent = sorted(event.seq or 0 for event in files.tickets())
    assert sent == list(range(1, machines.dispenser.seq + 1))
    prints = {action.id: action.body for action in files.actions("print")}  # some were offered again
    printed = [body.number for body in prints.values() if isinstance(body, Print)]
    assert len(printed) == len(set(printed)) == 21, "every visitor who asked has a number of their own"
    for device, kind in ((machines.voice, "say"), (machines.dispenser, "print")):
        ids = machines.ids(device, kind)
        # paper may be offered again under its id, which the dispenser recognises; nothing is said twice
        assert kind == "print" or len(ids) == len(set(ids)), f"{kind} twice: {ids}"
        assert set(ids) <= {action.id for action in files.actions(kind)}
    identical(files)


async def test_clean_stop_is_quick_says_offline_and_leaves_the_outputs(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.lamp.lamp == "blink")
    await until(lambda: machines.panel.waiting == TIDE)  # texts come after lamps
    async with watching(broker, "hall/east/status") as states:
        await until(lambda: states != [] and states[-1]["state"] == "online")
        before = dict(machines.lamp.shown), dict(machines.panel.shown), len(machines.relay.writes)
        lost = files.notes()["device.lost"]
        asked_s = monotonic_s()
        assert await daemon.stop() == 0
        assert monotonic_s() - asked_s < STOP_S
        await until(lambda: states[-1]["state"] == "offline")
        assert (machines.lamp.shown, machines.panel.shown, len(machines.relay.writes)) == before
    assert any("STOPPING=1" in text for text in daemon.notified)
    assert dumps(files)[-1] == files.steps()[-1].seq, "the next start reads one state dump and no step"
    assert files.notes()["device.lost"] == lost, "our own leaving is no loss"
    async with watching(broker, "hall/east/status") as states:
        await daemon.restart()
        await until(lambda: states != [] and states[-1]["state"] == "online")
        await daemon.kill()
        await until(lambda: states[-1]["state"] == "offline")
    identical(files)


async def test_a_broken_file_is_refused_line_by_line_and_a_better_one_taken(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(2)
    await until(lambda: machines.panel.shown.get("panel", {}).get("waiting") == 2)
    good = files.file.read_text()
    files.edit('kind = "voice"', 'kind = "vioce"')
    files.edit('panel = "panel-w2"', 'panel = "panel-w9"')
    daemon.signal(signal.SIGHUP)
    await until(lambda: len(daemon.logged("reload-refused")) >= 2)
    mistakes = " ".join(line["mistake"] for line in daemon.logged("reload-refused"))
    assert "vioce" in mistakes
    assert "panel-w9" in mistakes

    files.file.write_text(
        good.replace("[[staff]]", f"{EXTRA_WINDOW}\n[[staff]]", 1) + device_table("new", "lamp")
    )
    daemon.signal(signal.SIGHUP)
    await until(lambda: daemon.logged("reloaded") != [])
    assert daemon.logged("reloaded")[0]["devices_started"] == ["new"]
    await until(lambda: files.notes()["site.loaded"] == 2)
    machines.tickets(1, first=3)
    await until(lambda: machines.panel.waiting == 3)
    assert await files.metric('edged_device_up{device="new",driver="mqtt_json"}') == 0
    assert 'device="new"' in (await asyncio.to_thread(files.get, "/metrics"))[1]

    files.edit(device_table("new", "lamp"), "")
    daemon.signal(signal.SIGHUP)
    await until(lambda: len(daemon.logged("reloaded")) == 2)
    assert 'device="new"' not in (await asyncio.to_thread(files.get, "/metrics"))[1]

    refusals_before = len(daemon.logged("reload-refused"))
    files.file.write_text(files.file.read_text().replace('"tax-general"', '"tax-special"'))
    daemon.signal(signal.SIGHUP)
    await until(lambda: len(daemon.logged("reload-refused")) == refusals_before + 3)
    assert "tax-general" in daemon.logged("reload-refused")[-1]["mistake"]
    machines.tickets(1, first=4)
    await until(lambda: machines.panel.waiting == 4)
    assert await daemon.stop() == 0
    identical(files)


async def test_a_start_with_a_file_that_drops_visits_runs_on_as_it_was(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(2)
    await until(lambda: machines.panel.shown.get("panel", {}).get("waiting") == 2)
    assert await daemon.stop() == 0
    good = files.file.read_text()
    files.edit('"tax-general"', '"tax-special"')
    await daemon.restart()
    assert "tax-general" in daemon.logged("configuration-not-applied")[0]["mistake"]
    machines.tickets(1, first=3)
    await until(lambda: machines.panel.waiting == 3)
    files.file.write_text(good.replace("综合税务", "税务"))
    daemon.signal(signal.SIGHUP)
    await until(lambda: files.notes()["site.loaded"] == 2)
    assert await daemon.stop() == 0
    identical(files)


async def test_a_replaced_device_is_sent_the_current_levels(hall: tuple[Hall, Daemon, Machines]) -> None:
    """Another relay module replaces the first while the daemon runs; its lamps are set without a restart."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    machines.panel.press("login")
    await until(lambda: machines.lamp.lamp == "blink")
    machines.tidal_panel.press("login", "chen")
    await until(lambda: machines.relay.seen(1) == "on")
    other = Machines(1)
    async with relay_module(other) as url:
        text = files.file.read_text()
        files.file.write_text(re.sub(r'url = ".*"', f'url = "{url}"', text))
        daemon.signal(signal.SIGHUP)
        await until(lambda: other.relay.seen(1) == "on" and daemon.logged("reloaded") != [])
        assert daemon.logged("reloaded")[0]["devices_started"] == ["relay"]
        assert await daemon.stop() == 0
    identical(files)


async def test_what_only_a_restart_can_take_is_refused_whole(hall: tuple[Hall, Daemon, Machines]) -> None:
    """A reload cannot change a serial line's baud rate or the hall of the journal; it then changes nothing at all."""
    files, daemon, machines = hall
    line = (
        '\n[[devices]]\nid = "line"\ndriver = "modbus_relay"\nurl = "rtu:///dev/no-such-port?baudrate=9600"\n'
    )
    files.file.write_text(files.file.read_text() + line)
    await daemon.start()
    good = files.file.read_text()
    files.file.write_text(good.replace("baudrate=9600", "baudrate=19200") + device_table("new", "lamp"))
    daemon.signal(signal.SIGHUP)
    await until(lambda: daemon.logged("reload-refused") != [])
    assert "a restart takes it" in daemon.logged("reload-refused")[0]["mistake"]
    files.file.write_text(good.replace('id = "east"', 'id = "west"'))
    daemon.signal(signal.SIGHUP)
    await until(lambda: len(daemon.logged("reload-refused")) == 2)
    assert "hall.id west" in daemon.logged("reload-refused")[1]["mistake"]
    files.file.write_text(good.replace(f"port = {files.web_port}", "port = 0"))
    daemon.signal(signal.SIGHUP)
    await until(lambda: daemon.logged("reload-needs-restart") != [])
    assert daemon.logged("reload-needs-restart")[0]["tables"] == ["web"]
    await until(lambda: daemon.logged("reloaded") != [])
    assert daemon.logged("reloaded")[0]["devices_started"] == []
    machines.tickets(1)
    await until(lambda: machines.panel.shown.get("panel", {}).get("waiting") == 1)
    assert await daemon.stop() == 0
    identical(files)


async def test_a_frozen_process_times_nobody_out(hall: tuple[Hall, Daemon, Machines]) -> None:
    """Also: while frozen it sends no ping to the watchdog, and READY was sent before the freeze."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.pager.actions != [])
    await until(lambda: daemon.pings >= 2)
    daemon.signal(signal.SIGSTOP)
    await asyncio.sleep(0.2)  # what was on its way to us
    pings = daemon.pings
    await asyncio.sleep(FROZEN_S)  # the freeze itself is what is tested
    assert daemon.pings == pings
    daemon.signal(signal.SIGCONT)
    await until(lambda: any(isinstance(step.event, Resumed) for step in files.steps()))
    await until(lambda: daemon.pings > pings)
    machines.pager.press("accept")
    await until(lambda: files.notes()["tidal.acknowledged"] == 1)
    assert await daemon.stop() == 0
    (gap,) = [step.event.gap_ms for step in files.steps() if isinstance(step.event, Resumed)]
    assert FROZEN_S * 1000 <= gap <= (FROZEN_S + 3) * 1000
    assert files.notes()["tidal.unanswered"] == 0
    identical(files)


async def test_exit_codes_say_whose_fault_it_is(hall: tuple[Hall, Daemon, Machines]) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    run = ("run", "--config", str(files.file))
    second = await asyncio.to_thread(edged, *run)
    assert second.returncode == 75
    assert "another process writes this journal" in second.stderr
    assert "Traceback" not in second.stderr
    assert await daemon.stop() == 0
    good = files.file.read_text()
    files.file.write_text("[hall\n")
    broken = await asyncio.to_thread(edged, *run)
    assert broken.returncode == 2
    assert broken.stderr.startswith(f"{files.file}:1: TOML:")
    files.file.write_text(good)
    with apsw_connection(files.journal) as connection:
        connection.pragma("user_version", 99)
    newer = await asyncio.to_thread(edged, *run)
    assert newer.returncode == 78
    assert "schema 99" in newer.stderr
