"""What the pure parts of the links decide, over tables of usual and odd values, as written in ``recorded/``.

Rewrite the files, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/links/test_links_as_written.py``.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import os
import socket
import urllib.error
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from email.message import Message as Headers
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edged.core.model.losses import Loss
from edged.driver import DeviceError, Unreachable
from edged.links import reopening
from edged.links.framing import FrameCutter
from edged.links.http.credentials import HEADER_MAX, Credential, PostDoorkeeper
from edged.links.http.posts import BODY_BYTES_MAX, Outcome, PostDoor
from edged.links.http.questions import HttpQuestion, address
from edged.links.losses import loss_of
from edged.links.memory import Delivery, Mangler, MemoryLink, WireFaults
from edged.links.modbus import frames, pdus
from edged.links.modbus.queue import Debt, ModbusRequest, ModbusUnit, Pace, RequestQueue
from edged.links.modbus.wire import parse_url
from edged.links.mqtt.names import covers, filter_fault, topic_fault
from edged.links.mqtt.outgoing import Outgoing
from edged.links.mqtt.packets import (
    packet_end,
    puback_packet,
    publish_packet,
    read_puback,
    read_publish,
    varint,
)
from edged.links.mqtt.settings import MqttSettings, new_client
from edged.links.mqtt.wire import MqttWire
from edged.links.noise import Babble, Presses
from edged.links.reopening import ByteEnds, Reopening
from edged.links.slots import SlotBus
from tests.support.dialogues import Stage, played, shown

RECORDED = Path(__file__).parent / "recorded"


def result_or_error(made: Callable[[], Any]) -> str:
    """Return what ``made`` returns (bytes as hex), or the error it raises, as text."""
    try:
        found = made()
    except (DeviceError, ValueError) as error:
        word = f" {error.word}" if isinstance(error, DeviceError) else ""
        return f"{type(error).__name__}{word}: {error}"
    return found.hex() if isinstance(found, bytes) else str(found)


def modbus_frames() -> Iterator[str]:
    asks = {
        "10 coils": pdus.ask_coils(3, 10),
        "8 inputs": pdus.ask_inputs(3, 8),
        "2 registers": pdus.ask_registers(5, 2),
        "1 register": pdus.ask_registers(6, 1),
        "1 input register": pdus.ask_input_registers(5, 1),
        "coil on": pdus.set_coil(7, 0xFF00),
        "coil off": pdus.set_coil(7, 0),
        "register": pdus.set_register(7, 0xFF00),
        "coils": pdus.set_coils(7, [True, False]),
        "registers": pdus.set_registers(7, [1, 2]),
        "another": b"\x2b\x0e\x01\0\0",
    }
    for name, asked in asks.items():
        yield f"{name}: {asked.hex()} answer of {frames.answer_size(asked)}"
        alike = [other for other, pdu in asks.items() if frames.alike(asked, pdu)]
        yield f"  alike: {', '.join(alike)}"
        size = frames.answer_size(asked)
        for answer in (
            b"",
            asked[:1],
            asked[:5],
            bytes((asked[0] | 0x80, 2)),
            bytes((asked[0] | 0x80, 2, 0)),
            *(
                bytes((asked[0], n)) + bytes(size - 2)
                for n in (size - 3, size - 2, size - 1)
                if size > 1 and n >= 0
            ),
            bytes((asked[0],)) + bytes(max(0, size - 1)),
            bytes((asked[0] + 1,)) + asked[1:5],
        ):
            yield f"  {answer.hex()} fits: {frames.fits(asked, answer)}"
    for code in range(13):
        error = frames.exception_error(code)
        yield f"exception {code}: {type(error).__name__} {error.word} {error}"
    for size in (0, 3, 4, 5, 256, 257):
        frame = frames.rtu_frame(1, bytes(max(0, size - 3)))[:size]
        yield f"{size} bytes: {result_or_error(lambda frame=frame: len(frames.open_rtu_frame(frame)[1]))}"  # type: ignore[misc]
    yield f"header {frames.open_tcp_header(frames.tcp_frame(0x1234, 9, b'abc')[:7])}"


def modbus_misfits() -> Iterator[str]:
    asked = pdus.ask_coils(0, 8)
    answer = b"\x01\x01\xaa"

    def tcp(number: int, unit: int = 1, pdu: bytes = answer) -> bytes:
        return frames.tcp_frame(number, unit, pdu)

    sent, line = tcp(100, 1, asked), frames.rtu_frame(1, asked)
    for name, received in {
        "none": b"",
        "half a header": tcp(100)[:6],
        "a header": tcp(100)[:7],
        "half": tcp(100)[:-1],
        "it": tcp(100),
        "another unit": tcp(100, 2),
        "an older one": tcp(99),
        "the oldest": tcp(36),
        "too old": tcp(35),
        "newer": tcp(101),
        "older of another unit": tcp(99, 2),
        "two older": tcp(98) + tcp(99),
        "older and it": tcp(99) + tcp(100),
        "older and half": tcp(99) + tcp(100)[:-1],
        "another protocol": b"\0\x63\0\1" + tcp(99)[4:],
        "nothing in it": b"\0\x64\0\0\0\0\x01" + tcp(100),
        "length 1": b"\0\x64\0\0\0\1\x01" + tcp(100),
        "another function and it": tcp(100, 1, b"\x02\x01\xaa") + tcp(100),
        "exception": tcp(100, 1, b"\x81\x02"),
    }.items():
        yield (
            f"tcp {name}: {frames.find_tcp_answer(sent, received).hex()} "
            f"only older {frames.only_older(sent, received)} "
            f"{frames.misfit(sent, received, rtu=False)}"
        )
    for name, received in {
        "none": b"",
        "itself": line,
        "it": frames.rtu_frame(1, answer),
        "another unit": frames.rtu_frame(2, answer),
        "exception": frames.rtu_frame(1, b"\x81\x02"),
        "exception of another": frames.rtu_frame(3, b"\x81\x02"),
        "noise around": b"\0\x01" + frames.rtu_frame(1, answer) + b"\xff",
        "damaged": frames.rtu_frame(1, answer)[:-1] + b"\0",
        "another behind noise": b"\0\x01" + frames.rtu_frame(2, answer),
        "two": frames.rtu_frame(2, answer) * 2,
        "another function": frames.rtu_frame(1, b"\x02\x01\xaa"),
        "short": frames.rtu_frame(1, b"\x01\x01"),
    }.items():
        yield f"rtu {name}: {frames.find_rtu_answer(line, received).hex()} {frames.misfit(line, received, rtu=True)}"
    yield f"nothing sent: {frames.misfit(b'', tcp(1), rtu=False)!r} {frames.misfit(b'', line, rtu=True)!r}"


def modbus_units() -> Iterator[str]:
    """How long silent units rest, and until when a late answer is waited for."""
    unit = ModbusUnit()
    for misses in range(16):
        unit.misses = misses
        for jitter in (0.0, 1.0):
            unit.rest(100.0, Pace(), jitter)
            yield f"{misses} misses, jitter {jitter}: {unit.rest_until_s - 100:.3f}"
    older, same, other = (ModbusRequest(1, pdus.ask_registers(n, 1), 0.2) for n in (5, 5, 6))
    for now_s in (0.0, 2.999, 3.0, 3.001):
        unit.owed = [Debt(older, 3.0), Debt(same, 2.0)]
        found = [unit.clash_until_s(request, now_s) for request in (older, same, other)]
        yield f"at {now_s}: {found} {len(unit.owed)}"
    for sent_s, now_s in ((10.0, 10.1), (10.0, 11.9)):
        older.first_sent_s = sent_s
        unit.owed, unit.misses = [Debt(older, 13.0), Debt(other, 13.0)], 5
        unit.answered(older, now_s)
        yield f"answered after {now_s - sent_s:.1f}: {[round(debt.until_s, 3) for debt in unit.owed]} {unit.misses}"


async def modbus_queue(stage: Stage) -> None:
    queue = RequestQueue()
    loop = asyncio.get_running_loop()

    def request(
        name: int, unit: int = 1, slot: int | None = None, not_before_s: float = 0.0
    ) -> ModbusRequest:
        made = ModbusRequest(unit, bytes((name,)), 0.2, None if slot is None else (unit, slot))
        made.not_before_s = not_before_s
        made.waiting.append(loop.create_future())
        return made

    def taken(now_s: float = 0.0) -> str:
        found = queue.take(now_s)
        return "none" if found is None else f"{found.pdu[0]}, for {len(found.waiting)}"

    for one in (request(1), request(2, 9), request(3, slot=7), request(4, slot=7), request(5, 9, slot=7)):
        queue.add(one)
    queue.unit(9).misses = 1
    stage.note("-", f"{len(queue)}: {taken()}; {taken()}; {taken()}; {taken()}; {taken()}")
    for number in range(18):
        queue.add(request(100 + number, slot=number))
    queue.add(request(50))
    stage.note("-", f"{[taken() for _ in range(20)]}")
    first, again = request(1, slot=3), request(2, slot=3)
    queue.put_back(first)
    queue.put_back(again)
    queue.put_back(request(3))
    stage.note("-", f"{taken()}; {taken()}; {taken()}")
    queue.add(request(1, not_before_s=2.0))
    queue.add(request(2, 5, not_before_s=9.0))
    stage.note("-", f"{taken(1.9)}; {taken(2.0)}")
    queue.recheck(6)
    stage.note("-", taken(3.0))
    queue.recheck(5)
    stage.note("-", taken(3.0))
    gone, left, last = request(1, 5), request(2, 6), request(3, 7)
    for one in (gone, left, last):
        queue.add(one)
    queue.drop(Unreachable("gone"), 5)
    last.waiting[0].cancel()
    stage.note("-", f"{gone.waiting[0].exception()!r} {left.waiting[0].done()} {taken()} {taken()}")
    for number in range(257):
        try:
            queue.add(request(1, 1 + number % 99))
        except Unreachable as error:
            stage.note("-", f"{number}: {error}")
    queue.add(request(1, slot=1)) if len(queue) < 256 else stage.note("-", "full")
    queue.drop(Unreachable("all"))
    stage.note("-", f"{len(queue)}")
    settled = request(1)
    settled.settle(b"\x01")
    settled.settle(Unreachable("late"))
    stage.note("-", f"{settled.waiting[0].result()!r}")


def modbus_urls() -> Iterator[str]:
    for url in (
        "tcp://h",
        "tcp://h:1",
        "tcp://h/",
        "tcp://h/x",
        "tcp://h?x=1",
        "tcp://",
        "rtu+tcp://h",
        "rtu+tcp:///dev/x",
        "udp://h",
        "rtu:///dev/x",
        "rtu:///",
        "rtu:///x",
        "rtu://h/dev/x",
        "rtu:///dev/x?baudrate=1200",
        "rtu:///dev/x?baudrate=1201",
        "rtu:///dev/x?parity=E",
        "rtu:///dev/x?parity=e",
        "rtu:///dev/x?stopbits=2&parity=O",
        "rtu:///dev/x?stopbits=3",
        "rtu:///dev/x?speed=9600",
        "rtu:///dev/x?b=1&a=2",
        "rtu:///dev/x?baudrate=",
        "rtu:///dev/x?baudrate=19200",
        "rtu:///dev/x?baudrate=38400&parity=E",
        "rtu:///dev/x?baudrate=115200",
    ):

        def made(url: str = url) -> str:
            wire = parse_url(url)
            return f"{wire} {wire.settings} {wire.rtu} {wire.char_s * 1e6:.1f} us {wire.gap_s * 1e6:.1f} us"

        yield f"{url}: {result_or_error(made)}"


def mqtt_names() -> Iterator[str]:
    topics = (
        "",
        "a",
        "a/b",
        "/",
        "a//b",
        "a/+",
        "+",
        "#",
        "a/#",
        "a/#/b",
        "a#",
        "a/b#",
        "a+/b",
        "+/+",
        "$share/g/a",
        "$shared/a",
        "$SYS/a",
        "a\0b",
        "a\x1fb",
        "a b",
        "a\x7fb",
        "a\x9fb",
        "a\xa0b",
        "a\ufdd0b",
        "a\ufdefb",
        "a\ufffeb",
        "a\U0001ffff",
        "\ud800",
        "号",
        "x" * 65_535,
        "x" * 65_536,
        "号" * 21_846,
    )
    for topic in topics:
        yield f"{topic[:20]!r} {len(topic)}: topic {topic_fault(topic)!r} filter {filter_fault(topic)!r}"
    some = ("a", "a/b", "a/b/c", "+", "a/+", "+/b", "a/+/c", "#", "a/#", "a/b/#", "b/#", "/", "/a", "a/")
    for wide in some:
        yield f"{wide} covers {' '.join(narrow for narrow in some if covers(wide, narrow))}"


def mqtt_packets() -> Iterator[str]:
    for value in (0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455):
        head = b"\x30" + varint(value)
        bounds = [
            result_or_error(lambda n=n, limit=limit: packet_end(head[:n], 0, limit))  # type: ignore[misc]
            for n in range(1, len(head) + 1)
            for limit in (value - 1, value)
        ]
        yield f"{value}: {varint(value).hex()} {' '.join(bounds)}"
    for more in (3, 4, 5):
        long = b"0" + b"\x80" * more
        yield f"{more} bytes of length: {result_or_error(lambda long=long: packet_end(long, 0, 9))}"  # type: ignore[misc]
    plain = publish_packet(
        b"a/b", b"xyz", 2, 0x1234, b"\x02\0\0\0\x05\x08\0\x01r\x09\0\x02cc\x26\0\x01k\0\x01v\x0b\x07"
    )
    yield f"whole: {plain.hex()}"
    body = plain[2:]
    seen = ""
    for first in (0x30, 0x31, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3B):
        yield f"head {first:#x}: {result_or_error(lambda first=first: read_publish(first, body, True))}"  # type: ignore[misc]
    for length in range(len(body)):
        found = result_or_error(lambda length=length: read_publish(0x32, body[:length], True))  # type: ignore[misc]
        if found != seen:
            yield f"  first {length}: {found}"
        seen = found
    for place, byte in enumerate(body):
        for other in sorted({0, byte - 1, byte + 1, byte ^ 0x80} - {byte, -1, 256}):
            odd = body[:place] + bytes((other,)) + body[place + 1 :]
            yield f"  {place} is {other:02x}: {result_or_error(lambda odd=odd: read_publish(0x32, odd, True))}"  # type: ignore[misc]
    for kind in range(0x30):
        odd = publish_packet(b"t", b"x", 0, 0, bytes((kind,)) + b"\0\x01rs\0")[2:]
        yield f"  property {kind:#x}: {result_or_error(lambda odd=odd: read_publish(0x30, odd, True))}"  # type: ignore[misc]
    for ack in (b"", b"\x12", b"\x12\x34", b"\x12\x34\x10", b"\x12\x34\x87\0"):
        yield f"PUBACK {ack.hex()}: {result_or_error(lambda ack=ack: read_puback(ack))}"  # type: ignore[misc]
    yield f"PUBACK {puback_packet(0x1234).hex()}"
    for properties in (None, b""):
        yield f"{properties!r}: {publish_packet(b't', b'x' * 3, 1, 0, properties).hex()}"
        bare = publish_packet(b"t", b"x", 0, 0, properties)[2:]
        for five in (False, True):
            yield f"  read {five}: {result_or_error(lambda a=(0x30, bare, five): read_publish(*a))}"  # type: ignore[misc]


def mqtt_window() -> Iterator[str]:
    sent: list[str] = []
    numbers = iter([1, 2, 2, 3, 1, 4, 5, 6, 7, 8])
    out = Outgoing(lambda packet: sent.append(packet.hex()), lambda: next(numbers))
    out.window = 2
    heard: list[str] = []
    for name, retain in (
        (b"a", False),
        (b"b", True),
        (b"c", True),
        (b"c", True),
        (b"d", False),
        (b"d", False),
    ):
        payload, properties = str(len(sent)).encode(), b"" if retain else None
        put = out.put(name, payload, retain, properties, partial(heard.append, str(name)))
        yield f"{name!r} {retain}: {put} {len(out)} {sent}"
    for mid, unheard in ((9, True), (1, True), (2, False), (3, True), (1, False), (4, False)):
        yield f"acknowledged {mid} {unheard}: {out.acknowledged(mid, unheard)!r} {len(out)} {heard} {sent[-1]}"


def noise() -> Iterator[str]:
    babble = Babble()
    for count, now_s in (
        (63, 0.0),
        (0, 0.9),
        (0, 1.8),
        (0, 2.7),
        (0, 3.6),
        (0, 4.5),
        (0, 4.999),
        (0, 5.0),
        (1, 5.0),
        (1, 5.9),
        (1, 6.9),
        (64, 7.8),
        *((20, 8.0 + n / 2) for n in range(12)),
    ):
        yield f"{count} at {now_s}: {babble.count(count, now_s)} quiet in {babble.quiet_in_s(now_s):.3f}"
    babble.understood()
    yield f"understood: {babble.count(64, 13.6)} {babble.quiet_in_s(14.6)} {babble.quiet_in_s(20.0)}"
    presses = Presses()
    for now_s in (*(n / 100 for n in range(12)), 0.99, 1.0, 1.001, 1.01, 1.011, 3.0):
        yield f"press at {now_s}: {presses.allows(5, now_s)} {presses.allows(6, 9.0)}"


def losses() -> Iterator[str]:
    for number in sorted(errno.errorcode):
        error = OSError(number, "text")
        loss = loss_of(error)
        if loss.word != "other":
            yield f"{errno.errorcode[number]}: {loss.word} {loss.detail}"
    caused = RuntimeError("outer")
    caused.__cause__ = OSError(errno.EBUSY, "inner")
    meanwhile = RuntimeError("outer")
    meanwhile.__context__ = TimeoutError()
    for odd in (
        OSError(),
        OSError("x"),
        OSError(9999, "x"),
        TimeoutError("t"),
        socket.gaierror(-2, "no name"),
        ValueError(),
        caused,
        meanwhile,
        RuntimeError("[Errno 13] x"),
        RuntimeError("x" * 300),
        ConnectionResetError(),
        ConnectionResetError(104, "reset"),
    ):
        loss = loss_of(odd)
        yield f"{odd!r:.60}: {loss.word} {loss.detail[:40]} {len(loss.detail)}"


def credentials() -> Iterator[str]:
    keeper = PostDoorkeeper(b"k" * 32)
    credential = Credential("cam", "s3:cret")
    nonce = keeper.challenges(1000.7)[0].split('nonce="')[1].split('"')[0]

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    def digest(algorithm: str = "", qop: bool = True, **odd: str) -> str:
        hashed = getattr(hashlib, {"SHA-256": "sha256"}.get(algorithm, "md5"))
        given = {
            "username": "cam",
            "realm": "edged",
            "uri": "/cam",
            "nonce": nonce,
            "nc": "00000001",
            "cnonce": "c",
        } | odd
        one = hashed(b"cam:edged:s3:cret").hexdigest()
        two = hashed(f"POST:{given['uri']}".encode()).hexdigest()
        middle = f":{given['nc']}:{given['cnonce']}:auth" if qop else ""
        answer = hashed(f"{one}:{given['nonce']}{middle}:{two}".encode()).hexdigest()
        parts = {**given, "response": given.get("response", answer)} | (
            {"qop": "auth"} if qop and "qop" not in odd else {}
        )
        more = f", algorithm={algorithm}" if algorithm else ""
        return "Digest " + ", ".join(f'{name}="{value}"' for name, value in parts.items()) + more

    stamp, _, mark = nonce.partition("-")
    headers = {
        "none": "",
        "spaces": "   ",
        "another": "Negotiate x",
        "token": "Bearer s3:cret",
        "wrong token": "Bearer s3",
        "basic": basic("cam:s3:cret"),
        "BASIC": basic("cam:s3:cret").replace("Basic", "BASIC"),
        "another user": basic("dog:s3:cret"),
        "wrong secret": basic("cam:s3"),
        "no colon": basic("cam"),
        "empty": basic(":"),
        "no base64": "Basic !!",
        "no text": "Basic /w==",
        "digest": digest(),
        "SHA-256": digest("SHA-256"),
        "md5": digest("md5"),
        "SHA-512": digest("SHA-512"),
        "as of 2069": digest(qop=False),
        "auth-int": digest(qop=True).replace('qop="auth"', 'qop="auth-int"'),
        "another path": digest(uri="/dog"),
        "user": digest(username="dog"),
        "wrong response": digest(response="0" * 32),
        "upper case": digest().replace('response="', 'response="').upper().replace("DIGEST ", "Digest "),
        "another mark": digest(nonce=f"{stamp}-{'0' * 32}"),
        "no number": digest(nonce=f"zz-{mark}"),
        "no nonce": digest(nonce=""),
        "long": "Bearer " + "x" * (HEADER_MAX - 7),
        "too long": "Bearer " + "x" * (HEADER_MAX - 6),
    }
    for name, header in headers.items():
        yield f"{name}: {keeper.judge(header, 'POST', '/cam', credential, 1000.9)}"
    for now_s in (998.9, 999.0, 999.9, 1000.0, 1300.0, 1300.1, 2000.0):
        yield f"at {now_s}: {keeper.judge(digest(), 'POST', '/cam', credential, now_s)}"
    yield f"GET: {keeper.judge(digest(), 'GET', '/cam', credential, 1000.0)}"
    yield f"another process: {PostDoorkeeper(b'l' * 32).judge(digest(), 'POST', '/cam', credential, 1000.0)}"
    for stale in (False, True):
        yield f"challenges: {keeper.challenges(1000.0, stale)}"


async def posts(stage: Stage) -> None:
    """The answers to posts: paths, methods, credentials, sizes, slow bodies; and how long guessing takes."""
    outcomes: list[Outcome] = ["kept"]

    async def take(device: str, body: bytes) -> Outcome:
        stage.note("!", f"{device} {len(body)} bytes {body[:20]!r}")
        return outcomes[0]

    door = PostDoor({"cam": Credential("cam", "s"), "dog": Credential("dog", "t/")}, take)
    token = [(b"authorization", b"Bearer s")]

    async def post(
        path: str,
        headers: list[tuple[bytes, bytes]] = token,
        pieces: tuple[bytes | None, ...] = (b"x",),
        method: str = "POST",
        wait_s: float = 0.0,
        query: bytes = b"",
    ) -> None:
        left = list(pieces)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(wait_s)
            piece = left.pop(0)
            if piece is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece, "more_body": bool(left)}

        async def send(message: dict[str, Any]) -> None:
            if "status" in message:
                words = [f"{name.decode()}: {value.decode()[:30]}" for name, value in message["headers"]]
                stage.note("=", f"{message['status']} {words}")

        stage.note(
            "-",
            f"{method} {path} {[value[:20] for _, value in headers]} {[len(one or b'') for one in pieces]}",
        )
        await door({"path": path, "method": method, "headers": headers, "query_string": query}, receive, send)

    await post("/cam")
    await post("/cam/s", [])
    await post("/dog/t%2F", [])
    await post("/cam/wrong", [])
    await post("/cam/wrong")
    await post("/nobody")
    await post("/")
    await post("/cam", method="GET")
    await post("/cam", [])
    await post("/cam", token * 2)
    await post("/cam", [(b"authorization", b"Bearer wrong")])
    for size in (BODY_BYTES_MAX, BODY_BYTES_MAX + 1):
        await post("/cam", pieces=(bytes(size),))
        await post("/cam", [*token, (b"content-length", str(size).encode())])
    await post("/cam", [*token, (b"content-length", b"-1")])
    await post("/cam", pieces=(b"ab", b"cd", None))
    await post("/cam", pieces=(bytes(BODY_BYTES_MAX), b"x"))
    await post("/cam", pieces=(b"a", b"b"), wait_s=4.9)
    await post("/cam", pieces=(b"a", b"b", b"c"), wait_s=4.9)
    for outcome in ("unreadable", "later"):
        outcomes[0] = outcome
        await post("/cam")
    stage.note("-", f"{sorted(door.answered.items())} {type(door.answered) is Counter}")


def questions() -> Iterator[str]:
    for url in (
        "http://h",
        "https://h:1/x?y",
        "ftp://h",
        "http://",
        "http:///x",
        "http://h:0",
        "http://h:99999",
        "http://h:x",
        "h",
        "",
        "http://u@h",
        "http://u:p@h",
        "http://:p@h",
        "http://h/a b",
        "http://h/é",
        "http://h/~",
        "http://h/\x7f",
        "http://[::1]:80/",
        "http://[::1",
    ):
        yield f"{url!r}: {result_or_error(lambda url=url: address(url))}"  # type: ignore[misc]
    for code in (300, 304, 400, 401, 403, 404, 429, 500, 503):
        for after in ("", "0", "7", "300", "301", "99999", "100000", "-1", "1.5", "٣", "Wed, 21 Oct 2026"):
            if after and code not in (429, 503):
                continue
            headers = Headers()
            if after:
                headers["Retry-After"] = after
            asked = HttpQuestion("http://h", Credential("u", "s"), "e", "m")
            error = urllib.error.HTTPError("http://h", code, "", headers, None)
            found = result_or_error(lambda asked=asked, error=error: asked._judge(error))  # type: ignore[misc]
            yield f"{code} {after}: {found} wait {asked.wait_s} {asked.etag}{asked.modified} {asked._known()}"


async def clients(stage: Stage) -> None:
    """The settings that paho gets for each of our settings."""
    for more in (
        {},
        {"protocol": "3.1.1"},
        {"lasting": False},
        {"protocol": "3.1.1", "lasting": False},
        {"will_topic": "w", "will_payload": b"p"},
        {"will_topic": "w", "will_retain": False},
        {"username": "u", "password": "p", "host": "h", "port": 9, "keepalive_s": 7},
    ):
        client = new_client(MqttSettings("id", **more))
        paho: Any = client._client
        names = (
            "client_id",
            "protocol",
            "clean_session",
            "clean_start",
            "will_topic",
            "will_payload",
            "will_qos",
        )
        paho_settings = {
            name: getattr(paho, f"_{name}", None) for name in (*names, "will_retain", "username", "password")
        }
        place = f"{client._hostname} {client._port} {client._keepalive} {client.timeout}"
        stage.note("-", f"{more}: {paho_settings} {place} {client._clean_start} {client._properties}")


async def memory(stage: Stage) -> None:
    """A wire in memory: faults by seed, order, cuts."""
    for name, faults in {
        "lose": WireFaults(lose=0.5),
        "duplicate": WireFaults(duplicate=0.5),
        "split": WireFaults(split=0.7),
        "lose_byte": WireFaults(lose_byte=0.3),
        "flip_byte": WireFaults(flip_byte=0.3),
        "insert_byte": WireFaults(insert_byte=0.3),
        "delay": WireFaults(delay_min_s=0.1, delay_max_s=0.4),
        "none": WireFaults(),
        "all lost": WireFaults(lose_byte=1.0),
    }.items():
        mangler = Mangler(faults, 7)
        for data in (b"", b"a", b"abcdef", b"abcdef", b"abcdef"):
            pieces = [f"{delay_s:.3f} {piece.hex()}" for delay_s, piece in mangler.pieces(data)]
            stage.note("-", f"{name} {data!r}: {pieces}")
    delivery = Delivery(lambda data: stage.note("<", data[:9].decode()))
    for delay_s, data in ((0.3, b"1"), (0.1, b"2"), (0.0, b"3"), (0.4, b"4")):
        delivery.put(delay_s, data)
    await asyncio.sleep(1)
    for size in (64 * 1024, 1):
        await stage.outcome(f"{size} bytes", _put(delivery, bytes(size)))
    delivery.clear()
    await stage.outcome("after a clear", _put(delivery, b"z" * 64 * 1024))
    await asyncio.sleep(2)
    one, two = MemoryLink.pair(3)
    await stage.outcome("not open", one.write(b"x"))
    running = [
        asyncio.ensure_future(
            link.run(
                lambda data, name=name: stage.note("<", f"{name} {data!r}"),  # type: ignore[misc]
                lambda up, why, name=name: stage.note("!", f"{name} {up} {why}"),  # type: ignore[misc]
            )
        )
        for name, link in (("one", one), ("two", two))
    ]
    await asyncio.sleep(0.1)
    await stage.outcome("open", one.write(b"abc"))
    await asyncio.sleep(0.1)
    one.cut("pulled")
    one.cut("again")
    await stage.outcome("cut", two.write(b"x"))
    one.reopen(Loss("no-echo", "reopened"))
    two.mend()
    two.mend()
    one.reopen(Loss("no-echo", "reopened"))
    two.misbehave(WireFaults(duplicate=1.0), 4)
    await stage.outcome("twice", two.write(b"y"))
    await asyncio.sleep(0.1)
    stage.note("-", f"{one.sent} {one.received} {two.sent} {two.received}")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await stage.outcome("stopped", one.write(b"x"))


async def _put(delivery: Delivery, data: bytes) -> None:
    delivery.put(1.0, data)


class _Wire(asyncio.Transport):
    """A transport in the hand of the scene; ``stuck``: it takes no bytes."""

    def __init__(self, stage: Stage, ends: ByteEnds) -> None:
        super().__init__()
        self.stage, self.ends, self.stuck, self.broken = stage, ends, False, False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.stage.note("-", f"limits {high} {low}")

    def write(self, data: Any) -> None:
        if self.broken:
            raise OSError(errno.EPIPE, "Broken pipe")
        self.stage.note(">", shown(bytes(data)))
        if self.stuck:
            self.ends.pause_writing()

    def abort(self) -> None:
        self.stage.note("-", "closed")
        asyncio.get_running_loop().call_soon(self.ends.connection_lost, None)


class _Link(Reopening[_Wire]):
    def __init__(self, stage: Stage) -> None:
        super().__init__("here", lambda: 0.5)
        self.stage, self.vanished, self.hangs = stage, "", False
        self.opens: Exception | None = None
        self.wires: list[_Wire] = []

    async def _open(self, ends: ByteEnds) -> _Wire:
        self.stage.note("-", "opens")
        if self.hangs:
            await asyncio.sleep(100)
        if self.opens is not None:
            raise self.opens
        self.wires.append(_Wire(self.stage, ends))
        return self.wires[-1]

    def _vanished(self) -> str:
        return self.vanished

    def _discard(self, transport: _Wire) -> None:
        self.stage.note("-", "discards")


async def reopened(stage: Stage) -> None:
    """A byte stream that is opened again and again: pauses, reasons, full wires, vanished ports."""
    link = _Link(stage)
    await stage.outcome("before", link.write(b"x"))
    link.opens = OSError(errno.ENOENT, "No such file")
    running = asyncio.ensure_future(
        link.run(
            lambda data: stage.note("<", data.hex()),
            lambda up, why: stage.note("!", f"{'up' if up else 'down'} {why.word}: {why.detail}"),
        )
    )
    await asyncio.sleep(8)
    link.opens = OSError(errno.EBUSY, "busy")
    await asyncio.sleep(4)
    await stage.outcome("while busy", link.write(b"x"))
    link.opens, link.hangs = None, True
    await asyncio.sleep(8)
    link.hangs = False
    await asyncio.sleep(4)
    stage.note("-", f"connected {link.connected} {link.opened}")
    link.wires[-1].ends.data_received(b"ab")
    await stage.outcome("write", link.write(b"abc"))
    await stage.outcome("much", link.write(bytes(16 * 1024)))
    await stage.outcome("too much", link.write(bytes(16 * 1024 + 1)))
    stage.note("-", "vanishes for one look, then for good")
    link.vanished = "gone"
    await asyncio.sleep(0.5)
    link.vanished = ""
    await asyncio.sleep(1)
    link.vanished = "gone"
    await asyncio.sleep(1.2)
    link.vanished = ""
    await asyncio.sleep(6)
    stage.note("-", "takes nothing")
    link.wires[-1].stuck = True
    await asyncio.gather(
        stage.outcome("stuck", link.write(b"1")), stage.outcome("behind it", link.write(b"2"))
    )
    await asyncio.sleep(1)
    link.wires[-1].stuck = True
    asyncio.get_running_loop().call_later(1.9, link.wires[-1].ends.resume_writing)
    await stage.outcome("slow", link.write(b"3"))
    link.wires[-1].broken = True
    await stage.outcome("broken", link.write(b"4"))
    await asyncio.sleep(1)
    link.reopen(Loss("no-answer", "asked for"))
    link.reopen(Loss("no-answer", "twice"))
    await stage.outcome("meanwhile", link.write(b"5"))
    await asyncio.sleep(5.5)
    for lived_s in (4.9, 5.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1):
        link.wires[-1].ends.connection_lost(None)
        await asyncio.sleep(0.01)
        count = len(link.wires)
        while len(link.wires) == count:
            await asyncio.sleep(0.05)
        await asyncio.sleep(lived_s)
    link.wires[-1].ends.connection_lost(OSError(errno.ECONNRESET, "reset"))
    await asyncio.sleep(3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stage.outcome("after", link.write(b"x"))
    stage.note("-", f"{link.connected} {link.opened} {reopening.PAUSE_MAX_S}")


async def slots(stage: Stage) -> None:
    """One frame at a time, the newest of each slot, changes before repetitions."""
    fails = [0]

    async def write(frame: str) -> None:
        stage.note(">", frame)
        await asyncio.sleep(0.1)
        if fails[0]:
            fails[0] -= 1
            raise Unreachable("no")

    bus = SlotBus[str](write, lambda: asyncio.sleep(0.2))

    def put(slot: str, level: str, once: str | None = None) -> None:
        future = bus.put(slot, level, once)
        name = f"{slot} {level} {once}"
        stage.note("-", f"put {name}: {'again' if future is None else 'new'}")
        if future is not None:
            future.add_done_callback(lambda done: stage.note("=", f"{name}: {done.exception() or 'sent'}"))

    running = asyncio.ensure_future(bus.run())
    for slot, level in (("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("a", "1")):
        put(slot, level)
    await asyncio.sleep(0.05)
    put("a", "3")
    await asyncio.sleep(2)
    for slot in "abc":
        put(slot, "1" if slot != "a" else "3")
    put("b", "2")
    put("c", "1", "loud")
    await asyncio.sleep(2)
    fails[0] = 1
    put("a", "4")
    put("b", "2")
    await asyncio.sleep(2)
    put("a", "4")
    stage.note("-", f"{bus.is_new('a', '4')} {bus.is_new('b', '2')} {bus.is_new('b', '9')}")
    put("c", "9")
    bus.fail(Unreachable("down"))
    stage.note("-", f"{bus.is_new('c', '9')} {bus.is_new('b', '2')}")
    await asyncio.sleep(2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def wires() -> Iterator[str]:
    """The socket of the broker's link: whole packets, halves, lent ones, ends."""
    near, far = socket.socketpair()
    near.setblocking(False)

    class Quiet:
        """The socket without options of TCP."""

        def setsockopt(self, *_: object) -> None:
            raise OSError

        def __getattr__(self, name: str) -> Any:
            return getattr(near, name)

    class First(Quiet):
        def setsockopt(self, *asked: object) -> None:
            found.append(asked)

    found: list[object] = []
    raw: Any = First()
    wire = MqttWire(raw, 200)
    yield f"options {found}"
    wire.acknowledge()
    yield f"options {found}"
    packet = publish_packet(b"t", b"x" * 3, 0, 0, None)
    yield f"empty: {wire.fill()} {wire.take()} {wire.ended}"
    far.send(packet * 2 + packet[:3])
    yield f"two and a half: {wire.fill()} {wire.take()} {wire.take()} {wire.take()} {wire.fill()} {wire.fill()}"
    far.send(packet[3:])
    yield f"the rest: {wire.fill()} {wire.take()} {wire.take()}"
    yield f"nothing lent: {error_text(lambda: wire.recv(9))}"
    wire.lend()
    yield f"lent: {wire.recv(2).hex()} {wire.recv(100).hex()} {error_text(lambda: wire.recv(9))}"
    far.send(publish_packet(b"t", b"x" * 300, 0, 0, None))
    yield f"too large: {wire.fill()} {wire.fill()} {result_or_error(wire.take)}"
    wire._in, wire._at = b"", 0
    yield f"sends {wire.send(b'abc')} {wire.backlog_bytes} {wire.flush()} {wire.backlog_bytes}"
    yield f"arrived {far.recv(99)!r} {wire.flush()}"
    wire.send(bytes(10_000_000))
    yield f"full: {wire.flush()} {0 < wire.backlog_bytes < 10_000_000}"
    del wire._out[:]
    far.setblocking(False)
    with suppress(BlockingIOError):
        while far.recv(1 << 20):
            pass
    far.close()
    yield f"end: {wire.fill()} {wire.fill()} {wire.ended} {wire.recv(9)!r} {wire.take()} {wire.fault}"
    yield f"file {wire.fileno() == near.fileno()} {wire.peer_end_ms()}"
    wire.close()
    yield f"closed {wire.fileno()}"


def error_text(call: Callable[[], object]) -> str:
    """Call ``call``; return the error that it raises as text."""
    try:
        return str(call())
    except OSError as error:
        return type(error).__name__


def cutters() -> Iterator[str]:
    """Frames of the form ``<x>`` in a stream."""

    def parse(data: bytes, start: int) -> tuple[int, bytes | None]:
        piece = data[start : start + 3]
        if piece[:1] != b"<" or (len(piece) == 3 and piece[2:] != b">"):
            return 1, None
        return (3, piece) if len(piece) == 3 else (0, None)

    cutter = FrameCutter[bytes](parse)
    for data in (b"", b"<a>", b"x<b>y", b"<", b"c", b">", b"<<d>", b"<e", b"<f>", b"<"):
        yield f"{data!r}: {cutter.feed(data)} noise {cutter.noise} holding {cutter.holding}"
    cutter.gap()
    yield f"gap: noise {cutter.noise} holding {cutter.holding}"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "modbus-frames": modbus_frames,
    "modbus-answers": modbus_misfits,
    "modbus-units": modbus_units,
    "modbus-urls": modbus_urls,
    "mqtt-names": mqtt_names,
    "mqtt-packets": mqtt_packets,
    "mqtt-window": mqtt_window,
    "mqtt-wire": wires,
    "noise": noise,
    "losses": losses,
    "credentials": credentials,
    "questions": questions,
    "framing": cutters,
}
SCENES: dict[str, Callable[[Stage], Coroutine[Any, Any, None]]] = {
    "modbus-queue": modbus_queue,
    "posts": posts,
    "memory": memory,
    "mqtt-clients": clients,
    "reopening": reopened,
    "slots": slots,
}


def written(name: str, found: str) -> list[str]:
    """The lines of a file, which is rewritten first if that is asked for."""
    file = RECORDED / f"{name}.txt"
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    return file.read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", TABLES)
def test_decisions_of_a_link_are_as_written_in_the_table(name: str) -> None:
    found = "".join(f"{line.encode('unicode_escape').decode()}\n" for line in TABLES[name]())
    assert found.splitlines() == written(name, found)


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_of_a_link_is_as_written(name: str) -> None:
    found = played(SCENES[name])
    assert found.splitlines() == written(name, found)
