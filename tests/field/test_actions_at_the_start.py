"""An action at the start waits for the outside to be tried: a page under way and a call that waited for the loudspeaker
go out after a restart, also a clean one. Lamps do not wait.
"""

from __future__ import annotations

import pytest

from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import TIDE, identical
from tests.support.daemons import Daemon, Hall, Machines

Parts = tuple[Hall, Daemon, Machines]


async def end_daemon(daemon: Daemon, how: str) -> None:
    """Stop the daemon in order, or kill it."""
    if how == "stop":
        assert await daemon.stop() == 0
    else:
        await daemon.kill()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_page_without_an_answer_is_sent_again_after_a_restart(hall: Parts, how: str) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.pager.mute = True
    machines.tickets(TIDE)
    await until(lambda: machines.ids(machines.pager, "page") != [])
    (page,) = machines.ids(machines.pager, "page")
    await end_daemon(daemon, how)
    await daemon.restart(ready=False)
    await until(lambda: machines.ids(machines.pager, "page") == [page, page])
    await until(lambda: machines.lamp.lamp == "blink")
    machines.tidal_panel.press("login", "chen")
    await until(lambda: files.notes()["tidal.opened"] == 1)
    notes = files.notes()
    assert (notes["tidal.unanswered"], notes["action.failed"]) == (0, 0), "nobody is blamed"


@pytest.mark.parametrize("when", ["with the daemon", "under way"])
async def test_a_page_lost_with_the_broker_is_sent_again_with_its_full_time_to_answer(
    hall: Parts, broker: Mosquitto, when: str
) -> None:
    """The broker is away for longer than actions wait for it, and back before the page's time to answer is over.

    Nobody could know of that page: nobody is late with an answer, and the next member is not asked instead.
    """
    files, daemon, machines = hall
    await daemon.start()
    machines.pager.mute = True
    machines.tickets(TIDE)
    await until(lambda: machines.ids(machines.pager, "page") != [])
    (page,) = machines.ids(machines.pager, "page")
    if when == "with the daemon":
        await daemon.kill()
    await broker.kill()
    if when == "with the daemon":
        await daemon.restart(ready=False)
    await until(lambda: files.notes()["page.undelivered"] == 1)
    machines.pager.mute = False
    await broker.start()
    await until(lambda: machines.ids(machines.pager, "page") == [page, page])
    await until(lambda: machines.lamp.lamp == "blink")
    machines.tidal_panel.press("login", "chen")
    await until(lambda: files.notes()["tidal.opened"] == 1)
    notes = files.notes()
    assert (notes["tidal.unanswered"], notes["staff.unanswered"], notes["action.failed"]) == (0, 0, 0)
    assert await daemon.stop() == 0
    identical(files)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_call_waiting_for_the_loudspeaker_is_spoken_after_a_restart(hall: Parts, how: str) -> None:
    """Two are called at once; the loudspeaker has not answered for the first when the daemon ends."""
    _files, daemon, machines = hall
    await daemon.start()
    machines.voice.mute = True
    machines.tickets(2)
    machines.panel.press("login")
    machines.panel.press("next")
    await until(lambda: len(machines.ids(machines.voice, "say")) == 1)
    for key in ("arrive", "finish", "next"):
        machines.panel.press(key)
    await until(lambda: machines.panel.number == "A002")
    await end_daemon(daemon, how)
    machines.voice.mute = False
    await daemon.restart()
    await until(lambda: len(set(machines.ids(machines.voice, "say"))) == 2)


async def test_a_page_to_an_absent_pager_goes_to_the_duty_manager_at_once_and_blames_nobody(
    hall: Parts,
) -> None:
    """The page never left: the duty manager is told at once instead of after the time somebody has to answer."""
    files, daemon, machines = hall
    await daemon.start()
    machines.pager.go(False)
    await until(lambda: files.notes()["device.lost"] >= 1)
    machines.tickets(TIDE)
    await until(lambda: files.notes()["tidal.unanswered"] >= 1, 20.0)
    reasons = {
        note.data["reason"]
        for step in files.steps()
        for note in step.notes
        if note.kind == "tidal.unanswered"
    }
    assert reasons == {"not reached"}
