"""What people call the parts of a running hall, for commands that list them: numbers and names beside ids.

The hall keeps them at the broker (``page/names``); an older hall that says nothing is told by ids.
"""

from __future__ import annotations

import unicodedata
from typing import Any

TAKEN = 2  # columns that a wide character takes on a terminal


class HallNames:
    """Made of the hall's own names; empty: everything by its id."""

    def __init__(self, said: dict[str, Any], alarms: dict[str, Any] | None = None) -> None:
        """``said``: the hall's names; ``alarms``: its list of them for pages, which says what each is about."""
        told = (alarms or {}).get("alarms") or ()
        self._about = {str(one["key"]).partition("/")[2]: one["subject"] for one in told}
        self._windows = {one["id"]: str(one["number"]) for one in said.get("windows") or ()}
        self._order = {one["id"]: place for place, one in enumerate(said.get("windows") or ())}
        self._areas = {one["id"]: (one["name"], one["name_en"]) for one in said.get("areas") or ()}
        self._staff = {one["id"]: str(one["name"]) for one in said.get("staff") or ()}
        self._devices = {one["id"]: (one["zh"], one["en"]) for one in said.get("devices") or ()}

    def window(self, window: str) -> str:
        """``11号 w11``."""
        number = self._windows.get(window)
        return window if number is None else f"{number}号 {window}"

    def place(self, window: str) -> tuple[int, int, str]:
        """For sorting windows as hall.toml has them."""
        return self._order.get(window, len(self._order)), len(window), window

    def area(self, area: str) -> str:
        """``税务综合 tax``."""
        return _beside(self._areas.get(area), area)

    def device(self, device: str) -> str:
        """``11号窗口灯 relay-1``: whose it is, and its id."""
        return _beside(self._devices.get(device), device)

    def any(self, subject: str) -> str:
        """Whatever an alarm is about."""
        if subject in self._windows:
            return f"{self._windows[subject]}号窗口 window {subject}"
        if subject in self._staff:
            return f"{self._staff[subject]} {subject}"
        said = self._about.get(subject)
        about = None if said is None else (said["zh"], said["en"])
        return _beside(self._areas.get(subject) or about or self._devices.get(subject), subject)


def _beside(names: tuple[str, str] | None, name: str) -> str:
    return name if names is None or names[0] == name else f"{names[0]} {name}"


def wide(text: str, columns: int) -> str:
    """``text`` filled to ``columns`` of a terminal, where a Chinese character takes two."""
    taken = sum(TAKEN if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(1, columns - taken)
