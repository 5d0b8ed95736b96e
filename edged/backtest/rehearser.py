"""The process that rehearses a policy for the daemon: it answers one question on a Unix socket, then ends.

systemd holds the socket (edged-rehearse.socket) and starts the process when the daemon connects; edged-rehearse.service
limits its memory, priority and running time. If it fails, the daemon merely gets no answer.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from edged.backtest.rehearsal import Pair, rehearse
from edged.central.policies import reread
from edged.central.refusals import DocumentRefused
from edged.central.rehearsed import (
    QUESTION_BYTES_MAX,
    BadMessage,
    Missed,
    RehearsalQuestion,
    Rehearsed,
    answer_line,
    read_question,
)
from edged.clock import monotonic_s, processor_s

LISTEN_FD = 3  # sd_listen_fds(3): the first socket that systemd hands over
IDLE_S = 10.0  # for a question after a connection, and for a connection after a start
SERVED_S = 5.0  # to send 16 KiB; a daemon that does not read them by then is gone


def handed_over() -> socket.socket | None:
    """The listening socket that systemd passed to this process (sd_listen_fds(3)); None if something else started
    it.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=LISTEN_FD)


def listening(path: Path) -> socket.socket:
    """Open a listening Unix socket at ``path`` that only its owner can use. Raises ``OSError`` if the socket cannot be
    made there.
    """
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    path.chmod(0o600)
    made.listen(4)
    return made


def serve_one(door: socket.socket, idle_s: float | None = IDLE_S) -> bool:
    """Wait for one client and answer its question. Returns False if none connected within ``idle_s`` seconds (None:
    wait for ever), otherwise True, even if the question could not be answered.
    """
    door.settimeout(idle_s)
    try:
        line, _ = door.accept()
    except TimeoutError:
        return False
    with line:
        line.settimeout(IDLE_S)
        try:
            found = answered(read_question(_question(line)))
            line.settimeout(SERVED_S)
            line.sendall(answer_line(found))
        except (OSError, BadMessage):
            pass  # the daemon gets no answer, and logs that itself
    return True


def _question(line: socket.socket) -> bytes:
    """Read the client's question, which is one line. Raises ``BadMessage`` if the line does not end or is too long,
    ``OSError`` if nothing more comes in time.
    """
    received = bytearray()
    while not received.endswith(b"\n"):
        part = line.recv(65536)
        received += part
        if not part or len(received) > QUESTION_BYTES_MAX:
            raise BadMessage(f"{len(received)} bytes and no end")
    return bytes(received)


def answered(question: RehearsalQuestion) -> Rehearsed | Missed:
    """Run the rehearsal that the question asks for, within its limits of processor time (``seconds``) and real time
    (``within_s``).
    """
    until_s, real_s = processor_s() + question.seconds, monotonic_s() + question.within_s
    try:
        pair = Pair(*(reread(one, None).policy for one in (question.in_force, question.policy)))
    except DocumentRefused:
        return Missed(missed="broke-off")

    def over() -> bool:
        return processor_s() >= until_s or monotonic_s() >= real_s

    return rehearse(Path(question.journal), pair, question.days, over)
