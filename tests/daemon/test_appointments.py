"""Appointments from the centre: kept before they are acknowledged, refused and counted where they do not fit."""

from __future__ import annotations

from edged.core.model.events import AppointmentCancelled, AppointmentMade
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines

GOOD = b'{"id":"b-7","service":"tax-general","start":"2026-12-01T10:00:00+08:00","priority":"elderly"}'
BAD = (
    b"",
    b"{}",
    GOOD.replace(b"T10", b"T99"),
    GOOD.replace(b"b-7", b"11010519491231002X"),
    GOOD.replace(b"elderly", b"Minister"),
    GOOD.replace(b'"id"', b'"name":"Li","id"'),
    GOOD.replace(b'"id"', b'"cancelled":true,"id"'),
    b'{"id":"b-7","cancelled":false}',
)


async def test_appointments_become_events_and_misfits_are_counted(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = hall
    await daemon.start()
    async with plain_client(broker, "centre") as centre:
        for payload in (*BAD, GOOD, b'{"id":"b-7","cancelled":true}'):
            await centre.publish("hall/east/appointments", payload, qos=1)
        await until(lambda: any(isinstance(step.event, AppointmentCancelled) for step in files.steps()))
    events = [s.event for s in files.steps() if isinstance(s.event, AppointmentMade | AppointmentCancelled)]
    assert events == [
        AppointmentMade("b-7", "tax-general", 1_796_090_400_000, "elderly"),
        AppointmentCancelled("b-7"),
    ]
    assert await files.metric("edged_inputs_rejected_total") == len(BAD)
    assert await daemon.stop() == 0
    identical(files)
