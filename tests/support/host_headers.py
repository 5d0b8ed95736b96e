"""Host headers that a web server on 127.0.0.1 with the further names ``NAMES`` must accept, and those that it must
refuse.
"""

from __future__ import annotations

import asyncio

NAMES = ("hall.example.cn", "fd00::00:7")
OURS = (
    "localhost",
    "LOCALHOST:9464",
    "127.0.0.1:1",
    "127.0.0.1.",
    "localhost:",
    "hall.example.cn",
    "Hall.Example.CN.:80",
    "[::1]",
    "[::1]:9464",
    "[0:0:0:0:0:0:0:1]:65535",
    "[FD00::7]",
    "[fd00:0::7]:80",
)
NOT_OURS = (
    "",
    ".",
    "evil.example",
    "evil.example:9464",
    "localhost..",
    "localhost.evil.example",
    "localhost:80:80",
    "localhost:65536",
    "localhost:-1",
    "localhost:8o",
    "localhost:\u00b2",
    "10.0.0.7",
    "127.1",
    "::1",
    "[::1",
    "[evil]",
    "[127.0.0.1]",
    "[::1]evil",
    "[::1]evil:80",
    "[::1]80",
    "[[::1]]",
    "[fd00::8]",
    "localhost,evil.example",
    "user@localhost",
    "localhost/evil",
)
SEVERAL = ((), ("localhost", "localhost"), ("localhost", "evil.example"), ("evil.example", "localhost"))


async def status(port: int, path: str, hosts: tuple[str, ...]) -> int:
    """Send a request with these Host headers, unchanged; returns the status code of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    async with asyncio.timeout(10):
        first = await reader.readline()
    writer.close()
    return int(first.split(b" ")[1])
