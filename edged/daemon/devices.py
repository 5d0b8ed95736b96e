"""Builds the device drivers of one hall from its configuration, keeps them running, and replaces them on a reload.

A driver that ends or fails is started again after a growing pause. One that fails more than ``FAILURES_MAX`` times
within ``FAILURES_WITHIN_S`` ends the process: the fault is then in this program, and a fresh start from the journal may
help. In safe mode (``patient``) fresh starts did not help, so the driver is started again without limit.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from importlib import import_module

import structlog

from devices import place_of
from edged.clock import monotonic_s
from edged.config import DeviceConfig
from edged.daemon.outputs import Outputs, Worker
from edged.driver import DeviceContext, Driver
from edged.heartbeat import PartEnded, lasting

RESTART_S = (0.5, 1.0, 2.0, 5.0)  # real seconds before a failed driver starts again
LEAVE_S = 10.0  # real seconds that a replaced device has to close its port
FAILURES_MAX = 5
FAILURES_WITHIN_S = 60.0
STARTED_AGAIN = (
    f"nothing is exchanged with this device for up to {RESTART_S[-1]:g} s; then it is started again"
)
TOO_OFTEN = f"{FAILURES_MAX + 1} such failures within {FAILURES_WITHIN_S:g} s end the process; systemd starts it again"
OUR_FAULT = "a fault of this program, not of the device: send `edged diagnose` to support"

log = structlog.get_logger("edged.fleet")
MakeDriver = Callable[[DeviceConfig], Driver]


class Devices:
    """The running devices by id; their tasks run in ``tasks``, the application's task group."""

    def __init__(
        self, outputs: Outputs, make_driver: MakeDriver, tasks: asyncio.TaskGroup, patient: bool = False
    ) -> None:
        self._patient = patient
        self._outputs = outputs
        self._make_driver = make_driver
        self._tasks = tasks
        self._running: dict[str, tuple[DeviceConfig, asyncio.Task[None]]] = {}

    def apply(self, devices: tuple[DeviceConfig, ...]) -> list[str]:
        """Run exactly these devices: start new ones, restart changed ones, stop the rest. Returns the ids of those
        started or restarted.

        Raises ``ValueError`` if a driver cannot be built from its options; nothing has changed then.
        """
        wanted = {device.id: device for device in devices}
        running = {device_id: config for device_id, (config, _task) in self._running.items()}
        drivers = {
            device.id: self._make_driver(device) for device in devices if running.get(device.id) != device
        }
        ending: dict[str, asyncio.Task[None]] = {}
        for device_id, (config, task) in list(self._running.items()):
            if wanted.get(device_id) != config:
                task.cancel()
                self._outputs.detach(device_id)
                ending[device_id] = self._running.pop(device_id)[1]
        for device_id, driver in drivers.items():
            self._start(wanted[device_id], driver, ending.get(device_id))
        return list(drivers)

    def stop(self) -> None:
        """Cancel the tasks of all devices; the task group waits for them."""
        for _config, task in self._running.values():
            task.cancel()

    def _start(self, config: DeviceConfig, driver: Driver, before: asyncio.Task[None] | None) -> None:
        """Start one device. ``before``: the task of the same device with its old options, which has to close its port
        first.
        """
        worker = self._outputs.attach(config.id, driver)
        life = _live(config.id, driver, worker, before, self._patient)
        self._running[config.id] = (config, self._tasks.create_task(life, name=f"device {config.id}"))

    def heartbeats(self) -> dict[str, float]:
        """Heartbeat deadline of each device's worker, in seconds of ``edged.clock.monotonic_s``; -inf if its task has
        ended.
        """
        return {
            device: -math.inf if task.done() else self._outputs.due_s(device)
            for device, (_config, task) in self._running.items()
        }


def build(config: DeviceConfig, context: DeviceContext) -> Driver:
    """Make the driver of one configured device; its module is imported only now."""
    module, _, name = str(place_of(config.driver)).partition(":")
    driver: Driver = getattr(import_module(module), name)(context, config.options)
    return driver


async def _live(
    device: str, driver: Driver, worker: Worker, before: asyncio.Task[None] | None, patient: bool
) -> None:
    if before is not None:
        worker.expect(LEAVE_S)
        await asyncio.wait({before})
    async with asyncio.TaskGroup() as lanes:
        lanes.create_task(_supervise(device, "driver", driver.run, lambda within_s: None, patient))
        lanes.create_task(_supervise(device, "outputs", worker.run, worker.expect, patient))


async def _supervise(
    device: str,
    part: str,
    run: Callable[[], Coroutine[object, object, None]],
    expect: Callable[[float], None],
    patient: bool,
) -> None:
    failures: deque[float] = deque(maxlen=FAILURES_MAX)
    effect = STARTED_AGAIN if patient else f"{STARTED_AGAIN}; {TOO_OFTEN}"
    while True:
        try:
            await lasting(part, run())
        except PartEnded as error:
            log.error(
                "device-task-ended",
                device=device,
                part=part,
                error=str(error),
                effect=effect,
                remedy=OUR_FAULT,
            )
        except Exception as error:  # a bug in one driver must not take the hall down at once
            log.exception(
                "device-task-failed",
                device=device,
                part=part,
                error=type(error).__name__,
                effect=effect,
                remedy=OUR_FAULT,
            )
        now_s = monotonic_s()
        if not patient and len(failures) == FAILURES_MAX and now_s - failures[0] < FAILURES_WITHIN_S:
            raise RuntimeError(
                f"{device}: {part} failed {FAILURES_MAX + 1} times in {FAILURES_WITHIN_S:.0f} s"
            )
        failures.append(now_s)
        pause_s = RESTART_S[min(len(failures), len(RESTART_S)) - 1]
        expect(pause_s)
        await asyncio.sleep(pause_s)
