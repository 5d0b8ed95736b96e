"""``edged cases``: the open cases (办不成事) of a running hall, read from a message retained at its broker. It sends
nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edged.cli.hall_names import HallNames, padded
from edged.cli.target import fail, find_or_exit

STATES = {"OPEN": "待响应", "ACKNOWLEDGED": "办理中"}
RATIOS = (
    ("response_ratio", "answered in time 响应"),
    ("on_time_ratio", "done in time 可办按时办结"),
    ("explained_ratio", "explained in time 不可办按时答复"),
    ("satisfied_ratio", "satisfied 满意"),
)


def cases(
    broker: Annotated[str | None, typer.Option(help="mqtt://[USER@]HOST:PORT of the broker.")] = None,
    hall: Annotated[str | None, typer.Option("--hall", help="Id of the hall; with --broker.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="hall.toml: id and broker.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the hall's message as one JSON object.")
    ] = False,
) -> None:
    """List the open cases (办不成事) of a running hall, overdue ones marked, and print the shares of all its cases that
    were answered in time, done or explained in time, and rated satisfied.

    \b
    Exit codes: 0 no case waits or is late, 1 one does, or the hall is not reachable, 2 wrong usage.
    Example:    edged cases --config /etc/edged/hall.toml
    """
    from edged.central import topics
    from edged.cli.exchange import NoAnswer, conversation
    from edged.cli.status import QUIET_S, RETAINED_S

    target = find_or_exit(broker, hall, config)
    summary: dict[str, Any] = {}
    names: dict[str, Any] = {}
    named = topics.page(target.hall, "names")
    try:
        with conversation(target, [topics.cases_state(target.hall), named]) as talk:
            for message in talk.receive(RETAINED_S, QUIET_S):
                if message.topic == named:
                    names = message.body
                else:
                    summary = message.body or summary
    except NoAnswer as error:
        raise fail(str(error)) from None
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        _print_case(target.hall, summary, HallNames(names))
    raise typer.Exit(1 if summary.get("waiting") or summary.get("overdue") else 0)


def _print_case(hall: str, summary: dict[str, Any], names: HallNames) -> None:
    if not summary:
        typer.echo(f"hall {hall}: no case was ever opened 尚无反映")
        return
    waiting, in_hand, overdue = (summary.get(key, 0) for key in ("waiting", "in_hand", "overdue"))
    typer.echo(f"hall {hall}: {waiting} wait 待响应，{in_hand} in hand 办理中，{overdue} overdue 超期")
    figures = [f"{text} {_percent(summary.get(key))}" for key, text in RATIOS]
    typer.echo(f"  {', '.join(figures)}")
    if summary.get("cases"):
        typer.echo(
            f"\n{padded('case 编号', 18)}{padded('state 状态', 22)}{padded('due 到期', 14)}{padded('area 专区', 22)}"
            f"{padded('why 原因', 14)}opened 登记"
        )
    for case in summary.get("cases", ()):
        state = f"{case['state']} {STATES.get(case['state'], '')}"
        marks = (" !" if case["overdue"] else "") + (" special 特殊" if case["special"] else "")
        typer.echo(
            f"{padded(case['case'], 18)}{padded(state, 22)}{padded(case['due'] or '-', 14)}"
            f"{padded(names.area(case['area'] or '-'), 22)}{padded(case['code'], 14)}"
            f"{case['opened']}{marks}"
        )
    hidden = waiting + in_hand - len(summary.get("cases", ()))
    if hidden > 0:
        typer.echo(f"  and {hidden} newer ones")


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"
