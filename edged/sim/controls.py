"""What a person may do to the demo's hall by hand: use the same keys and buttons as its simulated people, or start a
scene.

Scenes are what halls fear: a rush on Monday, a coach full of visitors, a colleague who does not answer, a LED bar
without power, a broker or daemon that is killed, a policy that makes waits longer. Every scene ends or is undone by
itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast, get_args

from devices.mqtt_json.fake import FakeDispenser
from edged.central.page_words import devices_in_words
from edged.core.model.events import CLASSES, Key
from edged.core.model.point import Point, parts_of
from edged.core.model.site import Site
from edged.sim.centre import DemoCentre
from edged.sim.people import DUTY
from edged.sim.wires import HallWires

KEYS = frozenset(get_args(Key))
TEXT_MAX = 64  # characters of a key's argument
COUNT_MAX = 200  # people that a counter may count in one request
RUSH_VISITORS, RUSH_S = 60, 600.0  # hall seconds; a Monday's first minutes
HARM_VISITORS, HARM_S = 120, 1200.0  # more than the regular windows can serve: at least twice any usual wait
COACH_VISITORS, COACH_S = 40, 120.0  # they come together, for the same service
LED = "led-tax"
PAPERS_SHOWN = 8
SCENES_MAX = 8  # at once
CHECK_S = 20.0  # hall seconds between looks at the policy in force
CITY_S = 300.0  # hall seconds that the city takes to push its policy again
Body = dict[str, Any]
Reply = tuple[str, str]


class NotDone(ValueError):
    """The request cannot be carried out. ``words``: the reason in Chinese and English."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.words = (zh, en)


@dataclass(frozen=True, slots=True)
class Processes:
    """The demo's functions that kill its processes, and ``state``, which returns what the page of controls shows about
    them. ``kill_broker`` is None if the demo uses a broker that it did not start.
    """

    kill_daemon: Callable[[], Reply]
    kill_broker: Callable[[], Coroutine[Any, Any, None]] | None
    state: Callable[[], Body]


class Controls:
    """What answers the page of controls: ``do`` carries out one of its requests. ``run`` must be running, because it
    runs the scenes.
    """

    def __init__(
        self, wires: HallWires, site: Site, centre: DemoCentre, policy: Body, processes: Processes
    ) -> None:
        """``policy``: the policy document in force at the start."""
        self._wires = wires
        self._site = site
        self._centre = centre
        self._policy = policy
        self._version = int(policy["version"])
        self._processes = processes
        self._chance = random.Random(0)
        self._tasks: asyncio.TaskGroup | None = None
        self._scenes = 0
        self._harming = False
        self.silent = 0  # pages that nobody answers, from now on

    async def run(self) -> None:
        """Run scenes until cancelled; at the end switch the LED bar on again, because a scene may have switched it
        off.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.Event().wait()
        finally:
            self._tasks = None
            self._wires.fakes.bars[LED].alive = True

    def answers(self) -> bool:
        """Return whether the member of staff who is paged now answers; ask once for each page. After the scene
        "silence" the next page stays unanswered.
        """
        if self.silent:
            self.silent -= 1
            return False
        return True

    def do(self, act: Body) -> Reply:
        """Carry out one request of the page; returns the outcome in words (Chinese, English). Raises ``NotDone`` if it
        cannot be carried out.
        """
        known: dict[str, Callable[[Body], Reply]] = {
            "ticket": self._ticket,
            "key": self._key,
            "rate": self._rate,
            "count": self._count,
            "duty": self._duty,
            "rush": self._rush,
            "coach": self._coach,
            "silence": self._silence,
            "led": self._led,
            "broker": self._broker,
            "daemon": lambda _act: self._processes.kill_daemon(),
            "harm": self._harm,
        }
        name = act.get("act")
        if not isinstance(name, str) or name not in known:
            raise NotDone("没有这个操作", "There is no such act")
        return known[name](act)

    # -- devices --

    def _ticket(self, act: Body) -> Reply:
        service, priority = act.get("service"), act.get("priority", "normal")
        if service not in {one.id for one in self._site.services} or priority not in CLASSES:
            raise NotDone("取号机上没有这项业务", "The dispenser has no such button")
        self._wires.ask_ticket(service, None if priority == "normal" else priority)
        return "取号机已请求号码，见下方号票", "The dispenser asked for a number: see the papers"

    def _key(self, act: Body) -> Reply:
        window = self._window(act)
        self._wires.press(window, self._known_key(act), self._text(act))
        return "已按键", "Pressed"

    def _rate(self, act: Body) -> Reply:
        level = act.get("level")
        if level not in (1, 2, 3, 4, 5):
            raise NotDone("请选择 1 至 5", "Choose 1 to 5")
        self._wires.rate(self._window(act), level)
        return "评价器已发送", "The evaluator sent it"

    def _count(self, act: Body) -> Reply:
        people = act.get("people")
        if type(people) is not int or not 1 <= people <= COUNT_MAX:
            raise NotDone(f"请填 1 至 {COUNT_MAX} 人", f"Say 1 to {COUNT_MAX} people")
        self._wires.fakes.came += people
        return "计数器将在下一分钟上报", "The counter tells it with its next minute"

    def _duty(self, act: Body) -> Reply:
        self._wires.press_pager(DUTY, self._known_key(act), self._text(act))
        return "值班长已按键", "Pressed by the duty manager"

    def _window(self, act: Body) -> str:
        for window in self._site.windows:
            if window.number == act.get("window"):
                return window.id
        raise NotDone("没有这个窗口", "There is no such window")

    def _known_key(self, act: Body) -> Key:
        key = act.get("key")
        if key not in KEYS:
            raise NotDone("没有这个键", "There is no such key")
        return cast(Key, key)

    def _text(self, act: Body) -> str | None:
        text = act.get("arg")
        return text[:TEXT_MAX] if isinstance(text, str) and text else None

    # -- scenes --

    def _rush(self, _act: Body) -> Reply:
        self._play(self._come(RUSH_VISITORS, RUSH_S, None))
        return f"{RUSH_VISITORS} 人正在陆续到来", f"{RUSH_VISITORS} people are on their way in"

    def _coach(self, _act: Body) -> Reply:
        self._play(self._come(COACH_VISITORS, COACH_S, "tax-general"))
        return (
            f"一车 {COACH_VISITORS} 人到达，都办税务",
            f"A coach with {COACH_VISITORS} people, all for taxes",
        )

    async def _come(self, count: int, within_s: float, service: str | None) -> None:
        services = [one.id for one in self._site.services if not one.case]
        weights = [3 if one.startswith("tax") else 1 for one in services]
        for _ in range(count):
            await self._wires.sleep(self._chance.uniform(0, 2 * within_s / count))
            self._wires.take_ticket(service or self._chance.choices(services, weights)[0], "normal")

    def _silence(self, _act: Body) -> Reply:
        self.silent = 1
        return "下一位被呼叫的人员不应答", "Whoever is paged next does not answer"

    def _led(self, _act: Body) -> Reply:
        bar = self._wires.fakes.bars[LED]
        bar.alive = not bar.alive
        if bar.alive:
            return "税务LED屏已接回", "The LED of taxes has power again"
        return "税务LED屏已断电", "The LED of taxes lost its power"

    def _broker(self, _act: Body) -> Reply:
        if self._processes.kill_broker is None:
            raise NotDone(
                "使用了自己的消息服务器，演示不去关它", "The broker is yours: the demo does not end it"
            )
        self._play(self._processes.kill_broker())
        return "消息服务器已被杀掉，三秒后重新启动", "The broker is killed; it starts again in three seconds"

    def _harm(self, _act: Body) -> Reply:
        """Start the scene of a harmful policy: the city pushes one that switches the tidal loop ("+1" windows) off, and
        many visitors come.
        """
        if self._harming:
            raise NotDone("这份策略还在试行", "That policy is still on trial")
        self._play(self._push_harmful())
        self._play(self._come(HARM_VISITORS, HARM_S, None))
        return (
            "市中心下发新策略：停用潮汐窗口；等候变差后大厅自动恢复上一版",
            'The city pushes a policy without "+1" windows; when waits get worse, the one before returns by itself',
        )

    async def _push_harmful(self) -> None:
        """Push the harmful policy and wait until the hall has returned to an earlier one by itself. If the day's policy
        was still on trial, the hall has returned to an even older one: then push the day's policy again.
        """
        self._harming = True
        try:
            harmful = self._next({**self._policy["body"], "tidal": {"enabled": False}})
            await self._centre.bring_in_force(harmful)
            while self._centre.in_force >= harmful["version"]:
                await self._wires.sleep(CHECK_S)
            if self._centre.in_force < int(self._policy["version"]):
                await self._wires.sleep(CITY_S)
                await self._centre.bring_in_force(self._next(self._policy["body"]))
        finally:
            self._harming = False

    def _next(self, body: Body) -> Body:
        self._version += 1
        return {**self._policy, "version": self._version, "body": body}

    def _play(self, scene: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None or self._scenes >= SCENES_MAX:
            scene.close()
            raise NotDone("正在进行的情景太多，请稍候", "Too many scenes at once: wait a moment")
        self._scenes += 1
        self._tasks.create_task(scene).add_done_callback(self._played)

    def _played(self, _task: object) -> None:
        self._scenes -= 1

    # -- what there is to see --

    def state(self) -> Body:
        """The page's data: what the devices show, and the latest prints, newest first."""
        fakes = self._wires.fakes
        papers: list[Body] = []
        for device in fakes.json.values():
            if isinstance(device, FakeDispenser):
                papers += [{"at": device.id, **one} for one in device.printed[-PAPERS_SHOWN:]]
        return {
            **self._processes.state(),
            "services": [{"id": one.id, "zh": one.name, "en": one.name_en} for one in self._site.services],
            "windows": [
                {
                    "number": one.number,
                    "tidal": one.tidal,
                    "evaluator": one.evaluator is not None,
                    "lamp": self._lamp(one.lamp),
                }
                for one in self._site.windows
            ],
            "papers": sorted(papers, key=lambda one: int(one["id"].lstrip("a")), reverse=True)[:PAPERS_SHOWN],
            "leds": {name: list(bar.shown) for name, bar in fakes.bars.items()},
            "names": {
                name: {"zh": zh, "en": en}
                for name, (zh, en) in devices_in_words(self._site, tuple(fakes.bars)).items()
            },
            "led_unplugged": not fakes.bars[LED].alive,
            "silent": self.silent,
        }

    def _lamp(self, lamp: Point | None) -> str | None:
        if lamp is None:
            return None
        device, channel = parts_of(lamp)
        return self._wires.fakes.relays[device].seen(int(channel))
