"""Sends output values and actions to devices: one worker per device. A worker keeps the newest desired value of each
output in a slot; an output is a point ("device/channel", such as "relay-1/3") and a kind of value (lamp, text …).

A driver that never waits (``put``), or waits only for the answer (``begin``), gets a value in the same turn of the loop
that decided it; other drivers as soon as the loop is idle. Texts keep their driver's pace (``pace_s``): in a rush a
display of the number of waiting people gets the newest number, not every number. Values are sent again every
``reassert_s`` and after a device came back. A device that fails is retried after growing pauses and does not delay the
others. Actions are sent once, in order, each with a deadline; the outcome of each returns as an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from edged.clock import Clock, monotonic_s, perf_s
from edged.core.model.commands import Action, Desired, Lamp, Say, Value
from edged.core.model.events import CommandDone, CommandFailed
from edged.core.model.point import Point, device_of
from edged.core.people.undelivered import NO_SUCH_DEVICE
from edged.core.signage.signs import slot
from edged.driver import BeginningDriver, DeviceError, Driver, Emit, PromptDriver, Refused
from edged.heartbeat import Heartbeat, lasting

REFUSED_S = 60.0  # hall seconds until a refused value is tried again: a card also refuses a garbled frame
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # real seconds between tries of a value that a device does not accept
ACT_DEADLINE_S = 15.0  # real seconds for one action: a long announcement, spoken twice
ACTIONS_MAX = 100  # per device; a loudspeaker this far behind would call visitors who left long ago
SAY_AGE_MAX_S = 60.0  # real seconds a call may wait behind others: the visitor has read the display since

log = structlog.get_logger("edged.outputs")


class ErrorCount(Protocol):
    """Counts an error of a device; ``fault`` is its kind, as the label of a metric."""

    def __call__(self, device: str, fault: str) -> None: ...


class Latency(Protocol):
    """Receives the seconds from an input's arrival until its output value was handed to the device."""

    def __call__(self, device: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class OutputContext:
    """What all workers share: the receiver of events, the clock and two metrics. ``measured`` receives the real seconds
    from an input's arrival to the end of the driver's call that sent the value it caused.
    """

    emit: Emit
    clock: Clock
    count_error: ErrorCount
    measured: Latency


class Outputs:
    """The workers of all devices. ``want`` and ``act`` are called from the main loop and never block."""

    def __init__(self, around: OutputContext) -> None:
        self._around = around
        self._workers: dict[str, Worker] = {}
        self._at: dict[Point, Worker] = {}  # cache: worker by point
        self._unknown: set[str] = set()
        self._may_act = asyncio.Event()
        self._may_act.set()

    def attach(self, device: str, driver: Driver) -> Worker:
        """Make a worker for ``driver``; the caller runs ``worker.run`` and calls ``detach`` afterwards."""
        worker = Worker(device, driver, self._around, self._may_act)
        self._workers[device] = worker
        self._at.clear()
        self._unknown.discard(device)
        return worker

    def detach(self, device: str) -> None:
        """Remove the worker of a device that left the configuration; its unfinished actions count as failed."""
        self._at.clear()
        self._workers.pop(device).abandon()

    def want(self, desired: Desired, arrived_s: float | None = None, now: bool = False) -> None:
        """Set the desired value of a slot. ``arrived_s``: when the input that caused it arrived, in seconds of
        ``edged.clock.perf_s``, for the latency metric.

        ``now``: send it before this returns, if the driver can; otherwise it is sent soon, unless a newer value
        replaces it.
        """
        worker = self._at.get(desired.point) or self._worker_of(desired.point)
        if worker is not None:
            worker.want(desired.point, desired.value, arrived_s, now)

    def assert_all(self, shown: Iterable[tuple[Point, Value]]) -> None:
        """Set the desired values of many slots again: (point, value) pairs."""
        for point, value in shown:
            self.want(Desired(point, value))

    def act(self, action: Action) -> None:
        """Queue ``action``, to be sent once; it fails immediately if hall.toml has no such device."""
        worker = self._worker_of(action.point)
        if worker is None:
            self._around.emit(CommandFailed(action.id, NO_SUCH_DEVICE))
        else:
            worker.act(action)

    def due_s(self, device: str) -> float:
        """The heartbeat deadline of ``device``'s worker, in seconds of ``edged.clock.monotonic_s``."""
        return self._workers[device].due_s

    def returned(self, device: str) -> None:
        """Send all values of ``device`` again now, because it has come back."""
        if device in self._workers:
            self._workers[device].again()

    def hold(self) -> None:
        """Keep actions back until ``release``, that is, until the first attempt to connect to the broker has ended:
        before that every device on it would count as offline. Output values are sent meanwhile.
        """
        self._may_act.clear()

    def release(self) -> None:
        """Send the actions that were held back, in order; those whose device is not connected fail."""
        self._may_act.set()

    def retry(self) -> None:
        """Handle the return of the broker: devices that are reached through it get all their values again, and every
        other worker ends its retry pause.
        """
        for worker in self._workers.values():
            worker.retry()

    def _worker_of(self, point: Point) -> Worker | None:
        device = device_of(point)
        worker = self._workers.get(device)
        if worker is not None:
            self._at[point] = worker
        elif device not in self._unknown:
            self._unknown.add(device)
            log.warning(
                "output-for-unknown-device",
                device=device,
                effect="hall.toml does not name this device: nothing is shown, said or printed on it",
                remedy="if the device exists, name it in hall.toml with this id, then `edged reload`",
            )
        return worker


class Worker:
    """Sends output values and actions to one device. It keeps the newest value of each output in a slot; a value that
    is replaced before it was sent is never sent.
    """

    def __init__(
        self, device: str, driver: Driver, around: OutputContext, may_act: asyncio.Event | None = None
    ) -> None:
        """``may_act``: actions wait until it is set (None: they do not wait)."""
        self._device = device
        self._driver = driver
        self._around = around
        self._slots: dict[str, tuple[Point, Value]] = {}
        self._dirty: dict[str, None] = {}
        self._arrived_s: dict[str, float] = {}  # slot key -> arrival of the input behind a value not sent yet
        self._may_act = may_act
        self._actions: deque[tuple[Action, float]] = deque()
        self._doing: Action | None = None
        self._levels_wanted = asyncio.Event()
        self._actions_wanted = asyncio.Event()
        self._returned = asyncio.Event()
        self._failures = 0
        self._heartbeats = (Heartbeat(), Heartbeat())  # of the two lanes
        self._refused: dict[str, float] = {}  # key -> real second from which it is tried again
        self._refused_s = REFUSED_S / around.clock.speed
        self._reassert_s = driver.reassert_s / around.clock.speed
        self._pace_s = driver.pace_s
        self._text_at_s = 0.0  # real second from which texts may be sent again
        self._put = driver.put if isinstance(driver, PromptDriver) else None
        self._begin = driver.begin if isinstance(driver, BeginningDriver) else None
        self._begun: dict[
            str, Callable[[], Awaitable[None]]
        ] = {}  # key -> the outcome that the lane waits for

    @property
    def due_s(self) -> float:
        """The earlier of the worker's two heartbeat deadlines (one for values, one for actions), in seconds of
        ``edged.clock.monotonic_s``.
        """
        return min(heartbeat.due_s for heartbeat in self._heartbeats)

    def expect(self, within_s: float) -> None:
        """Move both heartbeat deadlines to ``within_s`` real seconds from now, for a time in which the worker does not
        run.
        """
        for heartbeat in self._heartbeats:
            heartbeat.expect(within_s)

    def want(self, point: Point, value: Value, arrived_s: float | None = None, now: bool = False) -> None:
        """Set the value that ``point`` is to show; see ``Outputs.want``."""
        key = slot(point, value)
        self._slots[key] = (point, value)
        self._refused.pop(key, None)
        self._begun.pop(key, None)
        if arrived_s is not None:
            self._arrived_s[key] = arrived_s
        if now and self._may_put(value):
            self._dirty.pop(key, None)
            if self._put_level(key):
                return
        elif now and self._begin is not None and not self._failures and isinstance(value, Lamp):
            with suppress(DeviceError):  # not begun: ``_run_levels`` tries again and reports the error
                self._begun[key] = self._begin(point, value)
        self._dirty[key] = None
        self._levels_wanted.set()

    def _may_put(self, value: Value) -> bool:
        """Whether a value may be sent in this turn of the loop: a lamp always, a text once ``pace_s`` has passed since
        the last text. Nothing may if the last try failed or the driver has no method ``put``.
        """
        if self._put is None or self._failures:
            return False
        if self._pace_s and not isinstance(value, Lamp):
            now_s = monotonic_s()
            if now_s < self._text_at_s:
                return False
            self._text_at_s = now_s + self._pace_s
        return True

    def act(self, action: Action) -> None:
        """Queue ``action``; if ``ACTIONS_MAX`` wait already, the oldest fails."""
        if len(self._actions) >= ACTIONS_MAX:
            self._fail(self._actions.popleft()[0], "too far behind")
        self._actions.append((action, monotonic_s()))
        self._actions_wanted.set()

    def abandon(self) -> None:
        """Report every queued or running action as failed, because the device left the configuration."""
        doing, self._doing = self._doing, None
        for action in [*([] if doing is None else [doing]), *(queued for queued, _ in self._actions)]:
            self._fail(action, "device left the configuration")
        self._actions.clear()

    def again(self) -> None:
        """Send the values of all slots now, without waiting for the periodic re-assertion."""
        self._failures = 0
        self._refused.clear()
        self._begun.clear()
        self._dirty = dict.fromkeys(self._slots)
        self._levels_wanted.set()
        self._returned.set()

    def retry(self) -> None:
        """End the retry pause now. A driver with ``put`` sends through the broker, which may have lost retained
        messages: it sends all values again.
        """
        if self._put is not None:
            self.again()
            return
        self._failures = 0
        self._returned.set()

    async def run(self) -> None:
        """Send values and actions until cancelled, in two tasks, so that a slow announcement never delays a lamp.

        May be called again after the driver raised: the action under way then counts as failed, and all values are sent
        again.
        """
        doing, self._doing = self._doing, None
        if doing is not None:
            self._fail(doing, "interrupted")
        self._begun.clear()
        self._dirty |= dict.fromkeys(self._slots)
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(lasting("levels", self._run_levels()))
            lanes.create_task(lasting("actions", self._run_actions()))

    async def _run_levels(self) -> None:
        heartbeat, _ = self._heartbeats
        reassert_at_s = monotonic_s() + self._reassert_s
        while True:
            if not self._dirty:
                await heartbeat.wait(self._levels_wanted, max(0.0, reassert_at_s - monotonic_s()))
            # Also while one busy slot keeps this loop from ever waiting above:
            if monotonic_s() >= reassert_at_s:
                reassert_at_s = monotonic_s() + self._reassert_s
                now_s = monotonic_s()
                self._dirty |= {key: None for key in self._slots if self._refused.get(key, now_s) <= now_s}
            if self._dirty and self._pace_s:
                await self._keep_pace()
            self._returned.clear()  # whatever came back before now is tried below
            for key in list(self._dirty):
                self._dirty.pop(key, None)
                heartbeat.expect(self._driver.deadline_s)
                if not (await self._show(key) if self._put is None else self._put_level(key)):
                    pause_s = RETRY_S[min(self._failures, len(RETRY_S)) - 1]
                    await heartbeat.wait(self._returned, pause_s)
                    break

    async def _keep_pace(self) -> None:
        wait_s = self._text_at_s - monotonic_s()
        if wait_s > 0:
            await self._heartbeats[0].sleep(wait_s)
        self._text_at_s = monotonic_s() + self._pace_s

    async def _show(self, key: str) -> bool:
        """Send one slot's value. True: go on with the next slot; False: it failed, pause before the next try."""
        point, value = self._slots[key]
        arrived_s, begun = self._arrived_s.pop(key, None), self._begun.pop(key, None)
        try:
            async with asyncio.timeout(self._driver.deadline_s):
                await (self._driver.show(point, value) if begun is None else begun())
        except (DeviceError, TimeoutError) as error:
            return self._not_shown(key, error)
        self._shown(key, arrived_s)
        return True

    def _put_level(self, key: str) -> bool:
        """Like ``_show``, for a driver with ``put``, which never waits."""
        assert self._put is not None
        arrived_s = self._arrived_s.pop(key, None)
        try:
            self._put(*self._slots[key])
        except DeviceError as error:
            return self._not_shown(key, error)
        self._shown(key, arrived_s)
        return True

    def _shown(self, key: str, arrived_s: float | None) -> None:
        self._failures = 0
        self._refused.pop(key, None)
        if arrived_s is not None:
            self._around.measured(self._device, perf_s() - arrived_s)

    def _not_shown(self, key: str, error: Exception) -> bool:
        if isinstance(error, Refused):
            self._around.count_error(self._device, "refused")
            if key not in self._refused:
                log.warning(
                    "output-refused",
                    device=self._device,
                    point=self._slots[key][0],
                    error=str(error),
                    effect="the device goes on showing what it showed; a new value is tried at once, this one later",
                    remedy="compare the value named in `error` with this device's settings in hall.toml",
                )
            self._refused[key] = monotonic_s() + self._refused_s
            return True
        self._around.count_error(self._device, _fault(error))
        self._failures += 1
        self._dirty.setdefault(key, None)
        return False

    async def _run_actions(self) -> None:
        _, heartbeat = self._heartbeats
        while True:
            while self._actions:
                heartbeat.expect(ACT_DEADLINE_S)
                if self._may_act is not None:
                    await self._may_act.wait()
                if not self._actions:
                    break  # the device left the configuration meanwhile
                action, queued_s = self._actions.popleft()
                if isinstance(action.body, Say) and monotonic_s() - queued_s > SAY_AGE_MAX_S:
                    self._fail(action, "too late to be spoken")
                else:
                    await self._do(action)
            await heartbeat.wait(self._actions_wanted, ACT_DEADLINE_S)

    async def _do(self, action: Action) -> None:
        self._doing = action
        try:
            async with asyncio.timeout(ACT_DEADLINE_S):
                await self._driver.act(action)
        except (DeviceError, TimeoutError) as error:
            self._around.count_error(self._device, _fault(error))
            self._fail(action, str(error) or "no answer in time")
        except Exception as error:  # a bug in the driver: the worker starts again, the action does not
            self._doing = None
            self._fail(action, f"driver failed: {type(error).__name__}")
            raise
        else:
            self._around.emit(CommandDone(action.id))
        self._doing = None

    def _fail(self, action: Action, error: str) -> None:
        self._around.emit(CommandFailed(action.id, error))


def _fault(error: Exception) -> str:
    """The kind of an error as a metric's label: "unreachable" for a timeout, else the class name in lower case."""
    return "unreachable" if isinstance(error, TimeoutError) else type(error).__name__.lower()
