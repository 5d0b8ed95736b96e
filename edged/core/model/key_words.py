"""Replaces window numbers and names in the argument of a key by ids.

A person types "force-open 11" or "transfer 社保"; a program types ids. This module knows where in each key's argument a
window, area, service or person stands. A word that fits none of them stays as typed, and the key is then refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edged.core.model.names import area_meant, service_meant, staff_meant, window_meant
from edged.core.model.site import Site

Finder = Callable[[Site, str], str | None]
Reader = Callable[[Site, str], str]
TRANSFERRED = "transferred/"  # the outcome of "finish" after which a target follows


def with_ids(site: Site, key: str, arg: str, at_window: bool) -> str:
    """Return the argument of ``key`` with names and numbers replaced by ids. ``at_window``: the key was pressed at a
    window's panel; otherwise at a pager or the duty manager's panel, where the same key may take other arguments.
    """
    read = (AT_WINDOW if at_window else AT_PAGER).get(key) or ANYWHERE.get(key)
    return arg if read is None else read(site, arg)


def place_meant(site: Site, text: str) -> str | None:
    """Return the id of the service, area or window to which a visitor is to be sent, named in ``text`` by its id,
    number or name. If a service and its own area have the same name, the service is meant. None if the name fits
    nothing, or more than one.
    """
    if text in {one.id for one in site.services} or window_or_area_meant(site, text) == text:
        return text
    service, area, window = service_meant(site, text), area_meant(site, text), window_meant(site, text)
    if service is not None and any(one.id == service and one.area == area for one in site.services):
        area = None
    return _only((service, area, window))


def window_or_area_meant(site: Site, text: str) -> str | None:
    """The id of the window or area that ``text`` names by its id, number or name; None if nothing or more than one
    thing has this name.
    """
    if text in {one.id for one in site.windows} | {one.id for one in site.areas}:
        return text
    return _only((window_meant(site, text), area_meant(site, text)))


def _only(found: Iterable[str | None]) -> str | None:
    ids = [one for one in found if one is not None]
    return ids[0] if len(ids) == 1 else None


def _one(find: Finder) -> Reader:
    """Return a reader (site and argument in, argument with ids out) for arguments that consist of one name."""
    return lambda site, arg: find(site, arg) or arg


def _in_order(*finders: Finder) -> Reader:
    """Return a reader for arguments with several names, of the kinds and in the order of ``finders``. A name may have
    several words. Words like ``by=name`` may stand anywhere; the reader moves them to the end unchanged.
    """

    def read(site: Site, arg: str) -> str:
        words = arg.split()
        plain = [word for word in words if "=" not in word]
        return " ".join([*_parts(site, plain, finders), *(word for word in words if "=" in word)])

    return read


def _parts(site: Site, words: Sequence[str], finders: Sequence[Finder], between: str = " ") -> list[str]:
    found: list[str] = []
    left = list(words)
    for find in finders:
        for count in range(len(left), 0, -1):
            part = find(site, between.join(left[:count]))
            if part is not None:
                found.append(part)
                del left[:count]
                break
        else:
            found += left[:1]
            del left[:1]
    return found + left


def _finish(site: Site, arg: str) -> str:
    if not arg.startswith(TRANSFERRED):
        return arg
    target = arg.removeprefix(TRANSFERRED)
    return TRANSFERRED + (place_meant(site, target) or target)


def _green_lane(site: Site, arg: str) -> str:
    return "/".join(_parts(site, arg.split("/"), (service_meant,), "/"))


def _roster(site: Site, arg: str) -> str:
    """Replace names by ids in the roster key's argument ``absent|back STAFF`` or ``also STAFF AREA[,AREA]``."""
    words = arg.split()
    named = [word for word in words if "=" in word]
    first, *plain = [word for word in words if "=" not in word] or [""]
    staff, *areas = _parts(site, plain, (staff_meant,)) or [""]
    listed = " ".join(areas).replace("，", ",").replace("、", ",").split(",")
    meant = (area_meant(site, area.strip()) or area.strip() for area in listed)
    return " ".join(word for word in (first, staff, ",".join(meant), *named) if word)


ANYWHERE: dict[str, Reader] = {
    "force-open": _in_order(window_meant, area_meant),
    "force-close": _in_order(window_meant),
    "hold": _in_order(window_meant),
    "lift": _in_order(window_or_area_meant),
    "pause-issuing": _in_order(area_meant),
    "extend-hours": _in_order(area_meant),
    "transfer": _one(place_meant),
    "finish": _finish,
    "walk-direct": _one(service_meant),
    "green-lane": _green_lane,
    "login": _one(staff_meant),
    "logout": _one(staff_meant),
    "roster": _roster,
}
AT_WINDOW: dict[str, Reader] = {"accept": _one(staff_meant)}  # who accepts
AT_PAGER: dict[str, Reader] = {  # the window or area whose page is answered
    "accept": _one(window_or_area_meant),
    "decline": _one(window_or_area_meant),
}
