"""Which numbers were given today, so that none is given twice, however long ago its visitor went home.

The numbers of tickets still in the state are looked up by ``State.used_numbers``. Those of older tickets are stored as
half-open ranges ``[start, end)`` per prefix and width of the digits: a day of a hundred thousand visitors takes a few
dozen bounds this way, not thirteen megabytes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from unicodedata import normalize

from edged.core.model.state import State, Ticket

DIGITS_MAX = 9  # of a number that are counted; what stands in front of them is its prefix


def given(state: State, number: str) -> bool:
    """Whether this number was given today."""
    if number in state.used_numbers:
        return True
    run, count = _counted(number)
    return bisect_right(state.past_numbers.get(run, ()), count) % 2 == 1


def spelled(number: str) -> str:
    """A number as it is printed on paper, for one typed in full width, with spaces or in small letters."""
    return "".join(normalize("NFKC", number).split()).upper()


def ticket_gone(state: State, ticket: Ticket) -> None:
    """Record that ``ticket`` leaves the state; its number, if it is of today, stays marked as given."""
    if state.used_numbers.get(ticket.number) != ticket.id:
        return  # another day's, or the queue system called the number again since
    del state.used_numbers[ticket.number]
    mark_given(state, ticket.number)


def mark_given(state: State, number: str) -> None:
    """Mark ``number`` as given today, though no ticket in the state has it."""
    run, count = _counted(number)
    bounds = state.past_numbers.setdefault(run, [])
    if bisect_right(bounds, count) % 2 == 1:
        return  # the queue system called it again after its first ticket was gone
    for bound in (count, count + 1):  # where two runs meet, neither begins nor ends any more
        at = bisect_left(bounds, bound)
        if bounds[at : at + 1] == [bound]:
            del bounds[at]
        else:
            bounds.insert(at, bound)


def _counted(number: str) -> tuple[str, int]:
    """The run that a number belongs to ("3A" for A007), and its place there."""
    digits = min(len(number) - len(number.rstrip("0123456789")), DIGITS_MAX)
    at = len(number) - digits
    return f"{digits}{number[:at]}", int(number[at:] or 0)
