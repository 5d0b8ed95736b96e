"""The "sides" compared in one cell: the daemon and its peers, each with its own hall id, port or line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.bench.children import Child, module
from edged.bench.hall import DESK, LINE_ADDRESS, LINE_PANELS, BenchHall, BenchPanel, BenchWires, ticket
from edged.bench.meter import Drain, Lamps, Meter, Receiver, Samples
from edged.bench.peers import CANDLE_LEDS, PeerJob
from edged.bench.plug import Address, Plug
from edged.bench.receivers import CandleLine, RtuLine, TcpModule
from edged.bench.traffic_child import Traffic
from edged.clock import perf_s

PEERS = {"limit": "blocking", "asyncio": "asyncio", "aiomqtt": "aiomqtt"}  # side -> kind of peer
WARM_UP = 12  # presses before anything counts
WARM_UP_SPACING_S = 0.03
SETTLE_S = 1.0  # after READY: first assertions of levels, first state messages
LOST_IN_ROW_MAX = 5  # then the round ends: a side that is so late would only delay the others
STRAY, GOLDEN = 0.25, 0.618034  # each press is delayed by a varying part of a quarter of the spacing
FILL_S = 10.0  # for fifty tickets to be stored
LINE_TICKETS = 400  # waiting visitors for the clerks on the Candle bus


@dataclass(frozen=True, slots=True)
class Place:
    """The environment of a bench. ``broker``: the one under test; ``no_delay``: a broker with TCP_NODELAY for the
    aiomqtt peer; ``name``: prefix of the hall ids.

    ``echo``: a program as a further peer, called with host, port, filter, press topic and lamp topic.
    """

    directory: Path
    broker: Address
    no_delay: Address
    name: str
    echo: Path | None = None
    halls: list[str] = field(
        default_factory=list
    )  # ids in use: what a hall's own broker must forget afterwards

    def hall_id(self, part: str) -> str:
        """The hall id for ``part`` of the bench."""
        hall = f"{self.name}-{part}"
        self.halls.append(hall)
        return hall

    def broker_of(self, side: str) -> Address:
        """The broker that ``side`` (the name of the daemon or of a peer) is measured with: the one with TCP_NODELAY for
        "aiomqtt", for all others the broker under test.
        """
        return self.no_delay if side == "aiomqtt" else self.broker


@dataclass(slots=True)
class Side:
    """The daemon, or one of the programs it is compared with (a peer), as measured. ``press(n)`` sends the n-th key and
    returns the mark that must arrive on ``receiver``.
    """

    name: str
    meter: Meter
    receiver: Receiver
    press: Callable[[int], str]
    traffic: Traffic
    pressed: int = 0

    def measure(self, count: int, spacing_s: float) -> Samples:
        """Press ``count`` times, about one every ``spacing_s``; ends early after ``LOST_IN_ROW_MAX`` missing outputs in
        a row.

        The spacing varies: at equal distances all presses of a round might coincide with background messages, or none.
        """
        samples, lost_in_row = Samples(), 0
        next_s = perf_s()
        for n in range(count):
            if lost_in_row >= LOST_IN_ROW_MAX:
                break
            self.meter.idle(next_s + n * GOLDEN % 1 * STRAY * spacing_s)
            start_s = perf_s()
            next_s = max(next_s + spacing_s, start_s)
            at_s = self.meter.await_mark(self.receiver, self.press(self.pressed))
            self.pressed += 1
            lost_in_row = lost_in_row + 1 if at_s is None else 0
            if at_s is None:
                samples.lost += 1
            else:
                samples.seconds.append(at_s - start_s)
        return samples


@dataclass(frozen=True, slots=True)
class BenchCell:
    """One cell while it is measured: its processes and connections, which are stopped at its end, and the meter of all
    sides.
    """

    place: Place
    stack: ExitStack
    meter: Meter = field(default_factory=Meter)

    def serve(self, hall: BenchHall) -> None:
        """Start the daemon and wait until it has settled; the devices' ends of the lines are served meanwhile."""
        self.stack.callback(hall.daemon.stop)
        hall.daemon.start()
        self.meter.idle(perf_s() + SETTLE_S)

    def echo(self, job: PeerJob) -> Child:
        """Start a peer and wait until it is ready."""
        child = self.spawn(job)
        child.await_ready(self.wait)
        return child

    def spawn(self, job: PeerJob) -> Child:
        """Start a peer without waiting for it."""
        child = Child(self._command(job), job.to_json())
        self.stack.callback(child.stop)
        return child

    def _command(self, job: PeerJob) -> list[str]:
        if job.kind != "program":
            return module("edged.bench.peers")
        broker, devices = self.place.broker, f"hall/{job.hall}/dev"
        topics = [f"{devices}/+/up/+", f"{devices}/{job.panel}/up/key", f"{devices}/{job.lamp}/down/lamp"]
        return [str(self.place.echo), broker.host, str(broker.port), *topics]

    def plug(self, broker: Address, client_id: str) -> Plug:
        """Open a broker connection for the meter; it is closed at the cell's end."""
        made = Plug(broker, client_id)
        self.stack.callback(made.close)
        return made

    def traffic(self, name: str, hall: str) -> Traffic:
        """The child process with the background visits of a side."""
        return Traffic(hall, self.place.broker_of(name), "visits", self.stack, self.wait)

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass while the lines are served: the daemon would report a silent module as lost."""
        self.meter.idle(perf_s() + seconds)

    def keyed(self, name: str, hall: str, receiver: Receiver, desks: Sequence[tuple[str, str]]) -> Side:
        """A side whose presses are MQTT keys. ``desks``: windows and the mark of each one's lamp, pressed in turn."""
        presser = self.plug(self.place.broker_of(name), f"{hall}-press")
        panels = [BenchPanel(hall, window, lamp) for window, lamp in desks]
        for panel in panels:
            presser.publish(panel.topic, panel.login())

        def press(n: int) -> str:
            panel = panels[n % len(panels)]
            payload, mark = panel.toggle()
            presser.publish(panel.topic, payload)
            return mark

        self.meter.add(Drain(presser))
        return Side(name, self.meter, receiver, press, self.traffic(name, hall))


def mqtt_sides(room: BenchCell) -> list[Side]:
    """Sides with MQTT in and MQTT out; each has its own background visits if the cell has any."""
    sides: list[Side] = []
    for name in ("edged", *PEERS, *(["program"] if room.place.echo is not None else [])):
        broker = room.place.broker_of(name)
        hall = room.place.hall_id(f"m{len(sides)}")
        if name == "edged":
            room.serve(BenchHall(room.place.directory / hall, broker, hall))
        else:
            kind = PEERS.get(name, name)
            room.echo(PeerJob(kind, hall, "panel-m1", "lamp-m1", "mqtt", broker.to_json()))
        lamps = Lamps(room.plug(broker, f"{hall}-lamps"), hall)
        room.meter.add(lamps)
        sides.append(room.keyed(name, hall, lamps, [("m1", "lamp-m1")]))
    return _warm(sides)


def tcp_sides(room: BenchCell) -> list[Side]:
    """Sides with MQTT in and a Modbus TCP coil out."""
    sides: list[Side] = []
    for name in ("edged", *PEERS):
        hall = room.place.hall_id(f"t{len(sides)}")
        module = TcpModule("relay-t1")
        room.stack.callback(module.close)
        room.meter.add(module)
        _start(room, name, hall, BenchWires(tcp_port=module.port), ("panel-t1", f"tcp:{module.port}"))
        sides.append(room.keyed(name, hall, module, [("t1", "relay-t1/0")]))
    return _warm(sides)


def rtu_sides(room: BenchCell) -> list[Side]:
    """Sides with MQTT in and a coil on an RTU line out. The line has no transmission time, but the protocol's
    pauses.
    """
    sides: list[Side] = []
    for name in ("edged", "limit", "asyncio"):
        hall = room.place.hall_id(f"r{len(sides)}")
        line = RtuLine(1)
        room.stack.callback(line.close)
        room.meter.add(line)
        wires = BenchWires(rtu=f"rtu://{line.path}?baudrate=115200")
        _start(room, name, hall, wires, ("panel-r1", f"rtu:{line.path}"))
        sides.append(room.keyed(name, hall, line, [("r1", "relay-r1/0")]))
    return _warm(sides)


def line_sides(room: BenchCell) -> list[Side]:
    """Sides with a key on a Candle bus in and the panel's LED out, on the same line."""
    sides: list[Side] = []
    for name in ("edged", "limit", "asyncio"):
        hall = room.place.hall_id(f"s{len(sides)}")
        line = CandleLine()
        room.stack.callback(line.close)
        room.meter.add(line)
        _start(room, name, hall, BenchWires(line=line.path), ("", f"line:{line.path}"))
        sides.append(Side(name, room.meter, line, _line_press(line), room.traffic(name, hall)))
    return _warm(sides)


def slow_line_side(room: BenchCell, line: RtuLine, units: Sequence[int]) -> Side:
    """The daemon alone on an RTU line with its real transmission time; the lamps of ``units`` are measured in turn."""
    hall = room.place.hall_id(f"w{len(line.dead)}")
    room.meter.add(line)
    wires = BenchWires(rtu=f"rtu://{line.path}?baudrate=9600", rtu_units=line.units)
    room.serve(BenchHall(room.place.directory / hall, room.place.broker, hall, wires))
    return room.keyed("edged", hall, line, [(f"r{unit}", f"relay-r{unit}/0") for unit in units])


def _start(room: BenchCell, name: str, hall: str, wires: BenchWires, peer: tuple[str, str]) -> None:
    """Start the daemon with ``wires``, or a peer with (panel, output) of ``peer``."""
    broker = room.place.broker_of(name)
    if name != "edged":
        room.echo(PeerJob(PEERS[name], hall, peer[0], "", peer[1], broker.to_json()))
        return
    served = BenchHall(room.place.directory / hall, broker, hall, wires)
    room.serve(served)
    if wires.line is not None:
        _fill(room, served)


def _fill(room: BenchCell, hall: BenchHall) -> None:
    """Send tickets for the clerks on the bus, fifty at a time, because a broker drops what it cannot queue."""
    dispenser = room.plug(room.place.broker, f"{hall.hall}-fill")
    topic = hall.up("dispenser-2", "ticket")
    for first in range(1, LINE_TICKETS, 50):
        dispenser.publish_all([(topic, ticket(n, f"D{n}", DESK)) for n in range(first, first + 50)])
        hall.daemon.await_metric("edged_events_total", first + 49, FILL_S, type="ticket.issued")


def _line_press(line: CandleLine) -> Callable[[int], str]:
    """A ``press`` for a Candle bus: every clerk presses "next" in turn, then every one "arrive", then every one
    "finish".
    """
    keys = list(CANDLE_LEDS.items())

    def press(n: int) -> str:
        address = LINE_ADDRESS + n % LINE_PANELS
        code, led = keys[n // LINE_PANELS % len(keys)]
        line.write(bytes((0x01, address, code, 0x07)))
        return f"{address} {led}"

    return press


def _warm(sides: list[Side]) -> list[Side]:
    """Press a few times on each side without counting; returns the sides."""
    for side in sides:
        side.measure(WARM_UP, WARM_UP_SPACING_S)
    return sides


def pooled(rounds: Sequence[dict[str, Samples]]) -> dict[str, Samples]:
    """The samples of all rounds together, by side."""
    found: dict[str, Samples] = {}
    for one in rounds:
        for name, samples in one.items():
            found.setdefault(name, Samples()).add(samples)
    return found


def figures(by_side: dict[str, Samples]) -> dict[str, Any]:
    """The results of one cell as JSON values: latencies in microseconds, of the daemon as ``p50_us``, ``p99_us`` and
    ``p999_us``, of a peer with its name in front (``aiomqtt_p50_us``).
    """
    found: dict[str, Any] = {}
    for name, samples in by_side.items():
        prefix = "" if name == "edged" else f"{name}_"
        found[f"{prefix}p50_us"] = samples.us(0.5)
        found[f"{prefix}p99_us"] = samples.us(0.99)
        if name == "edged":
            found |= {"p999_us": samples.us(0.999), "samples": len(samples.seconds), "lost": samples.lost}
    return found
