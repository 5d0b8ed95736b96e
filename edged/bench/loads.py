"""Loads the daemon, and for comparison a bare aiomqtt program that only answers (the echo). Measures the rate that each
sustains, and the processor time per message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from edged.bench.children import Child, Daemon
from edged.bench.hall import BenchHall
from edged.bench.meter import Lamps, Samples, quantile
from edged.bench.peers import OTHER_LAMP, PeerJob
from edged.bench.sides import BenchCell, Place, Side
from edged.bench.traffic_child import Traffic
from edged.clock import perf_s

PROBE_S = 0.05  # between presses, whose latency shows how far behind the daemon is
SENT_SHARE_MIN = 0.98  # share of the due messages; less means that the broker slowed the sender
LAG_MAX_MS = 100.0  # limit of the median of the last third: a growing queue exceeds it within seconds
DRAIN_S = 10.0  # for sent tickets to be taken
STILL_S = 2.0  # without progress: the missing messages are lost
TICKET_RATE = 500.0
WARM_S = 1.0  # of tickets before the measurement
REST_S = 0.3  # for messages under way to be handled
VISIT = ("ticket.issued", "ticket.called", "ticket.finished")  # the events that its three messages cause
EVENTS = "edged_events_total"
ECHO_EVERY = 9  # of the messages are answered by the echo: a queue of eight, then a decision
ECHO = "aiomqtt"


class Loaded(ABC):
    """The daemon or the echo under load, in a process started for this load, with a client that measures its latency
    meanwhile. ``counts``: by how many messages ``handled`` grows at a time.
    """

    counts = 1

    def __init__(self, place: Place, stack: ExitStack, name: str, side: str) -> None:
        self.room = BenchCell(place, stack)
        self.hall = place.hall_id(name)
        self.broker = place.broker_of(side)
        self.child = self.begin(place)
        self.lamps = Lamps(self.room.plug(self.broker, f"{self.hall}-lamps"), self.hall)
        self.room.meter.add(self.lamps)
        self.probe: Side = self.room.keyed(side, self.hall, self.lamps, [("m1", "lamp-m1")])
        self.probe.measure(4, PROBE_S)

    @abstractmethod
    def begin(self, place: Place) -> Child | Daemon:
        """Start the process to be measured, and wait until it is ready."""

    @abstractmethod
    def handled(self) -> int:
        """How many messages the process has handled so far."""

    def await_handled(self, count: int) -> int:
        """Wait until ``count`` messages are handled, or until their number no longer grows; returns the number."""
        most, moved_s = -1, perf_s()
        while (now := self.handled()) <= count - self.counts:
            if now > most:
                most, moved_s = now, perf_s()
            elif perf_s() > moved_s + STILL_S:
                break
            self.room.meter.idle(perf_s() + 0.3)
        return now

    def try_rate(self, rate: int, seconds: float) -> dict[str, Any]:
        """Send visits at ``rate`` messages a second for ``seconds``; returns the figures. Among them ``sustained``: the
        messages could be sent in this time (a share of at least ``SENT_SHARE_MIN``), all were handled, no measured
        output was lost, and the latency at the end stayed below ``LAG_MAX_MS``.
        """
        before, cpu_s = self.handled(), self.child.cpu_s()
        self.probe.traffic.start(rate, seconds)
        end_s, samples = perf_s() + seconds, Samples()
        while perf_s() < end_s:
            samples.add(self.probe.measure(1, PROBE_S))
            self.room.meter.idle(min(end_s, perf_s() + PROBE_S))
        sent = self.probe.traffic.finished(seconds)
        handled = self.await_handled(before + sent) - before
        lag_ms = quantile(samples.seconds[-max(1, len(samples.seconds) // 3) :], 0.5, 1e3) or 0.0
        bounded = lag_ms < LAG_MAX_MS and not samples.lost
        return {
            "rate": rate,
            "sent": sent,
            "handled": handled,
            "lag_p50_ms": lag_ms,
            "cpu_us_per_message": round((self.child.cpu_s() - cpu_s) / max(handled, 1) * 1e6, 1),
            "sustained": handled > sent - self.counts and sent >= SENT_SHARE_MIN * rate * seconds and bounded,
        }

    def cost(self, traffic: Traffic, seconds: float) -> tuple[float, int, int]:
        """Let ``traffic`` send tickets at ``TICKET_RATE`` and measure the processor time; returns (microseconds per
        ticket, tickets sent, tickets handled).
        """
        traffic.start(TICKET_RATE, WARM_S)
        warm = traffic.finished(WARM_S)
        self.room.meter.idle(perf_s() + REST_S)
        cpu_s = self.child.cpu_s()
        traffic.start(TICKET_RATE, seconds)
        self.room.meter.idle(perf_s() + seconds)
        sent = traffic.finished(seconds)
        self.room.meter.idle(perf_s() + REST_S)
        used_s = self.child.cpu_s() - cpu_s
        until_s = perf_s() + DRAIN_S
        while (taken := self.tickets() - warm) <= sent - self.counts and perf_s() < until_s:
            self.room.meter.idle(perf_s() + PROBE_S)
        return used_s / max(sent, 1) * 1e6, sent, taken

    @abstractmethod
    def tickets(self) -> int:
        """How many tickets the process has handled so far."""


class LoadedHall(Loaded):
    """The real daemon under load, with a hall of its own."""

    daemon: Daemon

    def __init__(self, place: Place, stack: ExitStack, name: str) -> None:
        super().__init__(place, stack, name, "edged")

    def begin(self, place: Place) -> Daemon:
        """Start the daemon with its own hall, and wait until it is ready."""
        served = BenchHall(place.directory / self.hall, self.broker, self.hall)
        self.room.serve(served)
        self.daemon = served.daemon
        return served.daemon

    def handled(self) -> int:
        """How many messages of visits the daemon has handled so far: its events "issued", "called" and "finished", each
        caused by one message.
        """
        return int(sum(self.daemon.metric(EVENTS, type=kind) for kind in VISIT))

    def tickets(self) -> int:
        """How many tickets the daemon has issued so far, from its metrics."""
        return int(self.daemon.metric(EVENTS, type="ticket.issued"))


class LoadedEcho(Loaded):
    """The echo under load: a bare aiomqtt program with TCP_NODELAY that parses every message, answers every ninth and
    stores nothing.
    """

    counts = ECHO_EVERY

    def __init__(self, place: Place, stack: ExitStack, name: str) -> None:
        super().__init__(place, stack, name, ECHO)

    def begin(self, place: Place) -> Child:
        """Start the aiomqtt program with which latencies are compared, set to answer every ninth message here."""
        job = PeerJob(ECHO, self.hall, "panel-m1", "lamp-m1", "mqtt", self.broker.to_json(), ECHO_EVERY)
        return self.room.echo(job)

    def handled(self) -> int:
        """How many messages were handled: nine times the answers received."""
        return ECHO_EVERY * self.lamps.reported[OTHER_LAMP]

    def tickets(self) -> int:
        """The same as ``handled``, because for the echo a ticket is a message like any other."""
        return self.handled()


def _sustained(
    loaded: Loaded, rates: Sequence[int], seconds: float, halvings: int
) -> tuple[int, list[dict[str, Any]]]:
    """Try ``rates`` in order until one is not sustained. Then try ``halvings`` times the middle between the best rate
    and the first that was too much. Returns the best rate, and the figures of every try.
    """
    tries: list[dict[str, Any]] = []
    for rate in rates:
        tries.append(loaded.try_rate(rate, seconds))
        if not tries[-1]["sustained"]:
            break
    good = max((one["rate"] for one in tries if one["sustained"]), default=0)
    bad = min((one["rate"] for one in tries if not one["sustained"]), default=0)
    for _ in range(halvings if good < bad else 0):
        tries.append(loaded.try_rate((good + bad) // 2, seconds))
        good, bad = (tries[-1]["rate"], bad) if tries[-1]["sustained"] else (good, tries[-1]["rate"])
    return good, tries


def throughput(place: Place, rates: Sequence[int], seconds: float, halvings: int) -> dict[str, Any]:
    """Measure the highest rates (messages a second) that the daemon (``throughput_msg_s``) and the echo
    (``aiomqtt_throughput_msg_s``) sustain. ``rates``: to try, each for ``seconds``; ``halvings``: see ``_sustained``.
    """
    with ExitStack() as stack:
        mine, tries = _sustained(LoadedHall(place, stack, "load"), rates, seconds, halvings)
    with ExitStack() as stack:
        theirs, echoed = _sustained(LoadedEcho(place, stack, "echo"), rates, seconds, halvings)
    return {
        "throughput_msg_s": mine,
        "aiomqtt_throughput_msg_s": theirs,
        "throughput": {"tries": tries, "aiomqtt_tries": echoed},
    }


def ticket_cost(place: Place, seconds: float) -> dict[str, Any]:
    """Measure the daemon's processor time for one ticket (parse, decide, journal, metrics, displays), while the queue
    grows because nobody is called.

    The echo gets the same tickets before and afterwards, for comparison.
    """
    echoed_us = [_cost(LoadedEcho, place, "cost-a", seconds)[0]]
    used_us, sent, issued = _cost(LoadedHall, place, "cost", seconds)
    echoed_us.append(_cost(LoadedEcho, place, "cost-b", seconds)[0])
    return {
        "cpu_us_per_ticket": round(used_us, 1),
        "aiomqtt_cpu_us_per_ticket": round(sum(echoed_us) / len(echoed_us), 1),
        "tickets": {"sent": sent, "issued": issued, "rate": TICKET_RATE},
    }


def _cost(
    kind: type[LoadedHall] | type[LoadedEcho], place: Place, name: str, seconds: float
) -> tuple[float, int, int]:
    with ExitStack() as stack:
        loaded = kind(place, stack, name)
        return loaded.cost(Traffic(loaded.hall, loaded.broker, "tickets", stack), seconds)
