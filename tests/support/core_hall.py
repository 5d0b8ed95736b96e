"""The small hall of the core's tests, described in text lines so that a transcript can change one of them.

One line describes one area, service, window or other part of a ``Site`` (see ``tests/core/hall.txt``). A line with the
kind and id of an earlier one replaces it in its place; ``without KIND ID`` removes a part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edged.config.shape import minutes
from edged.core.model.point import Point
from edged.core.model.site import Area, Board, Service, Site, Staff, Window

HALL = Path(__file__).parent.parent / "core" / "hall.txt"
FLAGS = ("tidal", "confirms", "case")


FONTS = ("gb2312", "gbk")


class SiteText:
    """An editable description of a hall: ``change`` applies one line, ``site`` is the hall after all changes."""

    def __init__(self, text: str | None = None) -> None:
        self._parts: dict[tuple[str, str], list[str]] = {}
        for line in (HALL.read_text() if text is None else text).splitlines():
            if line.strip() and not line.startswith("--"):
                self.change(line)

    def change(self, line: str) -> None:
        """Add, replace or (``without …``) remove one part."""
        kind, *words = line.split()
        if kind == "without":
            del self._parts[words[0], words[1]]
        else:
            self._parts[kind, words[0]] = words

    def _all(self, kind: str) -> list[list[str]]:
        return [words for (of, _), words in self._parts.items() if of == kind]

    @property
    def site(self) -> Site:
        """The hall as the lines describe it after all changes."""
        hall, name, *options = self._all("hall")[0]
        duty = [(words[0], _options(words[1:])) for words in self._all("duty")]
        boards = self._all("board")
        return Site(
            hall,
            name,
            tuple(_area(words) for words in self._all("area")),
            tuple(_service(words) for words in self._all("service")),
            tuple(_window(words) for words in self._all("window")),
            tuple(_staff(words) for words in self._all("staff")),
            _point(duty[0][0]) if duty else None,
            _point(duty[0][1].get("panel")) if duty else None,
            _points(duty[0][1].get("displays", "")) if duty else (),
            tuple(Point(words[1]) for words in self._all("cases") if words[0] == "lamp"),
            tuple(Point(words[1]) for words in self._all("cases") if words[0] == "display"),
            _points(_options(options).get("displays", "")),
            tuple(
                Board(
                    Point(point),
                    int(rows),
                    int(columns),
                    "scrolls" in more,
                    next((one for one in more if one in FONTS), ""),
                )
                for point, rows, columns, *more in boards
            ),
            dispensers=tuple(Point(words[0]) for words in self._all("dispenser")),
            printers=tuple((words[0], Point(words[1])) for words in self._all("printer")),
            queue=next((Point(words[0]) for words in self._all("queue")), None),
            tickets_url=next((words[0] for words in self._all("own-pages")), None),
        )


def hall_site() -> Site:
    """The hall of ``hall.txt``."""
    return SiteText().site


def _point(word: str | None) -> Point | None:
    return None if word is None else Point(word)


def _points(words: str) -> tuple[Point, ...]:
    return tuple(Point(word) for word in words.split(",") if word)


def _options(words: list[str]) -> dict[str, str]:
    options = dict(word.split("=", 1) for word in words if "=" in word)
    unknown = [word for word in words if "=" not in word and word not in FLAGS]
    assert not unknown, f"what is {unknown}?"
    return options | {word: "yes" for word in words if word in FLAGS}


def _service(words: list[str]) -> Service:
    service, area, name, name_en, letter, *flags = words
    return Service(service, area, name, name_en, letter, case="case" in flags)


def _area(words: list[str]) -> Area:
    options = _options(words[3:])
    area, name, name_en = words[:3]
    return Area(
        area,
        name,
        name_en,
        displays=_points(options.get("displays", "")),
        voice=_point(options.get("voice")),
        lamps=_points(options.get("lamps", "")),
    )


def _window(words: list[str]) -> Window:
    options = _options(words[3:])
    return Window(
        words[0],
        words[1],
        tuple(words[2].split(",")),
        tidal="tidal" in options,
        panel=_point(options.get("panel")),
        lamp=_point(options.get("lamp")),
        display=_point(options.get("display")),
        evaluator=_point(options.get("evaluator")),
        confirms_arrival="confirms" in options,
    )


def _staff(words: list[str]) -> Staff:
    options = _options(words[3:])
    roles: Any = tuple(options.get("roles", "standby").split(","))
    shifts = tuple(map(minutes, filter(None, options.get("shifts", "").split(","))))
    return Staff(words[0], words[1], tuple(words[2].split(",")), _point(options.get("pager")), roles, shifts)
