"""Waits for the outputs that keys cause, and records when they arrive: one thread for all connections of a measurement.
Whatever it reads from is a ``Receiver``.
"""

from __future__ import annotations

import select
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edged.bench.plug import Plug
from edged.clock import monotonic_s, perf_s

ANSWER_S = 3.0  # an output this late counts as lost: a person would have pressed again


class Receiver(Protocol):
    """A socket or line on which outputs arrive. A "mark" is the name of one output, for instance ``lamp-m1 on``."""

    def fileno(self) -> int:
        """The file descriptor to wait for; it may change between calls."""

    def receive(self, at_s: float) -> Iterable[tuple[str, float]]:
        """Read what arrived; yields each mark with the time of its arrival, in seconds of ``edged.clock.perf_s``.
        ``at_s``: the time, of the same clock, at which the descriptor became readable.
        """

    def due_s(self) -> float | None:
        """The time at which ``tick`` must be called, in seconds of ``edged.clock.perf_s``; None: no call is needed."""

    def tick(self) -> None:
        """Do what is due. Called at the time that ``due_s`` returned."""


class Lamps:
    """The connection on which the commands for a hall's MQTT lamps arrive. The mark (name of an output) of a command is
    ``device state``. ``shown``: the last command of each lamp; ``reported``: how many commands each lamp received.
    """

    def __init__(self, plug: Plug, hall: str) -> None:
        plug.subscribe(f"hall/{hall}/dev/+/down/lamp")
        self.shown: dict[str, bytes] = {}
        self.reported: Counter[str] = Counter()
        self._plug = plug

    def fileno(self) -> int:
        """File descriptor of the broker connection."""
        return self._plug.fileno()

    def receive(self, at_s: float) -> list[tuple[str, float]]:
        """Read messages; returns (mark, ``at_s``) for each command to a lamp, even if it repeats the last one."""
        marks = []
        for message in self._plug.take():
            device = message.topic.split("/")[3]
            self.shown[device] = message.payload
            self.reported[device] += 1
            marks.append((f"{device} {lamp_state(message.payload)}", at_s))
        return marks

    def due_s(self) -> None:
        """Always None: lamps have no timers."""

    def tick(self) -> None:
        """No-op: lamps have no timers."""


class Drain:
    """The connection on which the bench presses keys: reads and drops the broker's PUBACKs, so that the broker never
    waits.
    """

    def __init__(self, presser: Plug) -> None:
        self._presser = presser

    def fileno(self) -> int:
        """File descriptor of the broker connection."""
        return self._presser.fileno()

    def receive(self, _at_s: float) -> list[tuple[str, float]]:
        """Read and drop PUBACKs; returns no marks."""
        self._presser.take()
        return []

    def due_s(self) -> None:
        """Always None: there are no timers."""

    def tick(self) -> None:
        """No-op: there are no timers."""


def lamp_state(payload: bytes) -> str:
    """Extract ``state`` from a lamp's payload without a JSON parser, because this is part of the measured time."""
    for state in ("off", "on", "blink"):
        if f'"{state}"'.encode() in payload:
            return state
    return ""


@dataclass(slots=True)
class Samples:
    """Latencies in seconds (``seconds``), and how many outputs did not arrive (``lost``)."""

    seconds: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, other: Samples) -> None:
        """Add the samples of another round."""
        self.seconds += other.seconds
        self.lost += other.lost

    def us(self, share: float) -> float | None:
        """The quantile ``share`` (0 to 1) in microseconds. An output that did not arrive counts as ``ANSWER_S``. None
        without samples.
        """
        return quantile(self.seconds + [ANSWER_S] * self.lost, share, 1e6)


def quantile(values: Sequence[float], share: float, scale: float = 1.0, digits: int = 1) -> float | None:
    """The quantile ``share`` (0 to 1) of the values, not interpolated, times ``scale``, rounded to ``digits``; None
    without values.
    """
    if not values:
        return None
    ranked = sorted(values)
    return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))] * scale, digits)


class Meter:
    """The one place that waits for outputs. It reads from all receivers (connections on which outputs arrive) of a
    cell, including those of sides that are not measured at the moment.
    """

    def __init__(self) -> None:
        self._receivers: list[Receiver] = []

    def add(self, *receivers: Receiver) -> None:
        """Read from these receivers (connections on which outputs arrive), too."""
        self._receivers += receivers

    def idle(self, until_s: float) -> None:
        """Read and discard what arrives, until the time ``until_s`` (seconds of ``edged.clock.perf_s``)."""
        while perf_s() < until_s:
            self._listen(until_s)

    def await_mark(self, receiver: Receiver, mark: str, within_s: float = ANSWER_S) -> float | None:
        """Wait until the output ``mark`` arrives on ``receiver``. Returns the time of its arrival, in seconds of
        ``edged.clock.perf_s``; None if it did not arrive within ``within_s`` seconds.
        """
        until_s = perf_s() + within_s
        while perf_s() < until_s:
            for received_by, received, at_s in self._listen(until_s):
                if received_by is receiver and received == mark:
                    return at_s
        return None

    def _listen(self, until_s: float) -> list[tuple[Receiver, str, float]]:
        due_s = min(
            (due for receiver in self._receivers if (due := receiver.due_s()) is not None), default=until_s
        )
        timeout_s = max(0.0, min(until_s, due_s) - perf_s())
        ready = select.select(self._receivers, [], [], timeout_s)[0]
        at_s = perf_s()
        marks = [(receiver, mark, stamp) for receiver in ready for mark, stamp in receiver.receive(at_s)]
        for receiver in self._receivers:
            receiver_due_s = receiver.due_s()
            if receiver_due_s is not None and receiver_due_s <= perf_s():
                receiver.tick()
        return marks


def rest(seconds: float) -> None:
    """Sleep ``seconds`` of real time."""
    until_s = monotonic_s() + seconds
    while (left_s := until_s - monotonic_s()) > 0:
        select.select([], [], [], left_s)
