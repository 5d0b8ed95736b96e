"""The sentence that answers a key or an order of the city: accepted, or refused and why.

A handler records in a note what it did, or why it did nothing; here that note becomes a sentence in Chinese and
English. ``REFUSED`` has a sentence for each reason. ``ACCEPTED`` has one for each effect that the call panel does not
show anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edged.core.model.commands import Note
from edged.core.model.lookup import Lookup

Pair = tuple[str, str]
SILENT = ("double_press", "duplicate")  # no answer: that to the first press stays
RECEIVED: Pair = ("已收到", "Received")

STATES: dict[str, Pair] = {
    "CLOSED": ("未开放", "closed"),
    "OPEN": ("空闲", "free"),
    "CALLING": ("叫号中", "calling"),
    "SERVING": ("办理中", "serving"),
    "PAUSED": ("暂停中", "paused"),
    "STANDBY": ("待命", "at rest"),
    "CONSULTING": ("咨询中", "answering questions"),
    "INVITED": ("待确认启用", "asked to open"),
    "ACTIVATING": ("待到岗", "waiting for staff"),
    "DRAINING": ("收窗中", "giving back"),
    "COOLDOWN": ("休整中", "resting after +1"),
}
TICKET_STATES: dict[str, Pair] = {
    "BOOKED": ("预约未到时间", "booked for later"),
    "WAITING": ("等候中", "waiting"),
    "ISSUE_FAILED": ("未打印成功", "not printed"),
    "CALLED": ("已叫号", "called"),
    "SERVING": ("办理中", "being served"),
    "PARKED": ("已挂起", "parked"),
    "RETURN_PENDING": ("待补材料", "to come back with papers"),
    "NO_SHOW": ("已过号", "no-show"),
    "SERVED": ("已办结", "served"),
    "CANCELLED": ("已取消", "cancelled"),
}
CASE_STATES: dict[str, Pair] = {
    "OPEN": ("待响应", "waiting for an answer"),
    "ACKNOWLEDGED": ("办理中", "in hand"),
    "CLOSED": ("已办结", "closed"),
    "overdue": ("已超期", "overdue"),
}
REFUSED: dict[str, Pair] = {
    "accepted_already": ("已有人处理此告警", "Somebody looks after this alarm already"),
    "answer_without_name": ("请先登录或注明姓名", "Log in first, or give a name"),
    "answered_already": ("您已应答，请到{window}号窗口", "Answered already: window {window}"),
    "appointment_for_other_service": ("预约的是其他业务", "The appointment is for another service"),
    "called_already": ("{subject}已叫号", "{subject} is called already"),
    "case_exists": ("该办事人的事项已登记：{case}", "This visitor's case is open: {case}"),
    "case_state": ("事项{subject}{case_state}，不能这样处理", "Case {subject} is {case_state}"),
    "cases_are_no_tide": ("办不成事专区不设潮汐窗口", "Cases have no +1 windows"),
    "check_in_too_early": ("未到预约签到时间", "Too early to check in"),
    "closed_now": ("不在办理时间；确需开窗请再按一次", "Closed: press again to open all the same"),
    "correction_too_late": ("已过评价更正时限", "Too late to correct this rating"),
    "device_twice": ("有两台设备使用同一编号", "Two devices use this id"),
    "extended_already": ("事项{subject}已延期，不能再延", "Case {subject} was extended already"),
    "forced_closed": ("本窗口已被人工关闭", "This window is closed by hand"),
    "green_lane_unknown": ("本窗口不办理该业务或类别有误", "Not a service or class of this window"),
    "helpers_full": ("本窗口增援已满", "No more staff here"),
    "helps_already": ("您已在本窗口增援", "You help here already"),
    "hours_unfit": ("时间不合理", "These times do not make a day"),
    "hours_unknown": ("今日未安排办理时间", "No hours are planned today"),
    "issuing_paused": ("暂停取号", "No tickets now"),
    "key_not_used": ("此键在这里无效", "This key has no use here"),
    "list_is_older": ("排队名单早于最近一次叫号，未采用", "The list is older than the last call"),
    "login_without_name": ("请输入工号或姓名登录", "Log in with your name"),
    "many_by_hand": (
        "将记手工号{given}个，其中等候{waiting}人；确认无误请在一分钟内再操作一次",
        "{given} by hand, {waiting} wait? Once more within a minute if so",
    ),
    "no_case_waits": ("没有待响应的事项", "No case waits"),
    "no_case_window": ("请在办不成事窗口处理", "Cases are followed up at their own window"),
    "no_loudspeaker": ("该专区没有广播", "There is no loudspeaker"),
    "no_override": ("没有生效的人工干预", "Nothing stands by hand here"),
    "no_such_level": ("没有这个评价等级", "No such level"),
    "no_such_notice": ("没有这条通知", "There is no such notice"),
    "no_window_for_panel": ("此呼叫器未分配窗口", "This panel belongs to no window"),
    "nobody_called": ("没有叫号中的办事人", "Nobody is called"),
    "nobody_helps": ("没有帮办人员在场", "Nobody helps here"),
    "nobody_served": ("窗口没有办事人", "Nobody is at the window"),
    "nobody_to_rate": ("没有可评价的办事人", "Nobody to rate"),
    "nobody_waiting": ("暂无人等候", "Nobody waits"),
    "nobody_waits_with_this_number": ("没有持此号等候的人", "Nobody waits with this number"),
    "not_issuing": ("现在不能取号", "No numbers now"),
    "not_minutes": ("请输入分钟数", "Give minutes"),
    "not_paged": ("没有待应答的呼叫", "Nothing waits for your answer"),
    "notice_over": ("通知的截止时间已过", "Its time has passed already"),
    "nothing_prepared": ("没有预备下一位", "Nobody is prepared"),
    "nothing_to_accept": ("没有待接受的事项", "Nothing to accept"),
    "nothing_to_answer": ("没有待回访的差评", "No bad rating to look after"),
    "nothing_to_decline": ("没有可谢绝的呼叫", "Nothing to decline"),
    "nothing_to_hold": ("该窗口目前不是启用中的潮汐窗口", "This window is no +1 window that serves now"),
    "nothing_to_print": ("没有可补打的号票", "Nothing to print"),
    "number_behind": ("{subject}在已发过的号码之内，请核对", "{subject} is not after the last number"),
    "number_unknown": ("请注明下一个号码，例如 A057", "Say the next number, such as A057"),
    "roster_already": ("{subject}已是此状态", "That is known of {subject}"),
    "roster_unknown": ("请注明人员，以及不在岗、返岗或兼办的专区", "Say absent, back or also, and who"),
    "unknown_staff": ("没有这位人员", "There is no such member of staff"),
    "number_repeated": ("{subject}今日已有", "{subject} was given today"),
    "numbers_used_up": ("该业务今日号已取完", "No numbers left today"),
    "override_target": ("请指明窗口、专区或号码", "Say which window, area or number"),
    "override_without_name": ("请先登录或注明姓名", "Log in first, or give a name"),
    "override_without_time": ("时长有误", "Not a time"),
    "paged_already": ("已呼叫，请稍候", "Paged already"),
    "papers_are_codes": ("请选择缺少的材料", "Choose the missing papers"),
    "pause_without_reason": ("请选择暂停原因", "Choose a reason"),
    "people_wait": (
        "尚有人等候；确需重置请选择强制重置",
        "People wait; order it with force to send them away",
    ),
    "prepared_already": ("已预备下一位", "Somebody is prepared already"),
    "priority_needs_reason": ("请选择优先原因", "Choose a reason for priority"),
    "queue_system_calls": ("叫号由排队机负责", "The queue system calls here"),
    "queue_system_issues": ("取号由排队机负责", "The queue system gives numbers here"),
    "rated_already": ("已评价", "Rated already"),
    "rated_too_late": ("已过评价时限", "Too late to rate"),
    "reopen_too_late": ("已过重新办理时限", "Too late to open again"),
    "reset_without_name": ("请注明姓名", "Give a name"),
    "revive_too_late": ("{subject}已过保留时间，请重新取号", "{subject}: too late, take a new number"),
    "same_level": ("评价已是这个等级", "The rating has this level already"),
    "target_cannot_serve": ("{target}不办理此业务", "Not served at {target}"),
    "ticket_state": ("{subject}{ticket_state}，不能这样处理", "{subject} is {ticket_state}"),
    "too_many_cases": ("未办结事项过多，无法登记", "Too many open cases"),
    "too_many_notices": ("通知过多；请先撤下一条", "Too many notices stand; withdraw one first"),
    "no_tide": ("潮汐窗口已停用", "There is no tide now"),
    "pool_used_up": ("潮汐窗口名额已用完", "The pool is used up"),
    "no_wish": ("没有可撤回的增开窗口申请", "No such wish stands"),
    "too_many_wishes": ("增开窗口申请过多", "Too many wishes stand"),
    "unknown_alarm": ("没有这条告警", "No such alarm stands"),
    "unknown_appointment": ("没有这个预约", "No such appointment"),
    "unknown_area": ("没有这个专区", "There is no such area"),
    "unknown_canceller": ("请注明由谁取消", "Say who cancels"),
    "unknown_case": ("没有这个事项", "There is no such case"),
    "unknown_class": ("没有这个优先类别", "No such priority class"),
    "unknown_outcome": ("没有这种办理结果", "No such outcome"),
    "unknown_pause_reason": ("请选择暂停原因", "Choose a reason"),
    "unknown_promise": ("没有这个容缺承诺", "There is no such promise"),
    "unknown_rating": ("没有这条评价", "There is no such rating"),
    "unknown_service": ("没有这项业务", "There is no such service"),
    "unknown_ticket": ("今日没有这个号码", "There is no such number today"),
    "unknown_transfer_target": ("没有这个窗口或业务", "No such window or service"),
    "unknown_window": ("没有这个窗口", "There is no such window"),
    "unknown_word": ("没有这个选项", "The policy does not know this word"),
    "visitor_at_window": ("窗口有办事人，请先办结", "A visitor is at the window"),
    "window_cannot_serve": ("本窗口现在不办理此业务", "This window does not serve that now"),
    "window_cannot_serve_area": ("该窗口不能办理该专区业务", "This window cannot serve that area"),
    "window_state": ("窗口{window_state}，此键无效", "The window is {window_state}"),
    "without_number": ("该办事人没有号码", "This visitor has no number"),
}
# The effect of a key, where the state of the window does not show it.
ACCEPTED: dict[str, Pair] = {
    "commissioner.helped": ("帮办已结束", "The help is over"),
    "consultation.answered": ("已记录咨询，今日第{today}次", "Question {today} of today"),
    "tidal.not_now": ("已知悉", "Noted"),
    "alarm.accepted": ("已由{by}处理", "{by} looks after it"),
    "case.acknowledged": ("已响应事项{subject}", "Case {subject} is in hand"),
    "case.closed": ("事项{subject}已办结", "Case {subject} is closed"),
    "case.extended": ("事项{subject}延期至{due}", "Case {subject} is due {due}"),
    "case.opened": ("已登记办不成事{subject}", "Case {subject} is open"),
    "case.reopened": ("事项{subject}重新办理", "Case {subject} is open again"),
    "duty.login": ("值班长{staff}已登录", "{staff} is on duty"),
    "duty.logout": ("值班长已退出", "Logged out"),
    "hours.flexed": ("今日办理时间已调整", "Today's hours are changed"),
    "override.expired": ("人工干预已结束", "Ended by hand"),
    "override.set": ("已执行", "Done"),
    "rating.answered": ("差评已处理", "The rating is looked after"),
    "numbers.gone_on": (
        "已从{subject}继续取号，手工号{given}个，其中等候{waiting}人",
        "On from {subject}: {given} by hand, {waiting} wait",
    ),
    "roster.absent": ("{subject}今日不在岗", "{subject} is absent today"),
    "roster.also": ("{subject}今日也可办理{areas}", "{subject} also serves {areas} today"),
    "roster.back": ("{subject}已返岗", "{subject} is back"),
    "staff.answered": ("已应答", "Answered"),
    "staff.joined": ("{subject}已加入本窗口", "{subject} joined"),
    "staff.left": ("{subject}已离开本窗口", "{subject} left"),
    "tidal.asked": ("已登记增开窗口申请", "One more window is wished for"),
    "tidal.wish_over": ("增开窗口申请已撤回", "The wish is withdrawn"),
    "ticket.cancelled": ("{subject}已取消", "{subject} is cancelled"),
    "ticket.given_back": ("{subject}已退回队列", "{subject} waits again"),
    "ticket.green_lane": ("绿色通道：{subject}", "Green lane"),
    "ticket.no_show": ("{subject}过号", "{subject}: no-show"),
    "ticket.parked": ("{subject}已挂起", "{subject} is parked"),
    "ticket.prioritised": ("{subject}已优先", "{subject} goes ahead"),
    "ticket.recalled": ("已重呼{subject}，第{calls}次", "{subject} called {calls} times"),
    "ticket.reprint": ("{subject}已补打", "{subject} is printed again"),
    "ticket.returned": ("{subject}已回到队列", "{subject} waits again"),
    "ticket.revived": ("{subject}已回到队列", "{subject} waits again"),
    "ticket.transferred": ("{subject}已转至{target}", "{subject} goes to {target}"),
    "window.login": ("{staff}已登录", "{staff} is here"),
    "window.logout": ("已退出", "Logged out"),
}


OVERRIDES: dict[str, Pair] = {
    "open": ("人工开放", "open"),
    "close": ("人工关闭", "close"),
    "hold": ("人工保持", "hold"),
    "pause-issuing": ("暂停取号", "pause issuing"),
    "priority-insert": ("提前办理", "go first"),
}
# The effect of an order: whether it acts at once, or why not.
ORDERED: dict[str, Pair] = {
    "notice.unshown": (
        "已发布；有的显示屏没有“{missing}”字，显示为“?”，可换用其他写法",
        'Posted; a board has no "{missing}" and shows "?": another spelling may help',
    ),
    "override.set": ("{target}{override}", "{target}: {override}"),
    "tidal.escalated": ("暂无待命人员到岗，已通知值班长", "Nobody comes, the duty manager is paged"),
    "tidal.held": ("已登记，{held}", "Taken: {held}"),
    "tidal.opened": ("{subject}号窗口已启用", "Window {subject} is open"),
    "tidal.refused": ("已登记，{held}", "Taken: {held}"),
    "tidal.requested": ("已请{staff}到{subject}号窗口", "{staff} is paged to window {subject}"),
}
LIT: Pair = (  # if nobody is free to be paged
    "{subject}号窗口指示灯已闪，暂无空闲待命人员，请派人到岗",
    "Window {subject} blinks; nobody on standby is free: send somebody",
)
HELD: dict[str, Pair] = {  # why a window that was asked for is not opened at once
    "pool": ("潮汐窗口名额已用完，有空即启用", "the pool is used up; as soon as one is free"),
    "max_windows": ("本区已达上限，有空即启用", "the area has its maximum; as soon as one is free"),
    "no_window": ("没有空闲的潮汐窗口，有空即启用", "no +1 window is free; as soon as one is"),
    "hall_quiet": ("大厅长时间无人", "the hall is quiet"),
    "area_closed": ("不在办理时间", "the area is closed"),
    "closing_soon": ("即将下班", "closing soon"),
    "being_staffed": ("上一个窗口的人员正在到岗", "the last one asked for is being staffed"),
    "being_invited": ("正在征询咨询窗口", "a consultation window is being asked"),
    "nobody_comes": ("下班后无人到岗，不再呼叫", "nobody came after closing time"),
    "nobody_answered": ("刚才无人到岗，{left_s}后再试", "nobody came; again in {left_s}"),
    "too_soon": ("{left_s}后启用", "in {left_s}"),
}


class KeyAnswer(NamedTuple):
    """The answer to a key: the ``code`` of a refusal ("" if accepted), and a sentence in Chinese and English."""

    code: str
    text: str
    text_en: str

    @property
    def both(self) -> str:
        """Chinese and English in one line, as a panel shows it."""
        return f"{self.text} {self.text_en}"


def answer_of(
    lookup: Lookup, notes: Sequence[Note], accepted: Mapping[str, Pair] = ACCEPTED
) -> KeyAnswer | None:
    """Return the answer that follows from the notes of one key or order. It is the first refusal among them; without a
    refusal, the last note for which ``accepted`` has a sentence. None if there is neither.
    """
    for note in notes:
        if note.kind == "ignored" and note.data.get("reason") not in SILENT:
            code = str(note.data.get("reason"))
            words = REFUSED.get(code, (code.replace("_", " "), code.replace("_", " ")))
            return KeyAnswer(code, *_filled(lookup, words, note))
    wanted = any(
        note.kind == "tidal.asked" or (note.data.get("override") == "open" and note.kind == "override.set")
        for note in notes
    )
    for note in reversed(notes):
        if note.kind in ORDERED and note.kind.startswith("tidal.") and not wanted:
            continue  # done by the tidal loop in the same step
        if note.kind in accepted:
            nobody = note.kind == "tidal.requested" and note.data.get("staff") is None
            return KeyAnswer("", *_filled(lookup, LIT if nobody else accepted[note.kind], note))
    return None


def _filled(lookup: Lookup, words: Pair, note: Note) -> Pair:
    known = {"subject": note.subject, "target": note.subject} | dict(note.data)
    chinese, english = (
        {key: _named(lookup, key, value, column) for key, value in known.items()} | _states(known, column)
        for column in (0, 1)
    )
    return words[0].format_map(_Missing(chinese)), words[1].format_map(_Missing(english))


def _named(lookup: Lookup, key: str, value: object, column: int) -> object:
    """Replace an id by the name that people use: a window's number, or the name of an area, service or person.
    ``column`` 0: Chinese, 1: English. Any other value is returned unchanged; None becomes "".
    """
    if not isinstance(value, str):
        return "" if value is None else value
    if key == "areas":
        named = [str(_named(lookup, "area", area, column)) for area in value.split(",")]
        return ("、", ", ")[column].join(named)
    if value in lookup.windows:
        number = lookup.windows[value].number
        return number if key != "target" else (f"{number}号窗口", f"window {number}")[column]
    if value in lookup.areas:
        return (lookup.areas[value].name, lookup.areas[value].name_en)[column]
    if value in lookup.services:
        return (lookup.services[value].name, lookup.services[value].name_en)[column]
    if value in lookup.staff and key in ("staff", "subject", "by"):
        return lookup.staff[value].name
    return value


def _states(known: Mapping[str, object], column: int) -> dict[str, object]:
    state, left = str(known.get("state")), known.get("left_s")
    tables = {"window_state": STATES, "ticket_state": TICKET_STATES, "case_state": CASE_STATES}
    found: dict[str, object] = {
        name: table.get(state, (state, state))[column] for name, table in tables.items()
    }
    seconds = max(0, round(left)) if isinstance(left, int | float) else 0
    held = HELD.get(str(known.get("reason")), RECEIVED)[column]
    found["override"] = OVERRIDES.get(str(known.get("override")), RECEIVED)[column]
    found["held"] = held.format(left_s=_soon(seconds)[column])
    return found


def _soon(seconds: int) -> Pair:
    """Return a duration in words, in Chinese and English. From 90 seconds on it is in minutes, rounded up."""
    minutes = -(-seconds // 60)
    return (f"{seconds}秒", f"{seconds} s") if seconds < 90 else (f"{minutes}分钟", f"{minutes} min")


class _Missing(dict[str, object]):
    """Values for the blanks of a sentence. A blank for which the note has no value is filled with ""."""

    def __missing__(self, key: str) -> str:
        return ""
