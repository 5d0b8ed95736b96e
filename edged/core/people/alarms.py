"""Alarms: what needs a person now. Raised once, with a reason and a time, and cleared when the cause is gone.

An alarm is a ``kind`` (a short fixed word, also a metric label) about a ``subject`` (an id). Raising an alarm that is
in force, or clearing one that is not, changes nothing. A subject must be an id of the hall or of a case, never text
from a message, because that bounds the number of alarms. ``TEXT`` says what each kind means, ``DO`` what to do about
it.
"""

from __future__ import annotations

from collections.abc import Container

from edged.core.model.state import Alarm
from edged.core.model.turn import Turn

TWINS = "device-twice"
LOST = "device-lost"
UNMANNED = "window-unmanned"
TEXT: dict[str, tuple[str, str]] = {
    "device-fault": ("设备故障", "device fault"),
    LOST: ("设备失联", "device lost"),
    "inputs-missed": ("设备消息丢失，请核对号票", "messages lost, check the tickets"),
    "paper-in-doubt": ("票号重复或业务未开通，请到取号机", "numbers in doubt, see the visitors there"),
    "nobody-gets-a-number": ("办事人无法取号，请到取号机", "visitors get no number, see them there"),
    "device-unreadable": ("设备消息无法识别", "messages of this device cannot be read"),
    "queue-system-unfit": ("排队系统发来未知的窗口或业务", "the queue system names what is not of this hall"),
    "clock-wrong": ("控制器时钟不正确，请校时", "the controller's clock is wrong, set it"),
    TWINS: ("两台设备使用同一编号", "two devices under one id"),
    "pause-too-long": ("暂停超时", "paused too long"),
    UNMANNED: ("空岗", "unmanned"),
    "area-unserved": ("有人等候但无窗口办理", "visitors wait, nobody serves"),
    "no-staff": ("暂无待命人员到岗", "nobody on standby comes"),
    "bad-rating": ("差评待回访", "bad rating to look after"),
    "case-unanswered": ("办不成事超时未响应", "case not answered in time"),
    "case-overdue": ("办不成事超期", "case overdue"),
    "cases-full": ("办不成事反映过多，无法登记", "too many open cases to take another"),
    "left-waiting": ("下班后仍有人持号未办理", "closed with visitors still waiting"),
    "calendar-missing": ("缺少节假日安排", "public holidays not known"),
    "tickets-missing": ("来人多取号少，请检查取号机", "people come, few tickets: check the dispensers"),
    "counter-suspect": ("客流计数异常", "people counter is not plausible"),
    "commissioner-unanswered": ("帮办无人应答", "no commissioner answers"),
    "guide-unanswered": ("导办无人应答", "no guide answers"),
    "policy-harmful": (
        "新策略使等候变差，恢复上一版",
        "a new policy made waits worse, the last good one returns",
    ),
    "safe-mode": ("控制器反复重启，已进入安全模式", "the controller kept restarting: safe mode"),
    "config-refused": (
        "配置文件有误，沿用上次有效配置",
        "hall.toml has mistakes, the last accepted one serves",
    ),
    "config-waiting": ("配置更改待重启后生效", "a change of hall.toml waits for a restart"),
    "file-refused": ("文件不可用，沿用原有内容", "a file cannot be used, what it held before serves"),
    "certificate-ends": ("证书即将到期或已到期", "a certificate ends soon or has ended"),
    "key-ends": (
        "签名密钥或密钥清单即将到期或已到期",
        "a signing key or the key list ends soon or has ended",
    ),
    "key-list-unsigned": (
        "密钥清单不是由现有根密钥签发，未生效",
        "no present root key has signed the kept key list",
    ),
    "policy-key-revoked": (
        "现行策略由已吊销的密钥签发",
        "the policy in force is signed with a revoked key",
    ),
    "client-id-taken": (
        "另有程序冒用控制器的连接身份",
        "another client connects to the broker with the controller's id",
    ),
    "ack-ahead": (
        "上级平台确认了尚未发送的事件",
        "events are acknowledged that were never sent",
    ),
    "broker-refuses": ("消息服务器拒绝收发该设备的消息", "the broker refuses this device's messages"),
    "not-kept": (
        "号票和叫号暂未写入磁盘，断电会丢失",
        "nothing is kept: a power cut now would lose tickets and calls",
    ),
    "journal-renewed": (
        "日志缺失，票号已跳过一段，请核对号票",
        "the journal is incomplete, numbers were skipped: check the tickets",
    ),
    "device-unknown": ("未登记的设备在发消息，请核对编号", "a device that hall.toml does not know speaks"),
    "decided-otherwise": (
        "升级后与升级前判断不一致，请核对此号票或窗口",
        "decided otherwise before the upgrade: check this ticket or window",
    ),
    "promise-overdue": ("容缺承诺到期未补交", "promised papers did not come in time"),
    "print-failed": ("取号机打印失败，可补打", "ticket not printed, print it again"),
}

# What to do about each kind; the runbook (configs/prometheus) has the same words.
DO: dict[str, tuple[str, str]] = {
    "device-fault": (
        "按 `edged status` 显示的原因检查该设备",
        "see `edged status` for the reason, then look at that device",
    ),
    LOST: (
        "按 `edged status` 显示的原因与办法处理：电源、接线、地址、串口",
        "`edged status` names the reason and the remedy: power, cable, address, port",
    ),
    "inputs-missed": ("请核对最近的号票与取号机", "compare the last tickets with the dispenser"),
    "paper-in-doubt": (
        "请到取号机，为持此号的人重新取号",
        "see whoever holds that number, and give a new one",
    ),
    "nobody-gets-a-number": (
        "请到取号机处理，必要时人工发号",
        "see the visitors there; give numbers by hand if need be",
    ),
    "device-unreadable": (
        "检查固件与设置，原因见 `edged status`",
        "look at its firmware and settings; `edged status` names the reason",
    ),
    "queue-system-unfit": ("核对其设置与 hall.toml", "compare its settings with hall.toml"),
    "clock-wrong": (
        "校时，检查主板电池与时间服务器",
        "set the clock of the machine, look at its battery and time server",
    ),
    TWINS: ("给其中一台单独的编号", "give one of them its own id"),
    "pause-too-long": ("请到窗口了解情况，恢复服务或换人", "go to the window: resume, or send somebody"),
    UNMANNED: ("请派人到窗口，或关闭该窗口", "send somebody to the window, or close it"),
    "area-unserved": ("请开放一个窗口，或派人到岗", "open a window, or send somebody"),
    "no-staff": ("请另派人员到闪灯的窗口，或人工开放其他窗口", "send somebody else, or open another window"),
    "bad-rating": (
        "请联系办事人了解情况并回访，再按“已回访”",
        'look after the visitor, then press "answer" on the duty panel',
    ),
    "case-unanswered": ("请到办不成事窗口响应", "answer at the case window"),
    "case-overdue": ("请催办，或说明不可办的理由", "press for it, or explain why it cannot be done"),
    "cases-full": ("请先办结已登记的事项", "close cases that are done"),
    "left-waiting": ("请安排人员办完，或请办事人改日再来", "have them served, or ask them to come again"),
    "calendar-missing": ("请上级下发节假日安排", "ask the centre for the holidays"),
    "tickets-missing": ("请检查取号机是否出票", "look whether the dispensers print"),
    "counter-suspect": ("请检查客流计数器的安装与方向", "look at the people counter"),
    "commissioner-unanswered": ("请亲自到窗口，或另派帮办", "go there, or send somebody"),
    "guide-unanswered": ("请亲自疏导，或另派导办", "go there, or send somebody"),
    "policy-harmful": (
        "已自动恢复；请告知策略发布人，查看试行报告",
        "the last one is back; tell whoever pushed it, read the trial's report",
    ),
    "safe-mode": (
        "取号叫号照常，潮汐窗口暂停；请联系技术支持，日志中有退出原因",
        "calling goes on without a tide; call support, the log says what ended it",
    ),
    "config-refused": ("`edged check` 逐条改正后重新加载", "mend what `edged check` names, then reload"),
    "config-waiting": ("闭厅后重启服务", "restart the service after hours"),
    "file-refused": ("按 `edged status` 的原因修复", "mend what `edged status` names"),
    "certificate-ends": ("更换证书并重新加载", "replace it and reload"),
    "key-ends": (
        "请上级下发期限更长的密钥清单",
        "ask the centre for a key list that lasts longer",
    ),
    "key-list-unsigned": (
        "核对 [policy] root 的根公钥；请上级用现有根密钥重新签发密钥清单",
        "are the root keys in [policy] root right? ask the centre for a list that one of them has signed",
    ),
    "policy-key-revoked": (
        "策略继续有效；请上级核对其内容，用有效密钥以更高版本号重新下发",
        "it stays in force; ask the centre to check it and to push a higher version signed with a good key",
    ),
    "client-id-taken": ("找出并停掉该程序，检查 ACL", "find and stop it, check the broker's list"),
    "ack-ahead": (
        "是否用旧备份恢复了日志库？还有谁在写 `events/ack`？",
        "was the journal restored from a copy? who else writes to `events/ack`?",
    ),
    "broker-refuses": ("检查 ACL 与主题", "check the broker's list and the topic"),
    "not-kept": (
        "清理磁盘或关闭数据库浏览器，`/healthz` 有原因",
        "make room, or close the database browser; `/healthz` says which",
    ),
    "journal-renewed": (
        "核对最近几分钟的号票，次日自动解除",
        "check the tickets of the last minutes; over with the next business day",
    ),
    "device-unknown": (
        "核对设备编号（一字不差）；新设备请写入 hall.toml",
        "is its id right, to the letter? else add it to hall.toml",
    ),
    "decided-otherwise": (
        "请到窗口核对正在办理的号票，必要时人工叫号或取消",
        "ask at the window who is there; call or cancel the number by hand",
    ),
    "promise-overdue": (
        "请联系办事人补交材料，补交后按 promise-kept 键",
        "ask for the papers, press promise-kept when they are there",
    ),
    "print-failed": ("请在窗口补打，或到取号机查看", "print again at the window, or look at the dispenser"),
}

NO_STAFF: dict[str, tuple[str, str]] = {  # texts of alarm "no-staff" by the answers of those who were paged
    "declined": ("被呼叫人员均已谢绝", "everybody asked has declined"),
    "silent": ("待命人员无人应答", "nobody on standby answers"),
    "not-come": TEXT["no-staff"],
}


def key(kind: str, subject: str) -> str:
    """The key in ``State.alarms`` of the alarm ``kind`` about ``subject``."""
    return f"{kind}/{subject}"


def is_raised(turn: Turn, kind: str, subject: str) -> bool:
    """Whether the alarm ``kind`` about ``subject`` is in force."""
    return key(kind, subject) in turn.state.alarms


def sound(turn: Turn, kind: str, subject: str, **data: str | int | float | None) -> bool:
    """Raise the alarm ``kind`` about ``subject``, with ``data`` for the note. Returns False if it is in force
    already.
    """
    name = key(kind, subject)
    if name in turn.state.alarms:
        return False
    turn.state.alarms[name] = Alarm(kind, subject, turn.at_ms)
    turn.alarmed = True
    turn.note("alarm.raised", subject, alarm=kind, **data)
    return True


def clear(turn: Turn, kind: str, subject: str, **data: str | int | float | None) -> bool:
    """Clear an alarm; False if it was not in force."""
    alarm = turn.state.alarms.pop(key(kind, subject), None)
    if alarm is None:
        return False
    turn.alarmed = True
    turn.note("alarm.cleared", subject, alarm=kind, stood_s=turn.seconds_since(alarm.since_ms), **data)
    return True


def accept(turn: Turn, name: str, by: str) -> bool:
    """Record that ``by`` takes care of the alarm whose key in ``State.alarms`` is ``name``. False if it is not in
    force, or if somebody already takes care of it.
    """
    alarm = turn.state.alarms.get(name)
    if alarm is None or alarm.accepted_by is not None:
        return False
    alarm.accepted_by, alarm.accepted_ms = by, turn.at_ms
    turn.alarmed = True
    turn.note("alarm.accepted", alarm.subject, alarm=alarm.kind, by=by)
    return True


def forget_missing(turn: Turn, subjects: Container[str], kinds: Container[str]) -> None:
    """Clear the alarms of these kinds whose subject is not in ``subjects`` any more, because the configuration has
    changed.
    """
    for alarm in list(turn.state.alarms.values()):
        if alarm.kind in kinds and alarm.subject not in subjects:
            clear(turn, alarm.kind, alarm.subject, reason="configuration changed")
