"""Every query of the city's dashboards, on a real PostgreSQL with a planted day and on a real Prometheus."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest

from edged.centre.gauges import ConsumerGauges
from edged.centre.hall_messages import HallEvent, read_retained
from edged.centre.ledger import CentreLedger
from edged.sim.broker import free_port
from tests.centre.test_reports import story
from tests.support.brokers import until
from tests.support.daemons import ROOT
from tests.support.prometheus import Prometheus

BOARDS = ROOT / "configs" / "grafana" / "city"
DAY = "at BETWEEN '2026-12-01' AND '2026-12-03'"


def queries(board: str, key: str) -> list[tuple[str, str]]:
    """(title, query) of every panel, and of the variables that are asked for."""
    text = json.loads((BOARDS / board).read_text())
    found = [(panel["title"], target[key]) for panel in text["panels"] for target in panel["targets"]]
    assert [panel["id"] for panel in text["panels"]] == list(range(1, len(text["panels"]) + 1))
    if key == "rawSql":
        found += [
            (one["label"], one["query"]) for one in text["templating"]["list"] if one["type"] == "query"
        ]
    return found


@pytest.fixture
def city(dsn: str) -> str:
    """A day of two halls, one of which refuses its policy, has a gap and an alarm."""
    events, numbers = [], dict[str, int]()
    served = [
        ("east", "ticket.finished A001", story()[0][2], {"outcome": "done", "service_s": 60, "area": "tax"})
    ]
    for hall, message, at, data in [*story(), *served]:
        kind, _, subject = message.partition(" ")
        number = numbers[hall] = numbers.get(hall, 0) + 1
        events.append(HallEvent(hall, 1, number, number - 1, at, kind, subject, False, json.dumps(data)))
    events.append(events[-1]._replace(hall="west", seq=9, previous=8))
    refused = {"desired": {"version": 4}, "applied": {"version": 3}, "state": "rejected"}
    refused["reason"] = {"code": "out-of-bounds", "path": "", "message": "no", "message_zh": "不行"}
    retained: list[tuple[str, dict[str, Any]]] = [
        *((f"hall/{hall}/status", {"state": "online", "group": "river-city"}) for hall in ("east", "west")),
        ("hall/west/policy/report", refused),
        ("hall/west/state/alarms", {"standing": [{"alarm": "device-lost"}]}),
    ]
    ledger = CentreLedger(dsn)
    ledger.keep(events, [read_retained(topic, json.dumps(body).encode()) for topic, body in retained])
    ledger.close()
    return dsn


def test_every_query_of_the_city_has_figures(city: str) -> None:
    rows_of: dict[str, list[Any]] = {}
    with psycopg.connect(city) as connection:
        for title, query in queries("edged-city.json", "rawSql"):
            assert "$__timeFilter(at)" in query or "hall_now" in query, title
            statement = query.replace("$__timeFilter(at)", DAY).replace("$group", ".*")
            assert "$" not in statement.replace(")$'", ""), title
            rows_of[title] = connection.execute(statement.encode()).fetchall()
    assert [title for title, rows in rows_of.items() if not any(None not in row[:1] for row in rows)] == []
    assert rows_of["大厅 Halls"] == [(2,)]
    assert (
        rows_of["需要处理 Not well"]
        == rows_of["有缺口 With a gap"]
        == rows_of["策略未生效 Policy not in force"]
        == [(1,)]
    )
    assert rows_of["各大厅现状 Halls now"][0][6] == "不行"
    assert [row[1] for row in rows_of["等候最长的大厅 Halls with the longest waits"]] == [11, 2]
    assert rows_of["好差评 Ratings"] == [(2, 1), (5, 1)]
    assert [float(one) for one in rows_of["办不成事 Cases"][0][:3]] == [1, 1, 0]
    assert rows_of["分组 Group"] == [("river-city",)]


async def test_every_query_of_the_consumer_is_answered(tmp_path: Path) -> None:
    gauges, port, watch = ConsumerGauges(), free_port(), Prometheus(tmp_path)
    gauges.connected.set(1)
    gauges.serve(port, "127.0.0.1")
    await watch.start(port)
    try:
        await until(lambda: _ready(watch), 60.0)
        grown = 0

        def answered() -> bool:
            nonlocal grown
            grown += 1
            gauges.kept.inc()
            gauges.doubles.inc()
            gauges.refused.labels("topic").inc()
            gauges.delay_s.observe(0.2)
            gauges.commit_s.observe(0.01)
            return all(_has_figures(watch, query) for _, query in queries("edged-centre.json", "expr"))

        await until(answered, 60.0)
    finally:
        await watch.stop()
    assert grown > 1


def _ready(watch: Prometheus) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{watch.port}/-/ready", timeout=5):
            return True
    except OSError:
        return False


def _has_figures(watch: Prometheus, query: str) -> bool:
    statement = re.sub(r"\[\d+[mh]\]", "[5s]", query.replace("$instance", ".*"))
    return any(one["value"][1] != "NaN" for one in watch.ask(statement))
