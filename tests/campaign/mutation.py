"""Mutation testing: change one place of the code, and see whether a test that executes it fails.

Cosmic Ray (extra ``[mutation]``) says where code can be changed and how; the sample is drawn by seed. Coverage.py says
which test executes which line; this is traced once (`tests.campaign.tracing`). A change is then planted into the loaded
functions of a forked process, and only the tests that execute its line run there, the fastest first, until one fails
(`tests.campaign.planting`). So a change costs a second of processor time instead of a minute. Code that runs only while
modules are imported is changed on disk instead, in a copy of the tree, for a pytest of its own.

Two things are never changed: annotations, because nothing evaluates them, and the values of named constants, because
another value is another choice and not a bug. A test that exceeds its time limit counts as a kill, because a change may
cause an endless loop.

The result of each change is kept in ``.mutation/``, so that a run that was stopped can continue. A kill is valid until
the changed file differs; a survivor is tried again when any test differs.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from tests.campaign.planting import Change, Planted, written

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".mutation"
MUTATED = ("edged/core", "edged/links", "edged/central", "devices")
TESTS = ("tests/core", "tests/links", "tests/central", "tests/devices", "tests/config")
COPIED = ("edged", "devices", "tests", "configs", "systemd", "pyproject.toml", "README.md", "CONTRIBUTING.md")
LEAST = 20  # mutants, however short the time is
LONGEST_TEST_S = 20.0  # a slower one is no test "near" a line
ON_DISK_S = 60.0  # for importing everything once more, besides what the tests take
OPERATORS = re.compile(
    r"core/(Replace(BinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|BitOr_BitAnd|BitAnd_BitOr"
    r"|RShift_LShift|LShift_RShift)|ComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE"
    r"|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)|UnaryOperator_(USub_UAdd|Delete_Not)|TrueWithFalse|FalseWithTrue|AndWithOr"
    r"|OrWithAnd|BreakWithContinue|ContinueWithBreak)|AddNot|NumberReplacer|ZeroIterationForLoop)"
)
PYTEST = (
    *("-q", "-n", "0", "-p", "no:cacheprovider", "--import-mode=importlib", "--hypothesis-seed=0"),
    *("-o", "addopts=", "-m", "not full and not long"),
)


class Mutant(NamedTuple):
    """One change: an operator of Cosmic Ray (such as "replace + by -") at one place of one module. ``occurrence``:
    number of the place among those in the module where the operator applies.
    """

    path: str
    line: int
    column: int
    operator: str
    occurrence: int


class Traced(NamedTuple):
    """Which test executes which line, and how many seconds each test takes. ``lines``: by path and line number, names
    of tests; the name ``""`` is the import of the module.
    """

    seconds: dict[str, float]
    failed: list[str]
    lines: dict[str, dict[str, list[str]]]


class Survivor(NamedTuple):
    """A change with which all tests that execute its line still pass."""

    path: str
    line: int
    before: str
    after: str


class Score(NamedTuple):
    """The result of a run: how many mutants are ``possible`` in all, how many of those drawn have been tried (now or in
    an earlier run) and killed, and those that survived. ``not_used``: tests that fail even without a change.
    """

    possible: int
    tried: int
    killed: int
    survivors: tuple[Survivor, ...]
    not_used: tuple[str, ...]  # tests that fail without a mutant


def run(count: int, seed: int, until_s: float) -> Score:
    """Try ``count`` mutants drawn by ``seed``, one after the other: until ``until_s`` (monotonic clock), but at least
    ``LEAST`` of them. Those tried in an earlier run count as tried.
    """
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edged-mutants-") as folder, chdir(folder):
        _copy(Path(folder))
        traced = _traced(_digest([*MUTATED, "tests"]))
        possible = _possible(_digest(MUTATED))
        chosen = random.Random(seed).sample(possible, min(count, len(possible)))
        told = KEPT / f"planted-{_digest(['edged', 'devices', 'tests'])}.jsonl"
        done = {
            one.key: one
            for path in KEPT.glob("planted-*")
            for one in written(path)
            if one.outcome == "killed"
        }
        done |= {one.key: one for one in written(told) if one.outcome != "not planted"}
        keys = [_key(mutant) for mutant in chosen]
        left = [mutant for mutant, key in zip(chosen, keys, strict=True) if key not in done]
        _plant(left, traced, told, until_s)
        done |= {one.key: one for one in written(told)}
        for mutant, key in zip(chosen, keys, strict=True):
            if key in done and _to_be_imported(mutant, done[key], traced):
                done[key] = _on_disk(mutant, traced, told)
        tried = [(mutant, done[key]) for mutant, key in zip(chosen, keys, strict=True) if key in done]
        survivors = tuple(_survivor(mutant) for mutant, what in tried if what.outcome == "survived")
    return Score(len(possible), len(tried), len(tried) - len(survivors), survivors, tuple(traced.failed))


def _copy(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def _digest(paths: Iterable[str]) -> str:
    """A hash of all files below ``paths``: it differs as soon as one of them does. Compiled files and Markdown do not
    count.
    """
    told = hashlib.sha256()
    for path in sorted(one for folder in paths for one in Path(folder).rglob("*") if one.is_file()):
        if path.suffix not in (".pyc", ".md"):
            told.update(f"{path}\0".encode() + path.read_bytes())
    return told.hexdigest()[:16]


def _key(mutant: Mutant) -> str:
    text = hashlib.sha256(Path(mutant.path).read_bytes()).hexdigest()[:16]
    return f"{mutant.path}@{text}:{mutant.line}:{mutant.column}:{mutant.operator}:{mutant.occurrence}"


def _traced(digest: str) -> Traced:
    """Which test executes which line: from the kept file for ``digest``, or by running all tests once."""
    kept = KEPT / f"traced-{digest}.json"
    if not kept.exists():
        environ = {"EDGED_TRACE": ":".join(MUTATED), "EDGED_TRACED": str(kept)}
        _pytest("tests.campaign.tracing", **environ).wait()
    return Traced(**json.loads(kept.read_text("utf-8")))


def _pytest(plugin: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start pytest with all nearby tests and a plugin. Modules are imported from the copy in the working directory, not
    from the installed tree.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *PYTEST, "-s", "-p", plugin, *TESTS],
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _possible(digest: str) -> list[Mutant]:
    """Every mutant worth trying, in an order that depends on the code alone; from the kept file for ``digest`` if there
    is one.
    """
    kept = KEPT / f"possible-{digest}.json"
    if kept.exists():
        return [Mutant(*row) for row in json.loads(kept.read_text("utf-8"))]
    plugins, syntax = import_module("cosmic_ray.plugins"), import_module("cosmic_ray.ast")
    operators = {
        name: plugins.get_operator(name)() for name in plugins.operator_names() if OPERATORS.fullmatch(name)
    }
    found = []
    for path in sorted(path for folder in MUTATED for path in Path(folder).rglob("*.py")):
        if path.name == "fake.py":  # the other end of a wire, a part of the tests
            continue
        spared, nodes = list(_spared(path)), list(syntax.ast_nodes(syntax.get_ast_from_path(path)))
        for name, operator in operators.items():
            places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for occurrence, at in enumerate(places):
                if not any(a <= at < z for a, z in spared):
                    found.append(Mutant(str(path), at[0], at[1], name, occurrence))
    found.sort(key=lambda one: (one.path, one.line, one.column, one.operator, one.occurrence))
    kept.write_text(json.dumps(found), "utf-8")
    return found


def _changed(mutant: Mutant) -> str:
    """The whole text of the mutant's module with the change in it."""
    operator = import_module("cosmic_ray.plugins").get_operator(mutant.operator)()
    text = Path(mutant.path).read_text("utf-8")
    after = import_module("cosmic_ray.mutating").mutate_code(text, operator, mutant.occurrence)
    return str(after)


def _spared(path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the ranges (start, end) of a module in which nothing is changed, each as (line, column): annotations, and
    constants of the module or of a class.
    """
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


def _plant(mutants: Sequence[Mutant], traced: Traced, told: Path, until_s: float) -> None:
    """Try the mutants in one pytest process and its forks: until ``until_s`` (monotonic clock), but at least ``LEAST``
    of them. The process appends one line of JSON for each to the results file ``told``.
    """
    if not mutants:
        return
    asked = Path("asked.jsonl").resolve()
    asked.write_text("".join(json.dumps(_change(mutant, traced)) + "\n" for mutant in mutants), "utf-8")
    before = len(written(told))
    running = _pytest("tests.campaign.planting", EDGED_PLANTING=str(asked), EDGED_PLANTED=str(told))
    try:
        while running.poll() is None:
            time.sleep(1)
            if time.monotonic() >= until_s and len(written(told)) - before >= LEAST:
                break
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
            running.wait()
    for one in written(told)[before:]:
        print(f"  {one.outcome} {one.key} {one.by} {one.seconds} s", flush=True)  # noqa: T201


def _change(mutant: Mutant, traced: Traced) -> Change:
    found = _function_around(mutant)
    name, first_line = found or ("", 0)
    tests = _tests_of(mutant, traced)
    seconds = tuple(traced.seconds[test] for test in tests)
    return Change(_key(mutant), mutant.path, name, first_line, _changed(mutant), tests, seconds)


def _function_around(mutant: Mutant) -> tuple[str, int] | None:
    """Qualified name and first line of the outermost function whose body the mutant is in; ``None`` for none."""
    for name, node in _outermost(ast.parse(Path(mutant.path).read_text("utf-8")), ""):
        if _starts(node.body[0]) <= (mutant.line, mutant.column) < _ends(node):
            return name, min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return None


def _outermost(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child
        else:
            yield from _outermost(
                child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix
            )


def _tests_of(mutant: Mutant, traced: Traced) -> tuple[str, ...]:
    """The names of the tests that execute the mutant's lines, the fastest first."""
    names = {
        name for line in _lines_of(mutant) for name in traced.lines.get(mutant.path, {}).get(str(line), ())
    }
    return _fastest(names, traced)


def _fastest(names: Iterable[str], traced: Traced) -> tuple[str, ...]:
    near = {name for name in names if traced.seconds.get(name, LONGEST_TEST_S) < LONGEST_TEST_S}
    return tuple(sorted(near, key=lambda name: (traced.seconds[name], name)))


def _lines_of(mutant: Mutant) -> range:
    """The lines of the innermost statement that contains the mutant. Of a statement with a block (``if``, ``for`` …)
    only the lines before the block.
    """
    at = (mutant.line, mutant.column)
    around = [
        node
        for node in ast.walk(ast.parse(Path(mutant.path).read_text("utf-8")))
        if isinstance(node, ast.stmt) and _starts(node) <= at < _ends(node)
    ]
    if not around:
        return range(mutant.line, mutant.line + 1)
    innermost = max(around, key=_starts)
    block = getattr(innermost, "body", None)
    last = (innermost.end_lineno or mutant.line) if block is None else block[0].lineno - 1
    return range(innermost.lineno, max(last, mutant.line) + 1)


def _starts(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _ends(node: ast.stmt) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _to_be_imported(mutant: Mutant, done: Planted, traced: Traced) -> bool:
    """Whether the mutant must be tried on disk: it was not killed, and its code runs while the module is imported,
    which in a fork has happened before the change.
    """
    if done.outcome == "killed" or done.by == "on disk":
        return False
    return done.outcome == "not planted" or any(
        "" in traced.lines.get(mutant.path, {}).get(str(line), ()) for line in _lines_of(mutant)
    )


def _on_disk(mutant: Mutant, traced: Traced, told: Path) -> Planted:
    """Change the module in the copy and run its tests in a new process, for code that runs while modules are imported.
    The module is restored afterwards, and the result is appended to the results file ``told``.
    """
    began_s, path = time.monotonic(), Path(mutant.path)
    near = _fastest({name for names in traced.lines.get(mutant.path, {}).values() for name in names}, traced)
    until = accumulate(traced.seconds[test] for test in near)
    found = [test for test, seconds in zip(near, until, strict=True) if seconds < ON_DISK_S]
    before, outcome = path.read_text("utf-8"), "survived"
    path.write_text(_changed(mutant), "utf-8")
    environ = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        words = [sys.executable, "-m", "pytest", "-x", *PYTEST, *found]
        if found:  # without a name pytest would run everything
            ran = subprocess.run(words, env=environ, capture_output=True, check=False, timeout=4 * ON_DISK_S)
            outcome = "killed" if ran.returncode else "survived"
    except subprocess.TimeoutExpired:
        outcome = "killed"
    finally:
        path.write_text(before, "utf-8")
    done = Planted(_key(mutant), outcome, "on disk", round(time.monotonic() - began_s, 2))
    with told.open("a", encoding="utf-8") as kept:
        kept.write(json.dumps(done) + "\n")
    return done


def _survivor(mutant: Mutant) -> Survivor:
    before = Path(mutant.path).read_text("utf-8").splitlines()
    after = _changed(mutant).splitlines()
    number, line = next(
        ((number, line) for number, line in enumerate(after) if line != before[number]), (mutant.line - 1, "")
    )
    return Survivor(mutant.path, number + 1, before[number].strip(), line.strip())
