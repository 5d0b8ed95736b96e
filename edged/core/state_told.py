"""What waits to be said and what stands on boards until a time: plain data, part of ``State``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Spoken:
    """Something to be said ``times`` times more; of a call: whose (``ticket``), to which ``window``."""

    text: str
    text_en: str
    since_ms: int
    number: str = ""
    ticket: int | None = None
    window: str | None = None
    slow: bool = False
    times: int = 1
    said: bool = False


@dataclass(slots=True)
class Voice:
    """A loudspeaker: what it says (an action's id, since when), from when on it may say more, and what waits."""

    doing: str | None = None
    since_ms: int = 0
    free_ms: int = 0
    waiting: list[Spoken] = field(default_factory=list)


@dataclass(slots=True)
class Notice:
    """A text on boards (``areas`` empty: all), until a wall time or withdrawn. The dict's order is that of posting."""

    text: str
    text_en: str
    areas: tuple[str, ...]
    until_wall_ms: int | None
    by: str
