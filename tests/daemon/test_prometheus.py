"""A real Prometheus watches a real daemon by the shipped rules: each fault fires its alert and no other.

The waits of the rules are cut to a second (tests/support/prometheus.py).
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.clock import monotonic_s
from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import TIDE
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.prometheus import FIRED_S, Prometheus, watching_over

CONFIGS = Path(__file__).parents[2] / "configs"
ERRORS = "EdgedDeviceErrors"  # an outage costs each device one error: many in a window of seconds, few in ten minutes
QUIET_S = 4.0  # several evaluations without an alert
# Panels of what a hall has not had in its first seconds: a served visitor, a rating, a refusal, a "+1" window.
LATER = {
    "按键到输出 p99 Input to output",
    "拒收消息 Rejected",
    "无效输入 Ignored",
    "设备通信错误 Device errors",
    "办理时长 p50 Service time",
    "告警 Alarms",
    "15分钟达标率 Within 15 min (1 h)",
    "实际等候 p90 Wait p90 (1 h)",
    "到岗 p90 Asked to staffed",
    "好差评 Ratings (24 h)",
    "启用次数 +1 openings (1 h)",
    "三个百分百 The three percentages",
    "未应答呼叫 Pages open",
    "人工干预 Overrides",
    "预计等候 Estimated wait",
}


@pytest.fixture
async def watched(
    tmp_path: Path, hall: tuple[Hall, Daemon, Machines]
) -> AsyncIterator[tuple[Prometheus, Hall, Daemon, Machines]]:
    files, daemon, machines = hall
    async with watching_over(tmp_path / "prometheus", daemon, ERRORS) as watch:
        yield watch, files, daemon, machines


async def test_a_healthy_hall_is_silent_and_each_fault_fires_its_own_alert(
    watched: tuple[Prometheus, Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    """Four of them; the others take longer (test_alert_faults.py)."""
    watch, files, daemon, machines = watched
    quiet_s = monotonic_s()
    while monotonic_s() - quiet_s < QUIET_S:
        assert watch.firing() == set()
        await asyncio.sleep(0.5)
    files.edit("[hall]", "[haul]")
    daemon.signal(signal.SIGHUP)
    await watch.fires("EdgedHallNeedsSomebodyNow")
    files.edit("[haul]", "[hall]")
    daemon.signal(signal.SIGHUP)
    await watch.calms()
    await machines.relay_server.stop()
    await watch.fires("EdgedDeviceLost")
    await machines.relay_server.start(machines.relay_server.port)
    await watch.calms()
    await broker.stop()
    await watch.fires("EdgedBrokerLost")
    await broker.start()
    await watch.calms()
    daemon.signal(signal.SIGKILL)
    await daemon.ended()
    await watch.fires("EdgedDown")


async def test_every_query_of_the_dashboards_and_rules_is_answered(
    watched: tuple[Prometheus, Hall, Daemon, Machines],
) -> None:
    """An error names the query; what a young hall must have is there."""
    watch, _files, _daemon, machines = watched
    machines.tickets(TIDE)
    machines.panel.press("login")
    await until(lambda: watch.ask("sum(edged_tickets_waiting) > 0") != [], FIRED_S)
    empty = []
    for board in sorted((CONFIGS / "grafana").glob("*.json")):
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$hall", "east")
                if not watch.ask(re.sub(r"\[\d+[mh]\]", "[5s]", query)):
                    empty.append(panel["title"])
    assert set(empty) <= LATER, f"no data: {set(empty) - LATER}"
