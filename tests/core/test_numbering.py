"""Numbers of today whose tickets are forgotten: still given, in a few bounds."""

from __future__ import annotations

from random import Random

from edged.core.model.point import Point
from edged.core.model.state import State, Ticket
from edged.core.queue import numbering


def _give_number_and_leave(state: State, number: str, ticket: int) -> None:
    """Give ``number`` to a ticket, and let its visitor leave."""
    state.used_numbers[number] = ticket
    known = Ticket(ticket, number, "tax", "normal", 0, 0, Point("disp"))
    numbering.ticket_gone(state, known)


def test_a_given_number_stays_given_in_whatever_order_the_visitors_leave() -> None:
    for seed in range(60):
        chance, state, model = Random(seed), State(), set[str]()
        pool = [f"{prefix}{n:0{width}d}" for prefix in ("A", "", "窗") for width in (1, 3) for n in range(12)]
        pool += ["A", "", "B7C", "A0000000000007", "１２"]
        for ticket in range(1, 60):
            number = chance.choice(pool)
            _give_number_and_leave(state, number, ticket)
            model.add(number)
            wrong = [one for one in pool if numbering.given(state, one) != (one in model)]
            assert not wrong, f"seed {seed}: after {number} wrong about {wrong}"
        for bounds in state.past_numbers.values():
            assert bounds == sorted(set(bounds)), f"seed {seed}"
            assert len(bounds) % 2 == 0, f"seed {seed}: {bounds}"


def test_the_numbers_given_on_a_long_day_are_stored_as_few_ranges() -> None:
    state = State()
    order = list(range(1, 20_001))
    chance = Random(7)
    for at in range(0, len(order), 50):  # visitors leave a little out of order
        part = order[at : at + 50]
        chance.shuffle(part)
        order[at : at + 50] = part
    most = 0
    for ticket in order:
        _give_number_and_leave(state, f"T{ticket:06d}", ticket)
        most = max(most, len(state.past_numbers["6T"]))
    assert state.past_numbers == {"6T": [1, 20_001]}
    assert most <= 60
    assert not state.used_numbers


def test_a_number_is_released_only_by_the_ticket_it_now_belongs_to() -> None:
    state = State(used_numbers={"A001": 7})
    numbering.ticket_gone(state, Ticket(3, "A001", "tax", "normal", 0, 0, Point("disp")))
    assert state.used_numbers == {"A001": 7}, "the queue system called it again: ticket 7"
    assert not state.past_numbers
