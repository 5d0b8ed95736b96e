"""Sends one document to many halls through the city's broker and reports each answer: for ``edged policy push
--halls|--group`` and ``edged keys push``.

Rules: the members of a group are found by the status messages that halls retain. So a hall that is offline counts as a
member, and one that was never online does not. Every hall ends as applied, staged (accepted, to be applied later),
refused or without an answer. A broker does not say which retained message is its last one: so a member whose status
arrives late is added when it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from edged.central import topics
from edged.central.fleet import GOOD, FleetAnswer, answer_to, rehearses
from edged.clock import monotonic_s

if TYPE_CHECKING:
    from edged.central.topics import Topic
    from edged.cli.exchange import Conversation, ReceivedMessage

RETAINED_S = 20.0  # to receive the retained messages of two hundred halls
# No message for so long: that was probably all. A busy broker pauses for half a second.
QUIET_S = 2.0
REHEARSAL_S = 160.0  # the daemon's own deadline plus a margin
WORDS = {
    "applied": "applied / 已生效",
    "staged": "waiting for its date / 待生效",
    "rejected": "REFUSED / 已拒绝",
    "rolled-back": "ROLLED BACK / 已退回",
}


class Fleet(NamedTuple):
    """The halls to send to; ``version``: the highest version of the document (policy or key list) that any of them has
    reported, 0 if none has.
    """

    halls: tuple[str, ...]
    version: int


def filters(report: Topic = topics.POLICY_REPORT) -> list[str]:
    """The topic filters to subscribe to before sending to many halls; ``report``: the topic on which halls answer."""
    return [topics.STATUS.filter, report.filter]


def find_halls(
    talk: Conversation,
    halls: tuple[str, ...],
    group: str | None,
    report: Topic = topics.POLICY_REPORT,
    members_s: float = 0.0,
) -> Fleet:
    """Find the halls to send to: ``halls``, or those whose status names ``group``.

    ``members_s``: seconds to listen for members; 0: until nothing has arrived for ``QUIET_S``.
    """
    versions, members = [0], list[str]()
    for message in talk.receive(members_s) if members_s else talk.receive(RETAINED_S, QUIET_S):
        hall, body = _parsed(message)
        if message.topic == report.at(hall=hall) and (not halls or hall in halls):
            named = [body.get("applied"), body.get("desired")]
            versions += [int(one.get("version", 0)) for one in named if isinstance(one, dict)]
        elif message.topic == topics.status(hall) and group is not None and body.get("group") == group:
            members.append(hall)
    return Fleet(halls or tuple(sorted(set(members))), max(versions))


def last_reports(
    talk: Conversation, halls: tuple[str, ...], group: str | None, report: Topic
) -> dict[str, dict[str, Any]]:
    """By hall id, the newest message that each hall retains on its topic ``report``; {} for a hall without one. The
    halls are ``halls`` and those whose status says that they belong to ``group``.
    """
    retained, members = dict[str, dict[str, Any]](), set(halls)
    for message in talk.receive(RETAINED_S, QUIET_S):
        hall, body = _parsed(message)
        if message.topic == report.at(hall=hall):
            retained[hall] = body
        elif message.topic == topics.status(hall) and group is not None and body.get("group") == group:
            members.add(hall)
    return {hall: retained.get(hall, {}) for hall in sorted(members)}


def follow(
    talk: Conversation,
    fleet: Fleet,
    sha256: str,
    wait_s: float,
    report: Topic = topics.POLICY_REPORT,
    group: str | None = None,
) -> bool:
    """Print each hall's answer as it arrives, then the halls without one; returns whether all accepted.

    ``sha256``: hash of the document sent, by which answers to it are told from others; ``wait_s``: seconds to wait for
    an answer. A hall that says it is rehearsing the policy (simulating recorded days under it) gets ``REHEARSAL_S``
    seconds more. ``group``: members that are first seen meanwhile are included.
    """
    following = _Following(fleet.halls, sha256, report, group)
    for seconds in (wait_s, REHEARSAL_S):
        following.listen(talk, seconds)
        for hall in following.give_up_on_silent():
            typer.echo(f"{hall}: NO ANSWER in {wait_s:g} s / 没有回应")
    for hall in sorted(following.waiting):
        typer.echo(f"{hall}: still rehearsing after {REHEARSAL_S:g} s / 仍在预演")
    return not following.waiting and not following.bad


class _Following:
    """The state of waiting for many halls' answers. ``waiting``: halls that have not answered; ``bad``: how many
    refused or stayed silent.
    """

    def __init__(self, halls: Iterable[str], sha256: str, report: Topic, group: str | None) -> None:
        self.waiting = set(halls)
        self.bad = 0
        self._known, self._rehearsing = set(self.waiting), set[str]()
        self._sha256, self._report, self._group = sha256, report, group

    def listen(self, talk: Conversation, seconds: float) -> None:
        """Listen for answers, at most ``seconds``. Return earlier once every hall has answered; for a group only after
        ``QUIET_S`` without a message, because further members may appear.
        """
        deadline_s = monotonic_s() + seconds
        while (left_s := deadline_s - monotonic_s()) > 0:
            if not self.waiting and self._group is None:
                return
            message = next(talk.receive(left_s, None if self.waiting else QUIET_S), None)
            if message is None:
                return
            self._take(message)

    def give_up_on_silent(self) -> list[str]:
        """Stop waiting for halls that sent neither an answer nor a notice of rehearsal, and count them as bad; returns
        their ids.
        """
        silent = sorted(self.waiting - self._rehearsing)
        self.waiting -= set(silent)
        self.bad += len(silent)
        return silent

    def _take(self, message: ReceivedMessage) -> None:
        hall, body = _parsed(message)
        if (
            message.topic == topics.status(hall)
            and self._group is not None
            and body.get("group") == self._group
        ):
            self._join(hall)
        if message.topic != self._report.at(hall=hall) or message.retain:
            return
        rehearsing, answer = rehearses(body, self._sha256), answer_to(body, self._sha256)
        if self._group is not None and (rehearsing or answer is not None):
            self._join(hall)
        if hall not in self.waiting:
            return
        if rehearsing:
            self._rehearsing.add(hall)
        if answer is not None:
            self.waiting.remove(hall)
            self.bad += answer.verdict not in GOOD
            _print_state(hall, answer)

    def _join(self, hall: str) -> None:
        if hall not in self._known:
            self._known.add(hall)
            self.waiting.add(hall)


def _print_state(hall: str, answer: FleetAnswer) -> None:
    typer.echo(f"{hall}: {WORDS[answer.verdict]}")
    for text in (answer.message, answer.message_zh):
        if text:
            typer.echo(f"  {text}")
    if answer.left_out:
        names = answer.left_out
        typer.echo(
            f"  not in this hall, left out: {', '.join(names)} / 本大厅没有，不适用：{'、'.join(names)}"
        )


def _parsed(message: ReceivedMessage) -> tuple[str, dict[str, Any]]:
    parts = message.topic.split("/")
    return parts[1] if len(parts) > 1 else "", message.body
