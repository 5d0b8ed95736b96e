"""What drivers and their devices say to each other in scripted days, well and ill, as recorded in ``dialogues/``.

Each word stands there with its second: how often a device is asked, how long an answer is waited for, how often a
request is repeated, when a loss is told and with which words.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_dialogues_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from devices.candle485.codec import Signal
from devices.candle485.driver import Candle485
from devices.candle485.options import CandleOptions
from devices.escpos.driver import Escpos, EscposOptions
from devices.ff68.codec import CallerFrame
from devices.ff68.driver import Ff68
from devices.ff68.options import Ff68Options
from devices.ledsender2010 import codec as strip
from devices.ledsender2010.driver import LedSender, LedSenderOptions
from devices.ledsender2010.fake import FakeLedSender, StripFaults
from devices.onbon_bx import codec as onbon
from devices.onbon_bx.driver import OnbonBx, OnbonOptions
from devices.onbon_bx.fake import FakeOnbon
from devices.voice_chip.driver import VoiceChip, VoiceChipOptions
from devices.voice_chip.fake import FakeVoice
from edged.core.model.commands import (
    Display,
    Evaluator,
    Lamp,
    Pager,
    Panel,
    Print,
    Refuse,
    Say,
)
from edged.shapes import read
from tests.support.dialogues import Stage, later, living, played

RECORDED = Path(__file__).parent / "dialogues"
PRINTED = Print("A012", "tax", 3, lines=("请稍候",), lines_en=("Please wait",))
SAID = Say("请A012号到3号窗口", "Please come", "A012")


async def voice(stage: Stage) -> None:
    options = read(VoiceChipOptions, {"path": "/none"})
    driver = VoiceChip(stage.context("v"), options, stage.wire)
    fake = FakeVoice(stage.wire.send, char_s=0.2)
    stage.wire.far = fake.feed
    async with living(driver):
        await stage.act(driver, "v", SAID)
        await asyncio.sleep(1)
        stage.wire.up()
        await asyncio.sleep(3)
        await stage.act(driver, "v", SAID)
        await stage.act(driver, "v", Say("号" * 100, "", "", slow=True))
        fake.mood = "rejects"
        await stage.act(driver, "v", SAID)
        fake.mood = "never-idle"
        await stage.act(driver, "v", SAID)
        stage.wire.send(b"\x00\x41\x13")
        stage.note("-", "silent")
        fake.mood = "silent"
        await stage.act(driver, "v", SAID)
        await asyncio.sleep(4)
        await stage.act(driver, "v", SAID)
        stage.note("-", "babbles")
        fake.mood = "babbles"
        await asyncio.sleep(2)
        stage.note("-", "well")
        fake.mood = "well"
        await asyncio.sleep(6)
        stage.wire.down()
        await stage.act(driver, "v", SAID)
        await asyncio.sleep(1)
        stage.wire.up()
        await asyncio.sleep(1)


async def voice_slow(stage: Stage) -> None:
    """A module that is silent between "accepted" and "idle", and one that never comes to an end."""
    driver = VoiceChip(
        stage.context("v"),
        read(VoiceChipOptions, {"path": "/none", "chip": "xfs5152", "deadline_ms": 100}),
        stage.wire,
    )
    stage.wire.far = lambda data: stage.wire.send(b"\x41" if data[3] == 1 else b"\x4e")
    async with living(driver):
        stage.wire.up()
        await asyncio.sleep(0.1)
        await stage.act(driver, "v", Say("请", "", ""))
        await stage.act(driver, "v", Say("号" * 60, "", "", slow=True))
        for late_s in (0.15, 0.4):
            stage.wire.far = later(late_s, lambda data: stage.wire.send(b"\x41\x4f"))
            await stage.act(driver, "v", Say("请", "", ""))


async def printer(stage: Stage) -> None:
    driver = Escpos(
        stage.context("p"),
        read(EscposOptions, {"path": "/none", "title": "大厅", "names": {"tax": "税务"}}),
        stage.wire,
    )
    answers = {
        b"\x10\x04\x01": b"\x12",
        b"\x10\x04\x02": b"\x12",
        b"\x10\x04\x04": b"\x12",
        b"\x1dr\x01": b"\x00",
    }

    def far(data: bytes) -> None:
        for asked, answer in answers.items():
            if data.endswith(asked):
                stage.wire.send(answer)

    stage.wire.far = far
    async with living(driver):
        await stage.act(driver, "p", PRINTED)
        stage.wire.up()
        await asyncio.sleep(5)
        await stage.act(driver, "p", PRINTED)
        await stage.act(driver, "p", Refuse("tax", "closed", "今天不办", "Not today"))
        for remark, asked, answer in (
            ("paper low", b"\x10\x04\x04", b"\x1e"),
            ("paper runs out on a ticket", b"\x1dr\x01", b"\x0c"),
            ("cover open", b"\x10\x04\x01", b"\x1a"),
            ("why: cover", b"\x10\x04\x02", b"\x16"),
            ("why: no paper", b"\x10\x04\x02", b"\x32"),
            ("why: cutter", b"\x10\x04\x02", b"\x52"),
            ("online again", b"\x10\x04\x01", b"\x12"),
        ):
            stage.note("-", remark)
            answers[asked] = answer
            await stage.act(driver, "p", PRINTED)
            answers[b"\x1dr\x01"] = b"\x00"
        answers[b"\x10\x04\x04"] = b"\x12"
        stage.note("-", "prints, and does not say so")
        del answers[b"\x1dr\x01"]
        await stage.act(driver, "p", PRINTED)
        stage.note("-", "another printer, which never says so")
        stage.wire.down()
        stage.wire.up()
        await asyncio.sleep(1)
        await stage.act(driver, "p", PRINTED)
        await stage.act(driver, "p", PRINTED)
        stage.note("-", "silent")
        kept = dict(answers)
        answers.clear()
        stage.wire.send(b"\x12\x93\x00")
        await asyncio.sleep(4)
        await stage.act(driver, "p", PRINTED)
        stage.note("-", "full inbox, and no paper")
        answers |= kept | {b"\x10\x04\x04": b"\x7e"}
        stage.full = True
        await asyncio.sleep(3)
        stage.full = False
        await asyncio.sleep(5)
        await stage.show(driver, "p", Lamp("on"))
        await stage.act(driver, "p", SAID)


async def led_strip(stage: Stage) -> None:
    options = read(
        LedSenderOptions, {"host": "h", "brightness": 5, "address": 2, "dead_man_s": 30, "width": 64}
    )
    driver = LedSender(stage.context("s"), options, stage.wire)
    fake = FakeLedSender(stage.wire.send, asyncio.get_running_loop().time, 2)
    stage.wire.far = fake.feed
    call = Display(("税务综合 等候3人", "A012→3号窗口"))
    async with living(driver):
        await stage.show(driver, "s", call)
        stage.wire.up()
        await asyncio.sleep(6)
        await stage.show(driver, "s", call)
        await stage.show(driver, "s/area-1", Display(("B1", "B2")))
        await stage.show(driver, "s/area-0", Display(("长" * 400,)))
        await stage.show(driver, "s/area-2", call)
        await stage.show(driver, "s", Lamp("on"))
        await stage.act(driver, "s", SAID)
        stage.note("-", "the card forgets where it was")
        fake.faults = StripFaults(forget=1.0)
        await stage.show(driver, "s", Display(("长" * 400,)))
        fake.faults = StripFaults()
        stage.note("-", "answers of others, none, and half ones")
        for data in (
            strip.answer(strip.GET_POWER, 1).to_bytes(),
            strip.StripPacket(strip.GET_POWER).to_bytes(),
            strip.answer(strip.DATA, 9, 0).to_bytes()[:-3],
        ):
            stage.wire.send(data)
        stage.note("-", "half answers only")
        stage.wire.far = lambda data: stage.wire.send(data[:-1])
        await stage.show(driver, "s", call)
        stage.note("-", "answers with another number")
        stage.wire.far = lambda data: stage.wire.send(
            strip.answer(strip.parse(data).command, strip.parse(data).serial + 1).to_bytes()
        )
        await stage.show(driver, "s", call)
        stage.note("-", "silent")
        stage.wire.far = lambda data: None
        await asyncio.sleep(10)
        await stage.show(driver, "s", call)
        stage.note("-", "slow")
        stage.wire.far = later(0.29, fake.feed)
        await asyncio.sleep(4)
        await stage.show(driver, "s", Display(("长" * 400, "长" * 400)))


def bar_scene(more: dict[str, Any]) -> Callable[[Stage], Coroutine[Any, Any, None]]:
    async def bar(stage: Stage) -> None:
        options = read(OnbonOptions, {"path": "/none", "width": 64, **more})
        driver = OnbonBx(stage.context("b"), options, stage.wire)
        fake = FakeOnbon(stage.wire.send, asyncio.get_running_loop().time, options.model == "5k")
        stage.wire.far = fake.feed
        call = Display(("税务", "A012→3号窗口", "第三行"))
        async with living(driver):
            await stage.show(driver, "b", call)
            stage.wire.up()
            await asyncio.sleep(6)
            await stage.show(driver, "b", call)
            await stage.show(driver, "b/area-1", Display(("B1", "B\\2")))
            await stage.show(driver, "b/area-2", call)
            await stage.show(driver, "b", Lamp("on"))
            await stage.act(driver, "b", SAID)
            await stage.act(driver, "b", Say("请", "Please", "", slow=True))
            await stage.act(driver, "b", PRINTED)
            stage.note("-", "refuses")
            stage.wire.far = lambda data: stage.wire.send(onbon.answer(False).to_bytes())
            await stage.show(driver, "b", call)
            await asyncio.sleep(6)
            stage.note("-", "another adapter, which hears itself; the card refuses still")
            stage.wire.far = lambda data: stage.wire.send(data + onbon.answer(False).to_bytes())
            stage.wire.down()
            stage.wire.up()
            await asyncio.sleep(1)
            stage.note("-", "unasked, unknown, and damaged")
            for data in (
                onbon.answer(True).to_bytes(),
                onbon.Frame(b"\xa2\x07\0\0\0", onbon.PC, 1).to_bytes(),
                onbon.answer(True).to_bytes()[:-4] + b"\x5a",
            ):
                stage.wire.send(data)
            stage.note("-", "damaged answers only")
            stage.wire.far = lambda data: stage.wire.send(onbon.answer(True).to_bytes()[:-4] + b"\x5a")
            await stage.show(driver, "b", call)
            await stage.show(driver, "b", call)
            await asyncio.sleep(1)
            stage.note("-", "silent")
            stage.wire.far = lambda data: None
            await asyncio.sleep(10)
            await stage.show(driver, "b", call)

    return bar


CANDLE = {
    "path": "/none",
    "panels": {"p1": {"address": 0x21, "digits": True}, "p2": {"address": 0x22}},
    "boards": {"b": {"address": 0x31}, "k": {"address": 0x40, "digits": 4}},
    "buttons": {1: "tax"},
    "kiosk_board": "k",
}


async def candle(stage: Stage) -> None:
    driver = Candle485(stage.context("c"), read(CandleOptions, CANDLE), stage.wire)
    async with living(driver):
        await stage.show(driver, "c/p1", Lamp("on"))
        stage.wire.up()
        await asyncio.sleep(0.1)
        for point, value in (
            ("c/p1", Panel("w1", "CALLING", 4, "A012")),
            ("c/p1", Panel("w1", "ACTIVATING", 4)),
            ("c/p1", Panel("w1", "ACTIVATING", 4)),
            ("c/p2", Pager(1)),
            ("c/p2", Lamp("blink")),
            ("c/b", Display((), ("A012", "3"), True)),
            ("c/b", Lamp("on")),
            ("c/p2", Display(())),
            ("c/p9", Lamp("on")),
        ):
            await stage.show(driver, point, value)
        for body in (PRINTED, PRINTED, Print("S", "tax", 0, about="case"), SAID):
            await stage.act(driver, "c/button-1", body)
        stage.note("-", "keys, buttons, and what is none")
        for data in (
            Signal(0x21, 0x31).to_bytes(),
            Signal(0x22, 0x36).to_bytes(),
            Signal(0x7E, 0x31).to_bytes(),
            Signal(0x7E, 1).to_bytes(),
            Signal(0x21, 1).to_bytes(),
            Signal(0x31, 1).to_bytes(),
            Signal(0x7E, 2).to_bytes(),
            b"\x04\x21\x07",
            b"\x01\x21",
        ):
            stage.wire.send(data)
        await asyncio.sleep(0.2)
        for _ in range(2):
            stage.wire.send(b"\x01\x21\x31")
            await asyncio.sleep(0.2)
            stage.wire.send(b"?")
        stage.note("-", "a stuck key")
        for _ in range(12):
            stage.wire.send(Signal(0x22, 0x32).to_bytes())
        await asyncio.sleep(1.1)
        stage.wire.send(Signal(0x22, 0x32).to_bytes())
        stage.note("-", "noise without an end")
        for _ in range(9):
            stage.wire.send(b"?" * 11)
            await asyncio.sleep(0.8)
        await stage.show(driver, "c/p2", Lamp("on"))
        stage.wire.send(Signal(0x22, 0x32).to_bytes())
        await asyncio.sleep(1.5)
        await stage.show(driver, "c/p2", Lamp("on"))
        stage.wire.down()
        await stage.show(driver, "c/p2", Lamp("on"))


async def candle_echo(stage: Stage) -> None:
    """An adapter that hears itself: well, damaged, no more, and another one that does not."""
    driver = Candle485(stage.context("c"), read(CandleOptions, CANDLE), stage.wire)
    lamps = [Lamp("on"), Lamp("off"), Lamp("blink")]

    async def shown(times: int) -> None:
        for number in range(times):
            await stage.show(driver, "c/p2", lamps[number % 3])

    async with living(driver):
        stage.wire.far = stage.wire.send
        stage.wire.up()
        await shown(2)
        stage.note("-", "damaged")
        stage.wire.far = lambda data: stage.wire.send(data[:2] + b"\x7f" + data[3:])
        await shown(2)
        stage.note("-", "with a key before it")
        stage.wire.far = lambda data: stage.wire.send(Signal(0x21, 0x32).to_bytes() + data)
        await shown(1)
        stage.note("-", "no more")
        stage.wire.far = lambda data: None
        await shown(6)
        stage.note("-", "never")
        await shown(7)


async def callers(stage: Stage) -> None:
    driver = Ff68(
        stage.context("f"), read(Ff68Options, {"path": "/none", "callers": {"w1": 5, "w2": 6}}), stage.wire
    )
    async with living(driver):
        await stage.show(driver, "f/w1", Panel("w1", "OPEN", 4))
        stage.wire.up()
        await asyncio.sleep(0.1)
        for point, value in (
            ("f/w1", Panel("w1", "OPEN", 4)),
            ("f/w1", Panel("w1", "CALLING", 1004, "A012")),
            ("f/w1", Panel("w1", "ACTIVATING", 1004)),
            ("f/w1", Panel("w1", "ACTIVATING", 1003)),
            ("f/w2", Panel("w2", "INVITED", 0, "é7")),
            ("f/w2", Evaluator("w2", "A012")),
            ("f/w2", Evaluator("w2", "A012")),
            ("f/w2", Evaluator("w2", None, "case-7")),
            ("f/w2", Evaluator("w2")),
            ("f/w9", Lamp("on")),
            ("f/w1", Lamp("on")),
        ):
            await stage.show(driver, point, value)
        await stage.act(driver, "f/w1", SAID)
        await asyncio.sleep(1)
        stage.note("-", "keys, ratings, and what is none")
        call = CallerFrame(5, 4, b"\x0c")
        for frame in (
            call,
            CallerFrame(5, 4, b"\x06\x0f"),
            CallerFrame(5, 4, b"\x07\x0f"),
            CallerFrame(5, 0x11, b"\x01"),
            CallerFrame(5, 0x11, b"\x09"),
            CallerFrame(9, 4, b"\x0c"),
            CallerFrame(5, 4, b"\x0c" * 5),
            CallerFrame(6, 4, b"\x0b"),
        ):
            stage.wire.send(frame.to_bytes())
            await asyncio.sleep(0.2)
        await stage.show(driver, "f/w2", Evaluator("w2", "A013"))
        stage.note("-", "the same key again: at once, later, and before it is on disk")
        stage.keeps = False
        for pause_s in (0.3, 0.3, 1.5, 0.6):
            stage.wire.send(call.to_bytes())
            await asyncio.sleep(pause_s)
        stage.commit()
        await asyncio.sleep(0.4)
        stage.wire.send(call.to_bytes())
        await asyncio.sleep(0.6)
        stage.wire.send(call.to_bytes())
        stage.commit()
        stage.keeps = True
        await asyncio.sleep(1)
        stage.note("-", "a full inbox")
        stage.full = True
        stage.wire.send(call.to_bytes())
        await asyncio.sleep(0.1)
        stage.full = False
        stage.wire.send(call.to_bytes())
        await asyncio.sleep(1)
        stage.note("-", "a stuck key")
        for number in range(12):
            stage.wire.send(CallerFrame(6, 4, bytes((number % 2, 0x0D))).to_bytes())
        stage.wire.down()
        await asyncio.sleep(1)


async def callers_echo(stage: Stage) -> None:
    """An adapter that hears itself, and one that does not."""
    driver = Ff68(stage.context("f"), read(Ff68Options, {"path": "/none", "callers": {"w1": 5}}), stage.wire)
    async with living(driver):
        stage.wire.far = stage.wire.send
        stage.wire.up()
        await stage.show(driver, "f/w1", Panel("w1", "OPEN", 4))
        stage.wire.send(CallerFrame(5, 4, b"\x0c").to_bytes())
        await asyncio.sleep(1)
        stage.wire.down()
        stage.wire.far = lambda data: None
        stage.wire.up()
        for number in range(5):
            await stage.show(driver, "f/w1", Panel("w1", "OPEN", number))
            await asyncio.sleep(0.3)
        stage.wire.send(CallerFrame(5, 4, b"\x0c").to_bytes())
        await asyncio.sleep(1)
        stage.note("-", "the echoes were only late: it hears itself after all")
        stage.wire.far = stage.wire.send
        stage.wire.send(CallerFrame(5, 4, b"\x0d").to_bytes())
        await asyncio.sleep(0.3)
        await stage.show(driver, "f/w1", Panel("w1", "OPEN", 7))
        await asyncio.sleep(1)
        stage.wire.send(CallerFrame(5, 4, b"\x0d").to_bytes())
        await asyncio.sleep(1)


SCENES: dict[str, Callable[[Stage], Coroutine[Any, Any, None]]] = {
    "voice_chip": voice,
    "voice_chip-slow": voice_slow,
    "escpos": printer,
    "ledsender2010": led_strip,
    "onbon_bx": bar_scene({"voice": True, "brightness": 7}),
    "onbon_bx-5k": bar_scene(
        {"model": "5k", "screen": 3, "scroll_speed": 9, "first_area": 4, "dead_man_s": 9}
    ),
    "candle485": candle,
    "candle485-echo": candle_echo,
    "ff68": callers,
    "ff68-echo": callers_echo,
}


@pytest.mark.parametrize("name", SCENES)
def test_a_dialogue_is_as_recorded(name: str) -> None:
    file = RECORDED / f"{name}.txt"
    found = played(SCENES[name])
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
