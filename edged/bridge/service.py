"""The bridge as a process: it reads the source, stores the messages, sends them, and repeats. Rules:

1. Messages are on disk (``BridgeProgress``, replaced atomically) before they are sent, and are removed when the broker
   has acknowledged all of them. At a start the stored ones are sent again with the same numbers.
2. If the source cannot be read, the hall gets ``up/health`` with the fault; once it can be read again, one without a
   fault. If the bridge disappears, the broker publishes its will: ``up/status`` offline.
3. The first start skips the past: it begins at the newest row, and ``waiting`` gives the present queue.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiomqtt
import structlog

from edged.bridge.messages import ROWS_MAX, BridgeProgress, Oddities, floor, keys, mark, take, take_whole
from edged.bridge.pushed import WebSocketSource
from edged.bridge.settings import BridgeSettings
from edged.bridge.sources import HttpSource, Source, SourceAway, SqlSource
from edged.clock import monotonic_s
from edged.links.mqtt.publisher import ConnectionLog, publisher
from edged.links.mqtt.settings import MqttSettings, first_line
from edged.whole_file import whole_file

RETRY_BROKER_S = (0.5, 1.0, 2.0, 5.0)  # real seconds
SEND_S = 10.0  # real seconds for the broker's acknowledgement
GOODBYE_S = 1.0
PAGES_MAX = 20  # reads of one view in a row before the next view
log = structlog.get_logger("edged.bridge")


def source_of(settings: BridgeSettings) -> Source:
    """Make the source that ``settings`` describe. Raises ``OSError`` if the file with its address cannot be read,
    ``ValueError`` if that address cannot be used.
    """
    url = first_line(settings.url_file).strip()
    if settings.source == "websocket":
        return WebSocketSource(url, settings.kind_field)
    return SqlSource(url) if settings.source == "sql" else HttpSource(url)


class BridgeState:
    """Stores a ``BridgeProgress`` in a file."""

    def __init__(self, file: Path) -> None:
        """Read the file, or begin anew without one. Raises ``OSError`` or ``ValueError`` if it cannot be used: a new
        state would report visitors twice.
        """
        self._file = file
        try:
            self.progress = BridgeProgress.from_json(file.read_text("utf-8"))
        except FileNotFoundError:
            self.progress = BridgeProgress(boot=secrets.token_hex(8))

    def write(self) -> None:
        """Replace the file atomically (synced)."""
        with whole_file(self._file) as stream:
            stream.write(self.progress.to_json().encode())


class Bridge:
    """Reports one queue system to one hall: ``run`` until cancelled."""

    def __init__(self, settings: BridgeSettings, mqtt: MqttSettings, hall: str, source: Source) -> None:
        """Open the state file. Raises ``OSError`` or ``ValueError`` if it cannot be used."""
        self._settings = settings
        self._mqtt = mqtt
        self._root = f"hall/{hall}/dev/{settings.queue}/up"
        self._source = source
        self._kept = BridgeState(Path(settings.state))
        self._odd = Oddities()
        self._whole_from_s = 0.0
        self._fault: str | None = None
        self.sent = 0

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Read and send for ever; connect again when the broker is lost. ``ready`` is called at each connection."""
        outage = ConnectionLog("edged.bridge", "rows are read once the broker is back")
        tries = 0
        while True:
            try:
                async with self._broker() as client:
                    await self._publish(client, "status", '{"state":"online"}')
                    outage.connected()
                    tries = 0
                    ready()
                    await self._live(client)
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                outage.failed(error)
            await asyncio.sleep(RETRY_BROKER_S[min(tries, len(RETRY_BROKER_S) - 1)])
            tries += 1

    async def _live(self, client: aiomqtt.Client) -> None:
        self._fault = "?"  # unknown: an earlier process may have reported one, so report once in any case
        await self._send(client)
        while True:
            fault = None
            try:
                await self._read()
            except SourceAway as error:
                fault = f"queue system: {error}"
            await self._send(client)
            if fault != self._fault:
                payload = json.dumps({"paper": "unknown", "fault": fault}, ensure_ascii=False)
                await self._publish(client, "health", payload)
                if fault is None:
                    log.info("source-readable", effect="the hall gets reports again")
                else:
                    log.warning(
                        "source-unreadable",
                        fault=fault,
                        effect="the hall gets no reports until it can be read",
                        remedy="check that the queue system runs, and its address and password in bridge.toml",
                    )
                self._fault = fault
            await asyncio.sleep(self._settings.every_s)

    async def _read(self) -> None:
        """Read every view in a thread. If cancelled, wait until the thread has ended, because it writes the state file,
        which the next bridge reads. Raises ``SourceAway`` if the other system cannot be read.
        """
        reading = asyncio.get_running_loop().run_in_executor(None, self._read_views)
        try:
            await asyncio.shield(reading)
        finally:
            await asyncio.wait([reading])

    def _read_views(self) -> None:
        """Read every view once, and store the messages that follow. Raises ``SourceAway`` if the other system cannot be
        read.
        """
        progress, odd = self._kept.progress, self._odd.count
        try:
            for kind, report in self._settings.reports().items():
                if report.key is not None and kind in ("tickets", "calls", "ends"):
                    self._read_view(kind)
            if monotonic_s() >= self._whole_from_s:
                for kind, report in self._settings.reports().items():
                    if kind in ("waiting", "staff"):
                        take_whole(progress, kind, self._source.whole(report), self._settings, self._odd)
                self._whole_from_s = monotonic_s() + self._settings.whole_every_s
        finally:
            if progress.pending:
                self._kept.write()
        if self._odd.count > odd:
            log.warning(
                "source-rows-refused",
                count=self._odd.count - odd,
                last=self._odd.last,
                effect="the hall gets no report of these rows",
                remedy="compare the row in `last` with the columns listed in the bridge's configuration file",
            )

    def _read_view(self, kind: str) -> None:
        progress, report = self._kept.progress, self._settings.reports()[kind]
        assert report.key is not None
        if kind not in progress.seen:  # a first start reads nothing of the past
            newest = keys(self._source.newest(report), report.key)
            rows = self._source.rows(report, newest[0]) if newest else []
            if newest:
                progress.after[kind] = newest[0]
            progress.seen[kind] = [mark(row) for row in rows]
            self._kept.write()
            return
        begin = floor(progress, kind, self._settings.overlap)
        for _ in range(PAGES_MAX):
            rows = self._source.rows(report, begin)
            take(progress, kind, rows, self._settings, self._odd)
            last = keys(rows, report.key)[-1:]
            if len(rows) < ROWS_MAX or not last or last[0] == begin:
                return
            begin = last[0]

    async def _send(self, client: aiomqtt.Client) -> None:
        """Send the pending messages; remove them once the broker has acknowledged all."""
        pending = self._kept.progress.pending
        if not pending:
            return
        for word, payload in pending:
            await self._publish(client, word, payload)
            self.sent += 1
        pending.clear()
        await asyncio.to_thread(self._kept.write)

    async def _publish(
        self, client: aiomqtt.Client, word: str, payload: str, within_s: float = SEND_S
    ) -> None:
        """Publish, and wait for the broker's acknowledgement. Raises ``MqttError`` if the connection is lost,
        ``TimeoutError`` if no acknowledgement comes in time.
        """
        async with asyncio.timeout(within_s):
            await client.publish(f"{self._root}/{word}", payload.encode(), qos=1, retain=word == "status")

    @asynccontextmanager
    async def _broker(self) -> AsyncIterator[aiomqtt.Client]:
        topic, will = f"{self._root}/status", b'{"state":"offline"}'
        async with publisher(replace(self._mqtt, will_topic=topic, will_payload=will)) as client:
            try:
                yield client
            finally:
                with suppress(aiomqtt.MqttError, TimeoutError):
                    await self._publish(client, "status", '{"state":"offline"}', GOODBYE_S)
