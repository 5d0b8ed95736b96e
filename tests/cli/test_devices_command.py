"""`edged devices` on real wires: a technician sees bytes both ways, in words, and what to do about silence."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from devices.escpos.fake import FakePrinter
from devices.modbus_relay.fake import FakeLine, FakeRelay
from edged.cli.device_bytes import DECODERS, ask_raw, encoded, units_of
from edged.cli.device_scaffolds import SCAFFOLDS
from edged.clock import monotonic_s
from edged.config import load, options_of
from edged.descriptions import parsed
from edged.links.pty import Pty
from tests.support.daemons import edged
from tests.support.halls import GOOD
from tests.support.modbus_peers import pymodbus_tcp, running, sim_device


def output_of(*arguments: str, code: int = 0) -> str:
    """Run ``edged devices``, which has to end with ``code``, and return all that it printed."""
    done = edged("devices", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


async def run_in_thread(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``edged devices`` in a thread, so that the event loop can serve the device's end of the wire."""
    return await asyncio.to_thread(edged, "devices", *arguments)


async def test_a_module_on_a_serial_line_is_probed_and_found() -> None:
    line = FakeLine([FakeRelay(monotonic_s, unit=3)])
    async with running(line):
        url = f"rtu://{line.path}?baudrate=9600"
        done = await run_in_thread("probe", url, "--unit", "3", "--lang", "en")
        assert done.returncode == 0, done.stderr
        assert "-> 03 01 00 00 00 08 3c 2e   read coils, address 0x0000" in done.stdout
        assert "unit 3: on: none of 8" in done.stdout
        done = await run_in_thread("probe", url, "--unit", "4", "--json")
        output = json.loads(done.stdout)
        assert (done.returncode, output["ok"], output["received"]) == (1, False, "")
        assert "unit" in output["remedy"]
        assert "站号" in output["remedy_zh"]
        done = await run_in_thread("probe", url, "--unit", "3", "--request", "01 0100 0008")
        assert "exception 2: illegal address" in done.stdout
        done = await run_in_thread("detect", url, "--units", "1-4")
        assert done.stdout.count("[[devices]]") == 1
        assert f'url = "{url}"\nunit = 3' in done.stdout
        done = await run_in_thread("detect", url, "--units", "1,2")
        assert (done.returncode, done.stdout) == (1, "")


async def test_what_detect_prints_is_taken_by_check(tmp_path: Path) -> None:
    async with pymodbus_tcp(sim_device(1), sim_device(7)) as url:
        done = await run_in_thread("detect", url, "--units", "1-8")
    file = tmp_path / "hall.toml"
    file.write_text(f"{GOOD}\n{done.stdout}")
    assert [device.id for device in load(file).devices][-2:] == ["relay-1", "relay-7"], done.stdout


async def test_sniff_sends_nothing_and_decodes_bursts(tmp_path: Path) -> None:
    port = Pty(tmp_path / "port")
    port.plug()
    received: list[bytes] = []
    life = asyncio.get_running_loop().create_task(port.run(received.append, lambda _up, _why: None))
    try:
        listening = asyncio.get_running_loop().create_task(
            run_in_thread(
                "sniff", f"rtu://{port.path}?baudrate=57600", "--family", "candle485", "--seconds", "4"
            )
        )
        await asyncio.sleep(2.5)
        await port.write(bytes.fromhex("01213107"))
        done = await listening
    finally:
        life.cancel()
        port.close()
    assert "01 21 31 07  Signal(address=33, code=49)" in done.stdout, done.stderr
    assert received == []


def test_bytes_in_words_and_words_in_bytes() -> None:
    assert output_of("decode", "modbus", "00 01050000ff008c3a").startswith(
        "unit 1: write coil, address 0x0000, value 0xff00"
    )
    assert "answer to read coils: 00" in output_of("decode", "modbus", "0101010051 88")
    assert "A3 00" in output_of(
        "decode", "onbon_bx", "a5a5a5a5a5a5a5a5feff0080000000000000fe020600a300010000015df15a"
    )
    assert output_of("decode", "modbus", "FF FF", code=1) == "no frame\n"
    assert output_of("encode", "modbus_relay/lc-tech", "0", "on").strip() == "FF 05 00 00 FF 00 99 E4"
    assert output_of("encode", "modbus", "06 0000 007B").strip() == "01 06 00 00 00 7B C9 E9"
    for wrong in (
        ("decode", "modbus", "xy"),
        ("decode", "dance", "00"),
        ("encode", "modbus_relay/tower", "9", "on"),
    ):
        output_of(*wrong, code=2)
    assert units_of("1-3,254") == [1, 2, 3, 254]
    for text in ("", "a", "0", "1-999", "3-", "4-3"):
        with pytest.raises(ValueError, match=r"units are|is no unit"):
            units_of(text)


WORDS = [
    ("ff68", "ff 68 03 03 68 05 01 0c 12 16", "address 5: key "),
    ("ff68", "ff6808086805020003070a0a0a2f16", "address 5: show 037---"),
    ("ff68", "ff6802026805030816", "address 5: beep"),
    ("ff68", "ff6802026805030817", ""),
    ("escpos", "100404", "paper?"),
    ("escpos", "72", "paper?: out"),
    ("escpos", "1e", "paper?: low"),
    ("escpos", "0f", "in turn: paper out"),
    ("escpos", "ff", ""),
    ("escpos", "1b401c2641303132", "8 bytes to print"),
    (
        "onbon_bx",
        "a5a5a5a5a5a5a5a5ffff0080f0006602000000000800000001a701000002000179255a",
        "6q, to 0xffff from 0x8000: A7 01",
    ),
    ("voice_chip", "4f", "idle"),
    ("ledsender2010", "550a0000000100000088c1aa", "address 0: screen on"),
    ("ledsender2010", "55030000000200000001000100b3e1aa", "answer to command 1: number 2"),
    ("ledsender2010", "550a00", ""),
    (
        "webhook",
        b'{"errcode":93000,"errmsg":"invalid webhook url"}'.hex(),
        "wecom: refused code 93000 invalid",
    ),
    ("webhook", b'{"StatusCode":0}'.hex(), "feishu: sent"),
    ("webhook", b"<html>".hex(), ""),
    ("http_counter", b'{"count_in":3,"count_out":1}'.hex(), "terabee: total in 3 out 1"),
]


@pytest.mark.parametrize(("family", "octets", "says"), WORDS)
def test_each_family_says_what_bytes_mean(family: str, octets: str, says: str) -> None:
    lines = DECODERS[family](bytes.fromhex(octets))
    assert says in "; ".join(lines)
    assert bool(lines) == bool(says), "what is no frame is none"


@pytest.mark.parametrize(
    ("what", "words", "octets"),
    [
        ("ff68", "5 number 12", "ff6808086805020a0a0a0a0102"),
        ("ff68", "5 waiting 37", "ff6808086805020003070a0a0a2f16"),
        ("ff68", "5 beep", "ff6802026805030816"),
        ("escpos", "paper", "100404"),
        ("escpos", "number A012", "1b40"),
        ("voice_chip", "syn6288 status", "fd0002"),
    ],
)
def test_a_request_in_words_is_the_drivers_own_bytes(what: str, words: str, octets: str) -> None:
    made = encoded(what, words.split(), None, None)
    assert made.hex().startswith(octets)
    assert DECODERS[what](made), "and is read back"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("ff68", "0 beep"),
        ("ff68", "5"),
        ("ff68", "5 dance"),
        ("escpos", "x"),
        ("voice_chip", "tts 1"),
        ("webhook", "x"),
    ],
)
def test_wrong_words_are_answered_with_right_ones(what: str, words: str) -> None:
    with pytest.raises(ValueError, match="write: "):
        encoded(what, words.split(), None, None)


async def test_a_printer_is_probed_on_its_line_and_a_silent_one_told_with_its_remedy(tmp_path: Path) -> None:
    port = Pty(tmp_path / "port")
    port.plug()
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Task[None]] = []
    printer = FakePrinter(lambda data: answers.append(loop.create_task(port.write(data))))
    life = loop.create_task(port.run(printer.feed, lambda _up, _why: None))
    try:
        url = f"rtu://{port.path}?baudrate=9600"
        printer.lines_left = 0
        answer = await asyncio.to_thread(ask_raw, url, "escpos", "10 04 04", 1.0)
        assert (answer.ok, answer.asked) == (True, "paper?")
        assert "paper?: out" in answer.meaning
        printer.mood = "silent"
        answer = await asyncio.to_thread(ask_raw, url, "escpos", "10 04 04", 0.2)
        assert (answer.ok, answer.received) == (False, b"")
        assert "baud" in answer.remedy
    finally:
        life.cancel()
        port.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [("tcp://127.0.0.1:1", "refuses the connection"), ("rtu:///no/port", "(or USB input) is not there")],
)
def test_a_line_that_does_not_open_is_told_with_its_remedy(url: str, says: str) -> None:
    output = output_of("probe", url, "--lang", "en", code=1)
    assert says in output
    assert "!! " in output
    assert output_of("detect", url, code=2)
    assert output_of("probe", "http://x", code=2)


@pytest.mark.parametrize("driver", SCAFFOLDS)
def test_a_new_description_is_right_as_it_stands(driver: str, tmp_path: Path) -> None:
    """The way of CONTRIBUTING: write the beginning, run its examples, name it in hall.toml."""
    folder = tmp_path / "descriptions"
    output_of("new", driver, "our-board", "--descriptions", str(folder))
    output_of("new", driver, "our-board", "--descriptions", str(folder), code=1)
    output_of("new", driver, "../x", "--descriptions", str(folder), code=2)
    rows = [
        json.loads(row) for row in output_of("list", "--descriptions", str(folder), "--json").splitlines()
    ]
    (own,) = [row for row in rows if row.get("of") == " site"]
    assert (own["driver"], own["name"], own["wrong"]) == (driver, "our-board", [])
    file = folder / driver / "our-board.toml"
    kind = options_of(driver).DESCRIPTION
    assert kind is not None
    file.write_text(
        file.read_text()
        .replace("05 0000 FF00", "05 0000 FE00")
        .replace("[0, 2]", "[0, 3]")
        .replace('"key next', '"key n')
    )
    assert "!" in output_of("list", "--descriptions", str(folder), code=1)
    with pytest.raises(ValueError, match="title: is required"):
        parsed({}, kind)
