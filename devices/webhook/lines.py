"""The messages between the daemon and `edged pager` on their socket: JSON, one object per line; no I/O."""

from __future__ import annotations

import json
from typing import Any

from edged.strict_json import NotStrictJson, parse

LINE_BYTES_MAX = 16 * 1024
UNDELIVERED = "undelivered"  # begins the error of a page that reached no vendor: it may be offered again


class LineReader:
    """Cuts a byte stream into JSON objects, one per line. ``garbled``: the number of lines that were no valid
    object.
    """

    def __init__(self) -> None:
        self.garbled = 0
        self._held = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Add received bytes; returns the objects that are complete now."""
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > LINE_BYTES_MAX:
            self._held = b""
            self.garbled += 1
        return [found for line in lines if line.strip() and (found := self._parsed(line)) is not None]

    def _parsed(self, line: bytes) -> dict[str, Any] | None:
        try:
            return parse(line, LINE_BYTES_MAX, None)
        except NotStrictJson:
            self.garbled += 1
            return None


def line(**fields: Any) -> bytes:
    """Encode these fields as one line: a JSON object and a line break."""
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
