"""The result of a rehearsal: figures before and after, whether waits get worse, and the sentences about it.

A policy is rehearsed on the hall's own recorded days before it takes effect (``rehearsals.py`` sends the question, the
process of ``edged/backtest/rehearsal.py`` answers it). Question and answer are one JSON line each; waits are in
minutes.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from edged import strict_json
from edged.central.refusals import Reason, reason
from edged.shapes import ID, Misshapen, Shape, read

DAYS, DAYS_MAX = 20, 60
WORSE_MAX_PERCENT = 500
QUESTION_BYTES_MAX = 256 * 1024  # two envelopes of 64 KiB in base64, and a path
ANSWER_BYTES_MAX = 16 * 1024  # as every message to the centre
MOVED_MAX = 50  # windows named as opening or closing now
# A wait that grows from 0.1 to 0.2 minutes has doubled, but nobody notices.
FELT_MIN, FELT_SHARE = 0.5, 0.01

_Whole = Annotated[int, Meta(ge=0, le=10**9)]
_Minutes = Annotated[float, Meta(ge=0, le=10**6)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Windows = Annotated[tuple[Annotated[str, ID], ...], Meta(max_length=MOVED_MAX)]

MISSED: dict[str, tuple[str, str]] = {
    # why there was no rehearsal: (English, Chinese)
    "no-service": (
        "no rehearsal service runs on this machine (edged-rehearse.socket)",
        "本机没有运行预演服务（edged-rehearse.socket）",
    ),
    "no-answer": ("the rehearsal did not end in time", "预演未能按时完成"),
    "broke-off": ("the rehearsal ended without a result", "预演中断，没有结果"),
    "no-days": ("there are no recorded days to rehearse on", "没有可供预演的历史数据"),
    "journal": ("the journal cannot be read by the rehearsal", "预演程序无法读取日志库"),
}


class Terms(Shape, frozen=True):
    """How a policy is rehearsed before it comes into force, and what is asked of the result / 策略生效前的预演及要求"""

    days: Annotated[
        int,
        Meta(
            ge=1,
            le=DAYS_MAX,
            description="recorded days on which the hall rehearses it before it comes into force / "
            "生效前预演所用的历史天数",
        ),
    ] = DAYS
    max_worse: Annotated[
        Annotated[int, Meta(ge=0, le=WORSE_MAX_PERCENT)] | None,
        Meta(
            description="percent by which the rehearsed waits (mean, 90 of 100, share over the limit) may be worse "
            "than under the policy in force; null: only reported, never refused / "
            "预演等候（平均、九成、超时比例）允许变差的百分比；"
            "null：仅报告，不拒绝"
        ),
    ] = None


class RehearsedSide(Shape, frozen=True):
    """The figures of the rehearsed days under one policy. ``over_limit``: share of visitors who waited longer than the
    limit.
    """

    activations: _Whole
    staff_min: _Whole
    mean_min: _Minutes
    p90_min: _Minutes
    longest_min: _Minutes
    over_limit: _Share


class Now(Shape, frozen=True):
    """What would change first: "+1" windows that the new policy would open or give back within a minute after the
    journal's last step, where the policy in force would not.
    """

    opens: _Windows = ()
    closes: _Windows = ()


class Rehearsed(Shape, frozen=True):
    """The result of a rehearsal. Of ``of`` recorded days, the newest ``days`` were simulated, with ``visitors``
    visitors in all.

    ``before``: under the policy in force; ``after``: under the new one. ``limit_min``: the wait in minutes that
    ``over_limit`` of both sides refers to. ``now``: None if the hall's state could not be read.
    """

    days: _Whole
    of: _Whole
    visitors: _Whole
    limit_min: _Minutes
    before: RehearsedSide
    after: RehearsedSide
    now: Now | None = None


class Missed(Shape, frozen=True):
    """There was no rehearsal. ``missed``: why, a key of ``MISSED``."""

    missed: str


class RehearsalQuestion(NamedTuple):
    """What the daemon asks the rehearsal process: to simulate the newest ``days`` recorded days of the journal at the
    path ``journal`` under two policies. ``policy`` and ``in_force`` are their envelopes (b"": the built-in policy). No
    further day is begun after ``seconds`` of processor time or ``within_s`` real seconds.
    """

    journal: str
    policy: bytes
    in_force: bytes
    days: int
    seconds: float
    within_s: float


class BadMessage(ValueError):
    """A line on the socket that is not a valid question or answer."""


class _QuestionLine(Shape, frozen=True):
    journal: Annotated[str, Meta(min_length=1, max_length=4096)]
    policy: str
    in_force: str
    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)]
    seconds: Annotated[float, Meta(gt=0, le=3600)]
    within_s: Annotated[float, Meta(gt=0, le=3600)]


def question_line(question: RehearsalQuestion) -> bytes:
    """The question as a line for the socket."""
    policy, in_force = (base64.b64encode(one).decode() for one in (question.policy, question.in_force))
    return msgspec.json.encode({**question._asdict(), "policy": policy, "in_force": in_force}) + b"\n"


def read_question(line: bytes) -> RehearsalQuestion:
    """Parse the line by which the daemon asks for a rehearsal. Raises ``BadMessage`` if it has another form."""
    try:
        asked = read(_QuestionLine, strict_json.parse_document(line, QUESTION_BYTES_MAX))
        policy, in_force = (base64.b64decode(one, validate=True) for one in (asked.policy, asked.in_force))
    except (strict_json.NotStrictJson, Misshapen, binascii.Error) as error:
        raise BadMessage(str(error)) from None
    return RehearsalQuestion(asked.journal, policy, in_force, asked.days, asked.seconds, asked.within_s)


def answer_line(found: Rehearsed | Missed) -> bytes:
    """The answer as a line for the socket."""
    return msgspec.json.encode(to_json(found)) + b"\n"


def read_answer(line: bytes) -> Rehearsed | Missed:
    """Parse the line with the result of a rehearsal. Raises ``BadMessage`` if it has another form."""
    try:
        return of_report(strict_json.parse_document(line, ANSWER_BYTES_MAX))
    except strict_json.NotStrictJson as error:
        raise BadMessage(str(error)) from None


def of_report(report: Any) -> Rehearsed | Missed:
    """Parse the field ``rehearsal`` of a policy report. Raises ``BadMessage`` if it has another form or an unknown
    reason.
    """
    try:
        missed = isinstance(report, dict) and "missed" in report
        found: Rehearsed | Missed = read(Missed, report) if missed else read(Rehearsed, report)
    except Misshapen as error:
        raise BadMessage(str(error)) from None
    if isinstance(found, Missed) and found.missed not in MISSED:
        raise BadMessage(found.missed)
    return found


def to_json(found: Rehearsed | Missed) -> dict[str, Any]:
    """The result as JSON values, for the socket, the report and ``--json``."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return {name: value for name, value in plain.items() if value is not None}


def objection(found: Rehearsed | Missed, max_worse: int | None) -> Reason | None:
    """Return the refusal if waits get noticeably worse, by more than ``max_worse`` percent (the policy's own limit), or
    if there was no rehearsal; None if the policy may take effect. ``max_worse`` None: it always may.
    """
    if max_worse is None:
        return None
    path = "rehearsal.max_worse"
    if isinstance(found, Missed):
        why, why_zh = MISSED[found.missed]
        return reason("not-rehearsed", path, detail=why, detail_zh=why_zh)
    worse = [
        one
        for one in _judged(found)
        if one.new > one.old * (1 + max_worse / 100) and one.new - one.old > one.felt
    ]
    if not worse:
        return None
    detail, detail_zh = "; ".join(one.words for one in worse), "；".join(one.words_zh for one in worse)
    return reason(
        "rehearsed-worse", path, days=found.days, limit=max_worse, detail=detail, detail_zh=detail_zh
    )


class _Judged(NamedTuple):
    """A figure that must not get worse; a difference below ``felt`` does not count, because nobody notices it."""

    words: str
    words_zh: str
    old: float
    new: float
    felt: float


def _judged(found: Rehearsed) -> tuple[_Judged, ...]:
    old, new, limit = found.before, found.after, f"{found.limit_min:g}"
    share = f"{old.over_limit:.1%} → {new.over_limit:.1%}"
    mean, p90 = (old.mean_min, new.mean_min, FELT_MIN), (old.p90_min, new.p90_min, FELT_MIN)
    over = (old.over_limit, new.over_limit, FELT_SHARE)
    return (
        _Judged(*_change("mean wait", "平均等候", *mean[:2]), *mean),
        _Judged(*_change("90 of 100 waited up to", "九成等候不超过", *p90[:2]), *p90),
        _Judged(f"over {limit} min {share}", f"超过{limit}分钟的 {share}", *over),
    )


def _change(english: str, chinese: str, old: float, new: float) -> tuple[str, str]:
    return f"{english} {old:.1f} → {new:.1f} min", f"{chinese} {old:.1f} → {new:.1f} 分钟"


def sentences(found: Rehearsed | Missed) -> tuple[tuple[str, str], ...]:
    """The result of a rehearsal as lines for people, each as (English, Chinese)."""
    if isinstance(found, Missed):
        why, why_zh = MISSED[found.missed]
        return ((f"not rehearsed: {why}", f"未预演：{why_zh}"),)
    cut = found.days < found.of
    days = f"{found.days} of {found.of}" if cut else f"{found.days}"
    days_zh = f"{found.of}天中的{found.days}天（限时）" if cut else f"{found.days}天"
    old, new, limit = found.before, found.after, f"{found.limit_min:g}"
    sentences = [
        (
            f"rehearsed on {days} recorded days, {found.visitors} visitors, in force → this policy:",
            f"已用历史{days_zh}、{found.visitors}人次预演，现行 → 本策略：",
        ),
        (
            f"  activations {old.activations} → {new.activations}, staff minutes {old.staff_min} → {new.staff_min}",
            f"  启用 {old.activations} → {new.activations} 次，人员 {old.staff_min} → {new.staff_min} 分钟",
        ),
        (
            f"  wait: mean {old.mean_min:.1f} → {new.mean_min:.1f} min, 90 of 100 up to {old.p90_min:.1f} → "
            f"{new.p90_min:.1f}, longest {old.longest_min:.0f} → {new.longest_min:.0f}, "
            f"over {limit} min {old.over_limit:.1%} → {new.over_limit:.1%}",
            f"  等候：平均 {old.mean_min:.1f} → {new.mean_min:.1f} 分钟，九成不超过 {old.p90_min:.1f} → "
            f"{new.p90_min:.1f} 分钟，最长 {old.longest_min:.0f} → {new.longest_min:.0f} 分钟，"
            f"超过{limit}分钟的 {old.over_limit:.1%} → {new.over_limit:.1%}",
        ),
    ]
    return (*sentences, *_now(found.now))


def _now(now: Now | None) -> tuple[tuple[str, str], ...]:
    if now is None:
        return ()
    sentences = []
    if now.opens:
        sentences.append(
            (f"  at once it would open: {', '.join(now.opens)}", f"  立即启用：{'、'.join(now.opens)}")
        )
    if now.closes:
        sentences.append(
            (f"  at once it would close: {', '.join(now.closes)}", f"  立即收窗：{'、'.join(now.closes)}")
        )
    return tuple(sentences) or (
        ("  at once it would open and close nothing else", "  当前不会多启用或多收任何窗口"),
    )
