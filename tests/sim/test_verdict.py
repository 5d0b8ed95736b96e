"""The demo's audit can fail: whatever is lost or shown wrong on a wire is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devices.candle485.signs import board, digits, led
from devices.mqtt_json.codec import encode_level
from devices.mqtt_json.fake import FakeDispenser, FakePanel
from devices.onbon_bx.driver import OnbonOptions, rows
from edged.clock import Clock
from edged.config import HallConfig, load
from edged.core.model.commands import AreaSummary, Desired, Display, Lamp, Panel, Value
from edged.core.model.events import CountRead, Event, KeyPressed, TicketPrinted, TicketRequested
from edged.core.model.point import Point
from edged.core.signage.signs import CENTRE
from edged.observer import Step
from edged.sim.demo import Settings
from edged.sim.fakes import Fakes
from edged.sim.summary import summarise
from edged.sim.verdict import inputs_lost, outputs_wrong
from tests.support.brokers import until
from tests.support.journals import open_journal

END_MS = 100_000
SPEED = 10.0  # GRACE_S is ten hall seconds then
OLD_MS, RECENT_MS = 50_000, 95_000
DEMO = Path(__file__).parents[2] / "configs/hall-demo.toml"
SHOWN: dict[str, Value] = {
    "relay-1/0": Lamp("on"),
    "relay-1/1": Lamp("off"),
    "screen-tax": Display(("请A012号 Please come", "A011→2号窗口")),
    "panel-w1": Panel("w1", "SERVING", 3, "A012"),
    "led-tax": Display(("A012→3号窗口",)),
    "bus-east/w8": Panel("w8", "CALLING", 1, "G007"),
    "bus-east/w10": Panel("w10", "OPEN", 0),
    "bus-east/board-w8": Display(("请G007号", "8号窗口"), ("G007", "8"), calling=True),
}


@dataclass
class Day:
    """A hall, its devices as they should be, and what its journal says."""

    config: HallConfig
    fakes: Fakes
    journal: Path
    steps: list[Step]

    async def write(self, *steps: tuple[int, Event, dict[str, Value]]) -> None:
        for seq, (at_ms, event, shown) in enumerate(steps, 1):
            commands = tuple(Desired(Point(point), value) for point, value in shown.items())
            self.steps.append(Step(seq, at_ms, event, commands, ()))
        async with open_journal(self.journal) as journal:
            for step in self.steps:
                journal.append(step)
            await journal.drain()

    def wrong(self) -> list[str]:
        return outputs_wrong(self.config, self.fakes, self.journal, END_MS, SPEED)

    def lost(self) -> list[str]:
        return inputs_lost(self.fakes, self.steps)

    def light(self, channel: int, lit: bool) -> None:
        coil = self.fakes.relays["relay-1"].coils[channel]
        coil.set(lit, 0.0)
        coil.changes.clear()  # long ago

    def show(self, device: str, value: Value) -> None:
        tail, payload = encode_level(value)
        self.fakes.json[device].shown[tail] = json.loads(payload)

    def show_right(self) -> None:
        """Every device of ``SHOWN`` shows what it should."""
        self.light(0, True)
        for device in ("screen-tax", "panel-w1"):
            self.show(device, SHOWN[device])
        self.bar(SHOWN["led-tax"])
        units = self.fakes.buses["bus-east"].units
        for name, address in (("w8", 0x21), ("w10", 0x23)):
            panel = SHOWN[f"bus-east/{name}"]
            assert isinstance(panel, Panel)
            units[name].led = led(address, panel).code
        panel, sign = SHOWN["bus-east/w8"], SHOWN["bus-east/board-w8"]
        assert isinstance(panel, Panel)
        assert isinstance(sign, Display)
        units["w8"].text = digits(0x21, panel).text
        text = board(self.options("bus-east").boards["board-w8"], sign)
        units["board-w8"].text, units["board-w8"].blink = text.text, text.blink

    def options(self, device: str) -> Any:
        return next(one.options for one in self.config.devices if one.id == device)

    def bar(self, value: Value) -> None:
        assert isinstance(value, Display)
        bar, options = self.fakes.bars["led-tax"], self.options("led-tax")
        assert isinstance(options, OnbonOptions)
        bar._rows = {area.id: (area, 1e12) for area in rows(value.lines, options)}  # never expires


@pytest.fixture
async def day(tmp_path: Path) -> AsyncIterator[Day]:
    file = tmp_path / "hall.toml"
    file.write_text(DEMO.read_text("utf-8"))
    config = load(file)
    fakes = Fakes(config, Clock(), 1, lambda: None)
    yield Day(config, fakes, tmp_path / "demo.db", [])
    for pty in fakes._ptys:
        pty.close()


KEY = KeyPressed(Point("panel-w1"), "next", seq=1)


async def test_a_hall_that_shows_what_it_should_passes(day: Day) -> None:
    summary = AreaSummary("tax", 3, None, 2, 0)
    await day.write((OLD_MS, KEY, SHOWN | {CENTRE: summary}))
    assert len(day.wrong()) == len(SHOWN) - 1, "all but the lamp that is to be off"
    day.show_right()
    assert day.wrong() == []


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (lambda day: day.light(0, False), "relay-1/0"),
        (lambda day: day.light(1, True), "relay-1/1"),
        (lambda day: day.show("screen-tax", Display(("A011→2号窗口",))), "screen-tax"),
        (lambda day: day.fakes.json["screen-tax"].shown.clear(), "screen-tax"),
        (lambda day: day.show("panel-w1", Panel("w1", "SERVING", 2, "A012")), "panel-w1"),
        (lambda day: day.bar(Display(("A013→3号窗口",))), "led-tax"),
        (lambda day: setattr(day.fakes.buses["bus-east"].units["w8"], "text", "006"), "bus-east/w8"),
        (lambda day: setattr(day.fakes.buses["bus-east"].units["w10"], "led", 0), "bus-east/w10"),
        (lambda day: setattr(day.fakes.buses["bus-east"].units["board-w8"], "blink", 0), "bus-east/board-w8"),
    ],
)
async def test_one_wrong_sign_is_told_and_only_that(
    day: Day, tamper: Callable[[Day], None], expected: str
) -> None:
    await day.write((OLD_MS, KEY, SHOWN))
    day.show_right()
    tamper(day)
    (line,) = day.wrong()
    assert line.startswith(f"{expected} should show "), line


async def test_a_value_on_its_way_is_not_wrong_but_one_overtaken_long_ago_is(day: Day) -> None:
    other = KeyPressed(Point("panel-w1"), "recall", seq=2)
    await day.write(
        (OLD_MS, KEY, {"relay-1/0": Lamp("on"), "relay-1/1": Lamp("on")}),
        (OLD_MS + 1, other, {"relay-1/1": Lamp("off")}),
        (RECENT_MS, KeyPressed(Point("panel-w1"), "finish", seq=3), {"relay-1/0": Lamp("off")}),
    )
    for lit in (True, False):
        day.light(0, lit)
        assert day.wrong() == [], "before and after the change of just now"
    day.light(1, True)
    assert len(day.wrong()) == 1


async def test_a_dead_bar_is_excused_only_while_it_is_dead(day: Day) -> None:
    await day.write((OLD_MS, KEY, {"led-tax": SHOWN["led-tax"]}))
    day.fakes.bars["led-tax"].alive = False
    assert day.wrong() == []
    day.fakes.bars["led-tax"].alive = True
    assert len(day.wrong()) == 1


async def test_every_input_without_a_row_is_told(day: Day) -> None:
    fakes = day.fakes
    first, second = fakes.json["dispenser-1"], fakes.json["dispenser-2"]
    panel, bus = fakes.json["panel-w1"], fakes.buses["bus-east"]
    assert isinstance(first, FakeDispenser)
    assert isinstance(second, FakeDispenser)
    assert isinstance(panel, FakePanel)
    first.ticket("A001", "tax-general")
    second.request("tax-general")
    panel.press("next")
    panel.press("finish")
    bus.frames_sent["w8"] += 2
    bus.frames_sent["button-1"] += 1
    fakes.counted["counter-door"] = 1
    events: list[Event] = [
        TicketPrinted(Point("dispenser-1"), "A001", "tax-general", seq=1),
        TicketRequested(Point("dispenser-2"), "tax-general", seq=1),
        KeyPressed(Point("panel-w1"), "next", seq=1),
        KeyPressed(Point("panel-w1"), "finish", seq=2),
        KeyPressed(Point("bus-east/w8"), "next-or-recall"),
        KeyPressed(Point("bus-east/w8"), "arrive"),
        TicketRequested(Point("bus-east/button-1"), "fund-general"),
        CountRead(Point("counter-door"), "total", 3, 1),
    ]
    await day.write(*((OLD_MS, event, {}) for event in events))
    assert day.lost() == []
    findings = [
        "dispenser-1 input 1",
        "dispenser-2 input 1",
        "panel-w1 input 1",
        "panel-w1 input 2",
        "bus-east/w8: 1 of 2 frames",
        "bus-east/w8: 1 of 2 frames",
        "bus-east/button-1: 1 of 1 frames",
        "counter-door: 1 of 1 reports",
    ]
    rows_ = list(day.steps)
    for missing, line in enumerate(findings):
        day.steps = rows_[:missing] + rows_[missing + 1 :]
        assert day.lost() == [line]


async def test_what_went_down_with_a_killed_daemon_is_excused_and_no_more(day: Day) -> None:
    """Two keys were sent: one waits in the port, the other was read, but not kept, when the daemon was killed."""
    bus = day.fakes.buses["bus-east"]
    pty = day.fakes._bus_ptys["bus-east"]
    bus.frames_sent["w8"] += 1
    bus.frames_sent["w9"] += 1
    pty.send(bytes.fromhex("01213107"))
    await until(lambda: pty.unread == 4)
    await day.write((OLD_MS, KEY, {}))
    assert len(day.lost()) == 2
    day.fakes.daemon_died({})
    assert day.fakes.in_flight == {"bus-east": 1}
    assert len(day.lost()) == 2, "the one in the port has to arrive"
    day.steps.append(Step(2, OLD_MS, KeyPressed(Point("bus-east/w8"), "next-or-recall"), (), ()))
    assert day.lost() == []
    day.fakes.daemon_died({Point("bus-east/w8"): 1})
    bus.frames_sent["w8"] += 1
    assert len(day.lost()) == 2


async def test_what_shone_before_the_daemon_stopped_counts_not_what_went_dark_after(day: Day) -> None:
    await day.write((OLD_MS, KEY, {"relay-1/0": Lamp("on"), "led-tax": SHOWN["led-tax"]}))
    day.light(0, True)
    day.bar(SHOWN["led-tax"])
    day.fakes.observe()
    day.light(0, False)
    day.fakes.bars["led-tax"].alive = False
    day.fakes.bars["led-tax"].alive = True
    assert day.wrong() == []
    fresh = Fakes(day.config, Clock(), 1, lambda: None)
    day.fakes = fresh
    fresh.observe()
    day.light(0, True)
    day.bar(SHOWN["led-tax"])
    assert len(day.wrong()) == 2
    for pty in fresh._ptys:
        pty.close()


async def test_the_summary_says_no_where_the_audit_found_something(day: Day, tmp_path: Path) -> None:
    await day.write((OLD_MS, KEY, {"relay-1/0": Lamp("on")}))
    panel = day.fakes.json["panel-w1"]
    assert isinstance(panel, FakePanel)
    panel.press("next")
    panel.press("finish")
    settings = Settings(tmp_path, 1, SPEED, 0.1, None)
    summary = summarise(day.config, day.fakes, day.journal, settings, END_MS)
    assert (summary["inputs_lost"], summary["outputs_wrong"]) == (1, 1)
    assert summary["replay_identical"] is False, "no engine decides that for this key"
    assert not summary.good
    assert summary.complaints[:2] == ["panel-w1 input 2", f"relay-1/0 should show lamp {Lamp('on')}"]
    assert summary.complaints[2] == "no answer to the key panel-w1 next"
    assert summary.complaints[3].startswith("replay: step 1")
