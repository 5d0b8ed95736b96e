"""Which bytes are an answer to a Modbus request: the function is part of it, not length and shape alone."""

from __future__ import annotations

import asyncio

import pytest

from edged.driver import DeviceError, Garbled
from edged.links.modbus.frames import answer_size, fits, rtu_frame
from edged.links.modbus.link import SILENT_MAX, ModbusBus
from tests.support.modbus_peers import QUICK, RawLine, link_rested, running, up

READS = (1, 2, 3, 4)
REQUESTS = {
    **{function: bytes((function, 0, 0, 0, 16 if function < 3 else 1)) for function in READS},
    5: bytes.fromhex("050000ff00"),
    6: bytes.fromhex("0600000001"),
}


def answer(function: int) -> bytes:
    return bytes((function, 2, 0, 1)) if function in READS else REQUESTS[function]


@pytest.mark.parametrize("asked", REQUESTS)
def test_an_answer_with_another_function_code_is_rejected(asked: int) -> None:
    """All reads here have answers of one length: two bytes of coils, of inputs or of one register."""
    for function in REQUESTS:
        assert fits(REQUESTS[asked], answer(function)) is (function == asked)
        assert fits(REQUESTS[asked], bytes((function | 0x80, 2))) is (function == asked)
    assert not fits(REQUESTS[asked], b"")
    assert answer_size(REQUESTS[asked]) == len(answer(asked))


async def test_noise_instead_of_an_answer_does_not_count_as_silence() -> None:
    """A module that says something wrong is there: its port is not opened afresh, whatever it keeps saying."""
    line = RawLine(lambda data: line.send(b"\x55\xaa"))
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", pace=QUICK)
    async with running(link):
        await up(link)
        for unit in range(1, SILENT_MAX + 2):
            with pytest.raises(Garbled):
                await link.read_coils(unit, 0, 8, deadline_s=0.02)
            await asyncio.sleep(0)
        assert link.counts.opened == 1
        line.on_bytes = lambda data: line.send(rtu_frame(1, b"\x01\x01\x05"))
        await link_rested(link, 1)
        assert (await link.read_coils(1, 0, 8))[0]
    line.close()


async def test_a_module_that_closes_without_an_answer_is_distinguished_from_a_lost_connection() -> None:
    async def close_when_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(close_when_asked, "127.0.0.1", 0)
    link = ModbusBus(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", pace=QUICK)
    async with running(link):
        await up(link)
        with pytest.raises(DeviceError, match="closed the connection without answering"):
            await link.read_coils(1, 0, 8)
    server.close()
