"""What decision 0102 says of the pages and no other test of this folder holds: over HTTPS, and against nonsense."""

from __future__ import annotations

import json
import random
import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from edged.central.envelope import private_pem
from edged.clock import Clock
from edged.config import load
from edged.links.http.listener import CIPHERS, Listener
from edged.pages import assets, pins
from edged.pages.server import application, assemble
from tests.support.authorities import Authority
from tests.support.daemons import ROOT

NAME, PIN = "赵敏", "482915"
HOST = "hall.example"
PATHS = [
    "/",
    "/duty",
    "/duty/act",
    "/duty/login",
    "/board/tax",
    "/changes",
    "/days/2026-11-20",
    "/replay/what",
]
PATHS += [
    "/files/base.js",
    "/files/..%2f..%2fetc/passwd",
    "/parts",
    "/healthz",
    "/usual",
    "/%00",
    "//",
    "/t/x",
]
ODD = ["%00", "%E9", "%E5%91%A8", "%", "%u0041", "..", "/", "?", "<script>", "'", "{", "%ED%A0%80", "A" * 300]
TRIES = 400


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    pins.keep(tmp_path / "pins.json", NAME, PIN)
    return tmp_path / "pins.json"


@pytest.fixture
async def app(tmp_path: Path, pin_file: Path) -> ASGIApp:
    """The whole application of the staff's listener, without its wire."""
    key = Ed25519PrivateKey.generate()
    (tmp_path / "duty.key").write_bytes(private_pem(key))
    (tmp_path / "duty.key").chmod(0o600)
    text = (ROOT / "configs" / "hall-small.toml").read_text("utf-8")
    text += f'\n[pages]\nnames = ["{HOST}"]\nduty_key = "duty.key"\npins = "{pin_file.name}"\n'
    (tmp_path / "hall.toml").write_text(text)
    return application(assemble(load(tmp_path / "hall.toml"), Clock(0)))


def browser(app: ASGIApp, scheme: str = "https") -> httpx.AsyncClient:
    address = f"{scheme}://{HOST}"
    headers = {"origin": address, "content-type": "application/json"}
    wire = httpx.ASGITransport(app=app, client=("192.0.2.7", 4711))
    return httpx.AsyncClient(base_url=address, transport=wire, headers=headers)


async def test_over_https_the_cookie_and_the_address_are_for_https_alone(app: ASGIApp) -> None:
    async with browser(app) as client:
        answer = await client.post("/duty/login", content=json.dumps({"name": NAME, "pin": PIN}))
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert re.match(r"__Secure-edged-duty=\S{43};", cookie)
        for word in ("HttpOnly", "Path=/duty", "SameSite=strict", "Secure"):
            assert word in cookie
        assert "max-age" in answer.headers["strict-transport-security"]
        assert (await client.get("/duty/session")).json()["name"] == NAME
    async with browser(app, "http") as client:
        assert "strict-transport-security" not in (await client.get("/")).headers
        refused = await client.post("/duty/login", content=json.dumps({"name": NAME, "pin": PIN}))
        assert refused.status_code == 403, "a PIN by plain HTTP from another machine"


async def test_answers_for_programs_are_sent_as_attachments(app: ASGIApp) -> None:
    async with browser(app) as client:
        for path in ("/duty/session", "/days", "/healthz", "/usual"):
            assert "attachment" in (await client.get(path)).headers["content-disposition"], path
        assert "content-disposition" not in (await client.get("/")).headers


@pytest.mark.parametrize("after", ["739105", None])
async def test_a_pin_that_is_changed_or_taken_away_ends_what_it_began(
    app: ASGIApp, pin_file: Path, after: str | None
) -> None:
    async with browser(app) as client:
        proof = (await client.post("/duty/login", content=json.dumps({"name": NAME, "pin": PIN}))).json()[
            "proof"
        ]
        act = json.dumps({"key_of_act": "act-00000001", "act": "nothing"})
        assert (
            await client.post("/duty/act", content=act, headers={"x-edged-proof": proof})
        ).status_code == 200
        pins.keep(pin_file, NAME, after)
        for _ in range(2):
            answer = await client.post("/duty/act", content=act, headers={"x-edged-proof": proof})
            assert answer.status_code == 403
        assert (await client.get("/duty/session")).json()["name"] is None


@pytest.mark.parametrize(
    "pin", ["112233", "121212", "123123", "147258", "5201314", "000000", "987654", "12121212"]
)
def test_a_pin_that_everybody_tries_is_refused(pin: str) -> None:
    with pytest.raises(ValueError, match="first that anybody tries"):
        pins.check_form(pin)


def test_only_tls_of_today_is_spoken(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("hall")

    server = Listener(PlainTextResponse("never asked"), str(cert), str(key))
    server.config.load()
    context = server.config.ssl
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert CIPHERS
    for cipher in context.get_ciphers():
        assert cipher["aead"], cipher["name"]
        assert cipher["name"].startswith(("TLS_", "ECDHE-")), cipher["name"]


def test_no_script_makes_markup_or_code_of_data_or_keeps_a_secret() -> None:
    scripts = 0
    for name, asset in assets.load().items():
        text = asset.plain.decode()
        if name.endswith(".js"):
            scripts += 1
            for word in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
            ):
                assert word not in text, (name, word)
            kept = set(re.findall(r"Storage\.setItem\((\w+|\"\w+\")", text))
            assert kept <= {"key"}, (name, kept)  # of base.js: language and theme
    assert scripts > 5


async def test_nonsense_is_refused_in_order_and_with_every_header(app: ASGIApp) -> None:
    """Paths, queries, methods, headers and bodies at random; whatever it is, no error of ours and the policy stands."""
    chance = random.Random(20261130)
    for number in range(TRIES):
        status, headers = await _answer(app, _nonsense(chance), _body(chance))
        assert status < 500 or (status, number) == (503, number), (number, status)
        assert b"content-security-policy" in headers, number


def _nonsense(chance: random.Random) -> dict[str, Any]:
    path = chance.choice(PATHS) if chance.random() < 0.7 else "/"
    path += "".join(chance.choice(ODD) for _ in range(chance.choice((0, 0, 1, 3))))
    query = "".join(
        chance.choice([*ODD, "day=", "minutes=", "&"]) for _ in range(chance.choice((0, 0, 2, 5)))
    )
    raw = [bytes(chance.randrange(32, 256) for _ in range(chance.randrange(1, 40))) for _ in range(3)]
    scheme = chance.choice(("http", "https"))
    known = [(b"host", HOST.encode()), (b"content-type", b"application/json")]
    known += [(b"origin", f"{scheme}://{HOST}".encode())] * (chance.random() < 0.7)
    odd = [
        (name, chance.choice(raw))
        for name in (b"cookie", b"last-event-id", b"accept-encoding", b"if-none-match")
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": chance.choice(("GET", "GET", "POST", "POST", "HEAD", "PUT", "TRACE", "X" * 30)),
        "scheme": scheme,
        "path": unquote(path),  # as the listener does; anything but ASCII it has refused before
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": known + chance.sample(odd, chance.randrange(len(odd))),
        "client": ("127.0.0.1", 4711),
        "server": (HOST, 443),
    }


def _body(chance: random.Random) -> bytes:
    whole: dict[str, Any] = {
        "name": chance.choice((NAME, None, [], "x" * 99)),
        "pin": chance.choice(("1", 1, {}, PIN)),
        "key_of_act": 7,
    }
    text = json.dumps(whole)
    return chance.choice(
        (b"", b"\xff\xfe", b"[" * 900, b'{"a":1,"a":2}', text.encode(), text[: len(text) // 2].encode())
    )


async def _answer(app: ASGIApp, scope: dict[str, Any], body: bytes) -> tuple[int, dict[bytes, bytes]]:
    """What it answers first; a stream is left there."""
    sent_messages: list[Message] = []
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent_messages.append(message)
        if message["type"] == "http.response.body" and message.get("more_body"):
            raise ConnectionError

    await app(scope, receive, send)
    start = sent_messages[0]
    return start["status"], dict(start["headers"])
