"""What somebody who tries the demo meets first: no broker, a small terminal, a page to act on, an end by SIGKILL."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from edged.core.model.commands import Note
from edged.sim.broker import free_port
from edged.sim.demo import DUTY_NAME, DUTY_PIN
from edged.sim.tally import DemoTotals
from edged.sim.view import Scene, draw
from tests.sim.test_demo import DAY_S, daemon_of, demo, log_of, processes_of
from tests.support.authorities import Authority
from tests.support.brokers import real_mosquitto, until
from tests.support.core_hall import SiteText


@pytest.mark.parametrize(
    "place", ["mqtt://127.0.0.1:{port}", "mqtts://127.0.0.1:{port}", "mqtt://me@127.0.0.1", "x:y"]
)
async def test_a_broker_that_cannot_be_used_is_told_at_once(tmp_path: Path, place: str) -> None:
    began_s = time.monotonic()
    async with demo(tmp_path, "--broker", place.format(port=free_port())) as process:
        async with asyncio.timeout(20):
            _, complaints = await process.communicate()
        assert process.returncode == 1
    output = complaints.decode()
    assert "--broker" in output
    assert "Traceback" not in output
    assert time.monotonic() - began_s < 15.0, "three seconds, and the start of Python on a busy machine"


async def test_a_broker_with_tls_and_passwords_serves_the_demo(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("broker")
    people = tmp_path / "passwords"
    words = ("mosquitto_passwd", "-b", "-c", str(people), "hall", "s3cret:@/")
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0
    lines = (f"certfile {cert}", f"keyfile {key}", f"password_file {people}")
    async with real_mosquitto(*lines) as broker:
        place = f"mqtts://hall:{{}}@127.0.0.1:{broker.port}"
        ours = ("--broker-ca", str(authority.file), "--hours", "0.2", "--speed", "60")
        async with demo(tmp_path, "--broker", place.format("wrong"), *ours) as process:
            async with asyncio.timeout(30):
                _, complaints = await process.communicate()
            assert process.returncode == 1
            assert "user and password" in complaints.decode()
            assert "wrong" not in complaints.decode()
        async with demo(tmp_path, "--broker", place.format("s3cret%3A%40%2F"), *ours) as process:
            async with asyncio.timeout(DAY_S * 2):
                output, complaints = await process.communicate()
            assert process.returncode == 0, complaints.decode()
            assert json.loads(output)["inputs_lost"] == 0
        text = (tmp_path / "hall" / "hall.toml").read_text("utf-8")
        assert "s3cret" not in text
        assert "[mqtt.tls]" in text


def test_a_small_terminal_shows_the_boards_and_why_first() -> None:
    tally = DemoTotals()
    site = SiteText().site
    note = Note("tidal.opened", "w8", {"area": "tax", "to_staffed_s": 20, "reason": "queue"})
    tally.explanations.append((0, note))
    leds = {f"屏{n}": ("A001→3号窗口",) for n in range(3)}
    lamps = {"w8": "on", "w9": "blink"}
    scene = Scene(
        site,
        "08:30:00",
        60,
        "serving, pid 4711",
        tally,
        lamps,
        leds,
        0,
        0.5,
        0,
        "http://127.0.0.1:29465/",
        "http://127.0.0.1:34567/",
    )
    console = Console(width=80, height=24, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(draw(scene))
    lines = console.export_text().splitlines()
    first = "\n".join(lines[:24])
    assert "pid 4711" in first
    assert "http://127.0.0.1:34567/" in first
    assert "A001→3号窗口" in first
    assert "8号窗口已启用" in first
    whole = "\n".join(lines)
    assert "亮 on" in whole
    assert "闪 blinks" in whole
    assert all(Console().measure(line).maximum <= 80 for line in lines)


async def test_the_demo_is_acted_on_by_page_and_leaves_nothing_when_killed(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hours", "3", "--speed", "10") as process:
        await until(lambda: "policy-applied" in log_of(tmp_path / "hall"), DAY_S)
        text = (tmp_path / "hall" / "hall.toml").read_text("utf-8")
        found = re.search(r"\[pages\].*?port = (\d+)", text, re.S)
        assert found is not None
        address = f"http://127.0.0.1:{found[1]}"
        async with httpx.AsyncClient(base_url=address, headers={"origin": address}, timeout=20) as client:

            async def post(path: str, body: dict[str, Any], proof: str = "") -> dict[str, Any]:
                sent = {"content-type": "application/json", "x-edged-proof": proof}
                answer: dict[str, Any] = (
                    await client.post(path, content=json.dumps(body), headers=sent)
                ).json()
                return answer

            async def logged_in() -> str:
                with suppress(httpx.TransportError):
                    return str(
                        (await post("/duty/login", {"name": DUTY_NAME, "pin": DUTY_PIN})).get("proof", "")
                    )
                return ""

            async with asyncio.timeout(DAY_S):
                while not (proof := await logged_in()):
                    await asyncio.sleep(1.0)
            act = {
                "key_of_act": "act-00000001",
                "act": "open",
                "window": "11",
                "minutes": 30,
                "reason": "人多",
            }
            async with asyncio.timeout(DAY_S):  # a person acts on a window that the page shows
                while '"11"' not in (await client.get("/parts")).text:
                    await asyncio.sleep(0.1)
            answer = await post("/duty/act", act, proof)
            assert answer["state"] == "done", answer
            overrides: list[Any] = []
            async with asyncio.timeout(20):
                while not overrides:
                    parts = (await client.get("/parts")).json()["parts"]
                    overrides = parts["overrides"]["overrides"]
            assert [one["by"] for one in overrides] == [DUTY_NAME]
        assert daemon_of(process.pid) is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: processes_of(process.pid) == {}, 20.0)
