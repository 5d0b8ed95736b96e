"""Parses JSON from devices and from the centre into a plain dict, or refuses it with one reason. Rules of this file:

* UTF-8 only, with or without a byte order mark (which RFC 8259 §8.1 allows a parser to ignore); one object; no key
  twice; finite numbers; bounded size and depth. Python's own parser accepts more in each of these.
* A whole number below 2^53 is an integer however it is written: ``1.0`` and ``1e0`` too, as in JSON Schema (Lua,
  JavaScript engines and some PLCs write every number with a point).
* A signed or stored document (``parse_document``) may also have only so many values, and every text in it must be
  possible to encode again.
* Whatever the bytes are, the result is a dict or ``NotStrictJson`` is raised, never another exception.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any, NoReturn

from edged.encoding import NotUtf8, text_of

DEPTH_MAX = 12  # nesting depth: a policy has 5; Python's own limit differs by version
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.S)  # brackets inside a text do not count
VALUES_MAX = 5_000  # a policy with 50 areas has about 600 values
EXACT_MAX = 2**53  # a larger float may differ from the integer that was meant


class NotStrictJson(ValueError):
    """The bytes are not JSON as this module accepts it. ``reason``: a short fixed word, the label of a counter. The
    exception's text says more and may quote the input; ``chinese`` says the same in Chinese.
    """

    def __init__(self, reason: str, text: str, chinese: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.chinese = chinese


def parse(data: bytes, bytes_max: int, digits_max: int | None) -> dict[str, Any]:
    """Parse the JSON object in ``data``. ``bytes_max``: the greatest length of ``data``. ``digits_max``: the most
    digits an integer may have; None: the caller bounds integers itself.

    Raises ``NotStrictJson`` if ``data`` breaks one of the module's rules.
    """
    if len(data) > bytes_max:
        raise NotStrictJson(
            "too_large",
            f"{len(data)} bytes, at most {bytes_max} are allowed",
            f"共 {len(data)} 字节，最多 {bytes_max} 字节",
        )
    if data.count(b"{") + data.count(b"[") > DEPTH_MAX:
        _not_deep(data)
    try:
        value = _decoder(digits_max).decode(text_of(data))
    except NotStrictJson:
        raise
    except NotUtf8 as error:
        place, here = f"line {error.line}, column {error.column}", f"第 {error.line} 行第 {error.column} 列"
        raise NotStrictJson(
            "not_utf8", f"{error.what} ({place}): write it as UTF-8", f"{here}不是 UTF-8，请存为 UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        where = f"{error.msg} (line {error.lineno}, column {error.colno})"
        here = f"第 {error.lineno} 行第 {error.colno} 列不符合 JSON 格式" if data else "内容为空"
        raise NotStrictJson("not_json" if data else "empty", where, here) from None
    except ValueError:  # integers of thousands of digits
        raise NotStrictJson("number_too_large", "a number is too long", "有一个数位数过多") from None
    if type(value) is not dict:
        raise NotStrictJson("not_object", "must be an object { … }", "必须是一个对象 { … }")
    return value


def parse_document(data: bytes, bytes_max: int) -> dict[str, Any]:
    """Parse a signed or stored document of at most ``bytes_max`` bytes, with the module's further rules for these.
    Raises ``NotStrictJson`` if it breaks one.
    """
    value = parse(data, bytes_max, None)
    _bounded(value)
    return value


def _not_deep(data: bytes) -> None:
    depth = 0
    for found in _BRACKETS.finditer(data):
        mark = found[0]
        depth += (mark in b"[{") - (mark in b"]}")
        if depth > DEPTH_MAX:
            raise NotStrictJson("too_deep", f"nested deeper than {DEPTH_MAX}", f"嵌套超过 {DEPTH_MAX} 层")


@cache
def _decoder(digits_max: int | None) -> json.JSONDecoder:
    def integer(text: str) -> int:
        if digits_max is not None and len(text.lstrip("-")) > digits_max:
            raise NotStrictJson("number_too_large", "a number is too long", "有一个数位数过多")
        return int(text)

    return json.JSONDecoder(
        object_pairs_hook=_once,
        parse_constant=_no_constant,
        parse_float=_number,
        parse_int=None if digits_max is None else integer,
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrictJson(
            "duplicate_key", f'key "{twice[:40]}" appears twice', f"键“{twice[:40]}”出现了两次"
        )
    return found


def _no_constant(word: str) -> NoReturn:
    raise NotStrictJson("not_finite", f"{word} is not a number", f"{word} 不是数")


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrictJson("not_finite", f"{text[:20]} is out of range", f"{text[:20]} 超出范围")
    return int(value) if value.is_integer() and abs(value) < EXACT_MAX else value


def _bounded(value: Any) -> None:
    """Check a parsed document: not too many values, and no text that cannot be encoded again (half of a surrogate
    pair). Raises ``NotStrictJson`` if it fails.
    """
    count = 0
    stack: list[Any] = [value]
    while stack:
        node = stack.pop()
        count += 1
        if count > VALUES_MAX:
            raise NotStrictJson("too_large", f"more than {VALUES_MAX} values", f"超过 {VALUES_MAX} 个值")
        if isinstance(node, dict):
            stack.extend(child for pair in node.items() for child in pair)
        elif isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, str) and not _writable(node):
            raise NotStrictJson(
                "half_character",
                "a text holds half a surrogate pair",
                "有一段文字含不完整的字符（半个代理对）",
            )


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
