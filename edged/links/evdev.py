"""Keys of one USB keypad, scanner or knob as a byte stream: Linux's ``input_event`` records, undecoded.

Rules, besides those of ``reopening.py``: configure a stable path (``/dev/input/by-id/…``), never ``eventN``, which may
be another device after a restart. The device is grabbed (EVIOCGRAB), so that what is typed on it reaches no login
prompt; the grab ends when the device is closed. Nothing is ever written. Source: Linux, Documentation/input/input.rst,
and include/uapi/linux/input.h.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections.abc import Callable

from edged.links.chance import chance
from edged.links.reopening import ByteEnds, Reopening

EVIOCGRAB = 0x40044590  # _IOW('E', 0x90, int)
READ_MAX = 64 * 24  # what the kernel keeps for a slow reader


class EvdevLink(Reopening[asyncio.Transport]):
    """A read-only ``ByteLink`` on the input device at ``path``."""

    def __init__(self, path: str, jitter: Callable[[], float] = chance) -> None:
        super().__init__(path, jitter)
        self._path = path
        self._device = 0

    async def _open(self, ends: ByteEnds) -> asyncio.Transport:
        file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(file)
            if stat.S_ISCHR(about.st_mode):  # ENOTTY: no input device; EBUSY: grabbed by another program
                fcntl.ioctl(file, EVIOCGRAB, 1)
            elif not stat.S_ISFIFO(about.st_mode):
                raise OSError(25, "is no input device")
            self._device = about.st_ino
            return _InputTransport(file, ends)
        except BaseException:
            os.close(file)
            raise

    def _vanished(self) -> str:
        try:
            device = os.stat(self._path).st_ino
        except OSError:
            return "the device is gone"
        return "" if device == self._device else "another device is at this place"


class _InputTransport(asyncio.Transport):
    """Reads a file descriptor until it ends, and then closes it."""

    def __init__(self, file: int, ends: ByteEnds) -> None:
        super().__init__()
        self._file = file
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(file, self._readable)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """No-op: nothing is written."""

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        """Raise ``OSError``, because an input device cannot be written to."""
        raise OSError(9, "an input device takes nothing")

    def abort(self) -> None:
        """Close the device, which ends the grab."""
        self._close(None)

    def _readable(self) -> None:
        try:
            data = os.read(self._file, READ_MAX)
        except BlockingIOError:
            return
        except OSError as error:  # ENODEV: it was pulled
            self._close(error)
            return
        if data:
            self._ends.data_received(data)
        else:
            self._close(None)

    def _close(self, error: OSError | None) -> None:
        if self._file < 0:
            return
        self._loop.remove_reader(self._file)
        os.close(self._file)
        self._file = -1
        self._loop.call_soon(self._ends.connection_lost, error)
