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
    """The folder, the brokers and the names of a bench. ``broker``: the one under test; ``no_delay``: one with
    TCP_NODELAY for the aiomqtt peer; ``name``: prefix of the ids of all its halls.

    ``echo``: a program as a further peer; its arguments are host, port, topic filter of the messages, topic of the
    keys, and topic of the lamp.
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
        """Make the id of the hall for one part of the bench, and note it in ``halls``."""
        hall = f"{self.name}-{part}"
        self.halls.append(hall)
        return hall

    def broker_of(self, side: str) -> Address:
        """The broker on which ``side`` (the daemon or a peer, by name) is measured: the one with TCP_NODELAY for
        "aiomqtt", for all others the broker under test.
        """
        return self.no_delay if side == "aiomqtt" else self.broker


@dataclass(slots=True)
class Side:
    """One of the programs compared: the daemon or a peer. ``press(n)`` sends the n-th key and returns its mark: the
    name of the output that must arrive on ``receiver``.
    """

    name: str
    meter: Meter
    receiver: Receiver
    press: Callable[[int], str]
    traffic: Traffic
    pressed: int = 0

    def measure(self, count: int, spacing_s: float) -> Samples:
        """Press ``count`` keys, about one every ``spacing_s``, and measure the time until each output. Ends early if
        ``LOST_IN_ROW_MAX`` outputs in a row are missing.

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
    """The processes and connections of one measurement, and the meter that listens to all its sides. Everything ends
    with ``stack``.
    """

    place: Place
    stack: ExitStack
    meter: Meter = field(default_factory=Meter)

    def serve(self, hall: BenchHall) -> None:
        """Start the daemon of ``hall`` and wait until it has settled; meanwhile the devices on its lines answer."""
        self.stack.callback(hall.daemon.stop)
        hall.daemon.start()
        self.meter.idle(perf_s() + SETTLE_S)

    def echo(self, job: PeerJob) -> Child:
        """Start a peer and wait until it is ready. Raises ``Failed`` if it does not start."""
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
        """Open a connection to the broker, which is closed at the end of the measurement."""
        made = Plug(broker, client_id)
        self.stack.callback(made.close)
        return made

    def traffic(self, name: str, hall: str) -> Traffic:
        """Start the process that sends background visits to the hall of a side. ``name``: of the side."""
        return Traffic(hall, self.place.broker_of(name), "visits", self.stack, self.wait)

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass while the devices on the lines answer; otherwise the daemon would report them as
        lost.
        """
        self.meter.idle(perf_s() + seconds)

    def keyed(self, name: str, hall: str, receiver: Receiver, desks: Sequence[tuple[str, str]]) -> Side:
        """Make a side whose keys are pressed over MQTT. ``desks``: the windows to press at in turn, each with the name
        of the lamp that its keys switch.
        """
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
    """Start the sides with keys and lamps on MQTT: the daemon and all peers."""
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
    """Start the sides with keys on MQTT and a lamp on a Modbus TCP module."""
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
    """Start the sides with keys on MQTT and a lamp on a Modbus RTU line. The line keeps the protocol's pauses but has
    no transmission time.
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
    """Start the sides with keys on a Candle bus whose output is the LED of the same panel."""
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
    """Start the daemon alone on a Modbus RTU line with its real transmission time. The lamps of the modules ``units``
    are measured in turn.
    """
    hall = room.place.hall_id(f"w{len(line.dead)}")
    room.meter.add(line)
    wires = BenchWires(rtu=f"rtu://{line.path}?baudrate=9600", rtu_units=line.units)
    room.serve(BenchHall(room.place.directory / hall, room.place.broker, hall, wires))
    return room.keyed("edged", hall, line, [(f"r{unit}", f"relay-r{unit}/0") for unit in units])


def _start(room: BenchCell, name: str, hall: str, wires: BenchWires, peer: tuple[str, str]) -> None:
    """Start one side: the daemon with ``wires`` if ``name`` is "edged", otherwise the peer ``name``. ``peer``: the
    panel whose keys the peer answers, and its output (see ``PeerJob``).
    """
    broker = room.place.broker_of(name)
    if name != "edged":
        room.echo(PeerJob(PEERS[name], hall, peer[0], "", peer[1], broker.to_json()))
        return
    served = BenchHall(room.place.directory / hall, broker, hall, wires)
    room.serve(served)
    if wires.line is not None:
        _fill(room, served)


def _fill(room: BenchCell, hall: BenchHall) -> None:
    """Give the clerks on the Candle bus visitors to call: send tickets, fifty at a time, because a broker drops what it
    cannot queue.
    """
    dispenser = room.plug(room.place.broker, f"{hall.hall}-fill")
    topic = hall.up("dispenser-2", "ticket")
    for first in range(1, LINE_TICKETS, 50):
        dispenser.publish_all([(topic, ticket(n, f"D{n}", DESK)) for n in range(first, first + 50)])
        hall.daemon.await_metric("edged_events_total", first + 49, FILL_S, type="ticket.issued")


def _line_press(line: CandleLine) -> Callable[[int], str]:
    """Make the function ``press`` of a side on a Candle bus: every clerk presses "next" in turn, then every one
    "arrive", then every one "finish".
    """
    keys = list(CANDLE_LEDS.items())

    def press(n: int) -> str:
        address = LINE_ADDRESS + n % LINE_PANELS
        code, led = keys[n // LINE_PANELS % len(keys)]
        line.write(bytes((0x01, address, code, 0x07)))
        return f"{address} {led}"

    return press


def _warm(sides: list[Side]) -> list[Side]:
    """Press a few keys on each side without recording them, because the first ones are slower; returns the sides."""
    for side in sides:
        side.measure(WARM_UP, WARM_UP_SPACING_S)
    return sides


def pooled(rounds: Sequence[dict[str, Samples]]) -> dict[str, Samples]:
    """Put the samples of all rounds together; returns them by side."""
    found: dict[str, Samples] = {}
    for one in rounds:
        for name, samples in one.items():
            found.setdefault(name, Samples()).add(samples)
    return found


def figures(by_side: dict[str, Samples]) -> dict[str, Any]:
    """Compute the results of one cell as JSON values. Latencies are in microseconds: ``p50_us``, ``p99_us`` and
    ``p999_us`` of the daemon; those of a peer have its name in front (``aiomqtt_p50_us``).
    """
    found: dict[str, Any] = {}
    for name, samples in by_side.items():
        prefix = "" if name == "edged" else f"{name}_"
        found[f"{prefix}p50_us"] = samples.us(0.5)
        found[f"{prefix}p99_us"] = samples.us(0.99)
        if name == "edged":
            found |= {"p999_us": samples.us(0.999), "samples": len(samples.seconds), "lost": samples.lost}
    return found
