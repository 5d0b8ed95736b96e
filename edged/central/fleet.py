"""Evaluates the reports of halls about one policy, for the commands that push it to many halls."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Verdict = Literal["applied", "staged", "rejected", "rolled-back"]
GOOD: frozenset[str] = frozenset({"applied", "staged"})


class FleetAnswer(NamedTuple):
    """One hall's answer to a push. ``message`` is "" if there is nothing to explain; ``left_out``: names in the policy
    that match nothing in that hall.
    """

    verdict: Verdict
    message: str = ""
    message_zh: str = ""
    left_out: tuple[str, ...] = ()


def answer_to(report: Any, sha256: str) -> FleetAnswer | None:
    """Return the hall's answer to one policy from ``report``, its ``policy/report`` message; None if the report is
    about another policy or has no result yet (rehearsing). ``sha256``: hash of the policy's payload.
    """
    if not isinstance(report, dict):
        return None
    desired, reason, state = report.get("desired"), report.get("reason"), report.get("state")
    if not isinstance(desired, dict) or desired.get("sha256") != sha256:
        return None
    if state not in ("applied", "staged", "rejected", "rolled-back"):
        return None
    why = reason if isinstance(reason, dict) else {}
    path = f"{why['path']}: " if why.get("path") else ""
    message, message_zh = (f"{path}{why[key]}" if why.get(key) else "" for key in ("message", "message_zh"))
    names = report.get("left_out") if state == "applied" else None
    return FleetAnswer(state, message, message_zh, tuple(map(str, names if isinstance(names, list) else ())))


def rehearses(report: Any, sha256: str) -> bool:
    """Whether ``report`` says that this policy is being rehearsed (the final report is still to come)."""
    desired = report.get("desired") if isinstance(report, dict) else None
    return (
        isinstance(desired, dict) and desired.get("sha256") == sha256 and report.get("state") == "rehearsing"
    )
