"""Draws the demo's hall in a terminal: what the devices show, and why the daemon decided what it did.

Lamps and LED texts are read from the simulated devices (what a visitor would see), not from the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edged.core.model.site import Site
from edged.explain.sentences import explain
from edged.sim.summary import story_of
from edged.sim.tally import DemoTotals, mean, quantile

BAR_MAX = 24  # a queue longer than this is drawn as this many and a plus
STATE_STYLE = {
    "OPEN": "green",
    "CALLING": "yellow",
    "SERVING": "bold green",
    "ACTIVATING": "bold magenta",
    "INVITED": "magenta",
    "DRAINING": "cyan",
    "COOLDOWN": "cyan",
    "PAUSED": "red",
    "STANDBY": "dim",
    "CLOSED": "dim",
}
HOURS = {"open": "开放", "noon": "午间", "stopped": "停号", "draining": "清号", "closed": "关闭"}
# Each state has a word and a form; the colours are readable on dark and on light terminals.
LAMP_TEXT = {
    "on": ("● 亮 on", "bold reverse"),
    "blink": ("◉ 闪 blinks", "bold magenta"),
    "off": ("○ 灭", "dim"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything to draw on the demo's screen. ``lamps``: by window id; ``leds``: by the bar's title; ``acknowledged``:
    number of events that the city has acknowledged.
    """

    site: Site
    clock: str
    speed: float
    daemon: str
    tally: DemoTotals
    lamps: Mapping[str, str]
    leds: Mapping[str, tuple[str, ...]]
    wall_offset_ms: int
    progress: float
    acknowledged: int
    pages: str | None = None  # URL of the hall's pages
    touch: str | None = None  # URL of the page of controls


def draw(scene: Scene) -> RenderableType:
    """Draw the whole screen. The LED boards and the reasons for decisions are at the top, so that a terminal of 24 rows
    shows them.
    """
    return Group(_head(scene), _leds(scene), _why(scene), _areas(scene), _windows(scene))


def _head(scene: Scene) -> RenderableType:
    tally = scene.tally
    wait = quantile(tally.waits_s, 0.9)
    text = Text.assemble(
        (scene.site.name, "bold"),
        f"  {scene.pages or ''}  {'' if scene.touch is None else f'动手 touch {scene.touch}'}\n",
        f"{scene.clock}  x{scene.speed:g}  {scene.progress:.0%}   edged: ",
        (scene.daemon, "green" if scene.daemon.startswith("serving") else "bold red"),
        f"   取号 {tally.notes['ticket.issued']}  办结 {tally.notes['ticket.finished']}  等候 {tally.waiting}",
        f"   wait mean {_minutes(mean(tally.waits_s))} p90 {_minutes(wait)}",
        f"   +1 opened {tally.notes['tidal.opened']}, unanswered {tally.notes['tidal.unanswered']}\n",
        _story(tally, scene.acknowledged),
    )
    return Panel(text)


def _story(tally: DemoTotals, acknowledged: int) -> str:
    story = story_of(tally)
    cases, ratings, booked = story["cases"], story["ratings"], story["appointments"]
    return (
        f"办不成事 {cases['opened']}/{cases['closed']}/{cases['rated']}  "
        f"评价 {ratings['given']} 差评 {ratings['bad']}  "
        f"预约 {booked['checked_in']}/{booked['made']}  转办 {story['transfers']}  一件事 {story['journey_stages']}  "
        f"暂停 {story['pauses']}  报警 {sum(story['alarms'].values())}  人工干预 {story['overrides']}  "
        f"上报 {acknowledged}/{tally.events}"
    )


def _minutes(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / 60:.1f} min"


def _areas(scene: Scene) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    for title in ("area 专区", "hours", "open 窗口", "+1", "waiting 等候"):
        table.add_column(title, no_wrap=True)
    for area in scene.site.areas:
        summary = scene.tally.areas.get(area.id)
        if summary is None:
            continue
        plus = Text(f"+{summary.tidal_windows}", "bold magenta") if summary.tidal_windows else Text("")
        style = "red" if summary.waiting > 8 else "green"
        bar = "█" * min(summary.waiting, BAR_MAX) + ("+" if summary.waiting > BAR_MAX else "")
        waiting = Text.assemble(f"{summary.waiting:3d} ", (bar, style))
        hours = "" if summary.hours is None else f"{HOURS[summary.hours]} {summary.hours}"
        if summary.mode not in (None, "full") and summary.hours != "closed":
            hours += f", {summary.mode}"
        table.add_row(f"{area.name} {area.name_en}", hours, str(summary.open_windows), plus, waiting)
    return table


def _windows(scene: Scene) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    for _ in range(2):
        for title in ("window 窗口", "lamp", "state", "number"):
            table.add_column(title, no_wrap=True)
    cells: list[list[RenderableType]] = []
    for window in scene.site.windows:
        summary = scene.tally.windows.get(window.id)
        state = "CLOSED" if summary is None else summary.state
        mark, style = LAMP_TEXT[scene.lamps.get(window.id, "off")]
        label = f"{window.number}{' 潮汐+1' if window.tidal else ''}"
        lamp: RenderableType = Text(mark, style) if window.lamp else Text("")
        number = "" if summary is None or summary.number is None else summary.number
        cells.append([label, lamp, Text(state, STATE_STYLE.get(state, "")), number])
    half = (len(cells) + 1) // 2
    for left in range(half):
        right = cells[left + half] if left + half < len(cells) else ["", "", "", ""]
        table.add_row(*cells[left], *right)
    return table


def _leds(scene: Scene) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True, width=18)
    table.add_column(style="bold red", no_wrap=True)
    for title, lines in scene.leds.items():
        table.add_row(title, "  ".join(lines) or "(dark)")
    return Panel(table, title="LED", title_align="left")


def _why(scene: Scene) -> RenderableType:
    lines = [
        _one_line(
            Text.assemble((_clock(at_ms + scene.wall_offset_ms), "dim"), " ", explain(note, scene.site))
        )
        for at_ms, note in scene.tally.explanations
    ]
    return Panel(Group(*lines), title="why 为什么", title_align="left")


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _clock(wall_ms: int) -> str:
    seconds = wall_ms // 1000 % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
