"""USB keypads and scanners: the kernel's records through a real pipe become keys, ratings and requests."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.evdev.codec import KEY_NAMES, RECORD, CodeReader, InputReader, InputRecord, describe, pressed
from devices.evdev.driver import Evdev, EvdevOptions
from devices.evdev.fake import FakeInput
from edged.cli.device_inputs import inputs
from edged.core.model.commands import Action, Lamp, Panel, Say
from edged.core.model.events import (
    DeviceBack,
    DeviceLost,
    Event,
    InputRefused,
    KeyPressed,
    RatingGiven,
    TicketRequested,
)
from edged.core.model.point import Point
from edged.driver import DeviceContext, Refused
from edged.links.evdev import EvdevLink
from edged.shapes import Misshapen, read
from tests.support.brokers import Rejections, until
from tests.support.needs import lacking

DEVICE = Point("keypad")
PATH = "/dev/input/by-id/usb-Keypad-event-kbd"
CODES_H = Path("/usr/include/linux/input-event-codes.h")


def test_key_names_and_codes_are_those_of_the_kernel_header() -> None:
    if not CODES_H.is_file():
        lacking("the kernel's headers are not installed (apt-get install linux-libc-dev)")
    header = dict(re.findall(r"^#define KEY_(\w+)\s+(\d+)", CODES_H.read_text(), re.MULTILINE))
    assert {name: int(header[name]) for name in KEY_NAMES} == KEY_NAMES


@dataclass
class KeypadBench:
    """A driver that reads from a pipe, and a fake keypad that writes into it."""

    fake: FakeInput
    events: list[Event] = field(default_factory=list)
    rejections: Rejections = field(default_factory=Rejections)

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        return True

    @property
    def received(self) -> list[Event]:
        return [one for one in self.events if not isinstance(one, DeviceBack | DeviceLost)]


@asynccontextmanager
async def keypad_bench(
    folder: Path, seed: int = 0, **options: Any
) -> AsyncIterator[tuple[KeypadBench, Evdev]]:
    made = KeypadBench(FakeInput(folder / "event", seed))
    made.fake.plug()
    context = DeviceContext("keypad", "h", made.emit, made.rejections, asyncio.sleep, lambda: 0.0, None)
    driver = Evdev(
        context, read(EvdevOptions, {"path": PATH} | options), EvdevLink(str(made.fake.place), lambda: 0.0)
    )
    life = asyncio.get_running_loop().create_task(driver.run())
    try:
        await until(lambda: DeviceBack(DEVICE) in made.events)
        yield made, driver
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        made.fake.unplug()


@pytest.mark.parametrize("seed", range(3))
async def test_keypad_keys_are_panel_keys_and_a_held_key_is_one_press(tmp_path: Path, seed: int) -> None:
    async with keypad_bench(tmp_path, seed) as (made, driver):
        made.fake.press(
            "NUMLOCK", "KPENTER", "KP1", "KP2", "KPSLASH", "KP9", "BACKSPACE", "KPMINUS", "KPASTERISK"
        )
        await until(lambda: len(made.received) >= 4)
        assert made.received == [
            KeyPressed(DEVICE, "next-or-recall"),
            KeyPressed(DEVICE, "transfer", "12"),
            KeyPressed(DEVICE, "no-show-or-finish"),
            KeyPressed(DEVICE, "pause"),
        ]
        made.fake.press("KP7")
        made.fake.lose()
        made.fake.press("KPSLASH", "ESC")
        await until(lambda: made.rejections.reasons == ["events_lost", "unknown_key"])
        assert made.received[-1] == KeyPressed(DEVICE, "transfer"), "digits of before the loss are gone"
        await driver.show(DEVICE, Panel("w3", "OPEN", 3))
        with pytest.raises(Refused):
            await driver.show(DEVICE, Lamp("on"))
        with pytest.raises(Refused):
            await driver.act(Action("1", DEVICE, Say("x", "x", "")))


async def test_a_keypad_plugged_in_again_forgets_the_input_begun_before(tmp_path: Path) -> None:
    async with keypad_bench(tmp_path) as (made, _):
        made.fake.press("KP1")
        await asyncio.sleep(0)
        made.fake.unplug()
        await until(lambda: isinstance(made.events[-1], DeviceLost))
        made.fake.plug()
        await until(lambda: made.events[-1] == DeviceBack(DEVICE))
        made.fake.press("KPSLASH")
        await until(lambda: made.received == [KeyPressed(DEVICE, "transfer")])


async def test_keypad_keys_give_ratings_where_the_keypad_is_an_evaluator(tmp_path: Path) -> None:
    async with keypad_bench(tmp_path, keys={}, ratings={"KP5": 5, "KP1": 1}) as (made, _):
        made.fake.press("KP5", "KP1", "KP3")
        await until(lambda: len(made.received) == 2)
        assert made.received == [RatingGiven(DEVICE, 5), RatingGiven(DEVICE, 1)]
        assert read(EvdevOptions, {"path": PATH, "ratings": {"KP5": 5}}).point_roles("") == {
            "panel",
            "evaluator",
        }


async def test_a_scanned_code_requests_a_ticket_and_an_identity_number_is_refused(tmp_path: Path) -> None:
    scanner: dict[str, Any] = {"reads": "codes", "service": "tax"}
    async with keypad_bench(tmp_path, **scanner) as (made, _):
        for code in ("4711-A", "99010119900307123X", "", "WXYZ"):
            made.fake.scan(code)
        made.fake.press("F1", "A", "ENTER")
        await until(lambda: made.rejections.reasons == ["personal_data", "unreadable_code"])
        assert made.received == [
            TicketRequested(DEVICE, "tax", appointment="4711-A"),
            InputRefused(DEVICE, "request", "personal_data"),
            TicketRequested(DEVICE, "tax", appointment="WXYZ"),
            InputRefused(DEVICE, "request", "unreadable_code"),
        ]
        assert "9901" not in str(made.rejections)
    async with keypad_bench(tmp_path, **scanner, codes="number") as (made, _):
        made.fake.scan("A012")
        made.fake.scan("A-VERY-LONG-NUMBER")
        await until(lambda: made.rejections.reasons == ["unreadable_code"])
        assert made.received == [
            TicketRequested(DEVICE, "tax", returning="A012"),
            InputRefused(DEVICE, "request", "unreadable_code"),
        ]


@given(data=st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_read_as_input_records_and_the_length_of_a_code_is_bounded(data: list[bytes]) -> None:
    reader, codes = InputReader(), CodeReader()
    whole = InputReader().feed(b"".join(data))
    assert [one for piece in data for one in reader.feed(piece)] == whole
    pressed(whole)
    for record in whole:
        assert len(codes.take(record) or "") <= 64
    describe(b"".join(data))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"path": "/dev/input/event3"}, "path"),
        ({"path": "/dev/input/by-id/../event3"}, "path"),
        ({"path": "/tmp/../dev/input/event3"}, "path"),
        ({"path": "//dev/input/event3"}, "path"),
        ({"reads": "codes"}, "service"),
        ({"service": "tax"}, "service"),
        ({"keys": {"KP1": "next"}, "ratings": {"KP1": 3}}, "one meaning"),
        ({"keys": {"KPSPACE": "next"}}, "keys"),
    ],
)
def test_options_that_could_match_the_wrong_keyboard_or_mean_nothing_are_refused(
    fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(Misshapen) as refused:
        read(EvdevOptions, {"path": PATH} | fields)
    assert says in str([(one.path, one.what, one.wanted) for one in refused.value.faults])


async def test_a_path_that_is_no_input_device_is_lost_with_that_reason(tmp_path: Path) -> None:
    for path, word in (
        (tmp_path, "not-a-port"),
        (Path("/dev/null"), "not-a-port"),
        (tmp_path / "x", "port-missing"),
    ):
        lost: list[str] = []
        link = EvdevLink(str(path))
        life = asyncio.get_running_loop().create_task(
            link.run(lambda _: None, lambda up, why, lost=lost: None if up else lost.append(why.word))  # type: ignore[misc]
        )
        await until(lambda lost=lost: lost != [])  # type: ignore[misc]
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        assert lost[0] == word, path


def test_detect_lists_keypads_by_their_usb_port_and_marks_keyboards(tmp_path: Path) -> None:
    devices, kernel = tmp_path / "input", tmp_path / "sys"
    (devices / "by-id").mkdir(parents=True)
    (devices / "by-path").mkdir()
    pads = [KEY_NAMES[name] for name in ("KPENTER", "KP1", "KPPLUS")]
    letters = [KEY_NAMES[name] for name in "QWERTY"] + [KEY_NAMES["ENTER"]]
    for number, (name, keys) in enumerate((("Keypad", pads), ("Board", letters), ("Mouse", []))):
        about = kernel / f"event{number}" / "device"
        (about / "capabilities").mkdir(parents=True)
        bits = sum(1 << key for key in keys)
        words = [f"{bits >> 64 * place & (1 << 64) - 1:x}" for place in (1, 0)]
        (about / "capabilities" / "key").write_text(" ".join(words) + "\n")
        (about / "name").write_text(f"{name}\n")
        (devices / f"event{number}").touch()
        (devices / "by-id" / f"usb-{name}-event-kbd").symlink_to(devices / f"event{number}")
        (devices / "by-path" / f"pci-{number}-event-kbd").symlink_to(devices / f"event{number}")
    found = {one.name: one for one in inputs(devices, kernel)}
    assert {name: one.letters for name, one in found.items()} == {"Keypad": False, "Board": True}
    assert found["Keypad"].path.endswith("by-id/usb-Keypad-event-kbd")


def test_a_simulated_keypad_with_the_same_seed_types_the_same_bytes(tmp_path: Path) -> None:
    readings = []
    for _ in range(2):
        fake = FakeInput(tmp_path / str(random.random()), 7)
        fake.plug()
        fake.press("KP1", "KP2", "KP3")
        readings.append(InputReader().feed(fake.read()))
        fake.unplug()
    assert readings[0] == readings[1]
    assert InputRecord(1, KEY_NAMES["KP1"], 1) in readings[0]
    assert RECORD.size == 24
