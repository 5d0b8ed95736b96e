"""The whole daemon and its centre: outages, kills and restarts, and every event arrives once it can."""

from __future__ import annotations

from itertools import pairwise

from edged.central.cloud_events import is_event
from edged.store import database
from edged.store.uplink import KEY, read_cursor
from tests.support.brokers import Mosquitto, until
from tests.support.centres import Centre, centre_at
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines


def events_of_journal(hall: Hall) -> list[tuple[str, str]]:
    """Return (type, subject) of each event in the journal, in order: what the centre has to receive."""
    notes = (note for step in hall.steps() for note in step.notes)
    return [(f"edged.{note.kind}", note.subject) for note in notes if is_event(note.kind)]


def events_received(*centres: Centre) -> list[tuple[str, str]]:
    """Return (type, subject) of the events that these centres stored together, by number; a gap fails."""
    events = {number: event for centre in centres for number, event in centre.events.items()}
    assert sorted(events) == list(range(1, len(events) + 1))
    return [(events[number]["type"], events[number]["subject"]) for number in sorted(events)]


def visit(machines: Machines, number: int) -> None:
    machines.tickets(1, first=number)
    for key in ("next", "arrive", "finish"):
        machines.panel.press(key)


def remembered(hall: Hall) -> int:
    """Return the last event number that the journal holds as acknowledged by the centre."""
    connection = database.connect(hall.journal, read_only=True)
    try:
        return read_cursor(database.get_meta(connection, KEY), 1, 0).acked
    finally:
        connection.close()


async def test_without_its_centre_and_killed_the_hall_forgets_no_event(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.panel.press("login")
    async with centre_at(broker, "east") as before:
        visit(machines, 1)
        await until(lambda: files.notes()["ticket.finished"] == 1)
        await until(lambda: 0 < len(events_of_journal(files)) == before.upto == remembered(files))
    for number in range(2, 12):
        visit(machines, number)
    await until(lambda: files.notes()["ticket.finished"] == 11)
    await daemon.kill()
    await daemon.restart()
    for number in range(12, 16):
        visit(machines, number)
    await until(lambda: files.notes()["ticket.finished"] == 15)
    assert await daemon.stop() == 0
    await daemon.restart()
    async with centre_at(broker, "east", upto=before.upto) as after:
        visit(machines, 16)
        await until(lambda: ("edged.ticket.finished", "A016") in events_of_journal(files))
        await until(lambda: "edged_uplink_backlog 0.0\n" in files.get("/metrics")[1])
        await until(lambda: len(events_of_journal(files)) == remembered(files))
    assert events_received(before, after) == events_of_journal(files)
    assert min(arrival.number for arrival in after.arrivals) > before.upto
    live = [arrival.number for arrival in after.arrivals if not arrival.historical]
    late = [arrival.number for arrival in after.arrivals if arrival.historical]
    again = [b for a, b in pairwise(late) if b < a]
    assert again == sorted(set(again)), "in order; once more only from behind what was acknowledged meanwhile"
    assert live == sorted(live)
    assert await daemon.stop() == 0
    identical(files)
