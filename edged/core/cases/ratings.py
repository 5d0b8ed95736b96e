"""Ratings (好差评): five levels, one for each visit and each case, never filled in by default.

A rating is not overwritten without trace: a correction by somebody authorised is recorded in a note together with the
earlier level. A bad rating pages the duty manager and stays open until somebody answers it, or corrects it to a good
one. How a visitor gives a rating is in ``visits/rating.py``.
"""

from __future__ import annotations

from edged.core.model.commands import Page
from edged.core.model.events import KeyPressed, RatingAnswered, RatingCorrected
from edged.core.model.state import Rating
from edged.core.model.turn import Turn
from edged.core.people import alarms, staffing

KEPT = 2000  # a week of a busy hall; older ones are corrected at the centre
UNANSWERED_MAX = 100  # a hall with more needs no reminder of each; further ones are notes only
REMIND = "rating"  # timer: the next reminder of a bad rating
ALARM = "bad-rating"
DAY_MS = 86_400_000
LEVELS = range(1, 6)
FOLLOWED = "reopened"  # the answer recorded when the case is reopened
CORRECTED = "corrected"  # the answer recorded when the rating is corrected to a good one


def keep(turn: Turn, name: str, rating: Rating, followed: bool = False) -> None:
    """Record a rating under the id ``name``. A bad one pages the duty manager. ``followed``: its case was reopened
    because of it, which pages the duty manager anyway.
    """
    ratings = turn.state.ratings
    ratings.pop(name, None)
    ratings[name] = rating
    if len(ratings) > KEPT:
        oldest = next((n for n in ratings if not _waits(turn, n)), next(iter(ratings)))
        _settle(turn, oldest)
        del ratings[oldest]
    if followed:
        rating.answer = FOLLOWED
    else:
        _judge(turn, name, rating)


def correct(turn: Turn, event: RatingCorrected) -> None:
    """Correct the level of a rating, by a named person. The note of the correction also holds the earlier level."""
    rating = turn.state.ratings.get(event.rating)
    limit_ms = turn.state.policy.ratings.correct_days * DAY_MS
    if rating is None:
        turn.ignore(event.rating, "unknown_rating", by=event.by)
    elif event.level not in LEVELS:
        turn.ignore(event.rating, "no_such_level", level=event.level)
    elif turn.at_ms - rating.at_ms > limit_ms:
        turn.ignore(event.rating, "correction_too_late", by=event.by)
    elif event.level == rating.level:
        turn.ignore(event.rating, "same_level", level=event.level, by=event.by)
    else:
        before, rating.level = rating.level, event.level
        rating.corrected += 1
        case = turn.state.cases.get(event.rating)
        if case is not None:
            case.level = event.level
        turn.note(
            "rating.corrected",
            rating.subject,
            rating=event.rating,
            window=rating.window,
            level=event.level,
            before=before,
            by=event.by,
        )
        _judge(turn, event.rating, rating, event.by)


def answer(turn: Turn, event: RatingAnswered) -> None:
    """Record that a person has dealt with a bad rating (整改, 回访)."""
    answers = turn.state.policy.ratings.answers
    code = event.code or answers[-1]
    if not _waits(turn, event.rating):
        turn.ignore(event.rating, "nothing_to_answer", by=event.by)
    elif code not in answers:
        turn.ignore(event.rating, "unknown_word", by=event.by)
    else:
        _answered(turn, event.rating, code, event.by)


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle the duty manager's key "answer" for bad ratings: ``[rating or number] [code] [by=name]``. If no rating is
    named, it answers the one that has been unanswered for longest.
    """
    words = (event.arg or "").split()
    by = next((word[3:] for word in words if word.startswith("by=")), None) or turn.state.duty_staff
    plain = [word for word in words if "=" not in word]
    site = turn.lookup.site
    waiting = [name for name in turn.state.ratings if _waits(turn, name)]
    if event.point not in (site.duty_panel, site.duty_pager):
        turn.ignore(event.point, "key_not_used", key=event.key)
    elif by is None:
        turn.ignore(event.point, "answer_without_name", key=event.key)
    elif plain and (named := _named(turn, plain[0])) is not None:
        answer(turn, RatingAnswered(named, by, plain[1] if len(plain) > 1 else None))
    elif waiting:
        answer(turn, RatingAnswered(waiting[0], by, plain[0] if plain else None))
    else:
        turn.ignore(event.point, "nothing_to_answer", by=by)


def _named(turn: Turn, word: str) -> str | None:
    """Return the id of the rating that an operator means by ``word``: its id, or the number of the visit or case that
    was rated. None if there is none.
    """
    ratings = turn.state.ratings
    about = [name for name, rating in ratings.items() if rating.subject == word]
    waiting = [name for name in about if _waits(turn, name)]
    return word if word in ratings else next(reversed(waiting or about), None)


def subject_of(turn: Turn, name: str) -> tuple[str, str]:
    """The subject of a rating in Chinese and English: a visitor's number, or a case."""
    rating = turn.state.ratings.get(name)
    number = name if rating is None else rating.subject
    if number in turn.state.cases:
        return f"办不成事{number}", f"case {number}"
    return f"{number}号", number


def remind(turn: Turn, name: str) -> None:
    """Timer: a bad rating is still unanswered. Page the duty manager again."""
    rating = turn.state.ratings.get(name)
    limits = turn.state.policy.ratings
    if rating is None or not _waits(turn, name) or rating.reminders >= limits.reminders:
        return
    rating.reminders += 1
    _page(turn, name, rating)


def _judge(turn: Turn, name: str, rating: Rating, by: str | None = None) -> None:
    bad = rating.level <= turn.state.policy.ratings.bad_level
    waits = _waits(turn, name)
    if waits and not bad:
        _answered(turn, name, CORRECTED, by)
    elif bad and not waits:
        rating.answer, rating.reminders = None, 0
        turn.note("rating.bad", rating.subject, rating=name, window=rating.window, level=rating.level)
        if sum(1 for alarm in turn.state.alarms.values() if alarm.kind == ALARM) < UNANSWERED_MAX:
            alarms.sound(turn, ALARM, name, window=rating.window, level=rating.level)
            _page(turn, name, rating)


def _page(turn: Turn, name: str, rating: Rating) -> None:
    window = turn.lookup.windows.get(rating.window or "")
    place = "" if window is None else f"{window.number}号窗口"
    where = "" if window is None else f" at window {window.number}"
    who, who_en = subject_of(turn, name)
    text = f"{place}收到差评（{rating.level}分），请回访{who}"
    text_en = f"Bad rating ({rating.level}){where}: please look after {who_en}"
    staffing.send(turn, Page(staffing.DUTY_MANAGER, None, rating.window, text, text_en))
    limits = turn.state.policy.ratings
    if rating.reminders < limits.reminders:
        turn.set_timer(f"{REMIND}/{name}", turn.at_ms + limits.remind_s * 1000)


def _waits(turn: Turn, name: str) -> bool:
    return alarms.is_raised(turn, ALARM, name)


def _answered(turn: Turn, name: str, code: str, by: str | None) -> None:
    rating = turn.state.ratings[name]
    rating.answer = code
    turn.note(
        "rating.answered", rating.subject, rating=name, answer=code, by=by, after_s=_age_s(turn, rating)
    )
    _settle(turn, name)


def _age_s(turn: Turn, rating: Rating) -> float:
    return turn.seconds_since(rating.at_ms)


def _settle(turn: Turn, name: str) -> None:
    alarms.clear(turn, ALARM, name)
    turn.drop_timer(f"{REMIND}/{name}")
