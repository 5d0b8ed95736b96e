"""Cuts a stream of bytes into the frames of one bus. No I/O.

A frame is recognised by its own bytes alone: a bus has no marks between frames, and noise may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")
Look = Callable[[bytes, int], tuple[int, FrameT | None]]


class FrameCutter(Generic[FrameT]):
    """Finds frames in a stream. ``noise`` counts the bytes that belonged to none.

    ``look(data, start)`` gives length and frame at ``start``: (1, None) where none begins there, (0, None) where the
    bytes so far may be the beginning of one.
    """

    def __init__(self, look: Look[FrameT]) -> None:
        self._look = look
        self.noise = 0
        self._held = b""

    @property
    def holding(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[FrameT]:
        """The frames that ``data`` completes, in order."""
        frames: list[FrameT] = []
        held, start = self._held + data, 0
        while start < len(held):
            length, frame = self._look(held, start)
            if length == 0:
                break
            if frame is None:
                self.noise += 1
            else:
                frames.append(frame)
            start += length
        self._held = held[start:]
        return frames

    def gap(self) -> None:
        """The line fell silent: count bytes of an incomplete frame as noise."""
        self.noise += len(self._held)
        self._held = b""
