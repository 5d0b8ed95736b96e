"""Composition root: builds every part once from hall.toml and runs them in one TaskGroup. No other module knows all
parts.

Start: open the journal, restore the state, feed what happened while the process was down (``Resumed``, the wall clock,
a changed site), start devices and links, report READY to systemd. Stop: say so on MQTT, end all tasks, handle what is
left in the inbox, dump the state. Outputs keep their values, so that visitors do not notice a restart. If the process
stays down, the watchdog timer in a lamp module switches its lamps off.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from edged import logs
from edged.central.condemned import Condemned
from edged.central.hall_status import HallFacts, HallStatus, reasons
from edged.central.office import Dependencies, Office
from edged.central.page_desk import PageDesk
from edged.central.page_lines import LineDesk
from edged.central.page_sources import PageSources
from edged.central.state_messages import StateMessages
from edged.central.witness import Witness
from edged.clock import Clock, Warp, monotonic_s, rfc3339, utc_offset_min
from edged.config import ConfigErrors, DeviceConfig, HallConfig
from edged.config.broker import link_settings
from edged.core.engine import Engine
from edged.core.model import losses
from edged.core.model.events import (
    ClockDoubted,
    ClockSet,
    DeviceBack,
    DeviceLost,
    Event,
    JournalRenewed,
    Resumed,
    SafeModeSet,
    SiteLoaded,
    TicketSecretDrawn,
)
from edged.core.model.point import device_of
from edged.core.model.state import DeviceState, State
from edged.core.rebuild import conflicts
from edged.core.signage.signs import CENTRE, point_of_slot
from edged.daemon.concerns import Concerns
from edged.daemon.devices import Devices
from edged.daemon.files import Reading, named_files
from edged.daemon.inbox import Inbox
from edged.daemon.lifetime import confirm_start
from edged.daemon.loop import Loop
from edged.daemon.outputs import OutputContext, Outputs
from edged.daemon.platform import Platform
from edged.daemon.reloads import Reloads, Taken
from edged.daemon.service_manager import ServiceManager
from edged.daemon.unknown_devices import UnknownDevices
from edged.daemon.wall_clock import STEP_MS, WallClock
from edged.driver import DeviceContext, Driver
from edged.heartbeat import Heartbeat, lasting
from edged.logs import StepLog
from edged.observers.certificates import CertificateWatch
from edged.observers.device_log import DeviceLog
from edged.observers.lag import watch_loop
from edged.observers.metrics import Metrics, Readings
from edged.observers.web.server import DeviceLoss, HallHealth, WebServer
from edged.store.replay import recover

CLOCK_CHECK_S = 1.0  # real seconds between looks for wall-clock steps
CLOCK_EVERY_MS = 3_600_000  # tell the core the wall time at least every hall hour
LOST_MS = 30_000  # hall time after which a lost device needs a person; one that just restarts is back by then
OURS_S = 60.0  # real seconds without a disconnect after which no other client uses our MQTT id
ACT_WAIT_S = 5.0  # real seconds that actions wait for a broker that may start with us; shorter than outputs' heartbeats
LOST_INPUT = "this input is lost: nothing in the hall follows from it"
REJECTED_EFFECTS = {  # of the reasons for which that is not so
    "ack_ahead": "this acknowledgement is ignored",
    "ack_bad": "this acknowledgement is ignored",
    "ack_epoch": "this acknowledgement is ignored",
    "answer_topic": "the order is handled, its sender gets no answer",
    "bad_filter": "nothing is received on this topic",
    "client_id_in_use": "two processes end each other's connection to the broker",
    "noise": "these bytes belong to no message and are ignored",
    "publish_refused": "what the hall sends on this topic does not arrive",
    "subscription_refused": "nothing is received on this topic",
    "unknown_key": "what is not known in it is ignored",
}
REJECTED_NAMED_MAX = 500  # reasons and senders in the log: every device of a hall, with some reason
LINK_WAIT_S = 3.0  # real seconds that READY waits for the broker: a dispenser may start with us
OFFLINE_FLUSH_S = 0.2  # real seconds for the broker to receive the offline status
KEPT = (
    "the version before decided these steps differently; what it called, printed and handed out stays valid"
)
FIXED = ("timezone", "mqtt", "store", "web", "policy")  # of hall.toml: read at start only

log = structlog.get_logger("edged.app")


class Stopping(Exception):
    """Raised inside the TaskGroup to end it on a clean stop."""


class Application:
    """The daemon of one hall. Build with ``Application(config)``, then ``await run()`` once."""

    def __init__(
        self,
        config: HallConfig,
        warp: Warp | None = None,
        platform: Platform | None = None,
        mistakes: tuple[str, ...] = (),
    ) -> None:
        """``warp``: hall time faster than real time, for demos. ``mistakes``: errors in the present hall.toml;
        ``config`` is then the last accepted version of that file.
        """
        self.config = config
        self._mistakes = mistakes
        self._platform = platform or Platform()
        self.stop = asyncio.Event()
        self._started_s = monotonic_s()
        self._serving = False
        self._link_tried = asyncio.Event()
        self._clock_heartbeat = Heartbeat()
        self._manager = self._platform.manager()
        self.journal = self._platform.open_journal(config, self._manager.alive)
        self._starts = self._platform.starts(config)
        self._safe = self._starts.begin()
        restored = self.journal.restore(State)
        self.engine = Engine(restored.state)
        self._recovered = recover(self.engine, restored, self._manager.alive)
        last_ms, offset_ms = self._recovered.last_ms, self.engine.state.wall_offset_ms
        lived_ms = None if offset_ms is None else last_ms + offset_ms
        self._wall = WallClock(last_ms, lived_ms, Clock(0, warp).wall_ms())
        self._gap_ms = self._wall.gap_ms
        self.clock = Clock(last_ms + self._gap_ms, warp)
        self._known = restored.last_seq > 0
        self.inbox = Inbox(self.clock, last_ms, lambda: self.engine.next_due_ms)
        self._drivers = {device.id: device.driver for device in config.devices}
        self.metrics = Metrics(lambda: self.engine.state, self._drivers, self._readings())
        around = OutputContext(self.emit, self.clock, self.metrics.device_error, self._measured)
        self.outputs = Outputs(around)
        self.outputs.hold()
        self.status = HallStatus(config.hall, self.journal.epoch, self._rfc3339, config.policy.group)
        will = (self.status.topic, self.status.payload("offline", self._facts()))
        self.mqtt = self._platform.broker(link_settings(config, will), self.reject)
        self.state_messages = StateMessages(self.mqtt, config.hall, self._stamp)
        self.concerns = Concerns(self.inbox.put, lambda: self.engine.state)
        self.pages = PageDesk(self.mqtt, config.hall, self._page_sources())
        condemned = self._platform.condemned(config)
        # a key file that cannot be used is reported by ``watch_files``
        keys, _ = self._platform.policy_keys(config)
        roots = self._platform.root_keys(config)
        needs = self._office_needs(condemned)
        self.office = Office(config, keys, self.mqtt, self.journal, needs, roots)
        self.office.trust_duty(self._platform.duty_keys(config), config.duty.operations)
        self.lines = LineDesk(self.mqtt, config.hall, self._page_sources())
        ours = (self.metrics, StepLog(), DeviceLog())
        watchers = (*ours, *self.office.observers, self.pages, *self._platform.observers())
        self.loop = Loop(self.engine, self.inbox, self.journal, self.outputs, watchers, condemned.crashed)
        self.witness = Witness(self.mqtt, self.journal, config.hall, lambda: self.engine.state)
        self.unknown_devices = UnknownDevices(config.hall, self._drivers.keys, self.concerns, self.reject)
        self.mqtt.subscribe_rest(self.unknown_devices.topic_filter, self.unknown_devices.received)
        self.web = WebServer(self.metrics.render, self._health, self.metrics.rejected)
        self._rejected: set[tuple[str, str]] = set()
        self._certificates = CertificateWatch(
            config.mqtt,
            self.clock.wall_ms,
            self.metrics.certificate,
            lambda soon: self.concerns.report("certificate-ends", soon),
            lambda: self.mqtt.settings.held.peer_end_ms,
        )
        self._up_since_s: float | None = None  # the broker's link
        # subject of the alarm -> topic -> why the broker refuses it
        self._refused: dict[str, dict[str, str]] = {}
        self._observe()

    # -- callbacks for devices and links --

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        """Put an event into the inbox; False if it is full (counted as ``inbox_full``). The contract is
        ``edged.driver.Emit``.
        """
        if self.stop.is_set() and isinstance(event, DeviceLost):
            return True  # our own stop closes the connections: that says nothing about the device
        if not self.inbox.put(event, ack):
            self.reject("inbox_full", type(event).__name__)
            return False
        if isinstance(event, DeviceBack):
            self.outputs.returned(event.point)
        return True

    def _readings(self) -> Readings:
        return Readings(
            inbox=lambda: len(self.inbox),
            uplink=lambda: self.office.uplink.backlog,
            disk_free_bytes=lambda: _free_bytes(Path(self.config.store.path)),
            config_accepted=lambda: not self.reloads.mistakes,
            lost_lines=logs.lost,
        )

    def _office_needs(self, condemned: Condemned) -> Dependencies:
        return Dependencies(
            put=self.inbox.put,
            wall_ms=self.clock.wall_ms,
            stamp=self._rfc3339,
            reject=self.reject,
            state=lambda: self.engine.state,
            condemned=condemned,
            count_refused=self.metrics.policy_rejected,
            answered=self.pages.answered,
            ahead=lambda why: self.concerns.report("ack-ahead", {} if why is None else {"centre": why}),
            concern=self.concerns.report,
            silent=self._safe,
        )

    def _page_sources(self) -> PageSources:
        return PageSources(
            state=lambda: self.engine.state,
            config=lambda: self.config,
            at_ms=self.clock.at_ms,
            stamp=self._stamp,
            backlog=lambda: self.office.uplink.backlog,
            durable=lambda: self.journal.durable,
            clock=lambda: "clock" not in reasons(self._facts()),
            pushed=self._last_push,
        )

    def _last_push(self) -> dict[str, Any] | None:
        push = self.office.policies.last_push
        if push is None:
            return None
        at = self._rfc3339(push.pop("wall_ms"))
        return push | {"at": at}

    def reject(self, reason: str, detail: str = "") -> None:
        """Count an input that became no event, and log the first one for each reason and sender. ``detail`` begins with
        the sender.
        """
        self.metrics.rejected(reason)
        sender = (reason, detail.partition(" ")[0])
        if sender not in self._rejected and len(self._rejected) < REJECTED_NAMED_MAX:
            self._rejected.add(sender)
            log.warning(
                "input-rejected",
                reason=reason,
                detail=detail,
                effect=f"{REJECTED_EFFECTS.get(reason, LOST_INPUT)}; repeats are only counted",
                remedy="check that sender if edged_inputs_rejected_total keeps growing for this reason",
            )

    def _measured(self, device: str, seconds: float) -> None:
        if device in self._drivers:  # the centre has no driver
            self.metrics.input_to_output(self._drivers[device], seconds)

    def _driver(self, device: DeviceConfig) -> Driver:
        context = DeviceContext(
            device=device.id,
            hall=self.config.hall,
            emit=self.emit,
            reject=self.reject,
            sleep=self.clock.sleep,
            now_s=self.clock.now_s,
            mqtt=self.mqtt,
        )
        return self._platform.driver(device, context)

    # -- run and stop --

    async def run(self) -> None:
        """Run until ``stop`` is set. Raises an ``ExceptionGroup`` of what failed: ``StoreError``, ``ConfigErrors``, or
        any exception that a bug raised.
        """
        whole = False
        try:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._serve(tasks)
            except* Stopping:
                pass  # any other exception propagates
            whole = True
        finally:
            self.web.close()
            self._finish(whole)

    async def _serve(self, tasks: asyncio.TaskGroup) -> None:
        _log_remarks(self.config)
        manager = self._manager
        await self._open_web()
        fleet = self._start(tasks)
        tasks.create_task(self._announce_ready(manager), name="ready")
        tasks.create_task(self._release_actions(), name="actions")
        tasks.create_task(confirm_start(self._starts, self._safe, self.stop.set), name="lifetime")
        tasks.create_task(manager.watch(lambda: self._heartbeats(fleet)), name="watchdog")
        self._platform.hook_signals(self.stop.set, self.reloads.ask)
        await self.stop.wait()
        manager.stopping()
        self.status.leave(self.mqtt, self._facts())
        await asyncio.sleep(OFFLINE_FLUSH_S)
        raise Stopping

    def _start(self, tasks: asyncio.TaskGroup) -> Devices:
        kept = self._recovered.kept
        if kept is not None:
            log.warning(
                "recorded-outcome-kept",
                reason="this version of the program decides some recorded events otherwise",
                visits=len(kept.visits),
                windows=len(kept.windows),
                effect=KEPT,
                remedy="nothing to do",
            )
            self.inbox.was_away(kept)
        if self._known:
            self.inbox.was_away(Resumed(self._gap_ms, restart=True))
        self._set_clock(self.clock.wall_ms())
        waits: list[str] = []
        if self.engine.state.site != self.config.site:
            waits = conflicts(self.engine.state, self.config.site)
            self.inbox.put(SiteLoaded(self.config.site))
        self._draw_secret(self.config)
        if self._safe != (self.engine.state.put_aside is not None):
            self.inbox.put(SafeModeSet(self._safe))
        centre = self.outputs.attach(CENTRE, self.state_messages)
        fleet = Devices(self.outputs, self._driver, tasks, patient=self._safe)
        try:
            fleet.apply(self.config.devices)
        except ValueError as error:
            raise ConfigErrors([f"{self.config.file}: devices: {error}"]) from error
        self.reloads = Reloads(
            self._platform, self.concerns, self.config, lambda reading: self._take(fleet, reading)
        )
        self.reloads.began(self._mistakes, tuple(waits))
        self._assert_shown()
        self.office.start()
        self.witness.start()
        self.pages.start()
        self.lines.start()
        self._report_renewal()
        while len(self.inbox):
            at_ms = self.loop.turn(self.inbox.take_now()).at_ms
        if kept is not None:  # so that no later start decides those steps again
            self.journal.snapshot(
                self.engine.state, self.journal.last_seq, at_ms, self.engine.state.day or None
            )
        for name, coroutine in (
            ("journal", self.journal.run()),
            ("loop", self.loop.run()),
            ("mqtt", self.mqtt.run()),
            ("state-messages", centre.run()),
            ("centre", self.office.run()),
            ("pages", self.pages.run()),
            ("lines", self.lines.run()),
            ("clock", self._watch_clock()),
            ("lag", watch_loop(self.metrics.loop_lag)),
            ("web", self._platform.serve_web(self.web)),
            ("reloads", self.reloads.run()),
        ):
            tasks.create_task(lasting(name, coroutine), name=name)
        if named_files(self.config):
            watch_files = self._platform.watch_files(self.config, self._files_changed)
            tasks.create_task(lasting("files", watch_files), name="files")
        if self.config.mqtt.tls is not None:
            self.mqtt.on_state(lambda up, _reason: self._certificates.check_now() if up else None)
            tasks.create_task(lasting("certificates", self._certificates.run()), name="certificates")
        return fleet

    async def _announce_ready(self, manager: ServiceManager) -> None:
        """Report READY once the restored state was handed to the outputs, the events of the start are on disk, and the
        broker was tried.

        A broker that refuses the connection does not delay READY: its devices come back when it does. A broker that
        accepts the connection but does not answer yet is waited for (``LINK_WAIT_S``), because a ticket dispenser may
        have sent already.
        """
        await self.journal.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINK_WAIT_S):
                await self._link_tried.wait()
        self._serving = True
        self._platform.settle_memory()
        manager.ready(f"serving {self.config.site.name}")
        log.info("serving", hall=self.config.hall, seq=self.journal.last_seq, away_ms=self._gap_ms)

    async def _release_actions(self) -> None:
        """After ``ACT_WAIT_S`` release the actions (announcements, tickets to print) that are held back during the
        start, if that has not happened yet. If the broker is not reached by then, actions that need it fail, and the
        core decides what to do.
        """
        await asyncio.sleep(ACT_WAIT_S)
        self.outputs.release()

    def _finish(self, whole: bool) -> None:
        """Handle the events left in the inbox and dump the state, so that the next start reads only this dump.

        Not ``whole``: a part failed, and the state may be half changed. Then only what was committed counts.
        """
        if self.journal.failure is not None or not whole:
            self.journal.close()
            return
        try:
            last_ms = self.engine.state.at_ms
            while len(self.inbox):
                last_ms = self.loop.turn(self.inbox.take_now()).at_ms
            self.office.stop()
            self._starts.forget()
            self.journal.snapshot(
                self.engine.state, self.journal.last_seq, last_ms, self.engine.state.day or None
            )
        finally:
            self.journal.close()
        log.info("stopped", seq=self.journal.last_seq)

    # -- parts --

    def _heartbeats(self, fleet: Devices) -> dict[str, float]:
        """The heartbeat deadline of each part whose hang only a restart of the process cures, in seconds of
        ``edged.clock.monotonic_s``. The key is the part's name.
        """
        return {
            "loop": self.inbox.last_wake_s,
            "journal": self.journal.last_beat_s,
            "clock": self._clock_heartbeat.due_s,
            "reloads": self.reloads.heartbeat.due_s,
            "mqtt": self.mqtt.heartbeat.due_s,
            "state-messages": self.outputs.due_s(CENTRE),
            "pages": self.pages.heartbeat.due_s,
            "lines": self.lines.heartbeat.due_s,
            **self.office.heartbeats(),
            **{f"device {device}": due_s for device, due_s in fleet.heartbeats().items()},
        }

    async def _open_web(self) -> None:
        """Bind the web port before anything else: a second daemon ends here, before its MQTT client id disconnects the
        first one. Raises ``ConfigErrors`` if the port cannot be used.
        """
        web = self.config.web
        try:
            await self._platform.open_web(self.web, web)
        except OSError as error:
            place = f"{web.host}:{web.port}"
            mistake = f"{self.config.file}: web: {place} cannot be used: {error.strerror}"
            raise ConfigErrors([mistake]) from None

    def _observe(self) -> None:
        self.mqtt.on_reading(self.loop.reading)
        self.journal.on_commit_seconds(lambda seconds, _steps: self.metrics.commit(seconds))
        self.journal.on_durable(self.metrics.set_durable)
        self.journal.on_durable(lambda _durable: self._report_durability())
        self.metrics.set_durable(self.journal.durable)
        self.metrics.set_link("mqtt", False)

        def changed(up: bool, reason: str) -> None:
            if not up and self.mqtt.taken:
                self.concerns.report("client-id-taken", {self.mqtt.settings.client_id: reason})
            self._up_since_s = monotonic_s() if up else None
            self.metrics.set_link("mqtt", up)
            self._link_tried.set()
            if up:
                self.status.publish_now(self.mqtt, self._facts())
                self.outputs.returned(CENTRE)
                self.outputs.retry()
                self.outputs.release()

        self.mqtt.on_state(changed)
        self.mqtt.on_refused(self._broker_refused)

    def _check_client_id(self) -> None:
        """End the alarm ``client-id-taken`` once a connection has lasted ``OURS_S``; done once per connection."""
        if self._up_since_s is not None and monotonic_s() - self._up_since_s > OURS_S:
            self._up_since_s = None
            self.concerns.report("client-id-taken", {})

    def _broker_refused(self, topic: str, why: str) -> None:
        """Raise or end the alarm ``broker-refuses``. Its subject is the device that uses ``topic``, or ``topic`` itself
        if no device does. ``why`` is empty if the broker allows the topic again.
        """
        speaks = {
            one: device.id
            for device in self.config.devices
            for one in device.options.topics(self.config.hall, device.id)[0]
        }
        whose = re.match(rf"hall/{re.escape(self.config.hall)}/dev/([^/]+)/", topic)
        subject = whose[1] if whose is not None else speaks.get(topic, topic)
        if why:
            self._refused.setdefault(subject, {})[topic] = why
        else:
            self._refused.get(subject, {}).pop(topic, None)
        faults = {
            one: "; ".join(f"{named}: {reason}" for named, reason in sorted(topics.items()))
            for one, topics in self._refused.items()
            if topics
        }
        self.concerns.report("broker-refuses", faults)

    def _health(self) -> HallHealth:
        state = self.engine.state
        return HallHealth(
            serving=self._serving,
            durable=self.journal.durable,
            mqtt_connected=self.mqtt.connected,
            mqtt_reason=self.mqtt.reason,
            devices_lost=tuple(self._lost()),
            policy_version=state.policy_version,
            epoch=self.journal.epoch,
            seq=self.journal.last_seq,
            uptime_s=monotonic_s() - self._started_s,
            alarms=tuple(state.alarms),
            config_mistakes=self.reloads.mistakes,
            concerns=self.concerns.details,
            losses={device: self._loss(known) for device, known in self._lost().items()},
        )

    def _lost(self) -> dict[str, DeviceState]:
        """The lost devices that hall.toml still names, by id."""
        known = self.engine.state.devices
        return {device: known[device] for device in self._drivers if device in known and not known[device].up}

    def _loss(self, known: DeviceState) -> DeviceLoss:
        reason = losses.known(known.reason)
        return DeviceLoss(
            reason,
            known.detail or (known.reason if reason == losses.OTHER else "") or "",
            self._stamp(known.since_ms),
            *losses.LOSSES[reason],
        )

    def _report_lost(self) -> None:
        """Raise the alarm ``device-lost`` for each device lost for ``LOST_MS`` or longer, except those lost only
        because our own link to the broker is down.
        """
        since_ms = self.clock.at_ms() - LOST_MS
        faults = {
            device: f"{losses.known(known.reason)}: {known.detail or known.reason}"
            for device, known in self._lost().items()
            if known.since_ms <= since_ms and known.reason != losses.OUR_LINK
        }
        self.concerns.report("device-lost", faults)

    # -- status, time, reload --

    def _facts(self) -> HallFacts:
        return HallFacts(self.engine.state, self.journal.durable, self.clock.wall_ms(), tuple(self._lost()))

    def _rfc3339(self, wall_ms: int) -> str:
        return rfc3339(wall_ms, self.config.timezone)

    def _stamp(self, at_ms: int) -> str:
        offset_ms = self.engine.state.wall_offset_ms or 0
        return rfc3339(at_ms + offset_ms, self.config.timezone)

    def _set_clock(self, wall_ms: int) -> None:
        """Tell the core the wall time. If it cannot be right, send ``ClockDoubted`` instead: the core then keeps the
        date and time it knew, if it knew them.
        """
        if not self._wall.believes(wall_ms, self.clock.at_ms()):
            self.inbox.put(ClockDoubted(wall_ms))
            log.error(
                "clock-implausible",
                wall_ms=wall_ms,
                effect="the hall keeps the date and time that it knew",
                remedy="set the clock of this machine",
            )
            return
        away_ms = self._wall.make_up(self.clock, wall_ms, self.engine.state.wall_offset_ms)
        if away_ms:
            self.inbox.was_away(Resumed(away_ms, restart=False))
        self.inbox.put(ClockSet(wall_ms, utc_offset_min(wall_ms, self.config.timezone)))

    def _report_renewal(self) -> None:
        """Report whether steps reach the disk. If the journal began a new epoch, also tell the core which ticket
        numbers to skip because they may be on paper, and raise the alarm ``journal-renewed``.
        """
        self._report_durability()
        renewal = self.journal.renewal
        if renewal is None:
            return
        event = JournalRenewed(renewal.epoch, renewal.lost, renewal.day, renewal.numbers, renewal.skips)
        self.inbox.put(event, self.journal.renewal_kept)
        detail = f"{renewal.why}: {renewal.lost} acknowledged steps are missing; epoch {renewal.epoch}"
        self.concerns.report("journal-renewed", {"journal": detail})

    def _report_durability(self) -> None:
        self.concerns.report("not-kept", {} if self.journal.durable else {"journal": self.journal.why_not})

    def _end_renewal(self) -> None:
        """End the alarm ``journal-renewed`` with the business day: no visitor holds a number of the lost steps any
        longer.
        """
        state = self.engine.state
        alarm = state.alarms.get("journal-renewed/journal")
        if alarm is not None and state.day_start_ms > alarm.since_ms:
            self.concerns.report("journal-renewed", {})

    async def _watch_clock(self) -> None:
        set_ms = self.clock.at_ms()
        while True:
            await self._clock_heartbeat.sleep(CLOCK_CHECK_S)
            self.status.publish_if_changed(self.mqtt, self._facts())
            self._check_client_id()
            self._report_lost()
            self.witness.publish_if_changed()
            self.unknown_devices.check()
            self._end_renewal()
            now_ms = self.clock.at_ms()
            offset_ms = self.engine.state.wall_offset_ms
            expected_ms = now_ms + (offset_ms or 0)
            wall_ms = self.clock.wall_ms()
            if not self._wall.believes(wall_ms, now_ms):
                continue
            stepped = abs(wall_ms - expected_ms) > STEP_MS * self.clock.speed
            moved = utc_offset_min(wall_ms, self.config.timezone) != self.engine.state.utc_offset_min
            if stepped or moved or offset_ms is None or now_ms - set_ms > CLOCK_EVERY_MS:
                if stepped:
                    log.warning(
                        "clock-stepped",
                        by_ms=wall_ms - expected_ms,
                        effect="opening hours and printed times follow the new time; waiting times do not change",
                        remedy="unless somebody has set the clock: check the time server and the battery",
                    )
                self._set_clock(wall_ms)
                set_ms = now_ms

    def _files_changed(self, spoilt: Mapping[str, str]) -> None:
        """Report which files named in hall.toml cannot be used. ``spoilt`` maps their paths to the reason; their last
        good content stays in use.
        """
        for file in named_files(self.config):
            self.metrics.secret(file, file not in spoilt)
        self.concerns.report(
            "file-refused", {Path(file).name: f"{file} {why}" for file, why in spoilt.items()}
        )

    def _take(self, fleet: Devices, reading: Reading) -> Taken:
        """Apply a new configuration, or nothing of it but its policy keys if it would drop a visit, is of another hall,
        or cannot be used by the device drivers. The result says why nothing was applied, or which tables of hall.toml
        wait for a restart.
        """
        config = reading.config
        named = (config.policy.keys, config.policy.root)
        if reading.keys is not None and named == (self.config.policy.keys, self.config.policy.root):
            self.office.trust(reading.keys, reading.roots)
        if config.hall != self.config.hall:
            return Taken((f"hall.id {config.hall}: another hall needs a restart, with a journal of its own",))
        problems = conflicts(self.engine.state, config.site)
        if problems:
            return Taken(tuple(problems), later=True)
        kept = {name: getattr(self.config, name) for name in FIXED}
        fixed = tuple(name for name in FIXED if getattr(config, name) != kept[name])
        if fixed:
            log.warning(
                "reload-needs-restart",
                tables=list(fixed),
                effect="these tables stay as they were; the rest of hall.toml is in force",
                remedy="restart the service",
            )
        try:
            started = fleet.apply(config.devices)
        except ValueError as error:  # such as another baud rate on a wire that other devices share
            return Taken((f"devices: {error}; a restart takes it",))
        self.config = replace(config, **kept)
        self.office.trust_duty(reading.duty, config.duty.operations)
        self._drivers.clear()
        self._drivers.update((device.id, device.driver) for device in config.devices)
        self._assert_shown(frozenset(started))
        if config.site != self.engine.state.site:
            self.inbox.put(SiteLoaded(config.site))
        self.office.serve(config.site)
        self._draw_secret(config)
        self._certificates.check_now()  # they may have been replaced
        log.info("reloaded", devices_started=started)
        return Taken(restart=fixed)

    def _draw_secret(self, config: HallConfig) -> None:
        """Draw, once per journal, the secret that makes the web addresses of visitors' tickets impossible to guess."""
        if config.site.tickets_url is not None and not self.engine.state.ticket_secret:
            self.inbox.put(TicketSecretDrawn(self._platform.ticket_secret()))

    def _assert_shown(self, devices: frozenset[str] | None = None) -> None:
        """Send every value that the hall shows to its output again; ``devices``: only to outputs of these."""
        shown = ((point_of_slot(key), value) for key, value in self.engine.state.shown.items())
        self.outputs.assert_all(
            (point, value) for point, value in shown if devices is None or device_of(point) in devices
        )


def _log_remarks(config: HallConfig) -> None:
    """Log the remarks that `edged check` would print about this valid hall.toml."""
    for remark in config.remarks:
        effect = "hall.toml is in force as it is"
        log.warning("configuration-remark", remark=remark.line, grave=remark.grave, effect=effect)


def _free_bytes(path: Path) -> float:
    try:
        status = os.statvfs(path.parent)
    except OSError:  # unmounted, or a disk error: the other metrics must still be served
        return math.nan
    return float(status.f_bavail * status.f_frsize)


async def serve(config: HallConfig, warp: Warp | None = None, mistakes: tuple[str, ...] = ()) -> None:
    """Run one hall until SIGTERM or SIGINT. ``mistakes``: errors in the present hall.toml; ``config`` is then an older,
    accepted version of it.
    """
    await Application(config, warp, mistakes=mistakes).run()
