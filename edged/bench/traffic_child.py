"""Starts and controls a process of ``edged.bench.traffic``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from edged.bench.children import Child, module
from edged.bench.meter import rest
from edged.bench.plug import Address

SAY_S = 10.0  # for the child to report how much it sent, after the time it was given


class Traffic:
    """A child process that sends messages of ``kind`` ("visits" or "tickets") to a hall on demand. It ends with
    ``stack``. ``meanwhile(seconds)`` is called while it starts.
    """

    def __init__(
        self,
        hall: str,
        broker: Address,
        kind: str,
        stack: ExitStack,
        meanwhile: Callable[[float], None] = rest,
    ) -> None:
        job = {"hall": hall, "broker": broker.to_json(), "kind": kind}
        self._child = Child(module("edged.bench.traffic"), json.dumps(job))
        stack.callback(self._child.stop)
        self._child.await_ready(meanwhile)
        self.sent = 0

    @contextmanager
    def flowing(self, rate: float) -> Iterator[None]:
        """Send ``rate`` messages a second while the ``with`` block runs."""
        if rate:
            self._child.tell(f"{rate} 0")
        yield
        if rate:
            self._child.tell("0 0")
            self.sent += int(self._child.line(SAY_S).split()[1])
            self._child.line(SAY_S)

    def start(self, rate: float, seconds: float) -> None:
        """Begin to send ``rate`` messages a second for ``seconds``. Call ``finished`` before the next ``start``."""
        self._child.tell(f"{rate} {seconds}")

    def finished(self, seconds: float) -> int:
        """Wait until the child has sent what ``start`` ordered, at most ``seconds`` and a margin; returns how many
        messages were sent. Raises ``Failed`` if it does not report in time.
        """
        sent = int(self._child.line(seconds + SAY_S).split()[1])
        self.sent += sent
        return sent
