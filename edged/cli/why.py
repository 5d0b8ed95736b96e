"""``edged why``: lists the decisions of the tidal loop in a journal with their reasons. Works while the hall runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edged.cli.reading import ReportProgress, give_way, progress, silent
from edged.cli.target import SITE, NoTarget, fail, running_demo

if TYPE_CHECKING:
    import apsw

    from edged.core.model.commands import Note
    from edged.core.model.site import Site
    from edged.explain.sentences import Explained, Fact
    from edged.store.database import Snapshot

Lang = Literal["zh", "en", "both"]
# These many steps are read at normal priority, in a tenth of a second, because a process of idle priority gets no
# answer on a busy machine. Further steps are read at idle priority.
SHORT_STEPS = 20_000


@dataclass(slots=True)
class Decision:
    """A decision of the tidal loop and its outcome. ``time``: the hall's local time, ISO 8601."""

    seq: int
    time: str
    explained: Explained
    site: Site  # the site in force then
    acknowledged_by: str | None = None
    result: list[str] = field(default_factory=list)


def why(
    journal: Annotated[
        Path | None,
        typer.Argument(
            help="A journal file; else that of --config, of the demo here, or of this machine's own hall."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="hall.toml of a hall here.")] = None,
    area: Annotated[str | None, typer.Option(help="Only this area: name or id.")] = None,
    window: Annotated[str | None, typer.Option(help="Only this window: number or id.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on: 10:12, or 2026-05-28T10:12.")] = None,
    last: Annotated[int, typer.Option(min=0, help="Only the newest N; 0 for all.")] = 20,
    days: Annotated[int, typer.Option(min=0, help="Only the last N business days; 0 for all.")] = 0,
    lang: Annotated[Lang, typer.Option(help="zh, en or both.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list on stdout.")] = False,
) -> None:
    """Explain why windows were opened, held, closed or refused: rule, inputs, thresholds, alternatives, result.

    \b
    Exit codes: 0 decisions were found, 1 no such decision, 2 the journal cannot be read or wrong usage.
    Example:    edged why --config hall.toml --area tax --last 5
    """
    from edged.store.notes import Unreadable

    try:
        with progress("reading the journal", quiet=as_json) as bar:
            found = decisions(
                _journal(journal, config),
                lambda all_: _is_enough([one for one in all_ if _wanted(one, area, window)], since, last),
                bar,
                days,
            )
        wanted = [one for one in found if _wanted(one, area, window)]
        wanted = wanted if since is None else [one for one in wanted if one.time >= _since(since, found)]
    except Unreadable as error:
        raise fail(str(error), 2) from None
    wanted = wanted[-last:] if last else wanted
    if as_json:
        typer.echo(json.dumps([_figures(one) for one in wanted], ensure_ascii=False, indent=1))
    else:
        for one in wanted:
            typer.echo("\n".join(_lines(one, lang)))
    if not wanted:
        typer.echo("edged why: no such decision in this journal", err=True)
        raise typer.Exit(1)


def _journal(journal: Path | None, config: Path | None) -> Path:
    if journal is not None:
        return journal
    if config is None:
        demo = running_demo()
        if demo is not None and demo.signing_key is not None:
            config = Path(demo.signing_key).with_name("hall.toml")
        elif SITE.exists():
            config = SITE
        else:
            raise fail("give a JOURNAL or --config HALL.TOML; no demo is running here", 2)
    from edged.config import ConfigErrors, load

    try:
        return Path(load(config).store.path)
    except (ConfigErrors, NoTarget) as error:
        raise fail(str(error), 2) from None


def decisions(
    path: Path,
    enough: Callable[[list[Decision]], bool] = lambda found: False,
    progress: ReportProgress = silent,
    most_days: int = 0,
) -> list[Decision]:
    """Read decisions from a journal, oldest first. Reads the newest day, then more days until ``enough`` is true of the
    decisions read, ``most_days`` are read (0: no limit) or the journal ends. Raises ``Unreadable`` if the journal
    cannot be read.

    ``progress``: called with (done, total).
    """
    from edged.store.notes import day_start, oldest_dump, opened

    with opened(path) as connection:
        days = 1
        while (start := day_start(connection, min(days, most_days or days))) is not None:
            found = _decisions_from(connection, start, progress)
            if enough(found) or days >= most_days > 0:
                return found
            days *= 4  # at most a third is read twice
        return _decisions_from(connection, oldest_dump(connection), progress)


def _decisions_from(
    connection: apsw.Connection, start: Snapshot | None, progress: ReportProgress
) -> list[Decision]:
    from edged.explain.sentences import explained, sentences
    from edged.explain.words import DECISIONS
    from edged.store.notes import noted

    after = 0 if start is None else start.seq
    if int(connection.execute("SELECT coalesce(max(seq), 0) FROM steps").get) - after > SHORT_STEPS:
        give_way()
    found: list[Decision] = []
    running: dict[str, Decision] = {}  # window -> the decision that opened it
    for step in noted(connection, start, tuple({*DECISIONS, *FOLLOWED}), progress):
        if step.site is None:
            continue
        wall_ms = step.wall_ms if step.offset_ms is None else step.at_ms + step.offset_ms
        for note in step.notes:
            _follow(running, note, sentences(note, step.site))
            what = explained(note, step.site)
            if what is None:
                continue
            decision = Decision(step.seq, _time(wall_ms, step.zone_min), what, step.site)
            found.append(decision)
            if what.decision == "open" and what.window is not None:
                running[what.window] = decision
    return found


def _follow(running: dict[str, Decision], note: Note, sentence: tuple[str, str]) -> None:
    """Add ``note`` to the decision that opened the note's window, if the note says how that went on: answered, staffed,
    given up, drained, released. Other notes are ignored.

    ``running``: by window, the decision that opened it, removed at its last note; ``sentence``: the note in words, in
    two languages.
    """
    opening = running.get(note.subject)
    if opening is None or note.kind not in FOLLOWED:
        return
    if note.kind in ("tidal.acknowledged", "tidal.opened") and note.data.get("staff") is not None:
        opening.acknowledged_by = str(note.data["staff"])
    opening.result.append(" | ".join(sentence))
    if note.kind in ("tidal.unanswered", "tidal.released"):
        del running[note.subject]


FOLLOWED = ("tidal.acknowledged", "tidal.opened", "tidal.unanswered", "tidal.draining", "tidal.released")


def _time(wall_ms: int, zone_min: int) -> str:
    at = datetime.fromtimestamp(wall_ms / 1000, UTC) + timedelta(minutes=zone_min)
    return at.replace(tzinfo=None).isoformat(timespec="seconds")


def _wanted(one: Decision, area: str | None, window: str | None) -> bool:
    from edged.core.model.names import area_meant, window_meant

    explained = one.explained
    windows = {explained.window, *(other.id for other in explained.alternatives if other.code == "chosen")}
    return (area is None or (area_meant(one.site, area) or area) == explained.area) and (
        window is None or (window_meant(one.site, window) or window) in windows
    )


def _is_enough(found: list[Decision], since: str | None, last: int) -> bool:
    """Whether the decisions read so far cover what was asked for."""
    if since is not None:
        return bool(found) and found[0].time < _since(since, found)
    return 0 < last <= len(found)


def _since(text: str, found: Iterable[Decision]) -> str:
    """Convert ``text``, a date and time or only a time of day, into ISO 8601. A time of day is taken on the day of the
    newest decision in ``found``. Exits with code 2 for other text.
    """
    try:
        if "T" in text or "-" in text:
            return datetime.fromisoformat(text).isoformat(timespec="seconds")
        clock = datetime.strptime(text, "%H:%M").strftime("%H:%M:00")
    except ValueError:
        raise fail(f"--since {text}: write 10:12 or 2026-05-28T10:12", 2) from None
    day = max((one.time[:10] for one in found), default="")
    return f"{day}T{clock}"


def _figures(one: Decision) -> dict[str, Any]:
    explained = asdict(one.explained)
    return {
        "seq": one.seq,
        "time": one.time,
        **explained,
        "inputs": dict(explained["inputs"]),
        "thresholds": dict(explained["thresholds"]),
        "acknowledged_by": one.acknowledged_by,
        "result": one.result,
    }


HEADINGS = {
    "inputs": ("依据", "inputs"),
    "thresholds": ("阈值", "thresholds"),
    "alternatives": ("备选", "alternatives"),
    "result": ("结果", "result"),
}


COMMAS = ("，", ", ")


def _window_name(number: str, places: tuple[int, ...]) -> str:
    return " ".join((f"{number}号窗口", f"window {number}")[place] for place in places)


def _lines(one: Decision, lang: Lang) -> list[str]:
    from edged.explain.figures import DECIDED, in_words

    explained, places = one.explained, {"zh": (0,), "en": (1,), "both": (0, 1)}[lang]
    decided = " ".join(DECIDED[explained.decision][place] for place in places)
    lines = [f"{one.time}  {decided}  {' | '.join((explained.zh, explained.en)[place] for place in places)}"]

    def add(heading: str, text: str) -> None:
        if text:
            colon = "：" if lang == "zh" else ": "
            lines.append(f"    {' '.join(HEADINGS[heading][place] for place in places)}{colon}{text}")

    def figures(facts: Mapping[str, Fact]) -> str:
        texts = [COMMAS[place].join(in_words(facts, explained.rule, one.site, place)) for place in places]
        return " | ".join(text for text in texts if text)

    add("inputs", figures(explained.inputs))
    add("thresholds", figures(explained.thresholds))
    for other in explained.alternatives:
        words = " ".join((other.zh, other.en)[place] for place in places)
        name = other.name if other.kind == "staff" else _window_name(other.name, places)
        add("alternatives", f"{name}{'：' if lang == 'zh' else ': '}{words}")
    for result in one.result:
        add("result", " | ".join(result.split(" | ")[place] for place in places))
    return lines
