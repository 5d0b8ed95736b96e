"""A small Modbus TCP slave with the deviations of real modules and gateways; it imports none of our code.

Habits: busy, accepted (every second write gets exception 6 or 5; "accepted" still does it), refuses-reads,
refuses-writes (exception 2), fails (4), swapped (bytes of long answers in reverse order), closes (the connection after
each answer), idle (closes after ``IDLE_S`` seconds without a request), renumbers (answers with another transaction id),
other-unit (answers as another unit).
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

IDLE_S = 0.4


class Slave:
    """A Modbus TCP server on a free port, with one of the habits. ``lit``: the state of its coils; ``connections`` and
    ``requests``: how many there were.
    """

    def __init__(self, habit: str, channels: int = 8) -> None:
        self.habit = habit
        self.lit = [False] * channels
        self.connections = 0
        self.requests = 0
        self._writes = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._server.accept()
                self.connections += 1
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        line.settimeout(IDLE_S if self.habit == "idle" else 60.0)
        held = b""
        with suppress(OSError), line:
            while True:
                data = line.recv(4096)
                if not data:
                    return
                held += data
                while len(held) >= 12:
                    self.requests += 1
                    line.sendall(self._answer(held[:12]))
                    held = held[12:]
                    if self.habit == "closes":
                        time.sleep(0.02)
                        return

    def _answer(self, request: bytes) -> bytes:
        number, unit = struct.unpack(">H", request[:2])[0], request[6]
        function, address, value = struct.unpack(">BHH", request[7:12])
        code = self._exception(function)
        if code and code != 5:
            pdu = bytes((function | 0x80, code))
        elif function == 1:
            pdu = self._read(address, value)
        else:
            self._write(address, value)
            pdu = bytes((function | 0x80, code)) if code else request[7:12]
        number += self.habit == "renumbers"
        unit = unit + 6 if self.habit == "other-unit" else unit
        return struct.pack(">HHHB", number & 0xFFFF, 0, len(pdu) + 1, unit) + pdu

    def _exception(self, function: int) -> int:
        self._writes += function == 5
        every_second = function == 5 and self._writes % 2 == 1
        if every_second and self.habit in ("busy", "accepted"):
            return 6 if self.habit == "busy" else 5
        if function == 1 and self.habit == "refuses-reads":
            return 2
        codes = {"refuses-writes": 2, "fails": 4}
        return codes.get(self.habit, 0) if function == 5 else 0

    def _read(self, first: int, count: int) -> bytes:
        bits = sum(lit << place for place, lit in enumerate(self.lit[first : first + count]))
        packed = bits.to_bytes((count + 7) // 8, "big" if self.habit == "swapped" else "little")
        return bytes((1, len(packed))) + packed

    def _write(self, address: int, value: int) -> None:
        self.lit[address] = value == 0xFF00
