"""Somebody holds a paper, or stands before a dispenser: they end in the queue, or in a refusal there and an alarm.

Forms seen with others: dispensers whose counter starts again after a paper change or a swap at noon, kiosk scanners
that type in full width or small letters (keyboard-wedge scanners under a Chinese input method), message types that a
firmware update renamed (Tasmota and ESPHome changed topic names between releases), and two kiosks flashed from one
image.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines, device_table

Parts = tuple[Hall, Daemon, Machines]


def alarms(files: Hall) -> list[str]:
    found: list[str] = json.loads(files.get("/healthz")[1])["alarms"]
    return found


def refused(machines: Machines) -> list[dict[str, Any]]:
    return [fields for kind, fields in machines.dispenser.actions if kind == "refuse"]


async def serve(machines: Machines, files: Hall, count: int) -> None:
    for _ in range(count):
        before = files.notes()["ticket.finished"]
        machines.panel.press("next")
        await until(lambda n=before: files.notes()["ticket.called"] > n)  # type: ignore[misc]
        machines.panel.press("arrive")
        machines.panel.press("finish")
        await until(lambda n=before: files.notes()["ticket.finished"] > n)  # type: ignore[misc]


async def test_the_tickets_of_a_dispenser_that_restarts_numbering_wait_and_the_manager_is_paged(
    hall: Parts,
) -> None:
    """Its first visitors were served: the new ones wait, and the duty manager is paged about the dispenser."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(3)
    machines.panel.press("login")
    await serve(machines, files, 3)
    machines.dispenser.seq = 0
    for number in ("A001", "A002"):
        machines.dispenser.ticket(number, "tax-general", "elderly")
    await until(lambda: len(files.tickets()) == 5)
    await until(lambda: machines.panel.waiting == 2)
    assert "paper-in-doubt/dispenser" in alarms(files)
    await until(lambda: len(machines.ids(machines.duty, "page")) >= 1)
    assert await daemon.stop() == 0
    identical(files)


async def test_two_dispensers_printing_the_same_numbers_raise_an_alarm_and_a_refusal(
    hall: Parts, broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    files.file.write_text(files.file.read_text() + device_table("kiosk-2", "dispenser"))
    await daemon.start()
    machines.tickets(2)
    machines.fleet.send("kiosk-2", "ticket", {"seq": 1, "number": "A002", "service": "tax-general"})
    await until(lambda: "paper-in-doubt/kiosk-2" in alarms(files))
    await until(lambda: len(files.actions("refuse")) == 1)
    assert files.actions("refuse")[0].point == "kiosk-2"
    assert await daemon.stop() == 0
    identical(files)


@pytest.mark.parametrize(
    ("kind", "fields", "alarm"),
    [
        ("request", {"seq": 1, "service": "passports"}, "nobody-gets-a-number"),
        ("request", {"seq": 1, "service": "Tax General"}, "nobody-gets-a-number"),
        ("request", {"seq": 1, "service": "tax-general", "priority": 3}, "nobody-gets-a-number"),
        ("request", {"seq": 1, "service": "tax-general", "returning": "A0;01"}, "nobody-gets-a-number"),
        ("request", {"service": "tax-general"}, "nobody-gets-a-number"),
        ("ticket", {"seq": 1, "number": "A001", "service": "passports"}, "paper-in-doubt"),
        ("ticket", {"seq": 1, "number": "A 001?", "service": "tax-general"}, "paper-in-doubt"),
    ],
    ids=lambda one: one if isinstance(one, str) else "-".join(map(str, one.values())).replace(" ", "_"),
)
async def test_a_refused_dispenser_shows_the_reason_to_its_visitor(
    hall: Parts, kind: str, fields: dict[str, Any], alarm: str
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.fleet.send("dispenser", kind, fields)
    await until(lambda: len(refused(machines)) == 1)
    assert "员" in refused(machines)[0]["text"]
    assert "staff" in refused(machines)[0]["text_en"]
    assert f"{alarm}/dispenser" in alarms(files)
    assert await daemon.stop() == 0
    identical(files)


@pytest.mark.parametrize("spelling", ["a001", " A001 ", "Ａ００１", "A 001", "a００1"])
async def test_a_returning_visitor_whose_scanned_number_is_spelled_otherwise_keeps_the_number(
    hall: Parts, spelling: str
) -> None:
    """Whoever was told what to bring is back, and keeps their number."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(1)
    for key, arg in (("login", None), ("next", None), ("arrive", None), ("finish", "told-once/photo")):
        machines.panel.press(key, arg)
    await until(lambda: files.notes()["ticket.finished"] == 1)
    machines.dispenser.request("tax-general", returning=spelling)
    await until(lambda: len(machines.dispenser.printed) == 1)
    assert machines.dispenser.printed[0]["number"] == "A001"
    assert await daemon.stop() == 0
    identical(files)


async def test_a_number_typed_in_small_or_full_width_letters_is_recognised(hall: Parts) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(1)
    for key in ("login", "next", "arrive", "park"):
        machines.panel.press(key)
    await until(lambda: files.notes()["ticket.parked"] == 1)
    machines.panel.press("resume", "ａ001")
    await until(lambda: files.notes()["ticket.returned"] == 1)
    assert await daemon.stop() == 0
    identical(files)


async def test_a_wrong_word_in_a_device_topic_is_logged_and_raises_an_alarm(
    hall: Parts, broker: Mosquitto
) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    async with plain_client(broker, "renamed") as client:
        for _ in range(3):
            await client.publish("hall/east/dev/panel-w2/up/keys", b'{"seq":1,"key":"next"}', qos=1)
    await until(lambda: "device-unreadable/panel-w2" in alarms(files))
    assert await daemon.stop() == 0
    identical(files)
    rejected = [line for line in daemon.logged("input-rejected") if line["reason"] == "unknown_topic"]
    assert [line["detail"] for line in rejected] == ["panel-w2 keys"]
