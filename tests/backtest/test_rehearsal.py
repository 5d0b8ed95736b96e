"""A rehearsal is the backtest of the hall's own last days, for the policy in force and the new one."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from edged.backtest import rehearsal
from edged.backtest.journals import read_journals
from edged.backtest.rehearsal import Pair, over_days, rehearse
from edged.backtest.rehearser import serve_one
from edged.backtest.traces import Traces
from edged.bench import aged
from edged.central.rehearsed import (
    Missed,
    Now,
    RehearsalQuestion,
    Rehearsed,
    question_line,
    read_answer,
)
from edged.core.model.policy import Policy, Pw, Tidal
from tests.support.daemons import edged
from tests.support.journals import open_journal
from tests.support.policies import document, envelope

NEVER = Policy(tidal=Tidal(rule="never"))
DAYS = 3
TICKETS = 340  # of ten windows a day: enough to want a "+1" window
BUSY_S = 300.0  # it gives way to all others


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rehearsal") / "hall.db"
    asyncio.run(aged.write(path, DAYS, windows=10, tickets=TICKETS))
    return path


def policy_file(path: Path, version: int = 7, max_worse: int | None = None, rule: str = "never") -> Path:
    terms = {"days": 2, **({} if max_worse is None else {"max_worse": max_worse})}
    made = document(version=version, halls=["demo"], rehearsal=terms, body={"tidal": {"rule": rule}})
    path.write_text(json.dumps(made))
    return path


def test_the_figures_are_those_of_the_backtest_on_the_same_days(journal: Path, tmp_path: Path) -> None:
    never = policy_file(tmp_path / "never.json")
    process = edged("policy", "rehearse", str(never), "--journal", str(journal), "--json", timeout_s=BUSY_S)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    arguments = ("--journal", str(journal), "--days", "2", "--policy", str(never), "--against", "pw")
    done = edged("backtest", *arguments, "--json", "--processes", "1", timeout_s=BUSY_S)
    assert done.returncode == 0, done.stderr
    policies = json.loads(done.stdout)["policies"]
    assert found["days"] == found["of"] == 2
    for side, name in (("before", "pw"), ("after", "never")):
        ours, theirs = found[side], policies[name]
        assert found["visitors"] == theirs["visitors"] > TICKETS
        assert ours["mean_min"] == round(theirs["mean_wait"], 2)
        assert ours["p90_min"] == round(theirs["p90_wait"], 2)
        assert ours["longest_min"] == round(theirs["longest_wait"], 2)
        assert ours["over_limit"] == round(theirs["share_over_target"], 4)
        assert ours["activations"] == round(theirs["openings_per_day"] * theirs["days"])
        assert ours["staff_min"] == round(theirs["staff_min_per_day"] * theirs["days"])
    assert found["before"]["activations"] > found["after"]["activations"] == 0
    assert found["before"]["mean_min"] < found["after"]["mean_min"]


def test_what_the_document_forbids_is_refused_with_figures_in_both_languages(
    journal: Path, tmp_path: Path
) -> None:
    strict = policy_file(tmp_path / "strict.json", max_worse=10)
    process = edged("policy", "rehearse", str(strict), "--journal", str(journal), timeout_s=BUSY_S)
    assert process.returncode == 1, process.stderr
    assert "more than 10 % worse than now: mean wait" in process.stdout
    assert "比现在变差超过 10%：平均等候" in process.stdout
    same = policy_file(tmp_path / "same.json", max_worse=0, rule="pw")
    assert edged("policy", "rehearse", str(same), "--journal", str(journal), timeout_s=BUSY_S).returncode == 0


def test_a_missing_journal_is_named_as_the_reason(tmp_path: Path) -> None:
    assert rehearse(tmp_path / "none.db", Pair(Policy(), NEVER), 5) == Missed(missed="journal")


@pytest.mark.parametrize("into_the_day", [0, 3])
def test_when_its_time_is_over_the_newest_whole_days_count_and_it_says_so(
    journal: Path, into_the_day: int
) -> None:
    traces, questions, ended = read_journals([journal]), [0], list[int]()

    def over() -> bool:
        questions[0] += 1
        return len(ended) == 2 and questions[0] > ended[1] + into_the_day

    pair = Pair(Policy(), NEVER)
    found = over_days(traces, pair, 20, over, progress=lambda done, total: ended.append(questions[0]))
    assert isinstance(found, Rehearsed)
    assert (found.days, found.of) == (2, DAYS)
    assert questions[0] == ended[1] + into_the_day + 1, "it is given up in the middle of a day, too"
    newest = sorted({day.name for day in traces.days})[-2:]
    assert found.visitors == sum(len(day.arrive_ms) for day in traces.days if day.name in newest)


def test_without_one_whole_day_there_is_no_figure(journal: Path) -> None:
    answers = iter([*[False] * 5, *[True] * 9])
    traces = read_journals([journal])
    assert over_days(traces, Pair(Policy(), NEVER), 20, lambda: next(answers)) == Missed(missed="no-answer")


def test_areas_named_by_their_kind_are_those_of_the_recorded_hall(journal: Path) -> None:
    traces = read_journals([journal], days=1)
    names = {hall.area for hall in traces.halls.values()}
    of_kind = Traces({key: replace(hall, kind="desk") for key, hall in traces.halls.items()}, traces.days)
    strict = replace(Pw(), open_wait_s=2700)
    own = Policy(tidal=Tidal(pw_areas=dict.fromkeys(names, strict)))
    by_kind = Policy(tidal=Tidal(pw_areas={"kind:desk": strict, "if-present:moon": Pw()}))
    found = over_days(of_kind, Pair(own, by_kind), 1)
    assert isinstance(found, Rehearsed)
    assert found.before == found.after
    other = over_days(traces, Pair(own, by_kind), 1)
    assert isinstance(other, Rehearsed)
    assert other.before != other.after


async def test_the_present_state_says_what_would_open_now(tmp_path: Path) -> None:
    """The journal ends right before the policy of these days would open a window."""
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        for step, _ in aged.Days(10, TICKETS).day(0):
            if any(note.kind == "tidal.requested" for note in step.notes):
                break
            journal.append(step)
        await journal.drain()
    found = rehearsal.moves_now(path, Pair(NEVER, Policy()))
    assert isinstance(found, Now)
    assert len(found.opens) == 1
    assert not found.closes
    assert rehearsal.moves_now(path, Pair(NEVER, NEVER)) == Now()


# What systemd does before it executes a service (sd_listen_fds(3)): the socket is descriptor 3, the process is named.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


# ---- the process behind the socket ----


def question_about(journal: Path, days: int = 2, seconds: float = 60.0) -> bytes:
    """The line that asks for a rehearsal of a policy that never opens a tidal window."""
    made = envelope(document(body={"tidal": {"rule": "never"}}))
    return question_line(RehearsalQuestion(str(journal), made, b"", days, seconds, BUSY_S))


def exchanged(line: bytes) -> bytes:
    """Send these bytes to ``serve_one`` over a Unix socket and return what it answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind("")  # a name of the kernel's choice (unix(7))
        door.listen(1)
        serving = threading.Thread(target=serve_one, args=(door,))
        serving.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(door.getsockname())
            client.sendall(line)
            client.shutdown(socket.SHUT_WR)
            received = b""
            while part := client.recv(65536):
                received += part
        serving.join()
    return received


def test_one_question_one_answer(journal: Path) -> None:
    found = read_answer(exchanged(question_about(journal)))
    assert isinstance(found, Rehearsed)
    assert (found.days, found.after.activations) == (2, 0)
    assert found.now is not None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"nonsense",
        b'{"journal":"/x","policy":"!","in_force":"","days":1,"seconds":1}\n',
    ],
)
def test_nonsense_gets_no_answer_and_ends_nothing(line: bytes) -> None:
    assert exchanged(line) == b""


def test_a_policy_that_cannot_be_read_is_not_rehearsed(journal: Path) -> None:
    line = question_line(RehearsalQuestion(str(journal), b"{}", b"", 2, 60.0, BUSY_S))
    assert read_answer(exchanged(line)) == Missed(missed="broke-off")


def test_systemd_hands_over_the_socket_and_the_process_ends_with_the_answer(
    journal: Path, tmp_path: Path
) -> None:
    place = tmp_path / "r.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(place))
        door.listen(1)
        launch = [sys.executable, "-c", LAUNCH, str(door.fileno()), "-m", "edged", "rehearse"]
        child = subprocess.Popen(launch, pass_fds=[door.fileno()])
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(BUSY_S)
            client.connect(str(place))
            client.sendall(question_about(journal))
            received = b""
            while not received.endswith(b"\n"):
                part = client.recv(65536)
                assert part, "it ended without an answer"
                received += part
        assert child.wait(30) == 0
    assert isinstance(read_answer(received), Rehearsed)


def test_without_a_socket_it_says_what_to_do() -> None:
    process = edged("rehearse")
    assert process.returncode == 2
    assert "--socket" in process.stderr
