"""What a technician reads where a Modbus TCP module said something that is no answer to the request."""

from __future__ import annotations

import pytest

from edged.links.modbus.frames import LATE, misfit, rtu_frame, tcp_frame

READ = bytes((3, 0, 0, 0, 1))
ANSWER = bytes((3, 2, 0, 7))
TRANSACTION, UNIT = 300, 4


def sent() -> bytes:
    return tcp_frame(TRANSACTION, UNIT, READ)


@pytest.mark.parametrize(
    ("transaction", "unit", "expected"),
    [
        (TRANSACTION, 5, "unit 5 answers where unit 4 was asked"),
        (TRANSACTION - 1, UNIT, LATE),
        (TRANSACTION - 40, 5, "gateway that numbers by itself"),
        (TRANSACTION + 1, UNIT, "gateway that numbers by itself"),
    ],
)
def test_a_misfitting_modbus_answer_is_explained_in_words(transaction: int, unit: int, expected: str) -> None:
    assert expected in misfit(sent(), tcp_frame(transaction, unit, ANSWER), rtu=False)


@pytest.mark.parametrize("answer", [ANSWER, bytes((0x83, 2))])
def test_on_a_serial_line_an_answer_of_another_unit_is_explained_with_its_number(answer: bytes) -> None:
    expected = "unit 5 answers where unit 4 was asked"
    assert misfit(rtu_frame(UNIT, READ), b"\0" + rtu_frame(5, answer) + b"\xff", rtu=True) == expected


def test_bytes_that_are_no_answer_to_a_read_get_no_explanation() -> None:
    strange = tcp_frame(TRANSACTION - 1, UNIT, bytes((6, 0, 0, 0, 1)))
    assert misfit(sent(), strange, rtu=False) == ""
    assert misfit(sent(), strange + tcp_frame(TRANSACTION - 1, UNIT, ANSWER), rtu=False) == LATE
    assert misfit(sent(), tcp_frame(TRANSACTION - 1, UNIT, ANSWER)[:-1], rtu=False) == ""
