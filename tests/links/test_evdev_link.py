"""The descriptor of a keypad: for this process alone, never waited for, closed once, and nothing is written to it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from edged.links.evdev import EvdevLink
from edged.links.reopening import ByteEnds
from tests.support.brokers import until


async def test_a_keypad_is_read_and_its_descriptor_closed_once(tmp_path: Path) -> None:
    place, received = tmp_path / "keys", bytearray()
    os.mkfifo(place)
    far = os.open(place, os.O_RDWR | os.O_NONBLOCK)
    ends = ByteEnds(received.extend)
    transport: Any = await EvdevLink(str(place))._open(ends)
    try:
        number = transport._file
        assert fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        assert (flags & os.O_ACCMODE, bool(flags & os.O_NONBLOCK)) == (os.O_RDONLY, True)
        os.write(far, b"abc")
        await until(lambda: bytes(received) == b"abc")
        with pytest.raises(OSError, match="takes nothing"):
            transport.write(b"x")
        transport.abort()
        transport.abort()
        await until(ends.closed.is_set)
        assert ends.ended.result().word == "closed"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
    finally:
        os.close(far)


async def test_a_file_that_is_no_input_device_is_closed_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="is no input device"):
        await EvdevLink(str(file))._open(ByteEnds(lambda _data: None))
    assert len(os.listdir("/proc/self/fd")) == before
