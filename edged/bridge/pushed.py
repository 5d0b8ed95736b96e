"""Receives rows from a system that pushes them as JSON over a WebSocket, in a thread.

A message is an object whose field ``kind_field`` names a view. The row is the object itself, or its ``data``: an object
or a list. A list also replaces the whole content of its view. Messages pushed while the connection is down are lost;
only whole lists (``waiting``) correct that, so configure one if the system offers it.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from edged.bridge.messages import ROWS_MAX, Key, Row
from edged.bridge.settings import ReportTable
from edged.bridge.sources import WHOLE_ROWS_MAX, SourceAway, columns, first_words, in_order, key_of

MESSAGE_BYTES_MAX = 1 << 20
KEPT_MAX = 4 * ROWS_MAX  # rows of one view that nobody has read; a hall calls a few a minute
VIEWS_MAX = 50
OPEN_S = 5.0  # real seconds
CLOSE_S = 0.5
RETRY_S = 2.0  # real seconds; a hall can do without calls for three


class WebSocketSource:
    """A ``Source`` of rows that the other system pushes over one WebSocket. If the connection is lost it connects
    again, for ever.
    """

    def __init__(self, url: str, kind_field: str) -> None:
        """Start connecting. Raises ``ValueError`` if ``url`` is no ws:// or wss:// address."""
        if urlsplit(url).scheme not in ("ws", "wss") or not urlsplit(url).hostname:
            raise ValueError("url_file holds no ws:// or wss:// address in its first line")
        self._url = url
        self._kind_field = kind_field
        self._lock = threading.Lock()
        self._rows: dict[str, deque[Row]] = {}
        self._lists: dict[str, list[Row]] = {}
        self._fault = "not connected yet"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="websocket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. Needed by tests only: the thread ends with the process."""
        self._closing.set()
        self._thread.join()

    def rows(self, report: ReportTable, floor: Key | None) -> list[Row]:
        keyed = self._keyed(report)
        wanted = [row for key, row in keyed if floor is None or (type(key) is type(floor) and key >= floor)]  # type: ignore[operator]
        return wanted[:ROWS_MAX]

    def newest(self, report: ReportTable) -> list[Row]:
        """Always []: a system that pushes sends nothing about the past."""
        return []

    def whole(self, report: ReportTable) -> list[Row]:
        with self._lock:
            self._check()
            found = self._lists.get(report.view)
        if found is None:
            raise SourceAway(f"has not told its list {report.view} yet")
        rows = [{name: row.get(name) for name in columns(report)} for row in found]
        return in_order(rows, report)[:WHOLE_ROWS_MAX]

    def _keyed(self, report: ReportTable) -> list[tuple[Key, Row]]:
        assert report.key is not None
        with self._lock:
            self._check()
            rows = list(self._rows.get(report.view, ()))
        names = columns(report)
        found = []
        for row in rows:
            key = key_of(row.get(report.key))
            if key is not None:
                found.append((key, {name: row.get(name) for name in names} | {report.key: key}))
        return sorted(found, key=lambda one: (not isinstance(one[0], int), one[0]))

    def _check(self) -> None:
        if self._fault:
            raise SourceAway(self._fault)

    def _listen(self) -> None:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        while not self._closing.is_set():
            try:
                with connect(
                    self._url,
                    open_timeout=OPEN_S,
                    close_timeout=CLOSE_S,
                    max_size=MESSAGE_BYTES_MAX,
                    proxy=None,
                ) as wire:
                    self._stands("")
                    while not self._closing.is_set():
                        try:
                            self._take(wire.recv(timeout=RETRY_S))
                        except TimeoutError:
                            continue
            except (WebSocketException, OSError, ValueError) as error:
                self._stands(first_words(error))
            self._closing.wait(RETRY_S)

    def _stands(self, fault: str) -> None:
        with self._lock:
            self._fault = fault
            if fault:
                self._lists.clear()  # outdated; the system pushes new lists after a connection

    def _take(self, message: str | bytes) -> None:
        try:
            document: Any = json.loads(message)
        except (ValueError, RecursionError):
            return  # not a view of ours: the WebSocket may carry other messages, too
        view = document.get(self._kind_field) if isinstance(document, dict) else None
        if not isinstance(view, str) or len(view) > 200:
            return
        held = document.get("data", document)
        rows = [row for row in (held if isinstance(held, list) else [held]) if isinstance(row, dict)]
        with self._lock:
            if view not in self._rows and len(self._rows) >= VIEWS_MAX:
                return
            self._rows.setdefault(view, deque(maxlen=KEPT_MAX)).extend(rows[:KEPT_MAX])
            if isinstance(held, list):
                self._lists[view] = rows
