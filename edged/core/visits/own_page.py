"""The address of a visitor's own page (``/t/{token}``), printed as a QR code beside the number.

The token is a keyed hash (BLAKE2b, RFC 7693) of the ticket. Its secret is drawn at random once by the daemon and stored
in the journal, so that a restart and a replay give the same address, and nobody can compute it from a number. It
contains nothing about a person.
"""

from __future__ import annotations

from hashlib import blake2b

from edged.core.model.events import TicketSecretDrawn
from edged.core.model.state import State, Ticket
from edged.core.model.turn import Turn

TOKEN_BYTES = 16  # 128 bits: cannot be guessed


def draw(turn: Turn, event: TicketSecretDrawn) -> None:
    """Store the secret of the addresses. If there is one already it stays, because addresses made with it are on
    paper.
    """
    turn.state.ticket_secret = turn.state.ticket_secret or event.secret


def token(state: State, ticket: Ticket) -> str | None:
    """The token of this ticket, 32 hexadecimal digits; None while there is no secret.

    The time of issue is part of it: after a restore from backup ids may be given again, and an old address must not
    show another visitor.
    """
    if not state.ticket_secret:
        return None
    what = f"{ticket.id}/{ticket.issued_ms}".encode()
    return blake2b(what, key=bytes.fromhex(state.ticket_secret), digest_size=TOKEN_BYTES).hexdigest()


def url(turn: Turn, ticket: Ticket) -> str | None:
    """The address of this visitor's page; None if the hall has no such pages."""
    site = turn.lookup.site
    own = None if site.tickets_url is None else token(turn.state, ticket)
    return None if own is None else f"{site.tickets_url}/t/{own}"
