"""The PDUs that the Modbus link sends and receives, encoded and decoded by pymodbus, without its client.

That client would accept any frame of the right unit and function as the answer, and costs five turns of the event loop
for each request. So ``link`` owns the connection, and ``frames`` builds frames and checks answers.
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

from edged.driver import Garbled

# What pymodbus logs is every frame that it does not like; the bus reports changes, once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_ANSWERS = DecodePDU(is_server=False)


class _RawCoilWrite(WriteSingleCoilRequest):
    """FC05 with any 16-bit value. pymodbus can only write on and off; relay modules encode flash times and blink rates
    in the value.
    """

    def __init__(self, address: int, value: int) -> None:
        super().__init__(address=address)
        self.value = value

    def encode(self) -> bytes:
        """Address and value, unchanged."""
        return struct.pack(">HH", self.address, self.value)


def _pdu(request: ModbusPDU) -> bytes:
    return bytes((request.function_code,)) + request.encode()


def ask_coils(address: int, count: int) -> bytes:
    """PDU that reads coils (FC01). Raises ``ValueError`` for an address or count outside the protocol's range."""
    return _pdu(ReadCoilsRequest(address=address, count=count))


def ask_registers(address: int, count: int) -> bytes:
    """PDU that reads holding registers (FC03). Raises ``ValueError`` for an address or count outside the protocol's
    range.
    """
    return _pdu(ReadHoldingRegistersRequest(address=address, count=count))


def ask_inputs(address: int, count: int) -> bytes:
    """PDU that reads discrete inputs (FC02). Raises ``ValueError`` like ``ask_coils``."""
    return _pdu(ReadDiscreteInputsRequest(address=address, count=count))


def ask_input_registers(address: int, count: int) -> bytes:
    """PDU that reads input registers (FC04). Raises ``ValueError`` like ``ask_registers``."""
    return _pdu(ReadInputRegistersRequest(address=address, count=count))


def set_register(address: int, value: int) -> bytes:
    """PDU that writes one holding register (FC06)."""
    return _pdu(WriteSingleRegisterRequest(address=address, registers=[value]))


def set_registers(address: int, values: Sequence[int]) -> bytes:
    """PDU that writes consecutive holding registers (FC10)."""
    return _pdu(WriteMultipleRegistersRequest(address=address, registers=list(values)))


def set_coils(address: int, levels: Sequence[bool]) -> bytes:
    """PDU that writes consecutive coils (FC0F)."""
    return _pdu(WriteMultipleCoilsRequest(address=address, bits=list(levels)))


def set_coil(address: int, value: int) -> bytes:
    """PDU that writes one coil (FC05) with ``value`` unchanged: 0xFF00 on, 0 off, or a value of the module's own."""
    return _pdu(_RawCoilWrite(address, value))


def coils(answer: bytes, count: int) -> tuple[bool, ...]:
    """The first ``count`` coils or discrete inputs in an answer PDU. Raises ``Garbled`` if ``answer`` is no such
    PDU.
    """
    return tuple(_decoded(answer).bits[:count])


def registers(answer: bytes) -> tuple[int, ...]:
    """The registers in an answer PDU, as unsigned 16-bit numbers. Raises ``Garbled`` if ``answer`` is no such PDU."""
    return tuple(_decoded(answer).registers)


def _decoded(answer: bytes) -> ModbusPDU:
    pdu = _ANSWERS.decode(answer)
    if pdu is None:  # the bus hands over answers that fit; an example of a description need not
        raise Garbled("no answer of Modbus")
    return pdu
