"""Prometheus metrics, derived from the notes of steps. Base units only; no ticket, name or free text is ever a label.

Rules: every label value is an id of the site, a device of hall.toml, or one of at most ``LABELS_MAX`` short words;
anything else, such as an unknown id, is counted as "other".
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from edged import __version__
from edged.core.model.commands import Note
from edged.core.model.events import SiteLoaded
from edged.core.model.forecast import Range
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.observer import Observer, Step
from edged.observers.gauges import HallCollector

LABELS_MAX = (
    64  # distinct words per open-ended label: far above what the code says, far below what hurts a server
)
OTHER = "other"
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}")

# Buckets in seconds. 900 is the service level (wait at most 15 min).
_WAIT_S = (30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200)
_SERVICE_S = (30, 60, 120, 240, 360, 600, 900, 1200, 1800, 3600, 7200)
_ERROR_S = (-1800, -900, -600, -300, -180, -60, 0, 60, 180, 300, 600, 900, 1800)  # below 0: waited longer
_STAFFED_S = (1, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_DECISION_S = (25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
_OUTPUT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 1, 3)
_COMMIT_S = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class Readings(NamedTuple):
    """Functions read at each scrape: events in the inbox, events not yet acknowledged by the centre, free bytes on the
    disk, whether the present hall.toml is in use, and log lines lost.
    """

    inbox: Callable[[], float]
    uplink: Callable[[], float]
    disk_free_bytes: Callable[[], float]
    config_accepted: Callable[[], bool]
    lost_lines: Callable[[], int]


class Metrics(Observer):
    """An observer with a registry of its own. Call all methods on the event loop; none raises."""

    def __init__(self, state: Callable[[], State], devices: Mapping[str, str], readings: Readings) -> None:
        """``state`` gives the engine's state; ``devices`` maps device ids to driver names and may change later."""
        # creation stamps would double the number of series
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._devices = devices
        self._areas: frozenset[str] = frozenset()
        self._services: frozenset[str] = frozenset()
        self._words: dict[str, set[str]] = {}
        self._unused_tidal: set[str] = set()
        self._make_hall_metrics()
        self._make_people_metrics()
        self._make_machine_metrics()
        self._readings = readings
        self._inbox.set_function(readings.inbox)
        self._uplink.set_function(readings.uplink)
        self._disk.set_function(readings.disk_free_bytes)
        self._config_accepted.set_function(readings.config_accepted)
        self.registry.register(HallCollector(state, devices))
        ProcessCollector(registry=self.registry)
        site = state().site
        if site is not None:
            self._learn(site)

    def _make_hall_metrics(self) -> None:
        registry = self.registry
        self._wait = Histogram(
            "edged_ticket_wait_seconds", "From arrival to call", ("area",), buckets=_WAIT_S, registry=registry
        )
        self._quote_error = Histogram(
            "edged_quote_error_seconds",
            "Told minus real wait",
            ("area",),
            buckets=_ERROR_S,
            registry=registry,
        )
        self._quotes = Counter(
            "edged_quotes_total",
            "Calls by real wait against the range told",
            ("area", "outcome"),
            registry=registry,
        )
        self._service = Histogram(
            "edged_service_seconds",
            "From arrival at the window to finish",
            ("service",),
            buckets=_SERVICE_S,
            registry=registry,
        )
        self._staffed = Histogram(
            "edged_tidal_to_staffed_seconds",
            'From "+1" request to staffed',
            ("area",),
            buckets=_STAFFED_S,
            registry=registry,
        )
        self._events = Counter("edged_events_total", "Facts noted by the core", ("type",), registry=registry)
        self._ignored = Counter(
            "edged_inputs_ignored_total", "Inputs without effect", ("reason",), registry=registry
        )
        self._activations = Counter(
            "edged_tidal_activations_total", '"+1" windows that opened', ("area", "rule"), registry=registry
        )
        self._false = Counter(
            "edged_tidal_false_activations_total",
            '"+1" windows released without one call',
            ("area",),
            registry=registry,
        )
        self._answer = Histogram(
            "edged_page_answer_seconds",
            "From a tracked page to its answer",
            ("about",),
            buckets=_STAFFED_S,
            registry=registry,
        )

    def _make_people_metrics(self) -> None:
        registry = self.registry
        self._helps = Counter(
            "edged_commissioner_helps_total",
            "Helps of commissioners that ended",
            ("outcome",),
            registry=registry,
        )
        self._helped = Histogram(
            "edged_commissioner_help_seconds",
            "From the answer to a help's end",
            buckets=_SERVICE_S,
            registry=registry,
        )
        self._questions = Counter(
            "edged_consultations_total", "Questions answered at consultation windows", registry=registry
        )
        self._ratings = Counter(
            "edged_ratings_total", "Ratings, 1 very bad to 5 very good", ("level",), registry=registry
        )
        self._corrected = Counter(
            "edged_ratings_corrected_total", "Corrections, by the new level", ("level",), registry=registry
        )

    def _make_machine_metrics(self) -> None:
        registry = self.registry
        self._decision = Histogram(
            "edged_decision_seconds", "Core time of a step", (), buckets=_DECISION_S, registry=registry
        )
        self._output = Histogram(
            "edged_input_to_output_seconds",
            "From input to command on the wire",
            ("driver",),
            buckets=_OUTPUT_S,
            registry=registry,
        )
        self._commit = Histogram(
            "edged_commit_seconds", "Journal commit", (), buckets=_COMMIT_S, registry=registry
        )
        self._lag = Histogram(
            "edged_loop_lag_seconds", "Event loop woke up late by", (), buckets=_LAG_S, registry=registry
        )
        self._rejected = Counter(
            "edged_inputs_rejected_total", "Inputs that were no event", ("reason",), registry=registry
        )
        self._errors = Counter(
            "edged_device_errors_total", "Failed device exchanges", ("device", "fault"), registry=registry
        )
        self._missed = Counter(
            "edged_inputs_missed_total", "Numbers that a device jumped over", ("device",), registry=registry
        )
        self._policy_rejected = Counter(
            "edged_policy_rejected_total", "Refused policies", ("reason",), registry=registry
        )
        self._durable = Gauge("edged_durable", "1 while accepted inputs reach the disk", registry=registry)
        self._link_up = Gauge("edged_link_up", "1 while the link stands", ["link"], registry=registry)
        self._inbox = Gauge("edged_inbox_depth", "Events waiting for the core", registry=registry)
        self._uplink = Gauge("edged_uplink_backlog", "Rows the centre has not taken", registry=registry)
        self._disk = Gauge("edged_disk_free_bytes", "Free space beside the journal", registry=registry)
        self._certificates = Gauge(
            "edged_certificate_end_timestamp_seconds",
            "When a certificate of the broker link ends",
            ["file"],
            registry=registry,
        )
        self._secrets = Gauge(
            "edged_secret_readable",
            "1 while a file that hall.toml names can be used",
            ["file"],
            registry=registry,
        )
        self._log_lost = Counter(
            "edged_log_lines_lost_total", "Log lines that nobody could read", (), registry=registry
        )
        self._lost_seen = 0
        self._config_accepted = Gauge(
            "edged_config_accepted", "1 while hall.toml as it is now serves, or could", registry=registry
        )
        self._config_accepted.set(1)
        build = Info("edged_build", "What runs", registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})

    def step(self, step: Step, decision_s: float) -> None:
        """Record how long the core took to decide (``decision_s``), and count the step's notes."""
        self._decision.observe(decision_s)
        if isinstance(step.event, SiteLoaded):
            self._learn(step.event.site)
        for note in step.notes:
            self._count(note)

    def rejected(self, reason: str) -> None:
        """Count an input that could not become an event (``DeviceContext.reject``)."""
        self._rejected.labels(self._word("rejected", reason)).inc()

    def device_error(self, device: str, fault: str) -> None:
        """Count a failed exchange with a device; ``fault``: unreachable, refused or garbled."""
        name = device if device in self._devices else OTHER
        self._errors.labels(name, self._word("fault", fault)).inc()

    def input_to_output(self, driver: str, seconds: float) -> None:
        """Record the seconds from an input's arrival until a value that it caused was handed to a device of
        ``driver``.
        """
        self._output.labels(self._word("driver", driver)).observe(seconds)

    def commit(self, seconds: float) -> None:
        """Record the duration of one journal commit in seconds."""
        self._commit.observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """Record by how many seconds the event loop woke up late."""
        self._lag.observe(seconds)

    def policy_rejected(self, reason: str) -> None:
        """Count a refused policy; ``reason`` is the code in the refusal's report."""
        self._policy_rejected.labels(self._word("policy", reason)).inc()

    def set_durable(self, durable: bool) -> None:
        """Set the gauge that tells whether accepted inputs reach the disk."""
        self._durable.set(durable)

    def set_link(self, link: str, up: bool) -> None:
        """Set the gauge that tells whether ``link`` is up. The only one is "mqtt", the link to the hall's broker."""
        self._link_up.labels(self._word("link", link)).set(up)

    def certificate(self, file: str, end_s: float) -> None:
        """Set the gauge that tells when the certificate in ``file`` expires: ``end_s``, in seconds since 1970 UTC."""
        self._certificates.labels(file).set(end_s)

    def secret(self, file: str, readable: bool) -> None:
        """Set the gauge that tells whether ``file``, a password, key or certificate file that hall.toml names, can be
        used.
        """
        self._secrets.labels(file).set(readable)

    def render(self) -> bytes:
        """The metrics as text, in the exposition format 0.0.4."""
        lost = self._readings.lost_lines()
        self._log_lost.inc(lost - self._lost_seen)
        self._lost_seen = lost
        return generate_latest(self.registry)

    def _learn(self, site: Site) -> None:
        self._areas = frozenset(area.id for area in site.areas)
        self._services = frozenset(service.id for service in site.services)

    def _count(self, note: Note) -> None:
        self._events.labels(self._word("type", note.kind)).inc()
        if note.kind == "ignored":
            self._ignored.labels(self._word("ignored", note.data.get("reason"))).inc()
        elif note.kind == "ticket.called":
            self._unused_tidal.discard(str(note.data.get("window")))
            _observe(self._wait, note, "wait_s", self._area(note))
            self._judge_quote(note)
        elif note.kind == "ticket.finished":
            _observe(self._service, note, "service_s", self._service_of(note))
        elif note.kind == "tidal.opened":
            self._unused_tidal.add(note.subject)
            self._activations.labels(self._area(note), self._word("rule", note.data.get("rule"))).inc()
            _observe(self._staffed, note, "to_staffed_s", self._area(note))
        elif note.kind == "tidal.released" and note.subject in self._unused_tidal:
            self._unused_tidal.discard(note.subject)
            self._false.labels(self._area(note)).inc()
        elif note.kind == "staff.answered" and "after_s" in note.data:
            _observe(self._answer, note, "after_s", self._word("about", note.data.get("about")))
        elif note.kind == "commissioner.helped":
            self._helps.labels(self._word("helps", note.data.get("outcome"))).inc()
            _observe(self._helped, note, "helped_s")
        elif note.kind == "consultation.answered":
            self._questions.inc()
        elif note.kind == "device.fault" and "missed" in note.data:
            device = note.subject if note.subject in self._devices else OTHER
            self._missed.labels(device).inc(int(note.data["missed"] or 0))
        elif note.kind in ("rating.given", "rating.corrected"):
            level = str(note.data.get("level"))
            counted = self._ratings if note.kind == "rating.given" else self._corrected
            counted.labels(level if level in {"1", "2", "3", "4", "5"} else OTHER).inc()

    def _judge_quote(self, note: Note) -> None:
        """Record whether a visitor's wait was shorter than, within or longer than the range of minutes printed on the
        ticket.
        """
        wait, *quote = (note.data.get(key) for key in ("wait_s", "quoted_low_s", "quoted_s", "quoted_high_s"))
        range_s = [float(one) for one in quote if isinstance(one, int | float)]
        if not isinstance(wait, int | float) or len(range_s) != len(quote):
            return
        low_s, _, high_s = Range(*range_s).rounded_to_minutes_s()
        outcome = "shorter" if wait < low_s else "longer" if wait > high_s else "within"
        self._quote_error.labels(self._area(note)).observe(range_s[1] - wait)
        self._quotes.labels(self._area(note), outcome).inc()

    def _area(self, note: Note) -> str:
        area = note.data.get("area")
        return str(area) if area in self._areas else OTHER

    def _service_of(self, note: Note) -> str:
        service = note.data.get("service")
        return str(service) if service in self._services else OTHER

    def _word(self, label: str, value: object) -> str:
        """``value`` as a label; "other" if it is no short word or the label has ``LABELS_MAX`` values already."""
        known = self._words.setdefault(label, set())
        if value in known:
            return str(value)
        if not isinstance(value, str) or not _WORD.fullmatch(value) or len(known) >= LABELS_MAX:
            return OTHER
        known.add(value)
        return value


def _observe(histogram: Histogram, note: Note, key: str, *labels: str) -> None:
    seconds = note.data.get(key)
    if isinstance(seconds, int | float):
        (histogram.labels(*labels) if labels else histogram).observe(seconds)
