"""``edged status``: a running hall at a glance, read from its retained messages and its health page. It sends
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from edged.cli.hall_names import HallNames, padded
from edged.cli.json_object import json_object
from edged.cli.target import Target, fail, find_or_exit

RETAINED_S = 1.5  # retained messages arrive within ms of subscribing; a slow line gets this long
QUIET_S = 0.3  # nothing new for this long: all have arrived
MISTAKES_SHOWN = 10
HEALTH_S = 2.0
HEALTH_BYTES_MAX = 64 * 1024

STATES = {
    "CLOSED": "关闭",
    "OPEN": "空闲",
    "CALLING": "叫号",
    "SERVING": "办理",
    "PAUSED": "暂停",
    "STANDBY": "待命",
    "ACTIVATING": "启用中",
    "CONSULTING": "咨询中",
    "INVITED": "待确认启用",
    "DRAINING": "收窗",
    "COOLDOWN": "休整",
}


def status(
    broker: Annotated[str | None, typer.Option(help="mqtt://[USER@]HOST:PORT of the broker.")] = None,
    hall: Annotated[str | None, typer.Option("--hall", help="Id of the hall; with --broker.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="hall.toml: id, broker, pages.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show a running hall: its areas, windows, policy and health. Without options it asks the demo that runs on this
    machine, else this machine's own hall.

    \b
    Exit codes: 0 online and well, 1 degraded, offline or not reachable, 2 wrong usage.
    Example:    edged status --config /etc/edged/hall.toml
    """
    from edged.cli.exchange import NoAnswer

    target = find_or_exit(broker, hall, config)
    try:
        retained = left_at_broker(target)
    except NoAnswer as error:
        raise fail(str(error)) from None
    retained["health"] = _health(target)
    if as_json:
        typer.echo(json.dumps(retained, ensure_ascii=False, indent=2))
    else:
        _print_all(target, retained)
    raise typer.Exit(0 if _well(retained) else 1)


def left_at_broker(target: Target) -> dict[str, Any]:
    """The messages that the hall retains at the broker, by kind ("status", "policy", "alarms" …); None for a kind of
    which there is none. "areas" and "windows" are mappings by id. Raises ``NoAnswer`` if the broker does not answer.
    """
    from edged.central import topics
    from edged.cli.exchange import conversation

    found: dict[str, Any] = {
        **dict.fromkeys(("status", "policy", "keys", "alarms", "names", "about")),
        "areas": {},
        "windows": {},
    }
    wanted = [
        topics.status(target.hall),
        topics.policy_report(target.hall),
        topics.area_state(target.hall, "+"),
        topics.window_state(target.hall, "+"),
        topics.alarms_state(target.hall),
        topics.page(target.hall, "names"),
        topics.page(target.hall, "alarms"),
        topics.keys_report(target.hall),
    ]
    with conversation(target, wanted) as talk:
        for message in talk.receive(RETAINED_S, QUIET_S):
            body = message.body
            name = message.topic.rpartition("/")[2]
            if message.topic == wanted[0]:
                found["status"] = body
            elif message.topic == wanted[1]:
                found["policy"] = body
            elif message.topic == wanted[4]:
                found["alarms"] = body
            elif message.topic == wanted[5]:
                found["names"] = body
            elif message.topic == wanted[6]:
                found["about"] = body
            elif message.topic == wanted[7]:
                found["keys"] = body
            elif "/state/area/" in message.topic:
                found["areas"][name] = body
            elif "/state/window/" in message.topic:
                found["windows"][name] = body
    return found


def _health(target: Target) -> dict[str, Any] | None:
    """The health page as JSON; None if its address is unknown or nobody answers."""
    import http.client
    from urllib.parse import urlsplit

    if target.web is None:
        return None
    parts = urlsplit(target.web)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=HEALTH_S)
    try:
        connection.request("GET", "/healthz")
        return json_object(connection.getresponse().read(HEALTH_BYTES_MAX))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _well(retained: dict[str, Any]) -> bool:
    status = retained["status"]
    health = retained["health"]
    return (
        bool(status)
        and status.get("state") == "online"
        and (not health or health.get("state") in (None, "ok"))
    )


def _print_all(target: Target, retained: dict[str, Any]) -> None:
    status, policy, health = (retained[kind] or {} for kind in ("status", "policy", "health"))
    names = HallNames(retained["names"] or {}, retained["about"])
    stopped = target.web is not None and not health and status.get("state") != "online"
    note = ", not running on this machine 本机服务未运行" if stopped else ""
    typer.echo(
        f"hall {target.hall} at {target.host}:{target.port}: {status.get('state', 'never seen')}{note}"
    )
    if health:
        lost = ", ".join(names.device(one) for one in health.get("devices_lost") or ()) or "none"
        typer.echo(f"  health {health.get('state')}, durable {health.get('durable')}, devices lost: {lost}")
        _print_lost(health.get("losses") or {}, names)
    mistakes = health.get("config_mistakes") or ()
    if mistakes:
        typer.echo(
            f"  hall.toml is refused, the last accepted one serves 配置有误，沿用上次有效配置（{len(mistakes)}）："
        )
        for line in mistakes[:MISTAKES_SHOWN]:
            typer.echo(f"    {line}")
    applied = policy.get("applied") or {}
    if policy:
        typer.echo(f"  policy version {applied.get('version')}, last push: {policy.get('state')}")
    listed = (retained.get("keys") or {}).get("applied") or {}
    if listed.get("version"):
        typer.echo(
            f"  key list version {listed['version']}, until {retained['keys'].get('expires')} 密钥清单"
        )
    _print_alarms(retained["alarms"] or {}, names)
    _print_parts(retained, names)


def _print_parts(retained: dict[str, Any], names: HallNames) -> None:
    if retained["areas"]:
        typer.echo(
            f"\n{padded('area 专区', 26)}{'waiting 等候':>12}{'open 开放':>10}{'+1 潮汐':>9}{'asked 待到岗':>10}"
            "  oldest since 最早取号"
        )
    for name, area in sorted(retained["areas"].items()):
        typer.echo(
            f"{padded(names.area(name), 26)}{area.get('waiting', '?'):>14}{area.get('open_windows', '?'):>12}"
            f"{area.get('tidal_windows', '?'):>10}{area.get('asked_windows', '?'):>12}"
            f"  {area.get('oldest_since') or '-'}"
        )
    if retained["windows"]:
        typer.echo(
            f"\n{padded('window 窗口', 16)}{padded('state 状态', 24)}{padded('number 号', 11)}tidal 潮汐"
        )
    for name, window in sorted(retained["windows"].items(), key=lambda pair: names.sort_key(pair[0])):
        state = str(window.get("state", "?"))
        state = f"{state} {STATES.get(state, '')}" + (" 失联 stale" if window.get("stale") else "")
        tidal = " ".join(_tide_of(window, names))
        number = window.get("number") or "-"
        typer.echo(f"{padded(names.window(name), 16)}{padded(state, 24)}{number:<11}{tidal}".rstrip())


def _tide_of(window: dict[str, Any], names: HallNames) -> Iterator[str]:
    """Yield what ``edged status`` adds to the line of a tidal window: the area that it serves as a "+1" window, why it
    was opened, and its manual override.
    """
    if window.get("tidal_area"):
        yield names.area(str(window["tidal_area"]))
    yield from (str(window[key]) for key in ("tidal_reason_zh", "tidal_reason") if window.get(key))
    by_hand = str(window.get("override") or "")
    if by_hand:
        from edged.core.people.answers import OVERRIDES  # 80 ms that --help does without

        yield " ".join((*OVERRIDES.get(by_hand, ("",))[:1], by_hand)).strip()


def _print_lost(losses: dict[str, Any], names: HallNames) -> None:
    for device, why in losses.items():
        text = ": ".join(filter(None, (why["reason"], why["detail"])))
        because = f"since {why['since']} ({text})"
        typer.echo(f"    {names.device(device)}: {why['zh']} {why['en']}, {because}")
        typer.echo(f"      → {why['do_zh']}; {why['do_en']}")


def _print_alarms(alarms: dict[str, Any], names: HallNames) -> None:
    from edged.explain.alarm_words import alarm_words  # the core's vocabulary: 80 ms that --help does without

    for one in alarms.get("standing") or ():
        words = alarm_words(str(one.get("alarm")), str(one.get("reason") or ""))
        about = names.subject(str(one.get("subject")))
        typer.echo(f"  ALARM {about}: {words.zh} {words.en}, since {one.get('since')}")
