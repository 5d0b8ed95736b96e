"""Finds the window, area, service or member of staff that a person means by an id, a number or a name.

A matching id wins. Otherwise a window's number counts, or a name as written in hall.toml, in either language. If
nothing has this number or name, or more than one thing has it, the result is None.
"""

from __future__ import annotations

from collections.abc import Iterable

from edged.core.model.site import Site

_AROUND = ("号窗口", "号", "窗口", "window ")  # 11号窗口, 11号, 窗口11, window 11


def window_meant(site: Site, text: str) -> str | None:
    """Id of the window with this id or number ("11", "11号", …); None if there is none or more than one."""
    numbers: list[tuple[str, tuple[str, ...]]] = [(one.id, (one.number,)) for one in site.windows]
    found, plain = _one(text, numbers), text
    for word in _AROUND:
        plain = plain.removeprefix(word).removesuffix(word)
    return _one(plain, numbers) if found is None else found


def area_meant(site: Site, text: str) -> str | None:
    """Id of the area with this id or name; None if there is none or more than one."""
    return _one(text, ((one.id, (one.name, one.name_en)) for one in site.areas))


def service_meant(site: Site, text: str) -> str | None:
    """Id of the service with this id or name; None if there is none or more than one."""
    return _one(text, ((one.id, (one.name, one.name_en)) for one in site.services))


def staff_meant(site: Site, text: str) -> str | None:
    """Id of the member of staff with this id or name; None if there is none or more than one."""
    return _one(text, ((one.id, (one.name,)) for one in site.staff))


def _one(text: str, parts: Iterable[tuple[str, tuple[str, ...]]]) -> str | None:
    wanted = text.strip().casefold()
    named = []
    for part, names in parts:
        if part == text:
            return part
        if any(name.casefold() == wanted for name in names):
            named.append(part)
    return named[0] if len(named) == 1 else None
