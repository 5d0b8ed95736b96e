"""The faults of a world and their rates. Each fault is present in about half of all worlds, at a random rate.

A random subset finds more than all faults together, because one that is always present can hide the effect of another.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import Self

PRESENT = 0.5  # share of the worlds that have a given fault
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class WorldFaults:
    """Rates of faults: ``*_share`` is the probability for each message, key press or page, ``*_per_h`` the mean number
    in an hour of hall time. 0: the fault does not occur in this world.
    """

    duplicate_share: float = 0.0  # a device's message is repeated, a little or much later
    late_share: float = 0.0  # a device's message is delayed by up to 20 s and overtaken by others
    lost_share: float = 0.0  # a serial device's message is lost
    twice_share: float = 0.0  # a key is pressed again at once
    forgotten_share: float = 0.0  # a clerk does not press "finish"
    wrong_key_share: float = 0.0  # a clerk presses some other key first
    stuck_per_h: float = 0.0  # a key is stuck: fifty presses within a second
    dead_per_h: float = 0.0  # a device is off for up to twenty minutes
    deaf_share: float = 0.0  # nobody answers a page
    unknown_share: float = 0.0  # the outcome of an action is never reported
    failed_share: float = 0.0  # an action fails
    repeat_share: float = 0.0  # a dispenser prints a number of today again
    clock_per_h: float = 0.0  # the wall clock is set: an hour, a day, 1970
    freeze_per_h: float = 0.0  # the process is frozen for up to two minutes
    restart_per_h: float = 0.0  # the process dies and restarts from its stored state
    wild_per_h: float = 0.0  # any event with any content
    policy_per_h: float = 0.0  # another policy, anywhere within its bounds
    reborn_per_h: float = 0.0  # a device loses its power; its sequence numbers begin at 1 again
    night_share: float = 0.0  # a device is off at night; its sequence numbers begin at 1 in the morning

    @classmethod
    def draw(cls, rng: Random) -> Self:
        """Draw which faults a world has and how often they occur."""
        drawn: dict[str, float] = {}
        for field in fields(cls):
            present, rate = rng.random() < PRESENT, cls.top(field.name) * 10 ** -rng.uniform(0, 2)
            drawn[field.name] = rate if present else 0.0
        return cls(**drawn)

    @classmethod
    def top(cls, name: str) -> float:
        """Return the highest rate that may be drawn for the fault ``name``."""
        return 12.0 if name.endswith("_per_h") else 0.2

    def rates(self) -> dict[str, float]:
        """The faults that occur in this world with their rates, for the report about it."""
        return {f.name: round(value, 4) for f in fields(self) if (value := getattr(self, f.name))}


def next_ms(rng: Random, per_h: float) -> int | None:
    """Draw the hall milliseconds until the next fault that occurs ``per_h`` times an hour on average; None: it never
    occurs.
    """
    return None if per_h <= 0 else 1 + round(rng.expovariate(per_h) * HOUR_MS)
