"""Gauges of the hall, computed from the engine's state at each scrape, so that none can be out of date.

They are computed on the event loop, so they see the state between two steps. Each configured area, window or device
always has its series, even at zero: an alert rule on a missing series would never fire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from math import nan
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edged.core.cases import case_signs, ratings
from edged.core.model.commands import AreaSummary
from edged.core.model.events import CLASSES, OverrideKind
from edged.core.model.losses import LOSSES, known
from edged.core.model.point import point_of
from edged.core.model.state import Phase, State, WindowStateName
from edged.core.people.alarms import TEXT
from edged.core.people.pages import COMMISSIONER, GUIDE
from edged.core.queue.ordering import FIRST, RETURNING, WORKING, class_of
from edged.core.signage.signs import CENTRE, slot

NO_AREA = "-"  # a tidal window at rest serves no area; "-" cannot be an id


class HallCollector(Collector):
    """Collects the hall's gauges. ``state()`` returns the engine's state; ``devices``, read at each scrape, maps every
    device id to the name of its driver.
    """

    def __init__(self, state: Callable[[], State], devices: Mapping[str, str]) -> None:
        self._state = state
        self._devices = devices

    def collect(self) -> Iterator[Metric]:
        """All metric families; before the site is loaded, only those of devices, policy and cases."""
        state = self._state()
        yield self._device_up(state)
        yield from self._device_lost(state)
        yield _policy(state)
        if state.site is not None:
            yield _waiting(state)
            yield from _windows(state)
            yield _hours(state)
            yield _overrides(state)
            yield _estimates(state)
            yield from _attention(state)
        yield from _cases(state)

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that the registry does not collect before the engine exists."""
        return iter(())

    def _device_up(self, state: State) -> Metric:
        family = GaugeMetricFamily(
            "edged_device_up", "Whether the device can be reached", labels=["device", "driver"]
        )
        for device, driver in sorted(self._devices.items()):
            known = state.devices.get(device)
            family.add_metric([device, driver], float(known is not None and known.up))
        return family

    def _device_lost(self, state: State) -> Iterator[Metric]:
        """The number of lost devices by reason, and the reason for each of them: at most one series per lost device."""
        each = GaugeMetricFamily(
            "edged_device_lost", "1 while the device is lost for this reason", labels=["device", "reason"]
        )
        counted: Counter[str] = Counter()
        for device in sorted(self._devices):
            found = state.devices.get(device)
            if found is not None and not found.up:
                reason = known(found.reason)
                counted[reason] += 1
                each.add_metric([device, reason], 1)
        family = GaugeMetricFamily("edged_devices_lost", "Devices lost, by reason", labels=["reason"])
        for reason in LOSSES:
            family.add_metric([reason], counted[reason])
        yield family
        yield each


def _policy(state: State) -> Metric:
    family = GaugeMetricFamily(
        "edged_policy_info",
        "The policy in force; version 0 is the built-in one",
        labels=["version", "sha256"],
    )
    family.add_metric([str(state.policy_version), state.policy_sha256], 1)
    return family


def _waiting(state: State) -> Metric:
    assert state.site is not None
    family = GaugeMetricFamily(
        "edged_tickets_waiting", "Callable tickets in the queue", labels=["area", "service", "priority"]
    )
    for service in state.site.services:
        waiting: Counter[str] = Counter()
        for lane, queue in state.queues.get(service.id, {}).items():
            waiting[class_of(lane)] += len(queue)
        for priority in dict.fromkeys((*CLASSES, *state.policy.calling.classes, RETURNING, FIRST)):
            family.add_metric([service.area, service.id, priority], waiting[priority])
    return family


def _estimates(state: State) -> Metric:
    """Estimated waits as shown in the hall. An area has no series while no estimate is possible."""
    assert state.site is not None
    family = GaugeMetricFamily(
        "edged_estimated_wait_seconds", "Predicted wait of a newcomer", labels=["area", "bound"]
    )
    for area in state.site.areas:
        shown = state.shown.get(slot(point_of(CENTRE, area.id), AreaSummary))
        if isinstance(shown, AreaSummary) and shown.wait_s is not None:
            for bound, seconds in (
                ("low", shown.wait_low_s),
                ("middle", shown.wait_s),
                ("high", shown.wait_high_s),
            ):
                family.add_metric([area.id, bound], float(seconds or 0))
    return family


def _hours(state: State) -> Metric:
    """One series per area and state of opening hours: 1 for the present state, 0 for others. Without hours in the
    policy an area counts as open.
    """
    assert state.site is not None
    family = GaugeMetricFamily(
        "edged_area_hours", "What an area's opening hours come to now", labels=["area", "state"]
    )
    for area in state.site.areas:
        own = state.hours.get(area.id)
        now = "open" if own is None else own.phase
        for phase in get_args(Phase):
            family.add_metric([area.id, phase], float(phase == now))
    return family


def _windows(state: State) -> Iterator[Metric]:
    assert state.site is not None
    area_of = {service.id: service.area for service in state.site.services}
    counted: Counter[tuple[str, str]] = Counter()
    tidal: Counter[str] = Counter()
    for window in state.site.windows:
        now = state.windows.get(window.id)
        if now is None:
            continue
        area = now.area or NO_AREA
        if not window.tidal and window.skills:
            area = area_of.get(window.skills[0], NO_AREA)
        counted[area, now.state] += 1
        if window.tidal and now.area is not None and now.state in WORKING:
            tidal[now.area] += 1
    areas = [area.id for area in state.site.areas]
    windows = GaugeMetricFamily("edged_windows", "Windows by state", labels=["area", "state"])
    for area in [*areas, NO_AREA]:
        for name in get_args(WindowStateName):
            windows.add_metric([area, name], counted[area, name])
    yield windows
    active = GaugeMetricFamily(
        "edged_tidal_active", 'Open "+1" windows: staffed and taking visitors', labels=["area"]
    )
    for area in areas:
        active.add_metric([area], tidal[area])
    yield active


def _overrides(state: State) -> Metric:
    """Overrides in force. Not counted: moving a visitor to the front, which has no duration."""
    counts = Counter(override.kind for override in state.overrides.values())
    family = GaugeMetricFamily("edged_overrides", "Decisions by hand that stand", labels=["kind"])
    for kind in get_args(OverrideKind):
        if kind != "priority-insert":
            family.add_metric([kind], counts[kind])
    return family


def _attention(state: State) -> Iterator[Metric]:
    """Things that wait for a person: alarms by kind, and unanswered pages."""
    counts = Counter(alarm.kind for alarm in state.alarms.values())
    family = GaugeMetricFamily("edged_alarms", "Alarms that stand", labels=["alarm"])
    for kind in TEXT:
        family.add_metric([kind], counts[kind])
    yield family
    pages = Counter(page.about for page in state.pages.values())
    family = GaugeMetricFamily("edged_pages_open", "Tracked pages nobody answered yet", labels=["about"])
    for kind in (COMMISSIONER, GUIDE, *TEXT):
        family.add_metric([kind], pages[kind])
    yield family


def _cases(state: State) -> Iterator[Metric]:
    """Open cases (办不成事) and bad ratings that nobody answered yet, and the percentages of cases. The latter are NaN
    before any case was decided, because no comparison in an alert rule holds for NaN.
    """
    waiting, in_hand, overdue = case_signs.counts(state)
    closed = sum(1 for case in state.cases.values() if case.state == "CLOSED") + state.case_tally.cases
    family = GaugeMetricFamily(
        "edged_cases", "Cases; overdue ones are also counted as open", labels=["state"]
    )
    for name, count in (
        ("open", waiting),
        ("acknowledged", in_hand),
        ("overdue", overdue),
        ("closed", closed),
    ):
        family.add_metric([name], count)
    yield family
    texts = (
        ("edged_case_response_ratio", "Cases answered in time, of those where that is decided"),
        (
            "edged_case_on_time_ratio",
            "Cases that could be done and were in time, of those where that is decided",
        ),
        (
            "edged_case_explained_ratio",
            "Cases that could not be done and were answered in time, of those decided",
        ),
        ("edged_case_satisfied_ratio", "Rated cases that were not rated bad"),
    )
    for (name, text), ratio in zip(texts, case_signs.ratios(state), strict=True):
        yield GaugeMetricFamily(name, text, value=nan if ratio is None else ratio)
    bad = sum(1 for alarm in state.alarms.values() if alarm.kind == ratings.ALARM)
    yield GaugeMetricFamily("edged_ratings_unanswered", "Bad ratings that nobody answered yet", value=bad)
