"""One speech module on a serial line: announcements are spoken one after the other, each to its end. Rules:

1. A new text would interrupt the one being spoken, so it is sent only when that one has ended or was given up.
2. A text counts as spoken once the module accepted it and reported idle again. If the idle byte does not arrive within
   the time that the text takes, the module is asked for its state.
3. The module is asked for its state every ``ASK_S``. The time for an answer begins when the last byte has left the
   line. When the module counts as lost: see ``edged/links/dialogue.py``.
4. The module speaks Chinese; the English text of an announcement is left out.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from devices.voice_chip import codec
from edged.core.model.commands import Action, Say, Value
from edged.core.model.point import Point
from edged.driver import DeviceContext, Options, Refused, Unreachable
from edged.links import ByteLink
from edged.links.dialogue import Dialogue
from edged.links.losses import WIRE_LOSSES
from edged.links.serial import SerialLink

ASK_S = 2.0  # hall seconds between state requests while nothing is spoken
RETRY_VOICE_S = 0.5  # real seconds between tries at a lost module
BITS_OF_A_BYTE = 10
SYLLABLE_S = 0.35  # real seconds; a slow one takes twice as long
SPOKEN_S_MAX = 13.0  # real seconds; inside what an action may take
SPARE_S = 1.0


class VoiceChipOptions(Options, frozen=True):
    """Options of one speech module. ``path``: the serial port, best by a stable path (/dev/serial/by-path/…).
    ``deadline_ms``: how long to wait for the module's answer.
    """

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    chip: codec.Chip = "syn6288"
    baudrate: Literal[9600, 19200, 38400, 115200] = 9600
    deadline_ms: Annotated[int, Meta(ge=20, le=2000)] = 200

    def point_roles(self, channel: str) -> frozenset[str]:
        """The device's only role: voice (a loudspeaker)."""
        return frozenset({"voice"})


class VoiceChip:
    """Driver of one speech module. hall.toml addresses it by its device id alone; it has no channels."""

    OPTIONS: ClassVar[type[Options]] = VoiceChipOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES
    deadline_s = 1.0  # it shows nothing
    reassert_s = 3600.0
    pace_s = 0.0

    def __init__(
        self, context: DeviceContext, options: VoiceChipOptions, link: ByteLink | None = None
    ) -> None:
        """``link``: the connection to use; by default the serial port at ``path``."""
        self._context = context
        self._chip = options.chip
        self._link = link if link is not None else SerialLink(options.path, baudrate=options.baudrate)
        self._byte_s = BITS_OF_A_BYTE / options.baudrate
        self._answer_s = options.deadline_ms / 1000
        self._dialogue = Dialogue[int](
            context,
            self._link,
            "the voice module",
            self._poll,
            ask_s=ASK_S,
            doubt_s=ASK_S,
            retry_s=RETRY_VOICE_S,
            late_s=self._answer_s,
        )
        self._answers: set[int] = set()  # answers since the last frame
        self._word = asyncio.Event()

    async def run(self) -> None:
        """Keep the connection to the module open, and request the module's state every ``ASK_S``, until cancelled."""
        await self._dialogue.run(self._received)

    async def show(self, point: Point, value: Value) -> None:
        """Raise ``Refused``, because a speech module has no values to show."""
        raise Refused(f"{point} is a voice, it shows no {value.kind}")

    async def act(self, action: Action) -> None:
        """Speak a text, and return when it has been spoken. Raises ``Refused`` for any other action or if the module
        rejects the text, ``Unreachable`` if it does not answer or does not come to an end.
        """
        if not isinstance(action.body, Say):
            raise Refused(f"a voice cannot {action.body.kind}")
        async with self._dialogue.turn:
            self._dialogue.check_there()
            for text in codec.parts(self._chip, action.body.text, action.body.slow):
                await self._speak(text, action.body.slow)

    async def _speak(self, text: str, slow: bool) -> None:
        if not await self._ask(codec.speak(self._chip, text), codec.ACCEPTED, codec.REJECTED):
            self._dialogue.miss()
            raise Unreachable("the voice module does not answer")
        if codec.REJECTED in self._answers:
            raise Refused("the voice module rejects the text")
        needed_s = len(text) * SYLLABLE_S * (2 if slow else 1) + SPARE_S
        if await self._wait(min(SPOKEN_S_MAX, needed_s), codec.IDLE):
            return
        if not await self._ask(codec.frame(self._chip, codec.STATUS), codec.IDLE):
            raise Unreachable("the voice module does not come to an end")

    async def _poll(self) -> None:
        if not await self._ask(codec.frame(self._chip, codec.STATUS), codec.SPEAKING, codec.IDLE):
            self._dialogue.miss()
            raise Unreachable("the voice module does not answer")
        self._dialogue.answered()

    async def _ask(self, data: bytes, *answers: int) -> bool:
        """Send a frame and wait for one of the bytes in ``answers``. Returns whether one came in time. Raises
        ``Unreachable`` while the connection is down.
        """
        self._answers.clear()
        await self._link.write(data)
        answered = await self._wait(len(data) * self._byte_s + self._answer_s, *answers)
        if not answered:
            await asyncio.sleep(self._answer_s)  # a late answer must not count for the next request
        return answered

    async def _wait(self, within_s: float, *answers: int) -> bool:
        """Wait at most ``within_s`` real seconds until the module has answered the last frame with one of the bytes in
        ``answers``. Returns whether it has.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self._answers.intersection(answers):
                    self._word.clear()
                    await self._word.wait()
        except TimeoutError:
            return False
        return True

    def _received(self, data: bytes) -> None:
        noise = [byte for byte in data if byte not in codec.ANSWERS]
        if noise:
            self._context.reject("noise", f"{len(noise)} bytes")
        for byte in data:
            if byte == codec.ACCEPTED:
                self._answers.discard(codec.IDLE)  # that answered an earlier text
            if byte in codec.ANSWERS:
                self._answers.add(byte)
        self._word.set()
