"""A chat robot as a pager. The daemon only talks to `edged pager` on this machine, and that process talks to the
vendors.

Rules: a page (a call for a member of staff) counts as delivered when the vendor's answer says so. A page that did not
reach the vendor fails as ``undelivered``; the core then pages somebody else, or sends it again once the vendor can be
reached. While the vendor cannot be reached, the device counts as lost.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from devices.webhook.lines import UNDELIVERED, LineReader, line
from devices.webhook.vendors import Vendor
from edged.core.model.commands import Action, Page, Pager, Value
from edged.core.model.losses import OTHER, Loss, known
from edged.core.model.point import Point, channel_of
from edged.driver import DeviceContext, Options, Presence, Refused, Unreachable
from edged.heartbeat import lasting
from edged.links import ByteLink
from edged.links.losses import WIRE_LOSSES
from edged.links.tcp import UnixByteLink
from edged.shapes import form

ANSWER_S = 13.0  # real seconds; inside what an action may take, beyond what `edged pager` tries
PENDING_MAX = 100  # pages waiting for their answer
SOCKETS = "/run/edged-pager"  # where `edged pager` listens
PEOPLE_MAX = 200
PersonName = Annotated[str, form(r"^[a-z0-9][a-z0-9-]{0,31}$")]
At = Annotated[str, Meta(max_length=64, pattern=r"^[0-9A-Za-z_+-]*$")]


class PagerOptions(Options, frozen=True, kw_only=True):
    """Options that robots and modems have in common. ``sign``: text at the beginning of each message. ``sockets``: the
    folder of the sockets on which `edged pager` listens.
    """

    sign: Annotated[str, Meta(max_length=40)] = ""
    sockets: Annotated[str, Meta(min_length=1, max_length=80)] = SOCKETS

    def whom(self, person: str) -> str:
        """The number or id with which a message addresses ``person``, a channel of the device; "" if it addresses
        nobody.
        """
        return ""

    def point_roles(self, channel: str) -> frozenset[str]:
        """The role of every channel: pager."""
        return frozenset({"pager"})

    def socket(self, device: str) -> str:
        """Path of the socket on which `edged pager` listens for this device."""
        return f"{self.sockets}/{device}.sock"


class WebhookOptions(PagerOptions, frozen=True, kw_only=True):
    """Options of one robot. ``url_file``: its first line is the robot's URL, which contains the robot's key; any host
    is allowed (a WeCom server of one's own).

    ``secret_file``: its first line is the secret for signatures (DingTalk, Feishu). ``people``: channel -> whom the
    message mentions: a mobile number, at Feishu a member's id, or "" for nobody. ``sign``: text at the beginning of
    each message; some robots require a certain word in it.
    """

    vendor: Vendor
    url_file: Annotated[str, Meta(min_length=1, max_length=4096)]
    people: Annotated[dict[PersonName, At], Meta(max_length=PEOPLE_MAX)] = field(default_factory=dict)
    secret_file: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: "" for the robot itself, and the names in ``people``, to mention that
        person.
        """
        return frozenset({"", *self.people})

    def whom(self, person: str) -> str:
        """The mobile number or id of a person; "" for the robot itself, and for people without one."""
        return self.people.get(person, "")


class Webhook:
    """Driver of one robot, or of a modem for text messages. hall.toml addresses it as ``device``, or as
    ``device/PERSON`` with a name in ``people``.
    """

    OPTIONS: ClassVar[type[Options]] = WebhookOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {"no-process", "bad-answer"}
    deadline_s = 1.0  # a message shows nothing for long
    reassert_s = 3600.0
    pace_s = 0.0

    def __init__(self, context: DeviceContext, options: PagerOptions, link: ByteLink | None = None) -> None:
        """``link``: the connection to use; by default the socket of `edged pager`."""
        self._context = context
        self._options = options
        self._link = link if link is not None else UnixByteLink(options.socket(context.device))
        self._reader = LineReader()
        self._answers: dict[str, asyncio.Future[str | None]] = {}  # error, or None
        self._presence = Presence(context)
        self._down = Loss(OTHER, "not opened yet")

    async def run(self) -> None:
        """Keep the connection to `edged pager` open until cancelled."""
        self._presence.forget()
        await lasting("link", self._link.run(self._received, self._wire_changed))

    async def show(self, point: Point, value: Value) -> None:
        """No-op for a ``Pager`` value (the number of unanswered pages), because a chat has no place to show it. Raises
        ``Refused`` for any other value.
        """
        if not isinstance(value, Pager):
            raise Refused(f"{point} is a pager, it shows no {value.kind}")

    async def act(self, action: Action) -> None:
        """Send a page, and return when the vendor has accepted it. Raises ``Refused`` if the vendor refuses it, if
        ``action`` is no page, or if `edged pager` ends before it answers. Raises ``Unreachable`` if the page did not
        reach the vendor, or no answer came within ``ANSWER_S``.
        """
        body = action.body
        if not isinstance(body, Page):
            raise Refused(f"a pager cannot {body.kind}")
        if not self._presence.there:
            raise Unreachable(f"{UNDELIVERED}: {self._down.detail or self._down.word}", self._down.word)
        if len(self._answers) >= PENDING_MAX:
            raise Unreachable(f"{UNDELIVERED}: too many pages at once")
        at = self._options.whom(channel_of(action.point))
        answer = self._answers[action.id] = asyncio.get_running_loop().create_future()
        try:
            await self._link.write(line(id=action.id, text=self._options.sign + body.text, at=at))
            async with asyncio.timeout(ANSWER_S):
                error = await answer
        except TimeoutError:
            raise Unreachable("no answer in time") from None
        finally:
            self._answers.pop(action.id, None)
        if error is not None and error.startswith(UNDELIVERED):
            raise Unreachable(error)
        if error is not None:
            raise Refused(error)

    def _received(self, data: bytes) -> None:
        garbled = self._reader.garbled
        for found in self._reader.feed(data):
            self._take(found)
        if self._reader.garbled > garbled:
            self._context.reject("garbled", "a line of edged pager")

    def _take(self, found: dict[str, Any]) -> None:
        if "id" in found:
            answer = self._answers.get(str(found["id"]))
            if answer is not None and not answer.done():
                answer.set_result(None if found.get("ok") is True else str(found.get("error") or "refused"))
        elif found.get("up") is True:
            self._presence.back()
        elif found.get("up") is False:
            self._down = Loss(known(str(found.get("word"))), str(found.get("detail", ""))[:200])
            self._presence.lost(*self._down)

    def _wire_changed(self, up: bool, why: Loss) -> None:
        self._reader = LineReader()
        if not up:
            self._down = Loss("no-process", why.detail)
            self._presence.lost(*self._down)
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result("no answer in time: edged pager ended")
