"""``edged doctor``: checks whether this machine is fit for its hall. With ``--commission`` it prints the checklist
for the engineer who sets it up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from edged.cli.commissioning import CARD, LINES, ChecklistLine
from edged.cli.doctor_checks import CHECKS, CheckResult, unknown
from edged.cli.doctor_links import LISTEN_S, check_links
from edged.cli.doctor_remedies import remedy_of
from edged.config import HallConfig

MARKS = {"well": "✓", "ill": "✗", "unknown": "?"}


def doctor(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")] = Path(
        "/etc/edged/hall.toml"
    ),
    commission: Annotated[
        bool, typer.Option("--commission", help="Print the whole checklist for the site. 打印现场验收清单。")
    ] = False,
    lang: Annotated[Literal["zh", "en", "both"], typer.Option(help="Language of the texts.")] = "both",
    listen_s: Annotated[
        float,
        typer.Option(
            "--listen-s",
            min=1,
            max=600,
            help="Seconds to listen to devices at the broker; 70 hears those that report each minute.",
        ),
    ] = LISTEN_S,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check whether this machine is fit for its hall: disk, clock, watchdogs, ports, broker, keys, unit, every device.

    A running daemon reports how its devices are; without one, each device is asked directly (no lamp is switched).
    Devices whose messages carry a wrong time are listed.
    Nothing is changed; only the disk is tested, in a folder of its own. The remedy follows each ✗. With
    --commission each fault that only the real machine can show is printed with what to do, what must be seen, how long
    it may take.

    \b
    ✓ good   ✗ fault   ? cannot be checked from here   □ to be done by hand
    Exit codes: 0 no fault, 1 a fault was found, 2 hall.toml is wrong.
    Example:    edged doctor --commission --config /etc/edged/hall.toml > checklist.txt
    """
    from edged.cli.credentials import reachable
    from edged.config import ConfigErrors, load

    try:
        hall = reachable(load(config))
    except ConfigErrors as errors:
        for mistake in errors.lines:
            typer.echo(mistake, err=True)
        raise typer.Exit(2) from None
    results = {name: result_of(check, hall) for name, check in CHECKS.items()}
    links = check_links(hall, listen_s)
    if as_json:
        typer.echo(json.dumps(_answer(hall.hall, results, links, commission), ensure_ascii=False, indent=2))
    elif commission:
        typer.echo(f"{hall.site.name}（{hall.hall}）：现场验收清单 commissioning checklist")
        for line in LINES:
            typer.echo(_checklist_entry(line, results.get(line.check), lang))
        typer.echo("")
        for texts in CARD:
            typer.echo(_words(texts, lang))
    else:
        typer.echo("\n".join(in_lines(results | links, lang)))
    raise typer.Exit(1 if any(result.state == "ill" for result in (results | links).values()) else 0)


def in_lines(results: dict[str, CheckResult], lang: str) -> Iterator[str]:
    """The results as printed lines: one per check, and the remedy below each fault."""
    for name, result in results.items():
        yield f"{MARKS[result.state]} {name:<18} {_words((result.chinese, result.english), lang)}"
        if result.state == "ill":
            yield f"    → {_words(remedy_of(name, result.do), lang)}"


def result_of(check: Callable[[HallConfig], CheckResult], hall: HallConfig) -> CheckResult:
    """The result of one check; a file that cannot be read gives "unknown" with the reason."""
    try:
        return check(hall)
    except OSError as error:
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        return unknown(f"无法查看，请用 root 运行：{what}", f"cannot look, ask as root: {what}")


def _checklist_entry(line: ChecklistLine, result: CheckResult | None, lang: str) -> str:
    """An entry of the checklist as printed: what to do, what must be seen, and the result of its automatic check."""
    limit = f"  (≤ {line.within_s} s)" if line.within_s else ""
    rows = [f"\n□ {line.case}{limit}"]
    for mark, texts in (("→", line.do), ("=", line.see)):
        rows += [f"    {mark} {text}" for text in _chosen(texts, lang)]
    if result is not None:
        seen = (result.chinese, result.english)
        rows += [f"    {MARKS[result.state]} {text}" for text in _chosen(seen, lang)]
        if result.state == "ill":
            rows += [f"      → {text}" for text in _chosen(remedy_of(line.check, result.do), lang)]
    return "\n".join(rows)


def _answer(
    hall: str, results: dict[str, CheckResult], links: dict[str, CheckResult], commission: bool
) -> dict[str, object]:
    answer: dict[str, object] = {
        "hall": hall,
        "looks": {name: _as_json(name, result) for name, result in results.items()},
        "links": {name: _as_json(name, result) for name, result in links.items()},
    }
    if commission:
        answer["checklist"] = [
            {
                "case": line.case,
                "do": {"zh": line.do[0], "en": line.do[1]},
                "see": {"zh": line.see[0], "en": line.see[1]},
                "within_s": line.within_s or None,
                "look": line.check or None,
            }
            for line in LINES
        ]
        answer["emergency_card"] = [{"zh": chinese, "en": english} for chinese, english in CARD]
    return answer


def _as_json(name: str, result: CheckResult) -> dict[str, str]:
    fields = {"state": result.state, "zh": result.chinese, "en": result.english}
    if result.state == "ill":
        fields["do_zh"], fields["do"] = remedy_of(name, result.do)
    return fields


def _chosen(texts: tuple[str, str], lang: str) -> tuple[str, ...]:
    return texts if lang == "both" else texts[:1] if lang == "zh" else texts[1:]


def _words(texts: tuple[str, str], lang: str) -> str:
    return "  ".join(_chosen(texts, lang))
