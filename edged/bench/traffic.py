"""Background load: a process that sends visits to the busy area of a bench's hall at a steady rate. Rules:

* One visit is three messages: a ticket is printed, a clerk calls, a clerk finishes; so the queue stays short.
  ``tickets`` sends tickets alone, so the queue grows.
* Open loop: messages leave when they are due, even if the daemon lags behind.

``python -m edged.bench.traffic`` reads one job as JSON from stdin and prints "ready". For each further line "RATE
SECONDS" it sends at that rate (0 s: until the next line) and prints "sent N".
"""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Iterator
from typing import Any

from edged.bench.hall import BUSY, BUSY_PANELS, key, ticket
from edged.bench.plug import Address, Plug
from edged.clock import perf_s

BATCH_S = 0.001  # messages due within a millisecond are sent in one write


def visits(hall: str) -> Iterator[tuple[str, bytes]]:
    """Yield the messages of visits as (topic, payload), without end; the clerks of the busy area take turns."""
    seq = 0
    dispenser = f"hall/{hall}/dev/dispenser-1/up/ticket"
    while True:
        seq += 1
        panel = f"hall/{hall}/dev/panel-b{seq % BUSY_PANELS + 1}/up/key"
        yield dispenser, ticket(seq, f"B{seq:07d}", BUSY)
        yield panel, key(2 * seq, "next")
        yield panel, key(2 * seq + 1, "finish")


def tickets(hall: str) -> Iterator[tuple[str, bytes]]:
    """Yield the messages of printed tickets as (topic, payload), without end."""
    seq = 0
    while True:
        seq += 1
        yield f"hall/{hall}/dev/dispenser-2/up/ticket", ticket(seq, f"T{seq:07d}", BUSY)


def send(plug: Plug, messages: Iterator[tuple[str, bytes]], rate: float, seconds: float) -> int:
    """Send ``rate`` messages a second for ``seconds``. If ``seconds`` is 0, send until a line comes on stdin; the
    caller reads this line. Returns how many were sent.
    """
    start_s, sent = perf_s(), 0
    while True:
        now_s = perf_s()
        if seconds and now_s - start_s >= seconds:
            return sent
        due = int((min(now_s - start_s, seconds) if seconds else now_s - start_s) * rate) - sent
        if due > 0:
            plug.publish_all([next(messages) for _ in range(due)])
            sent += due
        wait_s = max(BATCH_S, start_s + (sent + 1) / rate - perf_s())
        watched: list[Any] = [plug, sys.stdin] if not seconds else [plug]
        ready = select.select(watched, [], [], wait_s)[0]
        if plug in ready:
            plug.take()
        if sys.stdin in ready:
            return sent


def main() -> None:
    """Entry point of the process: read the job from stdin, then a rate and a duration from each further line, and
    send.
    """
    job = json.loads(sys.stdin.readline())
    hall = job["hall"]
    plug = Plug(Address.from_json(job["broker"]), f"{hall}-traffic-{job['kind']}")
    messages = visits(hall) if job["kind"] == "visits" else tickets(hall)
    if job["kind"] == "visits":
        for n in range(1, BUSY_PANELS + 1):
            plug.publish(f"hall/{hall}/dev/panel-b{n}/up/key", key(1, "login"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        rate, seconds = map(float, line.split())
        count = send(plug, messages, rate, seconds) if rate else 0
        sys.stdout.write(f"sent {count}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
