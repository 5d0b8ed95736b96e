"""The duty desk: a named person with a PIN orders the whole daemon, at once; whoever is not that orders nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.central import topics
from edged.central.envelope import private_pem, public_entry
from edged.core.model.events import OverrideLifted, OverrideSet
from edged.pages import duty, pins
from edged.pages.duty_sessions import network
from edged.sim.broker import free_port
from tests.support.brokers import Mosquitto, plain_client, real_mosquitto, until
from tests.support.daemons import ROOT, Hall, Machines, edged, small_hall
from tests.support.needs import lacking

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
NAME, PIN = "赵敏", "482915"
CHROMIUM = "/usr/bin/chromium"
ORIGIN = "origin"
PEERS = os.environ.get("EDGED_NODE_PEERS", "")
AXE = Path(PEERS, "axe-core/axe.min.js").read_text("utf-8") if PEERS else None


class Desk:
    """The pages of the small hall, and somebody at a browser that draws nothing."""

    def __init__(self, files: Hall, machines: Machines, broker: Mosquitto, port: int) -> None:
        self.files, self.machines, self.broker = files, machines, broker
        self.address = f"http://127.0.0.1:{port}"
        self.client = httpx.AsyncClient(base_url=self.address, headers={ORIGIN: self.address}, timeout=20)
        self.proof = ""

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        raw = json.dumps(body)
        sent = {"content-type": "application/json", "x-edged-proof": self.proof} | headers
        return await self.client.post(path, content=raw, headers=sent)

    async def login(self, name: str = NAME, pin: str = PIN) -> httpx.Response:
        answer = await self.post("/duty/login", {"name": name, "pin": pin})
        self.proof = answer.json().get("proof", "") or self.proof
        return answer

    async def act(self, key: str, **act: Any) -> dict[str, Any]:
        answer = await self.post("/duty/act", {"key_of_act": key, **act})
        result: dict[str, Any] = answer.json() | {"status": answer.status_code}
        return result

    def orders(self) -> list[OverrideSet | OverrideLifted]:
        return [e for s in self.files.steps() if isinstance(e := s.event, OverrideSet | OverrideLifted)]


@asynccontextmanager
async def web(files: Hall, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """``edged web`` as a process."""
    command = (sys.executable, "-m", "edged", "web", "--config", str(files.file))
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert str(port) in (await process.stdout.readline()).decode()
        yield process
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    port = free_port()
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (files, daemon, machines):
        entry = public_entry(KEY.public_key(), "desk")
        (files.directory / "duty.pub.json").write_text(json.dumps({"keys": [entry]}))
        (files.directory / "duty.key").write_bytes(private_pem(KEY))
        files.edit("[duty]\n", '[duty]\nkeys = "duty.pub.json"\n')
        pages = f'[pages]\nport = {port}\nduty_key = "duty.key"\npins = "pins.json"\n'
        files.edit("[store]", f"{pages}\n[store]")
        pins.keep(files.directory / "pins.json", NAME, PIN)
        await daemon.start()
        async with web(files, port):
            made = Desk(files, machines, broker, port)

            async def ready() -> bool:
                found = (await made.client.get("/parts")).json()["parts"]
                return bool({"names", "beat", "window/w2"} <= found.keys())

            while not await ready():
                await asyncio.sleep(0.1)
            yield made
            await made.client.aclose()
        assert await daemon.stop() == 0


async def test_an_act_is_done_at_once_by_name_and_once(desk: Desk) -> None:
    reply = (await desk.client.get("/duty/session")).json()
    assert (reply["name"], reply["why_not"]) == (None, None)
    answer = await desk.login()
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    act = {"act": "open", "window": "2", "minutes": 15, "reason": "人多"}
    done = await desk.act("act-00000001", **act)
    assert (done["status"], done["state"]) == (200, "done"), done
    assert "陈敏" in done["zh"]
    await until(lambda: desk.machines.lamp.lamp == "blink")
    assert await desk.act("act-00000001", **act) == done
    found = desk.orders()
    assert [(o.kind, o.target, o.by, o.reason) for o in found] == [("open", "w2", NAME, "人多")]
    refused = await desk.act("act-00000002", act="hold", window="1", minutes=15)
    assert (refused["state"], refused["code"]) == ("refused", "nothing-to-hold")
    assert (await desk.act("act-00000003", act="open", window="99", minutes=15))["state"] == "refused"
    lifted = await desk.act("act-00000004", act="lift", kind="open", target="w2")
    assert lifted["state"] == "done"
    assert (await desk.act("act-00000005", act="reset-day"))["state"] == "refused"
    await desk.post("/duty/logout", {})
    assert (await desk.act("act-00000006", **act))["status"] == 403


async def test_without_a_pin_a_proof_or_our_own_origin_nothing_is_ordered(desk: Desk) -> None:
    act = {"key_of_act": "act-00000001", "act": "open", "window": "2", "minutes": 15}
    assert (await desk.post("/duty/act", act)).status_code == 403
    assert (await desk.login(pin="482916")).status_code == 403
    assert (await desk.login(name="钱伟")).status_code == 403
    assert (await desk.login()).status_code == 200
    proof, desk.proof = desk.proof, "guessed"
    assert (await desk.post("/duty/act", act)).status_code == 403  # a cookie alone
    desk.proof = proof
    assert (await desk.post("/duty/act", act, origin="http://evil.example")).status_code == 403
    plain = {"content-type": "text/plain"}  # what a form of another page can send without asking
    assert (await desk.post("/duty/act", act, **plain)).status_code == 403
    assert (await desk.client.get("/duty/act")).status_code == 405
    assert (await desk.post("/duty/login", {"name": "x" * 5000, "pin": "1"})).status_code == 400
    assert desk.orders() == []


async def test_guessing_a_pin_becomes_slow_and_does_not_stop_others(desk: Desk) -> None:
    codes = [(await desk.login(pin=f"48291{n}")).status_code for n in (0, 1, 2, 3)]
    assert codes == [403, 403, 403, 429]
    assert (await desk.login()).status_code == 429  # also for the right one
    await asyncio.to_thread(pins.keep, desk.files.directory / "pins.json", "钱伟", "739105")
    assert (await desk.login("钱伟", "739105")).status_code == 200


async def test_who_types_a_colleagues_name_wrong_locks_nobody_else_out(desk: Desk) -> None:
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    origin = {"origin": desk.address, "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=desk.address, transport=elsewhere, headers=origin) as other:

        async def tried(name: str) -> int:
            sent = json.dumps({"name": name, "pin": "000001"})
            return (await other.post("/duty/login", content=sent)).status_code

        assert [await tried(NAME) for _ in range(4)] == [403, 403, 403, 429]
        assert [await tried(f"某人{n}") for n in range(6)] == [403] * 6
        assert (await desk.login()).status_code in (200, 429)  # everybody's allowance is nearly used up
        assert await tried("又一人") == 429  # an address has an end of tries, too
    async with asyncio.timeout(30):
        while (await desk.login()).status_code != 200:
            await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("", "", True),
    ],
)
def test_an_ipv6_network_of_64_bits_counts_as_one_client_and_each_ipv4_address_alone(
    one: str, other: str, same: bool
) -> None:
    assert (network(one) == network(other)) == same


async def test_what_no_page_sends_is_refused_and_costs_nobody_a_place(desk: Desk) -> None:
    for other in (
        "a@b=1",
        "cart[0]=x",
        'q="unended',
        "=",
        ";;",
    ):  # cookies know no port: a neighbour's come along
        answer = await desk.client.get("/duty/session", headers={"cookie": other})
        assert answer.status_code == 200, other
    await desk.login()
    for number, strange in enumerate((["tax"], {"id": "tax"}, 1, True)):
        act = {"act": "pause-issuing", "area": strange, "minutes": 15}
        first = await desk.act(f"act-0000000{number}", **act)
        assert (first["status"], first["state"]) == (200, "refused"), strange
        assert await desk.act(f"act-0000000{number}", **act) == first
    reply = await desk.act("act-00000009", act="pause-issuing", minutes=True)
    assert reply["state"] == "refused"
    assert desk.orders() == []


async def test_a_body_that_does_not_come_costs_its_connection(desk: Desk) -> None:
    port = int(desk.address.rpartition(":")[2])
    opened = []
    for path in ("login", "act"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /duty/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000\r\n\r\n"
        writer.write(head.encode() + b"{")
        opened.append((reader, writer))
    for reader, writer in opened:
        async with asyncio.timeout(duty.BODY_S + 3.0):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()


async def test_an_act_on_which_this_program_fails_is_answered_and_not_tried_again(desk: Desk) -> None:
    await desk.login()
    async with plain_client(desk.broker) as other:
        await other.publish(topics.page("east", "names"), b'{"windows":[{}]}', qos=1, retain=True)
        while "areas" in (await desk.client.get("/parts")).json()["parts"]["names"]:
            await asyncio.sleep(0.05)
    act = {"key_of_act": "act-00000001", "act": "close", "window": "1", "minutes": 15}
    for _ in range(2):
        assert (await desk.post("/duty/act", act)).status_code == 500
    assert desk.orders() == []


async def test_no_answer_is_said_and_not_sent_again(desk: Desk) -> None:
    await desk.login()
    await desk.broker.kill()
    answer = await desk.act("act-00000001", act="close", window="1", minutes=15)
    assert answer["state"] in ("unanswered", "unsent")
    assert await desk.act("act-00000001", act="close", window="1", minutes=15) == answer
    await desk.broker.start()
    await asyncio.sleep(1.0)
    assert desk.orders() == []


def test_pins_are_set_by_command_and_never_written(tmp_path: Path) -> None:
    hall = (ROOT / "configs" / "hall-small.toml").read_text("utf-8")
    (tmp_path / "hall.toml").write_text(hall + '\n[pages]\npins = "pins.json"\n')
    words = (
        sys.executable,
        "-m",
        "edged",
        "web",
        "pin",
        "set",
        NAME,
        "--config",
        str(tmp_path / "hall.toml"),
    )
    for pin, code in (("12", 2), ("123456", 2), ("111111", 2), (PIN, 0)):
        run = subprocess.run(words, input=f"{pin}\n", text=True, capture_output=True, check=False)
        assert run.returncode == code, run.stderr
    kept = (tmp_path / "pins.json").read_text("utf-8")
    assert PIN not in kept
    assert (tmp_path / "pins.json").stat().st_mode & 0o777 == 0o640
    people = pins.load(tmp_path / "pins.json")
    assert pins.is_right(people, NAME, PIN)
    assert not pins.is_right(people, NAME, "482916")
    assert not pins.is_right(people, "钱伟", PIN)
    removed = edged("web", "pin", "remove", NAME, "--config", str(tmp_path / "hall.toml"))
    assert removed.returncode == 0
    assert pins.load(tmp_path / "pins.json") == {}


async def test_the_page_opens_a_window_and_ends_it(desk: Desk, tmp_path: Path) -> None:
    """With a real browser: log in, open, see it act, see it end; in Chinese, then in English, on a phone."""
    if shutil.which(CHROMIUM) is None:
        lacking("chromium")
    from playwright.async_api import async_playwright, expect

    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 390, "height": 844})
        wrong: list[str] = []
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(f"{desk.address}/duty")
        await page.route("**/duty/login", lambda route: route.abort())
        await page.get_by_label("姓名").fill(NAME)
        await page.get_by_label("PIN").fill(PIN)
        await page.get_by_role("button", name="进入").click()
        await expect(page.locator("#told")).to_contain_text("没有连上控制器")
        await page.unroute("**/duty/login")
        wrong.clear()  # the browser says on its console that it was not reached
        await page.get_by_label("姓名").fill(NAME)
        await page.get_by_label("PIN").fill(PIN)
        await page.get_by_role("button", name="进入").click()
        await page.get_by_role("button", name="开放窗口").click()
        await page.get_by_role("radio", name="2", exact=False).first.check(force=True)
        await expect(
            page.get_by_role("button", name="请选好以上各项")
        ).to_be_disabled()  # no act without a reason
        await page.get_by_role("radio", name="人多").check(force=True)
        await page.screenshot(path=tmp_path / "form.png")
        await page.get_by_role("button", name="确认执行").click()
        await expect(page.locator("#told")).to_contain_text("陈敏")
        await until(lambda: desk.machines.lamp.lamp == "blink")
        await expect(page.locator("#standing")).to_contain_text("2号窗口 人工开放")
        await expect(page.locator("#standing")).to_contain_text("人多")
        await expect(page.locator("#standing")).to_contain_text("已呼叫陈敏")
        await page.screenshot(path=tmp_path / "done.png", full_page=True)
        if AXE is not None:
            for theme in ("light", "dark"):
                await page.evaluate("name => { document.documentElement.dataset.theme = name }", theme)
                await page.evaluate(AXE)
                found = await page.evaluate("axe.run()")
                assert found["passes"], "axe looked at nothing"
                assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        await page.get_by_role("button", name="English").click()
        await expect(page.locator("#standing")).to_contain_text("Crowd")
        await page.get_by_role("button", name="End it: Window 2").click()
        await expect(page.locator("#standing")).to_contain_text("Nothing is set by hand")
        await page.screenshot(path=tmp_path / "ended.png", full_page=True)
        await browser.close()
    assert [(type(o).__name__, o.by) for o in desk.orders()] == [
        ("OverrideSet", NAME),
        ("OverrideLifted", NAME),
    ]
    assert wrong == []
