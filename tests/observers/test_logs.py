"""Logs as another process would read them: JSON where a machine reads, one line per change, nobody's number."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from edged import logs
from edged.core.model.commands import Action, Desired, Lamp, Note, Say, WindowSummary
from edged.core.model.events import KeyPressed
from edged.core.model.point import Point
from edged.journald import VALUE_CHARS_MAX, VALUES_MAX, fields_of
from edged.observer import Step

ID_CARD = "11010119900307421X"
PHONE = "13800138000"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def captured() -> io.StringIO:
    stream = io.StringIO()
    logs.configure(stream=stream, environ={})
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_step_with_commands_is_one_line_and_a_step_without_is_none() -> None:
    stream = captured()
    log = logs.StepLog()
    commands = (
        Desired(Point("lamp-1"), Lamp("on")),
        Desired(Point("lamp-2"), Lamp("on")),
        Action("a1", Point("voice"), Say("请A001号到1号窗口", "Ticket A001", "A001")),
    )
    notes = (Note("ticket.called", "A001", {"window": "w1"}),)
    log.step(Step(7, 1234, KeyPressed(Point("panel-1"), "next", arg=PHONE), commands, notes), 0.00025)
    log.step(Step(8, 1300, KeyPressed(Point("panel-1"), "next"), (), notes), 0.0001)
    (line,) = lines(stream)
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "event": "step",
        "level": "info",
        "logger": "edged.step",
        "seq": 7,
        "at_ms": 1234,
        "input": "KeyPressed",
        "point": "panel-1",
        "key": "next",
        "notes": ["ticket.called A001"],
        "commands": {"lamp": 2, "say": 1},
        "decision_ms": 0.25,
    }


def test_a_flood_of_steps_is_some_lines_that_say_how_many_they_stand_for() -> None:
    stream = captured()
    now_s = 0.0
    log = logs.StepLog(lambda: now_s)
    for number in range(1000):
        log.step(
            Step(
                number, number, KeyPressed(Point("panel-1"), "next"), (Desired(Point("l"), Lamp("on")),), ()
            ),
            0.0,
        )
    burst = lines(stream)
    assert len(burst) == logs.LINES_BURST
    assert not any("left_out" in line for line in burst)
    now_s = 1 / logs.LINES_PER_S
    for number in (1000, 1001):
        log.step(
            Step(
                number, number, KeyPressed(Point("panel-1"), "next"), (Desired(Point("l"), Lamp("on")),), ()
            ),
            0.0,
        )
    (late,) = lines(stream)[len(burst) :]
    assert (late["seq"], late["left_out"]) == (1000, 1000 - len(burst))


def test_numbers_that_name_a_person_are_masked_wherever_they_stand() -> None:
    stream = captured()
    log = structlog.get_logger("edged.test")
    log.info(
        f"card {ID_CARD}", error=f"tel {PHONE}.", nested={"a": [f"({ID_CARD})", 3]}, sha256="ab" + "1" * 20
    )
    logging.getLogger("paho").warning("refused client %s", PHONE)
    try:
        raise ValueError(ID_CARD)
    except ValueError:
        log.exception("broke")
    text = stream.getvalue()
    assert ID_CARD not in text
    assert PHONE not in text
    assert lines(stream)[0]["sha256"] == "ab" + "1" * 20
    assert lines(stream)[1]["event"] == "refused client ***"
    assert "ValueError: ***" in lines(stream)[2]["exception"]


def test_a_long_text_is_cut() -> None:
    stream = captured()
    structlog.get_logger("edged.test").warning("device said", error="x" * 10_000)
    assert len(lines(stream)[0]["error"]) == logs.TEXT_MAX_CHARS


def test_libraries_speak_only_of_trouble() -> None:
    stream = captured()
    logging.getLogger("pymodbus").info("sending")
    logging.getLogger("pymodbus").error("no answer")
    structlog.get_logger("edged.loop").info("started")
    structlog.get_logger("edged.loop").debug("detail")
    assert [line["event"] for line in lines(stream)] == ["no answer", "started"]


def test_a_terminal_gets_words_instead_of_json() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        logs.configure(stream=terminal, environ={})
        structlog.get_logger("edged.test").info("started", port=9464)
        terminal.flush()
        shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "started" in shown
    assert not shown.startswith("{")


def test_the_journal_gets_a_level_prefix_and_stamps_by_itself() -> None:
    reader, writer = os.pipe()
    about = os.fstat(writer)
    with os.fdopen(writer, "w") as journal:
        logs.configure(stream=journal, environ={"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"})
        structlog.get_logger("edged.test").error("disk full")
        journal.flush()
        line = os.read(reader, 4096).decode()
    os.close(reader)
    assert line.startswith("<3>{")
    assert "at" not in json.loads(line[3:])


def test_the_journal_finds_a_step_by_its_windows_areas_tickets_and_device() -> None:
    notes = (
        Note("ticket.called", "A001", {"window": "w1", "area": "tax", "waiting": 3}),
        Note("tidal.requested", "w11", {"area": "social"}),
        Note("tidal.refused", "fund", {"reason": "no-staff"}),
        Note("ignored", "x", {"reason": "busy"}),
    )
    summary = Desired(Point("centre/w2"), WindowSummary("w2", "open", None, None, None))
    step = Step(7, 1234, KeyPressed(Point("panel-1/2"), "next"), (summary,), notes)
    found = fields_of({"seq": 7, "event": "step", "point": "panel-1/2"} | logs.things_of(step)).decode()
    assert set(found.splitlines()) == {
        *("EDGED_EVENT=step", "EDGED_SEQ=7", "EDGED_DEVICE=panel-1", "EDGED_TICKET=A001"),
        *("EDGED_WINDOW=w1", "EDGED_WINDOW=w11", "EDGED_WINDOW=w2"),
        *("EDGED_AREA=tax", "EDGED_AREA=social", "EDGED_AREA=fund"),
    }


def test_a_field_is_bounded_and_never_ends_its_entry_early() -> None:
    found = fields_of(
        {"windows": [f"w{n}" for n in range(1000)], "device": "a\nPRIORITY=0", "area": "x" * 900}
    )
    assert found.count(b"EDGED_WINDOW=") == VALUES_MAX
    assert b"PRIORITY" not in found
    assert max(map(len, found.splitlines())) == len("EDGED_AREA=") + VALUE_CHARS_MAX


def test_another_process_journal_stream_changes_nothing() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, environ={"JOURNAL_STREAM": "1:2"})
    structlog.get_logger("edged.test").info("started")
    assert "at" in lines(stream)[0]


def test_logs_go_to_stderr_unless_told_otherwise() -> None:
    logs.configure(environ={})
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr


def test_a_text_that_is_no_utf_8_is_logged_all_the_same(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        logs.configure(stream=stream, environ={})
        structlog.get_logger("edged.test").warning("device said", error="纸尽 \ud800")
    (line,) = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["error"] == "纸尽 ?"
