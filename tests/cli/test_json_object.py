"""What a broker, a file or a page gives to a command is an object, or nothing."""

from __future__ import annotations

import pytest

from edged.cli.json_object import json_object


@pytest.mark.parametrize("raw", [b"", b"[1]", b"null", b"{", b"\xff", b'{"a":' * 100_000, b"[" * 100_000])
def test_anything_but_an_object_is_none(raw: bytes) -> None:
    assert json_object(raw) == {}


def test_an_object_is_read() -> None:
    assert json_object('{"a": ["大厅"]}'.encode()) == {"a": ["大厅"]}
