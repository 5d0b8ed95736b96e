"""FF 68 callers and evaluators: the bytes of a system in use, and a bad bus on a real pty."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.ff68.codec import BEEP, RATE_ASK, RATED, CallerFrame, CallerParser, figures, show
from devices.ff68.driver import Ff68
from devices.ff68.fake import CallerFaults, FakeCallers
from devices.ff68.options import Ff68Options
from edged.core.model.commands import Action, Evaluator, Lamp, Panel, Print
from edged.core.model.events import DeviceBack, DeviceLost, Event, InputRefused, KeyPressed, RatingGiven
from edged.core.model.point import Point
from edged.driver import DeviceContext, Refused, Unreachable
from edged.links import noise
from edged.links.pty import Pty
from edged.shapes import Misshapen, read
from tests.support.brokers import Rejections, until

FRAMES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors/ff68_frames.json").read_text()
)["frames"]
SENT = {one["id"]: bytes.fromhex(one["hex"]) for one in FRAMES}
PRESSED = [one for one in FRAMES if "operation" in one]
# What their host queues for a key, and what the key is here.
OPERATIONS = {
    "Call": "next",
    "ReCall": "recall",
    "Evaluate": "finish",
    "GiveUp": "no-show",
    "Hang": "park",
    "CallBack": "resume",
    "Pause": "pause",
    "Transfer": "transfer",
    None: None,
}
CALLERS = {"w1": 5, "w2": 0xFE}
BACK = DeviceBack(Point("bus"))


def test_frames_of_the_host_have_the_published_bytes() -> None:
    assert show(5, 37, "A012").to_bytes() == SENT["ff68.ticket"]
    assert show(5, 37, None).to_bytes() == SENT["ff68.wait"]
    assert show(5, 1200, None).to_bytes() == SENT["ff68.wait.many"]
    assert CallerFrame(5, BEEP).to_bytes() == SENT["ff68.beep"]
    assert CallerFrame(5, RATE_ASK, b"\x0b").to_bytes() == SENT["ff68.ask"]
    assert CallerFrame(5, 2, b"\x05").to_bytes() == SENT["ff68.stars"]
    assert figures("B7") == bytes((10, 10, 7)), "letters are blank"


@pytest.mark.parametrize("one", PRESSED, ids=[one["id"] for one in PRESSED])
def test_keys_and_ratings_are_read_and_acknowledged_as_the_vendors_host_does(one: dict[str, Any]) -> None:
    (frame,) = CallerParser().feed(bytes.fromhex(one["hex"]))
    assert frame.acknowledgement.to_bytes().hex() == one["acknowledged"]
    if one["operation"] == "SaveEvaluate":
        assert (frame.function, frame.data[0]) == (RATED, one["value"])
    else:
        assert frame.key == OPERATIONS[one["operation"]]


@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_any_bytes_are_frames_or_noise_however_the_stream_is_cut(data: bytes, cut: int) -> None:
    whole, halves = CallerParser(), CallerParser()
    frames = whole.feed(data)
    assert halves.feed(data[:cut]) + halves.feed(data[cut:]) == frames
    whole.gap()
    assert whole.noise + sum(len(frame.to_bytes()) for frame in frames) == len(data)


@given(before=st.binary(max_size=20), after=st.binary(max_size=20))
def test_one_of_two_equal_frames_between_garbage_is_always_found(before: bytes, after: bytes) -> None:
    key = SENT["ff68.key.05.0c"]
    parser = CallerParser()
    found = [frame for byte in before + key + key + after for frame in parser.feed(bytes((byte,)))]
    assert CallerFrame(5, 1, b"\x0c") in found or before.find(b"\xff") >= 0


class Bench:
    """A driver and fake callers on a pty, in real time. ``held``: acknowledgements of steps that are not stored yet."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.events: list[Event] = []
        self.held: list[Callable[[], None]] = []
        self.full = self.slow = False
        self.rejections = Rejections()
        self.port = Pty(folder / "port")
        self.port.plug()
        self.fake = FakeCallers(self.port.send, CALLERS, seed=21)
        options = read(Ff68Options, {"path": self.port.path, "callers": CALLERS, "bus_pause_ms": 10, **more})
        context = DeviceContext("bus", "t", self._emit, self.rejections, asyncio.sleep, lambda: 0.0, None)
        self.driver = Ff68(context, options)

    def _emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        if self.full:
            return False
        self.events.append(event)
        if ack is not None and self.slow:
            self.held.append(ack)
        elif ack is not None:
            ack()
        return True

    def pressed(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, KeyPressed | RatingGiven)]

    async def show(self, caller: str, value: Any) -> None:
        await self.driver.show(Point(f"bus/{caller}"), value)


@asynccontextmanager
async def bench(folder: Path, **more: Any) -> AsyncIterator[Bench]:
    made = Bench(folder, **more)
    async with asyncio.TaskGroup() as group:
        far = group.create_task(made.port.run(made.fake.feed, lambda _up, _why: None))
        life = group.create_task(made.driver.run())
        try:
            await until(lambda: BACK in made.events)
            yield made
        finally:
            far.cancel()
            life.cancel()
            made.port.close()


def key(caller: str, name: Any) -> KeyPressed:
    return KeyPressed(Point(f"bus/{caller}"), name)


async def test_keys_and_ratings_are_acknowledged_after_they_are_stored(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.slow = True
        made.fake.press("w1", "next")
        await until(lambda: made.pressed() == [key("w1", "next")])
        await asyncio.sleep(0.3)  # it is sent again meanwhile, and is the same press
        assert made.fake.acknowledged["w1"] == 0
        made.slow = False
        made.held.pop()()
        await until(lambda: made.fake.acknowledged["w1"] == 1)
        for number, word in enumerate(("no-show", "park", "resume", "pause", "transfer"), 2):
            made.fake.press("w1", word)
            await until(lambda: made.fake.acknowledged["w1"] == number)
            assert made.pressed()[-1] == key("w1", word)
        for button, level in ((0, 2), (1, 3), (2, 4), (3, 5)):
            made.fake.rate("w2", button)
            await until(lambda: made.fake.acknowledged["w2"] == button + 1)
            assert made.pressed()[-1] == RatingGiven(Point("bus/w2"), level)
        assert len(made.pressed()) == 10


async def test_a_key_that_meets_a_full_inbox_is_not_acknowledged_and_the_next_try_counts(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        made.full = True
        made.fake.press("w1", "next")
        await until(lambda: made.fake.given_up["w1"] == 1)
        assert (made.fake.acknowledged["w1"], made.pressed()) == (0, [])
        made.full = False
        made.fake.press("w1", "next")
        await until(lambda: made.fake.acknowledged["w1"] == 1)
        assert made.pressed() == [key("w1", "next")]


async def test_callers_show_number_and_waiting_count_and_beep_and_ask_for_a_rating_once(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        await made.show("w1", Panel("w1", "CALLING", 4, number="A012"))
        await until(lambda: made.fake.shown["w1"] == "---012")
        for _ in range(3):
            await made.show("w2", Panel("w2", "ACTIVATING", 37))
            await made.show("w1", Evaluator("w1", number="A012"))
        await until(lambda: made.fake.shown["w2"] == "037---")
        await until(lambda: (made.fake.beeps["w2"], made.fake.asked["w1"]) == (1, 1))
        made.fake.press("w1", "finish")
        await until(lambda: made.fake.acknowledged["w1"] == 1)
        await made.show("w1", Evaluator("w1", number="A013"))
        await made.show("w1", Panel("w1", "OPEN", 3))
        await until(lambda: made.fake.shown["w1"] == "003---")
        assert made.fake.asked["w1"] == 1, "its own key asks by itself"
        for wrong in (("w1", Lamp("on")), ("w3", Panel("w3", "OPEN", 0))):
            with pytest.raises(Refused):
                await made.show(*wrong)
        with pytest.raises(Refused):
            await made.driver.act(Action("1", Point("bus/w1"), Print("A1", "s", 0)))


@pytest.mark.parametrize("echo", [True, None])
async def test_echoes_of_the_adapter_press_no_key_twice(tmp_path: Path, echo: bool | None) -> None:
    async with bench(tmp_path, echo=echo) as made:
        made.fake.faults = CallerFaults(echo=True)
        for number in range(1, 7):
            await made.show("w1", Panel("w1", "CALLING", 4, number=f"A{number:03}"))
            made.fake.press("w1", "next" if number % 2 else "recall")
            await until(lambda: made.fake.acknowledged["w1"] == number)
        await asyncio.sleep(0.1)
        assert len(made.pressed()) == 6
        assert made.driver._echoes is True
        assert made.rejections.reasons == []


async def test_only_an_overdue_echo_counts_as_missed(tmp_path: Path) -> None:
    async with bench(tmp_path, echo=None) as made:
        driver = made.driver
        shown = CallerFrame(1, BEEP, bytes(9))
        driver._own, driver._misses = [(shown, 5.0), (shown, 9.0), (shown, 9.1)], 0
        driver._forget_own(9.0)
        assert (driver._misses, driver._own) == (2, [(shown, 9.1)])


async def test_a_lost_acknowledgement_is_sent_again_and_the_key_counts_once(tmp_path: Path) -> None:
    async with bench(tmp_path, echo=False) as made:
        made.fake.faults = CallerFaults(deaf=1.0)
        made.fake.press("w1", "next")
        await until(lambda: made.pressed() != [])
        made.fake.faults = CallerFaults()
        await until(lambda: made.fake.acknowledged["w1"] == 1)
        assert made.pressed() == [key("w1", "next")]
        await asyncio.sleep(0.6)
        made.fake.press("w1", "next")
        await until(lambda: len(made.pressed()) == 2)


async def test_unknown_addresses_are_counted_and_unknown_keys_are_reported_as_refused_too(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        for frame in (
            CallerFrame(9, 1, b"\x0c"),
            CallerFrame(5, 1, b"\x0e"),
            CallerFrame(5, RATED, b"\x08"),
            CallerFrame(5, 2, bytes(6)),
        ):
            made.port.send(frame.to_bytes())
        made.port.send(b"\x00noise\xff\x68\x03")
        await until(lambda: "noise" in made.rejections.reasons)
        assert made.pressed() == []
        assert made.rejections.reasons[:4] == [
            "unknown_address",
            "unknown_key",
            "unknown_key",
            "unexpected_frame",
        ]
        refusals = [event for event in made.events if isinstance(event, InputRefused)]
        assert [(event.what, event.reason) for event in refusals] == [
            ("key", "unknown_key"),
            ("rating", "unknown_key"),
        ]


async def test_a_babbling_bus_is_lost_and_comes_back_when_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "BABBLE_S", 0.3)
    monkeypatch.setattr(noise, "QUIET_S", 0.2)
    async with bench(tmp_path) as made:
        while made.events[-1] != DeviceLost(Point("bus"), "babble"):
            made.port.send(bytes(range(1, 40)))
            await asyncio.sleep(0.02)
        with pytest.raises(Unreachable):
            await made.show("w1", Panel("w1", "OPEN", 0))
        await until(lambda: made.events[-1] == BACK)
        made.fake.press("w1", "next")
        await until(lambda: made.pressed() == [key("w1", "next")])


async def test_a_pulled_adapter_loses_the_bus_and_is_back_within_three_seconds(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.port.unplug()
        await until(lambda: isinstance(made.events[-1], DeviceLost))
        made.port.replug()
        async with asyncio.timeout(3):
            await until(lambda: made.events[-1] == BACK)
        await made.show("w1", Panel("w1", "CALLING", 4, number="A012"))
        await until(lambda: made.fake.shown["w1"] == "---012")


async def test_on_a_bus_damaging_every_fourth_frame_no_acknowledged_press_is_lost(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, echo=False) as made:
        made.fake.faults = CallerFaults(garble=0.25, drop=0.1, deaf=0.2)
        for number in range(20):
            made.fake.press("w1", "next" if number % 2 else "recall")
            await until(lambda: not made.fake._pending)
        assert made.fake.acknowledged["w1"] <= len(made.pressed()) <= 20, "seed 21"
        assert made.fake.acknowledged["w1"] >= 10


def test_two_callers_with_one_address_are_refused() -> None:
    with pytest.raises(Misshapen, match="address"):
        read(Ff68Options, {"path": "/dev/x", "callers": {"a": 1, "b": 1}})
