"""Sends, receives and decodes bytes of one device for a technician. It blocks; only ``edged devices`` uses it.

The wait for an answer is the given deadline plus the transmission time of request and answer (bytes x bits per
character / baud).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from edged.clock import monotonic_s
from edged.core.model.losses import LOSSES, known
from edged.driver import DeviceError, Garbled
from edged.links.losses import loss_of
from edged.links.modbus.frames import (
    EXCEPTIONS,
    FAILED,
    MBAP,
    RTU_MIN,
    answer_size,
    exception_error,
    find_rtu_answer,
    find_tcp_answer,
    misfit,
    open_rtu_frame,
    rtu_frame,
    tcp_frame,
)
from edged.links.modbus.wire import ModbusWire, parse_url

FUNCTIONS = {
    1: "read coils",
    2: "read inputs",
    3: "read holding registers",
    4: "read input registers",
    5: "write coil",
    6: "write register",
    15: "write coils",
    16: "write registers",
}
READ_S = 0.02  # real seconds of one read
SILENCE_S = 0.05  # silence that ends a burst: 48 characters at 9600 baud
CONNECT_S = 3.0
BURST_BYTES_MAX = 4096
UNIT_MAX = 255
NOBODY = (4, 10, 11)  # exception codes with which gateways and simulators say that no such unit exists
DRAINS_MAX = 50  # reads before a line that is never quiet is given up


class ByteWire(Protocol):
    """An open serial line or TCP connection. ``read`` returns what arrives within ``READ_S``, b"" if nothing does."""

    def read(self) -> bytes: ...

    def write(self, data: bytes) -> None: ...


class _SerialWire:
    def __init__(self, wire: ModbusWire) -> None:
        import serial

        self._port = serial.Serial(
            wire.address,
            wire.baudrate,
            parity=wire.parity,
            stopbits=wire.stopbits,
            timeout=READ_S,
            exclusive=True,
        )

    def read(self) -> bytes:
        return bytes(self._port.read(max(1, self._port.in_waiting)))

    def write(self, data: bytes) -> None:
        self._port.reset_input_buffer()
        self._port.write(data)
        self._port.flush()

    def close(self) -> None:
        self._port.close()


class _SocketWire:
    def __init__(self, wire: ModbusWire) -> None:
        host, _, port = wire.address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), CONNECT_S)
        self._socket.settimeout(READ_S)

    def read(self) -> bytes:
        try:
            data = self._socket.recv(BURST_BYTES_MAX)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionResetError("closed by the other side")
        return data

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def opened(url: str) -> Iterator[tuple[ModbusWire, ByteWire]]:
    """Open the line at ``url``; yields its settings and the open line, which is closed at the end of the block. Raises
    ``ValueError`` for a wrong URL, ``OSError`` if it cannot be opened.
    """
    wire = parse_url(url)
    line = _SerialWire(wire) if wire.kind == "rtu" else _SocketWire(wire)
    try:
        yield wire, line
    finally:
        line.close()


class ProbeResult(NamedTuple):
    """The result of a request: the bytes in both directions and their meaning in words; ``remedy``: what to do if it
    failed.
    """

    sent: bytes
    asked: str
    received: bytes
    meaning: str
    ok: bool
    remedy: str = ""
    remedy_zh: str = ""


def ask(url: str, unit: int, request: str, deadline_s: float) -> ProbeResult:
    """Send one Modbus request to ``unit`` at ``url`` and wait for the answer. ``request``: the PDU (function code and
    data) in hex; ``deadline_s``: how many seconds to wait after the time that request and answer take on the line.

    No answer in time, a wrong answer and a line that cannot be opened are results with ``ok`` False. Raises
    ``ValueError`` if ``request`` is not hex, has fewer than 5 bytes or a function that is not in ``FUNCTIONS``.
    """
    try:
        pdu = bytes.fromhex("".join(request.split()))
    except ValueError:
        raise ValueError(f'"{request}" is not hex; 01 0000 0008 reads eight coils') from None
    if len(pdu) < 5 or pdu[0] not in FUNCTIONS:
        raise ValueError(f"functions: {', '.join(f'{code:02X} {name}' for code, name in FUNCTIONS.items())}")
    sent, asked = b"", describe_request(pdu)
    try:
        with opened(url) as (wire, line):
            sent, received, answer = exchange(wire, line, unit, pdu, deadline_s)
    except OSError as error:
        return _lost(sent, asked, b"", *loss_of(error))
    if answer:
        failed = answer[0] & FAILED
        remedy = exception_error(answer[1]) if failed else None
        meaning = f"unit {unit}: {describe_answer(pdu, answer)}"
        return ProbeResult(sent, asked, received, meaning, not failed, str(remedy or ""))
    odd = misfit(sent, received, wire.rtu)
    return _lost(sent, asked, received, "bad-answer" if received else "no-answer", odd)


def ask_raw(url: str, family: str, request: str, deadline_s: float) -> ProbeResult:
    """Send whole frames (``request`` in hex) unchanged; the result holds what arrives within ``deadline_s`` seconds
    after the frames have been transmitted. ``family``: which of ``DECODERS`` puts the bytes into words. Raises
    ``ValueError`` if ``request`` is not hex or empty.
    """
    try:
        sent = bytes.fromhex("".join(request.split()))
    except ValueError:
        raise ValueError(f'"{request}" is not hex; `edged devices encode {family} …` prints it') from None
    if not sent:
        raise ValueError(f"give --request: `edged devices encode {family} …` prints it")
    decode = DECODERS[family]
    asked = "; ".join(decode(sent)) or "no frame"
    received = b""
    try:
        with opened(url) as (wire, line):
            line.write(sent)
            until_s = monotonic_s() + len(sent) * wire.char_s + deadline_s
            while monotonic_s() < until_s and len(received) < BURST_BYTES_MAX:
                received += line.read()
    except OSError as error:
        return _lost(sent, asked, received, *loss_of(error))
    meaning = "; ".join(decode(received))
    if meaning:
        return ProbeResult(sent, asked, received, meaning, True)
    return _lost(sent, asked, received, "bad-answer" if received else "no-answer")


def _lost(sent: bytes, asked: str, received: bytes, word: str, detail: str = "") -> ProbeResult:
    words = LOSSES[known(word)]
    meaning = ": ".join(part for part in (words.en, detail) if part)
    return ProbeResult(sent, asked, received, meaning, False, words.do_en, words.do_zh)


def exchange(
    wire: ModbusWire, line: ByteWire, unit: int, pdu: bytes, deadline_s: float, number: int = 1
) -> tuple[bytes, bytes, bytes]:
    """Send one Modbus request (``pdu``) to ``unit`` and wait for its answer. Returns the frame sent, the bytes received
    and the answer's PDU (b"" if none came in time). Raises ``OSError`` if the line breaks.

    ``deadline_s``: seconds to wait after the time that both frames take on the line; ``number``: the transaction id on
    Modbus TCP.
    """
    sent = rtu_frame(unit, pdu) if wire.rtu else tcp_frame(number, unit, pdu)
    line.write(sent)
    on_line_s = (len(sent) + answer_size(pdu) + RTU_MIN) * wire.char_s
    until_s = monotonic_s() + on_line_s + deadline_s
    received = b""
    while monotonic_s() < until_s:
        received = (received + line.read())[-BURST_BYTES_MAX:]
        found = find_rtu_answer(sent, received) if wire.rtu else find_tcp_answer(sent, received)
        if found:
            return sent, received, found[1:-2] if wire.rtu else found[MBAP:]
    return sent, received, b""


def answering_units(url: str, units: list[int], deadline_s: float) -> Iterator[tuple[int, str]]:
    """Ask each of ``units`` for one coil; yield the number of each unit that answers, also with a refusal, and its
    answer in words. A gateway's answer that no such unit exists (``NOBODY``) does not count.

    ``deadline_s``: seconds to wait for each unit, after the time that request and answer take on the line. Raises
    ``ValueError`` for a wrong ``url``, ``OSError`` if the line cannot be opened or breaks.
    """
    pdu = bytes.fromhex("0100000001")
    with opened(url) as (wire, line):
        for number, unit in enumerate(units, 1):
            _, _, answer = exchange(wire, line, unit, pdu, deadline_s, number)
            if answer and not (answer[0] & FAILED and answer[1] in NOBODY):
                yield unit, describe_answer(pdu, answer)
            elif wire.rtu:
                _drain(line)


def _drain(line: ByteWire) -> None:
    """Read until the line is quiet, so that a late answer is not taken for the next unit's."""
    for _ in range(DRAINS_MAX):
        if not line.read():
            return


def units_of(text: str) -> list[int]:
    """Parse unit numbers like ``1-4,254``. Raises ``ValueError`` for other text and for numbers outside 1 to
    ``UNIT_MAX``.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f'"{part}" is no unit; write 1-32, or 1,2,254')
        if not 1 <= int(first) <= int(last or first) <= UNIT_MAX:
            raise ValueError("units are 1 to 247; some boards answer to 254 or 255 as well")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


def bursts(url: str, seconds: float) -> Iterator[tuple[float, bytes]]:
    """Listen for ``seconds``; yields the bytes received, split at silences, each burst with its start in seconds since
    the line was opened. Raises ``OSError`` if the line cannot be opened or breaks.
    """
    with opened(url) as (_, line):
        began_s = heard_s = monotonic_s()
        held, first_s = b"", 0.0
        while monotonic_s() - began_s < seconds:
            data = line.read()
            now_s = monotonic_s()
            if data:
                first_s = first_s if held else now_s - began_s
                held, heard_s = held + data, now_s
            if held and (now_s - heard_s >= SILENCE_S or len(held) >= BURST_BYTES_MAX):
                yield first_s, held
                held = b""
        if held:
            yield first_s, held


def describe_request(pdu: bytes) -> str:
    """Describe a Modbus request in words."""
    address, value = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    what = f"value {value:#06x}" if pdu[0] in (5, 6) else f"{value} from there"
    return f"{FUNCTIONS.get(pdu[0], f'function {pdu[0]}')}, address {address:#06x}, {what}"


def describe_answer(request: bytes, answer: bytes) -> str:
    """Describe a Modbus answer in words."""
    if answer[0] & FAILED:
        return f"exception {answer[1]}: {EXCEPTIONS.get(answer[1], (None, 'unknown'))[1]}"
    if answer[0] in (1, 2):
        count = int.from_bytes(request[3:5], "big")
        on = [place for place in range(count) if answer[2 + place // 8] >> place % 8 & 1]
        return f"on: {', '.join(map(str, on)) or 'none'} of {count}"
    if answer[0] in (3, 4):
        words = [int.from_bytes(answer[place : place + 2], "big") for place in range(2, len(answer), 2)]
        return f"registers {', '.join(map(str, words))}"
    return "done"


def _modbus(data: bytes) -> list[str]:
    found, place = [], 0
    while place < len(data):
        for size in range(RTU_MIN, min(256, len(data) - place) + 1):
            try:
                unit, pdu = open_rtu_frame(data[place : place + size])
            except Garbled:
                continue
            found.append(f"unit {unit}: {_describe_either_way(pdu)}")
            place += size
            break
        else:
            place += 1
    return found


def _describe_either_way(pdu: bytes) -> str:
    """Describe a PDU overheard on a line, where it is not known whether it is a request or an answer. A module answers
    a write with the same bytes, so such a PDU is described as the request.
    """
    if pdu[0] & FAILED:
        return describe_answer(pdu, pdu)
    if len(pdu) == 5 or pdu[0] in (15, 16):
        return describe_request(pdu) if len(pdu) >= 5 else pdu.hex(" ")
    return f"answer to {FUNCTIONS.get(pdu[0], f'function {pdu[0]}')}: {pdu[2:].hex(' ')}"


def _candle(data: bytes) -> list[str]:
    from devices.candle485.codec import Parser

    return [str(frame) for frame in Parser().feed(data)]


def _onbon(data: bytes) -> list[str]:
    from devices.onbon_bx.codec import FrameReader, decode_areas

    found = []
    for frame in FrameReader().feed(data):
        group, command = frame.command
        words = f"to {frame.target:#06x} from {frame.source:#06x}: {group:02X} {command:02X} {frame.data[2:].hex(' ')}"
        if frame.command == (0xA3, 0x06):
            try:
                words += "; ".join(f' "{area.text}"' for area in decode_areas(frame.data, False)[1])
            except DeviceError as error:
                words += f" ({error})"
        found.append(words)
    return found + _onbon_pixels(data)


def _onbon_pixels(data: bytes) -> list[str]:
    from devices.onbon_bx import pixels
    from devices.onbon_bx.codec import FrameReader

    found = []
    for frame in FrameReader(pixels.opened).feed(data):
        words = f"6q, to {frame.target:#06x} from {frame.source:#06x}: {frame.command[0]:02X} {frame.command[1]:02X}"
        if frame.command == pixels.SHOW_AREA:
            try:
                area = pixels.decode_area(frame.data)
                words += f", area {area.id}, {len(area.pages)} pages of {area.width} x {area.height}"
            except DeviceError as error:
                words += f" ({error})"
        found.append(words)
    return found


def _ff68(data: bytes) -> list[str]:
    from devices.ff68.codec import BEEP, RATED, SHOW, CallerParser

    found = []
    for frame in CallerParser().feed(data):
        words = f"function {frame.function:02X} {frame.data.hex(' ')}"
        if frame.function == RATED and frame.is_press:
            words = f"rating, button {frame.data[0]}"
        elif frame.function == SHOW and not frame.is_press:
            words = "show " + "".join("-" if one > 9 else str(one) for one in frame.data)
        elif frame.function == BEEP and not frame.data:
            words = "beep"
        elif frame.key is not None:
            words = f"key {frame.key}, or its acknowledgement"
        found.append(f"address {frame.address}: {words}")
    return found


def _voice(data: bytes) -> list[str]:
    from devices.voice_chip.codec import describe

    return describe(data)


def _escpos(data: bytes) -> list[str]:
    from devices.escpos.codec import describe

    return describe(data)


def _ledsender(data: bytes) -> list[str]:
    from devices.ledsender2010.codec import describe

    return describe(data)


def _evdev(data: bytes) -> list[str]:
    from devices.evdev.codec import describe

    return describe(data)


def _webhook(data: bytes) -> list[str]:
    from typing import get_args

    from devices.webhook.vendors import NOBODY, Vendor, judged

    found = []
    for vendor in get_args(Vendor):
        verdict, detail = judged(vendor, 200, data)
        if detail != NOBODY:
            found.append(f"{vendor}: {verdict} {detail}".strip())
    return found


def _http_counter(data: bytes) -> list[str]:
    from devices.http_counter.codec import describe

    return describe(data)


DECODERS: dict[str, Callable[[bytes], list[str]]] = {
    "modbus": _modbus,
    "candle485": _candle,
    "onbon_bx": _onbon,
    "ff68": _ff68,
    "ledsender2010": _ledsender,
    "voice_chip": _voice,
    "escpos": _escpos,
    "http_counter": _http_counter,
    "evdev": _evdev,
    "webhook": _webhook,
}


def _ff68_request(words: list[str]) -> bytes:
    from devices.ff68.codec import BEEP, CallerFrame, show

    if len(words) < 2 or not words[0].isdecimal() or not 1 <= int(words[0]) <= 254:
        raise ValueError("write: ff68 ADDRESS beep, waiting N or number A012")
    address, rest = int(words[0]), words[1:]
    if rest == ["beep"]:
        return CallerFrame(address, BEEP).to_bytes()
    if len(rest) == 2 and rest[0] == "number":
        return show(address, None, rest[1]).to_bytes()
    if len(rest) == 2 and rest[0] == "waiting" and rest[1].isdecimal():
        return show(address, int(rest[1]), None).to_bytes()
    raise ValueError("write: ff68 ADDRESS beep, waiting N or number A012")


def _voice_request(words: list[str]) -> bytes:
    from devices.voice_chip.codec import STATUS, frame, parts, speak

    if words[0] not in ("syn6288", "xfs5152") or len(words) != 2:
        raise ValueError("write: voice_chip syn6288|xfs5152 TEXT (status: its question)")
    chip: Literal["syn6288", "xfs5152"] = "syn6288" if words[0] == "syn6288" else "xfs5152"
    if words[1] == "status":
        return frame(chip, STATUS)
    return b"".join(speak(chip, text) for text in parts(chip, words[1])[:1])


def _escpos_request(words: list[str]) -> bytes:
    from devices.escpos import codec
    from edged.core.model.commands import Print

    questions = {"printer": codec.ASK_PRINTER, "paper": codec.ASK_PAPER, "cause": codec.ASK_CAUSE}
    if len(words) == 1 and words[0] in questions:
        return questions[words[0]]
    if len(words) == 2 and words[0] == "number":
        return codec.ticket(Print(words[1], "", 0), "", codec.Layout())
    raise ValueError("write: escpos printer, paper, cause or number A012")


ENCODERS: dict[str, Callable[[list[str]], bytes]] = {
    "ff68": _ff68_request,
    "voice_chip": _voice_request,
    "escpos": _escpos_request,
}
ENCODE_WORDS = (
    "modbus HEX; modbus_relay/NAME CHANNEL on|off|blink; ff68 ADDRESS beep|waiting N|number A012; "
    "voice_chip syn6288|xfs5152 TEXT; escpos printer|paper|cause|number A012"
)


def encoded(what: str, words: list[str], unit: int | None, folder: Path | None) -> bytes:
    """The bytes that `edged devices encode` prints: the request of family ``what`` (such as "ff68", "modbus" or
    "modbus_relay/NAME") that ``words`` describe.

    ``unit``: Modbus unit number, None: the description's or 1; ``folder``: the site's own descriptions. Raises
    ``ValueError`` if ``what`` is unknown or ``words`` do not fit it.
    """
    if what in ENCODERS:
        return ENCODERS[what](words)
    if what == "modbus":
        return rtu_frame(unit or 1, bytes.fromhex("".join("".join(words).split())))
    driver, _, name = what.partition("/")
    if driver != "modbus_relay" or len(words) != 2 or not words[0].isdecimal():
        raise ValueError(f"write: {ENCODE_WORDS}")
    from devices.modbus_relay.codec import Style, write_for
    from devices.modbus_relay.profiles import profile_of
    from edged.descriptions import table

    own = folder / driver / f"{name}.toml" if folder is not None else None
    profile = profile_of(table(own) if own is not None and own.is_file() else name)
    channel, level = int(words[0]), words[1]
    if channel >= profile.channels or level not in ("on", "off", "blink"):
        raise ValueError(f"channels are 0 to {profile.channels - 1}, levels on, off and blink")
    return rtu_frame(unit or profile.unit, write_for(Style(profile), channel, level).to_bytes())  # type: ignore[arg-type]
