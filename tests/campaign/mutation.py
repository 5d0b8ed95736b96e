"""Mutation testing: change one place of the code, and see whether a test near it fails.

Cosmic Ray (extra ``[mutation]``) says where code can be changed and how, and changes it, in a copy of the tree. The
sample is drawn by seed. Left out are annotations, which nothing evaluates, and the figures of named constants: another
figure is another choice, not a bug. A mutant that takes longer than ``MUTANT_LIMIT_S`` counts as killed, as a loop
without end would.
"""

from __future__ import annotations

import ast
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MUTATED = ("edged/core", "edged/links", "edged/central", "devices")
COPIED = ("edged", "devices", "tests", "configs", "systemd", "pyproject.toml", "README.md", "CONTRIBUTING.md")
MUTANT_LIMIT_S = 300
LEAST = 20  # mutants, however short the time is
OPERATORS = re.compile(
    r"core/(Replace(BinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|BitOr_BitAnd|BitAnd_BitOr"
    r"|RShift_LShift|LShift_RShift)|ComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE"
    r"|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)|UnaryOperator_(USub_UAdd|Delete_Not)|TrueWithFalse|FalseWithTrue|AndWithOr"
    r"|OrWithAnd|BreakWithContinue|ContinueWithBreak)|AddNot|NumberReplacer|ZeroIterationForLoop)"
)
PYTEST = "-x -q -n 0 -rfE -p no:cacheprovider --import-mode=importlib --hypothesis-seed=0 -o addopts="
CENTRAL_TESTS = ("tests/central", "tests/config", "tests/cli", "tests/core")  # those without a daemon
CORE_FIRST = ("test_transcripts", "test_machines", "test_ordering", "test_timers", "test_hours", "test_trial")


class Survivor(NamedTuple):
    """A change that no test near it saw."""

    path: str
    line: int
    before: str
    after: str


class Score(NamedTuple):
    """What became of the mutants that were tried, of a sample of all there are."""

    possible: int
    tried: int
    killed: int
    survivors: tuple[Survivor, ...]
    not_used: tuple[str, ...]  # tests that fail without a mutant


def run(count: int, seed: int, until_s: float) -> Score:
    """Try ``count`` mutants drawn by ``seed``, or as many as fit, one after the other."""
    mutate_and_test = import_module("cosmic_ray.mutating").mutate_and_test
    with tempfile.TemporaryDirectory(prefix="edged-mutants-") as folder, chdir(folder):
        _copy(Path(folder))
        os.environ["PYTHONPATH"] = folder  # before the installed tree
        possible = _possible()
        chosen = random.Random(seed).sample(possible, min(count, len(possible)))
        sound: set[str] = set()
        broken: list[str] = []
        survivors: list[Survivor] = []
        for number, item in enumerate(chosen):
            if number >= LEAST and time.monotonic() >= until_s:
                chosen = chosen[:number]
                break
            near, done = _near(str(item.module_path)), None
            while done is None:
                apart = " ".join(f"--deselect={shlex.quote(name)}" for name in broken)
                command = f"{sys.executable} -m pytest {PYTEST} {apart} {near}"
                done = mutate_and_test([item], command, MUTANT_LIMIT_S)
                killer = _killer(done.output)
                if killer is not None and killer not in sound:
                    if _passes(killer):
                        sound.add(killer)
                    else:
                        broken.append(killer)
                        done = None
            _tell(number, item, done)
            if done.test_outcome == "survived":
                survivors.append(_survivor(item, done.diff))
    killed = len(chosen) - len(survivors)
    return Score(len(possible), len(chosen), killed, tuple(survivors), tuple(sorted(broken)))


def _copy(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def _possible() -> list[Any]:
    """Every mutant worth trying, in an order that only the code decides."""
    work_items = import_module("cosmic_ray.commands.init")._all_work_items
    found = []
    for path in sorted(path for folder in MUTATED for path in Path(folder).rglob("*.py")):
        if path.name == "fake.py":  # the other end of a wire, a part of the tests
            continue
        spared = list(_spared(path))
        for item in work_items([path], {}):
            (mutant,) = item.mutations
            at = mutant.start_pos
            if OPERATORS.fullmatch(mutant.operator_name) and not any(a <= at < z for a, z in spared):
                found.append(mutant)
    return sorted(
        found, key=lambda one: (str(one.module_path), one.start_pos, one.operator_name, one.occurrence)
    )


def _spared(path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where nothing is changed: annotations, and constants of the module or of a class."""
    tree = ast.parse(path.read_text("utf-8"))
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    constants = [node for body in bodies for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]
    annotations = [
        part
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(part, ast.expr)
    ]
    for node in (*constants, *annotations):
        end = (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        yield (node.lineno, node.col_offset), end


def _near(path: str) -> str:
    """The tests to try on a change of ``path``, those that see most first."""
    if path.startswith("edged/core"):
        rest = sorted(
            Path("tests/core").glob("test_*.py"), key=lambda one: (one.stem not in CORE_FIRST, one.stem)
        )
        return " ".join(map(str, [Path("tests/core/test_transcripts.py"), *rest]))
    if path.startswith("edged/central"):
        naming = re.compile(rf"\bedged\.central(\.| import .*)\b{Path(path).stem}\b")
        files = sorted(path for folder in CENTRAL_TESTS for path in Path(folder).glob("test_*.py"))
        named = [file for file in files if naming.search(file.read_text("utf-8"))]
        return " ".join(map(str, dict.fromkeys([*named, *Path("tests/central").glob("test_*.py")])))
    if path.startswith("devices/"):
        family = path.split("/")[1].split("_mqtt")[0]
        return " ".join(map(str, sorted(Path("tests/devices").glob(f"test_{family}*.py"))))
    room = path.split("/")[2].removesuffix(".py")
    named = sorted(Path("tests/links").glob(f"test_{room}*.py"))
    return " ".join(map(str, named)) or "tests/links/test_memory_link.py tests/links/test_serial_link.py"


def _killer(output: str | None) -> str | None:
    found = re.search(r"^(?:FAILED|ERROR) (\S+::\S.*?)(?: - .*)?$", output or "", re.M)
    return None if found is None else found[1]


def _passes(test: str) -> bool:
    """Whether it does without a mutant: one that fails then, or now and then, kills nobody."""
    words = [sys.executable, "-m", "pytest", *shlex.split(PYTEST), test]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _survivor(item: Any, diff: str) -> Survivor:
    before = [line[1:].strip() for line in diff.splitlines() if re.match(r"-(?!--)", line)]
    after = [line[1:].strip() for line in diff.splitlines() if re.match(r"\+(?!\+\+)", line)]
    return Survivor(str(item.module_path), item.start_pos[0], " ".join(before), " ".join(after))


def _tell(number: int, item: Any, done: Any) -> None:
    what = _survivor(item, done.diff or "")
    by = _killer(done.output) or (done.output or "").strip()[-60:]
    outcome = getattr(done.test_outcome, "value", done.worker_outcome)
    told = f"  {number} {outcome} {what.path}:{what.line} {what.before!r} -> {what.after!r} {by!r}"
    print(told, flush=True)  # noqa: T201
