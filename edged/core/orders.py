"""The outcome of a signed order as a note (and so an event for the city): ``operation.done`` or ``operation.refused``,
with the order's id.

An answer on a response topic needs MQTT 5 on every connection to the sender; an event does not, and is stored until the
centre has it. The texts are those of the answer.
"""

from __future__ import annotations

from edged.core.model.events import DocumentRejected, Event
from edged.core.model.turn import Turn
from edged.core.people.answers import ACCEPTED, ORDERED, answer_of


def note_outcome(turn: Turn, event: Event) -> None:
    """Note the outcome of the signed order from which ``event`` was made; called at the end of the event's turn. Does
    nothing if the event comes from no order.
    """
    order: str = getattr(event, "order", "")
    if not order or isinstance(event, DocumentRejected):  # noted by its own handler
        return
    answer = answer_of(turn.lookup, turn.notes, ACCEPTED | ORDERED)
    if answer is None:
        turn.note("operation.done", order, id=order)
    elif answer.code:
        code = answer.code.replace("_", "-")
        turn.note(
            "operation.refused", order, id=order, code=code, message=answer.text_en, message_zh=answer.text
        )
    else:
        turn.note("operation.done", order, id=order, message=answer.text_en, message_zh=answer.text)
