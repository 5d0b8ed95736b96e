"""Lets simulated people use the fakes: keys, buttons and pagers, in hall time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from devices.candle485.codec import LED_GREEN, LED_GREEN_SLOW, LED_RED, LED_RED_SLOW
from devices.mqtt_json.fake import FakeDispenser, FakePanel
from edged.clock import Clock
from edged.config import HallConfig
from edged.core.model.events import Key, Priority
from edged.core.model.point import Point, channel_of, parts_of
from edged.core.model.site import Window
from edged.sim.fakes import Fakes
from edged.sim.given_broker import BrokerPlace
from edged.sim.people import DUTY, LOOK_AGAIN_S, PageView, PanelView

PATIENCE_REAL_S = 2.0  # a busy machine may need this long; a second press would be another key
PAGES_MAX = 100  # unread pages of one member of staff; a demo day has a few
LED_STATE = {LED_GREEN: "OPEN", LED_GREEN_SLOW: "CALLING", LED_RED: "SERVING", LED_RED_SLOW: "PAUSED"}
# What a panel with four keys has instead of the key somebody wants.
CANDLE_KEYS: dict[Key, Key] = {
    "next": "next-or-recall",
    "recall": "next-or-recall",
    "arrive": "arrive",
    "finish": "no-show-or-finish",
    "no-show": "no-show-or-finish",
    "login": "next-or-recall",  # the first call opens the window
}


class HallWires:
    """The devices of one hall as simulated people use them: implements ``edged.sim.people.Touchable`` over the drivers'
    fakes.
    """

    def __init__(self, config: HallConfig, clock: Clock, seed: int, place: BrokerPlace | None = None) -> None:
        """``place``: the broker and its login; None: the broker of ``config``, without password."""
        self._clock = clock
        self._change = asyncio.Event()
        self.fakes = Fakes(config, clock, seed, self._touch, place)
        self._windows = {window.id: window for window in config.site.windows}
        self._pagers = {staff.id: staff.pager for staff in config.site.staff}
        self._pagers[DUTY] = config.site.duty_pager
        self.turned_away = 0  # people who saw that no numbers are given
        self._pages: dict[str, asyncio.Queue[PageView]] = {}
        self._paged: set[str] = set()
        self._dispensers = [one for one in self.fakes.json.values() if isinstance(one, FakeDispenser)]
        self._next_dispenser = 0
        self._own_numbers: dict[str, int] = {}
        self._prefixes = {service.id: service.prefix for service in config.site.services}
        for staff, pager in self._pagers.items():
            self._pages[staff] = asyncio.Queue(PAGES_MAX)
            if pager is not None:
                self.fakes.json[pager].on_action = self._pager_of(staff)

    def panel(self, window: str) -> PanelView | None:
        """What the clerk of a window sees: the window's panel and, if that is on a serial bus, also the display above
        the window, because such a panel shows no number. None if the panel never showed anything.
        """
        site = self._windows[window]
        device, channel = parts_of(site.panel or Point(""))
        if device in self.fakes.buses:
            return self._candle_view(device, channel, site)
        shown: dict[str, Any] | None = self.fakes.json[device].shown.get("panel")
        if shown is None:
            return None
        return PanelView(shown["state"], shown.get("number"), shown["waiting"], shown.get("prompt", ""))

    def press(self, window: str, key: Key, arg: str | None = None) -> None:
        """Press a key of a window's panel. A panel on a serial bus has fewer keys: the most similar one is pressed, if
        any.
        """
        device, channel = parts_of(self._windows[window].panel or Point(""))
        if device in self.fakes.buses:
            if key in CANDLE_KEYS:
                self.fakes.buses[device].press(channel, CANDLE_KEYS[key])
            return
        panel = self.fakes.json[device]
        assert isinstance(panel, FakePanel)
        panel.press(key, arg)

    def answer(self, staff: str, accept: bool) -> None:
        """Press accept or decline on a pager."""
        self.press_pager(staff, "accept" if accept else "decline")

    def press_pager(self, staff: str, key: Key, arg: str | None = None) -> None:
        """Press any key on the pager of a member of staff or of the duty manager."""
        pager = self.fakes.json[self._pagers[staff] or ""]
        assert isinstance(pager, FakePanel)
        pager.press(key, arg)

    def rate(self, window: str, level: int) -> None:
        """Press a rating on the window's evaluator, or on the one at its panel. A panel on a serial bus has none; then
        nothing happens.
        """
        site = self._windows[window]
        device = self.fakes.json.get(site.evaluator or site.panel or "")
        if isinstance(device, FakePanel):
            device.rate(level)

    def asked_about(self, window: str) -> str | None:
        """The id of the case (办不成事) that the window's evaluator asks the visitor to rate; None if it does not
        ask.
        """
        evaluator = self.fakes.json[self._windows[window].evaluator or ""]
        case: str | None = evaluator.shown.get("evaluator", {}).get("case")
        return case

    def take_ticket(self, service: str, priority: Priority, appointment: str | None = None) -> None:
        """Let a visitor take a ticket. A service with a button on a kiosk (a machine on a serial bus) is taken there,
        if the visitor has no priority. Otherwise the dispensers take turns: the first asks the hall for a number, any
        other prints one of its own range and reports it. While the dispensers show that no numbers are issued, nothing
        is pressed, and the visitor is counted in ``turned_away``.

        The visitor of a journey (``service`` is its name: several services in order) or of an ``appointment`` always
        goes to the first dispenser, even while no numbers are issued.
        """
        self.fakes.came += 1
        if appointment is not None or service not in self._prefixes:
            self._dispensers[0].request(service, None, appointment)
            return
        if self._stopped(service):
            self.turned_away += 1
            return
        button = self._button(service)
        if button is not None and priority == "normal":
            button()
            return
        which = self._next_dispenser = (self._next_dispenser + 1) % len(self._dispensers)
        dispenser = self._dispensers[which]
        wanted = None if priority == "normal" else priority
        if which == 0:
            dispenser.request(service, wanted)
            return
        count = (
            self._own_numbers.get(service, 500) + 1
        )  # its own range of numbers, so that none is issued twice
        self._own_numbers[service] = count
        dispenser.ticket(f"{self._prefixes[service]}{count:03d}", service, wanted)

    def ask_ticket(self, service: str, priority: Priority | None) -> None:
        """Press the button of a service at the first dispenser, which asks the hall for a number. It is pressed even if
        the dispenser shows that none are issued.
        """
        self.fakes.came += 1
        self._dispensers[0].request(service, priority)

    def come_back(self, number: str) -> None:
        """Present an earlier number at the first dispenser, which asks the hall (二次通行). The number's letters give
        the service.
        """
        service = next(one for one, prefix in self._prefixes.items() if prefix == number.rstrip("0123456789"))
        self.fakes.came += 1
        self._dispensers[0].request(service, returning=number)

    async def next_page(self, staff: str) -> PageView:
        """Wait for the next page (call on the pager) to ``staff``."""
        return await self._pages[staff].get()

    async def changed(self, within_s: float) -> None:
        """Wait until any panel shows something new, at most ``within_s`` hall seconds."""
        change = self._change
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s / self._clock.speed):
                await change.wait()

    @property
    def patience_s(self) -> float:
        """Hall seconds after which a person presses a key again. With a fast clock they are more, because the daemon
        needs up to ``PATIENCE_REAL_S`` real seconds to answer.
        """
        return max(LOOK_AGAIN_S, PATIENCE_REAL_S * self._clock.speed)

    def now_s(self) -> float:
        """The present hall time in seconds; only differences have a meaning."""
        return self._clock.now_s()

    async def sleep(self, seconds: float) -> None:
        """Sleep ``seconds`` of hall time."""
        await self._clock.sleep(seconds)

    def _stopped(self, service: str) -> bool:
        """Whether the dispensers show that no numbers of this service are issued now."""
        stopped = self._dispensers[0].shown.get("issuing", {}).get("stopped", [])
        return any(one["service"] == service for one in stopped)

    def _touch(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def _candle_view(self, device: str, channel: str, site: Window) -> PanelView:
        bus = self.fakes.buses[device]
        state = LED_STATE.get(bus.led(channel), "CLOSED")
        board = channel_of(site.display or Point(""))
        number = bus.text(board).split("-")[0].strip() if board in bus.units else ""
        return PanelView(state, number or None, 1 if state == "OPEN" else 0)

    def _button(self, service: str) -> Callable[[], None] | None:
        for device, buttons in self.fakes.buttons.items():
            if service in buttons:
                bus = self.fakes.buses[device]
                return lambda: bus.press_button(buttons[service])
        return None

    def _pager_of(self, staff: str) -> Callable[[str, dict[str, Any]], str | None]:
        def paged(kind: str, fields: dict[str, Any]) -> str | None:
            if kind == "page" and fields["id"] not in self._paged:  # a page sent again is the same page
                self._paged.add(fields["id"])
                self._pages[staff].put_nowait(_page(fields))
            return None

        return paged


def _page(fields: dict[str, Any]) -> PageView:
    return PageView(fields["id"], fields["staff"], fields["window"], fields["text_en"])
