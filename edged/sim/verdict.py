"""Checks a demo run: whether inputs that devices sent are in the journal, and whether devices show what the core
wanted.

An input is lost if it was sent and is not in the journal. Serial lines have no acknowledgement, so what a killed daemon
had read but not stored is excused. An output is wrong if its device shows neither the wanted value nor one that was
wanted within the last ``GRACE_S`` real seconds, because a value needs time to arrive.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from devices.candle485.options import CandleOptions
from devices.candle485.signs import board, digits, led
from devices.mqtt_json.codec import encode_level
from devices.onbon_bx.driver import OnbonOptions, rows
from edged.config import HallConfig
from edged.core.model.commands import Display, Lamp, Panel, Value
from edged.core.model.events import CountRead, KeyPressed, RatingGiven, TicketPrinted, TicketRequested
from edged.core.model.point import Point, parts_of, point_of
from edged.core.signage.signs import CENTRE
from edged.observer import Step
from edged.sim.fakes import Fakes
from edged.store.replay import desired_history

GRACE_S = 1.0
Wanted = Mapping[tuple[Point, str], Sequence[tuple[int, Value]]]


def inputs_lost(fakes: Fakes, steps: list[Step]) -> list[str]:
    """List the inputs that devices sent and the journal's ``steps`` lack: one line for each numbered input, or for each
    group of inputs without numbers.
    """
    numbered: set[tuple[str, int]] = set()
    unnumbered: Counter[Point] = Counter()
    for step in steps:
        event = step.event
        if isinstance(event, TicketPrinted | TicketRequested | KeyPressed | RatingGiven | CountRead):
            if event.seq is not None:
                numbered.add((event.point, event.seq))
            else:
                unnumbered[event.point] += 1
    lost = [
        f"{device.id} input {seq}"
        for device in fakes.json.values()
        for seq in range(1, device.seq + 1)
        if (device.id, seq) not in numbered
    ]
    for name, bus in fakes.buses.items():
        missing = {
            source: sent - unnumbered[point_of(name, source)] for source, sent in bus.frames_sent.items()
        }
        if sum(missing.values()) > fakes.in_flight[name]:
            lost += [
                f"{name}/{source}: {gap} of {bus.frames_sent[source]} frames"
                for source, gap in missing.items()
                if gap > 0
            ]
    lost += [
        f"{name}: {sent - unnumbered[point_of(name)]} of {sent} reports"
        for name, sent in fakes.counted.items()
        if unnumbered[point_of(name)] < sent
    ]
    return lost


def outputs_wrong(config: HallConfig, fakes: Fakes, journal: Path, end_ms: int, speed: float) -> list[str]:
    """List the outputs that show a wrong value at the end of a run, one line each. ``end_ms``: hall time of the end;
    values wanted after it are accepted, too. ``speed``: hall seconds in a real second.
    """
    return slots_wrong(config, fakes, desired_history(journal), end_ms, speed)


def slots_wrong(config: HallConfig, fakes: Fakes, wanted: Wanted, end_ms: int, speed: float) -> list[str]:
    """List the wrong outputs of a hall that still runs; see ``outputs_wrong``. ``wanted``: for each output its wanted
    values, with the hall time (ms) from which each was wanted.
    """
    wrong = []
    since_ms = end_ms - GRACE_S * 1000 * speed
    for (point, kind), history in wanted.items():
        device, channel = parts_of(point)
        if device == CENTRE or (device in fakes.bars and not fakes.bars[device].alive):
            continue
        recent = [value for at_ms, value in history if at_ms >= since_ms]
        older = [value for at_ms, value in history if at_ms < since_ms]
        accepted = [*older[-1:], *recent] if recent else older[-1:]
        if not any(shows(config, fakes, device, channel, value) for value in accepted):
            wrong.append(f"{point} should show {kind} {accepted[-1]}")
    return wrong


def shows(config: HallConfig, fakes: Fakes, device: str, channel: str, value: Value) -> bool:
    """Whether a device, or one channel of it, shows ``value`` now."""
    if device in fakes.relays:
        return isinstance(value, Lamp) and value.state in fakes.lamp_seen(device, int(channel))
    if device in fakes.bars:
        options = next(one.options for one in config.devices if one.id == device)
        assert isinstance(options, OnbonOptions)
        assert isinstance(value, Display)
        return tuple(area.text for area in rows(value.lines, options)) in fakes.bar_seen(device)
    if device in fakes.buses:
        return _on_bus(config, fakes, device, channel, value)
    if device in fakes.json:
        tail, payload = encode_level(value)
        return bool(fakes.json[device].shown.get(tail) == json.loads(payload))
    return False


def _on_bus(config: HallConfig, fakes: Fakes, device: str, channel: str, value: Value) -> bool:
    bus = fakes.buses[device]
    unit = bus.units[channel]
    options = next(one.options for one in config.devices if one.id == device)
    assert isinstance(options, CandleOptions)
    if isinstance(value, Display):
        text = board(options.boards[channel], value)
        return unit.text == text.text and unit.blink == text.blink
    assert isinstance(value, Panel | Lamp)
    panel = options.panels[channel]
    lit = unit.led == led(panel.address, value).code
    if not panel.digits or not isinstance(value, Panel):
        return lit
    seen = digits(panel.address, value).text
    return lit and unit.text.startswith(seen)  # noise may have written digits beyond those that the panel has
