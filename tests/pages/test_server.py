"""``edged web`` as a server: what it tells, to whom, how fast, and whom it turns away."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from edged.clock import monotonic_s
from edged.links.http import listener
from edged.pages import assets, changes, sheet
from tests.pages.made_hall import MadeHall, window
from tests.support import host_headers

PAGES = ("/", "/board", "/board/tax", "/replay", "/report")


async def frames(
    hall: MadeHall, path: str = "/changes", headers: dict[str, str] | None = None
) -> AsyncIterator[Any]:
    """Every frame of a stream."""
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{hall.address}{path}", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


async def test_a_stream_begins_with_the_whole_and_goes_on_with_what_changes(hall: MadeHall) -> None:
    stream = frames(hall)
    parts: dict[str, Any] = {}
    upto = 0
    async for frame in stream:
        assert frame["from"] == upto
        upto = frame["to"]
        parts |= frame["parts"]
        if {"names", "beat", "window/w11", "status"} <= parts.keys() and parts["link"]["up"]:
            break
    assert parts["area/tax"]["waiting"] == 15
    began_s = monotonic_s()
    await hall.publish("window/w1", window("1", "CALLING", ticket="A099"))
    async for frame in stream:
        if "window/w1" in frame["parts"]:
            break
    assert monotonic_s() - began_s < 1.0
    assert frame["parts"]["window/w1"]["ticket"] == "A099"
    assert "names" not in frame["parts"]
    await hall.publish("window/w15", None)
    async for frame in stream:
        if "window/w15" in frame["parts"]:
            break
    assert frame["parts"]["window/w15"] is None
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_reader_that_reconnects_gets_the_changes_and_an_unknown_one_all_parts(hall: MadeHall) -> None:
    async with httpx.AsyncClient() as client:
        whole = (await client.get(f"{hall.address}/parts")).json()
    known = {"Last-Event-ID": f"{whole['life']}.{whole['to']}"}
    await hall.publish("window/w1", window("1", "CALLING", ticket="A099"))
    async for frame in frames(hall, headers=known):
        assert frame["from"] == whole["to"]
        assert "names" not in frame["parts"]
        break
    async for frame in frames(hall, headers={"Last-Event-ID": "another.7"}):
        assert frame["from"] == 0
        break


async def test_visitors_see_nobodys_name(hall: MadeHall) -> None:
    async with httpx.AsyncClient() as client:
        staff = (await client.get(f"{hall.address}/parts")).text
        board = (await client.get(f"{hall.address}/board/parts")).text
    assert "周凯" in staff
    assert "H029" in board
    assert "elderly" in staff
    for name in (
        "elderly",
        "priority",
        'wait_s":',
        "周凯",
        "何丽",
        "唐红",
        "clerk",
        "paged",
        "reason",
        "trial",
    ):
        assert name not in board


async def test_only_reading_and_only_by_our_own_name(hall: MadeHall) -> None:
    async with httpx.AsyncClient() as client:
        for path in (*PAGES, "/parts", "/healthz"):
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                assert (await client.request(method, f"{hall.address}{path}")).status_code == 405
            foreign = await client.get(f"{hall.address}{path}", headers={"Host": "evil.example"})
            assert foreign.status_code == 421
        assert (await client.get(f"{hall.address}/files/../server.py")).status_code == 404
        assert (await client.get(f"{hall.address}/files/..%2fserver.py")).status_code == 404
        assert (await client.get(f"{hall.address}/nothing")).status_code == 404


async def test_our_names_are_read_as_by_the_daemons_listener(hall: MadeHall) -> None:
    for host in host_headers.OURS:
        assert await host_headers.status(hall.web_port, "/healthz", (host,)) == 200, host
    for hosts in (*((host,) for host in host_headers.NOT_OURS), *host_headers.SEVERAL):
        assert await host_headers.status(hall.web_port, "/parts", hosts) in (400, 421), hosts


async def test_every_answer_carries_the_headers_that_protect_it(hall: MadeHall) -> None:
    async with httpx.AsyncClient() as client:
        for path in (*PAGES, "/parts", "/files/words.js", "/nothing"):
            answer = await client.get(f"{hall.address}{path}")
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "server" not in answer.headers
        first = await client.get(f"{hall.address}/")
        again = await client.get(f"{hall.address}/", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_a_request_that_does_not_come_costs_its_connection(hall: MadeHall) -> None:
    began_s = monotonic_s()
    reader, writer = await asyncio.open_connection("127.0.0.1", hall.web_port)
    idle, silent = await asyncio.open_connection("127.0.0.1", hall.web_port)
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    try:
        async with asyncio.timeout(listener.HEAD_S * 3):
            for one in (reader, idle):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await one.readexactly(1)
    finally:
        writer.close()
        silent.close()
    assert monotonic_s() - began_s >= listener.HEAD_S * 0.9


async def test_the_other_opening_time_is_2_to_45_minutes_however_it_is_written(hall: MadeHall) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        for text in ("", "1", "46", "0450000", "030", "03" + "0" * 400, "7.5", "-7", "1e1", "٧", "Never"):
            query = {"day": "2026-11-20", "minutes": text}
            assert (await client.get(f"{hall.address}/replay/what", params=query)).status_code == 400, text


async def test_frames_kept_for_readers_have_a_cap() -> None:
    made = sheet.Sheet()
    for number in range(200):
        made.put(f"window/{number}", {"state": "OPEN"})
    whole = made.frame(0)
    for since in range(1, 200):
        assert json.loads(made.frame(since))["from"] == since
    assert made.frame(0) == whole
    assert made.frames_kept <= sheet.FRAMES_MAX


async def test_the_stream_too_many_is_asked_to_come_back(hall: MadeHall) -> None:
    head = b"GET /changes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    writers = []
    try:
        for _ in range(changes.STREAMS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", hall.web_port)
            writers.append(writer)
            writer.write(head)
            assert b"200" in await reader.readline()
        reader, writer = await asyncio.open_connection("127.0.0.1", hall.web_port)
        writers.append(writer)
        writer.write(head)
        assert b"503" in await reader.readline()
    finally:
        for writer in writers:
            writer.close()


def test_every_page_weighs_less_than_a_hundred_kibibytes() -> None:
    files = assets.load()
    for name in ("hall.html", "board.html", "replay.html", "report.html"):
        needed, waiting = set(), [name]
        while waiting:
            one = waiting.pop()
            if one in needed:
                continue
            needed.add(one)
            text = files[one].plain.decode()
            waiting += [other for other in files if other != one and _names(text, other)]
        total = sum(len(files[one].packed) for one in needed)
        assert gzip.decompress(files[name].packed) == files[name].plain
        assert total < 100 * 1024, (name, total, sorted(needed))


def _names(text: str, file: str) -> bool:
    return f"/files/{file}" in text or f"./{file}" in text


def test_no_page_has_code_or_style_of_its_own() -> None:
    for name, asset in assets.load().items():
        text = asset.plain.decode()
        assert "//cdn" not in text
        if name.endswith(".html"):
            assert "style=" not in text
            assert "<style" not in text
            assert 'src="http' not in text
            assert "onclick" not in text
            assert all(" src=" in part[:60] for part in text.split("<script")[1:])
