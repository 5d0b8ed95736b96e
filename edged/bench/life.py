"""Measures a daemon's life cycle: start, a quiet hall, a full day, the restart after it, and an outage of the
broker.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from edged.bench.brokers import OwnBroker
from edged.bench.children import Failed, histogram_quantile
from edged.bench.hall import BenchHall, BenchPanel, key
from edged.bench.loads import ECHO, VISIT, LoadedHall
from edged.bench.meter import Drain, Lamps, Meter, lamp_state, rest
from edged.bench.peers import PeerJob
from edged.bench.plug import Plug
from edged.bench.sides import BenchCell, Place
from edged.clock import monotonic_s, perf_s

LOGIN_EVERY_S = 0.005  # between keys pressed while the daemon starts
RECOVERY_PRESS_S = 0.02
OUTAGE_S = 3.0
RECOVER_MAX_S = 60.0  # longer counts as never
HALL_RATE = 5.0  # messages a second: the rush of a hall with 2,000 visitors a day
BUSY_RATE = 50.0  # the rush of the largest hall
CHUNK_S = 10.0
DAY_MAX_S = 900.0  # limit for the long day; a slower daemon has been measured long enough by then


def starts(place: Place, count: int) -> dict[str, Any]:
    """Measure, as medians of ``count`` starts, the milliseconds from the start of the process to READY (``ready_ms``)
    and to the first lamp lit by a key (``first_decision_ms``).

    For comparison (``aiomqtt_first_ms``) a bare aiomqtt program that only answers keys is started alternately with the
    daemon.
    """
    ready, first, echoed = [], [], []
    for n in range(count):
        with ExitStack() as stack:
            name = place.hall_id(f"b{n}")
            hall = BenchHall(place.directory / name, place.broker, name)
            stack.callback(hall.daemon.stop)
            early = _Early(place, stack, name, "edged")
            hall.daemon.spawn()
            lit_s = early.press_until_lit("login")
            ready.append(hall.daemon.await_ready())
            first.append((lit_s - hall.daemon.started_s) * 1000)
        with ExitStack() as stack:
            early = _Early(place, stack, place.hall_id(f"a{n}"), ECHO)
            started_s = monotonic_s()
            early.room.spawn(PeerJob(ECHO, early.hall, "panel-m1", "lamp-m1", "mqtt", early.broker.to_json()))
            echoed.append((early.press_until_lit("unpause") - started_s) * 1000)
    return {
        "ready_ms": round(median(ready), 1),
        "first_decision_ms": round(median(first), 1),
        "aiomqtt_first_ms": round(median(echoed), 1),
    }


class _Early:
    """A clerk who presses keys while the daemon is still starting."""

    def __init__(self, place: Place, stack: ExitStack, hall: str, side: str) -> None:
        self.hall = hall
        self.broker = place.broker_of(side)
        self.room = BenchCell(place, stack)
        self._lamps = Lamps(self.room.plug(self.broker, f"{hall}-lamps"), hall)
        self._presser = self.room.plug(self.broker, f"{hall}-press")
        self.room.meter.add(self._lamps, Drain(self._presser))

    def press_until_lit(self, name: str) -> float:
        """Press the key ``name`` again and again until the panel's lamp is on; returns the time at which it was, in
        seconds of ``edged.clock.monotonic_s``. Raises ``Failed`` if the lamp stays dark.
        """
        for seq in range(1, int(RECOVER_MAX_S / LOGIN_EVERY_S)):
            self._presser.publish(f"hall/{self.hall}/dev/panel-m1/up/key", key(seq, name))
            if self.room.meter.await_mark(self._lamps, "lamp-m1 on", LOGIN_EVERY_S) is not None:
                return monotonic_s()
        raise Failed(f"{self.hall} starts and answers nothing")


def quiet(place: Place, seconds: float) -> dict[str, Any]:
    """Measure a quiet hall: memory after the start (MiB); processor time (%) without messages, with ``HALL_RATE`` and
    with ``BUSY_RATE`` messages a second, each for ``seconds``; the event loop's lag over all that time (99 % quantile,
    ms).
    """
    with ExitStack() as stack:
        hall = LoadedHall(place, stack, "quiet")
        start_mib = hall.daemon.rss_mib()
        percent = {}
        for name, rate in (("idle", 0.0), ("hall", HALL_RATE), ("busy", BUSY_RATE)):
            cpu_s, start_s = hall.daemon.cpu_s(), perf_s()
            with hall.probe.traffic.flowing(rate):
                hall.room.meter.idle(start_s + seconds)
            percent[name] = round((hall.daemon.cpu_s() - cpu_s) / (perf_s() - start_s) * 100, 2)
        lag_s = histogram_quantile(hall.daemon.metrics(), "edged_loop_lag_seconds", 0.99)
        return {
            "rss_mib": {"start": start_mib},
            "cpu_percent": percent | {"hall_rate": HALL_RATE, "busy_rate": BUSY_RATE},
            "loop_lag_p99_ms": None if lag_s is None else round(lag_s * 1000, 2),
        }


def day(place: Place, tickets: int, rate: float) -> dict[str, Any]:
    """Let ``tickets`` visits happen at ``rate`` messages a second, for at most ``DAY_MAX_S`` seconds; then kill the
    daemon and start it again. Returns its memory after the visits (``rss_after``), and the milliseconds from that start
    until it is READY and the lamp is right (``restart_ms``).
    """
    with ExitStack() as stack:
        hall = LoadedHall(place, stack, "day")
        end_s, sent = perf_s() + DAY_MAX_S, 0
        while sent < len(VISIT) * tickets and perf_s() < end_s:
            seconds = min(CHUNK_S, (len(VISIT) * tickets - sent) / rate + 0.1)
            hall.probe.traffic.start(rate, seconds)
            hall.room.meter.idle(perf_s() + seconds)
            sent += hall.probe.traffic.finished(seconds)
            hall.await_handled(sent)
        issued = int(hall.daemon.metric("edged_events_total", type="ticket.issued"))
        after = {"tickets": issued, "mib": hall.daemon.rss_mib(), "messages": hall.handled()}
        return {"rss_after": after, "restart_ms": round(_restart(hall), 1)}


def _restart(hall: LoadedHall) -> float:
    hall.daemon.stop(signal.SIGKILL)
    hall.room.meter.idle(
        perf_s() + 0.2
    )  # what was under way arrives: only the new process asserts from here on
    hall.lamps.shown.clear()
    hall.daemon.spawn()
    while "lamp-m1" not in hall.lamps.shown and monotonic_s() < hall.daemon.started_s + RECOVER_MAX_S:
        hall.room.meter.idle(perf_s() + 0.002)
    shown_ms = (monotonic_s() - hall.daemon.started_s) * 1000
    return max(shown_ms, hall.daemon.await_ready())


def outage(place: Place) -> dict[str, Any]:
    """Kill a broker of the bench's own for ``OUTAGE_S`` and let it lose its data. Measure the milliseconds from the
    moment it accepts connections again until the lamps are right (``lamp_ms``) and until keys have an effect
    (``key_ms``).
    """
    with ExitStack() as stack:
        broker = OwnBroker(place.directory)
        broker.start()
        stack.callback(broker.kill)
        hall = BenchHall(place.directory / "outage", broker.address, f"{place.name}-o")
        stack.callback(hall.daemon.stop)
        hall.daemon.start()
        panel = BenchPanel(hall.hall, "m1", "lamp-m1")
        with ExitStack() as before:
            meter, lamps, presser = _listen(broker, hall, "before", before)
            presser.publish(panel.topic, panel.login())
            if meter.await_mark(lamps, "lamp-m1 on", RECOVER_MAX_S) is None:
                raise Failed("the daemon answers nothing")
        broker.kill()
        rest(OUTAGE_S)
        broker.spawn()
        accepts_s = broker.await_accepting()
        meter, lamps, presser = _listen(broker, hall, "after", stack)
        lamp_s = _until(meter, lamps, "on", lambda: None)
        panel.toggle()
        key_s = _until(meter, lamps, "off", lambda: presser.publish(panel.topic, panel.again()))
        shown = {
            "lamp_ms": round((lamp_s - accepts_s) * 1000, 1),
            "key_ms": round((key_s - accepts_s) * 1000, 1),
        }
        return {"broker_back_ms": max(shown.values()), "broker_back": shown}


def _until(meter: Meter, lamps: Lamps, state: str, press: Callable[[], None]) -> float:
    """Call ``press`` repeatedly until the lamp shows ``state``, or ``RECOVER_MAX_S`` seconds have passed; returns the
    time then, in seconds of ``edged.clock.monotonic_s``.
    """
    until_s = monotonic_s() + RECOVER_MAX_S
    while lamp_state(lamps.shown.get("lamp-m1", b"")) != state and monotonic_s() < until_s:
        press()
        meter.await_mark(lamps, f"lamp-m1 {state}", RECOVERY_PRESS_S)
    return monotonic_s()


def _listen(broker: OwnBroker, hall: BenchHall, name: str, stack: ExitStack) -> tuple[Meter, Lamps, Plug]:
    plugs = [Plug(broker.address, f"{hall.hall}-{name}-{what}") for what in ("lamps", "press")]
    for plug in plugs:
        stack.callback(plug.close)
    meter, lamps = Meter(), Lamps(plugs[0], hall.hall)
    meter.add(lamps, Drain(plugs[1]))
    return meter, lamps, plugs[1]
