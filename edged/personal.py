"""What names a person in a text: identity and mobile numbers. They are turned away at every border and kept nowhere."""

from __future__ import annotations

import re
from typing import Any

# A resident identity number (GB 11643: 17 digits and a check character) or a mobile number (11 digits from 13 to 19),
# standing alone. \\d takes full-width digits too.
_PERSONAL = re.compile(r"(?<!\d)(?:\d{17}[\dXxＸｘ]|[1１][3-9３-９]\d{9})(?!\d)")


def names_a_person(value: Any) -> bool:
    """Whether any text inside ``value`` holds an identity or mobile number."""
    if isinstance(value, str):
        return _PERSONAL.search(value) is not None
    if isinstance(value, dict):
        return any(names_a_person(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(names_a_person(item) for item in value)
    return False
