"""A command that reads a journal lets a serving daemon go first, and shows its progress from the first second."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edged.bench import aged
from edged.cli import app, why
from edged.cli.reading import progress

READERS = {
    "replay": ("replay", "JOURNAL"),
    "backtest": ("backtest", "--journal", "JOURNAL", "--against", "", "--processes", "1"),
    "tune": ("tune", "--journal", "JOURNAL"),
}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of ten windows."""
    path = tmp_path_factory.mktemp("two") / "hall.db"
    asyncio.run(aged.write(path, 2, windows=10, tickets=420))
    return path


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_gives_way_and_takes_the_last_days_only(
    reader: str, journal: Path, gave_way: list[int]
) -> None:
    words = [str(journal) if word == "JOURNAL" else word for word in READERS[reader]]
    done = CliRunner().invoke(app, [*words, "--days", "1"])
    assert gave_way == [os.SCHED_IDLE]
    assert done.exit_code in (0, 1, 2), (
        done.output
    )  # a quiet day has nothing to explain, one day is none to split
    assert "Traceback" not in done.output


def test_giving_way_is_the_idle_class_of_processor_and_disk() -> None:
    """The kernel takes the class of input and output from it, where none was set (ioprio_set(2))."""
    script = "import os; from edged.cli.reading import give_way; give_way(); print(os.sched_getscheduler(0))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == os.SCHED_IDLE


def test_why_gives_way_where_it_has_much_to_read(
    journal: Path, gave_way: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CliRunner().invoke(app, ["why", str(journal)]).exit_code == 0
    assert gave_way == []
    monkeypatch.setattr(why, "SHORT_STEPS", 100)
    assert CliRunner().invoke(app, ["why", str(journal)]).exit_code == 0
    assert set(gave_way) == {os.SCHED_IDLE}


def test_why_of_the_last_day_says_nothing_of_the_day_before(journal: Path) -> None:
    """Every login of a regular window is somebody's; what is decided has its date."""

    def dates(*words: str) -> set[str]:
        output = CliRunner().invoke(app, ["why", str(journal), "--last", "0", *words]).stdout
        return set(re.findall(r"^(\d{4}-\d\d-\d\d)T", output, re.M))

    both = dates()
    assert len(both) == 2
    assert dates("--days", "1") == {max(both)}
    assert dates("--days", "9") == both


def test_a_bar_is_there_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal; whoever reads our output by a program sees none."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        output = b""
        with progress("reading the journal"):
            while b"reading the journal" not in output:
                assert select.select([ours], [], [], 10)[0]
                output += os.read(ours, 4096)
    os.close(ours)
