"""Dictionaries computed from the configured hall (site): which window a panel belongs to, which windows serve an area,
and so on. They are built anew whenever the site changes.
"""

from __future__ import annotations

from edged.core.model.commands import Panel
from edged.core.model.point import Point, device_of
from edged.core.model.site import Area, Board, Service, Site, Staff, Window


class Lookup:
    """Dictionaries over one ``Site``; every list keeps the order of the configuration."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.areas: dict[str, Area] = {a.id: a for a in site.areas}
        self.services: dict[str, Service] = {s.id: s for s in site.services}
        self.windows: dict[str, Window] = {w.id: w for w in site.windows}
        self.staff: dict[str, Staff] = {s.id: s for s in site.staff}
        self.window_of_evaluator = {w.evaluator: w.id for w in site.windows if w.evaluator}
        self.boards: dict[str, Board] = {board.point: board for board in site.boards}
        self._printers = dict(site.printers)
        self.panel_slots = {w.id: f"{w.panel}|{Panel.kind}" for w in site.windows if w.panel}  # signage.slot
        self.window_of_panel = {w.panel: w.id for w in site.windows if w.panel}
        self.windows_of_device: dict[str, list[str]] = {}
        for window in site.windows:
            if window.panel:
                self.windows_of_device.setdefault(device_of(window.panel), []).append(window.id)
        self.staff_of_pager = {s.pager: s.id for s in site.staff if s.pager}
        self.area_services: dict[str, list[str]] = {a.id: [] for a in site.areas}
        for service in site.services:
            self.area_services[service.area].append(service.id)
        self.area_windows: dict[str, list[str]] = {a.id: [] for a in site.areas}
        self.window_areas: dict[str, tuple[str, ...]] = {}
        for window in site.windows:
            areas = tuple(dict.fromkeys(self.services[s].area for s in window.skills))
            self.window_areas[window.id] = areas
            for area in areas:
                self.area_windows[area].append(window.id)

        self.near_areas: dict[str, tuple[str, ...]] = {  # areas that share a window with one, and itself
            area: tuple(dict.fromkeys([area, *(near for w in names for near in self.window_areas[w])]))
            for area, names in self.area_windows.items()
        }
        self.case_windows = [w.id for w in site.windows if any(self.services[s].case for s in w.skills)]
        self.case_areas = frozenset(self.services[s].area for s in self.services if self.services[s].case)
        self.tidal = [window.id for window in site.windows if window.tidal]
        self.area_tidal = {
            area: [window for window in names if self.windows[window].tidal]
            for area, names in self.area_windows.items()
        }

        self._skills_in: dict[tuple[str, str], tuple[str, ...]] = {}
        for window in site.windows:
            for area in self.window_areas[window.id]:
                skills = tuple(s for s in window.skills if self.services[s].area == area)
                self._skills_in[window.id, area] = skills

    def skills_in(self, window: str, area: str) -> tuple[str, ...]:
        """The services of ``area`` that ``window`` may serve."""
        return self._skills_in.get((window, area), ())

    def printer_of(self, source: Point) -> Point:
        """Return the point (device channel) of the printer for a number that was requested at ``source``. Usually it is
        ``source`` itself, a dispenser with a built-in printer.
        """
        return self._printers.get(device_of(source), source)

    def serves_cases(self, window: str) -> bool:
        """Whether this window serves cases (办不成事)."""
        return window in self.case_windows

    def area_of(self, service: str) -> str:
        """The area id of a service id."""
        return self.services[service].area
