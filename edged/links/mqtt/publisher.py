"""An MQTT client for processes beside the daemon that only publish: the bridge to a queue system, the listener for
people counters.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

from edged.links.mqtt.settings import MqttSettings


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
