"""The part of `edged pager` that gives text messages to gammu-smsd and follows each until it was sent or failed. Rules:

1. gammu-smsd-inject writes a message into the outbox folder. gammu-smsd moves it to the folder of sent messages or of
   errors; from that move the daemon is told whether the page was delivered.
2. A message that is still in the outbox after ``TRY_S`` is deleted and answered as undelivered: the core then pages
   somebody else, and nobody is called to a window an hour later. If gammu-smsd is just sending it, it may still go out.
3. This outlet is down while gammu-smsd's process does not run, and for ``STUCK_S`` after a message that was not moved.

Source: gammu-smsd(1), gammu-smsdrc(5), gammu-smsd-files(7) of gammu 1.42.
"""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import structlog

from devices.webhook.lines import UNDELIVERED
from devices.webhook.sender import TRY_S, Outlet, Wanted
from devices.webhook.sms import SmsOptions
from edged.clock import monotonic_s

INJECT = "gammu-smsd-inject"
INJECT_S = 5.0
CHECK_S = 0.2  # real seconds between looks where a message is
ALIVE_S = 5.0  # between looks whether gammu-smsd runs
STUCK_S = 60.0
QUEUE_MAX = 20  # a modem sends some fifteen messages a minute
SCAN_S_MAX = 5  # of gammu-smsd's own pause between two looks into an empty outbox
TEXT_CHARS_MAX = 400  # six messages of 67 Chinese characters
WRITTEN = re.compile(r"^Written message with ID (\S+)$", re.MULTILINE)
log = structlog.get_logger("edged.pager")


class SpoolFolders(NamedTuple):
    """The folders in which gammu-smsd keeps messages: waiting (``outbox``), sent, and failed."""

    outbox: Path
    sent: Path
    failed: Path


def folders(config: str) -> SpoolFolders:
    """Read the paths of the three folders from gammu-smsd's configuration file. Raises ``OSError`` if the file cannot
    be read, ``ValueError`` if a setting is missing or wrong; the text says what to write.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(Path(config).read_text("utf-8"))
    except configparser.Error as error:
        raise ValueError(f"{config} is no file of gammu-smsd: {error.message.splitlines()[0]}") from None
    name = next((name for name in parser.sections() if name.casefold() == "smsd"), None)
    if name is None or (parser[name].get("service") or "").casefold() != "files":
        raise ValueError(f"{config}: write service = files under [smsd]")
    smsd = parser[name]
    paths = [smsd.get(key) or "" for key in ("outboxpath", "sentsmspath", "errorsmspath")]
    if not all(paths) or len({os.path.normpath(path) for path in paths}) < len(paths):
        raise ValueError(f"{config}: outboxpath, sentsmspath and errorsmspath must be three folders")
    wait_s = smsd.get("commtimeout") or "30"
    if not wait_s.isdecimal() or int(wait_s) > SCAN_S_MAX:
        raise ValueError(f"{config}: write commtimeout = 1, so that messages leave at once (it is {wait_s})")
    return SpoolFolders(*map(Path, paths))


class Spool(Outlet):
    """A modem as an outlet: sends pages as text messages through one gammu-smsd."""

    def __init__(self, device: str, options: SmsOptions) -> None:
        """Read the folders that gammu-smsd uses. Raises ``OSError`` or ``ValueError`` if gammu-smsd's configuration
        file or its outbox cannot be used.
        """
        super().__init__(device)
        self._config, self._pid_file = options.config, Path(options.pid_file)
        self._folders = folders(options.config)
        if not os.access(self._folders.outbox, os.W_OK | os.X_OK):
            raise ValueError(f"{self._folders.outbox} cannot be written: put this process into its group")
        self._pages: set[asyncio.Task[None]] = set()
        self._stuck_until_s = 0.0

    def want(self, wanted: Wanted) -> None:
        """Hand a page to gammu-smsd. If too many are not sent yet, call its ``answer`` with the reason at once."""
        if len(self._pages) >= QUEUE_MAX:
            wanted.answer(f"{UNDELIVERED}: too many pages at once")
            return
        task = asyncio.get_running_loop().create_task(self._bring(wanted))
        self._pages.add(task)
        task.add_done_callback(self._pages.discard)

    async def run(self) -> None:
        """Check every ``ALIVE_S`` whether gammu-smsd runs, until cancelled."""
        try:
            while True:
                self._check_process()
                await asyncio.sleep(ALIVE_S)
        finally:
            for task in tuple(self._pages):
                task.cancel()

    def _check_process(self) -> None:
        if not running(self._pid_file):
            self.loss = ("no-process", "gammu-smsd does not run")
        elif monotonic_s() >= self._stuck_until_s:
            self._set_up(True)
            return
        self._set_up(False)

    async def _bring(self, wanted: Wanted) -> None:
        try:
            error = await self._sent(wanted)
        except (OSError, subprocess.SubprocessError) as problem:
            error = f"{UNDELIVERED}: {type(problem).__name__}"
            log.warning(
                "text-message-not-queued",
                device=self.device,
                error=type(problem).__name__,
                detail=str(problem)[:200],
                effect="one member of staff did not get a text message: somebody else is paged, or it is sent later",
                remedy="check that gammu-smsd-inject is installed, and that `edged pager` may run it",
            )
        wanted.answer(error)

    async def _sent(self, wanted: Wanted) -> str | None:
        """Give a page to gammu-smsd and wait until it is sent, has failed, or is too late. Returns None once the mobile
        network accepted it, otherwise the error.
        """
        self._check_process()
        if not self.up:
            return f"{UNDELIVERED}: {self.loss[1]}"
        name = await asyncio.to_thread(inject, self._config, wanted.at, wanted.text)
        outbox, sent, failed = (folder / name for folder in self._folders)
        while monotonic_s() < wanted.until_s:
            if sent.exists():
                self.sent += 1
                return None
            if failed.exists():
                return "gammu-smsd could not send it"
            await asyncio.sleep(CHECK_S)
        outbox.unlink(missing_ok=True)
        if sent.exists():
            self.sent += 1
            return None
        self._stuck_until_s = monotonic_s() + STUCK_S
        self.loss = ("no-answer", f"gammu-smsd did not send a message within {TRY_S:.0f} s")
        self._check_process()
        return f"{UNDELIVERED}: {self.loss[1]}"


def inject(config: str, number: str, text: str) -> str:
    """Write a message to ``number`` into gammu-smsd's outbox, and return the message's file name. Blocks. Raises
    ``SubprocessError`` if gammu-smsd-inject fails, ``OSError`` if it cannot be started or does not say the file name.
    """
    command = [INJECT, "-c", config, "TEXT", number, "-unicode", "-len", str(TEXT_CHARS_MAX)]
    done = subprocess.run(  # noqa: S603 - the number's form was checked when hall.toml was read
        command,
        input=text[:TEXT_CHARS_MAX].encode(),
        capture_output=True,
        timeout=INJECT_S,
        check=True,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        umask=0o027,  # gammu-smsd reads the message as a member of the folder's group
    )
    found = WRITTEN.search(done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace"))
    if found is None:
        raise OSError("gammu-smsd-inject names no message")
    return Path(found[1]).name


def running(pid_file: Path) -> bool:
    """Whether the process whose id is in ``pid_file`` exists, even if it belongs to another user."""
    try:
        number = int(pid_file.read_text("ascii"))
    except (OSError, ValueError):
        return False
    try:
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return number > 0
