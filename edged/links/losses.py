"""Translates an operating system's error on a connection into a loss word: the reason why a device counts as lost
(``edged.core.model.losses``).
"""

from __future__ import annotations

import errno
import re
import socket

from edged.core.model.losses import OTHER, Loss

DETAIL_MAX_CHARS = 200  # of an operating system's message worth keeping
WORDS: dict[int, str] = {
    errno.ENOENT: "port-missing",
    errno.ENODEV: "port-missing",
    errno.ENXIO: "port-missing",
    errno.EIO: "port-missing",  # a USB adapter that was pulled while open
    errno.EBUSY: "port-busy",
    errno.EAGAIN: "port-busy",  # flock(2) of another program
    errno.EACCES: "no-permission",
    errno.EPERM: "no-permission",
    errno.ENOTTY: "not-a-port",
    errno.EINVAL: "not-a-port",
    errno.EISDIR: "not-a-port",
    errno.ENOTDIR: "not-a-port",
    errno.ECONNREFUSED: "connection-refused",
    errno.ETIMEDOUT: "no-answer",
    errno.EHOSTUNREACH: "no-route",
    errno.EHOSTDOWN: "no-route",
    errno.ENETUNREACH: "no-route",
    errno.ENETDOWN: "no-route",
    errno.ECONNRESET: "closed",
    errno.ECONNABORTED: "closed",
    errno.EPIPE: "closed",
}
WIRE_LOSSES = frozenset(
    {*WORDS.values(), "no-answer", "no-such-name", "takes-nothing", OTHER}
)  # of any byte wire
NUMBER = re.compile(r"\[Errno (\d+)\]")  # asyncio and serialx put errors of the system into a text


def loss_of(error: BaseException) -> Loss:
    """The ``Loss`` for an error: its loss word, with the operating system's message as detail."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Loss(_word(error), (text or type(error).__name__)[:DETAIL_MAX_CHARS])


def _word(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "no-such-name"
    if isinstance(error, TimeoutError):
        return "no-answer"
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        match = NUMBER.search(str(error))
        number = int(match[1]) if match else None
    if number is None:
        cause = error.__cause__ or error.__context__
        return OTHER if cause is None else _word(cause)
    return WORDS.get(number, OTHER)
