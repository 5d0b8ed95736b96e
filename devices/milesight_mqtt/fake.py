"""A fake people counter with the report formats of the VS125 and VS135, and faults seen in the field.

It only makes the payloads. Whoever uses it publishes them, sometimes twice, as MQTT with QoS 1 may deliver them.
Entering and leaving are as the sensor sees them, whichever way it is mounted.
"""

from __future__ import annotations

import json
from typing import Any, Literal

UUID = "00000000-0000-4000-8000-000000000001"


class FakeMilesight:
    """One simulated camera with one counting line. ``shape``: the report format; that of the VS125 nests the counts
    under ``total``, that of the VS135 does not.
    """

    def __init__(self, shape: Literal["VS125", "VS135"] = "VS125", serial: str = "6000000000000001") -> None:
        self.shape = shape
        self.serial = serial
        self.entered = 0
        self.left = 0
        self.minute = 0
        self.frozen_clock = False
        self._window = (0, 0)

    def passed(self, entered: int = 0, left: int = 0) -> None:
        """Let people cross the line."""
        self.entered += entered
        self.left += left
        self._window = (self._window[0] + entered, self._window[1] + left)

    def trigger(self, entered: int = 0, left: int = 0) -> bytes:
        """Let people cross the line; returns the report that the camera sends immediately."""
        self.passed(entered, left)
        return self._report(
            {"line_trigger_data": [self._item({"in": entered, "out": left})]}, {"time": self._time()}
        )

    def periodic(self, with_total: bool = True) -> bytes:
        """Return the report at the end of a minute: the people counted in that minute and, with ``with_total``, the
        totals since the counter's last reset.
        """
        start = self._time()
        if not self.frozen_clock:
            self.minute += 1
        entered, left = self._window
        self._window = (0, 0)
        body: dict[str, Any] = {"line_periodic_data": [self._item({"in": entered, "out": left})]}
        if with_total:
            counts = {"in_counted": self.entered, "out_counted": self.left}
            body["line_total_data"] = [self._item(counts | {"capacity_counted": self.entered - self.left})]
        return self._report(body, {"start_time": start, "end_time": self._time()})

    def _item(self, counts: dict[str, int]) -> dict[str, Any]:
        line: dict[str, Any] = {"line": 1, "line_name": "Line1", "line_uuid": UUID}
        return line | ({"total": counts} if self.shape == "VS125" else counts)

    def _report(self, body: dict[str, Any], times: dict[str, str]) -> bytes:
        about = {
            "device_sn": self.serial,
            "device_name": "People Counter",
            "firmware_version": f"V_{self.shape[2:]}.1.0",
        }
        return json.dumps({"device_info": about, "time_info": times} | body).encode()

    def _time(self) -> str:
        return f"2026-11-23T{8 + self.minute // 60:02d}:{self.minute % 60:02d}:00+08:00"
