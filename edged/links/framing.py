"""Cuts a byte stream into frames. No I/O.

The stream does not mark where a frame begins, and noise may come between frames. So a frame is recognised only by its
content, such as its length and checksum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")
Parse = Callable[[bytes, int], tuple[int, FrameT | None]]


class FrameCutter(Generic[FrameT]):
    """Finds frames in a byte stream. ``noise`` counts the bytes that belonged to no frame.

    ``parse(data, start)`` looks for a frame that begins at offset ``start`` and returns its length and the frame; (1,
    None): no frame begins there, skip this byte; (0, None): more bytes are needed to decide.
    """

    def __init__(self, parse: Parse[FrameT]) -> None:
        self._parse = parse
        self.noise = 0
        self._held = b""

    @property
    def holding(self) -> bool:
        """Whether bytes are kept that may be the beginning of a frame."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[FrameT]:
        """Add received bytes; returns the frames that are complete now, in order."""
        frames: list[FrameT] = []
        held, start = self._held + data, 0
        while start < len(held):
            length, frame = self._parse(held, start)
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
        """Drop the bytes of an incomplete frame and count them as noise, because the line fell silent."""
        self.noise += len(self._held)
        self._held = b""
