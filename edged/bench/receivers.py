"""The devices' ends of the measured lines: a Modbus TCP module, a Modbus RTU line and a Candle bus on ptys. They do as
little as possible.

The drivers' own fakes misbehave by a seed and run on an event loop. Here only the time of arrival matters, so each
consists of a read, a table look-up and a write.
"""

from __future__ import annotations

import os
import socket
import tty
from collections import deque
from collections.abc import Iterable

from edged.links.modbus.frames import rtu_frame, tcp_frame

READ_BYTES = 4096
READ_COILS, WRITE_COIL = 1, 5
MBAP_BYTES = 7
RTU_REQUEST_BYTES = 8  # FC01 and FC05 alike
GAP_CHARS = 3.5  # of silence that ends an RTU frame
REPLIES_MAX = 64  # answers under way on a slow line; a master sends one request at a time
CANDLE_FRAME_BYTES = 4


class Coils:
    """Eight coils (outputs) of a Modbus module: answers requests and remembers which lamps are on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._levels = [False] * 8

    def obey(self, pdu: bytes) -> tuple[bytes, str | None]:
        """Carry out a Modbus request; returns the answer (both without the frame around them) and, if a coil was
        written, the name of the new output: ``name/coil on`` or ``name/coil off``; else None.
        """
        if pdu[0] == WRITE_COIL:
            coil, lit = pdu[2], pdu[3] == 0xFF
            self._levels[coil] = lit
            return pdu, f"{self._name}/{coil} {'on' if lit else 'off'}"
        assert pdu[0] == READ_COILS, f"function {pdu[0]} is not of a plain module"
        bits = sum(level << n for n, level in enumerate(self._levels))
        return bytes((READ_COILS, 1, bits)), None


class TcpModule:
    """A Modbus TCP module on 127.0.0.1:``port`` that serves one client at a time."""

    def __init__(self, name: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._master: socket.socket | None = None
        self._held = b""
        self._coils = Coils(name)

    def fileno(self) -> int:
        """File descriptor of the client's connection; while there is none, of the listening socket."""
        return (self._master or self._listener).fileno()

    def receive(self, at_s: float) -> list[tuple[str, float]]:
        """Accept a client, or read its requests and answer them. ``at_s``: when they could be read. Returns (name of
        the output, ``at_s``) for each coil written, such as ``relay-t1/0 on``.
        """
        if self._master is None:
            self._master, _ = self._listener.accept()
            self._master.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return []
        marks: list[tuple[str, float]] = []
        try:
            data = self._master.recv(READ_BYTES)
            self._held += data
            while (frame := self._frame()) is not None:
                answer, mark = self._coils.obey(frame[MBAP_BYTES:])
                self._master.sendall(tcp_frame(int.from_bytes(frame[:2], "big"), frame[6], answer))
                marks += [] if mark is None else [(mark, at_s)]
        except OSError:  # the master closed the connection; it will connect again
            data = b""
        if not data:
            self._master.close()
            self._master, self._held = None, b""
        return marks

    def due_s(self) -> None:
        """Always None: this module has no timers."""

    def tick(self) -> None:
        """No-op: this module has no timers."""

    def close(self) -> None:
        """Close the connection and the listening socket, as if the module had lost its power."""
        for end in (self._master, self._listener):
            if end is not None:
                end.close()

    def _frame(self) -> bytes | None:
        size = 6 + int.from_bytes(self._held[4:6], "big")
        if len(self._held) < MBAP_BYTES or len(self._held) < size:
            return None
        frame, self._held = self._held[:size], self._held[size:]
        return frame


class BenchLine:
    """A serial line made of a pty (pseudo-terminal): the daemon opens ``path``; this object is the device's end of
    it.
    """

    def __init__(self) -> None:
        self._master, self._slave = (
            os.openpty()
        )  # the slave is held, so that the line outlives whoever opens it
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def fileno(self) -> int:
        """File descriptor of the device's end."""
        return self._master

    def write(self, data: bytes) -> None:
        """Send bytes to the daemon."""
        os.write(self._master, data)

    def due_s(self) -> float | None:
        """When ``tick`` must be called next, in seconds of ``edged.clock.perf_s``; None: never. Only lines with a
        transmission time need it.
        """
        return None

    def tick(self) -> None:
        """Do what is due now; a line without transmission time has nothing to do."""

    def close(self) -> None:
        """Close both ends, as if the line had been unplugged."""
        os.close(self._master)
        os.close(self._slave)


class RtuLine(BenchLine):
    """A line of Modbus RTU modules with the addresses 1 to ``units``; those in ``dead`` do not answer. ``char_s``:
    seconds that one character takes on the line (0: no delay).

    A lamp counts as lit when the line has carried the frame that lights it and the silence after it. An answer reaches
    the daemon when the line has carried its last character.
    """

    def __init__(self, units: int, char_s: float = 0.0, dead: Iterable[int] = ()) -> None:
        super().__init__()
        self.units = units
        self.char_s = char_s
        self.dead = set(dead)
        self._modules = {unit: Coils(f"relay-r{unit}") for unit in range(1, units + 1)}
        self._held = b""
        self._free_s = 0.0  # when the line becomes silent
        self._replies: deque[tuple[float, bytes]] = deque(maxlen=REPLIES_MAX)

    def receive(self, at_s: float) -> list[tuple[str, float]]:
        """Read requests and answer them, at the pace of the line. Returns (name of the output, time) for each coil
        written, the time in seconds of ``edged.clock.perf_s``.
        """
        self._held += os.read(self._master, READ_BYTES)
        marks = []
        while len(self._held) >= RTU_REQUEST_BYTES:
            frame, self._held = self._held[:RTU_REQUEST_BYTES], self._held[RTU_REQUEST_BYTES:]
            received_s = max(at_s, self._free_s) + (RTU_REQUEST_BYTES + GAP_CHARS) * self.char_s
            self._free_s = received_s
            unit = frame[0]
            if unit in self.dead or unit not in self._modules:
                continue
            answer, mark = self._modules[unit].obey(frame[1:-2])
            reply = rtu_frame(unit, answer)
            self._free_s = received_s + len(reply) * self.char_s
            self._replies.append((self._free_s, reply))
            marks += [] if mark is None else [(mark, received_s)]
        if not self.char_s:
            self.tick()
        return marks

    def due_s(self) -> float | None:
        """When the next answer must be sent, in seconds of ``edged.clock.perf_s``; None if there is none to send."""
        return self._replies[0][0] if self._replies else None

    def tick(self) -> None:
        """Send the oldest answer; call this when it is due."""
        if self._replies:
            self.write(self._replies.popleft()[1])


class CandleLine(BenchLine):
    """The line of call panels on a Candle bus (RS-485). An LED that the daemon switches is named ``address code`` (both
    decimal).
    """

    def __init__(self) -> None:
        super().__init__()
        self._held = b""

    def receive(self, at_s: float) -> list[tuple[str, float]]:
        """Read the daemon's frames that switch LEDs; returns (``address code``, ``at_s``) for each."""
        self._held += os.read(self._master, READ_BYTES)
        marks = []
        while len(self._held) >= CANDLE_FRAME_BYTES:
            frame, self._held = self._held[:CANDLE_FRAME_BYTES], self._held[CANDLE_FRAME_BYTES:]
            marks.append((f"{frame[1]} {frame[2]}", at_s))
        return marks
