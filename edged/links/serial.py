"""A serial port (or pty) as a byte stream, on serialx. Rules, besides those of ``reopening.py``:

* Configure a stable path (``/dev/serial/by-path/…``). It is resolved anew whenever the port is opened, so an adapter
  that comes back as another ttyUSB is found. If the path no longer leads to the open port, the port counts as lost.
* 8 data bits, no parity, 1 stop bit, no flow control, raw. The port is locked (flock) against other programs that
  also lock. TIOCEXCL is not used: on a pty it would outlast a killed process and lock out the next one.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import serialx
from serialx.platforms.serial_linux import LinuxSerial, LinuxSerialTransport

from edged.links.chance import chance
from edged.links.reopening import ByteEnds, Reopening


class SerialLink(Reopening[LinuxSerialTransport]):
    """A ``ByteLink`` on the serial port at ``path``. ``baudrate`` in bits per second."""

    def __init__(self, path: str, *, baudrate: int, jitter: Callable[[], float] = chance) -> None:
        super().__init__(path, jitter)
        self._path = os.path.abspath(path)  # absolute: serialx reads anything with a scheme as something else
        self._baudrate = baudrate
        self._device = 0

    async def _open(self, ends: ByteEnds) -> LinuxSerialTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await serialx.create_serial_connection(
            loop,
            lambda: ends,
            self._path,
            baudrate=self._baudrate,
            exclusive=True,
            transport_cls=_Transport,
        )
        assert isinstance(transport, LinuxSerialTransport)
        self._device = os.fstat(transport.serial.fileno()).st_rdev
        return transport

    def _vanished(self) -> str:
        try:
            device = os.stat(self._path).st_rdev
        except OSError:
            return "the port is gone"
        return "" if device == self._device else "another port is at this place"

    def _discard(self, transport: LinuxSerialTransport) -> None:
        with suppress(OSError, serialx.SerialException):  # it is being closed anyway
            transport.serial.reset_write_buffer()


class _Port(LinuxSerial):
    """A serial port that keeps its receive buffer when it is opened. serialx clears it, and a key pressed then would be
    lost.
    """

    def _reconfigure_port(self, update: Any) -> None:
        flags = self._build_tcsetattr_flags()
        fd = self.fileno()
        try:
            cc = termios.tcgetattr(fd)[6]
            cc[termios.VMIN], cc[termios.VTIME] = flags.cc_vmin, flags.cc_vtime
            modes = [flags.iflag, flags.oflag, flags.cflag, flags.lflag]
            termios.tcsetattr(fd, termios.TCSANOW, [*modes, flags.ispeed, flags.ospeed, cc])
        except termios.error as error:
            raise OSError(*error.args) from None
        self._after_configure_port()


class _Transport(LinuxSerialTransport):
    _serial_cls = _Port
