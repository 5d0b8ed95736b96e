"""Simulated counters of each vendor, over real HTTP, with faults seen in the field.

``FakeHttpCounter`` only makes the reports: its owner sends them with ``post``, and as cameras do sends a report that
was not answered with 200 again, unchanged. With the same seed the same invalid reports come.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from devices.http_counter.codec import Kind, Vendor

TIMEOUT_S = 30.0
ODD = (b"", b"{", b"\xff\xfe\x00", b"<EventNotificationAlert>", b'{"in":-1,"out":true}', b"[" * 50)
Mood = Literal["well", "busy", "portal", "moved", "locked"]


class FakeHttpCounter:
    """One simulated counter. ``passed`` lets people cross its line; ``report`` returns the next report.
    ``frozen_clock``: its clock stands still.
    """

    def __init__(self, vendor: Vendor, kind: Kind, seed: int = 0) -> None:
        self.vendor = vendor
        self.kind = kind
        self.entered = self.left = 0
        self.frozen_clock = False
        self._chance = random.Random(seed)
        self._window = (0, 0)
        self._minute = 0
        self._track = 0

    def passed(self, entered: int = 0, left: int = 0) -> None:
        """Let people cross the line."""
        self.entered, self.left = self.entered + entered, self.left + left
        self._window = (self._window[0] + entered, self._window[1] + left)

    def restart(self) -> None:
        """Switch the counter off and on: its totals start again at 0."""
        self.entered = self.left = 0

    def odd(self) -> bytes:
        """Return random bytes that are no valid report."""
        return self._chance.choice(ODD) + self._chance.randbytes(self._chance.randrange(8))

    def report(self) -> bytes:
        """Return the next report. What it contains depends on vendor and ``kind``: totals since the restart, or what
        was counted since the report before.
        """
        begin = self._minute
        self._minute += not self.frozen_clock
        (entered, left), self._window = self._window, (0, 0)
        times = [f"2026-11-30T{8 + at // 60:02d}:{at % 60:02d}:00" for at in (begin, begin + 1)]
        match self.vendor:
            case "hikvision":
                return self._hikvision(entered, left, times)
            case "dahua":
                sums = {"Entered": self.entered, "Exited": self.left}
                lines = [f"summary.{side}Subtotal.Total={number}" for side, number in sums.items()]
                return "\r\n".join(["summary.Channel=0", *lines, "summary.RuleName=NumberStat"]).encode()
            case "terabee":
                found: Any = {"count_in": self.entered, "count_out": self.left, "device_id": "020000000001"}
            case "axis":
                found = self._axis(entered, left, times)
            case "xovis":
                found = self._xovis(entered, left, begin)
        return json.dumps(found).encode()

    def _hikvision(self, entered: int, left: int, times: list[str]) -> bytes:
        method, span = "realTime", f"<RealTime><time>{times[1]}</time></RealTime>"
        if self.kind == "window":
            span = f"<TimeRange><startTime>{times[0]}</startTime><endTime>{times[1]}</endTime></TimeRange>"
            method = "timeRange"
        else:
            entered, left = self.entered, self.left
        document = (
            '<?xml version="1.0"?><EventNotificationAlert xmlns="http://www.hikvision.com/ver20/XMLSchema">'
            "<channelID>1</channelID><eventType>PeopleCounting</eventType><eventState>active</eventState>"
            f"<peopleCounting><statisticalMethods>{method}</statisticalMethods>{span}<enter>{entered}</enter>"
            f"<exit>{left}</exit><regionsID>1</regionsID></peopleCounting></EventNotificationAlert>"
        )
        return document.encode()

    def _axis(self, entered: int, left: int, times: list[str]) -> dict[str, Any]:
        if self.kind == "total":
            return {"serial": "020000000001", "timestamp": "20261130", "in": self.entered, "out": self.left}
        items = [{"direction": "in", "count": entered}, {"direction": "out", "count": left}]
        measured = {"kind": "people-counts", "utcFrom": times[0], "utcTo": times[1], "items": items}
        return {"apiName": "Axis Retail Data", "apiVersion": "0.4", "data": {"measurements": [measured]}}

    def _xovis(self, entered: int, left: int, minute: int) -> dict[str, Any]:
        if self.kind == "window":
            counts = [{"name": "fw", "value": entered}, {"name": "bw", "value": left}]
            record = {"from": minute * 60_000, "to": (minute + 1) * 60_000, "counts": counts}
            return {"logics_data": {"logics": [{"id": 2, "name": "Line 0", "records": [record]}]}}
        events = []
        for word, number in (("FORWARD", entered), ("BACKWARD", left)):
            for _ in range(number):
                self._track += 1
                about = {"track_id": self._track, "sequence_number": 0, "geometry_id": 2}
                events.append({"category": "SCENE", "type": f"LINE_CROSS_{word}", "attributes": about})
        return {"live_data": {"frames": [{"time": minute, "tracked_objects": [], "events": events}]}}


def post(port: int, path: str, body: bytes, user: str = "", secret: str = "", cut: int | None = None) -> int:
    """Post ``body`` to http://127.0.0.1 with Basic authentication, as a camera does; returns the HTTP status. ``cut``:
    close the connection after so many bytes of ``body``, and return 0.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        headers = {"Content-Type": "application/xml"}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
        if cut is not None:
            connection.putrequest("POST", path)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                connection.putheader(name, value)
            connection.endheaders(body[:cut])
            return 0
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


class FakePolledCounter:
    """The web server of a counter that is polled: Basic authentication, an ETag, and faults on demand (``mood``).
    ``asked``: number of GETs with the right password.
    """

    def __init__(self, counter: FakeHttpCounter, user: str, secret: str) -> None:
        self.counter = counter
        self.mood: Mood = "well"
        self.asked = 0
        self.unchanged = 0
        self.turned_away = 0
        self._wanted = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve within the ``with`` block; yields the URL."""
        fake = self

        class PollHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), PollHandler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/count"
        finally:
            server.shutdown()
            server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.mood == "locked" or request.headers.get("Authorization") != self._wanted:
            self.turned_away += 1
            return self._respond(request, 401, {"WWW-Authenticate": 'Basic realm="x"'})
        self.asked += 1
        if self.mood == "busy":
            return self._respond(request, 503, {"Retry-After": "1"})
        if self.mood == "moved":
            return self._respond(request, 302, {"Location": "http://192.0.2.1/"})
        body = b"<html>please log in</html>" if self.mood == "portal" else self.counter.report()
        tag = f'"{sha256(body).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == tag:
            self.unchanged += 1
            return self._respond(request, 304, {"ETag": tag})
        return self._respond(request, 200, {"ETag": tag}, body)

    def _respond(
        self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b""
    ) -> None:
        request.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
