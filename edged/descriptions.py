"""Descriptions of devices as data: one TOML file for each model, in a fixed format without any scripting. Rules:

* A description has the format of its family (``edged.shapes``): tables, JSON pointers, integer scales, named states. An
  unknown key is an error; nothing in it is ever evaluated.
* The product's files are ``devices/<family>/*.toml``. A site keeps its own in the folder that hall.toml names (``[hall]
  descriptions``), as ``<folder>/<family>/<name>.toml``. An upgrade does not change these, and they are used instead of
  the product's with the same name.
* Each has ``[[examples]]``: captured input with the expected result, and output values (a lamp's state, say) with the
  bytes sent for them. A test checks those of the product, ``edged devices list`` those of a site.
* hall.toml may also contain a description itself, as a table in place of the name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta

from edged.encoding import NotUtf8, text_of
from edged.shapes import Fault, Misshapen, Rule, Shape, dotted, read

FILE_BYTES_MAX = 64 * 1024  # the longest one that is shipped has 4 KiB
POINTER_PARTS_MAX = 12

Verified = Literal["hardware", "independent code", "document", "nothing"]
Named = str | dict[str, Any]  # in hall.toml: the name of a description, or the description itself


class Description(Shape, frozen=True, kw_only=True):
    """What every description of a device model contains. ``source``: the document from which its numbers come;
    ``verified``: against what they were checked. ``wiring``: how to connect the device, for the technician.
    """

    title: Annotated[str, Meta(min_length=1, max_length=120)]
    title_zh: Annotated[str, Meta(max_length=120)] = ""
    source: Annotated[str, Meta(min_length=1, max_length=400)]
    verified: Verified
    wiring: Annotated[str, Meta(max_length=1000)] = ""
    wiring_zh: Annotated[str, Meta(max_length=1000)] = ""

    def wrong_examples(self) -> list[str]:
        """One line for each example in the description for which the description gives another result than stated."""
        raise AssertionError("each family runs its own")


D = TypeVar("D", bound=Description)


def names(family: str) -> tuple[str, ...]:
    """Return the names of the descriptions of ``family`` (a folder of ``devices``) that come with the product."""
    return tuple(sorted(_shipped(family)))


@cache
def _shipped(family: str) -> dict[str, Path]:
    folder = Path(str(resources.files("devices") / family))
    return {file.stem: file for file in folder.glob("*.toml")}


def described(family: str, named: Named, kind: type[D]) -> D:
    """Return the description that an option in hall.toml names or contains. ``family``: the folder of ``devices`` in
    which names are looked up; names of a site's own descriptions were replaced by their content before
    (``edged.config``). ``kind``: the class of the result. Raises ``ValueError`` if no description has that name, or
    with every mistake in it.
    """
    if isinstance(named, str):
        found = _of_product(family, named, kind)
        assert isinstance(found, kind)
        return found
    return parsed(named, kind)


@cache
def _of_product(family: str, name: str, kind: type[Description]) -> Description:
    file = _shipped(family).get(name)
    if file is None:
        raise ValueError(
            f"there is no description {name!r}; there are {', '.join(names(family))}, "
            "and those of the folder that [hall] descriptions or --descriptions names"
        )
    return parsed(table(file), kind)


def parsed(fields: dict[str, Any], kind: type[D]) -> D:
    """Parse a description from its TOML table. Raises ``ValueError`` whose text lists every mistake."""
    try:
        return read(kind, fields)
    except Misshapen as error:
        raise ValueError("; ".join(_sentence(one) for one in error.faults)) from None


def table(file: Path) -> dict[str, Any]:
    """Read the TOML table of a description's file. Raises ``ValueError``, with the reason, if it cannot be read as
    TOML.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"larger than {FILE_BYTES_MAX} bytes: no description")
        return tomllib.loads(text_of(data))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except NotUtf8 as error:
        raise ValueError(f"line {error.line}: {error.at_column}") from None
    except RecursionError:
        raise ValueError("nested too deeply to be a description") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"TOML: {error}") from None


def _sentence(fault: Fault) -> str:
    where = f"{dotted(fault.path)}: " if fault.path else ""
    if fault.what == "rule":
        return f"{where}{fault.wanted}"
    if fault.what == "missing":
        return f"{where}is required and missing"
    if fault.what == "unknown":
        return f"{where}unknown key; allowed: {', '.join(fault.wanted)}"
    return f"{where}{fault.value!r} does not fit ({fault.what.replace('_', ' ')} {fault.wanted})"


def _pointer(text: str) -> str:
    parts = text.split("/")
    if text and parts[0]:
        raise ValueError(
            f'"{text}" is no JSON pointer: it begins with "/" (RFC 6901), or is empty for all of it'
        )
    if len(parts) > POINTER_PARTS_MAX:
        raise ValueError(f'"{text}" is deeper than {POINTER_PARTS_MAX}')
    return text


def octets(text: str) -> bytes:
    """Convert hex digits to bytes; spaces between them are ignored. Raises ``ValueError`` for any other text."""
    return bytes.fromhex("".join(text.split()))


def _hex(text: str) -> str:
    try:
        octets(text)
    except ValueError:
        raise ValueError(f'"{text}" is no bytes in hex (05 0001 FF00)') from None
    return text


HexText = Annotated[str, Meta(min_length=2, max_length=2000), Rule(_hex)]
Pointer = Annotated[str, Meta(max_length=200), Rule(_pointer)]  # RFC 6901
_ABSENT = object()


def at_pointer(document: Any, pointer: str, absent: Any = None) -> Any:
    """Return the value to which the JSON pointer ``pointer`` (RFC 6901) leads in a parsed document; ``absent`` if it
    leads nowhere.
    """
    node = document
    for part in _parts(pointer):
        if isinstance(node, dict):
            node = node.get(part, _ABSENT)
        elif isinstance(node, list) and part.isascii() and part.isdecimal() and len(part) < 6:
            node = node[int(part)] if int(part) < len(node) else _ABSENT
        else:
            node = _ABSENT
        if node is _ABSENT:
            return absent
    return node


def _parts(pointer: str) -> Iterator[str]:
    for part in pointer.split("/")[1:]:
        yield part.replace("~1", "/").replace("~0", "~")


def as_text(value: Any) -> str | None:
    """Return a JSON value as text (``true``, ``3``, ``single``), to look it up among the words of a description. None
    for objects, lists and null.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | str):
        return str(value)
    return None
