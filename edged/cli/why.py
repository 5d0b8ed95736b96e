"""``edged why``: the decisions of the tidal loop in a journal and what they rested on. Works beside a running hall."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edged.cli.target import NoTarget, fail, running_demo

if TYPE_CHECKING:
    from edged.core.model.commands import Note
    from edged.core.model.site import Site
    from edged.explain.sentences import Explained
    from edged.observer import Step

Lang = Literal["zh", "en", "both"]


@dataclass(slots=True)
class Decision:
    """A decision and what became of it. ``time`` is the hall's own, ISO 8601."""

    seq: int
    time: str
    explained: Explained
    acknowledged_by: str | None = None
    result: list[str] = field(default_factory=list)


def why(
    journal: Annotated[
        Path | None, typer.Argument(help="A journal file; else the hall of --config, else the demo here.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="hall.toml of a hall here.")] = None,
    area: Annotated[str | None, typer.Option(help="Only this area (id).")] = None,
    window: Annotated[str | None, typer.Option(help="Only this window (id).")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on: 10:12, or 2026-05-28T10:12.")] = None,
    last: Annotated[int, typer.Option(min=0, help="Only the newest N; 0 for all.")] = 20,
    lang: Annotated[Lang, typer.Option(help="zh, en or both.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list on stdout.")] = False,
) -> None:
    """Explain why windows were opened, held, closed or refused: rule, inputs, thresholds, alternatives, result.

    \b
    Exit codes: 0 something to tell, 1 no such decision, 2 the journal cannot be read or wrong usage.
    Example:    edged why --config hall.toml --area tax --last 5
    """
    from edged.store.replay import Unreadable

    try:
        told = [one for one in decisions(_journal(journal, config)) if _wanted(one, area, window)]
        told = told if since is None else [one for one in told if one.time >= _since(since, told)]
    except Unreadable as error:
        raise fail(str(error), 2) from None
    told = told[-last:] if last else told
    if as_json:
        typer.echo(json.dumps([_figures(one) for one in told], ensure_ascii=False, indent=1))
    else:
        for one in told:
            typer.echo("\n".join(_lines(one, lang)))
    if not told:
        typer.echo("edged why: no such decision in this journal", err=True)
        raise typer.Exit(1)


def _journal(journal: Path | None, config: Path | None) -> Path:
    if journal is not None:
        return journal
    if config is None:
        demo = running_demo()
        if demo is None or demo.signing_key is None:
            raise fail("give a JOURNAL or --config HALL.TOML; no demo is running here", 2)
        config = Path(demo.signing_key).with_name("hall.toml")
    from edged.config import ConfigErrors, load

    try:
        return Path(load(config).store.path)
    except (ConfigErrors, NoTarget) as error:
        raise fail(str(error), 2) from None


def decisions(path: Path) -> list[Decision]:
    """Every decision of a journal, oldest first. Raises ``Unreadable``."""
    found: list[Decision] = []
    running: dict[str, Decision] = {}  # window -> what opened it
    for seq, time, site, notes in _notes(path):
        for note in notes:
            from edged.explain.sentences import explained, sentences

            _follow(running, note, sentences(note, site))
            told = explained(note, site)
            if told is None:
                continue
            decision = Decision(seq, time, told)
            found.append(decision)
            if told.decision == "open" and told.window is not None:
                running[told.window] = decision
    return found


def _follow(running: dict[str, Decision], note: Note, told: tuple[str, str]) -> None:
    """What became of an opening: answered, staffed, given up, given back."""
    opening = running.get(note.subject)
    if opening is None or note.kind not in FOLLOWED:
        return
    if note.kind in ("tidal.acknowledged", "tidal.opened") and note.data.get("staff") is not None:
        opening.acknowledged_by = str(note.data["staff"])
    opening.result.append(" | ".join(told))
    if note.kind in ("tidal.unanswered", "tidal.released"):
        del running[note.subject]


FOLLOWED = ("tidal.acknowledged", "tidal.opened", "tidal.unanswered", "tidal.draining", "tidal.released")


def _notes(path: Path) -> Iterator[tuple[int, str, Site, tuple[Note, ...]]]:
    import apsw

    from edged.core.model.events import ClockSet, SiteLoaded
    from edged.store import codec, database
    from edged.store.records import decode_step
    from edged.store.replay import Unreadable

    if not path.is_file():
        raise Unreadable(f"{path}: there is no such file")
    site, offset_ms, zone_min = None, None, 0
    try:
        connection = database.connect(path, read_only=True)
        try:
            for place, row in enumerate(database.rows(connection)):
                if place == 0 and row.seq > 1:
                    site, offset_ms, zone_min = _of_a_dump(connection)
                step: Step = decode_step(row)
                if isinstance(step.event, SiteLoaded):
                    site = step.event.site
                elif isinstance(step.event, ClockSet):
                    offset_ms = step.event.wall_ms - row.at_ms
                    zone_min = step.event.utc_offset_min
                if site is not None and step.notes:
                    wall_ms = row.wall_ms if offset_ms is None else row.at_ms + offset_ms
                    yield row.seq, _time(wall_ms, zone_min), site, tuple(step.notes)
        finally:
            connection.close(True)
    except (apsw.Error, codec.CodecError, database.Damaged) as error:
        raise Unreadable(f"{path}: {error}") from None


def _of_a_dump(connection: Any) -> tuple[Site | None, int | None, int]:
    """The site and clock of a journal whose first steps are pruned."""
    from edged.core.model.state import State
    from edged.store import codec, database

    for snapshot in database.snapshots(connection):
        if snapshot.good and snapshot.blob is not None:
            state: State = codec.load_state(snapshot.blob, State)
            return state.site, state.wall_offset_ms, state.utc_offset_min
    return None, None, 0


def _time(wall_ms: int, zone_min: int) -> str:
    at = datetime.fromtimestamp(wall_ms / 1000, UTC) + timedelta(minutes=zone_min)
    return at.replace(tzinfo=None).isoformat(timespec="seconds")


def _wanted(one: Decision, area: str | None, window: str | None) -> bool:
    told = one.explained
    considered = {other.id for other in told.alternatives if other.code == "chosen"}
    return (area is None or told.area == area) and (
        window is None or told.window == window or window in considered
    )


def _since(text: str, told: Iterable[Decision]) -> str:
    """A full time; a time of day is that of the journal's last day."""
    try:
        if "T" in text or "-" in text:
            return datetime.fromisoformat(text).isoformat(timespec="seconds")
        clock = datetime.strptime(text, "%H:%M").strftime("%H:%M:00")
    except ValueError:
        raise fail(f"--since {text}: write 10:12 or 2026-05-28T10:12", 2) from None
    day = max((one.time[:10] for one in told), default="")
    return f"{day}T{clock}"


def _figures(one: Decision) -> dict[str, Any]:
    told = asdict(one.explained)
    return {
        "seq": one.seq,
        "time": one.time,
        **told,
        "inputs": dict(told["inputs"]),
        "thresholds": dict(told["thresholds"]),
        "acknowledged_by": one.acknowledged_by,
        "result": one.result,
    }


HEADINGS = {
    "inputs": ("依据", "inputs"),
    "thresholds": ("阈值", "thresholds"),
    "alternatives": ("备选", "alternatives"),
    "result": ("结果", "result"),
}


def _lines(one: Decision, lang: Lang) -> list[str]:
    told, places = one.explained, {"zh": (0,), "en": (1,), "both": (0, 1)}[lang]
    lines = [
        f"{one.time}  {told.decision.upper()}  {' | '.join((told.zh, told.en)[place] for place in places)}"
    ]

    def say(heading: str, text: str) -> None:
        if text:
            lines.append(f"    {' '.join(HEADINGS[heading][place] for place in places)}: {text}")

    say("inputs", ", ".join(f"{key} {value}" for key, value in told.inputs.items()))
    say("thresholds", ", ".join(f"{key} {value}" for key, value in told.thresholds.items()))
    for other in told.alternatives:
        words = " ".join((other.zh, other.en)[place] for place in places)
        say("alternatives", f"{other.name} ({other.id}): {words}")
    for result in one.result:
        say("result", " | ".join(result.split(" | ")[place] for place in places))
    return lines
