"""How long the link waits before it connects to the broker again."""

from __future__ import annotations

from edged.links.mqtt.backoff import Backoff, ConnectionOutcome

ABSENT = ConnectionOutcome("absent", 0.0)


def test_an_absent_broker_is_tried_four_times_a_second_and_later_every_five_seconds() -> None:
    backoff = Backoff(jitter=lambda: 0.999)
    assert all(backoff.delay_s(ABSENT, now_s) <= 0.25 for now_s in range(0, 60, 5))
    day = [backoff.delay_s(ABSENT, now_s) for now_s in (70.0, 300.0, 3600.0, 86400.0)]
    assert day == sorted(day)
    assert 4.9 < day[-1] <= 5.0


def test_the_pause_before_reconnecting_to_a_flapping_broker_grows() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    delays = [backoff.delay_s(ConnectionOutcome("broken", 0.1), 0.0) for _ in range(10)]
    assert delays == [0.1, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.delay_s(ConnectionOutcome("broken", 3.0), 0.0) == 0.1
    assert [backoff.delay_s(ConnectionOutcome("broken", 0.1), 0.0) for _ in range(2)] == [0.1, 0.5]


def test_a_broker_restarted_repeatedly_is_tried_at_once_each_time() -> None:
    """The link saw that no broker listened in between, so these are restarts and not a flapping connection."""
    backoff = Backoff(jitter=lambda: 1.0)
    for kill in range(6):
        assert backoff.delay_s(ConnectionOutcome("broken", 0.5), float(kill)) == 0.1
        assert backoff.delay_s(ABSENT, kill + 0.2) <= 0.25


def test_a_client_whose_id_was_taken_waits_15_to_30_seconds() -> None:
    assert Backoff(jitter=lambda: 0.0).delay_s(ConnectionOutcome("taken", 5.0), 0.0) == 15.0
    assert Backoff(jitter=lambda: 1.0).delay_s(ConnectionOutcome("taken", 5.0), 0.0) == 30.0


def test_the_pause_before_reconnecting_is_random_so_that_halls_do_not_reconnect_together() -> None:
    low = Backoff(jitter=lambda: 0.0).delay_s(ABSENT, 0.0)
    high = Backoff(jitter=lambda: 0.99).delay_s(ABSENT, 0.0)
    assert 0.1 < low < high <= 0.25
