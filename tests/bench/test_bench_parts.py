"""The bench's own instruments: an instrument that lies is worse than none."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from edged.bench import packets
from edged.bench.brokers import OwnBroker
from edged.bench.children import Failed, histogram_quantile
from edged.bench.hall import BenchHall, BenchPanel, BenchWires
from edged.bench.limits import PRESSES_MIN, verdicts
from edged.bench.meter import ANSWER_S, Lamps, Meter, Samples, quantile
from edged.bench.plans import FULL, QUICK
from edged.bench.plug import BrokerGone, Plug
from edged.bench.receivers import CandleLine, RtuLine, TcpModule
from edged.bench.run import merged
from edged.bench.sides import LOST_IN_ROW_MAX, BenchCell, Place, Side, mqtt_sides
from edged.bench.slow_line import CHAR_S, WIRE_MS
from edged.clock import perf_s
from edged.config import load
from edged.links.modbus.frames import rtu_frame, tcp_frame
from tests.support.brokers import _mosquitto_path

LONG = b"x" * 300  # a remaining length of two bytes


def test_packets_come_out_whole_however_the_bytes_arrive() -> None:
    wire = packets.publish("hall/a/lamp", LONG, 7, retain=True) + packets.puback(9)
    for size in (1, 2, 5, len(wire)):
        reader, found = packets.Reader(), []
        for at in range(0, len(wire), size):
            found += reader.feed(wire[at : at + size])
        assert [packet.kind for packet in found] == [packets.PUBLISH, packets.PUBACK]
        assert packets.published(found[0]) == ("hall/a/lamp", LONG, True, 7)
        assert found[1].body == b"\x00\x09"


def test_a_length_that_never_ends_is_not_mqtt() -> None:
    with pytest.raises(ValueError, match="not MQTT"):
        packets.Reader().feed(b"\x30\xff\xff\xff\xff\x01")


def test_quantiles_count_what_never_came_as_the_longest_wait() -> None:
    samples = Samples([0.001 * n for n in range(1, 100)], lost=1)
    assert samples.us(0.5) == 51_000.0
    assert samples.us(0.99) == ANSWER_S * 1e6
    assert quantile([], 0.5) is None


def test_a_histogram_gives_its_quantile_inside_a_bucket() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("lag_seconds", "late", buckets=(0.001, 0.002, 0.01), registry=registry)
    for value in (0.0005,) * 50 + (0.0015,) * 49 + (0.009,):
        histogram.observe(value)
    text = generate_latest(registry).decode()
    assert histogram_quantile(text, "lag_seconds", 0.5) == pytest.approx(0.001)
    assert histogram_quantile(text, "lag_seconds", 0.745) == pytest.approx(0.0015)
    assert histogram_quantile(text, "other_seconds", 0.5) is None


def test_a_broken_limit_is_seen_and_an_unmeasured_one_is_not_judged() -> None:
    cell = {"p50_us": 900.0, "p99_us": 2000.0, "aiomqtt_p50_us": 1000.0, "aiomqtt_p99_us": 1500.0, "lost": 0}
    found = {
        "mqtt_mqtt": {"spacing": {"20": cell}, "background": {}},
        "throughput_msg_s": 1_900,
        "aiomqtt_throughput_msg_s": 2_000,
        "first_decision_ms": 500,
        "aiomqtt_first_ms": 100,
        "ready_ms": None,
    }
    broken = [one.what for one in verdicts(found) if not one.kept]
    assert broken == [
        "mqtt mqtt, every 20 ms: p99 / bare aiomqtt",
        "messages a second, sustained / bare aiomqtt",
    ]
    assert [one.found for one in verdicts(found) if "first lit lamp" in one.what] == [5.0]
    assert not any("READY" in one.what for one in verdicts(found))


@pytest.mark.parametrize(("presses", "judged"), [(PRESSES_MIN, True), (PRESSES_MIN - 1, False)])
def test_a_p99_of_few_presses_is_not_judged(presses: int, judged: bool) -> None:
    figures = {"presses": presses, "p99_us": 3_000.0, "alone_p99_us": 2_000.0, "lost": 0}
    found = {one.what: one for one in verdicts({"age": {"beside_a_reader": figures}})}
    assert any("lost" in what for what in found)
    assert [one.found for what, one in found.items() if "p99" in what] == ([1.5] if judged else [])


@pytest.mark.parametrize("name", ["FULL", "QUICK"])
def test_a_plan_judges_the_p99_beside_a_reader_where_it_has_time(name: str) -> None:
    plan = {"FULL": FULL, "QUICK": QUICK}[name]
    assert (plan.age.rounds * plan.age.presses >= PRESSES_MIN) == (name == "FULL")


def test_tables_under_one_key_are_joined() -> None:
    assert merged({"rss_mib": {"start": 40}, "a": 1}, {"rss_mib": {"after_100k": 50}}) == {
        "rss_mib": {"start": 40, "after_100k": 50},
        "a": 1,
    }


def test_the_module_answers_and_marks_what_it_lights() -> None:
    module, meter = TcpModule("relay"), Meter()
    meter.add(module)
    with socket.create_connection(("127.0.0.1", module.port)) as master:
        write, read = tcp_frame(1, 1, b"\x05\x00\x02\xff\x00"), tcp_frame(2, 1, b"\x01\x00\x00\x00\x08")
        master.sendall(write[:5])
        master.sendall(write[5:] + read)
        assert meter.await_mark(module, "relay/2 on") is not None
        meter.idle(perf_s() + 0.01)
        assert master.recv(100) == write + tcp_frame(2, 1, b"\x01\x01\x04")
    module.close()


def test_a_slow_line_lights_and_answers_when_the_frames_have_passed() -> None:
    line, meter = RtuLine(2, CHAR_S, dead=(2,)), Meter()
    meter.add(line)
    port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    frame = rtu_frame(1, b"\x05\x00\x00\xff\x00")
    start_s = perf_s()
    os.write(
        port, rtu_frame(2, b"\x05\x00\x00\xff\x00") + frame
    )  # number 2 is dead: only its frame takes time
    lit_s = meter.await_mark(line, "relay-r1/0 on")
    assert lit_s is not None
    meter.idle(lit_s + 0.02)
    assert select.select([port], [], [], 0)[0]
    assert os.read(port, 100) == frame
    os.close(port)
    line.close()
    assert (lit_s - start_s) * 1000 >= 0.9 * WIRE_MS
    assert round(WIRE_MS) == 24


def test_a_candle_line_marks_every_led() -> None:
    line, meter = CandleLine(), Meter()
    meter.add(line)
    port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    os.write(port, bytes((1, 0x21, 0x36, 7, 1, 0x22)))
    assert meter.await_mark(line, "33 54") is not None
    os.write(port, bytes((0x31, 7)))
    assert meter.await_mark(line, "34 49") is not None
    os.close(port)
    line.close()


def test_every_hall_of_a_bench_is_a_valid_hall(tmp_path: Path) -> None:
    address = OwnBroker(tmp_path).address
    wires = BenchWires(tcp_port=1502, rtu="rtu:///dev/null?baudrate=9600", rtu_units=9, line="/dev/zero")
    BenchHall(tmp_path / "hall", address, "bench-all", wires)
    config = load(tmp_path / "hall" / "hall.toml")
    assert {device.driver for device in config.devices} == {"mqtt_json", "modbus_relay", "candle485"}
    assert sum(window.lamp is not None for window in config.site.windows) == 13


def test_a_lamp_of_a_real_broker_ends_the_clock(tmp_path: Path) -> None:
    _mosquitto_path()
    with ExitStack() as stack:
        broker = OwnBroker(tmp_path)
        broker.start()
        stack.callback(broker.kill)
        listener, lamp = Plug(broker.address, "meter"), Plug(broker.address, "lamp")
        stack.callback(listener.close)
        stack.callback(lamp.close)
        meter, lamps = Meter(), Lamps(listener, "h")
        meter.add(lamps)
        lamp.publish("hall/h/dev/lamp-1/down/lamp", b'{"state":"blink"}')
        assert meter.await_mark(lamps, "lamp-1 blink") is not None
        assert meter.await_mark(lamps, "lamp-1 off", 0.05) is None
        broker.kill()
        assert lamp.take() == []  # the PUBACK of the lamp
        with pytest.raises((BrokerGone, OSError)):
            lamp.take()


def test_a_panel_alternates_and_can_repeat_itself() -> None:
    panel = BenchPanel("h", "m1", "lamp-m1")
    marks = [panel.toggle()[1] for _ in range(3)]
    assert marks == ["lamp-m1 off", "lamp-m1 on", "lamp-m1 off"]
    assert b'"pause"' in panel.again()


def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    hall = BenchHall(tmp_path / "hall", OwnBroker(tmp_path).address, "bench-broken")
    file = tmp_path / "hall" / "hall.toml"
    file.write_text(file.read_text().replace('skills = ["desk"]', 'skills = ["nothing"]'))
    with pytest.raises(Failed, match="nothing"):
        hall.daemon.start()
    hall.daemon.stop()


def test_the_echo_in_c_answers_a_key_with_its_lamp(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the echo in C is an extra peer, not part of the product")
    _mosquitto_path()
    program = tmp_path / "echo"
    source = Path(__file__).with_name("echo.c")
    strict = ("-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
    subprocess.run([compiler, *strict, "-o", str(program), str(source)], check=True)
    with ExitStack() as stack:
        broker = OwnBroker(tmp_path)
        broker.start()
        stack.callback(broker.kill)
        place = Place(tmp_path, broker.address, broker.address, "bench-c", program)
        sides = {
            side.name: side
            for side in mqtt_sides(BenchCell(place, stack))
            if side.name in ("limit", "program")
        }
        for side in sides.values():
            samples = side.measure(4, 0.01)
            assert (len(samples.seconds), samples.lost) == (4, 0)


def test_a_master_that_gave_up_is_met_again() -> None:
    module, meter = TcpModule("relay"), Meter()
    meter.add(module)
    frame = tcp_frame(1, 1, b"\x05\x00\x00\xff\x00")
    for linger in (b"\x01\x00\x00\x00\x00\x00\x00\x00", b""):  # goes with a reset, then comes and stays
        with socket.create_connection(("127.0.0.1", module.port)) as master:
            master.sendall(frame * 3)
            if linger:
                master.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                master.close()
                meter.idle(perf_s() + 0.05)
            else:
                assert meter.await_mark(module, "relay/0 on") is not None
    module.close()


def test_a_side_that_never_answers_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "await_mark", lambda *_: None)
    line, presses = CandleLine(), []

    def press(n: int) -> str:
        presses.append(n)
        return "1 1"

    side = Side("edged", Meter(), line, press, None)  # type: ignore[arg-type]
    samples = side.measure(100, 0.0)
    line.close()
    assert samples.lost == len(presses) == LOST_IN_ROW_MAX
