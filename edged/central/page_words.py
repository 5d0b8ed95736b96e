"""Words of the pages that the hall itself has none for: what to do about an alarm, a rule, a limit, a device's name."""

from __future__ import annotations

from collections.abc import Iterator

from edged.core.model.point import Point, device_of
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.explain.sentences import duration

Pair = tuple[str, str]

WHAT_TO_DO: dict[str, Pair] = {
    "device-fault": ("请到设备处查看：缺纸、卡纸或断电", "look at the device: paper, jam or power"),
    "inputs-missed": ("请核对最近的号票与取号机", "compare the last tickets with the dispenser"),
    "paper-in-doubt": (
        "请到取号机，为持此号的人重新取号",
        "see whoever holds that number, and give a new one",
    ),
    "nobody-gets-a-number": (
        "请到取号机处理，必要时人工发号",
        "see the visitors there; give numbers by hand if need be",
    ),
    "device-unreadable": ("请联系设备厂家，附上日志", "call the maker of the device, with the log"),
    "queue-system-unfit": (
        "请核对排队系统与 hall.toml 的窗口、业务编号",
        "compare its windows with hall.toml",
    ),
    "clock-wrong": (
        "请校准控制器时钟（检查网络授时）",
        "set the controller's clock, look at its time server",
    ),
    "device-twice": ("请改掉其中一台设备的编号", "give one of the two devices another id"),
    "pause-too-long": ("请到窗口了解情况，恢复服务或换人", "go to the window: resume, or send somebody"),
    "window-unmanned": ("请派人到窗口，或关闭该窗口", "send somebody to the window, or close it"),
    "area-unserved": ("请开放一个窗口，或派人到岗", "open a window, or send somebody"),
    "no-staff": ("请另派人员到闪灯的窗口，或人工开放其他窗口", "send somebody else, or open another window"),
    "bad-rating": ("请联系办事人了解情况并回访", "look after the visitor"),
    "case-unanswered": ("请到办不成事窗口响应", "answer at the case window"),
    "case-overdue": ("请催办，或说明不可办的理由", "press for it, or explain why it cannot be done"),
    "cases-full": ("请先办结已登记的事项", "close cases that are done"),
    "left-waiting": ("请安排人员办完，或请办事人改日再来", "have them served, or ask them to come again"),
    "calendar-missing": ("请上级下发节假日安排", "ask the centre for the holidays"),
    "tickets-missing": ("请检查取号机是否出票", "look whether the dispensers print"),
    "counter-suspect": ("请检查客流计数器的安装与方向", "look at the people counter"),
    "commissioner-unanswered": ("请亲自到窗口，或另派帮办", "go there, or send somebody"),
    "guide-unanswered": ("请亲自疏导，或另派导办", "go there, or send somebody"),
    "policy-harmful": ("已自动恢复；请告知策略发布人", "the last one is back; tell whoever pushed it"),
    "safe-mode": (
        "取号叫号照常，潮汐窗口暂停；请联系技术支持",
        "calling goes on without a tide; call support",
    ),
    "config-refused": ("请运行 edged check 并改正", "run edged check and correct the file"),
    "config-waiting": ("请在下班后重启控制器", "restart the controller after hours"),
    "file-refused": ("请改正该文件", "correct that file"),
    "certificate-ends": ("请更换证书", "renew the certificate"),
    "client-id-taken": ("请找出并停用另一个客户端", "find the other client and stop it"),
    "ack-ahead": ("请联系上级平台", "call the centre"),
    "broker-refuses": ("请核对消息服务器的访问列表", "look at the broker's access list"),
    "not-kept": ("请勿断电；清理或更换磁盘", "do not switch off; free or replace the disk"),
    "journal-renewed": ("请核对正在等候的号票", "compare the tickets of whoever waits"),
    "promise-overdue": ("请联系办事人补交材料", "ask for the papers"),
    "print-failed": ("请在窗口补打，或到取号机查看", "print again at the window, or look at the dispenser"),
}
DUTY: Pair = ("值班长", "Duty manager")
_RULES: dict[str, Pair] = {
    "pw": (
        "新来者预计等候满{open}启用一个潮汐窗口；少一个窗口仍不超过{close}时收窗",
        'a "+1" window opens at a predicted wait of {open}, and goes where one fewer would mean {close} at most',
    ),
    "pwf": (
        "按预计来客提前估算：预计等候满{open}启用，少一个窗口不超过{close}时收窗",
        "looks ahead with expected arrivals: opens at {open}, goes where one fewer would mean {close} at most",
    ),
    "band": (
        "等候超过{above}人启用（每多一个窗口再加{step}人），降到{at}人收窗",
        'a "+1" window opens above {above} waiting ({step} more for each that is open), and goes at {at}',
    ),
    "schedule": ("按日历安排启用潮汐窗口", "windows open as the calendar says"),
    "always": ("始终启用全部潮汐窗口", 'all "+1" windows stand open'),
    "never": ("不启用潮汐窗口", 'no "+1" windows'),
}


def rule_in_words(policy: Policy) -> Pair:
    """The rule in force, as a manager reads it."""
    tidal = policy.tidal
    rule: str = tidal.rule if tidal.enabled else "never"
    zh, en = _RULES[rule]

    def filled(text: str, place: int) -> str:
        return text.format(
            open=duration(tidal.pw.open_wait_s, place),
            close=duration(tidal.pw.close_wait_s, place),
            above=tidal.band.open_above,
            step=tidal.band.open_step,
            at=tidal.band.close_at,
        )

    return filled(zh, 0), filled(en, 1)


def limit_in_words(policy: Policy, area: str) -> tuple[int | None, Pair]:
    """The limit at which an area asks for one more: seconds where it is a wait, and in words."""
    tidal = policy.tidal
    if not tidal.enabled or tidal.rule == "never":
        return None, _RULES["never"]
    if tidal.rule == "band":
        above = tidal.areas.get(area, tidal.band).open_above
        return None, (f"等候超过{above}人启用", f"opens above {above} waiting")
    if tidal.rule in ("schedule", "always"):
        return None, _RULES[tidal.rule]
    limit_s = tidal.pw_areas.get(area, tidal.pw).open_wait_s
    words = f"预计等候满{duration(limit_s, 0)}启用", f"opens at a predicted wait of {duration(limit_s, 1)}"
    return limit_s, words


def devices_in_words(site: Site, devices: tuple[str, ...]) -> dict[str, Pair]:
    """What people call each device: by the windows, areas and people it is for; its id where nobody knows."""
    found: dict[str, list[Pair]] = {device: [] for device in devices}
    for point, words in _uses(site):
        known = found.get(device_of(point))
        if known is not None and words not in known:
            known.append(words)
    return {device: _joined(device, uses) for device, uses in found.items()}


def _joined(device: str, uses: list[Pair]) -> Pair:
    if not uses:
        return device, device
    more = len(uses) - 1
    zh, en = uses[0]
    return (f"{zh}等{more + 1}处", f"{en} and {more} more") if more else (zh, en)


def _uses(site: Site) -> Iterator[tuple[Point, Pair]]:
    for window in site.windows:
        number = window.number
        for point, words in (
            (window.panel, (f"{number}号窗口呼叫器", f"Panel of window {number}")),
            (window.display, (f"{number}号窗口屏", f"LED of window {number}")),
            (window.lamp, (f"{number}号窗口灯", f"Lamp of window {number}")),
            (window.evaluator, (f"{number}号窗口评价器", f"Evaluator of window {number}")),
        ):
            if point is not None:
                yield point, words
    for area in site.areas:
        for point in area.displays:
            yield point, (f"{area.name}屏", f"Screen of {area.name_en}")
        for point in area.lamps:
            yield point, (f"{area.name}灯", f"Lamp of {area.name_en}")
        if area.voice is not None:
            yield area.voice, (f"{area.name}广播", f"Loudspeaker of {area.name_en}")
    for member in site.staff:
        if member.pager is not None:
            yield member.pager, (f"{member.name}的寻呼器", f"Pager of {member.name}")
    for point in (site.duty_pager, site.duty_panel, *site.duty_displays):
        if point is not None:
            yield point, (f"{DUTY[0]}设备", "Duty manager's device")
    for point in site.displays:
        yield point, ("大厅屏", "Screen of the hall")
    for place, point in enumerate(site.dispensers, 1):
        yield point, (f"{place}号取号机", f"Ticket dispenser {place}")
