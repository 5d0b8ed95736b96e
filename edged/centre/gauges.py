"""Prometheus metrics of a consumer. The only labels are the fixed words of refusals: no hall, ticket or person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_DELAY_S = (0.5, 1, 2, 3, 5, 10, 30, 60, 300, 1800)
_BATCH_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class ConsumerGauges:
    """The Prometheus metrics of one ``edged centre consume`` process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.kept = Counter("edged_centre_events", "Events kept, each once", registry=self.registry)
        self.doubles = Counter("edged_centre_doubles", "Events that came again", registry=self.registry)
        self.refused = Counter(
            "edged_centre_refused", "Messages that are none", ("reason",), registry=self.registry
        )
        self.failures = Counter(
            "edged_centre_database_failures", "Batches tried again", registry=self.registry
        )
        self.gaps = Gauge("edged_centre_gaps", "Halls of which something is missing", registry=self.registry)
        self.connected = Gauge("edged_centre_broker_up", "Connected to the broker", registry=self.registry)
        self.keeps_pictures = Gauge(
            "edged_centre_keeps_pictures",
            "1: this process also stores the retained messages of the halls",
            registry=self.registry,
        )
        self.commit_s = Histogram(
            "edged_centre_commit_seconds", "One batch", buckets=_BATCH_S, registry=self.registry
        )
        self.delay_s = Histogram(
            "edged_centre_delay_seconds",
            "From what happened (to the second) to kept, of what is not historical",
            buckets=_DELAY_S,
            registry=self.registry,
        )

    def serve(self, port: int, host: str) -> None:
        """Serve the metrics over HTTP. Raises ``OSError`` if the port is taken."""
        start_http_server(port, addr=host, registry=self.registry)
