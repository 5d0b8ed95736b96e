"""What boards say of alarms and services, and whose loss the summary of the alarms names."""

from __future__ import annotations

from edged.core.engine import Engine
from edged.core.model.commands import AlarmsSummary
from edged.core.model.events import SiteLoaded
from edged.core.model.lookup import Lookup
from edged.core.model.state import Alarm, DeviceState
from edged.core.model.turn import Turn
from edged.core.people import alarms
from edged.core.signage import boards, signs
from tests.support.core_hall import hall_site

AT_MS = 28_800_000


def a_turn() -> Turn:
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(hall_site()))
    return Turn(engine.state, Lookup(hall_site()), AT_MS)


def test_the_line_of_a_lost_device_on_the_alarm_board_gives_the_reason() -> None:
    turn = a_turn()
    turn.state.devices["relay"] = DeviceState(False, AT_MS, "no-answer")
    text, text_en = boards._alarm_line(turn, Alarm(alarms.LOST, "relay", AT_MS))
    plain, plain_en = alarms.TEXT[alarms.LOST]
    assert text.startswith(f"relay {plain}：")
    assert text_en.startswith(f"{plain_en}: ")


def test_an_alarm_that_is_no_loss_shows_no_reason_of_loss_on_the_board() -> None:
    turn = a_turn()
    turn.state.devices["relay"] = DeviceState(True, AT_MS)
    plain, plain_en = alarms.TEXT[alarms.TWINS]
    assert boards._alarm_line(turn, Alarm(alarms.TWINS, "relay", AT_MS)) == (f"relay {plain}", plain_en)


def test_the_summary_of_the_alarms_gives_reasons_for_lost_devices_only() -> None:
    turn = a_turn()
    turn.state.devices |= {
        "relay": DeviceState(False, AT_MS, "no-answer"),
        "card": DeviceState(True, AT_MS),
    }
    for number, (kind, subject) in enumerate(
        ((alarms.LOST, "relay"), (alarms.TWINS, "card"), (alarms.LOST, "gone"))
    ):
        turn.state.alarms[str(number)] = Alarm(kind, subject, AT_MS)
    signs._sign_alarms(turn)
    (summary,) = (shown for shown in turn.state.shown.values() if isinstance(shown, AlarmsSummary))
    assert summary.lost == (("relay", "no-answer"),)
    assert len(summary.standing) == 3


def test_a_free_window_shows_its_first_service_and_area() -> None:
    zh, en = boards._words(a_turn(), "w3", None)
    assert (zh["service"], en["service"]) == ("社保卡", "Cards")
    assert (zh["area"], en["area"]) == ("社保", "Social")
