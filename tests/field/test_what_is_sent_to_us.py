"""Messages as devices and booking systems really send them: empty fields, other spellings of numbers and times, numbers
that name a person in the forms people use, characters that nobody can see."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from edged import logs
from edged.central.envelope import public_entry
from edged.core.model.events import (
    AppointmentCancelled,
    AppointmentMade,
    HealthRead,
    KeyPressed,
    TicketPrinted,
)
from edged.personal import masked, names_a_person, where
from edged.texts import cleaned, odd_character
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.centres import operator_at
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.policies import KEY

UP = "hall/east/dev/{}/up/{}"
SERVICE = '"service":"tax-general"'

# Fields that are there and say nothing. Kiosk software fills what it has not with empty text; so do form libraries
# (a known trap of Node-RED templates and of ArduinoJson's default texts).
EMPTY = (
    '"appointment":""',
    '"priority":"","appointment":null,"reason":" "',
    '"appointment":"\\u3000","priority":null',
    '"appointment":"never-made"',
)


def printed(files: Hall) -> list[TicketPrinted]:
    """Return the printed tickets that the core received, whatever else they said."""
    return [step.event for step in files.steps() if isinstance(step.event, TicketPrinted)]


async def test_an_empty_booking_code_or_priority_is_ignored_and_loses_no_ticket(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = hall
    await daemon.start()
    async with plain_client(broker, "kiosk") as kiosk:
        await kiosk.publish(UP.format("dispenser", "ticket"), f'{{"seq":1,"number":"A001",{SERVICE}}}', qos=1)
        for seq, fields in enumerate(EMPTY, 2):
            body = f'{{"seq":{seq},"number":"A{seq:03d}",{SERVICE},{fields}}}'
            await kiosk.publish(UP.format("dispenser", "ticket"), body, qos=1)
        await until(lambda: len(printed(files)) == 1 + len(EMPTY))
        await kiosk.publish(UP.format("panel-w1", "key"), '{"seq":1.0,"key":"next","arg":""}', qos=1)
        await until(lambda: files.notes()["ticket.called"] == 1)
    called = [n.subject for step in files.steps() for n in step.notes if n.kind == "ticket.called"]
    assert called == ["A001"], "whoever came first is called first"
    assert {ticket.priority for ticket in printed(files)} == {"normal"}
    assert [ticket.appointment for ticket in printed(files)] == [None, None, None, None, "never-made"]
    assert await daemon.stop() == 0
    identical(files)


# RFC 3339: what toISOString of JavaScript, isoformat of Python, OffsetDateTime of Java and Go's RFC3339Nano write.
TIMES = (
    "2026-12-01T02:00:00.000Z",
    "2026-12-01T10:00:00.123456+08:00",
    "2026-12-01T02:00:00.123456789z",
    "2026-12-01t10:00:00+08:00",
    "2026-12-01T10:00+08:00",
)


async def test_appointments_with_every_spelling_of_a_time_are_booked(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = hall
    await daemon.start()
    async with plain_client(broker, "centre") as centre:
        for number, moment in enumerate(TIMES):
            empty = {"priority": "", "cancelled": False} if number % 2 else {}
            body = {"id": f"b{number}", "service": "tax-general", "start": moment} | empty
            await centre.publish("hall/east/appointments", f"\ufeff{json.dumps(body)}", qos=1)
        await centre.publish("hall/east/appointments", '{"id":"b0","cancelled":true,"start":null}', qos=1)
        await until(lambda: any(isinstance(step.event, AppointmentCancelled) for step in files.steps()))
    made = [step.event for step in files.steps() if isinstance(step.event, AppointmentMade)]
    assert [event.start_ms // 1000 for event in made] == [1_796_090_400] * len(TIMES)
    assert await daemon.stop() == 0
    identical(files)


# Whole numbers with a point, as Lua 5.3 and later, NodeMCU and some game engines write all of theirs.
KEYS = ('{"seq":1.0,"key":"next"}', '{"seq":2.0e0,"key":"recall"}', '\ufeff{"seq":3,"key":"recall"}')


async def test_whole_numbers_with_a_decimal_point_and_a_byte_order_mark_are_accepted(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = hall
    await daemon.start()
    async with plain_client(broker, "panel") as panel:
        for body in KEYS:
            await panel.publish(UP.format("panel-w1", "key"), body, qos=1)
        await until(lambda: sum(isinstance(step.event, KeyPressed) for step in files.steps()) == len(KEYS))
    assert await daemon.stop() == 0
    identical(files)


# Forms in which people write the numbers of a mobile phone and of an identity card (with numbers that are nobody's).
FORMS = (
    "+8619900000000",
    "+86 199 0000 0000",
    "0086-199-0000-0000",
    "8619900000000",
    "199 0000 0000",
    "199-0000-0000",
    "199.0000.0000",
    "019900000000",
    "1 9 9 0 0 0 0 0 0 0 0",
    "１９９-００００-００００",
    "(199) 0000 0000",
    "199\u200b0000\u200b0000",
    "990101 19900307 001X",
    "990101-19900307-0012",
    "99010119900307001 X",
    "990101900307001",
    "990101 900307 001",
)
NOBODY = (
    "2026-11-30 08:30:00",
    "2026-12-01T02:00:00.123456789+08:00",
    "202611300930123",  # a booking's number made of a time
    "0571-88886666",
    "400-820-8820",
    "1 3 5 7 9 11 13 15",  # windows
    "13 14 15 16 17 18",
    "1300-1400 1500-1600",
    "192.168.100.100:1883",
    "A018",
)


@pytest.mark.parametrize("text", FORMS)
def test_a_personal_number_in_any_form_is_recognised_and_masked_in_logs(text: str) -> None:
    for around in ("{}", "电话{}。", "a {} b", "visit/{}/x"):
        whole = around.format(text)
        assert names_a_person(whole)
        assert where({"x": ["", whole]}) == ("x", 1)
        assert where({whole: 1}) == ()
        assert not names_a_person(masked(whole)), masked(whole)
        assert logs._masked([whole]) == [masked(whole)]


@pytest.mark.parametrize("text", NOBODY)
def test_a_text_without_a_personal_number_is_accepted(text: str) -> None:
    assert not names_a_person(text)


async def test_no_form_of_a_personal_number_leaves_a_trace(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    """In fields, in free texts, in the name of a topic, in what an unsigned message says of itself."""
    files, daemon, _ = hall
    (tmp_path / "city.pub.json").write_text(json.dumps({"keys": [public_entry(KEY.public_key(), "city")]}))
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    await daemon.start()
    published: list[bytes] = []
    async with plain_client(broker, "watcher") as watcher, operator_at(broker, "east") as operator:
        for topic in (
            "hall/east/events",
            "hall/east/policy/report",
            "hall/east/state/#",
            "hall/east/dev/+/down/#",
        ):
            await watcher.subscribe(topic, qos=1)
        for form in FORMS:
            await publish_everywhere(operator.client, form)
            order = await operator.order("announce", {"text": f"请{form}", "text_en": form})
            assert order["code"] == "personal-data"
            unsigned = json.dumps(
                {"payloadType": form, "payload": "", "signatures": [{"keyid": form, "sig": ""}]}
            )
            answer = await operator.send("open", unsigned.encode())
            published.append(json.dumps(answer, ensure_ascii=False).encode())
            await operator.client.publish("hall/east/policy/push", unsigned, qos=1)
        assert (await operator.order("lift", {"kind": "open", "target": "w2"}))["code"]
        pages = [files.get(page)[1].encode() for page in ("/metrics", "/healthz")]
        async with asyncio.timeout(10):
            while not any(b'"state":"rejected"' in one for one in published):
                message = await anext(aiter(watcher.messages))
                assert isinstance(message.payload, bytes)
                published.append(message.payload)
    assert await daemon.stop() == 0
    written = [file.read_bytes() for file in files_below(tmp_path)]
    for form in FORMS:
        for data in (*published, *pages, *written):
            assert form.encode() not in data, form


def files_below(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


async def publish_everywhere(client: Any, form: str) -> None:
    """Publish one form of a personal number wherever a device or a stranger can write."""
    level = form.replace("+", "00").replace("/", "-")
    for kind, fields in (
        ("health", {"paper": "ok", "fault": f"call {form}"}),
        ("key", {"seq": 1, "key": "login", "arg": form}),
        ("ticket", {"seq": 1, "number": "A001", "service": "tax-general", "appointment": form}),
        ("done", {"id": form, "ok": False, "error": form}),
        (level, {"seq": 1}),
    ):
        body = json.dumps(fields, ensure_ascii=False)
        await client.publish(UP.format("panel-w1", kind), body, qos=1)
        await client.publish(UP.format("dispenser", kind), body, qos=1)
    await client.publish(f"hall/east/ops/{level}", b"{}", qos=1)
    await client.publish(f"hall/east/appointments/{level}", b"{}", qos=1)
    await client.publish("hall/east/appointments", json.dumps({"id": form}), qos=1)


ODD = {
    "NUL": "税\0务",
    "ESC": "税\x1b[2J务",
    "override": "税\u202e务",
    "isolate": "税\u2066务",
    "zero width": "税\u200b务",
    "BOM": "税\ufeff务",
    "CSI": "税\x9b2J务",
    "DEL": "税\x7f务",
}


@pytest.mark.parametrize("name", ODD)
def test_an_invisible_character_is_found_and_removed(name: str) -> None:
    found = odd_character(ODD[name])
    assert found is not None
    assert found[0] == 2
    assert cleaned(ODD[name]).replace("[2J", "").replace("2J", "") == "税务"
    assert cleaned("a\r\nb\tc") == "a  b c"
    assert odd_character("税务 Taxes — 1号窗口 (㙦塘)") is None


def faults_of(files: Hall) -> list[str | None]:
    """Every fault text that the dispenser reported."""
    events = [step.event for step in files.steps()]
    return [event.fault for event in events if isinstance(event, HealthRead) and event.point == "dispenser"]


async def test_control_characters_from_devices_and_documents_do_not_come_in(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    files, daemon, _ = hall
    (tmp_path / "city.pub.json").write_text(json.dumps({"keys": [public_entry(KEY.public_key(), "city")]}))
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    await daemon.start()
    async with operator_at(broker, "east") as operator:
        for seq, text in enumerate(ODD.values(), 1):
            for device, kind, fields in (
                ("panel-w1", "key", {"seq": seq, "key": "pause", "arg": text}),
                ("dispenser", "health", {"paper": "ok", "fault": text}),
            ):
                await operator.client.publish(UP.format(device, kind), json.dumps(fields), qos=1)
            notice = {"id": "n", "text": text, "text_en": "x"}
            answer = await operator.order("notice", notice)
            assert (answer["ok"], answer["code"]) == (False, "odd-character")
            assert answer["message"].startswith("body.text: character 2 is U+")
            assert (await operator.order("reset-day", {}, by=text))["code"] == "odd-character"
        await until(lambda: sum(isinstance(step.event, KeyPressed) for step in files.steps()) == len(ODD))
        await until(lambda: len(faults_of(files)) == len(ODD))
    stored_texts = [
        step.event.arg for step in files.steps() if isinstance(step.event, KeyPressed)
    ] + faults_of(files)
    assert all(text is not None and odd_character(text) is None for text in stored_texts)
    good = files.file.read_text()
    files.file.write_text(good.replace("东区大厅", "东区\u200b大厅"))
    daemon.signal(signal.SIGHUP)
    await until(lambda: daemon.logged("reload-refused") != [])
    assert "U+200B ZERO WIDTH SPACE" in daemon.logged("reload-refused")[0]["mistake"]
    assert await daemon.stop() == 0
