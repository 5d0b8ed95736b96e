"""Brokers that a bench starts for itself: mosquitto with its defaults, mosquitto with TCP_NODELAY, or the demo's
amqtt.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from edged.bench.children import STOP_S, Failed
from edged.bench.meter import rest
from edged.bench.plug import Address
from edged.clock import monotonic_s
from edged.sim.broker import USERNAME, free_port
from edged.sim.city.mosquittos import mosquitto_path

START_S = 15.0


class OwnBroker:
    """A broker process on 127.0.0.1 that can be started and killed repeatedly: its port stays the same, its data are
    lost.
    """

    def __init__(self, directory: Path, *, no_delay: bool = False) -> None:
        """``no_delay``: set ``set_tcp_nodelay true``; otherwise mosquitto has its defaults. amqtt, used if mosquitto is
        not installed, has no such setting.
        """
        self.port = free_port()
        program = mosquitto_path()
        self.kind = "mosquitto" if program is not None else "amqtt"
        self.delay = "set_tcp_nodelay true" if no_delay and program is not None else "default settings"
        if program is not None:
            config = directory / f"mosquitto-{self.port}.conf"
            lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "log_type error"]
            lines += ["user root"] if os.geteuid() == 0 else []
            lines += ["set_tcp_nodelay true"] if no_delay else []
            config.write_text("\n".join(lines) + "\n", encoding="utf-8")
            self._command = [program, "-c", str(config)]
        else:
            child = ["-m", "edged.sim.broker", "--port", str(self.port), "--parent", str(os.getpid())]
            self._command = [sys.executable, *child]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        """The broker's address for clients."""
        mosquitto = self.kind == "mosquitto"
        name = None if mosquitto else USERNAME
        return Address("127.0.0.1", self.port, name, protocol="5" if mosquitto else "3.1.1")

    def spawn(self) -> None:
        """Start the broker's process; does not wait until it listens."""
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603 (mosquitto from the system's folders, or ourselves)
            self._command, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing
        )

    def await_accepting(self) -> float:
        """Wait until the broker accepts connections; returns the time at which it did, in seconds of
        ``edged.clock.monotonic_s``. Raises ``Failed`` if the process ends or ``START_S`` pass.
        """
        until_s = monotonic_s() + START_S
        while monotonic_s() < until_s:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return monotonic_s()
            assert self._process is not None
            if self._process.poll() is not None:
                break
            rest(0.002)
        self.kill()
        raise Failed(f"the bench's own broker ({self.kind}) does not start")

    def start(self) -> None:
        """Start the process and wait until it accepts connections. Raises ``Failed`` if it does not."""
        self.spawn()
        self.await_accepting()

    def kill(self) -> None:
        """Kill the broker with SIGKILL, as a power cut would; nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(STOP_S)
            if process.stdin is not None:
                process.stdin.close()
