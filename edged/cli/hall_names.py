"""Names of a running hall's windows, areas and devices, which commands print beside their ids.

The hall retains them at the broker (``page/names``); for an older hall without that message only ids are printed.
"""

from __future__ import annotations

import unicodedata
from typing import Any

TAKEN = 2  # columns that a wide character takes on a terminal


class HallNames:
    """Display names of one hall's parts; a part without a name is shown by its id."""

    def __init__(self, names: dict[str, Any], alarms: dict[str, Any] | None = None) -> None:
        """``names``: the hall's ``page/names`` message; ``alarms``: its ``page/alarms`` message, which names each
        alarm's subject.
        """
        listed = (alarms or {}).get("alarms") or ()
        self._about = {str(one["key"]).partition("/")[2]: one["subject"] for one in listed}
        self._windows = {one["id"]: str(one["number"]) for one in names.get("windows") or ()}
        self._order = {one["id"]: place for place, one in enumerate(names.get("windows") or ())}
        self._areas = {one["id"]: (one["name"], one["name_en"]) for one in names.get("areas") or ()}
        self._staff = {one["id"]: str(one["name"]) for one in names.get("staff") or ()}
        self._devices = {one["id"]: (one["zh"], one["en"]) for one in names.get("devices") or ()}

    def window(self, window: str) -> str:
        """A window as people call it, with its id: ``11号 w11``."""
        number = self._windows.get(window)
        return window if number is None else f"{number}号 {window}"

    def sort_key(self, window: str) -> tuple[int, int, str]:
        """A key by which windows are sorted in the order of hall.toml; unknown ones come last, the shorter id first."""
        return self._order.get(window, len(self._order)), len(window), window

    def area(self, area: str) -> str:
        """An area's name with its id: ``税务综合 tax``."""
        return _beside(self._areas.get(area), area)

    def device(self, device: str) -> str:
        """A device by the part of the hall it belongs to, with its id: ``11号窗口灯 relay-1``."""
        return _beside(self._devices.get(device), device)

    def subject(self, subject: str) -> str:
        """The display name of an alarm's subject: a window, a member of staff, an area or a device."""
        if subject in self._windows:
            return f"{self._windows[subject]}号窗口 window {subject}"
        if subject in self._staff:
            return f"{self._staff[subject]} {subject}"
        subject_names = self._about.get(subject)
        about = None if subject_names is None else (subject_names["zh"], subject_names["en"])
        return _beside(self._areas.get(subject) or about or self._devices.get(subject), subject)


def _beside(names: tuple[str, str] | None, name: str) -> str:
    return name if names is None or names[0] == name else f"{names[0]} {name}"


def padded(text: str, columns: int) -> str:
    """``text`` padded to ``columns`` of a terminal, where a Chinese character takes two."""
    taken = sum(TAKEN if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(1, columns - taken)
