"""``edged alarms``: the standing alarms of a running hall and what to do about each; with ``--all`` every kind of
alarm.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Lang = Literal["zh", "en", "both"]
WORDS = ("zh", "en", "do_zh", "do_en")


def alarms(
    broker: Annotated[str | None, typer.Option(help="mqtt://[USER@]HOST:PORT of the broker.")] = None,
    hall: Annotated[str | None, typer.Option("--hall", help="Id of the hall; with --broker.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="hall.toml: id, broker, pages.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="List every kind of alarm and every reason of a device loss; asks no hall."
        ),
    ] = False,
    runbook: Annotated[
        bool, typer.Option("--runbook", help="With --all and --lang: as tables for configs/prometheus.")
    ] = False,
    lang: Annotated[Lang, typer.Option(help="zh, en, or both.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List a hall's standing alarms: when each began, what it means and what to do. Without options it asks the demo
    that runs on this machine, else this machine's own hall.

    \b
    Exit codes: 0 no alarm, 1 an alarm stands or the hall is not reachable, 2 wrong usage.
    Example:    edged alarms --config /etc/edged/hall.toml
                edged alarms --all --lang zh
    """
    if every:
        _print_all(lang, runbook, as_json)
        return
    raised = _raised(broker, hall, config)
    if as_json:
        typer.echo(json.dumps({"standing": raised}, ensure_ascii=False, indent=2))
    else:
        for one in raised:
            typer.echo("\n".join(_lines(one, lang)))
        if not raised:
            typer.echo({"zh": "无告警", "en": "no alarm stands"}.get(lang, "无告警 no alarm stands"))
    raise typer.Exit(1 if raised else 0)


def _raised(broker: str | None, hall: str | None, config: Path | None) -> list[dict[str, Any]]:
    """Read the hall's standing alarms from its retained messages; each entry gets its explanation in two languages.
    Exits with code 1 if the broker does not answer or has no such message.
    """
    from edged.central import topics
    from edged.cli.exchange import NoAnswer, conversation
    from edged.cli.hall_names import HallNames
    from edged.cli.status import QUIET_S, RETAINED_S
    from edged.cli.target import fail, find_or_exit
    from edged.explain.alarm_words import alarm_words

    target = find_or_exit(broker, hall, config)
    bodies: dict[str, dict[str, Any]] = {}
    alarms_topic, *named = wanted = [
        topics.alarms_state(target.hall),
        *(topics.page(target.hall, part) for part in ("names", "alarms")),
    ]
    try:
        with conversation(target, wanted) as talk:
            for message in talk.receive(RETAINED_S, QUIET_S):
                bodies[message.topic] = message.body
    except NoAnswer as error:
        raise fail(str(error)) from None
    body = bodies.get(alarms_topic)
    if body is None:
        raise fail(f"hall {target.hall} was never seen at this broker 该大厅从未上线")
    entries = [alarm for alarm in body.get("standing") or () if isinstance(alarm, dict)]
    names = HallNames(*(bodies.get(topic, {}) for topic in named))
    for alarm in entries:
        alarm["about"] = names.subject(str(alarm.get("subject")))
        words = alarm_words(str(alarm.get("alarm")), str(alarm.get("reason") or ""))
        alarm |= {"text": words.en, "text_zh": words.zh, "do": words.do_en, "do_zh": words.do_zh}
    return entries


def _lines(alarm: dict[str, Any], lang: Lang) -> list[str]:
    lines = [f"{alarm.get('alarm')} {alarm['about']}, since {alarm.get('since')}"]
    for name, text, do in (("zh", alarm["text_zh"], alarm["do_zh"]), ("en", alarm["text"], alarm["do"])):
        if lang in (name, "both"):
            lines += [f"    {text}", f"    → {do}"]
    return lines


def _print_all(lang: Lang, as_runbook: bool, as_json: bool) -> None:
    from edged.core.model.losses import LOSSES
    from edged.core.people.alarms import TEXT
    from edged.explain.alarm_words import alarm_words, runbook

    if as_runbook:
        if lang == "both":
            raise typer.BadParameter("a runbook has one language: zh or en", param_hint="--lang")
        typer.echo(runbook(lang), nl=False)
        return
    kinds = {kind: alarm_words(kind) for kind in TEXT}
    if as_json:
        tables = {"alarms": kinds, "reasons": LOSSES}
        typer.echo(
            json.dumps(
                {
                    name: {word: dict(zip(WORDS, one, strict=True)) for word, one in table.items()}
                    for name, table in tables.items()
                },
                ensure_ascii=False,
                indent=2,
            )
        )
        return
    for title, table in (("alarms 告警", kinds), ("why a device is lost 设备失联的原因", LOSSES)):
        typer.echo(title)
        for word, words in table.items():
            typer.echo(f"  {word}")
            if lang != "en":
                typer.echo(f"    {words.zh}\n    → {words.do_zh}")
            if lang != "zh":
                typer.echo(f"    {words.en}\n    → {words.do_en}")
