"""Which numbers were given today, so that none is given twice, even long after its visitor has left.

The numbers of tickets that are still in the state are found in ``State.used_numbers``. Older ones are stored as
half-open ranges ``[start, end)`` for each prefix and count of digits: a few dozen bounds for a day of a hundred
thousand visitors, instead of 13 MB.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from unicodedata import normalize

from edged.core.model.state import State, Ticket

DIGITS_MAX = 9  # digits at the end of a number; the rest is its prefix


def given(state: State, number: str) -> bool:
    """Whether this number was given today."""
    if number in state.used_numbers:
        return True
    run, count = _counted(number)
    return bisect_right(state.past_numbers.get(run, ()), count) % 2 == 1


def spelled(number: str) -> str:
    """Return a typed number as it is printed: in half-width capitals and without spaces."""
    return "".join(normalize("NFKC", number).split()).upper()


def ticket_gone(state: State, ticket: Ticket) -> None:
    """Record that ``ticket`` is removed from the state; its number, if it is today's, stays marked as given."""
    if state.used_numbers.get(ticket.number) != ticket.id:
        return  # another day's, or the queue system called the number again since
    del state.used_numbers[ticket.number]
    mark_given(state, ticket.number)


def mark_given(state: State, number: str) -> None:
    """Mark ``number`` as given today, although no ticket in the state has it."""
    run, count = _counted(number)
    bounds = state.past_numbers.setdefault(run, [])
    if bisect_right(bounds, count) % 2 == 1:
        return  # the queue system called it again after its first ticket was gone
    for bound in (count, count + 1):  # adjacent ranges are merged
        at = bisect_left(bounds, bound)
        if bounds[at : at + 1] == [bound]:
            del bounds[at]
        else:
            bounds.insert(at, bound)


def _counted(number: str) -> tuple[str, int]:
    """The key of ``past_numbers`` for a number ("3A" for A007: three digits, prefix A), and its digits as an
    integer.
    """
    digits = min(len(number) - len(number.rstrip("0123456789")), DIGITS_MAX)
    at = len(number) - digits
    return f"{digits}{number[:at]}", int(number[at:] or 0)
