"""A real Prometheus watches a real daemon by the shipped rules: each fault fires its alert and no other.

The waits of the rules (``for:``) are cut to a second here; the rules' own tests hold them (``configs/prometheus``).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.clock import monotonic_s
from edged.sim.broker import free_port
from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import TIDE
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.needs import lacking

CONFIGS = Path(__file__).parents[2] / "configs"
FAULTS = {  # Chinese, English
    "EdgedHallNeedsSomebodyNow": ("hall.toml 有误并重新加载", "hall.toml with a mistake is reloaded"),
    "EdgedDeviceLost": ("继电器模块断电", "a relay module loses its power"),
    "EdgedBrokerLost": ("消息服务器停止", "the broker stops"),
    "EdgedDown": ("控制器进程被杀死", "the controller's process is killed"),
}
FIRED_S = 30.0  # from the fault to the alert: two scrapes, two evaluations, a cut wait, on a busy machine
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
SCRAPE = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: edged
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{hall: east}}}}]
"""


class Prometheus:
    """Debian's Prometheus on a free port, with the shipped rules."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()

    async def start(self, web_port: int) -> asyncio.subprocess.Process:
        """The process; it listens once ``ask`` answers."""
        program = shutil.which("prometheus") or lacking("prometheus is not installed (Debian: prometheus)")
        rules = (CONFIGS / "prometheus" / "edged.rules.yml").read_text()
        quick = self.directory / "rules.yml"
        quick.write_text(re.sub(r"for: \d+[mh]", "for: 1s", rules))
        config = self.directory / "prometheus.yml"
        config.write_text(SCRAPE.format(rules=quick, port=web_port))
        return await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query; an error of Prometheus is raised with its words."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()[:300]}") from None
        return found

    def firing(self) -> set[str]:
        """Alerts that fire now."""
        return {one["metric"]["alertname"] for one in self.ask('ALERTS{alertstate="firing"}')}


@pytest.fixture
async def watched(
    tmp_path: Path, hall: tuple[Hall, Daemon, Machines]
) -> AsyncIterator[tuple[Prometheus, Hall, Daemon, Machines]]:
    files, daemon, machines = hall
    directory = tmp_path / "prometheus"
    directory.mkdir()
    watch = Prometheus(directory)
    process = await watch.start(files.web_port)
    try:
        await daemon.start()
        await until(lambda: _answers(watch), FIRED_S)
        yield watch, files, daemon, machines
    finally:
        process.kill()
        await process.wait()


def _answers(watch: Prometheus) -> bool:
    try:
        return [one["value"][1] for one in watch.ask("up")] == ["1"]
    except OSError:
        return False


async def fires(watch: Prometheus, alert: str) -> float:
    """Seconds until this alert fires; no other may meanwhile."""
    started_s = monotonic_s()
    while alert not in (firing := watch.firing()):
        assert firing == set(), f"{firing} instead of {alert}"
        assert monotonic_s() - started_s < FIRED_S, f"{alert} does not fire"
        await asyncio.sleep(0.1)
    assert firing == {alert}
    return monotonic_s() - started_s


async def calms(watch: Prometheus) -> None:
    """Until nothing fires any more."""
    await until(lambda: watch.firing() == set(), FIRED_S)


def rows_of(page: str) -> list[tuple[str, str, str]]:
    """Fault, alert and ``for`` of the table of a page."""
    text = (CONFIGS / "prometheus" / page).read_text()
    found = re.findall(r"^\| (.+?) \| `(Edged\w+)` \| (\d+[mh]) \| [\d.]+ \|$", text, re.M)
    return [(fault, alert, waits) for fault, alert, waits in found]


def told(took_s: dict[str, float]) -> None:
    """Writes the tables anew with what was measured, where ``EDGED_RECORD_ALERTS`` asks for it; else compares."""
    rules = (CONFIGS / "prometheus" / "edged.rules.yml").read_text()
    for place, page in enumerate(("README.zh-CN.md", "README.md")):
        rows = []
        for alert, seconds in took_s.items():
            waits = re.search(rf"- alert: {alert}\n.*?for: (\w+)", rules, re.S)
            assert waits is not None
            rows.append((FAULTS[alert][place], alert, waits[1], seconds))
        if os.environ.get("EDGED_RECORD_ALERTS"):
            file = CONFIGS / "prometheus" / page
            lines = "".join(
                f"| {fault} | `{alert}` | {for_} | {took:.1f} |\n" for fault, alert, for_, took in rows
            )
            head = r"(\|---\|---\|---\|---\|\n)(?:\| .*\n)*"
            file.write_text(re.sub(head, lambda found: found[1] + lines, file.read_text(), count=1))
        assert rows_of(page) == [row[:3] for row in rows], page


async def test_a_healthy_hall_is_silent_and_each_fault_fires_its_own_alert(
    watched: tuple[Prometheus, Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    """The table of the runbook: ``EDGED_RECORD_ALERTS=1 pytest tests/daemon/test_prometheus.py`` writes it anew."""
    watch, files, daemon, machines = watched
    quiet_s = monotonic_s()
    while monotonic_s() - quiet_s < QUIET_S:
        assert watch.firing() == set()
        await asyncio.sleep(0.5)
    took_s = {}
    files.edit("[hall]", "[haul]")
    daemon.signal(signal.SIGHUP)
    took_s["EdgedHallNeedsSomebodyNow"] = await fires(watch, "EdgedHallNeedsSomebodyNow")
    files.edit("[haul]", "[hall]")
    daemon.signal(signal.SIGHUP)
    await calms(watch)
    await machines.relay_server.stop()
    took_s["EdgedDeviceLost"] = await fires(watch, "EdgedDeviceLost")
    await machines.relay_server.start(machines.relay_server.port)
    await calms(watch)
    await broker.stop()
    took_s["EdgedBrokerLost"] = await fires(watch, "EdgedBrokerLost")
    await broker.start()
    await calms(watch)
    daemon.signal(signal.SIGKILL)
    await daemon.ended()
    took_s["EdgedDown"] = await fires(watch, "EdgedDown")
    told(took_s)


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
