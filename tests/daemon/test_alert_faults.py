"""Every alert fires on its fault, in a real hall: the table of configs/prometheus/README.

``EDGED_RECORD_ALERTS=1 pytest -m long tests/daemon/test_alert_faults.py`` writes the table anew. The waits of the rules
are cut to a second (tests/support/prometheus.py); where an alarm of the hall outlives the alert about its cause, the
alert that reminds of alarms comes at once here and a quarter of an hour later there.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from edged.sim.broker import free_port
from tests.support.authorities import Authority
from tests.support.brokers import Mosquitto, real_mosquitto, until
from tests.support.daemon_checks import TIDE
from tests.support.daemons import Daemon, Hall, Machines, small_hall
from tests.support.mounts import mounted
from tests.support.planted import SYNC_S
from tests.support.prometheus import Prometheus, watching_over

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
PAGES = Path(__file__).parents[2] / "configs" / "prometheus"
ERRORS = (
    "EdgedDeviceErrors"  # an outage costs each device one: many in a window of seconds, few in ten minutes
)
REMINDER = "EdgedHallNeedsLookingAfter"
FAULTS = {  # Chinese, English; in the order of the rules
    "EdgedDown": ("控制器进程被杀死", "the controller's process is killed"),
    "EdgedRestarting": (
        "控制器进程接连被杀死三次",
        "the controller's process is killed three times in a row",
    ),
    "EdgedNotDurable": ("其他程序锁住日志库", "another program locks the journal"),
    "EdgedDiskLow": ("日志库所在磁盘只有80 MB", "the journal's disk has 80 MB"),
    "EdgedLoopSlow": ("控制器有一半时间停顿", "the controller stands still half of the time"),
    "EdgedCommitSlow": ("磁盘每次写入需0.4秒", "each sync of the disk takes 0.4 s"),
    "EdgedBrokerLost": ("消息服务器停止", "the broker stops"),
    "EdgedDeviceLost": ("继电器模块断电", "a relay module loses its power"),
    "EdgedManyDevicesLost": ("九台设备中四台断电", "four devices of nine lose their power"),
    "EdgedDeviceErrors": ("取号机卡纸，打印接连失败", "a dispenser is jammed, print after print fails"),
    "EdgedInputsMissed": ("呼叫器的按键消息丢失", "keys of a panel get lost on their way"),
    "EdgedInputsRejected": ("呼叫器发来30条无法识别的消息", "a panel sends 30 unreadable messages"),
    "EdgedUplinkBacklog": ("中心不接收，事件超过5000条", "the centre takes nothing, 5,000 events wait"),
    "EdgedPolicyRefused": ("下发没有签名的策略", "a policy without a signature is pushed"),
    "EdgedCertificateEnds": ("客户端证书还有十天到期", "the client certificate ends in ten days"),
    "EdgedCertificateEnded": ("客户端证书已过期", "the client certificate has ended"),
    "EdgedSecretUnreadable": ("密码文件被删除", "the password's file is gone"),
    "EdgedHallNeedsSomebodyNow": ("hall.toml 有误并重新加载", "hall.toml with a mistake is reloaded"),
    "EdgedHallNeedsLookingAfter": ("未登记的设备发消息", "a device that hall.toml does not know speaks"),
    "EdgedPageUnanswered": ("窗口呼叫帮办，无人应答", "a window calls for a commissioner and nobody answers"),
    "EdgedWaitTooLong": ("一个窗口，九人等候", "nine people wait for one window"),
}


class Bench(NamedTuple):
    """A served hall under a Prometheus."""

    watch: Prometheus
    files: Hall
    daemon: Daemon
    machines: Machines
    broker: Mosquitto


Fault = Callable[[Bench], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def mistake(bench: Bench) -> AsyncIterator[None]:
    bench.files.edit("[hall]", "[haul]")
    bench.daemon.signal(signal.SIGHUP)
    yield
    bench.files.edit("[haul]", "[hall]")
    bench.daemon.signal(signal.SIGHUP)


@asynccontextmanager
async def locked(bench: Bench) -> AsyncIterator[None]:
    with closing(sqlite3.connect(bench.files.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        bench.machines.panel.press("recall")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def standing_still(bench: Bench) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            bench.daemon.signal(signal.SIGSTOP)
            await asyncio.sleep(0.4)  # a scrape may take half a second
            bench.daemon.signal(signal.SIGCONT)
            await asyncio.sleep(0.33)

    task = asyncio.get_running_loop().create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        bench.daemon.signal(signal.SIGCONT)


@asynccontextmanager
async def without_broker(bench: Bench) -> AsyncIterator[None]:
    await bench.broker.stop()
    yield
    await bench.broker.start()


@asynccontextmanager
async def without_relay(bench: Bench) -> AsyncIterator[None]:
    await bench.machines.relay_server.stop()
    yield
    await bench.machines.relay_server.start(bench.machines.relay_server.port)


@asynccontextmanager
async def without_four(bench: Bench) -> AsyncIterator[None]:
    gone = (bench.machines.lamp, bench.machines.screen, bench.machines.voice, bench.machines.tidal_panel)
    for device in gone:
        device.go(False)
    yield
    for device in gone:
        device.go(True)


@asynccontextmanager
async def jammed(bench: Bench) -> AsyncIterator[None]:
    async def one_by_one() -> None:
        while True:
            bench.machines.dispenser.request("tax-general")
            await asyncio.sleep(0.2)

    bench.machines.dispenser.on_action = lambda *_: "cutter jammed"
    task = asyncio.get_running_loop().create_task(one_by_one())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def keys_lost(bench: Bench) -> AsyncIterator[None]:
    bench.machines.panel.press("recall")
    bench.machines.panel.seq += 3
    bench.machines.panel.press("recall")
    yield


@asynccontextmanager
async def unreadable(bench: Bench) -> AsyncIterator[None]:
    for _ in range(30):
        bench.machines.fleet.publish("hall/east/dev/panel-w1/up/key", b"{")
    yield


@asynccontextmanager
async def unsigned(bench: Bench) -> AsyncIterator[None]:
    bench.machines.fleet.publish("hall/east/policy/push", b"{}")
    yield


@asynccontextmanager
async def stranger(bench: Bench) -> AsyncIterator[None]:
    bench.machines.fleet.publish("hall/east/dev/stranger/up/status", b'{"state": "online"}')
    yield


@asynccontextmanager
async def crowded(bench: Bench) -> AsyncIterator[None]:
    bench.machines.tickets(TIDE)
    bench.machines.panel.press("login")
    yield


@asynccontextmanager
async def paged(bench: Bench) -> AsyncIterator[None]:
    bench.machines.panel.press("commissioner")
    yield


@asynccontextmanager
async def not_taken(bench: Bench) -> AsyncIterator[None]:
    for first in range(TIDE + 1, 5100, 100):  # a broker keeps so many for us
        bench.machines.tickets(100, first=first)
        await until(lambda last=first + 99: bench.machines.panel.waiting == last)  # type: ignore[misc]
    yield


HEALED: tuple[tuple[str, Fault], ...] = (  # over when the fault is
    ("EdgedHallNeedsSomebodyNow", mistake),
    ("EdgedDeviceLost", without_relay),
    ("EdgedBrokerLost", without_broker),
    ("EdgedNotDurable", locked),
    ("EdgedLoopSlow", standing_still),
    ("EdgedManyDevicesLost", without_four),
    ("EdgedPolicyRefused", unsigned),
)
LASTING: tuple[tuple[str, Fault], ...] = (  # each fires beside those before it
    ("EdgedWaitTooLong", crowded),
    ("EdgedUplinkBacklog", not_taken),
    ("EdgedHallNeedsLookingAfter", stranger),
    ("EdgedPageUnanswered", paged),
    ("EdgedInputsMissed", keys_lost),
    ("EdgedInputsRejected", unreadable),
    ("EdgedDeviceErrors", jammed),
)
ALSO = {  # what fires with it, for what the fault does to visitors or as a reminder
    "EdgedManyDevicesLost": ("EdgedDeviceLost",),
    "EdgedPageUnanswered": (REMINDER,),
    "EdgedDeviceErrors": ("EdgedHallNeedsSomebodyNow",),
    "EdgedInputsMissed": (REMINDER,),
    "EdgedInputsRejected": (REMINDER,),
    "EdgedSecretUnreadable": ("EdgedHallNeedsSomebodyNow",),
}
MINUTE_OF = re.compile(r"- alert: (\w+)\n.*?for: (\w+)", re.S)
ROW = r"\| (.+?) \| `(Edged\w+)`([^|]*) \| (\d+[mh]) \| ([\d.]+) \|\n"


def other_alerts_text(alert: str, place: int) -> str:
    """Return the words for other alerts that fire with this one, as the page says it (``place`` 0: Chinese, 1:
    English).
    """
    others = ("、" if place == 0 else ", ").join(f"`{one}`" for one in ALSO.get(alert, ()))
    return others and (f"，以及{others}" if place == 0 else f", and {others}")


def wrong_or_missing_rows(took_s: dict[str, float]) -> list[str]:
    """Rows that the tables of both pages should have and do not; all are written there where that is asked for."""
    missing: list[str] = []
    waits = dict(MINUTE_OF.findall((PAGES / "edged.rules.yml").read_text()))
    for place, page in enumerate(("README.zh-CN.md", "README.md")):
        text = (PAGES / page).read_text()
        rows = {alert: seconds for _, alert, _, _, seconds in re.findall(ROW, text)}
        if os.environ.get("EDGED_RECORD_ALERTS"):
            rows |= {alert: f"{seconds:.1f}" for alert, seconds in took_s.items()}
            lines = "".join(
                f"| {FAULTS[alert][place]} | `{alert}`{other_alerts_text(alert, place)}"
                f" | {waits[alert]} | {rows[alert]} |\n"
                for alert in FAULTS
                if alert in rows
            )
            head = r"(\|---\|---\|---\|---\|\n)(?:\| .*\n)*"
            text = re.sub(head, lambda found, lines=lines: str(found[1]) + lines, text, count=1)  # type: ignore[misc]
            (PAGES / page).write_text(text)
        shown = {alert: (fault, more, wait) for fault, alert, more, wait, _ in re.findall(ROW, text)}
        missing += [
            f"{page}: {alert}"
            for alert in took_s
            if shown.get(alert) != (FAULTS[alert][place], other_alerts_text(alert, place), waits[alert])
        ]
    return missing


@asynccontextmanager
async def bench_at(directory: Path, broker: Mosquitto) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    """A hall of its own in ``directory``, not yet started."""
    await asyncio.to_thread(directory.mkdir)
    async with small_hall(directory, broker) as parts:
        yield parts


async def test_each_fault_fires_its_own_alert_and_is_over_with_it(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    files, daemon, machines = hall
    took_s: dict[str, float] = {}
    async with watching_over(tmp_path / "prometheus", daemon, ERRORS) as watch:
        bench = Bench(watch, files, daemon, machines, broker)
        for alert, fault in HEALED:
            async with fault(bench):
                took_s[alert] = await watch.fires(alert, ALSO.get(alert, ()))
            await watch.calms()
    assert wrong_or_missing_rows(took_s) == []


async def test_a_bad_day_fires_alert_after_alert_and_its_ends_two_more(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    files, daemon, machines = hall
    took_s: dict[str, float] = {}
    async with watching_over(tmp_path / "prometheus", daemon) as watch:
        bench = Bench(watch, files, daemon, machines, broker)
        stand: set[str] = set()
        for alert, fault in LASTING:
            stand |= {*ALSO.get(alert, ())}
            async with fault(bench):
                took_s[alert] = await watch.fires(alert, stand)
            stand.add(alert)
        watch.leave("EdgedDown", "EdgedRestarting")  # each start is sooner than the minute of EdgedDown
        for _ in range(3):
            await daemon.kill()
            await daemon.restart()
            await until(watch.answers)
        took_s["EdgedRestarting"] = await watch.fires("EdgedRestarting", stand)
        watch.leave()
        await daemon.kill()
        took_s["EdgedDown"] = await watch.fires("EdgedDown", {*stand, "EdgedRestarting"})
    assert wrong_or_missing_rows(took_s) == []


async def test_a_disk_with_little_room_and_one_that_crawls(broker: Mosquitto, tmp_path: Path) -> None:
    took_s: dict[str, float] = {}
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=80m", "none") as disk:
        async with bench_at(tmp_path / "low", broker) as (files, daemon, _machines):
            files.edit('path = "hall.db"', f'path = "{disk / "hall.db"}"')
            async with watching_over(tmp_path / "watch-low", daemon) as watch:
                took_s["EdgedDiskLow"] = await watch.fires("EdgedDiskLow")
    async with real_mosquitto() as other, bench_at(tmp_path / "slow", other) as (_, daemon, machines):
        daemon.planted, daemon.environ = "crawling", {SYNC_S: "0.4"}
        async with watching_over(tmp_path / "watch-slow", daemon) as watch:
            machines.tickets(TIDE // 2)
            took_s["EdgedCommitSlow"] = await watch.fires("EdgedCommitSlow")
    assert wrong_or_missing_rows(took_s) == []


async def test_a_certificate_and_a_password(tmp_path: Path) -> None:
    authority, took_s = Authority(tmp_path), dict[str, float]()
    cert, key = authority.issue("broker")
    port = free_port()
    tls = (f"listener {port} 127.0.0.1", f"cafile {authority.file}", f"certfile {cert}", f"keyfile {key}")
    async with real_mosquitto(*tls) as broker, bench_at(tmp_path / "hall", broker) as (files, daemon, _):
        ours, our_key = authority.issue("edged", days=10)
        secret = files.directory / "secret"
        secret.write_text("open sesame\n")
        table = f'ca_file = "{authority.file}"\ncert_file = "{ours}"\nkey_file = "{our_key}"\n'
        files.edit("[store]", f"[mqtt.tls]\n{table}\n[store]")
        files.edit(f"port = {broker.port}", f"port = {port}")
        files.edit('username = "edged"', 'username = "edged"\npassword_file = "secret"')
        async with watching_over(tmp_path / "prometheus", daemon) as watch:
            took_s["EdgedCertificateEnds"] = await watch.fires("EdgedCertificateEnds")
            authority.issue("edged", days=-1)
            daemon.signal(signal.SIGHUP)
            await until(lambda: watch.firing() != {"EdgedCertificateEnds"})
            took_s["EdgedCertificateEnded"] = await watch.fires("EdgedCertificateEnded")
            authority.issue("edged", days=60)
            daemon.signal(signal.SIGHUP)
            await watch.calms()
            secret.unlink()
            daemon.signal(signal.SIGHUP)
            took_s["EdgedSecretUnreadable"] = await watch.fires(
                "EdgedSecretUnreadable", ALSO["EdgedSecretUnreadable"]
            )
    assert wrong_or_missing_rows(took_s) == []
