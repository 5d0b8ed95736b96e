"""A queue system's real database and a real broker: what is in its tables reaches the hall, and nothing goes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as ws_serve

from edged.bridge import pushed
from edged.bridge.pushed import WebSocketSource
from edged.bridge.service import Bridge
from edged.bridge.settings import BridgeSettings
from edged.bridge.sources import HttpSource, Source, SourceAway, SqlSource
from edged.shapes import read
from tests.bridge.test_rows import FIELDS
from tests.support.background import background
from tests.support.brokers import Mosquitto, plain_client, real_mosquitto, settings_for, until
from tests.support.mariadb import mariadb
from tests.support.postgres import real_postgres

SCHEMA = """
CREATE TABLE b_queue (
    id INTEGER PRIMARY KEY, ticketnumber VARCHAR(20), busiseq VARCHAR(20), qnmae VARCHAR(20), state INTEGER
);
CREATE TABLE b_call (
    id INTEGER PRIMARY KEY, ticketnumber VARCHAR(20), windownumber VARCHAR(20), state INTEGER,
    finishtime TIMESTAMP NULL
);
CREATE VIEW v_tickets AS SELECT id, ticketnumber, busiseq FROM b_queue;
CREATE VIEW v_calls AS SELECT id, ticketnumber, windownumber FROM b_call;
CREATE VIEW v_ends AS SELECT windownumber, state, finishtime FROM b_call WHERE finishtime IS NOT NULL;
CREATE VIEW v_waiting AS SELECT id, ticketnumber, busiseq FROM b_queue WHERE state = 0
"""


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database of another system, with its tables and views."""
    if request.param == "mariadb":
        with mariadb() as url:
            yield _filled(url)
    else:
        with real_postgres() as server:
            yield _filled(f"postgresql+psycopg://postgres@/postgres?host={server.directory}")


def _filled(url: str) -> str:
    for sentence in SCHEMA.split(";"):
        write(url, sentence)
    return url


def write(url: str, sentence: str) -> None:
    """Execute an SQL statement in the queue system's database, as that system would."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(sentence))
    engine.dispose()


def settings(folder: Path, **more: Any) -> BridgeSettings:
    lower = {
        kind: {key: value if key == "view" else value.lower() for key, value in table.items()}
        for kind, table in FIELDS.items()
        if isinstance(table, dict) and "view" in table and kind != "staff"
    }
    fields = {key: value for key, value in FIELDS.items() if key not in ("staff", *lower)}
    own = {"state": str(folder / "state.json"), "every_s": 0.2, "whole_every_s": 1.0}
    return read(BridgeSettings, fields | lower | own | more)


def kept_in(chosen: BridgeSettings, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the content of the bridge's state file; ``state`` replaces the content first."""
    file = Path(chosen.state)
    if state is not None:
        file.write_text(json.dumps(state))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


class HallMessages:
    """The messages that the bridge has sent to the hall."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def of(self, word: str) -> list[dict[str, Any]]:
        return [fields for messages, fields in self.messages if messages == word]

    def numbers(self, word: str) -> list[str]:
        return list(dict.fromkeys(fields["number"] for fields in self.of(word)))


@asynccontextmanager
async def listening(broker: Mosquitto) -> AsyncIterator[HallMessages]:
    hall = HallMessages()

    async def listen() -> None:
        async with plain_client(broker, "hall") as client:
            await client.subscribe("hall/east/dev/queue-1/up/#", qos=1)
            async for message in client.messages:
                payload = message.payload
                assert isinstance(payload, bytes)
                hall.messages.append((str(message.topic).rsplit("/", 1)[1], json.loads(payload)))

    async with background(listen()):
        yield hall


@asynccontextmanager
async def bridged(broker: Mosquitto, chosen: BridgeSettings, source: Source) -> AsyncIterator[Bridge]:
    mqtt = replace(settings_for(broker), client_id="queue-1")
    made = Bridge(chosen, mqtt, "east", source)
    ready = asyncio.Event()
    async with background(made.run(ready.set)):
        async with asyncio.timeout(10):
            await ready.wait()
        yield made


async def test_rows_of_a_real_database_reach_the_hall_and_a_restart_tells_none_twice(
    database: str, tmp_path: Path
) -> None:
    chosen = settings(tmp_path)
    await asyncio.to_thread(write, database, "INSERT INTO b_queue VALUES (1, 'A001', '0101', '张三', 0)")
    async with real_mosquitto() as broker, listening(broker) as heard:
        async with bridged(broker, chosen, SqlSource(database)):
            await until(lambda: heard.of("queue") != [])
            assert heard.of("queue")[0]["waiting"] == ["A001"], "what stands there is a list, not history"
            assert heard.numbers("ticket") == []
            await asyncio.to_thread(
                write, database, "INSERT INTO b_queue VALUES (2, 'A002', '0101', '李四', 0)"
            )
            await until(lambda: heard.numbers("ticket") == ["A002"])
            await asyncio.to_thread(write, database, "INSERT INTO b_call VALUES (1, 'A002', '3', 0, NULL)")
            await until(lambda: heard.numbers("call") == ["A002"])
            ended = "UPDATE b_call SET finishtime = '2026-11-30 09:30:00', state = 2 WHERE id = 1"
            await asyncio.to_thread(write, database, ended)
            await until(lambda: [one["outcome"] for one in heard.of("end")] == ["no-show"])
        await until(lambda: heard.of("status")[-1] == {"state": "offline"})
        await asyncio.to_thread(write, database, "INSERT INTO b_queue VALUES (3, 'A003', '0101', '王五', 0)")
        async with bridged(broker, chosen, SqlSource(database)):
            await until(lambda: "A003" in heard.numbers("ticket"))
            assert heard.numbers("ticket") == ["A002", "A003"]
        everything = json.dumps(heard.messages, ensure_ascii=False)
        assert not any(name in everything for name in ("张三", "李四", "王五"))
        by_number: dict[int, dict[str, Any]] = {}
        for _, fields in heard.messages:  # at least once: what comes again is the same under its number
            if "seq" in fields:
                assert by_number.setdefault(fields["seq"], fields) == fields
        assert list(by_number) == sorted(by_number)
    await asyncio.to_thread(write, database, "DELETE FROM b_call")
    await asyncio.to_thread(write, database, "DELETE FROM b_queue")


async def test_what_was_written_down_and_not_acknowledged_is_sent_again_under_its_number(
    database: str, tmp_path: Path
) -> None:
    chosen = settings(tmp_path)
    async with real_mosquitto() as broker, listening(broker) as heard:
        async with bridged(broker, chosen, SqlSource(database)):
            await until(lambda: heard.of("queue") != [])
        kept = kept_in(chosen)
        lost = json.dumps(
            {"seq": kept["seq"] + 1, "boot": kept["boot"], "number": "B001", "service": "tax-general"}
        )
        kept_in(chosen, kept | {"seq": kept["seq"] + 1, "pending": [["ticket", lost]]})
        for _ in range(2):
            async with bridged(broker, chosen, SqlSource(database)):
                await until(lambda: heard.numbers("ticket") == ["B001"])
                await until(lambda: kept_in(chosen)["pending"] == [])


class SlowSource(SqlSource):
    """A database source whose read waits until the test sets ``go_on``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked, self.go_on, self.answered = threading.Event(), threading.Event(), threading.Event()

    def _read(self, query: Any) -> Any:
        self.asked.set()
        self.go_on.wait()
        try:
            return super()._read(query)
        finally:
            self.answered.set()


async def test_a_bridge_that_ended_reads_and_writes_nothing_any_more(tmp_path: Path) -> None:
    """Otherwise its thread would overwrite the state file after the next bridge has read it."""
    source = SlowSource(f"sqlite:///{tmp_path / 'other.db'}")
    async with real_mosquitto() as broker:
        async with bridged(broker, settings(tmp_path), source):
            assert await asyncio.to_thread(source.asked.wait)
            asyncio.get_running_loop().call_later(0.1, source.go_on.set)
        assert source.answered.is_set()


async def test_nothing_can_be_written_and_a_source_that_is_away_is_a_fault_of_the_device(
    database: str, tmp_path: Path
) -> None:
    from sqlalchemy import text

    source = SqlSource(database)
    with pytest.raises(SourceAway):
        source._read(text("INSERT INTO b_queue VALUES (99, 'X', 'x', 'x', 0)"))
    wrong = settings(tmp_path, tickets={"view": "v_nothing", "key": "id", "number": "n", "service": "s"})
    async with real_mosquitto() as broker, listening(broker) as heard:
        async with bridged(broker, wrong, source):
            await until(lambda: any(one["fault"] for one in heard.of("health")))
            assert "v_nothing" in heard.of("health")[-1]["fault"]
        async with bridged(broker, settings(tmp_path), source):
            await until(lambda: heard.of("health")[-1]["fault"] is None)


class WebService:
    """A fake HTTP service of the other queue system."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {"waiting": [], "tickets": {"data": []}}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                rows = service.rows.get(self.path.rsplit("/", 1)[1], "?")
                body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                """Do not log requests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api"


async def test_a_web_service_is_followed_too(tmp_path: Path) -> None:
    web = WebService()
    tickets = {"view": "tickets", "key": "id", "number": "no", "service": "biz"}
    waiting = {"view": "waiting", "number": "no", "service": "biz", "order": "id"}
    fields = {"queue": "queue-1", "url_file": "x", "source": "http", "tickets": tickets, "waiting": waiting}
    own = {
        "state": str(tmp_path / "s"),
        "every_s": 0.2,
        "whole_every_s": 1.0,
        "services": {"1": "tax-general"},
    }
    chosen = read(BridgeSettings, fields | own)
    async with real_mosquitto() as broker, listening(broker) as heard:
        async with bridged(broker, chosen, HttpSource(web.url)):
            await until(lambda: heard.of("queue") != [])
            web.rows["tickets"] = {"data": [{"id": 7, "no": "A007", "biz": 1, "name": "张三"}]}
            await until(lambda: heard.numbers("ticket") == ["A007"])
            web.rows["tickets"] = b"[" * 100_000
            await until(lambda: "recursion" in str(heard.of("health")[-1]["fault"]))
            web.rows["tickets"] = "no list"
            await until(lambda: "no list of rows" in str(heard.of("health")[-1]["fault"]))
        assert "张三" not in json.dumps(heard.messages, ensure_ascii=False)
    web.server.shutdown()
    web.server.server_close()


class Pusher:
    """A queue system that pushes to whoever is connected, by the library's own server."""

    def __init__(self, port: int = 0) -> None:
        self._wires: list[ServerConnection] = []
        self._server = ws_serve(self._hold, "127.0.0.1", port, close_timeout=0.2)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _hold(self, wire: ServerConnection) -> None:
        self._wires.append(wire)
        with suppress(ConnectionClosed):
            for _ in wire:
                pass

    @property
    def subscribed(self) -> bool:
        return bool(self._wires)

    def push(self, *documents: Any) -> None:
        for wire in self._wires:
            for one in documents:
                wire.send(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False))

    def end(self) -> None:
        """Close every connection, as a restart of the queue system does."""
        self._server.shutdown()
        for wire in self._wires:
            wire.close_socket()
        self._thread.join()


async def test_a_system_that_pushes_is_heard_and_heals_by_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushed, "RETRY_S", 0.05)
    view = {"view": "ticket", "key": "id", "number": "no", "service": "biz"}
    waiting = {"view": "queue", "number": "no", "service": "biz", "order": "id"}
    fields = {"queue": "queue-1", "url_file": "x", "source": "websocket", "tickets": view, "waiting": waiting}
    own = {"state": str(tmp_path / "s"), "every_s": 0.2, "whole_every_s": 1.0, "services": {"1": "tax"}}
    pusher = Pusher()
    source = WebSocketSource(f"ws://127.0.0.1:{pusher.port}/", "type")
    try:
        async with real_mosquitto() as broker, listening(broker) as heard:
            async with bridged(broker, read(BridgeSettings, fields | own), source):
                await until(lambda: "has not told its list queue yet" in str(heard.of("health")[-1:]))
                pusher.push("{", "[" * 2000, {"type": 7}, {"type": "hello", "data": "x"})
                pusher.push({"type": "queue", "data": [{"id": 3, "no": "A003", "biz": 1}]})
                await until(lambda: [one["waiting"] for one in heard.of("queue")] == [["A003"]])
                pusher.push({"type": "ticket", "id": 4, "no": "A004", "biz": 1, "name": "张三"})
                pusher.push({"type": "ticket", "data": {"id": 5, "no": "A005", "biz": 1}})
                await until(lambda: heard.numbers("ticket") == ["A004", "A005"])
                await asyncio.to_thread(pusher.end)
                await until(lambda: heard.of("health")[-1]["fault"] is not None)
                pusher = Pusher(pusher.port)
                await until(lambda: pusher.subscribed)
                pusher.push({"type": "queue", "data": []})
                await until(lambda: heard.of("queue")[-1]["waiting"] == [])
                await until(lambda: heard.of("health")[-1]["fault"] is None)
                pusher.push({"type": "ticket", "id": 6, "no": "A006", "biz": 1})
                await until(lambda: heard.numbers("ticket") == ["A004", "A005", "A006"])
            assert "张三" not in json.dumps(heard.messages, ensure_ascii=False)
    finally:
        await asyncio.to_thread(source.close)
        await asyncio.to_thread(pusher.end)


@pytest.mark.parametrize("url", ["http://x/", "ws://", "x"])
def test_an_address_that_is_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ws:// or wss://"):
        WebSocketSource(url, "type")
