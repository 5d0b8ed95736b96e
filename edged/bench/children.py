"""The child processes of a bench: the daemon, the programs compared with it (peers) and the background traffic. Their
processor time and memory come from /proc (Linux).
"""

from __future__ import annotations

import http.client
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from edged.bench.meter import rest
from edged.clock import monotonic_s

START_S = 30.0  # for a child to serve, on a busy mini-PC
CHECK_S = 0.01  # between checks of a child that starts
METRICS_S = 10.0  # an overloaded daemon answers late
STOP_S = 8.0  # then it is killed
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LOG_TAIL_CHARS = 2000
UNIT_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}  # as in systemd/edged.service


class Failed(RuntimeError):
    """A part of the bench cannot start or has failed. The text says which and why."""


class Child:
    """A child process that prints "ready" on stdout when it has started, and reads commands as lines on stdin. The
    first line is ``job``.
    """

    def __init__(self, command: Sequence[str], job: str = "") -> None:
        pipe = subprocess.PIPE
        # unbuffered: select would not see what readline had read beyond its line
        self._process = subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe)  # noqa: S603 (ourselves)
        assert self._process.stdin is not None
        self._process.stdin.write(job.encode() + b"\n")
        self._process.stdin.flush()
        self._name = " ".join(command[-2:])

    @property
    def out(self) -> IO[bytes]:
        """The process's standard output, unbuffered."""
        assert self._process.stdout is not None
        return self._process.stdout

    def cpu_s(self) -> float:
        """Processor seconds that all threads of the child used so far. Raises ``Failed`` if it has died."""
        return cpu_s(self._process.pid)

    def await_ready(self, meanwhile: Callable[[float], None] = rest) -> None:
        """Wait until the child prints "ready". Meanwhile ``meanwhile(seconds)`` is called repeatedly, which must take
        that long. Raises ``Failed`` if the child is not ready within ``START_S``.
        """
        until_s = monotonic_s() + START_S
        while not select.select([self.out], [], [], 0)[0] and monotonic_s() < until_s:
            meanwhile(CHECK_S)
        if not select.select([self.out], [], [], 0)[0] or self.out.readline() != b"ready\n":
            self.stop()
            raise Failed(f"{self._name} did not start")

    def tell(self, line: str) -> None:
        """Write one line to the child's stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def line(self, within_s: float) -> str:
        """Read the next line of the child's stdout. Raises ``Failed`` if none comes within ``within_s`` seconds."""
        if not select.select([self.out], [], [], within_s)[0]:
            raise Failed(f"{self._name} says nothing")
        return self.out.readline().decode().strip()

    def stop(self) -> None:
        """Kill the child; it has nothing to save."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


class Daemon:
    """The daemon as a child process: runs ``edged run`` on ``directory/hall.toml`` with a notify socket, as systemd
    would.
    """

    def __init__(self, directory: Path, web_port: int) -> None:
        self.directory = directory
        self.started_s = 0.0
        self.command = [sys.executable, "-m", "edged", "run", "--config", str(directory / "hall.toml")]
        self._web_port = web_port
        self._process: subprocess.Popen[bytes] | None = None
        self._notify: socket.socket | None = None

    def spawn(self) -> None:
        """Start the process without waiting until it is ready. Sets ``started_s`` to the time just before, in seconds
        of ``edged.clock.monotonic_s``.
        """
        name = f"edged-bench-{secrets.token_hex(8)}"  # abstract: a path may be longer than a socket's can be
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"\0{name}")
        environ = os.environ | UNIT_ENVIRONMENT | {"NOTIFY_SOCKET": f"@{name}"}
        for watchdog in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(watchdog, None)
        with (self.directory / "edged.log").open("ab") as log:
            self.started_s = monotonic_s()
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environ)  # noqa: S603 (ourselves)

    def await_ready(self) -> float:
        """Wait until the daemon reports READY=1; returns the milliseconds since ``spawn``. Raises ``Failed`` if the
        process ends or ``START_S`` pass before.
        """
        assert self._notify is not None
        until_s = self.started_s + START_S
        while (left_s := until_s - monotonic_s()) > 0:
            if select.select([self._notify], [], [], min(left_s, 0.1))[0]:
                if b"READY=1" in self._notify.recv(4096):
                    return (monotonic_s() - self.started_s) * 1000
            elif self._process is not None and self._process.poll() is not None:
                break
        raise Failed(f"the daemon does not serve: {self._log_tail()}")

    def start(self) -> float:
        """Start the process and wait until it is ready; returns the milliseconds this took. Raises ``Failed`` if it
        does not become ready.
        """
        self.spawn()
        return self.await_ready()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send signal ``number`` to the process and wait until it has ended. After ``STOP_S`` seconds it is killed with
        SIGKILL.
        """
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    def ended(self) -> int:
        """Wait until the process has ended by itself; returns its exit code. Raises ``subprocess.TimeoutExpired`` after
        ``STOP_S``.
        """
        assert self._process is not None
        return self._process.wait(STOP_S)

    @property
    def pid(self) -> int:
        """Process id of the running process."""
        assert self._process is not None
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor seconds that all threads of the daemon used so far. Raises ``Failed`` if it has died."""
        return cpu_s(self.pid)

    def rss_mib(self) -> float:
        """The daemon's resident memory, in MiB. Raises ``Failed`` if it has died."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.M)
        if found is None:
            raise Failed(f"the daemon died: {self._log_tail()}")
        return round(int(found[1]) / 1024, 1)

    def metrics(self) -> str:
        """Fetch the text of /metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self._web_port, timeout=METRICS_S)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a Prometheus metric: the sum of all its series that have these labels; 0 if there is
        none.
        """
        found = 0.0
        for line in re.findall(rf"^{re.escape(name)}(?:{{.*?}})? .*$", self.metrics(), re.M):
            head, value = line.rsplit(" ", 1)
            if all(f'{key}="{wanted}"' in head for key, wanted in labels.items()):
                found += float(value)
        return found

    def await_metric(self, name: str, least: float, within_s: float, **labels: str) -> float:
        """Wait until the Prometheus metric ``name`` is at least ``least``, at most ``within_s`` seconds; returns its
        value then. See ``metric``.
        """
        until_s = monotonic_s() + within_s
        while (value := self.metric(name, **labels)) < least and monotonic_s() < until_s:
            rest(0.05)
        return value

    def _log_tail(self) -> str:
        log = self.directory / "edged.log"
        return log.read_text(errors="replace")[-LOG_TAIL_CHARS:] if log.exists() else "no log"


def module(name: str) -> list[str]:
    """Return the command line that runs the Python module ``name`` as a process."""
    return [sys.executable, "-m", name]


def cpu_s(pid: int) -> float:
    """Processor seconds that all threads of process ``pid`` used so far. Raises ``Failed`` if the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError as error:
        raise Failed(f"process {pid} died: {error}") from None
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def histogram_quantile(text: str, name: str, share: float) -> float | None:
    """Compute the quantile ``share`` (0 to 1) of the Prometheus histogram ``name`` in ``text``, interpolated within its
    bucket; None if the histogram is empty.
    """
    pattern = re.compile(rf'^{re.escape(name)}_bucket{{le="([^"]+)"}} (\S+)$', re.M)
    buckets: list[tuple[float, float]] = [(float(le), float(count)) for le, count in pattern.findall(text)]
    if not buckets or buckets[-1][1] == 0:
        return None
    wanted, low, below = share * buckets[-1][1], 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            return (
                low
                if bound == float("inf")
                else low + (bound - low) * (wanted - below) / max(count - below, 1)
            )
        low, below = bound, count
    return low


def as_table(values: dict[str, Any]) -> str:
    """Format ``key = value`` lines of TOML. Values: strings, numbers, booleans and lists of strings."""
    lines = []
    for key, value in values.items():
        if isinstance(value, bool):
            lines.append(f"{key} = {str(value).lower()}")
        elif isinstance(value, str):
            lines.append(f'{key} = "{value}"')
        elif isinstance(value, list):
            lines.append(f"{key} = [{', '.join(f'{chr(34)}{one}{chr(34)}' for one in value)}]")
        else:
            lines.append(f"{key} = {value}")
    return "\n".join(lines)
