"""Starts mosquitto for a simulated city and its halls with the shipped settings but other ports, paths and keys."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Iterable, Sequence
from importlib.resources import files

from edged.sim.broker import free_port
from edged.sim.city.processes import CityProcesses, PartMissing, accepts

PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # often not in PATH
# Settings of the shipped files that apply here, too.
LIMITS = (
    *(
        "message_size_limit",
        "max_queued_messages",
        "max_queued_bytes",
        "max_inflight_messages",
        "set_tcp_nodelay",
    ),
    *("autosave_on_changes", "autosave_interval"),
)
WITHOUT = ("bridge_cafile", "bridge_certfile", "bridge_keyfile", "addresses", "restart_timeout")


def mosquitto_path() -> str | None:
    """The path of mosquitto, or None if it is not installed."""
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


class CityMosquitto:
    """A mosquitto on 127.0.0.1 that can be started and killed repeatedly on the same port. It stores its messages on
    disk.
    """

    def __init__(self, programs: CityProcesses, name: str, shipped: str, more: Iterable[str] = ()) -> None:
        """``shipped``: the file in configs/mosquitto from which limits and intervals are taken. ``more``: further lines
        for the configuration file.
        """
        self.port = free_port()
        self._programs = programs
        self._name = name
        folder = programs.folder / name
        folder.mkdir()
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            "log_type error",
        ]
        lines += [f"persistence_location {folder}/", *(["user root"] if os.geteuid() == 0 else [])]
        lines += [line for line in shipped_lines(shipped) if line.split()[0] in LIMITS]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start mosquitto and wait until it accepts connections. Raises ``PartMissing`` if mosquitto is not installed
        or does not start.
        """
        program = mosquitto_path()
        if program is None:
            raise PartMissing(
                "mosquitto is not installed (Debian: apt-get install mosquitto) / 未安装 mosquitto"
            )
        self._process = await self._programs.start(program, "-c", self._config, log=f"{self._name}.log")
        await accepts(self._process, self.port, self._name)

    async def kill(self) -> None:
        """Kill mosquitto with SIGKILL, as a power cut would."""
        assert self._process is not None
        await self._programs.end(self._process, signal.SIGKILL)


def shipped_lines(name: str) -> list[str]:
    """The lines of a file of configs/mosquitto, without comments and empty ones."""
    text = files("configs").joinpath("mosquitto", name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def bridge_lines(hall: str, group: str, ports: Sequence[int]) -> list[str]:
    """Return the shipped bridge settings with the names ``hall`` and ``group``. The bridge connects without TLS to the
    city's brokers at ``ports`` of this machine.
    """
    lines = [line for line in shipped_lines("bridge.conf") if line.split()[0] not in WITHOUT]
    own = "\n".join(lines).replace("river-city", group)
    own = re.sub(r"\beast\b", hall, own)
    at = " ".join(f"127.0.0.1:{port}" for port in ports)
    connection, *rest = own.splitlines()
    return [connection, f"addresses {at}", "restart_timeout 1 2", *rest]
