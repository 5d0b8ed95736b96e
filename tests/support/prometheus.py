"""Runs Debian's Prometheus with the shipped alert rules on one daemon, with waits cut to a second.

Scrapes and evaluations come every half second. Every ``for:`` of the rules is cut to a second and every time window to
``WINDOW``, except those of alerts that a test excludes. The real waits are tested by the rules' own tests.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edged.clock import monotonic_s
from edged.sim.broker import free_port
from tests.support.brokers import until
from tests.support.daemons import Daemon
from tests.support.needs import lacking

RULES = Path(__file__).parents[2] / "configs" / "prometheus" / "edged.rules.yml"
FIRED_S = 60.0  # from the fault to the alert: two scrapes, two evaluations, a cut wait, on a busy machine
WINDOW = "10s"
SCRAPE = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: edged
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{hall: east}}}}]
"""


class Prometheus:
    """A Prometheus process on a free port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, web_port: int, leave: Collection[str] = ()) -> None:
        """Start the process, which scrapes the daemon at ``web_port``; wait for it with ``answers``. ``leave``: alerts
        that keep their real waits and windows.
        """
        program = shutil.which("prometheus") or lacking("prometheus is not installed (Debian: prometheus)")
        config = self._directory / "prometheus.yml"
        self._write(leave)
        config.write_text(SCRAPE.format(rules=self._rules, port=web_port))
        self._process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={self._directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    def leave(self, *alerts: str) -> None:
        """Give these alerts their real waits and windows from now on, and all others the short ones."""
        assert self._process is not None
        self._write(alerts)
        self._process.send_signal(signal.SIGHUP)

    @property
    def _rules(self) -> Path:
        return self._directory / "rules.yml"

    def _write(self, whole: Collection[str] = ()) -> None:
        parts = re.split(r"(?=^      - alert: )", RULES.read_text(), flags=re.M)
        self._rules.write_text("".join(part if _named(part) in whole else _cut(part) for part in parts))

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query. Raises ``AssertionError`` with Prometheus's message if the query is
        refused.
        """
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()[:300]}") from None
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {one["metric"]["alertname"] for one in self.ask('ALERTS{alertstate="firing"}')}

    async def fires(self, alert: str, besides: Collection[str] = ()) -> float:
        """Wait until ``alert`` fires; returns after how many seconds. Fails if another one fires meanwhile, except
        ``besides``.
        """
        started_s = monotonic_s()
        while alert not in (firing := self.firing()):
            assert firing <= set(besides), f"{firing} instead of {alert}"
            assert monotonic_s() - started_s < FIRED_S, f"{alert} does not fire"
            await asyncio.sleep(0.1)
        assert firing <= {alert, *besides}, firing
        return monotonic_s() - started_s

    async def calms(self) -> None:
        """Wait until no alert fires."""
        await until(lambda: self.firing() == set(), FIRED_S)

    def answers(self) -> bool:
        """Whether Prometheus runs and has scraped the daemon."""
        try:
            return [one["value"][1] for one in self.ask("up")] == ["1"]
        except OSError:
            return False


def _named(part: str) -> str:
    return part.partition("- alert: ")[2].partition("\n")[0]


def _cut(part: str) -> str:
    part = re.sub(r"for: \d+[mh]", "for: 1s", part)
    return re.sub(r"offset \d+[mh]", f"offset {WINDOW}", re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", part))


@asynccontextmanager
async def watching_over(directory: Path, daemon: Daemon, *leave: str) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that scrapes ``daemon``, and start the daemon. ``leave``: alerts that keep their real waits and
    windows.
    """
    await asyncio.to_thread(directory.mkdir)
    watch = Prometheus(directory)
    await watch.start(daemon.hall.web_port, leave)
    try:
        await daemon.start()
        await until(watch.answers, FIRED_S)
        yield watch
    finally:
        await watch.stop()
