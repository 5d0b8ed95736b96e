"""``edged bench --fleet``, small: consumer, broker and PostgreSQL killed, a bridge cut, and nothing is missing."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from edged.sim.city.postgres import postgres_folder
from edged.sim.city.wire_halls import WireHall
from tests.support.brokers import _mosquitto_path
from tests.support.daemons import ROOT
from tests.support.needs import lacking


@pytest.mark.long
async def test_a_small_city_survives_all_of_it() -> None:
    _mosquitto_path()
    if postgres_folder() is None:
        lacking("PostgreSQL is not installed (apt-get install postgresql)")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged", "bench", "--fleet", "--quick", "--json"),
        *("--halls", "6", "--daemons", "1", "--day", "250"),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(400):
        out, output = await process.communicate()
    found = json.loads(out or b"{}")
    assert found.get("wrong_halls") == [], output.decode()[-2000:]
    assert found["events"] == found["stored"] > found["returned_events"] == 3 * 250
    assert found["policy_refused"] == found["refusals_planted"] == ["hall004", "hall005", "hall006"]
    assert (found["policy_applied"], found["policy_silent"]) == (4, [])


def test_a_day_that_was_missed_is_told_in_order_and_once() -> None:
    hall = WireHall("hall001")
    hall.was_away(5)
    hall.happen()
    hall.acknowledged(b'{"upto": 2}')
    messages = [json.loads(message) for message in hall.historical_messages(hall.upto + 1, hall.made)]
    assert [(event["sequence"], event["previous"]) for event in messages] == [(3, 2), (4, 3), (5, 4), (6, 5)]
    assert [event["time"] for event in messages] == sorted(event["time"] for event in messages)
    assert {event["id"] for event in messages} == {f"hall001/1/{number}" for number in range(3, 7)}
