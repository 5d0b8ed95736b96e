"""Events are kept once and without a gap, whatever order, doubles and holes they come in: on a real PostgreSQL."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from edged.centre import hall_states, scan
from edged.centre.hall_messages import HallEvent, UnreadableMessage, read_event, read_retained
from edged.centre.ledger import CentreLedger, forget_before, joined, prepare

AT = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


def event(seq: int, previous: int | None = None, hall: str = "east", **changes: Any) -> HallEvent:
    before = seq - 1 if previous is None else previous
    made = HallEvent(hall, 1, seq, before, AT, "ticket.called", f"A{seq:03d}", False, "{}")
    return made._replace(**changes)


def ask(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(
    ("upto", "numbers", "reached"),
    [
        (0, [], 0),
        (0, [(1, 0), (2, 1)], 2),
        (0, [(2, 1), (3, 2)], 0),
        (5, [(3, 2), (6, 5), (8, 7)], 6),
        (5, [(9, 5)], 9),  # what lay between was left out on purpose
        (5, [(7, 6), (9, 5)], 5),
    ],
)
def test_a_gap_is_what_previous_says(upto: int, numbers: list[tuple[int, int]], reached: int) -> None:
    assert joined(upto, numbers) == reached


@pytest.mark.parametrize("seed", range(8))
def test_two_processes_in_any_order_keep_each_event_once(dsn: str, seed: int) -> None:
    chance = random.Random(seed)
    ledgers = [CentreLedger(dsn), CentreLedger(dsn)]
    sent = [event(seq, hall=hall) for hall in ("east", "west") for seq in range(1, 60)]
    letters = sent + chance.choices(sent, k=60)
    chance.shuffle(letters)
    upto: dict[tuple[str, int], int] = {}
    while letters:
        size = chance.randint(1, 25)
        batch, letters = letters[:size], letters[size:]
        kept_upto = chance.choice(ledgers).keep(batch).upto
        assert all(number >= upto.get(key, 0) for key, number in kept_upto.items()), seed
        upto |= kept_upto
    for ledger in ledgers:
        ledger.close()
    oracle = (
        "SELECT hall, count(*), max(seq), max(upto), max(seen) FROM events JOIN cursors USING (hall, epoch)"
    )
    assert ask(dsn, oracle + " GROUP BY hall ORDER BY hall") == [
        (h, 59, 59, 59, 59) for h in ("east", "west")
    ], seed
    assert upto == {("east", 1): 59, ("west", 1): 59}


def test_a_hole_is_not_acknowledged_and_heals(dsn: str) -> None:
    ledger = CentreLedger(dsn)
    kept = ledger.keep([event(1), event(2), event(4), event(5)])
    assert (kept.upto, kept.gaps, kept.new) == ({("east", 1): 2}, {("east", 1)}, 4)
    assert ledger.keep([event(6)]).upto == {("east", 1): 2}
    kept = ledger.keep([event(3), event(4)])
    assert (kept.upto, kept.gaps, kept.new, kept.doubles) == ({("east", 1): 6}, set(), 1, 1)
    # Sent again, the same event may say that less is missing before it: what was thinned is not sent.
    assert ledger.keep([event(9, 8)]).upto == {("east", 1): 6}
    assert ledger.keep([event(9, 6)]).upto == {("east", 1): 9}
    # Another epoch counts from its own beginning.
    assert ledger.keep([event(1, epoch=2)]).upto == {("east", 2): 1}
    # The same number with another time is the same event.
    assert ledger.keep([event(5, at=datetime(2027, 1, 1, tzinfo=UTC))]).new == 0
    ledger.close()


def test_a_centre_with_an_empty_database_goes_on_only_when_told_to(dsn: str) -> None:
    ledger = CentreLedger(dsn)
    assert ledger.keep([event(501, 500), event(502)]).upto == {("east", 1): 0}
    with psycopg.connect(dsn) as connection:
        assert hall_states.adopt(connection, "west") == []
        assert hall_states.adopt(connection, "east") == [(1, 1, 500)]
        assert hall_states.adopt(connection, "east") == []
    assert ledger.keep([event(503)]).upto == {("east", 1): 503}
    ledger.close()


def test_each_month_has_its_table_and_old_months_can_be_deleted(dsn: str) -> None:
    ledger = CentreLedger(dsn)
    months = [datetime(2026, 9, 30, tzinfo=UTC), AT.replace(month=11), datetime(1970, 1, 2, tzinfo=UTC)]
    ledger.keep([event(n + 1, at=at) for n, at in enumerate([*months, datetime(9999, 12, 31, tzinfo=UTC)])])
    tables = "SELECT tableoid::regclass::text FROM events ORDER BY seq"
    assert [name for (name,) in ask(dsn, tables)] == [
        *("events_2026_09", "events_2026_11", "events_other", "events_other")
    ]
    with psycopg.connect(dsn) as connection:
        assert forget_before(connection, 1, datetime(2026, 11, 30, tzinfo=UTC)) == ["events_2026_09"]
    assert ask(dsn, "SELECT count(*) FROM events") == [(3,)]
    # A month that lies in events_other already stays there, and nothing fails.
    ask(dsn, "UPDATE events_other SET at = '2026-10-05' WHERE seq = 3 RETURNING 1")
    other = CentreLedger(dsn)
    assert other.keep([event(5, at=datetime(2026, 10, 6, tzinfo=UTC))]).new == 1
    for one in (ledger, other):
        one.close()


def message(**changes: Any) -> bytes:
    made = {
        **{"specversion": "1.0", "id": "east/1/7", "source": "/halls/east", "type": "edged.ticket.called"},
        **{"subject": "A007", "time": "2026-12-01T10:00:00+08:00", "sequence": 7, "previous": 6},
        **{"data": {"area": "tax"}, "historical": False},
    }
    return json.dumps(made | changes).encode()


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("hall/west/events", message(), "hall"),
        ("hall/east/events", b"?", "not_json"),
        ("hall/east/events", message(sequence="7"), "sequence"),
        ("hall/east/events", message(previous=7), "sequence"),
        ("hall/east/events", message(sequence=8), "sequence"),
        ("hall/east/events", message(id="east/1/7/8", sequence=7), "sequence"),
        ("hall/east/events", message(id="east/-1/7"), "epoch"),
        ("hall/east/events", message(id="east/99999999999/7"), "epoch"),
        ("hall/east/events", message(time="yesterday"), "time"),
        ("hall/east/events", message(type="edged.\x00"), "type"),
        ("hall/east/events", message(data=[1]), "data"),
        ("hall/east/events", b" " * 20_000, "too_large"),
        ("hall/EAST/events", message(), "topic"),
    ],
)
def test_what_is_no_event_of_this_hall_is_refused(topic: str, payload: bytes, reason: str) -> None:
    with pytest.raises(UnreadableMessage) as refused:
        read_event(topic, payload)
    assert refused.value.reason == reason


def test_odd_text_is_kept_as_far_as_it_can_be(dsn: str) -> None:
    ledger = CentreLedger(dsn)
    odd = message(subject="A\x00", data={"k\x00": "\x00", "big": 10**40, "tab": "\t\u2028"})
    assert ledger.keep([read_event("hall/east/events", odd)]).new == 1
    assert ask(dsn, "SELECT subject, data->>'tab' FROM events") == [("A", "\t\u2028")]
    ledger.close()


def test_personal_data_is_masked_at_the_border_and_found_where_it_was_planted(dsn: str) -> None:
    ledger = CentreLedger(dsn)
    number = "11010519491231002X"
    kept = read_event("hall/east/events", message(subject=number, data={"a": [f"id {number}"], number: 1}))
    ledger.keep([kept], [read_retained("hall/east/state/cases", json.dumps({"open": [number]}).encode())])
    with psycopg.connect(dsn) as connection:
        assert scan.personal_data(connection) == (2, [])
        connection.execute("UPDATE events SET data = %s::jsonb", (json.dumps({"who": number}),))
        assert scan.personal_data(connection) == (2, ["events east/1/7"])
        connection.execute('UPDATE pictures SET payload = \'{"phone": "13800138000"}\'')
        assert len(scan.personal_data(connection)[1]) == 2
    ledger.close()


def test_a_command_waits_for_no_reader_of_prepared_tables_nor_does_the_consumer(dsn: str) -> None:
    CentreLedger(dsn).keep([event(1)])
    with psycopg.connect(dsn) as reader, psycopg.connect(dsn, options="-c lock_timeout=2s") as command:
        assert reader.execute("SELECT count(*) FROM visits, hall_now").fetchone() == (0,)
        prepare(command)
        assert CentreLedger(f"{dsn} options='-c lock_timeout=2s'").keep([event(2)]).new == 1


def test_tables_of_another_version_are_updated_once(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        prepare(connection)
        (made,) = connection.execute("SELECT sha256 FROM schema_version").fetchall()
        connection.execute("UPDATE schema_version SET sha256 = 'of another version'")
        connection.execute("DROP VIEW hall_now")
        connection.commit()
        prepare(connection)
        assert connection.execute("SELECT sha256 FROM schema_version").fetchall() == [made]
        assert connection.execute("SELECT count(*) FROM hall_now").fetchone() == (0,)
