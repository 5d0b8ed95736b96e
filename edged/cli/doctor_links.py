"""Checks every device of the hall: through the running daemon, or directly if no daemon has the ports open.

Rules: a wired device is asked by its own driver, which only makes contact and reads; no lamp is switched. For devices
at the broker, the check reads their retained messages, listens for new ones, and compares any time in them with ours.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from edged.cli import doctor_clocks
from edged.cli.doctor_checks import CheckResult, ill, unknown, well
from edged.config import DeviceConfig, HallConfig
from edged.core.model.losses import LOSSES, known

if TYPE_CHECKING:
    from edged.cli.exchange import ReceivedMessage

    Stamped = tuple[float, ReceivedMessage]  # arrival in seconds of our clock, and the payload

PROBE_S = 10.0  # long enough for a module at 9600 baud whose driver pauses between tries
SETTLE_S = 3.0  # wait after a loss, because a better reason may follow
LISTEN_S = 5.0  # retained states arrive at once; devices that report each minute may be missed
CHANGES_MAX = 100  # changes recorded of a device that comes and goes while it is asked
ZH = "，"  # the comma in Chinese sentences
HEALTH_BYTES_MAX = 256 * 1024
NEVER_ANSWER = frozenset({"candle485", "ff68"})  # drivers of panels that only speak when a key is pressed
SENDS = {"milesight_mqtt": 60}  # drivers whose devices send by themselves, and how often at most, in seconds
# drivers whose devices may send a time; our own JSON devices never do
REPORT_TIME = ("milesight_mqtt", "mqtt_map")


def check_links(hall: HallConfig, listen_s: float | None = None) -> dict[str, CheckResult]:
    """Check every device; returns the results by name: "daemon", and "device ID" for each device. The text of a
    device's result begins with the window or area that it serves.

    ``listen_s``: seconds to listen at the broker; None: ``LISTEN_S``.
    """
    from edged.central.page_words import devices_in_words

    results = _links(hall, LISTEN_S if listen_s is None else listen_s)
    for device, (zh, en) in devices_in_words(hall.site, tuple(device.id for device in hall.devices)).items():
        result = results.get(f"device {device}")
        if result is not None and zh != device:
            results[f"device {device}"] = result._replace(
                chinese=f"{zh}：{result.chinese}", english=f"{en}: {result.english}"
            )
    return results


def _links(hall: HallConfig, listen_s: float) -> dict[str, CheckResult]:
    health = running_health(hall)
    if health is not None:
        seen = {f"device {device.id}": _as_seen(device, health) for device in hall.devices}
        time_senders = [device for device in hall.devices if device.driver in REPORT_TIME]
        return {"daemon": _daemon(health)} | seen | _clocks(hall, time_senders, seen, listen_s)
    results = {
        "daemon": unknown("服务未运行，以下由本命令直接检测", "the daemon does not run: asked directly")
    }
    at_broker = [device for device in hall.devices if device.options.topics(hall.hall, device.id)[0]]
    wired = [device for device in hall.devices if device not in at_broker]
    results |= asyncio.run(_ask_all(hall, wired)) if wired else {}
    results |= _listen(hall, at_broker, listen_s) if at_broker else {}
    return results


def running_health(hall: HallConfig) -> dict[str, Any] | None:
    """The daemon's /healthz as JSON; None if no daemon answers."""
    import http.client

    connection = http.client.HTTPConnection(hall.web.host, hall.web.port, timeout=2.0)
    try:
        connection.request("GET", "/healthz")
        health = json.loads(connection.getresponse().read(HEALTH_BYTES_MAX))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return health if isinstance(health, dict) and health.get("epoch") is not None else None


def _daemon(health: dict[str, Any]) -> CheckResult:
    wrong: list[tuple[str, str]] = []
    if not health.get("serving"):
        wrong.append(("尚未开始服务", "it does not serve yet"))
    if not health.get("durable"):
        why = next((text for name, text in (health.get("concerns") or {}).items() if "not-kept" in name), "")
        wrong.append((f"数据未写入磁盘 {why}", f"nothing is kept {why}"))
    if not health.get("mqtt_connected"):
        why = health.get("mqtt_reason") or ""
        wrong.append((f"消息服务器未连接 {why}", f"it has no link to the broker: {why}"))
    mistakes = health.get("config_mistakes") or ()
    if mistakes:
        wrong.append((f"配置未生效：{mistakes[0]}", f"hall.toml is refused: {mistakes[0]}"))
    if wrong:
        return ill("；".join(zh for zh, _ in wrong), "; ".join(en for _, en in wrong))
    seconds = int(health.get("uptime_s") or 0)
    return well(f"服务正常，已运行 {seconds} 秒", f"serves, for {seconds} s")


def _as_seen(device: DeviceConfig, health: dict[str, Any]) -> CheckResult:
    """The result for one device as the daemon reports it."""
    if device.id not in (health.get("devices_lost") or ()):
        return well(f"在线{place_of(device, ZH)}", f"is there{place_of(device)}")
    why = (health.get("losses") or {}).get(device.id) or {}
    return _lost(device, str(why.get("reason")), str(why.get("detail") or ""))


def _lost(device: DeviceConfig, reason: str, detail: str) -> CheckResult:
    words = LOSSES[known(reason)]
    more = f" ({detail})" if detail else ""
    zh, en = f"{words.zh}{place_of(device, ZH)}{more}", f"{words.en}{place_of(device)}{more}"
    return ill(zh, en, words.do_zh, words.do_en)


def place_of(device: DeviceConfig, comma: str = ", ") -> str:
    """Where hall.toml says that the device is connected: ``comma``, then the line and the unit number; "" for a device
    at the broker.
    """
    options: Any = device.options
    lines = [str(getattr(options, name)) for name in ("url", "path", "host") if getattr(options, name, None)]
    unit = getattr(options, "unit", None)
    return "".join([f"{comma}{', '.join(lines)}" if lines else "", "" if unit is None else f" unit {unit}"])


async def _ask_all(hall: HallConfig, devices: list[DeviceConfig]) -> dict[str, CheckResult]:
    """Check all wired devices at the same time, each by its own driver; the results by "device ID"."""
    results = await asyncio.gather(*(_ask(hall, device) for device in devices))
    return {f"device {device.id}": result for device, result in zip(devices, results, strict=True)}


async def _ask(hall: HallConfig, device: DeviceConfig) -> CheckResult:
    from edged.clock import monotonic_s
    from edged.core.model.events import DeviceBack, DeviceLost, Event, HealthRead
    from edged.daemon.devices import build
    from edged.driver import DeviceContext

    faults: dict[str, str] = {}  # at most one per lamp
    changes: asyncio.Queue[DeviceBack | DeviceLost] = asyncio.Queue(maxsize=CHANGES_MAX)

    def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
        if isinstance(event, DeviceBack | DeviceLost) and not changes.full():
            changes.put_nowait(event)
        elif isinstance(event, HealthRead) and event.fault is not None:
            faults[event.point] = event.fault
        return True

    context = DeviceContext(
        device.id, hall.hall, emit, lambda reason, detail="": None, asyncio.sleep, monotonic_s, None
    )
    last: DeviceBack | DeviceLost | None = None
    try:
        driver = build(device, context)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(driver.run())
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    while not isinstance(last, DeviceBack):
                        async with asyncio.timeout(PROBE_S if last is None else SETTLE_S):
                            last = await changes.get()
            running.cancel()
    except Exception as error:  # noqa: BLE001 - whatever a driver does, the other devices are wanted
        return ill(f"无法使用：{error}", f"cannot be used: {error}")
    if isinstance(last, DeviceBack) and faults:
        text = "; ".join(f"{point}: {fault}" for point, fault in faults.items())
        return ill(
            f"有应答但有故障{place_of(device, ZH)}：{text}", f"answers with a fault{place_of(device)}: {text}"
        )
    if isinstance(last, DeviceBack):
        return _answered(device)
    if isinstance(last, DeviceLost):
        return _lost(device, last.reason, last.detail)
    return unknown(
        f"未开灯无法检测{place_of(device, ZH)}", f"cannot be asked without switching a lamp{place_of(device)}"
    )


def _answered(device: DeviceConfig) -> CheckResult:
    if device.driver in NEVER_ANSWER:
        return well(
            f"总线可打开{place_of(device, ZH)}；请逐个按呼叫器确认",
            f"the bus opens{place_of(device)}; panels never answer: press a key on each",
        )
    return well(f"应答正常{place_of(device, ZH)}", f"answers{place_of(device)}")


def _listen(hall: HallConfig, devices: list[DeviceConfig], listen_s: float) -> dict[str, CheckResult]:
    """By check name ("device ID"), the results for devices at the broker: from their retained messages and those that
    arrive within ``listen_s`` seconds.
    """
    from edged.cli.exchange import NoAnswer
    from edged.config import ConfigErrors

    try:
        received = _receive(hall, devices, listen_s)
    except (NoAnswer, ConfigErrors) as error:
        words = LOSSES["broker"]
        return {
            f"device {device.id}": ill(words.zh, f"{words.en}: {error}", words.do_zh, words.do_en)
            for device in devices
        }
    results = {}
    for device in devices:
        messages = [message for _, message in received[device.id]]
        results[f"device {device.id}"] = _with_clock(
            hall, device, _by_messages(device, messages, listen_s), received[device.id]
        )
    return results


def _receive(hall: HallConfig, devices: list[DeviceConfig], listen_s: float) -> dict[str, list[Stamped]]:
    """Listen at the broker for ``listen_s``; each device's messages by its id. Raises ``NoAnswer`` or ``ConfigErrors``
    if the broker cannot be read.
    """
    from aiomqtt import Topic

    from edged.cli.exchange import conversation
    from edged.cli.target import from_config
    from edged.clock import wall_ms

    topics = {device.id: device.options.topics(hall.hall, device.id)[0] for device in devices}
    every = sorted({one for listed in topics.values() for one in listed})
    with conversation(from_config(hall.file), every) as talk:
        received = [(wall_ms() / 1000, message) for message in talk.receive(listen_s)]
    return {
        name: [
            stamped for stamped in received if any(Topic(stamped[1].topic).matches(topic) for topic in listed)
        ]
        for name, listed in topics.items()
    }


def _clocks(
    hall: HallConfig, time_senders: list[DeviceConfig], seen: dict[str, CheckResult], listen_s: float
) -> dict[str, CheckResult]:
    """Check the clocks of the devices ``time_senders``, whose messages may carry a time; returns their results by
    "device ID". Empty if the broker cannot be read.

    ``seen``: their results so far, each of which is completed or replaced as by ``_with_clock``.
    """
    from edged.cli.exchange import NoAnswer
    from edged.config import ConfigErrors

    try:
        received = _receive(hall, time_senders, listen_s) if time_senders else {}
    except (NoAnswer, ConfigErrors):  # already reported for the daemon, or by the broker check
        return {}
    return {
        f"device {device.id}": _with_clock(hall, device, seen[f"device {device.id}"], received[device.id])
        for device in time_senders
    }


def _with_clock(
    hall: HallConfig, device: DeviceConfig, result: CheckResult, received: list[Stamped]
) -> CheckResult:
    """``result`` completed by a check of the device's clock: a fault if the last message in ``received`` that has a
    time, and is not a retained one, shows a wrong clock. Unchanged if no such message came, or if ``result`` is not
    "well".
    """
    zone = ZoneInfo(hall.timezone)
    stamps = [
        (when, at_s)
        for at_s, message in received
        if not message.retain and (when := doctor_clocks.message_time_s(message.payload, zone)) is not None
    ]
    if result.state != "well" or not stamps:
        return result
    off_s = stamps[-1][0] - stamps[-1][1]
    if abs(off_s) <= doctor_clocks.OFF_MAX_S:
        return well(f"{result.chinese}；时钟与本机一致", f"{result.english}; its clock agrees with ours")
    zh, en = doctor_clocks.clock_error_words(off_s)
    return ill(f"{zh}{place_of(device, ZH)}", f"{en}{place_of(device)}", *doctor_clocks.remedy(off_s))


def _by_messages(device: DeviceConfig, received: list[Any], listen_s: float) -> CheckResult:
    fresh = [message for message in received if not message.retain]
    left = next((message for message in received if message.topic.endswith("/up/status")), None)
    offline = left is not None and b'"offline"' in left.payload
    if fresh and not (len(fresh) == 1 and fresh[0] is left and offline):
        return well(
            f"{listen_s:.0f} 秒内收到 {len(fresh)} 条消息", f"{len(fresh)} messages within {listen_s:.0f} s"
        )
    if offline:
        return _lost(device, "offline", "")
    if left is not None:
        return well("在消息服务器上的状态为在线", "its state at the broker is online")
    if device.driver in SENDS:
        return unknown(
            f"{listen_s:.0f} 秒内没有上报；若一分钟后仍无，检查主题与服务器地址",
            f"no report within {listen_s:.0f} s; if none comes within a minute, check topic and broker address",
        )
    return unknown("消息服务器上没有它的消息", "it has never left a word at this broker")
