"""Driver of one JSON device on the hall's broker. Rules:

1. A message from the device is acknowledged to the broker (PUBACK) when its event is on disk; the event of a refused
   message is the refusal. A message that causes no event is acknowledged immediately. A retained message is outdated
   and refused; only ``status`` is meant to be retained.
2. Output values are retained messages, so that a device that reconnects gets them.
3. An action is sent once, with an expiry, and counts as done only when the device answers. It is sent a second time in
   three cases: a page (a call for a member of staff), if the pager comes online after it was sent; any action for which
   the broker had no subscriber, if the device comes online in time; a ticket, if the dispenser repeats its request.
4. A device counts as present when its ``status`` says so, and from its first message on, whatever its status says: a
   retained "offline" may be a will that is older than the device's last start. A retained status does not make a device
   lost that has sent a message since the link to the broker came up. While that link is down all devices are lost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from devices.mqtt_json.codec import (
    MODELS,
    Done,
    Semantics,
    Status,
    Unfit,
    decode,
    encode_action,
    encode_level,
    to_event,
)
from edged.core.model.commands import Action, Page, Print, Value, without_request
from edged.core.model.events import CommandFailed, InputRefused, TicketRequested
from edged.core.model.losses import NOT_LISTENING, OFFLINE, OUR_LINK
from edged.core.model.point import Point, point_of
from edged.driver import REASSERT_S, DeviceContext, DisplaySize, Options, Presence, Refused, Unreachable
from edged.links.mqtt.attached import attached

if TYPE_CHECKING:  # the link loads the MQTT library, which `edged check` does without
    from edged.links.mqtt.link import Message

ANSWER_S = 14.0  # real seconds for ``up/done``; the longest announcement, spoken twice, and inside the outputs' limit
EXPIRY_S = 15  # an action that waited longer at the broker would be about a visitor long served
URGENT = ("lamp", "display")  # sent before the step is journaled, for visitors; panels follow
REFUSALS_MAX = (
    10  # refused messages reported to the core at once, then one a second: people are slower than that
)
PENDING_MAX = 100  # actions waiting for ``up/done``: as many as outputs queue for a device

Kind = Literal["dispenser", "panel", "evaluator", "counter", "pager", "display", "lamp", "voice", "queue"]
# What each kind of device may report besides status, health and done.
INPUTS: dict[Kind, frozenset[str]] = {
    "dispenser": frozenset({"ticket", "request"}),
    "panel": frozenset({"key", "rating"}),
    "queue": frozenset({"ticket", "call", "end", "queue", "window"}),
    "evaluator": frozenset({"rating"}),
    "counter": frozenset({"count"}),
    "pager": frozenset({"key"}),
    "display": frozenset(),
    "lamp": frozenset(),
    "voice": frozenset(),
}
REPORTERS = frozenset({"dispenser", "counter", "queue"})  # used without being named elsewhere in hall.toml
COMMON = frozenset({"status", "health", "done"})


class MqttJsonOptions(Options, frozen=True):
    """Options of one JSON device. ``kind``: what it is, which limits what it may report (None: it may report anything).
    ``count``: for a counter, the form of its reports.

    ``rows`` and ``columns``: the size of a display, in half-width characters; a Chinese character takes two columns.
    """

    kind: Kind | None = None
    count: Semantics | None = None
    rows: Annotated[int, Meta(ge=1, le=50)] | None = None
    columns: Annotated[int, Meta(ge=4, le=400)] | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if (self.rows is None) != (self.columns is None):
            raise ValueError("rows and columns come together; give both, or neither")

    def topics(self, hall: str, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The topics on which a device of its kind publishes, and ``down/lamp``, which stands for all topics to which
        it subscribes.
        """
        root = f"hall/{hall}/dev/{device}"
        words = COMMON if self.kind is None else INPUTS[self.kind] | COMMON
        return tuple(f"{root}/up/{word}" for word in sorted(words)), (f"{root}/down/lamp",)

    def point_roles(self, channel: str) -> frozenset[str] | None:
        """The roles in which hall.toml may name the device: its kind, unless that only reports (dispenser, counter,
        queue). A panel may also be evaluator or pager, a pager also the duty manager's panel, a dispenser the printer
        of another device. None if hall.toml gives no kind: every role.
        """
        if self.kind is None:
            return None
        more = {"panel": {"evaluator", "pager"}, "pager": {"panel"}, "dispenser": {"printer"}}.get(
            self.kind, set()
        )
        return frozenset({self.kind} | more) - REPORTERS

    def reports(self) -> frozenset[str]:
        """The roles in which a device of its kind sends events without being named elsewhere in hall.toml; without a
        kind, all such roles.
        """
        return REPORTERS if self.kind is None else REPORTERS & {self.kind}

    def display_size(self, channel: str) -> DisplaySize | None:
        """The display size that hall.toml gives; None if it gives none."""
        if self.rows is None or self.columns is None:
            return None
        return DisplaySize(self.rows, self.columns)


class MqttJson:
    """Driver of one device, whose topics begin with ``hall/{hall}/dev/{device}``."""

    OPTIONS: ClassVar[type[Options]] = MqttJsonOptions
    LOSSES: ClassVar[frozenset[str]] = frozenset(
        {OUR_LINK, "offline", "silent", "broker-refuses", NOT_LISTENING}
    )
    deadline_s = 1.0  # levels are handed to the broker, which takes no time
    reassert_s = REASSERT_S
    pace_s = 0.1  # nobody can read a text that changes more often, and each costs five packets in the hall's network

    def __init__(self, context: DeviceContext, options: MqttJsonOptions) -> None:
        self._context = context
        self._device = context.point()
        self._root = f"hall/{context.hall}/dev/{context.device}"
        self._count = options.count
        self._allowed = frozenset(MODELS) if options.kind is None else INPUTS[options.kind] | COMMON
        self._presence = Presence(context)
        self._sent_live = False  # a message of its own was received since the link came up
        self._refusals, self._refusals_s = 0.0, 0.0
        self._hearsay = False  # lost because of a retained status: actions are tried all the same
        self._answers: dict[str, asyncio.Future[Done]] = {}
        self._pages: set[str] = set()  # ids of open pages, which may safely be sent again
        self._asked: dict[
            tuple[int, str | None], Action
        ] = {}  # paper under way, by the request that it answers
        self._offered: dict[str, Action] = {}  # actions that may be sent once more; removed then
        self._no_subscriber: set[str] = set()  # actions for which the broker had no subscriber
        self._deaf = False  # it has not subscribed, whatever its status says: actions are tried all the same

    async def run(self) -> None:
        """Receive the device's messages, and report its presence, until cancelled."""
        mqtt = self._context.mqtt

        def changed(up: bool, _reason: str) -> None:
            if not up:
                self._sent_live = self._hearsay = self._deaf = False
                self._presence.lost(OUR_LINK)
                self._give_up_pages()
            else:
                self._presence.unknown("silent")

        topic_filter = f"{self._root}/up/+"

        def refused(topic: str, why: str) -> None:
            if topic.startswith(f"{self._root}/") and why:
                self._presence.lost("broker-refuses", f"{topic}: {why}")
                for answer in self._answers.values():
                    if not answer.done():
                        answer.set_exception(Refused(f"the broker refuses {topic}: {why}"))

        with attached(mqtt, ((topic_filter, self._received),), changed, refused):
            if mqtt.connected:
                self._presence.unknown("silent")
            else:
                self._presence.lost(OUR_LINK)
            try:
                await asyncio.Event().wait()
            finally:
                self._presence.forget()

    async def show(self, point: Point, value: Value) -> None:
        """Publish ``value`` as ``put`` does. Does not wait for the device, because the broker keeps the retained
        message for it.
        """
        self.put(point, value)

    def put(self, point: Point, value: Value) -> None:
        """Publish ``value`` as a retained message for the device. Raises ``Unreachable`` while the link to the broker
        is down, ``Refused`` for a channel or a value that no device shows.
        """
        if point != self._device:
            raise Refused(f"{self._device} has no channels, asked for {point!r}")
        tail, payload = encode_level(value)
        self._context.mqtt.publish(f"{self._root}/down/{tail}", payload, retain=True, urgent=tail in URGENT)

    async def act(self, action: Action) -> None:
        """Send ``action`` and wait at most ``ANSWER_S`` for the device's answer. Raises ``Refused`` if the device
        refuses it, ``Unreachable`` if it is offline, does not answer, or has too many unanswered actions.
        """
        if self._presence.there is False and not (self._hearsay or self._deaf):
            raise Unreachable(OFFLINE)
        if len(self._answers) >= PENDING_MAX:
            raise Unreachable("too many unanswered actions")
        tail, payload = encode_action(action)
        topic = f"{self._root}/down/{tail}"
        answer = self._answers[action.id] = asyncio.get_running_loop().create_future()
        if isinstance(action.body, Page):
            self._pages.add(action.id)
            self._offered[action.id] = action
        asked = _request_of(action)
        if asked is not None:
            self._asked[asked] = action
        try:
            self._send(action, topic, payload)
            async with asyncio.timeout(ANSWER_S):
                done = await answer
        except TimeoutError:
            if action.id not in self._no_subscriber:
                raise Unreachable("no answer in time") from None
            raise self._no_listener(topic) from None
        finally:
            self._answers.pop(action.id, None)
            self._pages.discard(action.id)
            self._offered.pop(action.id, None)
            self._no_subscriber.discard(action.id)
            if asked is not None:
                self._asked.pop(asked, None)
        outcome = to_event(self._device, done)
        if isinstance(outcome, CommandFailed):
            raise Refused(outcome.error)

    def _send(self, action: Action, topic: str, payload: bytes) -> None:
        """Publish an action. If the broker reports that nobody has subscribed to ``topic``, keep it, to send it once
        more when the device comes online. Fail it at once if the device is already known not to have subscribed.
        """

        def on_no_subscriber() -> None:
            answer = self._answers.get(action.id)
            if answer is None or answer.done():
                return
            self._no_subscriber.add(action.id)
            self._offered[action.id] = action
            if self._deaf:  # it was tried before
                answer.set_exception(self._no_listener(topic))

        self._no_subscriber.discard(action.id)
        self._context.mqtt.publish(topic, payload, expiry_s=EXPIRY_S, on_no_subscriber=on_no_subscriber)

    def _no_listener(self, topic: str) -> Unreachable:
        """Report the device as lost, because it has not subscribed to ``topic``, whatever its status says. Returns the
        error to raise.
        """
        self._deaf = True
        self._presence.lost(NOT_LISTENING, topic)
        return Unreachable(f"{NOT_LISTENING}: nobody has subscribed to {topic}")

    def _give_up_pages(self) -> None:
        """Fail the unanswered pages (calls for members of staff), because the link to the broker is down and they may
        be lost: the core then sends them again. Paper and speech must not come twice, so their answers are still waited
        for.
        """
        for action in self._pages:
            answer = self._answers[action]
            if not answer.done():
                answer.set_exception(Unreachable(f"{OUR_LINK}: the link went before the pager answered"))

    def _offer_again(self) -> None:
        """Send unanswered pages, and actions that had no subscriber, once more, because the device came online only
        after they were sent.
        """
        offered, self._offered = self._offered, {}
        for action in offered.values():
            tail, payload = encode_action(replace(action, body=without_request(action.body)))
            with suppress(Refused, Unreachable):  # it waits for its answer, or for the link's end, as before
                self._send(action, f"{self._root}/down/{tail}", payload)

    def _answer_again(self, event: TicketRequested) -> None:
        """Send the ticket for a request once more. The device repeated the request, so it did not receive the
        ticket.
        """
        action = None if event.seq is None else self._asked.get((event.seq, event.boot))
        if action is not None:
            tail, payload = encode_action(action)
            with suppress(Refused, Unreachable):  # it waits for its answer, or for the link's end, as before
                self._send(action, f"{self._root}/down/{tail}", payload)

    def _received(self, message: Message) -> None:
        kind = message.topic[len(self._root) + 4 :]
        try:
            if message.retain and kind != "status":
                raise Unfit("retained", kind)
            if kind not in self._allowed:
                raise Unfit("unknown_topic" if kind not in MODELS else "unexpected", kind)
            self._accept(kind, message)
        except Unfit as unfit:
            self._context.reject(unfit.reason, f"{self._device} {unfit.detail}".rstrip())
            self._refuse(kind, unfit.reason, message)

    def _refuse(self, kind: str, reason: str, message: Message) -> None:
        """Tell the core that a message was refused, so that whoever pressed the key learns it. Only acknowledged to the
        broker are retained messages, those of the kinds in ``COMMON``, and more refusals than people can cause.
        """
        now_s = self._context.now_s()
        self._refusals = max(0.0, self._refusals - (now_s - self._refusals_s))
        self._refusals_s = now_s
        if message.retain or kind in COMMON or self._refusals >= REFUSALS_MAX:
            message.ack()
            return
        self._refusals += 1
        self._back(not message.again)
        what = kind if kind in MODELS else "unknown"
        self._context.emit(InputRefused(point_of(self._device), what, reason), message.ack)

    def _accept(self, kind: str, message: Message) -> None:
        if kind == "status" and not message.payload:
            message.ack()  # the retained status was cleared: says nothing about the device
            return
        decoded = decode(kind, message.payload)
        if decoded.unknown_keys:
            self._context.reject("unknown_key", f"{self._device} {kind}: {len(decoded.unknown_keys)} unknown")
        body = decoded.body
        if isinstance(body, Status):
            if body.state == "online":
                born = not (message.retain or message.again)
                self._deaf = self._deaf and not born
                self._back(not message.retain)
                if born:
                    self._offer_again()
            elif not (message.retain and self._sent_live):
                self._hearsay, self._deaf = message.retain, False
                self._presence.lost("offline")
            message.ack()
            return
        event = to_event(self._device, body, self._count, message.again)
        self._deaf = self._deaf and not isinstance(body, Done)
        if isinstance(event, TicketRequested) and not message.again:
            self._answer_again(event)
        self._back(not message.again)
        answer = self._answers.get(body.id) if isinstance(body, Done) else None
        if isinstance(body, Done) and answer is not None and not answer.done():
            answer.set_result(body)  # outputs turn it into the event
            message.ack()
        else:
            self._context.emit(event, message.ack)

    def _back(self, live: bool) -> None:
        """Report the device as present, unless it is known not to have subscribed. ``live``: the device has sent this
        message just now; False for a retained or repeated one, which may be old.
        """
        self._sent_live = self._sent_live or live
        if not self._deaf:
            self._presence.back()


def _request_of(action: Action) -> tuple[int, str | None] | None:
    """Return ``seq`` and ``boot`` of the request that this ticket answers; None if the action is no answer to a
    request.
    """
    body = action.body
    return (body.seq, body.boot) if isinstance(body, Print) and body.seq is not None else None
