"""Pages that are repeated until somebody answers: for commissioners (帮办), guides (导办) and the duty manager.

A page is sent, repeated, passed to the next person, and at last to the duty manager, who is paged at most
``duty_tries`` times while nobody answers and the page is needed. ``accept`` on a pager answers every page sent to it;
with an argument, those about that window or area. Pages that open "+1" windows are handled in
``windows/activation.py``.
"""

from __future__ import annotations

from edged.core.calendar.opening import quiet
from edged.core.model.commands import Page
from edged.core.model.events import AlarmAccepted
from edged.core.model.site import Role
from edged.core.model.state import OpenPage
from edged.core.model.turn import Turn
from edged.core.people import alarms, helps, staffing, undelivered
from edged.core.people.staffing import DUTY_MANAGER

COMMISSIONER: Role = "commissioner"  # pages of these two roles are ordered by clerks or a crowd;
GUIDE: Role = "guide"  # (导办) all others are about alarms
UNANSWERED: dict[str, str] = {COMMISSIONER: "commissioner-unanswered", GUIDE: "guide-unanswered"}


def call_commissioner(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "commissioner" key of a clerk who needs help: page the free commissioner (帮办) of the window's area
    whose turn it is.

    With ``arg`` ``solved`` or ``unsolved``, end the help that is being given at the window instead.
    """
    if arg in helps.OUTCOMES:
        if not helps.end(turn, window, arg or ""):
            turn.ignore(window, "nobody_helps")
        return
    _call(turn, window, COMMISSIONER, ("请到{number}号窗口帮办", "Please help at window {number}"))


def call_guide(turn: Turn, window: str, _arg: str | None) -> None:
    """Page the free guide (导办) whose turn it is, because people around the window have questions."""
    _call(turn, window, GUIDE, ("请到{number}号窗口前引导、咨询", "Please guide visitors at window {number}"))


def crowd(turn: Turn, area: str) -> None:
    """Page a guide (导办) to an area where more visitors wait than the policy's ``guide_above``, if the hall has
    guides. End the page once at most half as many wait.
    """
    limit, waiting = turn.state.policy.staffing.guide_above, turn.area(area).waiting
    name = alarms.key(GUIDE, area)
    if not limit or not staffing.roster(turn, area, GUIDE):
        return
    if waiting > limit and area not in turn.state.crowded:
        turn.state.crowded[area] = turn.at_ms
        place = turn.lookup.areas[area]
        text = f"{place.name}等候{waiting}人，请疏导人流"
        page = OpenPage(
            GUIDE, area, text, f"{place.name_en}: {waiting} waiting, please guide", turn.at_ms, area=area
        )
        turn.state.pages[name] = page
        turn.note("area.crowded", area, waiting=waiting, limit=limit)
        _send_on(turn, name, page)
    elif waiting <= limit // 2 and turn.state.crowded.pop(area, None) is not None:
        close(turn, GUIDE, area)


def _call(turn: Turn, window: str, role: Role, texts: tuple[str, str]) -> None:
    name = alarms.key(role, window)
    if name in turn.state.pages:
        turn.ignore(window, "paged_already", since_s=turn.seconds_since(turn.state.pages[name].since_ms))
        return
    number = turn.lookup.windows[window].number
    page = OpenPage(
        role,
        window,
        texts[0].format(number=number),
        texts[1].format(number=number),
        turn.at_ms,
        window=window,
        area=_area(turn, window),
    )
    turn.state.pages[name] = page
    _send_on(turn, name, page)
    turn.touch_window(window)


def call_duty(
    turn: Turn, kind: str, subject: str, where: str, where_en: str, what: tuple[str, str] | None = None
) -> None:
    """Page the duty manager about the alarm ``kind`` on ``subject``. An earlier page about it that is still unanswered
    is sent again at once.

    ``where`` and ``where_en`` name the place in the text. ``what``: a text (Chinese, English) that is more exact than
    the alarm's own.
    """
    name = alarms.key(kind, subject)
    page = turn.state.pages.get(name)
    text, text_en = what or alarms.TEXT[kind]
    text, text_en = f"{where} {text}", f"{where_en}: {text_en}"
    if page is None:
        window = subject if subject in turn.lookup.windows else None
        area = subject if window is None and subject in turn.lookup.areas else None
        page = turn.state.pages[name] = OpenPage(
            kind, subject, text, text_en, turn.at_ms, window=window, area=area
        )
    page.text, page.text_en = text, text_en
    _send(turn, name, page, DUTY_MANAGER)


def answer(turn: Turn, who: str, key: str, arg: str | None) -> bool:
    """Handle the key "accept" or "decline" on the pager of ``who``; False if no open page was sent to them.

    ``arg``: the window or area whose pages are answered; None: all of them. A decline by the duty manager counts as an
    answer. A decline by anybody else passes the page to the next person.
    """
    open_pages = [
        (name, page)
        for name, page in turn.state.pages.items()
        if page.to == who and arg in (None, page.window, page.area)
    ]
    for name, page in open_pages:
        staffing.record_answer(turn, who)
        if who == DUTY_MANAGER:
            alarms.accept(turn, name, turn.state.duty_staff or DUTY_MANAGER)
        turn.note(
            "staff.answered",
            who,
            about=page.about,
            window=page.window,
            area=page.area,
            answer=key,
            after_s=turn.seconds_since(page.since_ms),
        )
        if key == "decline" and who != DUTY_MANAGER:
            page.tried += [who] * turn.state.policy.staffing.page_tries  # not paged again for this
            _send_on(turn, name, page)
        else:
            _answered(turn, name, page, who, comes=key == "accept")
    return bool(open_pages)


def accept_alarm(turn: Turn, event: AlarmAccepted) -> None:
    """Record that a person takes care of an alarm. The duty manager is no longer paged about that alarm."""
    name = alarms.key(event.kind, event.subject)
    if name not in turn.state.alarms:
        turn.ignore(event.subject, "unknown_alarm", alarm=event.kind, by=event.by)
        return
    if not alarms.accept(turn, name, event.by):
        turn.ignore(event.subject, "accepted_already", alarm=event.kind, by=event.by)
        return
    for known, page in list(turn.state.pages.items()):
        about = alarms.key(UNANSWERED.get(page.about, page.about), page.subject)
        if about == name and page.to == DUTY_MANAGER:
            _answered(turn, known, page, DUTY_MANAGER, comes=True)


def close(turn: Turn, kind: str, subject: str) -> None:
    """End the page about ``kind`` and ``subject``: nobody has to come any more. No-op if there is none."""
    name = alarms.key(kind, subject)
    page = turn.state.pages.pop(name, None)
    if page is None:
        return
    undelivered.forget(turn, page.action)
    turn.drop_timer(f"page/{name}")
    staffing.touch_pagers(turn, page.to)
    if page.about in UNANSWERED:
        alarms.clear(turn, UNANSWERED[page.about], subject)
    if page.window is not None and page.window in turn.lookup.windows:
        turn.touch_window(page.window)


def unanswered(turn: Turn, name: str) -> None:
    """Timer: nobody answered a page in time. Repeat it, or page the next person."""
    page = turn.state.pages.get(name)
    if page is None or quiet(turn):  # not while the hall is empty
        return
    if page.action in turn.state.undelivered:  # the page was never sent
        turn.set_timer(f"page/{name}", turn.at_ms)
        undelivered.offer(turn, page.action)
    elif page.to == DUTY_MANAGER:
        _send(turn, name, page, DUTY_MANAGER)
    else:
        staffing.record_answer(turn, page.to, yes=False)
        turn.note(
            "staff.unanswered", page.to or DUTY_MANAGER, about=page.about, window=page.window, sent=page.sent
        )
        _send_on(turn, name, page)


def pass_on(turn: Turn, who: str) -> None:
    """Pass the pages sent to ``who``, who is no longer there, to the next person."""
    for name, page in list(turn.state.pages.items()):
        if page.to == who:
            _send_on(turn, name, page)


def failed(turn: Turn, action: str) -> None:
    """Page the next person at once, because the pager to which ``action`` sent a page could not be reached. If the page
    was for the duty manager do nothing: a timer repeats it.

    The member who could not be reached does not count as one who did not answer.
    """
    for name, page in list(turn.state.pages.items()):
        if page.action == action and page.to != DUTY_MANAGER and not quiet(turn):
            _send_on(turn, name, page)


def still_open(turn: Turn, action: str) -> bool:
    """Whether this action is a page that nobody has answered."""
    return any(page.action == action for page in turn.state.pages.values())


def end_day(turn: Turn) -> None:
    """At the end of a day, end all pages and all help of commissioners, drop stored pages and slips, and set the counts
    of answered pages to zero.
    """
    for page in list(turn.state.pages.values()):
        close(turn, page.about, page.subject)
    turn.state.undelivered.clear()
    helps.end_day(turn)
    turn.state.crowded.clear()
    for member in turn.state.staff.values():
        member.helped = 0


def reconcile(turn: Turn) -> None:
    """After a change of configuration, end pages about removed windows and areas, and pass on those sent to removed
    staff.
    """
    for window in [window for window in turn.state.helps if window not in turn.lookup.windows]:
        del turn.state.helps[window]
    for name, page in list(turn.state.pages.items()):
        known = page.subject in turn.lookup.windows or page.subject in turn.lookup.areas
        if not known:
            close(turn, page.about, page.subject)
        elif page.to not in turn.lookup.staff and page.to != DUTY_MANAGER:
            _send_on(turn, name, page)


def _area(turn: Turn, window: str) -> str:
    ticket = turn.ticket_at(window)
    if ticket is not None:
        return turn.lookup.area_of(ticket.service)
    return turn.window(window).area or turn.lookup.window_areas[window][0]


def _send_on(turn: Turn, name: str, page: OpenPage) -> None:
    """Send the page to the next commissioner or guide. Once each of them was paged as often as the policy allows, raise
    an alarm and page the duty manager.
    """
    who = _next_member(turn, page)
    if who is not None:
        page.tried.append(who)
        _send(turn, name, page, who)
        return
    alarms.sound(
        turn, UNANSWERED.get(page.about, UNANSWERED[COMMISSIONER]), page.subject, tried=len(set(page.tried))
    )
    _send(turn, name, page, DUTY_MANAGER)


def _send(turn: Turn, name: str, page: OpenPage, who: str) -> None:
    policy = turn.state.policy.staffing
    staffing.touch_pagers(turn, page.to)  # no longer for the person before
    undelivered.forget(turn, page.action)
    page.to = who
    page.sent += 1
    if page.window is not None and page.window in turn.lookup.windows:
        turn.touch_window(page.window)  # its panel says who was paged
    page.action = staffing.send(turn, Page(who, page.area, page.window, page.text, page.text_en))
    page.to_duty += who == DUTY_MANAGER
    if who == DUTY_MANAGER and (page.action is None or page.to_duty >= policy.duty_tries):
        turn.drop_timer(f"page/{name}")  # no pager, or no answer: only the alarm remains
        return
    wait_s = policy.duty_repeat_s if who == DUTY_MANAGER else policy.page_ack_s
    turn.set_timer(f"page/{name}", turn.at_ms + wait_s * 1000)


def _next_member(turn: Turn, page: OpenPage) -> str | None:
    """Return the free commissioner or guide to page next; None if there is none. It is the one who was paged least
    often about this page. Among equals come first those who answered the last page sent to them, then who answered
    fewest pages today, then who answered longest ago.
    """
    tries = turn.state.policy.staffing.page_tries
    busy = {other.to for other in turn.state.pages.values() if other is not page}
    free = [
        staff
        for staff in staffing.roster(turn, page.area or "", GUIDE if page.about == GUIDE else COMMISSIONER)
        if page.tried.count(staff) < tries
        and staff not in busy
        and turn.state.staff[staff].state == "standby"
        and turn.lookup.staff[staff].pager is not None
    ]

    def rank(staff: str) -> tuple[int, bool, int, int]:
        member = turn.state.staff[staff]
        return page.tried.count(staff), member.silent, member.helped, member.last_used_ms

    return min(free, key=rank, default=None)


def _answered(turn: Turn, name: str, page: OpenPage, who: str, comes: bool) -> None:
    member = turn.state.staff.get(who)
    if member is not None:
        member.helped += 1
        member.last_used_ms = turn.at_ms
    if page.about == COMMISSIONER and page.window is not None and member is not None and comes:
        helps.begin(turn, page.window, who, turn.seconds_since(page.since_ms))
    if page.about in UNANSWERED and page.window is None:
        close(turn, page.about, page.subject)
    elif page.about in UNANSWERED and page.window is not None:
        close(turn, page.about, page.subject)
        called = "导办" if page.about == GUIDE else "帮办"
        text = f"{called}已应答，马上到 Help is coming" if comes else "值班长已知悉 Duty manager knows"
        staffing.hint(turn, page.window, text)
    else:  # its alarm stays until the cause is gone
        turn.drop_timer(f"page/{name}")
        del turn.state.pages[name]
        staffing.touch_pagers(turn, page.to)
