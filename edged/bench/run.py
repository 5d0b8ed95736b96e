"""Runs the whole bench, one section after another; the result is one JSON object."""

from __future__ import annotations

import os
import platform
import secrets
import select
import sysconfig
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from edged import __version__
from edged.bench import sides
from edged.bench.age import age
from edged.bench.brokers import OwnBroker
from edged.bench.decisions import SIZES, Size, decision_figures
from edged.bench.disk import commit_figures
from edged.bench.latency import Progress, latency
from edged.bench.life import day, outage, quiet, starts
from edged.bench.loads import throughput, ticket_cost
from edged.bench.pages import pages
from edged.bench.plans import Plan
from edged.bench.plug import Address, BrokerGone, Plug
from edged.bench.sides import Place
from edged.bench.slow_line import slow_line
from edged.clock import monotonic_s, perf_s

FORGET_S = 0.5  # for a broker to send its retained messages
DAY_TITLE = "a long day and a restart"
DAY_RATE_MIN, DAY_RATE_SHARE = (
    100.0,
    0.5,
)  # share of the sustained rate at which the long day is run
LONG_DAY_TICKETS = 100_000
# Keys that ``--json`` always has; null if a section was not run.
KEYS: dict[str, Any] = {
    "mqtt_mqtt": None,
    "mqtt_modbus_tcp": None,
    "mqtt_modbus_rtu": None,
    "serial_serial": None,
    "throughput_msg_s": None,
    "ready_ms": None,
    "restart_ms": None,
    "rss_mib": None,
    "loop_lag_p99_ms": None,
    "commit_ms": None,
    "decision_us": None,
    "age": None,
    "pages": None,
}
Section = Callable[[Place, Plan, Progress], dict[str, Any]]


def _decisions(_place: Place, plan: Plan, progress: Progress) -> dict[str, Any]:
    found = {}
    for windows, waiting in SIZES.items():
        progress(f"{windows} windows")
        found[str(windows)] = decision_figures(Size(windows, waiting), plan.decisions)
    return {"decision_us": found}


def _day(place: Place, plan: Plan, progress: Progress, found: Mapping[str, Any]) -> dict[str, Any]:
    rate = max(DAY_RATE_MIN, DAY_RATE_SHARE * found.get("throughput_msg_s", 0))
    progress(f"{plan.day_tickets} tickets at {rate:.0f} messages/s")
    lived = day(place, plan.day_tickets, rate)
    whole = lived["rss_after"]["tickets"] >= LONG_DAY_TICKETS
    return lived | {"rss_mib": {"after_100k": lived["rss_after"]["mib"] if whole else None}}


SECTIONS: dict[str, tuple[str, Section]] = {
    "mqtt": (
        "MQTT to MQTT",
        lambda place, plan, progress: {"mqtt_mqtt": latency(place, sides.mqtt_sides, plan.mqtt, progress)},
    ),
    "tcp": (
        "MQTT to Modbus TCP",
        lambda place, plan, progress: {
            "mqtt_modbus_tcp": latency(place, sides.tcp_sides, plan.tcp, progress)
        },
    ),
    "rtu": (
        "MQTT to Modbus RTU",
        lambda place, plan, progress: {
            "mqtt_modbus_rtu": latency(place, sides.rtu_sides, plan.rtu, progress)
        },
    ),
    "serial": (
        "serial to serial",
        lambda place, plan, progress: {
            "serial_serial": latency(place, sides.line_sides, plan.line, progress)
        },
    ),
    "wire": ("lamps at 9600 baud", lambda place, plan, _progress: slow_line(place, *plan.slow_line)),
    "decisions": ("decisions by size of hall", _decisions),
    "disk": (
        "commits",
        lambda place, plan, _progress: {"commit_ms": commit_figures(place.directory, plan.commits)},
    ),
    "start": ("start", lambda place, plan, _progress: starts(place, plan.starts)),
    "outage": ("a broker that goes away", lambda place, _plan, _progress: outage(place)),
    "quiet": ("a quiet hall", lambda place, plan, _progress: quiet(place, plan.quiet_s)),
    "cost": ("processor time of a ticket", lambda place, plan, _progress: ticket_cost(place, plan.cost_s)),
    "load": (
        "messages a second",
        lambda place, plan, _progress: throughput(place, plan.rates, plan.load_s, plan.halvings),
    ),
}

SECTIONS["pages"] = ("pages and their readers", lambda place, plan, _progress: pages(place, plan.quiet_s))
SECTIONS["age"] = ("an old journal", lambda place, plan, progress: age(place, plan.age, progress))
NAMES = (*SECTIONS, "day")


@contextmanager
def prepared(
    directory: Path, hall_broker: Address | None, echo: Path | None = None
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Start the brokers of a bench; yields its ``Place`` (folder, brokers, names) and what the report says about the
    machine. ``hall_broker``: the broker under test, None to start our own. ``echo``: a compiled program that answers
    keys, as a further peer; None for none.
    """
    with ExitStack() as stack:
        broker, kind = hall_broker, "the hall's own"
        reference = OwnBroker(directory, no_delay=True)
        reference.start()
        stack.callback(reference.kill)
        if broker is None:
            own = OwnBroker(directory)
            own.start()
            stack.callback(own.kill)
            broker, kind = own.address, f"{own.kind}, {own.delay}"
        place = Place(directory, broker, reference.address, f"bench-{secrets.token_hex(3)}", echo)
        machine = {
            "edged": __version__,
            "python": f"{platform.python_version()}, {'optimised' if _optimised() else 'not optimised'} build",
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, {_model()}",
            "kernel": platform.release(),
            "load_average": [round(one, 2) for one in os.getloadavg()],
            "broker": kind,
            "reference_broker": f"{reference.kind}, {reference.delay}",
        }
        try:
            yield place, machine
        finally:
            if hall_broker is not None:
                with suppress(OSError, BrokerGone):  # nothing can be cleaned up at a broker that is gone
                    forget(place)


def forget(place: Place) -> None:
    """Clean up the hall's own broker after a bench: delete the retained messages and the sessions of the bench's
    halls.
    """
    for hall in place.halls:
        plug = Plug(place.broker, f"edged-{hall}")  # a clean session deletes the one that the daemon left
        try:
            plug.subscribe(f"hall/{hall}/#")
            until_s = monotonic_s() + FORGET_S
            while select.select([plug], [], [], max(0.0, until_s - monotonic_s()))[0]:
                for message in plug.take():
                    if message.retain:
                        plug.publish(message.topic, b"", retain=True)
        finally:
            plug.close()


def run(
    place: Place, plan: Plan, only: Collection[str], progress: Callable[[str, str], None]
) -> dict[str, Any]:
    """Run the sections named in ``only``; returns their results. ``progress(section, what)`` is called before each
    section and each part of one. ``seconds`` in the result: how long each section took.
    """
    found: dict[str, Any] = {}
    took: dict[str, float] = {}
    for name in [name for name in SECTIONS if name in only]:
        title, section = SECTIONS[name]
        progress(name, title)
        start_s = perf_s()
        found = merged(found, section(place, plan, partial(_titled, progress, name, title)))
        took[name] = round(perf_s() - start_s, 1)
    if "day" in only:
        progress("day", DAY_TITLE)
        start_s = perf_s()
        found = merged(found, _day(place, plan, partial(_titled, progress, "day", DAY_TITLE), found))
        took["day"] = round(perf_s() - start_s, 1)
    return KEYS | found | {"seconds": took}


def merged(found: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Unite two results. If both have a table under one key, its entries are united; otherwise the value in ``more``
    counts.
    """
    both = dict(found)
    for key, value in more.items():
        known = both.get(key)
        both[key] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
    return both


def _titled(progress: Callable[[str, str], None], name: str, title: str, what: str) -> None:
    progress(name, f"{title}: {what}")


def _optimised() -> bool:
    """Whether this Python was built with profile-guided optimisation, as Debian's is. The result says so, because such
    a Python is a tenth faster.
    """
    return "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
