"""Commands packed for the disk come back as they were; whatever else stands there is refused, without much memory."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.store import packing


@given(st.binary(max_size=4_000))
def test_packed_commands_and_dumps_are_unpacked_unchanged(content: bytes) -> None:
    listed = b"[" + content
    assert packing.unpack(packing.pack(listed)) == listed
    dumped = b"{" + content
    assert packing.unpack_dump(packing.pack_dump(dumped)) == dumped
    assert packing.unpack_dump(dumped) == dumped, "a dump of the first version"


@given(st.binary(max_size=400))
def test_bytes_that_were_never_packed_are_refused_or_returned_unchanged(content: bytes) -> None:
    for unpack, forms in ((packing.unpack, (b"\x01",)), (packing.unpack_dump, ())):
        try:
            found = unpack(content)
        except packing.NotPacked:
            continue
        assert found is not None
        assert found == content or content[:1] in forms or unpack is packing.unpack_dump


def test_a_decompression_bomb_is_refused() -> None:
    made = zlib.compressobj(9, zlib.DEFLATED, -13)
    bomb = b"\x01" + made.compress(bytes(packing.COMMANDS_BYTES_MAX + 1)) + made.flush()
    with pytest.raises(packing.NotPacked):
        packing.unpack(bomb)


def test_the_compression_dictionary_never_changes() -> None:
    """A changed byte would make existing journals unreadable; a better dictionary gets a new number."""
    assert hashlib.sha256(packing._dictionary()).hexdigest() == (
        "e8d8cde7234f2e86b7df05ddb42ef2ff13ab06ca73ba441df6d217f0bef22cfc"
    )
