"""The serial link on real ptys: bytes both ways, unplug and replug, a frozen adapter, a port that is taken."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from edged.clock import monotonic_s
from edged.core.model.losses import Loss
from edged.driver import Refused, Unreachable
from edged.links import ByteLink, reopening
from edged.links.pty import Pty
from edged.links.reopening import WRITE_BYTES_MAX
from edged.links.serial import SerialLink

DEADLINE_S = 6.0
REPLUG_S = 3.0  # what a hall is promised


class WireObserver:
    """Collects the bytes and the connection states that a link reports, with reason and time of each change."""

    def __init__(self) -> None:
        self.bytes = b""
        self.states: list[bool] = []
        self.reasons: list[str] = []
        self.at_s: list[float] = []

    def receive(self, data: bytes) -> None:
        self.bytes += data

    def state_changed(self, up: bool, why: Loss) -> None:
        self.states.append(up)
        self.reasons.append(why.detail)
        self.at_s.append(monotonic_s())


class DescriptorObserver(WireObserver):
    """Records, beside that, which ptys this process has open at every change of state."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptors: list[set[str]] = []

    def state_changed(self, up: bool, why: Loss) -> None:
        self.descriptors.append(open_fds())
        super().state_changed(up, why)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds; after ``DEADLINE_S`` fail with the text ``what``."""
    deadline_s = monotonic_s() + DEADLINE_S
    while not condition():
        assert monotonic_s() < deadline_s, what
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(*lives: tuple[ByteLink, WireObserver]) -> AsyncIterator[None]:
    """Run each link with its observer while the context is open."""
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(wire.run(observer.receive, observer.state_changed)) for wire, observer in lives
        ]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Pty]:
    pty = Pty(tmp_path / "by-path" / "usb-1")
    yield pty
    pty.close()


def open_fds() -> set[str]:
    """Return the ptys that this process has open."""
    names = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{fd}")
            if target.startswith("/dev/pts/"):
                names.add(f"{fd}:{target}")
    return names


async def test_every_byte_value_passes_both_ways(port: Pty) -> None:
    port.plug()
    everything = bytes(range(256)) * 3
    link, here, there = SerialLink(port.path, baudrate=57600), WireObserver(), WireObserver()
    async with running((port, there), (link, here)):
        await until(lambda: link.connected, "never opened")
        await link.write(everything)
        await port.write(everything)
        await until(lambda: there.bytes == here.bytes == everything, "bytes were changed or lost")
    assert here.states == [True]


async def test_bytes_that_arrived_before_the_port_is_configured_are_kept(port: Pty) -> None:
    port.plug()
    port.send(b"\x01\x21\x31\x07")  # waits in the kernel, as a key pressed while the port is being opened
    link, here = SerialLink(port.path, baudrate=57600), WireObserver()
    async with running((link, here)):
        await until(lambda: here.bytes == b"\x01\x21\x31\x07", "the key was flushed")
    assert here.bytes == b"\x01\x21\x31\x07"


async def test_an_absent_serial_port_is_reported_once_and_opened_when_it_appears(port: Pty) -> None:
    link, here = SerialLink(port.path, baudrate=9600, jitter=lambda: 0.0), WireObserver()
    async with running((link, here)):
        await until(lambda: here.states == [False], "absence was not told")
        with pytest.raises(Unreachable, match="No such file"):
            await link.write(b"x")
        await asyncio.sleep(0.5)  # several tries later
        assert here.states == [False]
        port.plug()
        plugged_s = monotonic_s()
        await until(lambda: here.states == [False, True], "never opened")
        assert here.at_s[-1] - plugged_s < REPLUG_S


async def test_a_port_replugged_under_a_new_name_is_reopened_within_three_seconds(port: Pty) -> None:
    first = port.plug()
    link, here, there = (
        SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0),
        WireObserver(),
        WireObserver(),
    )
    async with running((port, there), (link, here)):
        for round_number in range(4):
            await until(lambda: link.connected, "not open")
            before = len(here.states)
            second = port.replug()
            replugged_s = monotonic_s()
            assert second != first
            await until(lambda: here.states[before:] == [False, True], "not reopened")
            assert here.at_s[-1] - replugged_s < REPLUG_S
            await link.write(bytes((round_number,)))
            await until(lambda: there.bytes.endswith(bytes((round_number,))), "the new port is deaf")
            await port.write(b"k")
            await until(lambda: here.bytes == b"k" * (round_number + 1), "the new port is mute")
            first = second
    assert here.states == [True, *[False, True] * 4]


async def test_the_old_descriptor_is_closed_before_the_new_one_opens(port: Pty) -> None:
    port.plug()
    link, here = SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0), DescriptorObserver()
    seen = here.descriptors
    async with running((link, here)):
        await until(lambda: link.connected, "not open")
        own_while_open = len(seen[0])
        port.unplug()
        await until(lambda: here.states == [True, False], "loss was not told")
        assert len(seen[1]) == own_while_open - 2  # the slave that the pty held, and ours
        for _ in range(20):
            port.replug()
            await until(lambda: link.connected, "not reopened")
        link.reopen(Loss("no-answer", "silent"))
        await until(lambda: here.states[-1] is False, "the wish to reopen was not heard")
        assert len(seen[-1]) == own_while_open - 1
        await until(lambda: link.connected, "not reopened")
        assert len(open_fds()) == own_while_open
    await until(lambda: len(open_fds()) == own_while_open - 1, "a descriptor leaked")


async def test_a_vanished_port_name_is_noticed_even_if_the_port_reports_no_error(port: Pty) -> None:
    port.plug()
    link, here = SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0), WireObserver()
    async with running((link, here)):
        await until(lambda: link.connected, "not open")
        port.unplug(freeze=True)
        gone_s = monotonic_s()
        await until(lambda: here.states == [True, False], "the frozen port was not noticed")
        assert here.at_s[-1] - gone_s < REPLUG_S
        assert here.reasons[-1] == "the port is gone"


async def test_a_symbolic_link_changed_to_another_port_is_followed(port: Pty) -> None:
    port.plug()
    link, here, there = (
        SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0),
        WireObserver(),
        WireObserver(),
    )
    other = Pty(port.place)  # the same place, as after a quick replug: the old port stays open and silent
    async with running((link, here), (other, there)):
        await until(lambda: link.connected, "not open")
        other.plug()
        await until(lambda: here.states == [True, False, True], "the new port was not followed")
        assert here.reasons[1] == "another port is at this place"
        await link.write(b"new")
        await until(lambda: there.bytes == b"new", "still writes to the old port")
    other.close()
    assert there.bytes == b"new"


async def test_a_driver_that_receives_nothing_can_have_the_port_reopened(port: Pty) -> None:
    port.plug()
    link, here = SerialLink(port.path, baudrate=57600), WireObserver()
    async with running((link, here)):
        await until(lambda: link.connected, "not open")
        link.reopen(Loss("no-answer", "silent"))
        link.reopen(Loss("no-answer", "silent again"))
        await until(lambda: here.states == [True, False, True], "not reopened")
    assert here.reasons == ["open", "silent", "open"]
    assert link.opened == 2


async def test_a_port_that_takes_no_bytes_is_unreachable_and_waiting_bytes_are_dropped(
    port: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "WRITE_S", 0.2)
    port.plug()  # nobody reads the other end: the kernel's buffer fills up
    link, here, there = (
        SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0),
        WireObserver(),
        WireObserver(),
    )
    async with running((link, here)):
        await until(lambda: link.connected, "not open")
        taken, failure = 0, None
        while failure is None and taken < 100:
            try:
                await link.write(b"old" * 1000)
                taken += 1
            except Unreachable as error:
                failure = str(error)
        assert failure == "takes no bytes"
        await until(lambda: here.states == [True, False, True], "not reopened")
        async with running((port, there)):
            await link.write(b"fresh")
            await until(lambda: there.bytes.endswith(b"fresh"), "stays deaf")
        # What the kernel had taken is the pty's; the rest of the frame that it had not must not follow.
        assert len(there.bytes) < (taken + 1) * 3000


async def test_a_port_that_another_program_holds_is_waited_for(port: Pty) -> None:
    port.plug()
    link, here = SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0), WireObserver()
    other = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    async with running((link, here)):
        await until(lambda: here.states == [False], "opened a port that is taken")
        assert "locked" in here.reasons[0]
        os.close(other)
        await until(lambda: here.states == [False, True], "not opened once it was free")
        second = WireObserver()
        rival = SerialLink(port.path, baudrate=57600)
        async with running((rival, second)):
            await until(lambda: second.states == [False], "two links opened one port")


@pytest.mark.parametrize("place", ["/dev/null", "/etc/hostname", "/", "relative-and-absent", "x" * 300])
async def test_opening_a_file_that_is_no_port_is_reported_as_a_failure(place: str) -> None:
    link, here = SerialLink(place, baudrate=57600), WireObserver()
    async with running((link, here)):
        await until(lambda: here.states == [False], "no failure was told")
        with pytest.raises(Unreachable):
            await link.write(b"x")
    assert here.reasons[0]


async def test_writes_are_refused_before_opening_after_stopping_and_above_the_size_limit(port: Pty) -> None:
    port.plug()
    link, here = SerialLink(port.path, baudrate=57600), WireObserver()
    with pytest.raises(Unreachable, match="not opened yet"):
        await link.write(b"x")
    async with running((link, here)):
        await until(lambda: link.connected, "not open")
        with pytest.raises(Refused):
            await link.write(bytes(WRITE_BYTES_MAX + 1))
    with pytest.raises(Unreachable, match="stopped"):
        await link.write(b"x")
    assert here.states == [True]  # stopping is no loss


async def test_frames_of_concurrent_writers_are_never_interleaved(port: Pty) -> None:
    port.plug()
    link, here, there = SerialLink(port.path, baudrate=57600), WireObserver(), WireObserver()
    async with running((port, there), (link, here)):
        await until(lambda: link.connected, "not open")
        async with asyncio.TaskGroup() as writers:
            for letter in b"abcdefgh":
                writers.create_task(link.write(bytes((letter,)) * 700))
        await until(lambda: len(there.bytes) == 5600, "bytes were lost")
    runs = [there.bytes[at : at + 700] for at in range(0, 5600, 700)]
    assert all(len(set(run)) == 1 for run in runs)


async def test_a_flapping_port_is_reopened_with_growing_pauses(port: Pty) -> None:
    port.plug()
    link, here = SerialLink(port.path, baudrate=57600, jitter=lambda: 0.0), WireObserver()
    async with running((link, here)):
        started_s = monotonic_s()
        while monotonic_s() - started_s < 1.5:
            link.reopen(Loss("closed", "flap"))
            await asyncio.sleep(0.01)
        assert 2 <= link.opened <= 6  # pauses of 0.1, 0.2, 0.4, 0.8 s
