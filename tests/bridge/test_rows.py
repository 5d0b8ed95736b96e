"""Which messages come of another system's database rows, which SQL is sent, and which damage a state file survives."""

from __future__ import annotations

import json
import socket
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.mqtt_json.codec import decode
from edged.bridge.messages import BridgeProgress, Oddities, Row, floor, take, take_whole
from edged.bridge.settings import BridgeSettings, ReportTable, load
from edged.bridge.sources import READ_ONLY, HttpSource, SourceAway, columns, statement
from edged.shapes import Misshapen, read

FIELDS: dict[str, Any] = {
    "queue": "queue-1",
    "url_file": "url",
    "tickets": {"view": "v_tickets", "key": "id", "number": "ticketNumber", "service": "busiSeq"},
    "calls": {"view": "v_calls", "key": "id", "number": "ticketNumber", "window": "windowNumber"},
    "ends": {"view": "v_ends", "key": "finishTime", "window": "windowNumber", "outcome": "state"},
    "waiting": {"view": "v_waiting", "number": "ticketNumber", "service": "busiSeq", "order": "id"},
    "staff": {"view": "v_staff", "window": "windowNumber", "staffed": "logged"},
    "services": {"0101": "tax-general"},
    "windows": {"3": "w3"},
    "outcomes": {"2": "no-show"},
}
SETTINGS = read(BridgeSettings, FIELDS)
words = st.one_of(st.none(), st.text(max_size=14), st.integers(), st.booleans(), st.floats(allow_nan=False))
rows_of_any_kind = st.lists(
    st.dictionaries(
        st.sampled_from(["id", "ticketNumber", "busiSeq", "windowNumber", "finishTime", "state", "logged"]),
        words,
    ),
    max_size=6,
)


def pending_messages(progress: BridgeProgress) -> list[tuple[str, dict[str, Any]]]:
    """Return (last word of the topic, fields) of each message that waits to be sent."""
    return [(word, json.loads(payload)) for word, payload in progress.pending]


def test_rows_become_messages_of_the_contract() -> None:
    progress, odd = BridgeProgress("b1"), Oddities()
    take(progress, "tickets", [{"id": 1, "ticketNumber": " A001 ", "busiSeq": "0101"}], SETTINGS, odd)
    take(progress, "calls", [{"id": 1, "ticketNumber": "A001", "windowNumber": 3}], SETTINGS, odd)
    ended: Row = {"finishTime": datetime(2026, 11, 30, 9), "windowNumber": "3", "state": 2}
    take(progress, "ends", [ended], SETTINGS, odd)
    waiting: list[Row] = [{"ticketNumber": number, "busiSeq": "0101"} for number in ("A002", "A003")]
    take_whole(progress, "waiting", waiting, SETTINGS, odd)
    take_whole(progress, "staff", [{"windowNumber": "3", "logged": 1}], SETTINGS, odd)
    assert pending_messages(progress) == [
        ("ticket", {"seq": 1, "boot": "b1", "number": "A001", "service": "tax-general"}),
        ("call", {"seq": 2, "boot": "b1", "number": "A001", "window": "w3"}),
        ("end", {"seq": 3, "boot": "b1", "window": "w3", "outcome": "no-show"}),
        ("queue", {"seq": 4, "boot": "b1", "service": "tax-general", "waiting": ["A002", "A003"]}),
        ("window", {"seq": 5, "boot": "b1", "window": "w3", "staffed": True}),
    ]
    take_whole(progress, "waiting", waiting, SETTINGS, odd)
    assert (len(progress.pending), odd.count) == (5, 0), "a list that is as before is not told again"


@given(batches=st.lists(rows_of_any_kind, max_size=4), kind=st.sampled_from(["tickets", "calls", "ends"]))
def test_rows_of_any_kind_are_messages_that_the_hall_takes_or_counted(
    batches: list[list[Row]], kind: str
) -> None:
    progress, odd = BridgeProgress("b1"), Oddities()
    for rows in batches:
        take(progress, kind, rows, SETTINGS, odd)
        take_whole(progress, "waiting", rows, SETTINGS, odd)
        take_whole(progress, "staff", rows, SETTINGS, odd)
    for word, payload in progress.pending:
        decode(word, payload.encode())
    assert [fields["seq"] for _, fields in pending_messages(progress)] == list(range(1, progress.seq + 1))
    again = BridgeProgress.from_json(progress.to_json())
    assert again == progress


@given(numbers=st.lists(st.integers(1, 60), unique=True, min_size=1), cut=st.integers(0, 60))
def test_rows_that_were_committed_late_are_told_once(numbers: list[int], cut: int) -> None:
    """Two reads: the first misses a row that has a smaller key but is committed later; the second finds it."""
    progress, odd = BridgeProgress("b1"), Oddities()

    def row(number: int) -> Row:
        return {"id": number, "ticketNumber": f"A{number:03}", "busiSeq": "0101"}

    for committed in (numbers[:cut], numbers):
        begin = floor(progress, "tickets", 60)
        assert not isinstance(begin, datetime)
        take(
            progress,
            "tickets",
            [row(n) for n in sorted(committed) if begin is None or n >= begin],
            SETTINGS,
            odd,
        )
    published = [fields["number"] for _, fields in pending_messages(progress)]
    assert sorted(published) == sorted(f"A{number:03}" for number in numbers)


def test_statements_only_select_the_named_columns_in_every_dialect() -> None:
    from sqlalchemy.dialects import mssql, mysql, oracle, postgresql

    report = SETTINGS.reports()["tickets"]
    for dialect in (postgresql.dialect(), mysql.dialect(), mssql.dialect(), oracle.dialect()):  # type: ignore[no-untyped-call]
        for query in ("from", "newest", "whole"):
            text = str(statement(report, query, 17).compile(dialect=dialect)).upper()
            assert text.lstrip().startswith("SELECT"), text
            assert not any(word in text for word in ("INSERT", "UPDATE", "DELETE", "FOR UPDATE", "QNMAE")), (
                text
            )
    assert columns(report) == ["id", "ticketNumber", "busiSeq"]
    assert set(READ_ONLY) == {"postgresql", "mysql", "mariadb", "oracle"}
    mssql_text = str(statement(report, "from", 17).compile(dialect=mssql.dialect()))  # type: ignore[no-untyped-call]
    assert "TOP" in mssql_text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"tickets": {"view": "v; DROP TABLE x", "key": "id", "number": "n", "service": "s"}},
            "no name of a view",
        ),
        ({"tickets": {"view": "v", "key": "id; --", "number": "n", "service": "s"}}, "tickets.key"),
        ({"calls": {"view": "v", "key": "id", "number": "n"}}, "calls needs window"),
        ({"quue": "x"}, "quue"),
        ({"every_s": 0.01}, "every_s"),
    ],
)
def test_a_wrong_file_is_refused_in_words(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    lines = []
    for key, value in (FIELDS | change).items():
        if isinstance(value, dict):
            inner = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
            lines.append(f"{key} = {{ {inner} }}")
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    file.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"(?s).*" + named):
        load(file)


def test_a_state_that_is_none_is_not_guessed_at(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"boot": 1}', '{"boot":"a","after":{"x":[]},"pending":[]}'):
        with pytest.raises(ValueError):  # noqa: PT011 - any of json's, too
            BridgeProgress.from_json(text)
    with pytest.raises(Misshapen):
        read(ReportTable, {})


def test_the_example_is_right() -> None:
    found = load(Path(__file__).parents[2] / "configs" / "bridge-example.toml")
    assert list(found.reports()) == ["tickets", "calls", "ends", "waiting"]


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 200_000])
def test_a_service_that_answers_nonsense_is_away(answer: bytes) -> None:
    report = read(BridgeSettings, FIELDS).reports()["waiting"]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            wire, _ = server.accept()
            with wire:
                wire.recv(4096)
                wire.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SourceAway):
            HttpSource(f"http://127.0.0.1:{server.getsockname()[1]}/").whole(report)
        thread.join()
