"""JSON without surprises, for documents that decide something. Rules of this file:

* UTF-8 only; one object; no key twice; finite numbers; bounded size, depth and number of values.
* Whatever the bytes are, ``parse`` returns a dict or raises ``NotStrictJson``: nothing else leaves.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH_MAX = 12  # a policy is 5 deep; Python's own limit is near 1000 and raises RecursionError
VALUES_MAX = 5_000  # a policy with 50 areas has about 600 values


class NotStrictJson(ValueError):
    """The bytes are not the JSON we accept; the text says why, in a few words."""


def parse(data: bytes, bytes_max: int) -> dict[str, Any]:
    """The object in ``data``. Raises ``NotStrictJson``."""
    if len(data) > bytes_max:
        raise NotStrictJson(f"{len(data)} bytes, at most {bytes_max} are allowed")
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite_float
        )
    except NotStrictJson:
        raise
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise NotStrictJson("nested too deeply") from None
    except ValueError:  # integers of thousands of digits
        raise NotStrictJson("a number is too long") from None
    if not isinstance(value, dict):
        raise NotStrictJson("must be an object { … }")
    _bounded(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrictJson(f'key "{twice[:40]}" appears twice')
    return found


def _no_constant(word: str) -> NoReturn:
    raise NotStrictJson(f"{word} is not a number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrictJson(f"{text[:20]} is out of range")
    return value


def _bounded(value: Any) -> None:
    """Depth, number of values, and text that can be written again (a lone surrogate cannot)."""
    count = 0
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if depth > DEPTH_MAX:
            raise NotStrictJson(f"nested deeper than {DEPTH_MAX}")
        if count > VALUES_MAX:
            raise NotStrictJson(f"more than {VALUES_MAX} values")
        if isinstance(node, dict):
            stack.extend((child, depth + 1) for pair in node.items() for child in pair)
        elif isinstance(node, list):
            stack.extend((child, depth + 1) for child in node)
        elif isinstance(node, str) and not _writable(node):
            raise NotStrictJson("a text holds half a surrogate pair")


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
