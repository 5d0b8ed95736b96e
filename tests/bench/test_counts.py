"""What a ticket costs, in counts that do not depend on the machine, against what was recorded in ``counts.json``.

A count that grew by more than its tolerance fails. If the growth is worth what it buys, record it and say so in the
change: ``EDGED_RECORD_COUNTS=1 pytest tests/bench/test_counts.py``. A ticket is a visit: issued, called, finished.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edged.bench import decisions
from edged.bench.brokers import OwnBroker
from edged.bench.children import Daemon
from edged.bench.decisions import Crowd, Size
from edged.bench.hall import BUSY, BenchHall, key, ticket
from edged.bench.meter import Drain, Meter
from edged.bench.plug import Address, Plug
from edged.central.page_desk import PageDesk
from edged.central.page_sources import PageSources
from edged.clock import perf_s
from edged.observer import Step

RECORD = Path(__file__).with_name("counts.json")
GROWTH = {
    "calls": 1.05,
    "commands": 1.02,
    "notes": 1.02,
    "bytes_peak": 1.10,
    "published": 1.05,
}
# How packets fall into reads and writes, and steps into commits, depends on the machine; what one packet takes when it
# comes alone does not: wait, read, acknowledge at once, look for who runs (asyncio asks for the process id).
CALLS_PER_PACKET_MAX = 5.0
THREADS_AND_DISK = {"futex", "fcntl", "fdatasync", "pread64", "pwrite64", "mprotect", "lseek", "ftruncate"}
SETTLE_S = 0.3
KEPT_BYTES_MAX = 100  # that a served visit leaves behind: nothing but a run of numbers that is one longer
KEPT_VISITS = 1_800  # until as many closed tickets are kept as ever are
FLAT = 1.05
VISIT_STEPS = 3
VISITS = 300
STRACE_VISITS = 100
ANSWER_S = 10.0


def assert_not_grown(name: str, found: dict[str, float]) -> None:
    """Compare with the record, or write it."""
    record: dict[str, dict[str, float]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if os.environ.get("EDGED_RECORD_COUNTS") == "1":
        record[name] = {count: round(value, 2) for count, value in found.items()}
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    grown = [
        f"{name}: {count} per ticket {value:.1f}, recorded {record[name][count]:.1f}"
        for count, value in found.items()
        if value > record[name][count] * GROWTH[count]
    ]
    assert not grown, f"{'; '.join(grown)} (see the top of {__file__})"


def visits(crowd: Crowd, count: int) -> None:
    """Live ``count`` visits and the ticks between them."""
    for _ in crowd.steps(count * VISIT_STEPS):
        pass


def calls_during(work: Callable[[], None]) -> int:
    """Calls of Python and C functions."""
    count = 0

    def count_call(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    gc.disable()  # finalizers are calls, at moments of their own
    sys.setprofile(count_call)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    """A hall of 60 windows with 200 people, warmed up."""
    made = Crowd(Size(60, 200))
    visits(made, 50)
    return made


def test_calls_commands_and_notes_of_a_ticket_in_the_core(crowd: Crowd) -> None:
    commands = notes = 0
    handle = crowd.engine.handle

    def counted(at_ms: int, event: Any) -> Any:
        nonlocal commands, notes
        outcome = handle(at_ms, event)
        commands += len(outcome[0])
        notes += len(outcome[1])
        return outcome

    crowd.engine.handle = counted  # type: ignore[method-assign]
    try:
        visits(crowd, VISITS)
    finally:
        crowd.engine.handle = handle  # type: ignore[method-assign]
    calls = calls_during(lambda: visits(crowd, VISITS))
    assert_not_grown(
        "core", {"calls": calls / VISITS, "commands": commands / VISITS, "notes": notes / VISITS}
    )


def test_calls_of_a_ticket_in_a_rush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages come one millisecond apart, and for longer than a rush may postpone the areas' decisions."""
    monkeypatch.setattr(decisions, "STEP_MS", 1)
    made = Crowd(Size(60, 200))
    visits(made, 500)
    assert_not_grown("rush", {"calls": calls_during(lambda: visits(made, VISITS)) / VISITS})


class Paper:
    """A link that takes everything and sends nothing."""

    def __init__(self) -> None:
        self.published: Counter[str] = Counter()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert retain
        self.published[topic] += 1

    def on_state(self, callback: Callable[[bool, str], None]) -> None:
        callback(True, "")


async def test_calls_of_a_ticket_for_the_pages(crowd: Crowd) -> None:
    """What each step costs before lamps are lit, and what publishing all that 300 visits changed costs."""
    engine, link = crowd.engine, Paper()
    pages = SimpleNamespace(public_url=None)
    config: Any = SimpleNamespace(devices=(), timezone="Asia/Shanghai", name_en=None, pages=pages)
    sources = PageSources(
        state=lambda: engine.state,
        config=lambda: config,
        at_ms=lambda: engine.state.at_ms,
        stamp=str,
        backlog=lambda: 0,
        durable=lambda: True,
        clock=lambda: True,
        pushed=lambda: None,
    )
    desk = PageDesk(link, "bench", sources)
    desk.start()
    await desk.publish_changes()
    handle, steps = engine.handle, list[Step]()

    def kept(at_ms: int, event: Any) -> Any:
        commands, notes = handle(at_ms, event)
        steps.append(Step(0, at_ms, event, commands, notes))
        return commands, notes

    engine.handle = kept  # type: ignore[method-assign]
    try:
        visits(crowd, VISITS)
    finally:
        engine.handle = handle  # type: ignore[method-assign]

    def mark() -> None:
        for step in steps:
            desk.step(step, 0.0)

    marking = calls_during(mark)
    link.published.clear()
    looking = await_calls(desk.publish_changes())
    assert_not_grown("pages", {"calls": marking / VISITS})
    assert_not_grown("pages-look", {"calls": looking / len(link.published)})  # of a part that changed


def await_calls(work: Coroutine[Any, Any, None]) -> int:
    """Count the calls of a coroutine that waits for nothing but other tasks of the loop."""

    def through() -> None:
        with suppress(StopIteration):
            while True:
                work.send(None)

    return calls_during(through)


def test_memory_that_a_ticket_takes_and_leaves_in_the_core() -> None:
    crowd = Crowd(Size(60, 200))  # of its own: what others did to it would move the cap
    tracemalloc.start()
    try:
        visits(crowd, KEPT_VISITS)
        gc.collect()
        before, peaks = tracemalloc.get_traced_memory()[0], 0
        visits(crowd, VISITS)
        gc.collect()
        kept = (tracemalloc.get_traced_memory()[0] - before) / VISITS
        for _ in range(VISITS):
            tracemalloc.reset_peak()
            now = tracemalloc.get_traced_memory()[0]
            visits(crowd, 1)
            peaks += tracemalloc.get_traced_memory()[1] - now
    finally:
        tracemalloc.stop()
    assert_not_grown("memory", {"bytes_peak": peaks / VISITS})
    assert kept < KEPT_BYTES_MAX, kept


@pytest.mark.parametrize("number", [10_000, pytest.param(50_000, marks=pytest.mark.full)])
def test_a_late_ticket_costs_what_the_1000th_did(number: int) -> None:
    """No tide here: its alarm would still be raised late in the day and make those tickets dearer."""
    crowd = Crowd(Size(10, 20))
    policy = crowd.engine.state.policy
    crowd.engine.state.policy = replace(policy, tidal=replace(policy.tidal, enabled=False))
    visits(crowd, 1_000)
    early = calls_during(lambda: visits(crowd, VISITS))
    visits(crowd, number - 1_000 - VISITS)
    late = calls_during(lambda: visits(crowd, VISITS))
    assert late < early * FLAT


class Traced(Daemon):
    """The daemon under strace; ``end`` stops the daemon itself, which ends strace."""

    def __init__(self, hall: BenchHall) -> None:
        super().__init__(hall.directory, hall.web_port)
        self.counts = hall.directory / "strace.txt"
        self.command = ["strace", "-f", "-c", "-o", str(self.counts), *self.command]

    def end(self) -> dict[str, int]:
        """Stop the daemon and return how often it made each system call since it started."""
        child = int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])
        os.kill(child, signal.SIGTERM)
        assert self.ended() == 0
        rows = re.findall(
            r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", self.counts.read_text(), re.M
        )
        return {name: int(calls) for calls, name in rows if name != "total"}


@contextmanager
def strace_works() -> Iterator[None]:
    """Skip the test where strace is not installed; under CI that is a failure."""
    usable = shutil.which("strace") is not None
    usable = (
        usable and subprocess.run(["strace", "-c", "true"], capture_output=True, check=False).returncode == 0
    )
    if not usable:
        reason = "strace is not installed, or may not trace (apt-get install strace)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    yield


class Signs:
    """Everything that the daemon says: marks are "shown" of the display, and the panel's states."""

    def __init__(self, plug: Plug, hall: str) -> None:
        plug.subscribe(f"hall/{hall}/#")
        self.changes = 0  # published values; one that is only asserted again is none
        self._plug = plug
        self._last: dict[str, bytes] = {}

    def fileno(self) -> int:
        return self._plug.fileno()

    def receive(self, at_s: float) -> list[tuple[str, float]]:
        marks = []
        for message in self._plug.take():
            if "/up/" in message.topic or "/ping/" in message.topic or "/page/" in message.topic:
                continue  # pages have a pace by the clock: what they cost is counted for themselves
            self.changes += self._last.get(message.topic) != message.payload
            self._last[message.topic] = message.payload
            if message.topic.endswith((f"screen-{BUSY}/down/display", "panel-b1/down/panel")):
                marks.append((json.loads(message.payload).get("state", "shown"), at_s))
        return marks

    def due_s(self) -> None:
        return None

    def tick(self) -> None:
        return None


def traced_life(broker: Address, directory: Path, count: int) -> dict[str, int]:
    """Return the system calls of a daemon that serves ``count`` visits in turn; "published" counts the values it
    published.
    """
    hall = BenchHall(directory, broker, f"count-{count}")
    daemon = Traced(hall)
    with ExitStack() as stack:
        stack.callback(daemon.stop)
        daemon.start()
        screen, presser = Plug(broker, "screen"), Plug(broker, "presser")
        meter, receiver = Meter(), Signs(screen, hall.hall)
        meter.add(receiver, Drain(presser))
        presser.publish(hall.up("panel-b1", "key"), key(1, "login"))
        for n in range(1, count + 1):
            presser.publish(hall.up("dispenser-1", "ticket"), ticket(n, f"B{n:05d}", BUSY))
            assert meter.await_mark(receiver, "shown", ANSWER_S) is not None
            presser.publish(hall.up("panel-b1", "key"), key(2 * n, "next"))
            assert meter.await_mark(receiver, "shown", ANSWER_S) is not None
            presser.publish(hall.up("panel-b1", "key"), key(2 * n + 1, "finish"))
            assert meter.await_mark(receiver, "OPEN", ANSWER_S) is not None
        wanted = daemon.await_metric("edged_events_total", count, ANSWER_S, type="ticket.finished")
        assert wanted == count
        meter.idle(perf_s() + SETTLE_S)
        found = daemon.end() | {"published": receiver.changes}
        screen.close()
        presser.close()
    return found


def test_system_calls_of_a_ticket_in_the_whole_daemon(tmp_path: Path) -> None:
    with strace_works(), ExitStack() as stack:
        broker = OwnBroker(tmp_path)
        broker.start()
        stack.callback(broker.kill)
        short = traced_life(broker.address, tmp_path / "short", 20)
        long = traced_life(broker.address, tmp_path / "long", 20 + STRACE_VISITS)
    grown = {name: (long.get(name, 0) - short.get(name, 0)) / STRACE_VISITS for name in long}
    published = grown.pop("published")
    packets = 2 * (published + VISIT_STEPS)  # each is acknowledged
    calls = sum(count for name, count in grown.items() if name not in THREADS_AND_DISK)
    assert_not_grown("daemon", {"published": published})
    assert calls <= packets * CALLS_PER_PACKET_MAX, (
        f"{calls:.0f} system calls for {packets:.0f} packets: {grown}"
    )
    assert grown["fdatasync"] <= VISIT_STEPS * 1.1, "more than one commit per message"
