"""ESC/POS printers: bytes of python-escpos, and paper that is out, near its end, or stuck, on a real pty."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.escpos import codec
from devices.escpos import driver as escpos_driver
from devices.escpos.driver import Escpos, EscposOptions
from devices.escpos.fake import FakePrinter
from edged.core.model.commands import Action, Lamp, Print, Refuse, Say
from edged.core.model.events import DeviceBack, DeviceLost, HealthRead
from edged.core.model.point import Point
from edged.driver import Refused, Unreachable
from edged.links.pty import Pty
from edged.shapes import read
from tests.support.brokers import until
from tests.support.listening_core import ListeningCore

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/escpos_frames.json").read_text())
FRAMES = {one["id"]: bytes.fromhex(one["hex"]) for one in VECTORS["frames"]}
PRINTER = Point("p")
NUMBER = Print("A012", "tax", 3, 600, 900, 1500)


def test_text_qr_codes_and_cuts_have_the_bytes_of_python_escpos() -> None:
    assert FRAMES["escpos.init"] == codec.INIT
    assert FRAMES["escpos.centre"] == codec.CENTRE
    assert codec.FEED + codec.CUTS["partial"] == FRAMES["escpos.cut.part"]
    assert codec.FEED + codec.CUTS["full"] == FRAMES["escpos.cut.full"]
    assert codec.qr("A012") == FRAMES["escpos.qr"] == FRAMES["escpos.qr.4"]
    assert FRAMES["escpos.status.printer"] == codec.ASK_PRINTER
    assert FRAMES["escpos.status.paper"] == codec.ASK_PAPER
    for one in VECTORS["frames"]:
        if one["id"].startswith("escpos.text."):
            assert codec.encoded(one["text"]) == FRAMES[one["id"]]
        elif "size" in one:
            assert codec.qr(one["text"], one["size"]) == FRAMES[one["id"]]
    least = codec.INIT + codec.encoded("排队号 A012") + b"\n" + codec.FEED + codec.CUTS["partial"]
    assert least == FRAMES["escpos.ticket.min"]


def test_status_bytes_are_judged_as_python_escpos_does_or_ignored() -> None:
    words = {"out": 0, "low": 1, "ok": 2}
    for text, (paper, online) in VECTORS["verdicts"].items():
        byte = int(text, 16)
        if (
            codec.is_at_once(byte)
            and byte & codec.OUT in (0, codec.OUT)
            and byte & codec.LOW in (0, codec.LOW)
        ):
            assert words[codec.paper_at_once(byte)] == paper, text
            assert (not byte & codec.OFFLINE) is online, text
    assert codec.paper_at_once(FRAMES["escpos.rx.near"][0]) == "low"
    assert codec.paper_at_once(FRAMES["escpos.rx.end"][0]) == "out"
    assert codec.paper_at_once(FRAMES["escpos.rx.end2"][0]) == "out"
    assert codec.cause(FRAMES["escpos.rx.cause.paper"][0]) == "no paper"
    assert not any(codec.is_at_once(byte) and codec.is_in_turn(byte) for byte in range(256))
    assert not any(codec.is_at_once(byte) for byte in (0x11, 0x13, 0x00, 0xFF)), "XON, XOFF, a dead line"


@given(text=st.text(max_size=80), columns=st.integers(16, 64))
def test_any_text_is_wrapped_to_the_paper_width_and_contains_no_command(text: str, columns: int) -> None:
    lines = codec.wrapped(text, columns)
    assert all(len(line.encode("gbk", "replace")) <= columns for line in lines)
    assert not any(byte < 0x20 for line in lines for byte in codec.encoded(line))


@given(words=st.lists(st.text("ab9,.", min_size=1, max_size=16), max_size=12), columns=st.integers(16, 48))
def test_a_word_that_fits_on_a_line_is_not_cut(words: list[str], columns: int) -> None:
    text = " ".join(["前面等候", *words])
    lines = codec.wrapped(text, columns)
    assert "".join(lines) == text
    assert [word for line in lines for word in line.split()] == text.split()


@given(data=st.binary(max_size=40))
def test_any_bytes_from_the_printer_are_answers_or_counted_as_noise(data: bytes) -> None:
    core = ListeningCore("p")
    driver = Escpos(core.context, read(EscposOptions, {"path": "/nowhere"}))
    driver._received(data)
    assert core.rejections.reasons == (["noise"] if data else [])


class PrinterBench:
    """A driver and a fake printer on a pty."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.core = ListeningCore("p", speed=20.0)
        self.port = Pty(folder / "port")
        self.port.plug()
        self.fake = FakePrinter(self.port.send)
        options = read(
            EscposOptions, {"path": self.port.path, "baudrate": 115200, "deadline_ms": 100, **more}
        )
        self.driver = Escpos(self.core.context, options)

    async def act(self, body: Any) -> None:
        await self.driver.act(Action("1", PRINTER, body))

    def health(self) -> list[tuple[str, str | None]]:
        return [(event.paper, event.fault) for event in self.core.events if isinstance(event, HealthRead)]


@asynccontextmanager
async def printer_bench(folder: Path, **more: Any) -> AsyncIterator[PrinterBench]:
    made = PrinterBench(folder, **more)
    async with asyncio.TaskGroup() as group:
        far = group.create_task(made.port.run(made.fake.feed, lambda _up, _why: None))
        life = group.create_task(made.driver.run())
        try:
            await until(lambda: DeviceBack(PRINTER) in made.core.events)
            yield made
        finally:
            far.cancel()
            life.cancel()
            made.port.close()


async def test_a_ticket_is_printed_in_chinese_with_its_qr_code(tmp_path: Path) -> None:
    more = {
        "title": "东区政务服务中心",
        "names": {"tax": "综合税务"},
    }
    async with printer_bench(tmp_path, **more) as made:
        await made.act(replace(NUMBER, url="https://hall.example/t/A012"))
        await made.act(
            Print("A012", "tax", 0, about="told-once", lines=("一次性告知单 A012",), lines_en=("Papers",))
        )
        await made.act(Refuse("tax", "closed", "已下班\x1b@，请明日再来", "Closed today"))
    assert made.fake.tickets == [
        "东区政务服务中心\n综合税务\nA012\n前面等候3人 3 ahead of you\n预计等候10-25分钟 10-25 min\n",
        "东区政务服务中心\n综合税务\nA012\n一次性告知单 A012\nPapers\n",
        "东区政务服务中心\n已下班@，请明日再来\nClosed today\n",
    ]
    assert (made.fake.codes, made.fake.unknown) == (["https://hall.example/t/A012"], 0)
    assert made.health() == [("ok", None)]
    assert made.core.rejections.reasons == []


async def test_without_paper_nothing_is_printed_and_new_paper_brings_no_old_ticket(tmp_path: Path) -> None:
    async with printer_bench(tmp_path) as made:
        made.fake.lines_left = 0
        with pytest.raises(Refused, match="no paper"):
            await made.act(NUMBER)
        assert made.health()[-1] == ("out", None)
        made.fake.put_paper(40)
        await until(lambda: made.health()[-1] == ("low", None))
        assert (made.fake.tickets, made.fake.printing) == ([], "")
        made.fake.cover_open = True
        with pytest.raises(Refused, match="cover open"):
            await made.act(NUMBER)
        made.fake.cover_open = False
        await made.act(NUMBER)
        assert len(made.fake.tickets) == 1


async def test_a_ticket_during_which_the_paper_ends_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escpos_driver, "PRINT_S", 0.3)
    async with printer_bench(tmp_path) as made:
        await made.act(NUMBER)
        made.fake.lines_left = 2
        with pytest.raises(Refused, match="no paper"):
            await made.act(NUMBER)
        assert len(made.fake.tickets) == 1
        made.fake.put_paper(100)
        await made.act(NUMBER)


async def test_a_printer_that_never_confirms_is_unreachable_and_a_clone_with_fewer_commands_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escpos_driver, "PRINT_S", 0.3)
    async with printer_bench(tmp_path) as made:
        await made.act(NUMBER)
        made.fake.mood = "asleep-in-turn"
        with pytest.raises(Unreachable, match="no answer in time"):
            await made.act(NUMBER)
    monkeypatch.setattr(escpos_driver, "TRY_S", 0.1)
    async with printer_bench(tmp_path / "clone") as made:
        made.fake.mood = "no-gs-r"
        await made.act(NUMBER)
        made.fake.lines_left = 0
        with pytest.raises(Refused, match="no paper"):
            await made.act(NUMBER)


@pytest.mark.parametrize("mood", ["silent", "babbles", "late"])
async def test_a_printer_without_answer_never_confirms_and_is_back_within_three_seconds(
    mood: Any, tmp_path: Path
) -> None:
    async with printer_bench(tmp_path) as made:
        made.fake.mood = mood
        with pytest.raises(Unreachable):
            await made.act(NUMBER)
        await until(lambda: isinstance(made.core.events[-1], DeviceLost))
        assert made.fake.tickets == []
        made.fake.mood = "well"
        async with asyncio.timeout(3):
            await until(lambda: made.core.events[-1] == DeviceBack(PRINTER))
        await made.act(NUMBER)
        assert len(made.fake.tickets) == 1
        assert ("noise" in made.core.rejections.reasons) is (mood != "silent")


async def test_a_printer_whose_adapter_is_pulled_is_lost_and_returns_when_plugged_in(tmp_path: Path) -> None:
    async with printer_bench(tmp_path) as made:
        made.port.unplug()
        await until(lambda: isinstance(made.core.events[-1], DeviceLost))
        with pytest.raises(Unreachable):
            await made.act(NUMBER)
        made.port.plug()
        async with asyncio.timeout(3):
            await until(lambda: made.core.events[-1] == DeviceBack(PRINTER))
        await made.act(NUMBER)
        for wrong in (Say("x", "x", ""),):
            with pytest.raises(Refused):
                await made.act(wrong)
        with pytest.raises(Refused):
            await made.driver.show(PRINTER, Lamp("on"))
