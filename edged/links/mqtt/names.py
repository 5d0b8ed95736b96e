"""Checks topics and topic filters before they are sent. No I/O.

A broker ends the whole connection over one invalid filter (MQTT 5 §4.7, §4.13), and all devices share that connection.
"""

from __future__ import annotations

import re

BYTES_MAX = 65_535  # §1.5.4: a length of two bytes
# §1.5.4: NUL must not, control characters and non-characters should not be sent; brokers end the connection
_ODD = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
SHARED = "$share/"  # §4.8.2: only one of its subscribers gets a message; a counter would lose every other one


def topic_fault(topic: str) -> str:
    """Why ``topic`` is no valid topic to publish on; "" if it is valid."""
    if "+" in topic or "#" in topic:
        return "has a wildcard (+ or #)"
    return _text_fault(topic)


def filter_fault(topic_filter: str) -> str:
    """Why ``topic_filter`` is no valid filter; "" if it is valid."""
    levels = topic_filter.split("/")
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return 'has a "#" that is not a whole last level (people/#)'
    if any("+" in level and level != "+" for level in levels):
        return 'has a "+" that is not a whole level (people/+/vs125)'
    if topic_filter.startswith(SHARED):
        return "is a shared subscription, of which each message reaches one subscriber only"
    return _text_fault(topic_filter)


def covers(wide: str, narrow: str) -> bool:
    """Whether ``wide`` matches everything that ``narrow`` (a filter or a topic) matches (§4.7.1)."""
    ours, theirs = wide.split("/"), narrow.split("/")
    for place, level in enumerate(ours):
        if level == "#":
            return True
        if place == len(theirs) or theirs[place] == "#" or level not in ("+", theirs[place]):
            return False
    return len(ours) == len(theirs)


def _text_fault(text: str) -> str:
    if not text:
        return "is empty"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "has half a surrogate pair"
    if size > BYTES_MAX:
        return f"has {size} bytes, at most {BYTES_MAX} are allowed"
    odd = _ODD.search(text)
    if odd is not None:
        return f"has a character that no topic may have (U+{ord(odd[0]):04X})"
    return ""
