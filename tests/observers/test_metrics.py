"""Metrics come from notes and state, under the names of the golden list, with bounded labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edged.core.model.commands import AreaSummary, Note
from edged.core.model.events import KeyPressed, SiteLoaded
from edged.core.model.point import Point
from edged.core.model.policy import Policy
from edged.core.model.site import Area, Service, Site, Window
from edged.core.model.state import DeviceState, State, WindowState
from edged.observer import Step
from edged.observers.metrics import LABELS_MAX, Metrics, Readings

BOUNDS = ("low", "middle", "high")
GOLDEN = Path(__file__).with_name("metrics.golden")

SITE = Site(
    hall="demo",
    name="示例大厅",
    areas=(Area("tax", "税务", "Tax"), Area("social", "社保", "Social insurance")),
    services=(
        Service("tax-general", "tax", "税务综合", "Tax", "A"),
        Service("pension", "social", "养老", "Pension", "B"),
    ),
    windows=(
        Window("w1", "1", ("tax-general",)),
        Window("t1", "9", ("tax-general", "pension"), tidal=True),
    ),
)

EMPTY = Readings(lambda: 0, lambda: 0, lambda: 0, lambda: True, lambda: 0)


def busy_state() -> State:
    return State(
        site=SITE,
        policy=Policy(),
        policy_version=7,
        policy_sha256="ab" * 32,
        queues={"tax-general": {"normal": [1, 2, 3], "elderly": [4]}},
        windows={"w1": WindowState("SERVING"), "t1": WindowState("OPEN", area="social")},
        shown={
            "centre/tax|area": AreaSummary("tax", 4, 0, 2, 0, 240, 420, 660),
            "centre/social|area": AreaSummary("social", 0, None, 1, 1),
        },
        devices={"panel-w1": DeviceState(up=True, since_ms=0), "relay-1": DeviceState(up=False, since_ms=5)},
    )


def busy_metrics() -> Metrics:
    return Metrics(
        busy_state, {"panel-w1": "candle485", "relay-1": "modbus_relay", "led-1": "onbon_bx"}, EMPTY
    )


def step(*notes: Note) -> Step:
    return Step(1, 1000, KeyPressed(Point("panel-w1"), "next"), (), notes)


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(sample, labels)


QUOTE: dict[str, str | int | float | None] = {"quoted_low_s": 130, "quoted_s": 300, "quoted_high_s": 500}


def live(metrics: Metrics) -> Metrics:
    """Makes every labelled metric show at least one series."""
    metrics.step(
        step(
            Note(
                "ticket.called",
                "A001",
                {"area": "tax", "service": "tax-general", "window": "w1", "wait_s": 61.0, **QUOTE},
            ),
            Note("ticket.finished", "A001", {"area": "tax", "service": "tax-general", "service_s": 200.0}),
            Note("tidal.opened", "t1", {"area": "social", "rule": "queueing", "to_staffed_s": 14.0}),
            Note("tidal.released", "t1", {"area": "social", "open_s": 900.0}),
            Note("staff.answered", "sun", {"about": "commissioner", "after_s": 20.0}),
            Note("commissioner.helped", "w1", {"outcome": "solved", "helped_s": 240.0}),
            Note("consultation.answered", "t1", {"today": 1}),
            Note("device.fault", "relay-1", {"fault": "inputs missed", "missed": 2}),
            Note("rating.given", "A001", {"level": 5}),
            Note("rating.corrected", "A001", {"level": 4}),
            Note("ignored", "w1", {"reason": "nobody_waiting"}),
        ),
        0.0002,
    )
    metrics.rejected("bad_json")
    metrics.device_error("relay-1", "unreachable")
    metrics.input_to_output("modbus_relay", 0.004)
    metrics.policy_rejected("bad_signature")
    metrics.set_link("mqtt", True)
    metrics.certificate("broker.pem", 1.8e9)
    metrics.secret("password", readable=True)
    return metrics


def test_the_exposed_names_types_and_labels_are_the_golden_list() -> None:
    shown = []
    for family in text_string_to_metric_families(live(busy_metrics()).render().decode()):
        if family.name.startswith("edged_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
            shown.append(f"{name} {family.type} {','.join(labels)}".strip())
    golden = [line for line in GOLDEN.read_text().splitlines() if line and not line.startswith("#")]
    assert sorted(shown) == golden


def test_base_units_and_counter_suffixes_are_those_of_prometheus() -> None:
    for line in GOLDEN.read_text().splitlines():
        if line and not line.startswith("#"):
            name, kind, *_ = line.split(" ")
            assert name.startswith("edged_")
            assert (kind == "counter") == name.endswith("_total"), line
            assert kind != "histogram" or name.endswith("_seconds"), line
            assert not name.endswith(("_ms", "_s", "_us", "_kb")), line


def test_notes_become_counts_and_seconds() -> None:
    metrics = live(busy_metrics())
    assert value(metrics, "edged_ticket_wait_seconds_sum", area="tax") == 61.0
    assert value(metrics, "edged_service_seconds_sum", service="tax-general") == 200.0
    assert value(metrics, "edged_tidal_to_staffed_seconds_count", area="social") == 1
    assert value(metrics, "edged_tidal_activations_total", area="social", rule="queueing") == 1
    assert value(metrics, "edged_ratings_total", level="5") == 1
    assert value(metrics, "edged_ratings_corrected_total", level="4") == 1
    assert value(metrics, "edged_inputs_ignored_total", reason="nobody_waiting") == 1
    assert value(metrics, "edged_events_total", type="ticket.called") == 1
    assert value(metrics, "edged_decision_seconds_count") == 1


def test_the_estimate_is_the_one_shown_and_absent_while_nobody_can_know() -> None:
    metrics = busy_metrics()
    shown = {
        bound: value(metrics, "edged_estimated_wait_seconds", area="tax", bound=bound) for bound in BOUNDS
    }
    assert shown == {"low": 240, "middle": 420, "high": 660}
    for bound in BOUNDS:
        assert value(metrics, "edged_estimated_wait_seconds", area="social", bound=bound) is None


@pytest.mark.parametrize(
    ("wait_s", "outcome"),
    [(119, "shorter"), (120, "within"), (540, "within"), (540.1, "longer")],  # told: 2 to 9 minutes
)
def test_the_wait_shown_to_a_visitor_is_compared_with_the_real_one(wait_s: float, outcome: str) -> None:
    metrics = busy_metrics()
    metrics.step(step(Note("ticket.called", "A001", {"area": "tax", "wait_s": wait_s, **QUOTE})), 0.0002)
    metrics.step(step(Note("ticket.called", "A002", {"area": "tax", "wait_s": wait_s})), 0.0002)
    assert value(metrics, "edged_quotes_total", area="tax", outcome=outcome) == 1
    assert value(metrics, "edged_quote_error_seconds_count", area="tax") == 1
    at_most_0 = value(metrics, "edged_quote_error_seconds_bucket", area="tax", le="0.0")
    assert at_most_0 == (wait_s >= 300)  # told minus real: below 0 for whoever waited longer


def test_a_plus_one_that_called_nobody_is_a_false_activation_and_one_that_did_is_not() -> None:
    metrics = busy_metrics()
    opened = Note("tidal.opened", "t1", {"area": "social", "rule": "queueing", "to_staffed_s": 1})
    released = Note("tidal.released", "t1", {"area": "social"})
    called = Note("ticket.called", "B001", {"area": "social", "window": "t1", "wait_s": 1})
    metrics.step(step(opened), 0)
    metrics.step(step(called), 0)
    metrics.step(step(released), 0)
    assert value(metrics, "edged_tidal_false_activations_total", area="social") is None
    metrics.step(step(opened), 0)
    metrics.step(step(released), 0)
    metrics.step(step(released), 0)
    assert value(metrics, "edged_tidal_false_activations_total", area="social") == 1


def test_gauges_show_the_state_at_the_scrape() -> None:
    state = busy_state()
    metrics = Metrics(lambda: state, {"panel-w1": "candle485", "led-1": "onbon_bx"}, EMPTY)
    waiting = {"area": "tax", "service": "tax-general"}
    assert value(metrics, "edged_tickets_waiting", **waiting, priority="normal") == 3
    assert value(metrics, "edged_tickets_waiting", **waiting, priority="military") == 0
    assert value(metrics, "edged_windows", area="tax", state="SERVING") == 1
    assert value(metrics, "edged_windows", area="tax", state="PAUSED") == 0
    assert value(metrics, "edged_tidal_active", area="social") == 1
    assert value(metrics, "edged_policy_info", version="7", sha256="ab" * 32) == 1
    assert value(metrics, "edged_device_up", device="panel-w1", driver="candle485") == 1
    assert value(metrics, "edged_device_up", device="led-1", driver="onbon_bx") == 0
    state.windows["t1"] = WindowState("STANDBY")
    state.queues["tax-general"]["normal"].pop()
    assert value(metrics, "edged_tidal_active", area="social") == 0
    assert value(metrics, "edged_windows", area="-", state="STANDBY") == 1
    assert value(metrics, "edged_tickets_waiting", **waiting, priority="normal") == 2


def test_labels_stay_bounded_whatever_comes() -> None:
    metrics = busy_metrics()
    for number in range(3 * LABELS_MAX):
        metrics.rejected(f"reason-{number}")
        metrics.device_error(f"ghost-{number}", "unreachable")
        metrics.step(step(Note("ticket.called", "A1", {"area": f"area-{number}", "wait_s": 1})), 0)
    metrics.rejected('110101199003074218"} hack')
    text = metrics.render().decode()
    assert value(metrics, "edged_inputs_rejected_total", reason="other") == 2 * LABELS_MAX + 1
    assert value(metrics, "edged_device_errors_total", device="other", fault="unreachable") == 3 * LABELS_MAX
    assert value(metrics, "edged_ticket_wait_seconds_count", area="other") == 3 * LABELS_MAX
    assert "110101199003074218" not in text
    assert text.count("edged_inputs_rejected_total{") == LABELS_MAX + 1


def test_no_ticket_number_reaches_the_exposition() -> None:
    metrics = busy_metrics()
    kinds = ["issued", "called", "recalled", "arrived", "finished", "no_show", "parked", "revived"]
    metrics.step(step(*(Note(f"ticket.{kind}", "Q777", {"area": "tax"}) for kind in kinds)), 0)
    assert "Q777" not in metrics.render().decode()


def test_a_site_that_comes_later_is_learned_from_its_event() -> None:
    state = State()
    metrics = Metrics(lambda: state, {}, EMPTY)
    assert b"edged_tickets_waiting" not in metrics.render()
    state.site = SITE
    metrics.step(Step(1, 0, SiteLoaded(SITE), (), ()), 0)
    metrics.step(step(Note("ticket.called", "A1", {"area": "tax", "wait_s": 5})), 0)
    assert value(metrics, "edged_ticket_wait_seconds_count", area="tax") == 1
    assert b"edged_tickets_waiting" in metrics.render()


def test_depths_are_read_when_scraped() -> None:
    depth = [3.0]
    metrics = Metrics(
        busy_state, {}, Readings(lambda: depth[0], lambda: depth[0] * 2, lambda: 1e9, lambda: True, lambda: 0)
    )
    metrics.set_durable(True)
    assert value(metrics, "edged_inbox_depth") == 3
    depth[0] = 5
    assert value(metrics, "edged_inbox_depth") == 5
    assert value(metrics, "edged_uplink_backlog") == 10
    assert value(metrics, "edged_disk_free_bytes") == 1e9
    assert value(metrics, "edged_durable") == 1
