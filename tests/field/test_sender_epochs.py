"""A device that restarts counts from 1 again, and a number that was sent again is no new input: both, each way round.

Forms seen with others, none of them written for this hall: counters that start again with the firmware (ESPHome and
Tasmota count in memory only; LoRaWAN devices after a power cycle, which network servers such as ChirpStack drop as a
frame counter that was reset, until somebody turns the check off), buttons that sleep and say "1" each time they wake
(Zigbee and ESP battery buttons), and clients that repeat everything unacknowledged after a reconnect (paho, esp-mqtt).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.mqtt_json.fake import FakeDispenser, FakeFleet
from edged.core.model.events import CountRead, KeyPressed, RatingGiven
from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines, device_table
from tests.support.false_clocks import FalseClock

MONDAY = "2026-03-02T09:00:00+08:00"
EVENING = "2026-03-02T17:20:00+08:00"
TUESDAY = "2026-03-03T09:00:00+08:00"
Parts = tuple[Hall, Daemon, Machines]
BURST = 120  # inputs on their way when the process dies


@pytest.fixture
def clock(tmp_path: Path, hall: Parts) -> FalseClock:
    one = FalseClock(tmp_path)
    one.show(MONDAY)
    hall[1].environ |= one.environ
    return one


def power_cycle(*devices: object) -> None:
    """Switch devices off and on: their will is published, then their birth, and they count from 1 again."""
    for device in devices:
        device.go(online=False)  # type: ignore[attr-defined]
        device.seq = 0  # type: ignore[attr-defined]
        device.go(online=True)  # type: ignore[attr-defined]


def ignored(files: Hall, reason: str = "duplicate") -> int:
    """Return how many inputs the hall ignored for this reason."""
    found = [note for step in files.steps() for note in step.notes if note.kind == "ignored"]
    return sum(note.data.get("reason") == reason for note in found)


async def press(machines: Machines, files: Hall, *keys: str) -> None:
    """Press keys one after the other, waiting for each as a person does."""
    for key in keys:
        before = sum(isinstance(step.event, KeyPressed) for step in files.steps())
        machines.panel.press(key)
        await until(lambda: sum(isinstance(step.event, KeyPressed) for step in files.steps()) > before)
        await asyncio.sleep(0.6)  # above a double press


async def test_the_first_press_of_a_panel_after_its_power_cycle_calls(hall: Parts) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(6)
    await until(lambda: len(files.tickets()) == 6)
    await press(machines, files, "next", "next", "next")
    assert machines.panel.number == "A003"
    power_cycle(machines.panel)
    await press(machines, files, "next")
    await until(lambda: machines.panel.number == "A004")
    assert ignored(files) == 0
    assert await daemon.stop() == 0
    identical(files)


async def test_what_a_device_repeats_after_a_short_loss_counts_once(hall: Parts) -> None:
    """The acknowledgement was lost between broker and device: it comes back and says its newest messages again."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(6)
    await until(lambda: len(files.tickets()) == 6)
    await press(machines, files, "next", "next", "next")
    machines.panel.go(online=False)
    machines.panel.go(online=True)
    for seq in (2, 3):
        machines.fleet.send("panel-w1", "key", {"seq": seq, "key": "next"})
    await until(lambda: ignored(files) == 2)
    await press(machines, files, "next")
    await until(lambda: machines.panel.number == "A004")
    assert await daemon.stop() == 0
    identical(files)


@pytest.mark.parametrize("switched_off", [True, False], ids=["devices off at night", "devices left on"])
async def test_messages_of_all_devices_repeating_yesterdays_numbers_are_counted_next_morning(
    hall: Parts, clock: FalseClock, switched_off: bool
) -> None:
    """Dispenser, panel, pager, evaluator and counter, their numbers and their content as the day before."""
    files, daemon, machines = hall
    files.file.write_text(files.file.read_text() + device_table("door", "counter"))
    await daemon.start()

    async def morning(day: int) -> None:
        machines.tickets(3)
        await until(lambda: len(files.tickets()) == 3 * day)
        for entered in (4, 5):
            seq = entered - 3 if switched_off else 2 * day + entered
            machines.fleet.send("door", "count", {"seq": seq, "in": entered, "out": 0})
        await press(machines, files, "login", "next", "arrive")
        machines.panel.rate(5)
        machines.pager.press("accept")
        machines.panel.press("finish")
        await until(lambda: files.notes()["ticket.finished"] == day)
        await until(lambda: counted(files, RatingGiven) == day and counted(files, CountRead) == 2 * day)

    await morning(1)
    machines.panel.press("next")
    await until(lambda: files.notes()["ticket.called"] == 2)
    if switched_off:
        power_cycle(machines.dispenser, machines.panel, machines.pager)
    assert await daemon.stop() == 0
    clock.show(TUESDAY)
    await daemon.restart()
    await morning(2)
    assert ignored(files) == 0
    assert files.notes()["people.counted"] == 4
    assert files.numbers() == ["A001", "A002", "A003"] * 2
    assert await daemon.stop() == 0
    identical(files)


def counted(files: Hall, kind: type) -> int:
    """Return how many events of this kind the journal has."""
    return sum(isinstance(step.event, kind) for step in files.steps())


async def test_a_message_stored_but_not_acknowledged_counts_once_when_repeated_a_day_later(
    hall: Parts, clock: FalseClock
) -> None:
    """Killed between the commit and the acknowledgement: the broker repeats it with its mark, a day later."""
    files, daemon, machines = hall
    clock.show(EVENING)
    await daemon.start()
    machines.tickets(BURST)
    await until(lambda: len(files.tickets()) > BURST // 8)
    await daemon.kill()
    clock.show(TUESDAY)
    await daemon.restart()
    await until(lambda: len(files.tickets()) >= BURST)
    await until(lambda: machines.panel.shown.get("panel") is not None)
    machines.dispenser.seq = 0
    machines.dispenser.ticket("B001", "tax-general")
    await until(lambda: files.numbers()[-1] == "B001")
    numbers = files.numbers()
    assert sorted(numbers) == [f"A{n:03d}" for n in range(1, BURST + 1)] + ["B001"]
    assert await daemon.stop() == 0
    identical(files)


async def test_messages_the_broker_repeats_without_the_repeat_mark_count_once(
    hall: Parts, broker: Mosquitto
) -> None:
    """After its power cut the broker may send what we have, as if for the first time; no time counted meanwhile."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(6)
    await press(machines, files, "next", "next")
    await broker.kill()
    await until(lambda: files.notes()["device.lost"] > 0)
    await broker.start()
    await until(lambda: machines.fleet.connected.is_set())
    for seq in (1, 2):
        machines.fleet.send("panel-w1", "key", {"seq": seq, "key": "next"})
    await until(lambda: ignored(files) == 2)
    await press(machines, files, "next")
    await until(lambda: machines.panel.number == "A003")
    assert await daemon.stop() == 0
    identical(files)


async def test_presses_of_a_sleeping_button_with_equal_numbers_and_new_boot_ids_all_count(
    hall: Parts,
) -> None:
    """The button names each of its lives, which tells its presses apart although each has number 1."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(3)
    await until(lambda: len(files.tickets()) == 3)
    for wake in range(3):
        machines.fleet.send("panel-w1", "key", {"seq": 1, "key": "next", "boot": f"wake-{wake}"})
        await until(lambda: files.notes()["ticket.called"] == wake + 1)
        await asyncio.sleep(0.6)
    assert machines.panel.number == "A003"
    assert ignored(files) == 0
    assert await daemon.stop() == 0
    identical(files)


async def test_two_dispensers_under_one_id_print_each_number_once(hall: Parts, broker: Mosquitto) -> None:
    """From the first request on each prints what answers its own; lives that take turns are sign enough."""
    files, daemon, machines = hall
    await daemon.start()
    other = FakeFleet("east", port=broker.port)
    other.client_id = "fakes-copied"
    copied = FakeDispenser(other, "dispenser")
    machines.dispenser.boot, copied.boot = "one", "two"
    running = asyncio.get_running_loop().create_task(other.run())
    await other.connected.wait()
    papers = []
    for asked in (machines.dispenser, copied):
        asked.request("tax-general")
        await until(lambda asked=asked: len(asked.printed) == 1)  # type: ignore[misc]
        papers = [fields["number"] for one in (machines.dispenser, copied) for fields in one.printed]
    assert papers == ["A001", "A002"]
    machines.dispenser.request("tax-general")
    await until(lambda: '"device-twice/dispenser"' in files.get("/healthz")[1])
    running.cancel()
    await asyncio.wait({running})
    assert len(copied.printed) == 1


async def test_two_dispensers_under_one_id_are_named_and_print_no_number_twice(hall: Parts) -> None:
    files, daemon, machines = hall
    await daemon.start()
    for seq in (50, 3, 51, 4):
        machines.fleet.send("dispenser", "request", {"seq": seq, "service": "tax-general"})
    await until(lambda: '"device-twice/dispenser"' in files.get("/healthz")[1])
    await until(lambda: len(machines.ids(machines.dispenser, "refuse")) == 1)
    machines.fleet.send("dispenser", "request", {"seq": 52, "service": "tax-general"})
    await until(lambda: len(machines.ids(machines.dispenser, "refuse")) == 2)
    assert len(machines.ids(machines.dispenser, "print")) == 3
    assert ignored(files, "device_twice") == 2
    assert await daemon.stop() == 0
    identical(files)
