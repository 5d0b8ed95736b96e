"""A simulated Tasmota board with relays and a button, on a real broker.

It follows Tasmota's documentation: ``cmnd/<topic>/POWER<n>`` switches, ``tele/<topic>/LWT`` is its retained presence
and its will, ``PulseTime`` switches a relay off by itself some time after the last command.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import aiomqtt

RELAYS_MAX = 8


class FakeTasmota:
    """One simulated board. ``run`` connects and serves until cancelled; the board's presence is then "Offline"."""

    def __init__(
        self, topic: str, host: str, port: int, pulse_s: float = 15.0, username: str | None = None
    ) -> None:
        """``pulse_s``: real seconds after which a relay switches itself off. ``username``: for a broker that requires
        one.
        """
        self._username = username
        self.topic = topic
        self.lit = [False] * RELAYS_MAX
        self.commands = 0
        self._address = (host, port)
        self._pulse_s = pulse_s
        self._client: aiomqtt.Client | None = None
        self._ends: dict[int, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Connect, publish the board's presence and carry out commands, until cancelled."""
        presence = f"tele/{self.topic}/LWT"
        host, port = self._address
        will = aiomqtt.Will(presence, "Offline", qos=1, retain=True)
        # without a timeout aiomqtt does not call asyncio.wait_for, which may swallow a cancellation
        about = {"identifier": self.topic, "username": self._username, "will": will}
        async with aiomqtt.Client(host, port, timeout=math.inf, **about) as client:  # type: ignore[arg-type]
            await client.subscribe(f"cmnd/{self.topic}/+")
            await client.publish(presence, "Online", qos=1, retain=True)
            self._client = client
            try:
                async for message in client.messages:
                    await self._command(client, str(message.topic).rpartition("/")[2], message.payload)
            finally:
                self._client = None
                await client.publish(presence, "Offline", qos=1, retain=True)

    async def press(self, action: str = "SINGLE") -> None:
        """Press the button. The board reports it as Tasmota does with SetOption73 (buttons detached from relays):
        ``action`` is the word in that report.
        """
        await self.publish(f"stat/{self.topic}/RESULT", f'{{"Button1":{{"Action":"{action}"}}}}')

    async def publish(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        """Publish ``payload`` on ``topic``."""
        assert self._client is not None, "the board is not connected"
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def _command(self, client: aiomqtt.Client, name: str, payload: object) -> None:
        number = name.removeprefix("POWER")
        word = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
        if name == number or not number.isdecimal() or not 1 <= int(number) <= RELAYS_MAX:
            await client.publish(f"stat/{self.topic}/RESULT", '{"Command":"Unknown"}')
            return
        self.commands += 1
        relay = int(number) - 1
        self.lit[relay] = word == "ON"
        if relay in self._ends:
            self._ends.pop(relay).cancel()
        if self.lit[relay]:
            self._ends[relay] = asyncio.get_running_loop().call_later(self._pulse_s, self._dark(relay))
        await client.publish(f"stat/{self.topic}/POWER{number}", word)

    def _dark(self, relay: int) -> Callable[[], None]:
        def end() -> None:
            self.lit[relay] = False

        return end
