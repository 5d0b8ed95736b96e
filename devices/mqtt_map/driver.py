"""One device on the hall's broker, driven by its description. Rules:

1. A message that makes an event is acknowledged to the broker (PUBACK) when that event is on disk, any other message
   immediately. Presence messages are meant to be retained; any other retained message is outdated and ignored.
2. A device counts as present when its presence message says so, and from its first other message on. Unless
   ``silent_s`` is 0, it counts as lost after so many hall seconds of silence. While the broker or the device's gateway
   (the program that publishes for it) is away, the device is lost, and its retained presence is ignored.
3. Lamp commands are not retained, because a retained one would switch a relay long after the hall closed. They are sent
   again from time to time: a relay with a switch-off timer stays on, and goes dark by itself if the controller dies.
4. The driver makes lamps blink, in hall time, because the devices' own blinking ends after a while.
5. A key press that cannot be decoded is reported to the hall, because somebody pressed a key without effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta, field
from msgspec.structs import replace

from devices.mqtt_map.codec import (
    PLACE,
    STANDING,
    Finding,
    MqttModel,
    carries_only_presence,
    findings,
    lamp_channels,
    lamp_message,
    presses,
)
from edged.core.model.commands import Action, Lamp, Panel, Value
from edged.core.model.events import (
    CountRead,
    Event,
    HealthRead,
    InputRefused,
    Key,
    KeyPressed,
    RatingGiven,
    TicketRequested,
)
from edged.core.model.losses import OUR_LINK
from edged.core.model.point import Point, channel_of
from edged.descriptions import Description, Named, described
from edged.driver import REASSERT_S, DeviceContext, DeviceError, Garbled, Options, Presence, Refused
from edged.heartbeat import lasting
from edged.links.mqtt.attached import attached
from edged.links.mqtt.names import topic_fault
from edged.shapes import ID, Rule

if TYPE_CHECKING:  # the link loads the MQTT library, which `edged check` does without
    from edged.links.mqtt.link import Message

BLINK_S = 0.5  # hall seconds of each half
REFUSED_EVERY_S = 5.0  # hall seconds between two reports of presses that cannot be decoded
UNTOLD = "?"  # an earlier process may have reported a fault that is gone by now: the first result is always reported


def _place(text: str) -> str:
    fault = topic_fault(text)
    if fault:
        raise ValueError(f'"{text}" {fault}; write what stands for {PLACE} in the description')
    return text


class MqttMapOptions(Options, frozen=True):
    """Options of one device. ``model``: its description, by name or in full. ``topic``: the device's own part of its
    topics (a name, a serial number), which is inserted into those of the description. ``silent_s``: after so many hall
    seconds of silence the device counts as lost (default: the description's).

    ``keys``: a word that the device sends for a button -> key, in addition to the description's. ``requests``: such a
    word -> id of the service for which the button requests a number. ``swap``: a counter is mounted the wrong way
    round, so that entering and leaving are exchanged.
    """

    DESCRIBED: ClassVar[str] = "model"
    DESCRIPTION: ClassVar[type[Description] | None] = MqttModel

    model: Named
    topic: Annotated[str, Meta(min_length=1, max_length=200), Rule(_place)]
    silent_s: Annotated[float, Meta(ge=10.0, le=7 * 86_400.0)] | None = None
    keys: Annotated[dict[str, Key], Meta(max_length=50)] = field(default_factory=dict)
    requests: Annotated[dict[str, Annotated[str, ID]], Meta(max_length=50)] = field(default_factory=dict)
    swap: bool = False

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        _ = self.described

    @property
    def described(self) -> MqttModel:
        """The description that ``model`` names or contains, completed by ``keys`` and ``requests``. Raises
        ``ValueError`` if there is no such description, it has mistakes, or ``keys`` and ``requests`` do not suit its
        buttons.
        """
        model = described("mqtt_map", self.model, MqttModel)
        if not self.keys and not self.requests:
            return model
        if not any(one.event == "key" for one in model.inputs):
            raise ValueError(f"{model.title} has no buttons; leave keys and requests out")
        odd = sorted(set(self.keys.values()) - set(model.only_keys)) if model.only_keys else []
        if odd or (model.only_keys and self.requests):
            what = f'"{odd[0]}"' if odd else "requests"
            raise ValueError(
                f"{model.title}: anybody can send what this button sends; {what} is not for it, "
                f"only {', '.join(model.only_keys)}"
            )
        pressed = (
            dict.fromkeys(self.requests, "next") | self.keys
        )  # of a request only the device's word counts
        inputs = (
            replace(one, values=one.values | pressed) if one.event == "key" else one for one in model.inputs
        )
        return replace(model, inputs=tuple(inputs))

    def topics(self, hall: str, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The topics on which the device publishes, and those of its lamps, to which it subscribes."""
        model = self.described
        published = sorted({one.topic.replace(PLACE, self.topic) for one in model.inputs})
        lamps = model.lamps
        if lamps is None:
            return tuple(published), ()
        sent = {lamp_message(lamps, self.topic, channel, True)[0] for channel in lamp_channels(lamps)}
        return tuple(published), tuple(sorted(sent))

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: numbers of lamps, and names of buttons in the description. A single
        lamp or button has the channel "".
        """
        model = self.described
        buttons = {
            one.channels.get(word, "")
            for one in model.inputs
            for word in one.values
            if one.event in ("key", "rating")
        }
        return lamp_channels(model.lamps) | frozenset(buttons)

    def point_roles(self, channel: str) -> frozenset[str]:
        """The roles of a channel: lamp for a relay, panel for buttons, evaluator for ratings."""
        model = self.described
        events = {one.event for one in model.inputs}
        roles = {"lamp"} if channel in lamp_channels(model.lamps) else set()
        roles |= {"panel"} if "key" in events else set()
        return frozenset(roles | ({"evaluator"} if "rating" in events else set()))

    def reports(self) -> frozenset[str]:
        """The roles in which the device sends events without being named elsewhere in hall.toml: counter if it counts,
        dispenser if its buttons request numbers.
        """
        counts = any(one.event == "count" for one in self.described.inputs)
        return frozenset(({"counter"} if counts else set()) | ({"dispenser"} if self.requests else set()))

    def service_ids(self) -> frozenset[str]:
        """The services for which the device's buttons request numbers."""
        return frozenset(self.requests.values())


class MqttMap:
    """Driver of one described device. hall.toml addresses it by its device id, and a single lamp or button as
    ``device/CHANNEL``.
    """

    OPTIONS: ClassVar[type[Options]] = MqttMapOptions
    LOSSES: ClassVar[frozenset[str]] = frozenset({OUR_LINK, "offline", "silent", "broker-refuses"})
    deadline_s = 1.0  # levels are handed to the broker, which takes no time
    reassert_s = REASSERT_S
    pace_s = 0.0

    def __init__(self, context: DeviceContext, options: MqttMapOptions) -> None:
        self._context = context
        self._options = options
        self._model = options.described
        self._presence = Presence(context)
        self._silent_s = options.silent_s or float(self._model.silent_s)
        self._received_s = context.now_s()
        self._levels: dict[str, str] = {}  # by channel, as last wanted
        self._fault: str | None = UNTOLD
        self._spoke = False  # it said something itself since our link is up
        self._gateway_away = False
        self._was_there = False  # when the gateway went, and what it left at the broker about it
        self._refused_s = -REFUSED_EVERY_S
        self._topics, self._sent = options.topics(context.hall, context.device)

    async def run(self) -> None:
        """Receive messages, make lamps blink and watch for silence, until cancelled."""
        mqtt = self._context.mqtt

        def changed(up: bool, _reason: str) -> None:
            if not up:
                self._spoke = self._gateway_away = self._was_there = False
                self._presence.lost(OUR_LINK)
            else:
                self._received_s = self._context.now_s()  # the silence of a device is measured anew from here
                self._presence.unknown()

        def refused(topic: str, why: str) -> None:
            if why and (topic in self._topics or topic in self._sent):
                self._presence.lost("broker-refuses", f"{topic}: {why}")

        with attached(mqtt, [(topic, self._received) for topic in self._topics], changed, refused):
            if not mqtt.connected:
                self._presence.lost(OUR_LINK)
            await lasting("time", self._keep_time())

    async def show(self, point: Point, value: Value) -> None:
        """Send a lamp its message, without waiting for an answer of the device. Raises the same errors as ``put``."""
        self.put(point, value)

    def put(self, point: Point, value: Value) -> None:
        """Switch a lamp; no-op for a panel, which has only keys. Raises ``Unreachable`` while the link to the broker is
        down, ``Refused`` for a value or channel that the device does not have.
        """
        channel = channel_of(point)
        if isinstance(value, Panel):
            return
        if not isinstance(value, Lamp) or channel not in lamp_channels(self._model.lamps):
            raise Refused(f"{point} cannot show a {value.kind}")
        known = self._levels.get(channel)
        self._levels[channel] = value.state
        if value.state != "blink" or known != "blink":
            self._send(channel, value.state != "off")

    async def act(self, action: Action) -> None:
        """Raises ``Refused``: the device has no one-time actions."""
        raise Refused(f"{action.point} cannot {action.body.kind}")

    def _send(self, channel: str, lit: bool) -> None:
        assert self._model.lamps is not None
        topic, payload = lamp_message(self._model.lamps, self._options.topic, channel, lit)
        self._context.mqtt.publish(topic, payload.encode(), urgent=True)

    async def _keep_time(self) -> None:
        lit = True
        while True:
            await self._context.sleep(BLINK_S)
            lit = not lit
            for channel, state in self._levels.items():
                if state == "blink":
                    try:
                        self._send(channel, lit)
                    except DeviceError:
                        break  # the broker is away, which the link reports
            if self._silent_s and self._context.now_s() - self._received_s >= self._silent_s:
                self._presence.lost("silent")

    def _received(self, message: Message) -> None:
        topic, place, old = message.topic, self._options.topic, message.retain
        try:
            found = findings(self._model, topic, message.payload, place)
        except Garbled as error:
            self._context.reject(str(error), self._context.device)
            self._refuse(str(error), message)
            return
        events: list[Event] = []
        for one in found:
            if one.event == "presence":
                self._present(one.word == "online", old)
            elif one.event == "gateway":
                self._carried(one.word == "online", message)
            elif old:
                self._context.reject("retained", self._context.device)
            else:
                events += self._events(one, message.again)
        if not (
            old
            or carries_only_presence(self._model, topic, place)
            or any(one.event in STANDING for one in found)
        ):
            self._speaks()
        for event in events[:-1]:  # they are kept in order: the last one's acknowledgement is that of all
            self._context.emit(event)
        if events:
            self._context.emit(events[-1], message.ack)
        else:
            message.ack()

    def _refuse(self, reason: str, message: Message) -> None:
        """Report to the core that a button was pressed but its message cannot be decoded, at most every
        ``REFUSED_EVERY_S``.
        """
        topic, now_s = message.topic, self._context.now_s()
        pressed = not message.retain and presses(self._model, topic, self._options.topic)
        if not pressed or now_s - self._refused_s < REFUSED_EVERY_S:
            message.ack()
            return
        self._refused_s = now_s
        self._speaks()
        what = "request" if self._options.requests else "key"
        self._context.emit(InputRefused(self._context.point(), what, reason), message.ack)

    def _speaks(self) -> None:
        """Record that a message came from the device itself, so that it is present; its gateway is then present as
        well.
        """
        self._received_s = self._context.now_s()
        self._spoke, self._gateway_away = True, False
        self._presence.back()

    def _present(self, online: bool, old: bool) -> None:
        if self._gateway_away and old:
            self._was_there = online
        elif online:
            self._received_s = self._context.now_s()
            self._gateway_away = False
            self._presence.back()
        elif not (old and self._presence.there):
            self._presence.lost("offline")

    def _carried(self, online: bool, message: Message) -> None:
        """Handle the news that the device's gateway went online or offline. While it is offline the device counts as
        lost.
        """
        if online and self._gateway_away:
            self._gateway_away = False
            if self._was_there:
                self._presence.back()
        elif not online and not self._gateway_away and not (message.retain and self._spoke):
            self._gateway_away, self._was_there = True, bool(self._presence.there)
            self._presence.lost("offline", message.topic)

    def _events(self, one: Finding, again: bool) -> list[Event]:
        point = self._context.point(one.channel)
        if one.event == "count":
            return [self._count(one, again)]
        if one.event == "fault":
            fault = one.word or None
            if fault == self._fault:
                return []
            self._fault = fault
            return [HealthRead(self._context.point(), fault=fault)]
        if one.event == "rating":
            return [RatingGiven(point, int(one.word), again=again)]
        service = self._options.requests.get(one.text)
        if service is not None:
            return [TicketRequested(point, service, again=again)]
        return [KeyPressed(point, one.word, again=again)]  # type: ignore[arg-type]  # one of Key: the shape says so

    def _count(self, one: Finding, again: bool) -> CountRead:
        entered, left = (one.left, one.entered) if self._options.swap else (one.entered, one.left)
        point = self._context.point()
        if one.semantics == "occupancy":
            return CountRead(point, "occupancy", occupancy=one.occupancy, again=again)
        return CountRead(point, one.semantics, entered, left, again=again, line=one.line or None)
