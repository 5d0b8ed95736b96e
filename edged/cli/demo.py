"""``edged demo``: runs a whole hall on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from edged.clock import Warp
    from edged.sim.demo import Demo
    from edged.sim.summary import Summary
    from edged.sim.view import Scene

Result = TypeVar("Result")
CTRL_C = 130
SCRATCH = "edged-demo-"  # prefix of the name of a demo's folder
OWNER = "owner.pid"  # file in it with the demo's process id


class DemoHall(StrEnum):
    """The two halls that ``edged demo`` can run: a day with people, or one device of every kind."""

    EXAMPLE = "example"
    EVERY_DEVICE = "every-device"


def demo(
    hall: Annotated[
        DemoHall,
        typer.Option(
            help="example: a day of a hall with people; every-device: each kind of device is touched once, in a minute."
        ),
    ] = DemoHall.EXAMPLE,
    seed: Annotated[int, typer.Option(help="Same seed, same visitors, clerks and faults.")] = 1,
    speed: Annotated[float, typer.Option(min=1, max=120, help="Hall time runs this many times faster.")] = 60,
    hours: Annotated[float, typer.Option(min=0.05, max=24, help="Hall hours to run.")] = 3,
    headless: Annotated[
        bool, typer.Option("--headless", help="Draw nothing on the terminal (for scripts and CI).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one summary object on stdout.")] = False,
    starts: Annotated[str, typer.Option(help="The hall's clock at the start, HH:MM.")] = "08:20",
    keep: Annotated[Path | None, typer.Option(help="Keep hall.toml, keys, journal and log here.")] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="Use this broker: mqtt://[user:password@]host[:port], mqtts:// for TLS."),
    ] = None,
    broker_ca: Annotated[
        Path | None, typer.Option(help="PEM of the authority that signed its certificate (mqtts://).")
    ] = None,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser/--no-browser", help="Open the page of controls in a browser, if there is a desktop."
        ),
    ] = True,
) -> None:
    """Run a whole hall here: visitors, clerks and devices on real wires, and the real daemon between them.

    Nothing to install, no hardware, no network. One clerk never answers a page and one LED bar fails for ten minutes.
    Kill the daemon (its process id is shown): it restarts and nothing is lost. On a page of controls you draw numbers,
    press keys and play scenes: a rush, a coach party, a dead LED bar, a killed broker, a harmful policy.
    With --hall every-device a second hall runs instead, with one device of every class that the product drives: each
    input must reach the hall and each output its device. Only --json and --keep go with it.
    Exit codes: 0 replay identical, no input lost, no output wrong; 1 the audit found a fault; 130 Ctrl-C.
    """
    from edged.sim.demo import Demo, Settings

    _sweep()
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as scratch:
        (Path(scratch) / OWNER).write_text(str(os.getpid()))
        directory = Path(scratch) if keep is None else keep.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        if any((directory / name).exists() for name in ("demo.db", "devices.db")):
            _fail(f"{directory} holds the journal of an earlier run; choose an empty directory", 2)
        if hall is DemoHall.EVERY_DEVICE:
            raise typer.Exit(_every_device(directory, as_json))
        run = Demo(Settings(directory, seed, speed, hours, broker, _minute(starts), broker_ca), _announced)
        summary = _lived(_watched(run, headless, browser))
    _print(summary, as_json)
    raise typer.Exit(0 if summary.good else 1)


def _lived(day: Coroutine[Any, Any, Result]) -> Result:
    """Run a demo to its end and return its result. Expected errors and Ctrl-C end the command with a message on stderr
    instead of a traceback.
    """
    try:
        return asyncio.run(day)
    except (KeyboardInterrupt, asyncio.CancelledError):
        _fail("stopped", CTRL_C)
    except RuntimeError as error:  # failed before any part ran
        _fail(str(error), 1)
    except ExceptionGroup as group:
        known, bugs = group.split((RuntimeError, OSError))
        if bugs is not None or known is None:
            raise
        _fail("; ".join(str(error) for error in _leaves(known)), 1)


def _every_device(directory: Path, as_json: bool) -> int:
    """Run the demo hall with one device of every class; returns the exit code."""
    from edged.sim.every_device.run import EveryDevice

    async def run() -> dict[str, Any]:
        _end_with_signals()
        return await EveryDevice(directory, lambda line: print(f"edged demo: {line}", file=sys.stderr)).run()

    found = _lived(run())
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for row in found["devices"]:
            heard = f"{row['heard']} {row['kind']}" if "kind" in row else ""
            print(
                f"{row['point']:16} {row['driver']:15} {heard:9} {' '.join((row.get('shows') or '').split())[:70]}"
            )
    for fault in found["faults"]:
        print(f"edged demo: {fault}", file=sys.stderr)
    return 0 if found["good"] else 1


def _end_with_signals() -> None:
    """Cancel this task on SIGTERM and SIGHUP, so that the daemon it started also ends when its terminal is closed."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _sweep() -> None:
    """Delete the folders left by demos that were killed by SIGKILL (their child processes end by themselves)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with suppress(OSError, ValueError):
            owner = int((folder / OWNER).read_text())
            if folder.stat().st_uid == os.getuid() and not Path(f"/proc/{owner}").exists():
                shutil.rmtree(folder)


async def _watched(run: Demo, headless: bool, browser: bool) -> Summary:
    """Run the demo, drawn on the terminal unless ``headless``; SIGTERM, SIGHUP and Ctrl-C end it cleanly."""
    from rich.console import Console
    from rich.live import Live

    from edged.sim.view import draw

    _end_with_signals()
    if headless:
        _hint(run)
        return await run.run(_address_once())
    opened: list[str] = []
    with Live(console=Console(stderr=True), screen=True, auto_refresh=False) as live:

        def show(scene: Scene) -> None:
            live.update(draw(scene), refresh=True)
            if browser and scene.touch is not None and not opened and _has_desktop():
                opened.append(scene.touch)
                threading.Thread(target=webbrowser.open, args=(scene.touch,), daemon=True).start()

        return await run.run(show)


def _has_desktop() -> bool:
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _announced(config: Path, warp: Warp) -> AbstractContextManager[Path]:
    """Announce the demo while the returned context is open, so that `edged policy push`, `edged op push` and `edged
    status` find it without options. The announcement includes its signing key and how fast its clock runs.
    """
    from edged.cli.target import announce, from_config

    key = str(config.with_name("city.key"))
    return announce(replace(from_config(config), signing_key=key, warp=str(warp)))


def _minute(clock: str) -> int:
    """Parse HH:MM into minutes after midnight."""
    hour, colon, minute = clock.partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        _fail(f'--starts "{clock}" is not a time of day; write HH:MM', 2)
    return int(hour) * 60 + int(minute)


def _hint(run: Demo) -> None:
    settings = run.settings
    minutes = settings.hours * 60 / settings.speed
    print(f"edged demo: {settings.hours:g} hall hours in about {minutes:.1f} min", file=sys.stderr)
    print(f"edged demo: hall.toml, journal and log in {settings.directory}", file=sys.stderr)


def _address_once() -> Callable[[Scene], None]:
    """A callback that prints the address of the hall's pages and that of the page of controls, each once, as soon as it
    is known.
    """
    from edged.sim.demo import DUTY_NAME, DUTY_PIN

    printed: set[str] = set()

    def show(scene: Scene) -> None:
        if scene.pages is not None and scene.pages not in printed:
            printed.add(scene.pages)
            print(f"edged demo: pages at {scene.pages}", file=sys.stderr)
            print(f"edged demo: act at {scene.pages}duty as {DUTY_NAME}, PIN {DUTY_PIN}", file=sys.stderr)
        if scene.touch is not None and scene.touch not in printed:
            printed.add(scene.touch)
            print(f"edged demo: take numbers, press keys and break things at {scene.touch}", file=sys.stderr)

    return show


def _print(summary: Summary, as_json: bool) -> None:
    for complaint in summary.complaints[:20]:
        print(f"edged demo: {complaint}", file=sys.stderr)
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    for key, value in summary.items():
        print(f"{key:20} {value}")


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _fail(text: str, code: int) -> NoReturn:
    print(f"edged demo: {text}", file=sys.stderr)
    raise typer.Exit(code)
