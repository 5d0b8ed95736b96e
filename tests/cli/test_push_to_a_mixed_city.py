"""One policy for a group of halls that have different areas: two real daemons, a real broker, the real commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from edged.central.envelope import private_pem, public_entry
from edged.core.model.policy import Band, Policy
from edged.core.model.state import State
from edged.links.mqtt.link import Message, MqttLink
from edged.store.journal import Journal
from tests.support.brokers import Mosquitto, Rejections, real_mosquitto, running, settings_for, until
from tests.support.desks import Desk, hall_process
from tests.support.policies import KEY

HALL = """
[hall]
id = "{hall}"
name = "{hall}"
[mqtt]
port = {port}
[store]
path = "hall.db"
[web]
port = 0
[policy]
keys = "../city.pub.json"
group = "river-city"
"""
AREA = """
[[areas]]
id = "{area}"
name = "{area}"
name_en = "{area}"
{kind}
[[services]]
id = "{area}-general"
area = "{area}"
name = "综合"
name_en = "General"
prefix = "{prefix}"
[[windows]]
id = "w-{area}"
number = "{prefix}"
skills = ["{area}-general"]
"""
HALLS = {"east": [("tax", "money")], "west": [("pension", "social"), ("medical", "social")]}
BODY = {
    "tidal": {
        "band": {"open_above": 7},
        "areas": {"kind:social": {"open_above": 5}, "if-present:tax": {"max_windows": 2}},
    },
    "hours": {"week": [{}, {"days": [6], "areas": ["kind:social"], "mode": "assisted"}]},
}


def hall_toml(hall: str, areas: list[tuple[str, str]], port: int) -> str:
    parts = [HALL.format(hall=hall, port=port)]
    for prefix, (area, kind) in zip("ABC", areas, strict=False):
        parts.append(AREA.format(area=area, prefix=prefix, kind=f'kind = "{kind}"'))
    return "".join(parts)


@asynccontextmanager
async def city(directory: Path, broker: Mosquitto) -> AsyncIterator[dict[str, list[dict[str, Any]]]]:
    """Both halls run; what each of them has reported of policies."""
    (directory / "city.key").write_bytes(private_pem(KEY))
    (directory / "city.pub.json").write_text(json.dumps({"keys": [public_entry(KEY.public_key(), "city")]}))
    reports = dict[str, list[dict[str, Any]]]()
    daemons = list[asyncio.subprocess.Process]()
    link = MqttLink(settings_for(broker, "watcher"), Rejections())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(link))
        for hall, areas in HALLS.items():
            (directory / hall).mkdir()
            (directory / hall / "hall.toml").write_text(hall_toml(hall, areas, broker.port), "utf-8")
            reports[hall] = []
            link.subscribe(f"hall/{hall}/policy/report", partial(_heard, reports[hall]))
            daemons.append(await stack.enter_async_context(hall_process(directory / hall)))
        await until(lambda: all(reports.values()) or any(one.returncode is not None for one in daemons), 60.0)
        assert all(reports.values()), "a daemon ended"
        yield reports


def _heard(reports: list[dict[str, Any]], message: Message) -> None:
    reports.append(json.loads(message.payload))
    message.ack()


def in_force(directory: Path) -> Policy:
    """Of the state that the journal restores."""
    journal = Journal.open(directory / "hall.db", read_only=True)
    try:
        state = journal.restore(State).state
        assert state is not None
        return state.policy
    finally:
        journal.close()


async def test_one_push_fits_halls_with_different_areas(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, city(tmp_path, broker) as reports:
        at = ("--broker", f"mqtt://127.0.0.1:{broker.port}", "--group", "river-city")
        by = (*at, "-k", "city.key", "--members-s", "0.5")
        (tmp_path / "policy.json").write_text(json.dumps({"body": BODY}))
        code, output = await Desk(tmp_path).run("policy", "push", "policy.json", *by)
        assert (code, output.count("applied / 已生效")) == (0, 2), output
        assert "east: applied / 已生效\n  not in this hall, left out: kind:social / 本大厅没有" in output
        assert "不适用：if-present:tax\n" in output
        assert reports["west"][-1]["left_out"] == ["if-present:tax"]

        # East gets a social area: what is in force covers it at once, without another push.
        more = hall_toml("east", [*HALLS["east"], ("pension", "social")], broker.port)
        (tmp_path / "east" / "hall.toml").write_text(more, "utf-8")
        code, output = await Desk(tmp_path / "east").run("reload", "--config", "hall.toml")
        assert code == 0, output
        await until(lambda: "left_out" not in reports["east"][-1], 60.0)

        # A name that every hall must have is refused where it is not, by its name.
        plain = {"body": {"tidal": {"areas": {"tax": {"max_windows": 2}}}}}
        (tmp_path / "plain.json").write_text(json.dumps(plain))
        code, output = await Desk(tmp_path).run("policy", "push", "plain.json", *by)
        assert code == 1
        assert "east: applied" in output
        assert 'west: REFUSED / 已拒绝\n  body.tidal.areas.tax: this hall has no area "tax"' in output
    own = in_force(tmp_path / "west").tidal
    assert own.areas == {"pension": Band(open_above=5), "medical": Band(open_above=5)}
    assert in_force(tmp_path / "west").hours.week[1].areas == ("medical", "pension")
    assert in_force(tmp_path / "east").tidal.areas == {"tax": Band(max_windows=2)}
