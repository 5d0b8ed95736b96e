"""An MQTT client for processes beside the daemon that only publish: the bridge to a queue system, the listener for
people counters.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
import structlog

from edged.links.mqtt.settings import MqttSettings


class ConnectionLog:
    """Logs why a process cannot reach the broker: each reason once, not at every attempt. ``effect``: what that means
    for the hall.
    """

    def __init__(self, logger: str, effect: str) -> None:
        self._log = structlog.get_logger(logger)
        self._effect = effect
        self._why: str | None = None

    def failed(self, error: Exception) -> None:
        """Log an attempt that failed, or a connection that was lost, unless the last one had the same reason."""
        if str(error) == self._why:
            return
        self._why = str(error)
        self._log.warning(
            "broker-connection-failed",
            error=self._why,
            effect=self._effect,
            remedy="check the broker and [mqtt] in hall.toml; it connects again by itself",
        )

    def connected(self) -> None:
        """Log that the broker is reached again, if it was not."""
        if self._why is not None:
            self._log.info("broker-connection-restored")
        self._why = None


@asynccontextmanager
async def publisher(settings: MqttSettings) -> AsyncIterator[aiomqtt.Client]:
    """Open one connection, with the will of ``settings`` and a clean session. Raises ``MqttError`` if the broker cannot
    be reached, refuses or goes away, ``OSError`` or ``ValueError`` if the password file or a certificate cannot be
    used.

    The caller has to limit the time of each publish: a broker that reads but never acknowledges raises no error.
    """
    password = settings.password
    if settings.password_file is not None:
        password = await asyncio.to_thread(settings.held.password, settings.password_file)
    context = None if settings.tls_ca is None else await asyncio.to_thread(settings.held.context, settings)
    will = None
    if settings.will_topic is not None:
        will = aiomqtt.Will(settings.will_topic, settings.will_payload, 1, settings.will_retain)
    client = aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.username,
        password=password,
        identifier=settings.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if settings.protocol == "5" else aiomqtt.ProtocolVersion.V311,
        will=will,
        tls_context=context,
        keepalive=settings.keepalive_s,
        timeout=math.inf,  # its asyncio.wait_for may swallow a cancellation
    )
    async with client:
        yield client
