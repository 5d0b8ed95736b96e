"""The house rules that no off-the-shelf tool checks, as tests over the syntax trees of the whole project.

Each test collects every violation as ``file:line what`` and expects none. ``test_law_breaks.py`` proves that each of
them goes red.
"""

from __future__ import annotations

import ast
import asyncio
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp

from edged import __version__

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("edged", "devices")
FUNCTION_LINES_MAX = 70

VAGUE_NAMES = re.compile(r"_?(util|helper|manager|handler|base|common|misc)s?")
PURE_MODULES = {
    "__future__",
    "bisect",
    "unicodedata",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",  # so is a keyed hash
    "heapq",
    "itertools",
    "math",
    "operator",
    "types",
    "typing",
    "zlib",  # a checksum is a function of its argument
}
POINTS = {"point", "panel", "lamp", "display", "pager", "evaluator", "voice"}  # what holds one is called so
JSON_FROM_OUTSIDE = ("central", "centre", "daemon", "links", "pages")
OWN_JSON = {  # written by ourselves, into the journal or a pipe
    "edged/central/operation_desk.py",
    "edged/pages/whatif.py",
}
RAISES_ALONE = re.compile(r"\braises?\s+(an?\s+)?``[\w.]+``((,|,?\s+(or|and))\s+``[\w.]+``)*[.;](?!\w)", re.I)
WARNINGS = {"warning", "error", "exception", "critical"}
NO_EFFECT = {  # event or file -> why its warnings have no field ``effect``
    "alarm-raised": "one line for every kind of alarm: `means` and `remedy` are the words of its kind",
    "edged/store/journal.py": "whole sentences of the standard library's logging: the effect stands after the colon",
}
CLOCK_CALLS = {"now", "utcnow", "today"}
SIZED = {"Queue", "LifoQueue", "PriorityQueue"}  # their first argument is the cap
LIMITLESS = {"SimpleQueue", "deque"}  # the second argument of a deque is
CAP_NAME = re.compile(r"(\w+_)?(MAX|MAXIMUM|KEPT)")
# Brackets keep this list from finding itself.
UNWANTED_TEXT = re.compile(
    r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|/wor[k]/|/far[m]/|NotImplementedErro[r]|sub-?agen[t]"
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".json", ".yaml", ".sql", ".html", ".service", ".rules", ".conf"}

BENCH_PEER = ROOT / "edged" / "bench" / "peers.py"  # what others would write, and nobody cancels it

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(*folders: str) -> list[Path]:
    """All Python files below these folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def at(path: Path, node: ast.AST, what: str) -> str:
    """One violation, as editors like it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {what}"


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call of a file, with the last part of what is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node, _last_name(node.func)


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every imported module of a file, wherever the import stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or "."


def test_functions_are_short() -> None:
    found = []
    for path in sources(*PRODUCT, "tests"):
        for node in functions(path):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(at(path, node, f"{node.name}: {lines} lines"))
    assert not found, "\n".join(found)


def test_the_import_contracts_see_every_module_on_disk() -> None:
    """A folder without ``__init__.py`` would be invisible to them, and everything in it lawful."""
    seen = grimp.build_graph(*PRODUCT, cache_dir=None).modules
    on_disk = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sources(*PRODUCT)
    }
    assert seen == on_disk


def test_no_file_has_a_vague_name_such_as_utils() -> None:
    found = []
    for path in sources(*PRODUCT, "tests"):
        inside = path.relative_to(ROOT)
        if any(VAGUE_NAMES.fullmatch(part) for part in inside.with_suffix("").parts):
            found.append(str(inside))
    assert not found, "\n".join(found)


def test_no_two_classes_have_one_name() -> None:
    """Whoever reads a name in a trace, a log or a search knows which class that is, nested and private ones, too."""
    places: dict[str, list[str]] = {}
    for path in sources(*PRODUCT):
        for node in _classes(path):
            places.setdefault(node.name.lstrip("_"), []).append(at(path, node, node.name))
    assert not (found := [place for same in places.values() if len(same) > 1 for place in same]), found


def test_only_the_clock_reads_time() -> None:
    found = []
    for path in sources(*PRODUCT):
        if path == ROOT / "edged" / "clock.py":
            continue
        found += [at(path, node, "imports time") for node, name in imports(path) if name == "time"]
        found += [
            at(path, node, f"{name}()")
            for node, name in calls(path)
            if name in CLOCK_CALLS or (name == "time" and not node.args)
        ]
    assert not found, "\n".join(found)


def test_the_core_imports_only_pure_modules() -> None:
    found = []
    for path in sources("edged/core"):
        for node, name in imports(path):
            if name.split(".")[0] not in PURE_MODULES and not name.startswith("edged.core"):
                found.append(at(path, node, f"imports {name}"))
    assert not found, "\n".join(found)


def test_events_commands_and_notes_of_the_core_are_frozen_classes() -> None:
    found = []
    for path in sources("edged/core"):
        if path.name == "state.py":  # the one mutable tree
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                found += [
                    at(path, node, f"{node.name} is not frozen")
                    for decorator in node.decorator_list
                    if "dataclass" in ast.unparse(decorator) and "frozen=True" not in ast.unparse(decorator)
                ]
    assert not found, "\n".join(found)


def test_only_the_point_module_splits_a_point_into_device_and_channel() -> None:
    """``edged/core/model/point.py``: nobody else knows how "device/channel" is written."""
    found = []
    for path in sources(*PRODUCT):
        for node, name in calls(path):
            if name in ("partition", "rpartition", "split", "rsplit") and isinstance(
                node.func, ast.Attribute
            ):
                of, arguments = _last_name(node.func.value), [ast.unparse(argument) for argument in node.args]
                if of in POINTS and arguments[:1] == ["'/'"] and path.name != "point.py":
                    found.append(at(path, node, f"{of}.{name}"))
    assert not found, "\n".join(found)


def test_json_from_outside_is_read_by_the_strict_parser_only() -> None:
    """``edged/strict_json.py``: Python's own takes a key twice, NaN, and ends a process by nesting."""
    found = []
    for path in sources("devices", *(f"edged/{part}" for part in JSON_FROM_OUTSIDE)):
        if path.name == "fake.py" or str(path.relative_to(ROOT)) in OWN_JSON:
            continue
        for node, name in calls(path):
            of = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if name in ("load", "loads") and _last_name(of) == "json":
                found.append(at(path, node, f"json.{name}"))
    assert not found, "\n".join(found)


def test_every_queue_has_a_named_limit() -> None:
    """The cap has a name, and stands where the queue is made or in a comparison with its length in the same class."""
    found = []
    for path in sources(*PRODUCT):
        compared = {id(node): names for scope in _classes(path) for node, names in _compared(scope)}
        for node, name in calls(path):
            if name not in SIZED | LIMITLESS or _is_ours(path, name) or _is_class(path, name):
                continue
            if not _is_capped(node, name) and not compared.get(id(node)):
                found.append(at(path, node, f"{name}() without a named limit"))
        found += [at(path, node, "as a factory has no limit") for node in _factories(path)]
    assert not found, "\n".join(found)


def test_asyncio_wait_for_that_swallows_cancellations_is_not_used() -> None:
    """Before Python 3.12 ``asyncio.wait_for`` swallows one that meets its result, and aiomqtt calls it."""
    found = []
    for path in sources(*PRODUCT, "tests"):
        for node, name in calls(path):
            whole = ast.unparse(node)
            if whole.startswith("asyncio.wait_for("):
                found.append(at(path, node, "wait_for: use asyncio.timeout"))
            if whole.startswith("aiomqtt.Client(") and "timeout=math.inf" not in whole and path != BENCH_PEER:
                found.append(at(path, node, f"{name} without timeout=math.inf"))
    assert not found, "\n".join(found)


def test_public_names_have_a_docstring() -> None:
    promised = _contract_methods()
    found = []
    for path in sources(*PRODUCT):
        if ast.get_docstring(tree(path)) is None and path.read_text(encoding="utf-8").strip():
            found.append(f"{path.relative_to(ROOT)}:1 module")
        found += [at(path, node, name) for node, name in _undocumented(tree(path), promised)]
    assert not found, "\n".join(found)


def test_every_test_asserts_something() -> None:
    found = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        tests = [node for node in functions(path) if node.name.startswith("test_")]
        found += [at(path, node, node.name) for node in tests if not _asserts(node)]
    assert not found, "\n".join(found)


def test_a_docstring_that_names_an_error_names_its_condition() -> None:
    """A docstring that says "Raises X." and no more does not say whether its reader has to expect X."""
    found = []
    for path in sources(*PRODUCT):
        text = path.read_text(encoding="utf-8")
        found += [
            f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1} {match[0]}"
            for match in RAISES_ALONE.finditer(text)
        ]
    assert not found, "\n".join(found)


def test_every_logged_warning_or_error_names_its_effect() -> None:
    """What a warning or an error means for the hall stands in its line: whoever reads it may have no other source."""
    found, used = [], set()
    for path in sources(*PRODUCT):
        file, whole = str(path.relative_to(ROOT)), list(ast.walk(tree(path)))
        made = {node.func: node for node in whole if isinstance(node, ast.Call)}
        for node in whole:
            if not isinstance(node, ast.Attribute) or not _is_warning(node):
                continue
            if node not in made:
                found.append(at(path, node, "is passed on: nobody sees what it logs"))
                continue
            event = ast.unparse(made[node].args[0]).strip("'")
            if event in NO_EFFECT or file in NO_EFFECT:
                used |= {event, file}
            elif "effect" not in {keyword.arg for keyword in made[node].keywords}:
                found.append(at(path, node, f"{event}: no effect="))
    assert not found, "\n".join(found)
    assert not (NO_EFFECT.keys() - used), "listed without need"


def test_readme_and_ci_run_the_same_commands() -> None:
    readme, script = ROOT / "README.md", (ROOT / ".ci" / "run").read_text()
    fences = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", readme.read_text(), re.S | re.M)
    commands = [line.strip().removeprefix("$ ") for fence in fences for line in fence.splitlines()]
    tests = [command for command in commands if ".venv/bin/pytest" in command]
    demos = [command for command in commands if re.search(r"\.venv/bin/edged demo$", command)]
    assert len(tests) == 1
    assert len(demos) >= 1
    assert f"\n{tests[0]}\n" in script
    assert "\n.venv/bin/edged demo --" in script  # the same program, without a browser


def test_the_time_budgets_of_the_ci_parts_fit_the_total_budget() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    budgets = [int(minutes) for minutes in re.findall(r'^part ".*" (\d+)$', script, re.M)]
    (whole,) = re.findall(r"^WHOLE_MINUTES=(\d+)$", script, re.M)
    assert len(budgets) == len(re.findall(r"^part ", script, re.M))
    assert sum(budgets) <= int(whole) <= 45


def test_every_path_named_in_the_contributing_guide_exists() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"\b((?:edged|devices|configs|tests)/[\w./*-]*\w)", guide)
    assert len(named) > 20
    assert [path for path in named if not any(ROOT.glob(path))] == []


def test_the_program_reports_the_version_of_pyproject() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_no_text_contains_unfinished_markers_or_unwanted_words() -> None:
    found = []
    folders = (*PRODUCT, "tests", "configs", "systemd", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted([*files, *ROOT.glob("*.md"), *ROOT.glob("*.toml")]):
        if path.suffix in TEXT_SUFFIXES or path.parent.name == ".ci":
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if UNWANTED_TEXT.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number} {line.strip()[:80]}")
    assert not found, "\n".join(found)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):  # asyncio.Queue[int]()
        return _last_name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))


def _is_class(path: Path, name: str) -> bool:
    """Does this file define ``name`` itself? Then it is not the library's class of that name."""
    return any(node.name == name for node in _classes(path))


def _is_capped(node: ast.Call, name: str) -> bool:
    places = node.args[:1] if name in SIZED else node.args[1:2] if name == "deque" else []
    places += [keyword.value for keyword in node.keywords if keyword.arg in ("maxlen", "maxsize")]
    return any(CAP_NAME.fullmatch(_last_name(place)) for place in places)


def _factories(path: Path) -> Iterator[ast.expr]:
    """Queues that stand as they are, to be made by somebody else."""
    words = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.keyword))
    return (word for word in words if _last_name(word) in SIZED | LIMITLESS)


def _compared(scope: ast.ClassDef) -> Iterator[tuple[ast.Call, list[str]]]:
    """Each queue that is made as an attribute, with the caps that its length or its bytes are compared with."""
    for node in ast.walk(scope):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Attribute):
            measures = (
                f"len(self.{target.attr})",
                f"self.{target.attr}.qsize()",
                f"self.{target.attr}_bytes",
            )
            yield node.value, list(_caps(scope, measures))


def _caps(scope: ast.ClassDef, measures: tuple[str, ...]) -> Iterator[str]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Compare) and any(measure in ast.unparse(node) for measure in measures):
            parts = (part for part in ast.walk(node) if isinstance(part, ast.expr))
            yield from (name for name in map(_last_name, parts) if CAP_NAME.fullmatch(name))


def _is_warning(node: ast.Attribute) -> bool:
    """Whether ``node`` is ``log.warning`` or the like."""
    return node.attr in WARNINGS and _last_name(node.value).strip("_").lower() == "log"


def _is_ours(path: Path, name: str) -> bool:
    """Whether ``name`` is imported from the project itself, where its own cap is checked."""
    return any(
        isinstance(node, ast.ImportFrom)
        and module.startswith(PRODUCT)
        and name in {a.name for a in node.names}
        for node, module in imports(path)
    )


def _contract_methods() -> set[str]:
    """Methods promised by the project's own protocols and asyncio's: documented there, once."""
    promised = {"from_bytes", "to_bytes"}  # of a frame: its class says what it is
    promised |= {name for name in dir(asyncio.Protocol) if not name.startswith("_")}
    for path in sources("edged"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and _is_protocol(node):
                promised |= {method.name for method in node.body if isinstance(method, Function)}
    return promised


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(_last_name(parent) == "Protocol" for parent in node.bases)


def _undocumented(scope: ast.Module | ast.ClassDef, promised: set[str]) -> Iterator[tuple[ast.stmt, str]]:
    for node in scope.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if isinstance(node, Function) and (_is_exempt(node) or node.name in promised):
            continue
        if ast.get_docstring(node) is None:
            yield node, node.name
        if isinstance(node, ast.ClassDef) and not _is_protocol(node):
            yield from _undocumented(node, promised)


def _is_exempt(node: Function) -> bool:
    words = {_last_name(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
    return bool(words & {"overload", "override", "setter"})


def _asserts(function: Function) -> bool:
    """Can this test fail on purpose: by an assert, an expected error, or a wait with a deadline?"""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = _last_name(node.func)
            if name in {"raises", "fail", "until", "timeout"} or name.lstrip("_").startswith("assert"):
                return True
    return False
