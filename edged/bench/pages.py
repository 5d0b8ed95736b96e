"""Measures the hall's web pages: their size, ``edged web`` with many changes and many phones, and how much the readers
of pages delay the daemon's event loop.

``edged web`` is a child process for the bench's hall. Readers and phones are sockets of the bench.
"""

from __future__ import annotations

import json
import re
import secrets
import select
import socket
import subprocess
import sys
import zlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from edged.bench.children import Failed, cpu_s, histogram_quantile
from edged.bench.hall import BenchHall
from edged.bench.life import HALL_RATE
from edged.bench.loads import LoadedHall
from edged.bench.meter import rest
from edged.bench.plug import Plug
from edged.bench.sides import Place
from edged.central.page_lines import COLUMNS, name_of
from edged.clock import perf_s
from edged.sim.broker import free_port

WINDOWS, CHANGES_PER_S, READERS = 60, 10, 4
PHONES, AREAS, AGAIN_S = 2_000, 5, 20.0  # a phone whose turn is far away asks every 20 s
IDLE, SLOW = 100, 20
START_S = 20.0
PAGES = ("/", "/board", "/duty", "/replay", "/report")
LAG = "edged_loop_lag_seconds"
BUCKET = re.compile(rf"^({LAG}_bucket{{.*?}}) (\S+)$", re.M)
MARKS = (b'="/files/', b'from "./')  # precede the name of each file that a page or a module loads


@dataclass(slots=True)
class PagesChild:
    """A child process ``edged web`` that serves the pages of one hall."""

    hall: BenchHall
    port: int = field(default_factory=free_port)
    tickets_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it prints its address. Raises ``Failed`` if it does not within
        ``START_S``.
        """
        file = self.hall.directory / "hall.toml"
        own = f"\n[pages]\nport = {self.port}\ntickets_port = {self.tickets_port}\n"
        file.write_text(file.read_text("utf-8") + own, "utf-8")
        command = [sys.executable, "-m", "edged", "web", "--config", str(file), "--log-level", "ERROR"]
        with (self.hall.directory / "web.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 (ourselves)
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], START_S)[0] or not self.process.stdout.readline():
            raise Failed("edged web did not start; is the extra [web] installed?")

    def stop(self) -> None:
        """Kill the ``edged web`` process, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def percent(self, seconds: float, meanwhile: Any) -> float:
        """Call ``meanwhile(until_s)``, which must run for ``seconds``; returns the processor time that ``edged web``
        used meanwhile, in percent of one core.
        """
        assert self.process is not None
        began, used = perf_s(), cpu_s(self.process.pid)
        meanwhile(began + seconds)
        return round((cpu_s(self.process.pid) - used) / (perf_s() - began) * 100, 2)


def pages(place: Place, seconds: float) -> dict[str, Any]:
    """Measure the hall's web pages: their size, streams of changes, visitors' phones, and what readers cost the daemon.
    ``seconds``: the duration of each part. Returns the results under the key "pages".
    """
    with ExitStack() as stack:
        hall = LoadedHall(place, stack, "pages")
        served = BenchHall(place.directory / f"{hall.hall}-web", hall.broker, hall.hall)
        child = PagesChild(served)
        stack.callback(child.stop)
        child.start()
        lag_before = _lag(hall, seconds)
        found: dict[str, Any] = {"weight_kib": {path: _weight(child.port, path) for path in PAGES}}
        plug = Plug(hall.broker, f"{hall.hall}-told")
        stack.callback(plug.close)
        found["changes"] = _changes(child, plug, hall.hall, seconds)
        found["phones"] = _phones(child, plug, hall.hall, seconds)
        readers = [_stream(child.port) for _ in range(IDLE + SLOW)]
        lag_beside = _lag(hall, seconds, drained=readers[SLOW:])
        for one in readers:
            one.close()
        found["loop_lag_p99_ms"] = {"alone": lag_before, "beside_readers": lag_beside, "readers": IDLE + SLOW}
        return {"pages": found}


def _lag(hall: LoadedHall, seconds: float, drained: list[socket.socket] | None = None) -> float | None:
    """Measure the lag of the daemon's event loop for ``seconds`` with the usual messages of a hall; returns its 99 %
    quantile in ms, None if the daemon measured none. ``drained``: sockets of readers; what arrives there is read and
    dropped.
    """
    before = hall.daemon.metrics()
    with hall.probe.traffic.flowing(HALL_RATE):
        until_s = perf_s() + seconds
        while perf_s() < until_s:
            for one in select.select(drained or [], [], [], 0.05)[0]:
                with suppress(OSError):
                    one.recv(65_536)
            hall.room.meter.idle(perf_s() + 0.05)
    lag_s = histogram_quantile(_counts_since(before, hall.daemon.metrics()), LAG, 0.99)
    return None if lag_s is None else round(lag_s * 1000, 2)


def _counts_since(before: str, now: str) -> str:
    """Subtract the counts of the histogram ``LAG`` in ``before`` from those in ``now`` (both: text of /metrics);
    returns its buckets.
    """
    known = dict(BUCKET.findall(before))
    return "\n".join(
        f"{name} {float(count) - float(known.get(name, 0)):g}" for name, count in BUCKET.findall(now)
    )


def _weight(port: int, path: str) -> float:
    """Fetch a page and everything it loads; returns the sum of the compressed sizes in KiB."""
    seen: dict[str, int] = {}
    waiting = [path]
    while waiting:
        asked = waiting.pop()
        head, body = _got(port, asked, gzip=True)
        seen[asked] = len(body)
        text = zlib.decompress(body, wbits=31) if b"gzip" in head.lower() else body
        names = [one.split(b'"')[0].decode() for mark in MARKS for one in text.split(mark)[1:]]
        found = [f"/files/{name}" for name in names]
        waiting += [one for one in found if one not in seen and one not in waiting]
    return round(sum(seen.values()) / 1024, 1)


def _got(port: int, path: str, gzip: bool = False) -> tuple[bytes, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=START_S) as line:
        accepts = "Accept-Encoding: gzip\r\n" if gzip else ""
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accepts}Connection: close\r\n\r\n".encode())
        answer = b""
        while chunk := line.recv(65_536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def _stream(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=START_S)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.sendall(b"GET /changes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return line


def _changes(child: PagesChild, plug: Plug, hall: str, seconds: float) -> dict[str, Any]:
    """Measure ``edged web`` while ``WINDOWS`` windows change, all of them ``CHANGES_PER_S`` times a second, and
    ``READERS`` readers receive the changes as a stream. Returns how many times a second the windows changed, the KiB a
    second that each reader got, and the processor time of ``edged web`` in percent of one core.
    """
    readers = [_stream(child.port) for _ in range(READERS)]
    rounds, received = [0], [0]

    def meanwhile(until_s: float) -> None:
        while perf_s() < until_s:
            rounds[0] += 1
            due_s = perf_s() + 1 / CHANGES_PER_S
            body = {
                "state": "SERVING",
                "ticket": f"A{rounds[0] % 1000:03d}",
                "since": None,
                "led": ["x" * 20],
            }
            payload = json.dumps(body).encode()
            plug.publish_all([(f"hall/{hall}/page/window/w{n}", payload) for n in range(WINDOWS)])
            for one in select.select(readers, [], [], 0)[0]:
                received[0] += len(one.recv(1 << 20))
            rest(max(0.0, due_s - perf_s()))

    percent = child.percent(seconds, meanwhile)
    for one in readers:
        one.close()
    sent_kib = round(received[0] / 1024 / seconds / READERS, 1)  # to each reader in a second
    per_s = round(rounds[0] / seconds, 1)
    return {"windows": WINDOWS, "per_s": per_s, "sent_kib_s": sent_kib, "cpu_percent": percent}


def _phones(child: PagesChild, plug: Plug, hall: str, seconds: float) -> dict[str, Any]:
    """Measure ``edged web`` while ``PHONES`` phones ask about their tickets in turn, each time on a new connection.
    Returns the answers a second, the 99 % quantile of their time in ms, and the processor time of ``edged web`` in
    percent of one core.
    """
    tokens = [secrets.token_hex(16) for _ in range(PHONES)]
    for area in range(AREAS):
        rows = [_row(token, place) for place, token in enumerate(tokens[area::AREAS])]
        line = json.dumps({"columns": COLUMNS, "rows": rows, "calls_max": 3}).encode()
        plug.publish(f"hall/{hall}/page/line/a{area}", line, retain=True)
    until_s = perf_s() + START_S
    while b" 200 " not in _got(child.tickets_port, f"/t/{tokens[-1]}/now")[0] and perf_s() < until_s:
        rest(0.1)
    waits: list[float] = []

    def meanwhile(end_s: float) -> None:
        began, place = perf_s(), 0
        while perf_s() < end_s:
            asked = perf_s()
            head, _ = _got(child.tickets_port, f"/t/{tokens[place % PHONES]}/now")
            if b" 200 " not in head:
                raise Failed(f"a phone was answered {head[:20]!r}")
            waits.append(perf_s() - asked)
            place += 1
            rest(max(0.0, began + place * AGAIN_S / PHONES - perf_s()))

    percent = child.percent(seconds, meanwhile)
    waits.sort()
    return {
        "phones": PHONES,
        "answers_per_s": round(len(waits) / seconds, 1),
        "cpu_percent": percent,
        "p99_ms": round(waits[int(0.99 * (len(waits) - 1))] * 1000, 1),
    }


def _row(token: str, place: int) -> list[Any]:
    issued = "2026-11-23T10:20:00.000+08:00"
    row = [
        name_of(token),
        f"A{place:03d}",
        "tax",
        "waiting",
        place,
        1500,
        2700,
        None,
        0,
        issued,
        [1800, 3000],
    ]
    return row
