"""The PDUs that the Modbus link sends and receives, encoded by pymodbus, without its client.

Its client would take any frame of the right unit and function for the answer and cost five turns of the loop, so the
bus (``link``) keeps the wire, and ``frames`` builds the frames and judges what comes.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence

from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

# What pymodbus logs is every frame that it does not like; the bus reports changes, once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_ANSWERS = DecodePDU(is_server=False)


class _RawCoilWrite(WriteSingleCoilRequest):
    """FC05 with any 16-bit value: relay modules keep "flash" times and blink rates there, pymodbus only on and off."""

    def __init__(self, address: int, value: int) -> None:
        super().__init__(address=address)
        self.value = value

    def encode(self) -> bytes:
        """Address and the raw value, which pymodbus would turn into on or off."""
        return struct.pack(">HH", self.address, self.value)


def _pdu(request: ModbusPDU) -> bytes:
    return bytes((request.function_code,)) + request.encode()


def ask_coils(address: int, count: int) -> bytes:
    """PDU that reads coils (FC01). Raises ``ValueError`` for addresses no module has."""
    return _pdu(ReadCoilsRequest(address=address, count=count))


def ask_registers(address: int, count: int) -> bytes:
    """PDU that reads holding registers (FC03). Raises ``ValueError`` for addresses no module has."""
    return _pdu(ReadHoldingRegistersRequest(address=address, count=count))


def ask_inputs(address: int, count: int) -> bytes:
    """PDU that reads discrete inputs (FC02). Raises ``ValueError`` as ``ask_coils``."""
    return _pdu(ReadDiscreteInputsRequest(address=address, count=count))


def ask_input_registers(address: int, count: int) -> bytes:
    """PDU that reads input registers (FC04). Raises ``ValueError`` as ``ask_registers``."""
    return _pdu(ReadInputRegistersRequest(address=address, count=count))


def set_register(address: int, value: int) -> bytes:
    """PDU that writes one register (FC06)."""
    return _pdu(WriteSingleRegisterRequest(address=address, registers=[value]))


def set_registers(address: int, values: Sequence[int]) -> bytes:
    """PDU that writes several registers (FC10)."""
    return _pdu(WriteMultipleRegistersRequest(address=address, registers=list(values)))


def set_coils(address: int, levels: Sequence[bool]) -> bytes:
    """PDU that writes several coils (FC0F)."""
    return _pdu(WriteMultipleCoilsRequest(address=address, bits=list(levels)))


def set_coil(address: int, value: int) -> bytes:
    """PDU that writes one coil (FC05) with ``value`` unchanged: 0xFF00 on, 0 off, or the module's own."""
    return _pdu(_RawCoilWrite(address, value))


def coils(answer: bytes, count: int) -> tuple[bool, ...]:
    """The values of ``count`` coils or inputs in an answer PDU that ``frames.fits`` has accepted."""
    return tuple(_decoded(answer).bits[:count])


def registers(answer: bytes) -> tuple[int, ...]:
    """The values of registers in an answer PDU that ``frames.fits`` has accepted."""
    return tuple(_decoded(answer).registers)


def _decoded(answer: bytes) -> ModbusPDU:
    pdu = _ANSWERS.decode(answer)
    assert pdu is not None, "the bus hands over proven answers"
    return pdu
