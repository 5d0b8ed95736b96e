"""Section ``tidal``: when "+1" windows open and close, who may ask, who grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from edged.core.model.policy.words import AreaId, ServiceId
from edged.core.model.value import value


@value
class Band:
    """When an area asks for a "+1" window and when it gives it back (hysteresis band on callable demand).

    Open: ``waiting > open_above + open_step * n`` (n "+1" windows of the area commanded already) or the oldest visitor
    waited ``open_oldest_wait_s``, for ``open_sustain_s`` and ``cooldown_s`` after the last opening.
    Close: ``waiting <= close_at`` for ``close_sustain_s`` and open for at least ``min_open_s``.
    """

    open_above: int = 8
    open_step: int = 4
    open_oldest_wait_s: int = 1800
    open_sustain_s: int = 0
    close_at: int = 2
    close_sustain_s: int = 180
    min_open_s: int = 900
    cooldown_s: int = 60
    max_windows: int = 4


@value
class Pw:
    """Rule on the predicted wait of a newcomer, looked at every 30 s.

    Open: predicted wait over every commanded window (one that is being staffed counts) >= ``open_wait_s``, while at
    least ``min_waiting`` people wait: for one or two nobody is called away (measured: edged/backtest/RESULTS.md).
    Close: with one window fewer it would be <= ``close_wait_s`` for ``hold_s``, ``min_open_s`` after the last opening.
    ``forecast`` looks one set-up (at least 8 min) ahead with the arrivals of ``profile``: area -> expected arrivals per
    15 min from ``profile_start_min`` (minutes after midnight) on; without a profile it expects a steady stream.
    ``typed``: each waiting ticket counts with its own service's mean; ``mix``: service -> share of all visitors.
    Near closing time (section ``hours``) ``guard`` opens no window that would hardly serve.
    ``lost_finish_means``: a visitor served longer than so many means has left (0: never assumed).
    ``outlier_means``: a service longer than so many prior means is learnt as that long (0: as it was).
    """

    target_wait_s: int = 600
    open_wait_s: int = 540
    close_wait_s: int = 90
    hold_s: int = 0
    min_open_s: int = 600
    min_waiting: int = 3
    cooldown_s: int = 60
    rest_s: int = 0
    max_windows: int = 50
    prior_weight: int = 20
    decay_ppm: int = 985_000
    typed: bool = True
    forecast: bool = True
    setup_s: int = 120
    guard: bool = True
    withdraw: bool = True
    lost_finish_means: int = 6
    outlier_means: int = 8
    mix: Mapping[ServiceId, float] = field(default_factory=dict)
    profile: Mapping[AreaId, tuple[float, ...]] = field(default_factory=dict)
    profile_start_min: int = 540


SHORTER_WAITS = Pw(
    open_wait_s=420
)  # a named setting: windows open two minutes sooner, for more staff minutes
REFERENCE_PW = Pw(
    open_wait_s=600,
    close_wait_s=180,
    hold_s=180,
    min_open_s=900,
    min_waiting=0,
    typed=False,
    forecast=False,
    guard=False,
    withdraw=False,
    lost_finish_means=0,
    outlier_means=0,
)


@value
class Peak:
    """A known rush: on these days of the month and weekdays (1 Monday … 7), between two minutes after midnight."""

    windows: int = 1
    first_day: int = 1
    last_day: int = 31
    first_weekday: int = 1
    last_weekday: int = 7
    start_min: int = 540
    end_min: int = 1020
    areas: tuple[AreaId, ...] = ()


@value
class Triggers:
    """What may ask for a window beside the rule; 0 is off. They only ask: the arbiter grants, the rule gives back.

    ``waiting_above`` asks while no wait can be predicted (nobody serves yet); ``waiting_per_window`` is saturation;
    ``people_above`` is for a people counter that knows how many are present. ``hold_s``: how long a wish (a key, an
    order) stands while nobody is on the way for it.
    """

    waiting_above: int = 8
    waiting_per_window: int = 10
    oldest_wait_s: int = 1800
    priority_wait_s: int = 900
    people_above: int = 0
    special_need: bool = True
    hold_s: int = 1800


@value
class Arbiter:
    """Limits of whoever grants windows. ``release_*``: what a quiet area may have to give back for a busy one.

    ``lend_windows`` regular windows of a quiet area may call another area's visitors first, for ``lend_s``.
    """

    early_release: bool = True
    release_percent: int = 60
    release_after_s: int = 480
    releases_per_hour: int = 4
    lend_windows: int = 1
    lend_keep: int = 1
    lend_s: int = 1200
    stale_hold_s: int = 300
    stale_schedule_s: int = 900


Rule = Literal["pw", "pwf", "band", "schedule", "always", "never"]


@value
class Tidal:
    """The tidal loop. ``areas`` overrides ``band``, ``pw_areas`` overrides ``pw``; ``pool`` caps open windows.

    ``patience_s``: how long the clerk of a consultation window may take to answer when the tide wants the window, and
    after how long one who said "later" is asked again.
    """

    enabled: bool = True
    band: Band = Band()
    areas: Mapping[AreaId, Band] = field(default_factory=dict)
    pool: int = 8
    staff_ack_s: int = 60
    staff_arrive_s: int = 300
    retry_s: int = 180
    patience_s: int = 120
    rule: Rule = "pw"
    pw: Pw = field(default_factory=Pw)
    pw_areas: Mapping[AreaId, Pw] = field(default_factory=dict)
    peaks: tuple[Peak, ...] = ()
    triggers: Triggers = Triggers()
    arbiter: Arbiter = Arbiter()


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Band.open_above": (1, 200),
    "Band.open_step": (0, 100),
    "Band.open_oldest_wait_s": (60, 7200),
    "Band.open_sustain_s": (0, 600),
    "Band.close_at": (0, 100),
    "Band.close_sustain_s": (0, 600),
    "Band.min_open_s": (300, 3600),
    "Band.cooldown_s": (60, 600),
    "Band.max_windows": (1, 50),
    "Pw.target_wait_s": (300, 1800),
    "Pw.open_wait_s": (120, 2700),
    "Pw.close_wait_s": (0, 1620),
    "Pw.hold_s": (0, 600),
    "Pw.min_open_s": (300, 3600),
    "Pw.min_waiting": (0, 20),
    "Pw.cooldown_s": (60, 600),
    "Pw.rest_s": (0, 600),
    "Pw.max_windows": (1, 50),
    "Pw.prior_weight": (1, 1000),
    "Pw.decay_ppm": (900_000, 999_999),
    "Pw.setup_s": (10, 1800),
    "Pw.lost_finish_means": (0, 50),
    "Pw.outlier_means": (0, 50),
    "Pw.mix": (0, 1),
    "Pw.profile": (0, 1000),
    "Pw.profile_start_min": (0, 1439),
    "Peak.windows": (1, 50),
    "Peak.first_day": (1, 31),
    "Peak.last_day": (1, 31),
    "Peak.first_weekday": (1, 7),
    "Peak.last_weekday": (1, 7),
    "Peak.start_min": (0, 1440),
    "Peak.end_min": (0, 1440),
    "Triggers.waiting_above": (0, 200),
    "Triggers.waiting_per_window": (0, 100),
    "Triggers.oldest_wait_s": (0, 7200),
    "Triggers.priority_wait_s": (0, 7200),
    "Triggers.people_above": (0, 10_000),
    "Triggers.hold_s": (30, 3600),
    "Arbiter.release_percent": (0, 100),
    "Arbiter.release_after_s": (300, 3600),
    "Arbiter.releases_per_hour": (0, 60),
    "Arbiter.lend_windows": (0, 10),
    "Arbiter.lend_keep": (1, 50),
    "Arbiter.lend_s": (300, 7200),
    "Arbiter.stale_hold_s": (60, 3600),
    "Arbiter.stale_schedule_s": (120, 7200),
    "Tidal.pool": (1, 100),
    "Tidal.staff_ack_s": (15, 600),
    "Tidal.staff_arrive_s": (30, 1800),
    "Tidal.retry_s": (30, 3600),
    "Tidal.patience_s": (30, 900),
}
