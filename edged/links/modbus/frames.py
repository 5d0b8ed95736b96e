"""Modbus frames, for client and server, without I/O: builds them, cuts them from a stream, and decides whether one
answers a given request.

RTU has no transaction id, so an answer is accepted only if unit, function, length, echoed fields and checksum all fit
the open request. All other bytes are noise or a late answer to an earlier request. Layouts: Modbus Application Protocol
V1.1b3 (PDUs), Modbus over Serial Line V1.02 (CRC, gaps), Modbus Messaging on TCP/IP V1.0b (MBAP header).
"""

from __future__ import annotations

from edged.core.model.losses import LOSSES
from edged.driver import DeviceError, Garbled, Refused, Unreachable

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
FAILED = 0x80  # set in the function code of an exception answer

_BIT_READS = (READ_COILS, READ_INPUTS)
_REGISTER_READS = (READ_HOLDING, READ_INPUT_REGISTERS)
_ECHOED = (WRITE_COIL, WRITE_REGISTER)
RTU_MAX = 256  # bytes of an RTU frame (Modbus over Serial Line V1.02, 2.5.1)
RTU_MIN = 4  # unit 1, function 1, checksum 2
MBAP = 7  # transaction 2, protocol 2, length 2, unit 1

# Exception codes (Application Protocol, chapter 7) by what the caller can do about them. Whoever sends one is there and
# understands us: only 10 and 11, which a gateway says of a unit behind it, mean that nobody answers. 9 is not assigned.
EXCEPTIONS: dict[int, tuple[type[DeviceError], str]] = {
    1: (Refused, "illegal function: the module does not know this request; look at its profile"),
    2: (Refused, "illegal address: the module has no such coil; look at profile, channels and unit"),
    3: (Refused, "illegal value: the module does not take this; look at its profile"),
    4: (Refused, "device failure: the module could not do it"),
    5: (Unreachable, "accepted, still working on it"),
    6: (Unreachable, "busy"),
    7: (Refused, "not performed"),
    8: (Refused, "memory parity error: the module needs repair"),
    9: (Refused, "unassigned exception 9"),
    10: (Unreachable, "gateway has no path to the unit: look at the gateway's own settings"),
    11: (Unreachable, "unit does not answer the gateway: look at the wires behind it, and at unit"),
}
ACCEPTED, BUSY = 5, 6
AGAIN_LATER = (ACCEPTED, BUSY)  # the same request is to be sent again a little later
UNIT_IS_SILENT = (10, 11)  # said by a gateway: as good as no answer from the unit
LATE = "answers come later than deadline_ms allows"
LATE_MAX = 64  # transactions behind the open one that may still be answered: some seconds of them


def exception_error(code: int) -> DeviceError:
    """The ``DeviceError`` to raise for a Modbus exception code; its text says what the code means. ``Refused`` for
    codes that are not in ``EXCEPTIONS``.
    """
    kind, text = EXCEPTIONS.get(code, (Refused, f"unknown exception {code}"))
    return kind(text, f"exception-{code}" if f"exception-{code}" in LOSSES else "")


def _crc_step(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


_CRC_STEPS = tuple(_crc_step(byte) for byte in range(256))


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS (reflected 0xA001, start 0xFFFF); sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_STEPS[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """The RTU frame of ``pdu``: unit, PDU, CRC."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def open_rtu_frame(frame: bytes) -> tuple[int, bytes]:
    """Unit and PDU of one whole RTU frame. Raises ``Garbled`` if the CRC is wrong."""
    if not RTU_MIN <= len(frame) <= RTU_MAX:
        raise Garbled(f"{len(frame)} bytes are no frame")
    if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        raise Garbled("checksum is wrong")
    return frame[0], frame[1:-2]


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """The Modbus TCP frame of ``pdu``: MBAP header, PDU."""
    header = transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big")
    return header + bytes((unit,)) + pdu


def open_tcp_header(header: bytes) -> tuple[int, int, int]:
    """Transaction, unit, and length of the following PDU in bytes, from an MBAP header."""
    return int.from_bytes(header[:2], "big"), header[6], int.from_bytes(header[4:6], "big") - 1


class RequestReader:
    """Cuts a serial byte stream into RTU request frames; bytes that begin no frame are dropped."""

    def __init__(self) -> None:
        self._buffer = b""
        self.dropped = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Add received bytes; returns (unit, PDU) of each frame that is complete now."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= 8:
            many = self._buffer[1] in (WRITE_COILS, WRITE_REGISTERS)
            size = 9 + self._buffer[6] if many else 8
            if size > len(self._buffer) and size <= RTU_MAX:
                break
            try:
                frames.append(open_rtu_frame(self._buffer[:size]))
            except Garbled:
                size = 1
                self.dropped += 1
            self._buffer = self._buffer[size:]
        return frames


def answer_size(request: bytes) -> int:
    """Length in bytes of the normal answer PDU to a well-formed request PDU; 0 for functions that this link does not
    use.
    """
    function = request[0]
    if function in _BIT_READS:
        return 2 + (int.from_bytes(request[3:5], "big") + 7) // 8
    if function in _REGISTER_READS:
        return 2 + 2 * int.from_bytes(request[3:5], "big")
    return 5 if function in (*_ECHOED, WRITE_COILS, WRITE_REGISTERS) else 0


def fits(request: bytes, answer: bytes) -> bool:
    """Whether the PDU ``answer`` has the function, length and echoed fields of an answer to the PDU ``request``, or is
    a Modbus exception to it.
    """
    if len(answer) == 2 and answer[0] == request[0] | FAILED:
        return True
    if not answer or answer[0] != request[0] or len(answer) != answer_size(request):
        return False
    if request[0] in _BIT_READS or request[0] in _REGISTER_READS:
        return answer[1] == len(answer) - 2
    return answer == request[:5]


def alike(older: bytes, newer: bytes) -> bool:
    """Whether a late answer to PDU ``older`` could be taken for the answer to PDU ``newer`` and do harm.

    True for the same read asked twice: its late answer is an old value. False for the same write sent twice: its answer
    echoes what was written, which is still what is wanted.
    """
    if older[0] != newer[0] or answer_size(older) != answer_size(newer):
        return False
    if newer[0] in _BIT_READS or newer[0] in _REGISTER_READS:
        return True
    return older != newer and older[:5] == newer[:5]


def find_rtu_answer(sent: bytes, received: bytes) -> bytes:
    """The frame inside ``received`` that answers the RTU frame ``sent``, b"" if there is none; noise around it is
    skipped.
    """
    request = sent[1:-2]
    for size in (answer_size(request) + 3, 5):
        for start in range(len(received) - size + 1):
            frame = received[start : start + size]
            if frame[0] != sent[0] or not fits(request, frame[1:-2]):
                continue
            if crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
                return frame
    return b""


def find_tcp_answer(sent: bytes, received: bytes) -> bytes:
    """The Modbus TCP frame inside ``received`` that answers the frame ``sent``, b"" if there is none: it has the same
    transaction id and unit, and fits the request.
    """
    while len(received) > MBAP:
        size = 6 + int.from_bytes(received[4:6], "big")
        frame, received = received[:size], received[size:]
        if len(frame) < size or size <= MBAP:
            return b""
        if frame[:4] == sent[:4] and frame[6] == sent[6] and fits(sent[MBAP:], frame[MBAP:]):
            return frame
    return b""


def only_older(sent: bytes, received: bytes) -> bool:
    """Whether ``received`` consists of whole Modbus TCP frames with other transaction ids than ``sent``: late answers
    to earlier requests.
    """
    while len(received) > MBAP and received[2:4] == b"\0\0" and received[:2] != sent[:2]:
        received = received[6 + int.from_bytes(received[4:6], "big") :]
    return not received


def misfit(sent: bytes, received: bytes, rtu: bool) -> str:
    """Why ``received``, which holds no answer to ``sent``, is wrong, as a sentence for a technician; "" if unknown."""
    if not sent:
        return ""
    return _rtu_misfit(sent, received) if rtu else _tcp_misfit(sent, received)


def _tcp_misfit(sent: bytes, received: bytes) -> str:
    while len(received) > MBAP and received[2:4] == b"\0\0":
        size = 6 + int.from_bytes(received[4:6], "big")
        frame, received = received[:size], received[size:]
        if len(frame) < size or not fits(sent[MBAP:], frame[MBAP:]):
            continue
        if frame[:2] == sent[:2]:
            return f"unit {frame[6]} answers where unit {sent[6]} was asked"
        behind = int.from_bytes(sent[:2], "big") - int.from_bytes(frame[:2], "big")
        if frame[6] == sent[6] and 0 < behind <= LATE_MAX:
            return LATE
        return "answers carry another transaction number than the request: a gateway that numbers by itself"
    return ""


def _rtu_misfit(sent: bytes, received: bytes) -> str:
    if received == sent:
        return "only our own request came back: the adapter hears itself, and no module answers"
    for size in (answer_size(sent[1:-2]) + 3, 5):
        for start in range(len(received) - size + 1):
            frame = received[start : start + size]
            whole = crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")
            if whole and frame[0] != sent[0] and fits(sent[1:-2], frame[1:-2]):
                return f"unit {frame[0]} answers where unit {sent[0]} was asked"
    return ""
