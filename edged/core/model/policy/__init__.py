"""What the city may push (a policy): thresholds and limits, each with its default and its allowed range.

One module for each section; beside each field stand its name in two languages and its range (``parameter.Parameter``).
``edged/central/policies.py`` refuses a policy outside the ranges, with the path of the value and a remedy. The defaults
come from field reports.
"""

from __future__ import annotations

from dataclasses import field

from edged.core.model.policy.calling import Calling, CallRule, PriorityClass
from edged.core.model.policy.cases import Cases
from edged.core.model.policy.counting import Counting
from edged.core.model.policy.hours import Cutoff, Hours, Mode, Noon, Session, Special
from edged.core.model.policy.overrides import Overrides
from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.ratings import Ratings
from edged.core.model.policy.signage import Signage, Templates
from edged.core.model.policy.staffing import PauseReason, Staffing
from edged.core.model.policy.tidal import (
    REFERENCE_PW,
    SHORTER_WAITS,
    Arbiter,
    Band,
    Peak,
    Pw,
    Rule,
    Tidal,
    Triggers,
)
from edged.core.model.policy.trial import Trial
from edged.core.model.policy.visits import Journey, Paper, Visits
from edged.core.model.value import value

__all__ = [
    "REFERENCE_PW",
    "SHORTER_WAITS",
    "Arbiter",
    "Band",
    "CallRule",
    "Calling",
    "Cases",
    "Counting",
    "Cutoff",
    "Hours",
    "Journey",
    "Mode",
    "Noon",
    "Overrides",
    "Paper",
    "Parameter",
    "PauseReason",
    "Peak",
    "Policy",
    "PriorityClass",
    "Pw",
    "Ratings",
    "Rule",
    "Session",
    "Signage",
    "Special",
    "Staffing",
    "Templates",
    "Tidal",
    "Trial",
    "Triggers",
    "Visits",
]


@value
class Policy:
    """All values that the city may push to a hall, by section. The defaults are in force until the centre sends a
    policy.
    """

    tidal: Tidal = field(default_factory=Tidal)
    calling: Calling = field(default_factory=Calling)
    hours: Hours = field(default_factory=Hours)
    overrides: Overrides = field(default_factory=Overrides)
    staffing: Staffing = field(default_factory=Staffing)
    signage: Signage = field(default_factory=Signage)
    counting: Counting = field(default_factory=Counting)
    cases: Cases = field(default_factory=Cases)
    ratings: Ratings = field(default_factory=Ratings)
    visits: Visits = field(default_factory=Visits)
    trial: Trial = field(default_factory=Trial)
