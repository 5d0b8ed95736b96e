"""A pytest plugin that applies changes to the loaded program, one at a time, and runs the tests that execute the
changed line.

Usage: ``pytest -p tests.campaign.planting``. ``EDGED_PLANTING`` is the file of changes, one JSON object (`Change`) per
line. Everything is imported and collected once. Each change is made in a forked process: there the functions around the
changed place get the new code, and the tests run until one fails. A test counts as a killer only if it passes without
the change and fails with it a second time, so that a test that fails now and then does not count. The result of each
change is appended at once as a line of JSON to the file ``EDGED_PLANTED``.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple, NoReturn

import hypothesis
import pytest

SPARE_S = 15.0  # a test may take so long on top of ...
TIMES_SLOWER = 4.0  # ... so many times what it took when it was traced: the machine may be busier now
GOODBYE_S = 20.0  # from the interrupt at that limit, for fixtures to stop what they started
LIMIT = "the time limit"

Tests = Sequence[tuple[pytest.Item, float]]  # each with its limit in seconds

_failed: list[str] = []


class Change(NamedTuple):
    """A change to one place of one module. ``after`` is the module's whole text with the change.

    ``function`` is the qualified name of the outermost function around the place, ``first_line`` its first line,
    decorators included.
    """

    key: str
    path: str
    function: str
    first_line: int
    after: str
    tests: tuple[str, ...]  # the fastest first
    seconds: tuple[float, ...]  # what each took when it was traced


class Planted(NamedTuple):
    """The result of a change. ``outcome``: ``killed`` by a test or at the time limit, ``survived``, or ``not planted``.
    ``by``: the test that failed, ``LIMIT``, "on disk" if the change was tried there, or "".
    """

    key: str
    outcome: str
    by: str
    seconds: float


def pytest_configure() -> None:
    """Make hypothesis stop at the first example that fails, without shrinking or storing it."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("planting", phases=phases, database=None, deadline=None)
    hypothesis.settings.load_profile("planting")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember the name of a test that failed."""
    if report.failed:
        _failed.append(report.nodeid)


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Try every change of the file ``EDGED_PLANTING``, in place of pytest's own loop over the tests."""
    items = {item.nodeid: item for item in session.items}
    sound: dict[str, bool] = {}
    gc.freeze()  # forks copy fewer pages
    with (
        open(os.environ["EDGED_PLANTING"], encoding="utf-8") as asked,
        open(os.environ["EDGED_PLANTED"], "a", encoding="utf-8") as told,
    ):
        for line in asked:
            began_s = time.monotonic()
            outcome, by = _plant(session, items, Change(*json.loads(line)), sound)
            done = Planted(json.loads(line)[0], outcome, by, round(time.monotonic() - began_s, 2))
            told.write(json.dumps(done) + "\n")
            told.flush()
    return True


def _plant(
    session: pytest.Session, items: dict[str, pytest.Item], change: Change, sound: dict[str, bool]
) -> tuple[str, str]:
    tests = [
        (items[name], SPARE_S + TIMES_SLOWER * seconds)
        for name, seconds in zip(change.tests, change.seconds, strict=True)
        if name in items and sound.get(name, True)
    ]
    code, functions = _code_of(change), _functions(change)
    if code is None or not functions:
        return "not planted", ""
    while tests:
        failed = _in_fork(session, tests, functions, code)
        if not failed:
            return "survived", ""
        if failed == LIMIT:
            return "killed", LIMIT
        at = next(number for number, (item, _) in enumerate(tests) if item.nodeid == failed)
        killer, tests = tests[at : at + 1], tests[at + 1 :]
        if failed not in sound:
            sound[failed] = not _in_fork(session, killer, [], code)
        if sound[failed] and _in_fork(session, killer, functions, code):
            return "killed", failed
    return "survived", ""


def _code_of(change: Change) -> CodeType | None:
    try:
        module = compile(change.after, os.path.abspath(change.path), "exec", dont_inherit=True)
    except SyntaxError:
        return None
    for code in _codes(module):
        if (code.co_qualname, code.co_firstlineno) == (change.function, change.first_line):
            return code
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(change: Change) -> list[FunctionType]:
    """Every function object in memory that was made from the changed function's code. A decorated function is found,
    too, because its decorator holds it.
    """
    path = os.path.abspath(change.path)
    gc.unfreeze()
    found = [
        one
        for one in gc.get_objects()
        if type(one) is FunctionType
        and one.__code__.co_filename == path
        and (one.__code__.co_qualname, one.__code__.co_firstlineno) == (change.function, change.first_line)
    ]
    gc.freeze()
    return found


def _in_fork(session: pytest.Session, tests: Tests, functions: Sequence[FunctionType], code: CodeType) -> str:
    """Run the tests one after the other in a forked process in which ``functions`` have ``code``.

    Returns the name of the test that failed, ``""`` if none did, `LIMIT` if one exceeded its time limit or ended the
    process.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _run_and_tell(session, tests, functions, code, sender)
    os.close(sender)
    try:
        ready, _, _ = select.select([receiver], [], [], GOODBYE_S + sum(limit_s for _, limit_s in tests))
        said = os.read(receiver, 4096) if ready else b""
        return said.decode().strip() if said else LIMIT
    finally:
        os.close(receiver)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _run_and_tell(
    session: pytest.Session, tests: Tests, functions: Sequence[FunctionType], code: CodeType, sender: int
) -> NoReturn:
    said = ""
    try:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        _failed.clear()
        for function in functions:
            function.__code__ = code
        for number, (test, limit_s) in enumerate(tests):
            signal.alarm(int(limit_s))
            following = tests[number + 1][0] if number + 1 < len(tests) else None
            test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            if _failed:
                said = _failed[0]
                break
    except BaseException:  # noqa: BLE001 an interrupt at the limit, or what ended the run
        said = LIMIT
    finally:
        signal.alarm(int(GOODBYE_S))
        with suppress(BaseException):
            session._setupstate.teardown_exact(None)
        os.write(sender, said.encode() or b"\n")
        os._exit(0)


def written(path: Path) -> list[Planted]:
    """The results in the file so far. A line that is incomplete, because the process was stopped, is skipped."""
    results = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError, TypeError):
            results.append(Planted(*json.loads(line)))
    return results
