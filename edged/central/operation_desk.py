"""Receives operations (orders to the hall): verifies them, puts them into the inbox, answers. Rules of this file:

* Only the signature decides, not who may publish on ``ops/{operation}``; a retained message is never an order.
* An order becomes a core event; the counter that prevents a replay is committed together with that event's step.
* The answer is sent to the MQTT 5 response topic after the commit and says what the hall did: {ok, code, message,
  message_zh, id}. The same document again is answered but not carried out again.
* Answers are sent only to the topics for them (``hall/{hall}/answer/…``); one requested elsewhere is dropped and
  counted. The outcome of an order is also an event (``operation.done|refused``), which always reaches the centre.
* The same answer is in a page part (``page/answers``), which works without MQTT 5, too.
* An order on which this program fails is refused from then on (``condemned.py``): no order ends the process twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from edged import personal
from edged.central import topics
from edged.central.audience import Audience, LastOrder, Order, Past, Trusted
from edged.central.condemned import Condemned
from edged.central.policy_desk import DeskLedger, PolicyDesk, Put, TellRefusal
from edged.central.refusals import DocumentRefused, Reason, reason
from edged.core.model.commands import Note
from edged.core.model.events import Event
from edged.core.model.lookup import Lookup
from edged.core.model.site import Site
from edged.core.people.answers import ACCEPTED, ORDERED, KeyAnswer, answer_of
from edged.driver import Refused, Reject, Unreachable
from edged.logs import REFUSALS_BURST, REFUSALS_PER_S, Allowance
from edged.observer import Observer, Step
from edged.store.records import Attachments, MetaLine
from edged.store.uplink import COUNTERS

NOWHERE = Site("", "", (), (), ())  # until the core has its site
OF_DIGITS = 32  # of the SHA-256 of an order's bytes, which identify its answer in the page part
KEYS_MAX = 64  # counters remembered: four times the keys that a hall may trust at once
_A_NAME = re.compile(
    r"[a-z][a-z-]{0,31}"
)  # the form of operation names that may be logged before the signature is checked
REQUEST_FORM = r"[A-Za-z0-9_.-]{1,64}"

log = structlog.get_logger("edged.central")


class OrderMessage(Protocol):
    """The part of ``edged.links.mqtt.Message`` that ``OperationDesk`` needs to handle an order and answer it. A
    Protocol, so that a test can hand orders over without a broker.
    """

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def retain(self) -> bool: ...
    @property
    def ack(self) -> Callable[[], None]: ...
    @property
    def response_topic(self) -> str | None: ...


class Answering(Protocol):
    """What the operation desk needs of the broker: to receive orders and to answer each on its response topic.
    ``MqttLink`` does it in the daemon; a Protocol, so that a test needs no broker.
    """

    def subscribe(self, topic_filter: str, handler: Callable[[Any], None]) -> None: ...
    def respond(self, request: Any, payload: bytes) -> bool: ...


class OrderLedger(DeskLedger, Protocol):
    """What the operation desk needs of the journal, besides what every desk needs: the last counter of each signer. A
    Protocol, so that a test needs no journal on disk.
    """

    @property
    def counters(self) -> str: ...


@dataclass(slots=True)
class _OpenOrder:
    """An order that was given to the core, with the notes of the step that handled it (known after that step)."""

    order: Order
    request: OrderMessage
    notes: Sequence[Note] = ()


class OperationDesk(Observer):
    """Handles ``ops/{operation}`` for one hall. As an observer of the loop it learns the outcome of each order."""

    def __init__(
        self,
        audience: Audience,
        trusted: Callable[[], Trusted],
        link: Answering,
        put: Put,
        wall_ms: Callable[[], int],
        *,
        ledger: OrderLedger,
        policies: PolicyDesk,
        condemned: Condemned,
        reject: Reject,
        site: Callable[[], Site | None],
        refused: TellRefusal,
        answered: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._audience = audience
        self._for_answers = re.compile(topics.answer(re.escape(audience.hall), REQUEST_FORM))
        self._trusted = trusted
        self._lines = Allowance(REFUSALS_BURST, REFUSALS_PER_S)
        self._link = link
        self._ledger = ledger
        self._put = put
        self._counters = _read(ledger.counters)
        self._asked: dict[int, _OpenOrder] = {}  # by identity of the event; at most the inbox's depth
        self._site = site
        self._wall_ms = wall_ms
        self._policies = policies
        self._condemned = condemned
        self._reject = reject
        self._refused = refused
        self._answered = answered

    def start(self) -> None:
        """Subscribe to the topics of operations."""
        self._link.subscribe(topics.operation(self._audience.hall, "+"), self.receive)

    def step(self, step: Step, decision_s: float) -> None:
        """As an observer: store the notes of a step that handled an order, which contain the core's answer."""
        asked = self._asked.get(id(step.event))
        if asked is not None:
            asked.notes = step.notes

    def receive(self, request: OrderMessage) -> None:
        """Handle a message on ``ops/+``: an operation."""
        name = request.topic.rpartition("/")[2]
        try:
            self._condemned.check(request.payload)
            order = self._accept(request, name)
            if order.again:
                self._answer(request, None, order.id)
                request.ack()
            elif order.event is None:
                self._roll_back(order, request)
            else:
                self._hand_over(order, order.event, request)
        except DocumentRefused as refusal:
            self._refuse(request, refusal.reasons[0], name)
        except Exception as error:  # noqa: BLE001 - whatever it is, this document caused it
            self._refuse(request, self._condemned.failed(request.payload, error).reasons[0], name)

    def _accept(self, request: OrderMessage, name: str) -> Order:
        if request.retain:
            raise DocumentRefused(reason("retained"))
        past = Past(self._wall_ms(), self._counters)
        from edged.central import operations  # loaded with the first order: few starts have any

        order = operations.accept(request.payload, name, self._trusted(), self._audience, past)
        if not self._ledger.durable and not order.again:
            raise DocumentRefused(reason("no-storage"))
        if order.event is None:
            return order
        return order._replace(event=operations.with_ids(order.event, self._site() or NOWHERE))

    def _hand_over(self, order: Order, event: Event, request: OrderMessage) -> None:
        asked = self._asked[id(event)] = _OpenOrder(order, request)
        self._condemned.handed_over(event, request.payload)
        if not self._put(
            event, lambda: self._committed(event, asked), Attachments(line=self._line_with(order))
        ):
            self._forget(event)
            raise DocumentRefused(reason("busy"))
        self._count(order)

    def _roll_back(self, order: Order, request: OrderMessage) -> None:
        policies = self._ledger.policies()
        last = policies.last_good
        if last is None:
            raise DocumentRefused(reason("no-earlier-policy"))
        if order.version not in (None, last.version):
            raise DocumentRefused(
                reason("not-in-force", "body.version", found=order.version, now=last.version)
            )
        earlier = policies.earlier(last.version, self._policies.left_versions)
        if earlier is None:
            raise DocumentRefused(reason("no-earlier-policy"))
        asked = _OpenOrder(order, request)
        self._policies.roll_back(
            earlier.envelope, self._line_with(order), lambda: self._done(asked), order.id
        )
        self._count(order)

    def _line_with(self, order: Order) -> MetaLine:
        counters = self._counters | {order.keyid: order.counter}
        return MetaLine(COUNTERS, json.dumps({key: list(counter) for key, counter in counters.items()}))

    def _count(self, order: Order) -> None:
        self._counters.pop(order.keyid, None)
        self._counters[order.keyid] = order.counter
        while len(self._counters) > KEYS_MAX:
            del self._counters[next(iter(self._counters))]

    def _forget(self, event: Event) -> None:
        self._condemned.survived(event)
        self._asked.pop(id(event), None)

    def _committed(self, event: Event, asked: _OpenOrder) -> None:
        self._forget(event)
        self._done(asked)

    def _done(self, asked: _OpenOrder) -> None:
        try:
            self._send_answer(asked)
        except Exception as error:  # noqa: BLE001 - it is done: only the answer failed
            log.error(
                "operation-answer-failed",
                error=type(error).__name__,
                detail=str(error),
                effect="the order was handled, its answer was not sent",
                remedy="a fault of this program: send `edged diagnose` to support",
            )
        asked.request.ack()

    def _send_answer(self, asked: _OpenOrder) -> None:
        order = asked.order
        answer = answer_of(Lookup(self._site() or NOWHERE), asked.notes, ACCEPTED | ORDERED)
        refused = answer is not None and answer.code
        log.info(
            "operation-accepted",
            operation=order.name,
            by=order.by,
            id=order.id,
            counter=order.counter.value,
            refused_by_core=refused or None,
        )
        if answer is not None and refused:
            self._answer(asked.request, _not_done(answer), order.id)
        else:
            self._answer(asked.request, None, order.id, answer)

    def _refuse(self, request: OrderMessage, why: Reason, name: str) -> None:
        named = name if _A_NAME.fullmatch(name) and not personal.names_a_person(name) else "?"
        left_out = self._lines.take()
        if left_out is not None:
            log.warning(
                "operation-refused",
                operation=named,
                code=why.code,
                path=why.path,
                detail=why.message,
                effect="the order is not carried out; a sender who asked for an answer gets the same reason",
                remedy="correct what detail names and send the order again",
                **left_out,
            )
        self._answer(request, why, None)
        from edged.central.operations import claimed_id

        self._refused(why, named, claimed_id(request.payload))
        request.ack()

    def _answer(
        self, request: OrderMessage, why: Reason | None, id_: str | None, done: KeyAnswer | None = None
    ) -> None:
        body = {"ok": why is None, "code": "done", "message": "done", "message_zh": "已执行", "id": id_}
        if done is not None:  # says when it acts, or why not at once
            body |= {"message": done.text_en, "message_zh": done.text}
        if why is not None:
            path = f"{why.path}: " if why.path else ""
            body |= {
                "code": why.code,
                "message": path + why.message,
                "message_zh": path + why.message_zh,
            }
        self._answered(hashlib.sha256(request.payload).hexdigest()[:OF_DIGITS], body)
        target = request.response_topic
        if target is None:
            return
        if not self._for_answers.fullmatch(target):
            self._withhold(target)
            return
        try:
            self._link.respond(request, json.dumps(body, ensure_ascii=False).encode())
        except Unreachable:
            log.debug(
                "operation-answer-lost",
                topic=target[:80],
                reason="no connection to the broker",
                effect="the answer is not sent again",
            )
        except Refused:
            self._withhold(target)

    def _withhold(self, target: str) -> None:
        """Count and log that no answer is sent because the sender named a topic that is not for answers. The order
        itself is handled as usual.
        """
        self._reject("answer_topic", "an order asked for its answer on a topic that is not for answers")
        log.debug(
            "operation-answer-withheld",
            topic=target[:80],
            reason="the sender asked for it on a topic that is not for answers",
            effect="the order is handled, its sender gets no answer",
        )


def _not_done(answer: KeyAnswer) -> Reason:
    refusal = reason("not-done", detail=answer.text_en, detail_zh=answer.text)
    return Reason(answer.code.replace("_", "-"), "", refusal.message, refusal.message_zh)


def _read(stored: str) -> dict[str, LastOrder]:
    try:
        found = json.loads(stored or "{}")
        return {str(key): LastOrder(int(value), str(sha256)) for key, (value, sha256) in found.items()}
    except (ValueError, TypeError, AttributeError):
        log.error(
            "operation-counters-unreadable",
            reason="the journal holds no readable record of the signed operations carried out before",
            effect="an operation that is sent a second time is carried out a second time while its dates are valid",
            remedy="send `edged diagnose` to support; after a day no earlier operation is valid any more",
        )
        return {}
