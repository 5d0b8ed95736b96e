"""A crowd of idle HTTP clients must leave file descriptors for serial ports and the journal."""

from __future__ import annotations

import socket
import subprocess
import sys

from edged.observers.web.doorkeeper import CONNECTIONS_MAX

CROWD = 200
DEADLINE_S = 10
LIMIT = 40  # descriptors: 16 places and the interpreter's own ten or so

SERVER = f"""
import asyncio, resource
from collections import Counter
from edged.observers.web.server import WebServer

resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))

async def main():
    refused = Counter()
    server = WebServer(lambda: b"", lambda: None, lambda reason: refused.update([reason]), head_timeout_s=60)
    await server.open(port=0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        await asyncio.sleep(0)
        print(server.port, flush=True)
        opened = failed = 0
        while refused["http-full"] < {CROWD - CONNECTIONS_MAX}:
            try:
                open("/dev/null").close()
                opened += 1
            except OSError:
                failed += 1
            await asyncio.sleep(0)
        print(server.doorkeeper.open, opened > 0, failed, flush=True)
        task.cancel()

asyncio.run(main())
"""


def test_a_crowd_of_idle_clients_leaves_descriptors_for_the_hall() -> None:
    child = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    crowd = []
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        for number in range(CROWD):
            crowd.append(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S))
            if number >= CONNECTIONS_MAX:
                assert turned_away(crowd[-1])
        output, _ = child.communicate(timeout=DEADLINE_S)
    finally:
        child.kill()
        child.wait()
        for client in crowd:
            client.close()
    assert output.split() == [str(CONNECTIONS_MAX), "True", "0"]


def turned_away(client: socket.socket) -> bool:
    """Whether the server ended the connection instead of keeping it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
