"""Simulated callers and evaluators on one bus, with their own frame parser and seeded faults.

A caller whose key is not acknowledged sends it up to ``TRIES_MAX`` times. What real callers do then is not published.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TRIES_MAX = 3
TRY_S = 0.2
CODES = {"next": "0c", "recall": "0d", "finish": "0b", "no-show": "06 0f", "park": "00 0f", "resume": "03 0f"}
CODES |= {"pause": "12", "transfer": "13"}


@dataclass(frozen=True)
class CallerFaults:
    """Faults of the simulated bus. Probabilities per frame: ``drop`` (a caller's frame is lost), ``garble`` (it arrives
    damaged), ``deaf`` (a caller misses its acknowledgement). ``echo``: the host gets its own bytes back. ``dead``: the
    bus has no power.
    """

    drop: float = 0.0
    garble: float = 0.0
    deaf: float = 0.0  # acknowledgements not received
    echo: bool = False
    dead: bool = False


class FakeCallers:
    """All callers and evaluators of one simulated bus. ``feed`` them with what the host sends; they answer through
    ``send``. ``shown``: the six characters on each caller's display, "-" for blank.
    """

    def __init__(self, send: Callable[[bytes], None], addresses: Mapping[str, int], seed: int = 0) -> None:
        self.addresses = dict(addresses)
        self.shown = dict.fromkeys(addresses, "")
        self.beeps: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()  # for a rating, by the host
        self.acknowledged: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.faults = CallerFaults()
        self._send = send
        self._dice = random.Random(seed)
        self._held = b""
        self._pending: dict[str, tuple[bytes, int]] = {}  # awaited acknowledgement, tries left

    def press(self, caller: str, key: str) -> None:
        """Press a key of a caller. ``key``: a key of ``CODES``."""
        self._report(caller, 0x01, bytes.fromhex(CODES[key]))

    def rate(self, caller: str, button: int) -> None:
        """Press button 0 to 3 of the evaluator at this caller's address."""
        self._report(caller, 0x11, bytes((button,)))

    def feed(self, data: bytes) -> None:
        """Handle bytes that the host sent, split in any way."""
        if self.faults.echo:
            self._send(data)  # the host's adapter echoes, even without any unit on the bus
        self._held += data
        while len(self._held) >= 4:
            if self._held[:2] != b"\xff\x68":
                self._held = self._held[1:]
                continue
            size = 7 + self._held[2]
            if len(self._held) < size:
                return
            frame, self._held = self._held[:size], self._held[size:]
            if sum(frame[5:-2]) & 0xFF == frame[-2] and not self.faults.dead:
                self._obey(frame[5], frame[6], frame[7:-2])

    def _obey(self, address: int, function: int, data: bytes) -> None:
        name = next((name for name, own in self.addresses.items() if own == address), None)
        if name is None:
            return
        awaited = self._pending.get(name)
        if awaited is not None and awaited[0] == bytes((function,)) + data:
            if self._dice.random() >= self.faults.deaf:
                self.acknowledged[name] += 1
                del self._pending[name]
        elif function == 2 and len(data) == 6:
            self.shown[name] = "".join("-" if figure == 10 else str(figure) for figure in data)
        elif function == 3:
            self.beeps[name] += 1
        elif (function, data) == (1, b"\x0b"):
            self.asked[name] += 1

    def _report(self, caller: str, function: int, data: bytes) -> None:
        awaited = bytes((1 if function == 0x11 else function,)) + data
        self._pending[caller] = (awaited, TRIES_MAX)
        body = bytes((self.addresses[caller], function)) + data
        size = bytes((len(body), len(body)))
        self._try(caller, b"\xff\x68" + size + b"\x68" + body + bytes((sum(body) & 0xFF, 0x16)), awaited)

    def _try(self, caller: str, frame: bytes, awaited: bytes) -> None:
        still, tries = self._pending.get(caller, (b"", 0))
        if still != awaited:
            return
        if tries == 0:
            del self._pending[caller]
            self.given_up[caller] += 1
            return
        self._pending[caller] = (awaited, tries - 1)
        if not self.faults.dead and self._dice.random() >= self.faults.drop:
            data = bytearray(frame)
            if self._dice.random() < self.faults.garble:
                data[self._dice.randrange(len(data))] ^= 1 << self._dice.randrange(8)
            self._send(bytes(data))
        asyncio.get_running_loop().call_later(TRY_S, self._try, caller, frame, awaited)
