"""Pages as text messages: the real gammu-smsd, its files and gammu's dummy phone, which has no modem and no network.

Not shown here, for want of a modem: how long a network takes, what it refuses, and that a message reaches anybody.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devices.webhook import driver, sender, spool
from devices.webhook.sender import Outlet, serve
from devices.webhook.sms import Sms, SmsOptions
from devices.webhook.spool import Spool, folders, running
from edged.core.model.commands import Action, Page, Pager
from edged.core.model.events import DeviceBack, DeviceLost, Event
from edged.core.model.point import Point
from edged.driver import DeviceContext, Refused, Unreachable
from edged.shapes import Misshapen, read
from tests.support.brokers import Rejections, until

MODEM = Point("modem")
RC = """[gammu]
device = {folder}/phone
model = dummy
connection = none

[smsd]
service = files
logfile = {folder}/log
commtimeout = 1
sendtimeout = 5
receivefrequency = 0
inboxpath = {folder}/inbox/
outboxpath = {folder}/outbox/
sentsmspath = {folder}/sent/
errorsmspath = {folder}/error/
"""


class SmsBench:
    """A driver, the part of `edged pager` that sends, and the folders of gammu-smsd."""

    def __init__(self, folder: Path) -> None:
        for name in ("phone", "inbox", "outbox", "sent", "error"):
            (folder / name).mkdir()
        self.folder, self.config, self.pid_file = folder, folder / "gammurc", folder / "pid"
        self.config.write_text(RC.format(folder=folder))
        self.events: list[Event] = []
        fields: dict[str, Any] = {"people": {"chen": "13800000000"}, "sign": "大厅："}
        fields |= {"config": str(self.config), "pid_file": str(self.pid_file), "sockets": str(folder)}
        self.options = read(SmsOptions, fields)
        context = DeviceContext("modem", "h", self._emit, Rejections(), asyncio.sleep, lambda: 0.0, None)
        self.driver = Sms(context, self.options)
        self.smsd: subprocess.Popen[bytes] | None = None

    def _emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        return True

    def start(self) -> None:
        program = shutil.which("gammu-smsd")
        assert program is not None, "needs gammu-smsd (Debian: apt-get install gammu-smsd)"
        self.smsd = subprocess.Popen(
            [program, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.pid_file.write_text(f"{self.smsd.pid}\n")

    def stop(self) -> None:
        if self.smsd is not None:
            self.smsd.terminate()
            self.smsd.wait()
            self.smsd = None

    async def page(self, number: int = 1) -> None:
        body = Page("chen", "tax", "w3", f"请到3号窗口 {number}", f"Window 3 {number}")
        await self.driver.act(Action(str(number), Point("modem/chen"), body))


@asynccontextmanager
async def sms_bench(folder: Path) -> AsyncIterator[SmsBench]:
    made = SmsBench(folder)
    outlets: list[tuple[Outlet, str]] = [(Spool("modem", made.options), made.options.socket("modem"))]
    async with asyncio.TaskGroup() as group:
        process = group.create_task(serve(outlets))
        life = group.create_task(made.driver.run())
        try:
            yield made
        finally:
            process.cancel()
            life.cancel()
            made.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "ALIVE_S", 0.05)


async def test_a_page_is_delivered_when_gammu_smsd_has_sent_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (sender, "TRY_S"),
        (driver, "ANSWER_S"),
    ):  # on a busy machine it takes its time to start
        monkeypatch.setattr(module, name, 60.0)
    async with sms_bench(tmp_path) as made:
        made.start()
        await until(lambda: DeviceBack(MODEM) in made.events)
        await made.page()
        await made.driver.show(MODEM, Pager(1))
        [message] = (tmp_path / "sent").iterdir()
        text = message.read_text("utf-8", "replace")
        assert "; 大厅：请到3号窗口 1" in text
        assert 'Number = "13800000000"' in text
        assert not list((tmp_path / "outbox").iterdir())


async def test_without_gammu_smsd_a_page_is_undelivered_and_no_file_stays_behind(tmp_path: Path) -> None:
    async with sms_bench(tmp_path) as made:
        await until(lambda: DeviceLost(MODEM, "no-process", "gammu-smsd does not run") in made.events)
        with pytest.raises(Unreachable, match=r"^undelivered: gammu-smsd does not run"):
            await made.page()
        assert not list((tmp_path / "outbox").iterdir())
        made.start()
        await until(lambda: made.events[-1] == DeviceBack(MODEM))
        made.stop()
        await until(lambda: isinstance(made.events[-1], DeviceLost))


async def test_a_message_not_sent_in_time_is_removed_from_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "TRY_S", 0.5)
    monkeypatch.setattr(spool, "STUCK_S", 0.3)
    async with sms_bench(tmp_path) as made:
        made.pid_file.write_text("1\n")  # a process is there, and moves nothing
        await until(lambda: DeviceBack(MODEM) in made.events)
        with pytest.raises(Unreachable, match=r"^undelivered: gammu-smsd did not send"):
            await made.page()
        assert not list((tmp_path / "outbox").iterdir())
        await until(lambda: isinstance(made.events[-1], DeviceLost))
        await until(lambda: made.events[-1] == DeviceBack(MODEM))


async def test_a_page_whose_message_the_modem_refuses_is_refused(tmp_path: Path) -> None:
    async with sms_bench(tmp_path) as made:
        made.pid_file.write_text("1\n")
        await until(lambda: DeviceBack(MODEM) in made.events)
        paging = asyncio.create_task(made.page())
        await until(lambda: bool(list((tmp_path / "outbox").glob("OUT*"))))
        [message] = (tmp_path / "outbox").iterdir()
        message.rename(tmp_path / "error" / message.name)  # as gammu-smsd does after its last try
        with pytest.raises(Refused, match="could not send"):
            await paging


async def test_a_long_page_is_one_message_of_several_parts(tmp_path: Path) -> None:
    SmsBench(tmp_path)
    name = await asyncio.to_thread(
        spool.inject, str(tmp_path / "gammurc"), "13800000000", "请到三号窗口" * 100
    )
    text = (tmp_path / "outbox" / name).read_text("utf-8", "replace")
    assert text.count("Number = ") == 6
    assert (tmp_path / "outbox" / name).stat().st_mode & 0o040, "its group may read it"


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ("service = files", "service = sql", "service = files"),
        ("commtimeout = 1", "", "commtimeout = 1"),
        ("sentsmspath", "x", "three folders"),
        ("[smsd]", "[other]", "service = files"),
        ("[gammu]", "gammu", "no file of gammu-smsd"),
    ],
)
def test_a_gammu_smsd_configuration_that_cannot_work_is_refused_with_what_to_write(
    wrong: str, right: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "rc").write_text(RC.format(folder=tmp_path).replace(wrong, right, 1))
    with pytest.raises(ValueError, match=says):
        folders(str(tmp_path / "rc"))


@pytest.mark.parametrize(
    ("text", "is_there"), [("1\n", True), ("0", False), ("x", False), ("4194305", False)]
)
def test_gammu_smsd_counts_as_running_only_with_the_pid_of_a_live_process(
    text: str, is_there: bool, tmp_path: Path
) -> None:
    assert not running(tmp_path / "pid")
    (tmp_path / "pid").write_text(text)
    assert running(tmp_path / "pid") is is_there


@pytest.mark.parametrize("people", [{}, {"chen": "-x"}, {"chen": "138 0000"}, {"chen": ""}])
def test_staff_without_a_valid_phone_number_are_refused(people: dict[str, str]) -> None:
    with pytest.raises(Misshapen):
        read(SmsOptions, {"people": people})
