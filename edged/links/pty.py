"""Serial ports without hardware: a pty pair whose slave has a fixed path. Rules:

* The fixed path (``place``) is a symlink, as udev makes them. ``plug`` points it to a new pty in one rename; ``unplug``
  removes it and hangs the pty up, which is what a program sees when a USB adapter is pulled.
* The pty is in raw mode from the first byte. The slave stays open here as well, because the kernel resets a pty's line
  discipline (echo, line buffering) when the last program closes it.
* The device's end is a ``ByteLink`` on the master; faults, if any, apply to what the device sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from edged.core.model.losses import Loss
from edged.driver import Unreachable
from edged.links.memory import Delivery, Mangler, WireFaults

READ_MAX = 4096  # bytes at once: the size of the kernel's pty buffer
UNREAD_MAX = (
    64 * 1024
)  # bytes waiting for a program that does not read; then they are lost, as on a real wire
NAME_MAX_TRIES = 100


class Pty:
    """A serial port that can be plugged and unplugged. ``path`` (the symlink ``place`` as text) is what a program
    opens. Begin with ``plug``; ``run`` serves the device's end.
    """

    def __init__(self, place: Path | str, faults: WireFaults | None = None, seed: int = 0) -> None:
        self.place = Path(place)
        self.path = str(self.place)
        self.lost = 0  # bytes that no program read
        self._mangler = Mangler(faults or WireFaults(), seed)
        self._delivery = Delivery(self._to_program)
        self._fds: tuple[int, int] | None = None  # master, slave
        self._frozen: list[
            tuple[int, int]
        ] = []  # pulled without an event; at most one per unplug, until close
        self._unread = bytearray()
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_state: Callable[[bool, Loss], None] | None = None

    @property
    def plugged(self) -> bool:
        """Whether the port exists now: it was plugged and not unplugged since."""
        return self._fds is not None

    @property
    def unread(self) -> int:
        """Number of bytes sent by the device that no program has read yet."""
        if self._fds is None:
            return 0
        count = fcntl.ioctl(self._fds[1], termios.FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder) + len(self._unread)

    @property
    def slave(self) -> str:
        """The present path of the slave (``/dev/pts/…``). Only while plugged."""
        assert self._fds is not None
        return os.ttyname(self._fds[1])

    def plug(self) -> str:
        """Create the port, under a new number each time, and point ``place`` to it; returns the slave's path."""
        if self._fds is None:
            self._fds = _open_raw_pty()
            os.set_blocking(self._fds[0], False)
            self._listen()
        _point(self.place, self.slave)
        if self._on_state is not None:
            self._on_state(True, Loss("", "plugged"))
        return self.slave

    def unplug(self, *, freeze: bool = False) -> None:
        """Simulate that the USB adapter is pulled. ``freeze``: the path disappears, but a program that has the port
        open gets no event until this object is closed.
        """
        if self._fds is not None:
            self._mute()
            self._delivery.clear()
            with contextlib.suppress(FileNotFoundError):
                self.place.unlink()
            if freeze:
                self._frozen.append(self._fds)
            else:
                _close(self._fds)
            self._fds = None
            if self._on_state is not None:
                self._on_state(False, Loss("port-missing", "unplugged"))

    def replug(self) -> str:
        """Unplug the port and plug it in again, under a new number; returns the slave's path."""
        held: list[tuple[int, int]] = []
        before = self.slave if self.plugged else ""
        self.unplug()
        for _ in range(NAME_MAX_TRIES):  # the kernel gives the lowest free number: take it away
            fds = _open_raw_pty()
            held.append(fds)
            if os.ttyname(fds[1]) != before:
                break
        self._fds = held.pop()
        os.set_blocking(self._fds[0], False)
        self._listen()
        for fds in held:
            _close(fds)
        return self.plug()

    def close(self) -> None:
        """Close everything and remove the symlink."""
        self.unplug()
        while self._frozen:
            _close(self._frozen.pop())

    async def run(self, on_bytes: Callable[[bytes], None], on_state: Callable[[bool, Loss], None]) -> None:
        """Serve the device's end until cancelled: pass on what the program sends, report plug and unplug."""
        self._on_bytes, self._on_state = on_bytes, on_state
        try:
            self._listen()
            on_state(
                self.plugged,
                Loss("" if self.plugged else "port-missing", "plugged" if self.plugged else "unplugged"),
            )
            await asyncio.get_running_loop().create_future()  # for ever
        finally:
            self._mute()
            self._on_bytes = self._on_state = None

    async def write(self, data: bytes) -> None:
        """Send bytes as the device. Raises ``Unreachable`` while unplugged."""
        if not self.plugged:
            raise Unreachable("unplugged")
        self.send(data)

    def send(self, data: bytes) -> None:
        """Send bytes as the device, whether or not a program reads them. They are lost while unplugged, and beyond
        ``UNREAD_MAX`` unread bytes.
        """
        for delay_s, piece in self._mangler.pieces(data):
            if delay_s > 0:
                self._delivery.put(delay_s, piece)
            else:
                self._to_program(piece)

    def reopen(self, why: Loss) -> None:
        """No-op, because a device does not reopen its port."""

    def _listen(self) -> None:
        if self._fds is not None and self._on_bytes is not None:
            asyncio.get_running_loop().add_reader(self._fds[0], self._readable)

    def _mute(self) -> None:
        self._unread.clear()
        if self._fds is not None and self._on_bytes is not None:
            asyncio.get_running_loop().remove_reader(self._fds[0])
            asyncio.get_running_loop().remove_writer(self._fds[0])

    def _readable(self) -> None:
        assert self._fds is not None
        try:
            data = os.read(self._fds[0], READ_MAX)
        except (BlockingIOError, InterruptedError):
            return
        if self._on_bytes is not None and data:
            self._on_bytes(data)

    def _to_program(self, data: bytes) -> None:
        if self._fds is None:
            return
        if len(self._unread) + len(data) > UNREAD_MAX:
            self.lost += len(data)
            return
        waiting = bool(self._unread)
        self._unread += data
        if not waiting:
            self._flush()

    def _flush(self) -> None:
        assert self._fds is not None
        with contextlib.suppress(BlockingIOError, InterruptedError):
            del self._unread[: os.write(self._fds[0], self._unread)]
        loop = asyncio.get_running_loop()
        if self._unread:
            loop.add_writer(self._fds[0], self._flush)
        else:
            loop.remove_writer(self._fds[0])


def _open_raw_pty() -> tuple[int, int]:
    master, slave = os.openpty()
    tty.setraw(slave)
    return master, slave


def _close(fds: tuple[int, int]) -> None:
    for fd in fds:
        os.close(fd)


def _point(place: Path, target: str) -> None:
    """Replace the symlink ``place`` in one rename, so that it always points to the old or the new target."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(place.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(place)
