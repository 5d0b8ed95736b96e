"""``edged policy push --halls|--group``: sends one policy to many halls through the city's broker and reports each
answer.

Rules: the members of a group are known from the halls' own retained status messages, so an offline hall is waited for,
and a hall that was never online is not. Every hall ends as applied, staged, refused or without an answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from edged.central import topics
from edged.central.fleet import GOOD, FleetAnswer, answer_to, rehearses

if TYPE_CHECKING:
    from edged.central.topics import Topic
    from edged.cli.exchange import Conversation, Heard

RETAINED_S = 20.0  # to receive the retained messages of two hundred halls
# No message for so long: that was all. A busy broker pauses for half a second; who is not found is not followed.
QUIET_S = 2.0
REHEARSAL_S = 160.0  # the daemon's own deadline plus a margin
WORDS = {
    "applied": "applied / 已生效",
    "staged": "waiting for its date / 待生效",
    "rejected": "REFUSED / 已拒绝",
    "rolled-back": "ROLLED BACK / 已退回",
}


class Fleet(NamedTuple):
    """The addressed ``halls``; ``version``: the highest that any of them has reported."""

    halls: tuple[str, ...]
    version: int


def filters(report: Topic = topics.POLICY_REPORT) -> list[str]:
    """The topics to subscribe to for a message to many halls; ``report``: the topic on which halls answer."""
    return [topics.STATUS.filter, report.filter]


def found(
    talk: Conversation, halls: tuple[str, ...], group: str | None, report: Topic = topics.POLICY_REPORT
) -> Fleet:
    """The addressed halls: ``halls``, or those whose status names ``group``."""
    versions, members = [0], list[str]()
    for heard in talk.hear(RETAINED_S, QUIET_S):
        hall, said = _said(heard)
        if heard.topic == report.at(hall=hall) and (not halls or hall in halls):
            named = [said.get("applied"), said.get("desired")]
            versions += [int(one.get("version", 0)) for one in named if isinstance(one, dict)]
        elif heard.topic == topics.status(hall) and group is not None and said.get("group") == group:
            members.append(hall)
    return Fleet(halls or tuple(sorted(set(members))), max(versions))


def told(
    talk: Conversation, halls: tuple[str, ...], group: str | None, report: Topic
) -> dict[str, dict[str, Any]]:
    """The retained message on ``report`` of each hall in ``halls``, or whose status names ``group``; {}: none."""
    retained, members = dict[str, dict[str, Any]](), set(halls)
    for heard in talk.hear(RETAINED_S, QUIET_S):
        hall, said = _said(heard)
        if heard.topic == report.at(hall=hall):
            retained[hall] = said
        elif heard.topic == topics.status(hall) and group is not None and said.get("group") == group:
            members.add(hall)
    return {hall: retained.get(hall, {}) for hall in sorted(members)}


def follow(
    talk: Conversation,
    halls: Iterable[str],
    sha256: str,
    wait_s: float,
    report: Topic = topics.POLICY_REPORT,
) -> bool:
    """Print each hall's answer as it arrives, and the halls without one; returns whether all accepted it.

    A hall that reports that it rehearses the policy is waited for ``REHEARSAL_S`` longer.
    """
    waiting, rehearsing, bad = set(halls), set[str](), 0
    for seconds in (wait_s, REHEARSAL_S):
        for heard in talk.hear(seconds) if waiting else ():
            hall, said = _said(heard)
            if heard.topic != report.at(hall=hall) or heard.retain or hall not in waiting:
                continue
            if rehearses(said, sha256):
                rehearsing.add(hall)
            answer = answer_to(said, sha256)
            if answer is None:
                continue
            waiting.remove(hall)
            bad += answer.verdict not in GOOD
            _tell(hall, answer)
            if not waiting:
                break
        silent, waiting = waiting - rehearsing, waiting & rehearsing
        for hall in sorted(silent):
            typer.echo(f"{hall}: NO ANSWER in {wait_s:g} s / 没有回应")
        bad += len(silent)
    for hall in sorted(waiting):
        typer.echo(f"{hall}: still rehearsing after {REHEARSAL_S:g} s / 仍在预演")
    return not waiting and not bad


def _tell(hall: str, answer: FleetAnswer) -> None:
    typer.echo(f"{hall}: {WORDS[answer.verdict]}")
    for text in (answer.message, answer.message_zh):
        if text:
            typer.echo(f"  {text}")


def _said(heard: Heard) -> tuple[str, dict[str, Any]]:
    parts = heard.topic.split("/")
    try:
        fields = json.loads(heard.payload)
    except ValueError:
        fields = {}
    return parts[1] if len(parts) > 1 else "", fields if isinstance(fields, dict) else {}
