"""Bytes from a device to a plain dict, or one short reason why not.

Rules: no exception but ``Unfit`` leaves this file; the limits of the wire contract (16 KiB, UTF-8, one JSON object,
finite numbers, no key twice) are kept before anybody looks at a field. Python's own parser is laxer in each of these.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

SIZE_MAX_BYTES = 16 * 1024  # wire contract: a device's payload; the largest honest one is under 1 KiB
INTEGER_DIGITS_MAX = 16  # 2**53 has 16 digits: what every JSON implementation keeps exactly
# Without eleven digits in a row, an escape or a character beyond ASCII there can be no such number in a payload.
_HARMLESS = re.compile(rb"[\x00-\x5b\x5d-\x7f]*")
_DIGITS = re.compile(rb"[0-9]{11}")


class Unfit(Exception):
    """``reason`` is a short fixed word for a counter; ``detail`` is for the log and carries nothing of the payload."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def parse_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in ``payload``. Raises ``Unfit``."""
    if not payload:
        raise Unfit("empty")
    if len(payload) > SIZE_MAX_BYTES:
        raise Unfit("too_large", f"{len(payload)} bytes")
    try:
        value = _decode(payload.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unfit("not_utf8") from None
    except RecursionError:
        raise Unfit("too_deep") from None
    except ValueError:
        raise Unfit("not_json") from None
    if type(value) is not dict:
        raise Unfit("not_object")
    return value


def is_harmless(payload: bytes) -> bool:
    """Whether the bytes alone show that nothing inside names a person: nearly every payload of a hall."""
    return _HARMLESS.fullmatch(payload) is not None and _DIGITS.search(payload) is None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfit("duplicate_key")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unfit("not_finite")
    return number


def _integer(text: str) -> int:
    if len(text) > INTEGER_DIGITS_MAX + 1:
        raise Unfit("number_too_large")
    return int(text)


def _constant(_text: str) -> float:
    raise Unfit("not_finite")  # NaN and Infinity are not JSON


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_int=_integer, parse_constant=_constant
).decode
