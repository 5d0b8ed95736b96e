"""The daemon under load: how much it sustains, what a ticket costs, what stays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from edged.bench.children import Daemon
from edged.bench.hall import BenchHall
from edged.bench.meter import Lamps, Samples, quantile
from edged.bench.sides import Place, Room, Side
from edged.bench.traffic_child import Traffic
from edged.clock import perf_s

PROBE_S = 0.05  # between the presses that tell how far behind the daemon is
SENT_SHARE_MIN = 0.98  # of what was due; less means that the broker held the sender back
LAG_MAX_MS = 100.0  # of the last third's median: a queue that grows shows more after seconds
DRAIN_S = 10.0  # for what was sent to be handled, at least as slowly as this
TICKET_RATE = 500.0
VISIT = ("ticket.issued", "ticket.called", "ticket.finished")  # what its three messages become
EVENTS = "edged_events_total"


class LoadedHall:
    """A daemon with a probing side, fresh for one load."""

    def __init__(self, place: Place, stack: ExitStack, name: str) -> None:
        self.room = Room(place, stack)
        hall = place.hall_id(name)
        self.hall = BenchHall(place.directory / hall, place.broker, hall)
        self.room.serve(self.hall)
        self.lamps = Lamps(self.room.plug(place.broker, f"{hall}-lamps"), hall)
        self.room.meter.add(self.lamps)
        self.probe: Side = self.room.keyed("edged", hall, self.lamps, [("m1", "lamp-m1")])
        self.probe.measure(4, PROBE_S)

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return self.hall.daemon

    def handled(self) -> int:
        """Messages of visits that had their effect."""
        return int(sum(self.daemon.metric(EVENTS, type=kind) for kind in VISIT))

    def await_handled(self, count: int) -> int:
        """Until ``count`` are, or nothing more comes."""
        until_s = perf_s() + DRAIN_S
        before = -1
        while (now := self.handled()) < count and (perf_s() < until_s or now > before):
            before = now
            self.room.meter.idle(perf_s() + 0.3)
        return now

    def try_rate(self, rate: int, seconds: float) -> dict[str, Any]:
        """Visits at ``rate`` messages a second, and whether all of it was handled with bounded lag."""
        before, cpu_s = self.handled(), self.daemon.cpu_s()
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
            "cpu_us_per_message": round((self.daemon.cpu_s() - cpu_s) / max(handled, 1) * 1e6, 1),
            "sustained": handled >= sent >= SENT_SHARE_MIN * rate * seconds and bounded,
        }


def throughput(place: Place, rates: Sequence[int], seconds: float) -> dict[str, Any]:
    """Rates rising until one is too much, then one between; what was sustained, and every try."""
    with ExitStack() as stack:
        hall = LoadedHall(place, stack, "load")
        tries: list[dict[str, Any]] = []
        for rate in rates:
            tries.append(hall.try_rate(rate, seconds))
            if not tries[-1]["sustained"]:
                break
        good = max((one["rate"] for one in tries if one["sustained"]), default=0)
        if good and not tries[-1]["sustained"]:
            tries.append(hall.try_rate((good + tries[-1]["rate"]) // 2, seconds))
        best = max((one for one in tries if one["sustained"]), key=lambda one: one["rate"], default=None)
        return {"throughput_msg_s": best["rate"] if best else 0, "throughput": {"tries": tries}}


def ticket_cost(place: Place, seconds: float) -> dict[str, Any]:
    """Processor time of one ticket, all in (parse, decide, journal, metrics, signs), with a queue that grows."""
    with ExitStack() as stack:
        hall = LoadedHall(place, stack, "cost")
        tickets = Traffic(hall.hall.hall, place.broker, "tickets", stack)
        cpu_s = hall.daemon.cpu_s()
        tickets.start(TICKET_RATE, seconds)
        hall.room.meter.idle(perf_s() + seconds)
        sent = tickets.finished(seconds)
        issued = hall.daemon.await_metric(EVENTS, sent, DRAIN_S, type="ticket.issued")
        used_s = hall.daemon.cpu_s() - cpu_s
        return {
            "cpu_us_per_ticket": round(used_s / max(issued, 1) * 1e6, 1),
            "tickets": {"sent": sent, "issued": int(issued), "rate": TICKET_RATE},
        }
