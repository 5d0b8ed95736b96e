"""Every fault case is claimed by a test that exists or by a line of the commissioning checklist; see cases.toml."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

from edged.cli.commissioning import LINES

ROOT = Path(__file__).parents[2]
CASES = tomllib.loads(Path(__file__).with_name("cases.toml").read_text("utf-8"))
LISTED = {line.case for line in LINES if line.case.startswith("F")}  # others are of no fault case


@cache
def names_in(file: Path) -> frozenset[str]:
    """Names of the test functions of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        one.name for one in ast.parse(file.read_text("utf-8")).body if isinstance(one, functions)
    )


def exists(claim: str) -> bool:
    """Whether a claimed test exists: a node id, or a transcript, which is a test by being in its folder."""
    name, _, test = claim.partition("::")
    file = ROOT / name
    if not file.is_file():
        return False
    return test.startswith("test_") and test in names_in(file) if test else file.parent.name == "transcripts"


def test_all_cases_are_there() -> None:
    assert list(CASES) == sorted(CASES)
    assert set(CASES) >= {f"F{number:02d}" for number in range(1, 75)}
    assert set(CASES) >= LISTED, "the checklist has a line for no case"


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_claimed_by_what_exists(case: str) -> None:
    claims = CASES[case]["tests"]
    assert claims or case in LISTED, "nothing shows it"
    assert [claim for claim in claims if not exists(claim)] == []
    assert CASES[case].keys() <= {"fault", "tests", "open"}


def test_what_does_not_exist_is_not_there() -> None:
    assert exists("tests/faults/test_cases.py::test_all_cases_are_there")
    assert not exists("tests/faults/test_cases.py::test_that_was_deleted")
    assert not exists("tests/faults/test_deleted.py::test_x")
    assert not exists("tests/faults/cases.toml")
