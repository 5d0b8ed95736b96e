"""A visitor's own page (``/t/{token}``): the address that is printed as a QR code beside the number.

The token is a keyed hash (BLAKE2b, RFC 7693) of the ticket under a secret that is drawn once, outside, and kept in the
journal: a restart and a replay give the same address, and nobody finds it from a number. It names no person.
"""

from __future__ import annotations

from hashlib import blake2b

from edged.core.model.events import TicketSecretDrawn
from edged.core.model.state import State, Ticket
from edged.core.model.turn import Turn

TOKEN_BYTES = 16  # 128 bits: nobody guesses one, however many are tried


def draw(turn: Turn, event: TicketSecretDrawn) -> None:
    """Store the secret, unless there is one already: printed page addresses are made with it."""
    turn.state.ticket_secret = turn.state.ticket_secret or event.secret


def token(state: State, ticket: Ticket) -> str | None:
    """32 hexadecimal digits for this ticket; None while there is no secret.

    The time of issue is part of it: after a restore ids may be given again, and old paper must not show somebody else.
    """
    if not state.ticket_secret:
        return None
    what = f"{ticket.id}/{ticket.issued_ms}".encode()
    return blake2b(what, key=bytes.fromhex(state.ticket_secret), digest_size=TOKEN_BYTES).hexdigest()


def url(turn: Turn, ticket: Ticket) -> str | None:
    """Where this visitor looks; None if the hall has no such pages."""
    site = turn.lookup.site
    own = None if site.tickets_url is None else token(turn.state, ticket)
    return None if own is None else f"{site.tickets_url}/t/{own}"
