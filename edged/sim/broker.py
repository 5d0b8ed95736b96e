"""The demo's own MQTT broker: amqtt in a child process, so that ``edged demo`` needs nothing but pip.

Only the demo uses it; sites run mosquitto. It is a process of its own, so that it cannot block the demo's event loop.
Every client must give a user name (any), because amqtt stores no messages for absent anonymous clients. An
unacknowledged QoS 1 message is delivered again. amqtt speaks MQTT 3.1.1 only.

amqtt 0.12.1 loses or corrupts messages of a session that outlives its connection; ``_lasting_broker`` fixes that.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import logging
import os
import secrets
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Self

from edged import clock
from edged.parent import end_with_parent

START_S = 15.0  # a cold start on a cheap mini-PC; 1 s is usual
STOP_S = 5.0  # then it is killed; its data are not needed
POLL_S = 0.02  # between checks of the port while it starts
USERNAME = "edged-demo"  # any name will do
PORTS = range(
    20_000, 32_768
)  # below where Linux takes the ports of outgoing connections from (ip_local_port_range)
PORT_TRIES = 100


class BrokerMissing(RuntimeError):
    """amqtt is not installed. The text says how to install it."""


class EmbeddedBroker:
    """The demo's broker as a child process: ``async with EmbeddedBroker() as broker`` starts it on
    127.0.0.1:``broker.port`` and stops it at the end.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.username = USERNAME
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """The child's process id; None unless it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the child and wait until it accepts connections. Raises ``BrokerMissing`` if amqtt is not installed,
        ``RuntimeError`` if it ends or does not start in time.
        """
        if importlib.util.find_spec("amqtt") is None:
            raise BrokerMissing("the demo's broker needs amqtt: pip install 'edged[demo]'")
        command = ["-m", "edged.sim.broker", "--port", str(self.port), "--parent", str(os.getpid())]
        # stdin is a pipe without a writer: it ends when this process ends, however that happens.
        pipe = asyncio.subprocess.PIPE
        process = self._process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe)
        deadline_s = clock.monotonic_s() + START_S
        while not await _accepts(self.port):
            if process.returncode is not None:
                raise RuntimeError(f"the demo's broker ended with code {process.returncode}")
            if clock.monotonic_s() > deadline_s:
                await self.stop()
                raise RuntimeError(f"the demo's broker did not start within {START_S:.0f} s")
            await asyncio.sleep(POLL_S)

    @property
    def alive(self) -> bool:
        """Whether the child process is running."""
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """Kill the broker with SIGKILL; messages and sessions in its memory are lost. ``start`` starts it again on the
        same port.
        """
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        """Stop the child with SIGTERM; if it has not ended after ``STOP_S`` seconds, with SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def free_port() -> int:
    """Find a free TCP port of 127.0.0.1, outside the range from which the kernel takes ports for outgoing connections.

    Because of that range, a server that is stopped for a while finds its port still free. Raises ``OSError`` if no port
    is left.
    """
    for _ in range(PORT_TRIES):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _lasting_broker() -> Any:
    """Return amqtt's Broker class with fixes for sessions that outlive their connection. The faults of 0.12.1 as
    published:

    * an unacknowledged message is dropped after 5 s, and when its connection ends;
    * messages queued for an absent client arrive with the retain flag, like old states;
    * a session that returns gets every retained message of every other client's subscriptions;
    * a client that takes over its own session is marked absent when the old connection ends, and receives nothing;
    * redelivery blocks the new connection until the last old message is acknowledged.
    """
    amqtt_broker: Any = importlib.import_module("amqtt.broker")
    amqtt_broker.BrokerProtocolHandler = _lasting_handler(amqtt_broker.BrokerProtocolHandler)
    published: Any = amqtt_broker.Broker

    class LastingBroker(published):  # type: ignore[misc]
        async def _publish_session_retained_messages(self, session: Any) -> None:
            handler: Any = self._get_handler(session)
            while handler is not None and not session.retained_messages.empty():
                queued = session.retained_messages.get_nowait()
                handler.in_background(
                    handler.mqtt_publish(queued.topic, queued.data, queued.qos, retain=False)
                )

        async def _publish_retained_messages_for_subscription(self, subscription: Any, session: Any) -> None:
            own = self._subscriptions.get(subscription[0], [])
            if any(subscriber is session for subscriber, _ in own):
                await super()._publish_retained_messages_for_subscription(subscription, session)

        async def _client_message_loop(self, client_session: Any, handler: Any) -> None:
            # The connection that was taken over may have marked the shared session as disconnected.
            if not client_session.transitions.is_connected():
                client_session.transitions.connect()
            await super()._client_message_loop(client_session, handler)

        async def _handle_disconnect(self, client_session: Any, handler: Any, disconnect_waiter: Any) -> None:
            if self._get_handler(client_session) is not handler:
                await self._stop_handler(handler)
                return
            await super()._handle_disconnect(client_session, handler, disconnect_waiter)

    return LastingBroker


def _lasting_handler(published: Any) -> Any:
    """Derive from ``published``, amqtt's class for one connection, a class that keeps unacknowledged messages for
    redelivery.
    """
    outgoing: int = importlib.import_module("amqtt.session").OUTGOING

    class LastingHandler(published):  # type: ignore[misc]
        def in_background(self, flow: Any) -> None:
            flows: set[asyncio.Task[Any]] = self.__dict__.setdefault("_flows", set())
            task = asyncio.get_running_loop().create_task(flow)
            flows.add(task)
            task.add_done_callback(flows.discard)

        async def _handle_qos1_message_flow(self, app_message: Any) -> None:
            if app_message.direction != outgoing:
                await super()._handle_qos1_message_flow(app_message)
                return
            session = self.session
            if session is None:
                return
            session.inflight_out[app_message.packet_id] = app_message
            again = app_message.publish_packet is not None
            app_message.publish_packet = app_message.build_publish_packet(dup=again)
            waiter = self._puback_waiters[app_message.packet_id] = asyncio.get_running_loop().create_future()
            try:
                await self._send_packet(app_message.publish_packet)
                app_message.puback_packet = await waiter
            except (asyncio.CancelledError, Exception):  # noqa: BLE001 - kept in flight for the next connection
                return
            finally:
                self._puback_waiters.pop(app_message.packet_id, None)
            session.inflight_out.pop(app_message.packet_id, None)

        async def _retry_deliveries(self) -> None:
            if self.session is not None:
                for message in list(self.session.inflight_out.values()):
                    self.in_background(self._handle_message_flow(message))

    return LastingHandler


async def serve(port: int) -> None:
    """Run the broker on 127.0.0.1:``port`` until SIGTERM or SIGINT."""
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}},
    }
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    broker = _lasting_broker()(config)
    await broker.start()
    await over.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S / 2):
            await broker.shutdown()


def main() -> None:
    """Entry point of the child process: run the broker, with ``--parent`` also only until the end of stdin."""
    parser = argparse.ArgumentParser(description="The demo's MQTT broker (amqtt), on 127.0.0.1 only.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--parent", type=int, default=0, help="end when standard input does (0: keep running)"
    )
    options = parser.parse_args()
    if importlib.util.find_spec("amqtt") is None:
        parser.exit(2, "the demo's broker needs amqtt: pip install 'edged[demo]'\n")
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    if options.parent:
        end_with_parent(lambda: os._exit(0))
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port))


if __name__ == "__main__":
    main()
