"""Parses transcript lines about reports that do not come from the hall's devices: from another queue system, the centre
or the daemon itself.
"""

from __future__ import annotations

from typing import Any

from edged.core.model import events as ev
from edged.core.model.point import Point


def sent(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Separate from a line's ``words`` how the message was delivered; returns the other words and the event's fields:
    ``again`` (the broker repeats the message), ``boot=name`` (the id of the device's start after which it sent the
    message).
    """
    how: dict[str, Any] = {"again": True} if words[-1] == "again" else {}
    boots = [word for word in words if word.startswith("boot=")]
    if boots:
        how["boot"] = boots[0].removeprefix("boot=")
    return [word for word in words if word != "again" and word not in boots], how


def reported(plain: list[str], named: dict[str, str], seq: int | None) -> ev.Event | None:
    """The event of a line about a queue system (follow mode), the centre's documents or the daemon; None for any other
    line. ``plain``: its words; ``named``: its ``key=value`` words.
    """
    queue = named.get("from", "queue")
    match plain:
        case ["called", number, window, *service]:
            return ev.CallReported(Point(queue), number, window, service[0] if service else None, seq)
        case ["ended", window, *number]:
            outcome: Any = named.get("outcome", "served")
            return ev.EndReported(Point(queue), window, number[0] if number else None, outcome, seq)
        case ["queued", service, *numbers]:
            return ev.QueueReported(Point(queue), service, tuple(numbers), seq)
        case ["seated", window, word]:
            return ev.WindowReported(Point(queue), window, word == "yes", seq)
        case ["rejected", kind, code, *called]:
            return ev.DocumentRejected(kind, code, " ".join(called))  # type: ignore[arg-type]
        case ["keys-listed", version, keys, gone]:
            return ev.KeyListTaken(int(version), f"{int(version):08x}", int(keys), int(gone))
        case ["clock-doubted", wall]:
            return ev.ClockDoubted(int(wall))
        case ["misread", device, what, reason]:
            return ev.InputRefused(Point(device), what, reason)
        case ["safe-mode", word]:
            return ev.SafeModeSet(word == "on")
        case ["renewed", epoch, lost, *numbers]:
            given = tuple(
                (service, int(number)) for service, number in zip(numbers[::2], numbers[1::2], strict=True)
            )
            skips = tuple(
                (service, int(most))
                for service, most in (one.split(":") for one in named.get("skips", "").split(",") if one)
            )
            return ev.JournalRenewed(int(epoch), int(lost), int(named.get("today", 0)), given, skips)
        case ["kept", *places]:  # A001/w1/CALLED A002/-/SERVED w2:OPEN:tax next=N unsure=a1,a2 cases=N
            return _kept(places, named)
        case ["roster", said, staff, by, *areas]:
            return ev.RosterTold(staff, said, by, tuple(areas))  # type: ignore[arg-type]
        case ["goon", number, by, *first]:
            return ev.GoneOn(number, by, first[0] if first else None)
        case ["secret", digits]:
            return ev.TicketSecretDrawn(digits * 64)
        case ["machine", alarm, subject, word]:
            return ev.MachineTold(alarm, subject, word == "on", named.get("detail"))  # type: ignore[arg-type]
    return None


def _kept(places: list[str], named: dict[str, str]) -> ev.OutcomeKept:
    visits, windows = [], []
    for place in places:
        if ":" in place:
            window, state, *area = place.split(":")
            windows.append(ev.KeptWindow(window, state, area[0] if area else None))
        else:
            number, window, state = place.split("/")
            visits.append(
                ev.KeptVisit(
                    number, "tax-general", state, window if window != "-" else None, point=Point("disp")
                )
            )
    unsure = tuple(named["unsure"].split(",")) if "unsure" in named else ()
    given = (int(named.get("next", 1)), unsure, int(named.get("cases", 0)))
    return ev.OutcomeKept(tuple(visits), tuple(windows), *given)
