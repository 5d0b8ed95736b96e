"""Handles what devices report about their health and about actions they were sent, and faults of the controller's own
machine.
"""

from __future__ import annotations

from edged.core import sequence
from edged.core.model.commands import Page, Print, Refuse, Say
from edged.core.model.events import (
    CommandDone,
    CommandFailed,
    DeviceBack,
    DeviceLost,
    HealthRead,
    MachineTold,
)
from edged.core.model.losses import OUR_LINK
from edged.core.model.state import DeviceState
from edged.core.model.turn import Turn
from edged.core.people import alarms, announcements, pages, undelivered
from edged.core.queue import sensors
from edged.core.visits import printing
from edged.core.windows import activation, attendance

# Errors of actions that may have reached their device nevertheless (``outputs``, drivers).
MAY_HAVE_ARRIVED = ("no answer in time", "interrupted", "driver failed")


def health(turn: Turn, event: HealthRead) -> None:
    """Handle a device's own health report. A device that cannot work raises an alarm; low paper is only noted."""
    if event.fault is not None or event.paper in ("low", "out"):
        turn.note("device.fault", event.point, paper=event.paper, fault=event.fault)
    if event.fault is not None or event.paper == "out":
        alarms.sound(turn, "device-fault", event.point, paper=event.paper, fault=event.fault)
    else:
        alarms.clear(turn, "device-fault", event.point)


def changed(turn: Turn, event: DeviceLost | DeviceBack) -> None:
    """Handle a device that became unreachable or reachable, or whose reason of loss changed."""
    up = isinstance(event, DeviceBack)
    reason, detail = (event.reason, event.detail or None) if isinstance(event, DeviceLost) else (None, None)
    if up:
        sequence.link_up(turn, event.point)
        undelivered.device_back(turn, event.point)
    elif reason == OUR_LINK:
        sequence.link_down(turn, event.point)
    before = turn.state.devices.get(event.point)
    if before is not None and before.up == up:
        if not up and before.reason != reason:
            turn.state.devices[event.point] = DeviceState(up, before.since_ms, reason, detail)
            turn.note("device.still_lost", event.point, reason=reason)
            turn.alarmed = turn.alarmed or alarms.is_raised(turn, alarms.LOST, event.point)
        return
    turn.state.devices[event.point] = DeviceState(up, turn.at_ms, reason, detail)
    if up:
        away_s = None if before is None else turn.seconds_since(before.since_ms)
        turn.note("device.back", event.point, away_s=away_s)
    else:
        turn.note("device.lost", event.point, reason=reason)
    attendance.panel_changed(turn, event.point, up)
    for area in sensors.areas_of(turn, event.point):  # their figures may be incomplete now
        turn.touch_area(area)


def outcome(turn: Turn, event: CommandDone | CommandFailed) -> None:
    """Handle the outcome of an action. It is retried only if the module that ordered it decides so."""
    pending = turn.state.actions.pop(event.id, None)
    if pending is None:
        turn.ignore(event.id, "unknown_action")
        return
    if isinstance(pending.body, Say):
        announcements.ended(turn, event.id)
    if isinstance(event, CommandFailed) and undelivered.keep(turn, event.id, pending, event.error):
        return
    if isinstance(event, CommandFailed):
        pages.failed(turn, event.id)
        if isinstance(pending.body, Page) and not event.error.startswith(MAY_HAVE_ARRIVED):
            activation.unreached(turn, pending.body)
        if isinstance(pending.body, Refuse):
            printing.say_on_paper(turn, pending.body, pending.point)
        if isinstance(pending.body, Print):
            undelivered.keep_paper(turn, event.id, pending, event.error)
            printing.failed(turn, pending.body, pending.point, event.error)
        else:
            turn.note(
                "action.failed", event.id, body=pending.body.kind, point=pending.point, error=event.error
            )
    elif isinstance(pending.body, Print):
        printing.done(turn, pending.body, pending.point)


def machine(turn: Turn, event: MachineTold) -> None:
    """Handle an alarm about the controller's own machine (configuration, certificates, broker) that begins or ends."""
    if event.stands:
        alarms.sound(turn, event.alarm, event.subject, detail=event.detail)
    else:
        alarms.clear(turn, event.alarm, event.subject)
