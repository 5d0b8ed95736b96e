"""Plants one break per law into a copy of the tree and expects the responsible tool to name it.

``BREAKS`` is the list of laws with the tool that holds each; a law without a line here is a wish.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOL_TIMEOUT_S = 200
LONG_FUNCTION = 'def long() -> int:\n    """Long."""\n    n = 0\n' + "    n += 1\n" * 78 + "    return n\n"

UNBOUNDED_CLASS = '''"""P."""
WORDS_MAX = 9


class Planted:
    """P."""

    def __init__(self):
        self.words, self.others = [], []
        self.queue = deque()

    def put(self, word):
        """P."""
        if len(self.words) < WORDS_MAX:
            self.queue.append(word)
'''

LINT_IMPORTS = ("importlinter.cli", "--no-cache", "--no-logo")
RUFF = ("ruff", "check", "--no-cache", "--output-format=concise")
MYPY = ("mypy", "--follow-imports=silent", "--no-incremental")
LAWS = ("pytest", "-q", "-p", "no:cacheprovider", "tests/test_laws.py", "-k")


@dataclass(frozen=True, slots=True)
class Break:
    """A ``law``, text to append to ``file``, the ``tool`` that must fail, and a word of its complaint."""

    law: str
    file: str
    text: str
    tool: tuple[str, ...]
    complaint: str


def imported(law: str, file: str, module: str, complaint: str) -> Break:
    """A break of an import contract: ``file`` imports ``module``."""
    return Break(law, file, f"import {module}\n", LINT_IMPORTS, complaint)


def checked(law: str, file: str, text: str, rule: str) -> Break:
    """A break that ruff's ``rule`` finds."""
    return Break(law, file, text, (*RUFF, file), rule)


def judged(law: str, file: str, text: str, test: str) -> Break:
    """A break that ``test`` of test_laws.py finds, naming the file."""
    return Break(law, file, text, (*LAWS, test), file)


BREAKS = (
    imported("the core reads no clock", "edged/core/planted.py", "time", "edged.core.planted -> time"),
    imported(
        "the core waits for nothing", "edged/core/planted.py", "asyncio", "edged.core.planted -> asyncio"
    ),
    imported("the core throws no dice", "edged/core/planted.py", "random", "edged.core.planted -> random"),
    imported("the core writes no log", "edged/core/planted.py", "logging", "edged.core.planted -> logging"),
    imported("the core has no library", "edged/core/planted.py", "msgspec", "edged.core.planted -> msgspec"),
    imported(
        "the core knows no wire", "edged/core/planted.py", "edged.links", "edged.core.planted -> edged.links"
    ),
    imported("the core has no disk", "edged/core/planted.py", "sqlite3", "edged.core.planted -> sqlite3"),
    imported(
        "links do not know the loop",
        "edged/links/planted.py",
        "edged.daemon.loop",
        "edged.links.planted -> edged.daemon.loop",
    ),
    imported(
        "observers do not touch outputs",
        "edged/observers/planted.py",
        "edged.daemon.outputs",
        "edged.daemon.outputs",
    ),
    imported("every part has a layer", "edged/planted.py", "math", "planted"),
    imported("devices do not know each other", "devices/one/driver.py", "devices.two.driver", "devices.two"),
    imported("devices do not see the store", "devices/one/driver.py", "edged.store", "edged.store"),
    imported(
        "devices do not see the engine",
        "devices/one/codec.py",
        "edged.core.model.state",
        "edged.core.model.state",
    ),
    imported(
        "no device knows a simulator",
        "devices/one/driver.py",
        "edged.sim.demo",
        "devices.one.driver -> edged.sim.demo",
    ),
    imported("no simulator knows the command line", "edged/sim/planted.py", "edged.cli", "edged.cli"),
    imported(
        "the rooms of the core are in order",
        "edged/core/queue/planted.py",
        "edged.core.tide.rules",
        "edged.core.queue.planted -> edged.core.tide.rules",
    ),
    imported(
        "tide and signage are strangers",
        "edged/core/tide/planted.py",
        "edged.core.signage",
        "edged.core.signage",
    ),
    imported("every room of the core has its line", "edged/core/attic.py", "math", "attic"),
    imported("the store names no device", "edged/store/planted.py", "devices.two.driver", "devices.two"),
    checked("one clock", "edged/daemon/loop.py", "\nimport time\n\nSTARTED = time.time()\n", "TID251"),
    checked(
        "tasks live in a group",
        "edged/daemon/loop.py",
        "\nimport asyncio\n\nasyncio.create_task(x)\n",
        "TID251",
    ),
    checked("imports are absolute", "edged/daemon/loop.py", "\nfrom . import clock\n", "TID252"),
    checked(
        "no exception is swallowed",
        "edged/daemon/loop.py",
        "\ntry:\n    pass\nexcept Exception:\n    pass\n",
        "BLE001",
    ),
    checked("no print in the daemon", "edged/daemon/loop.py", '\nprint("here")\n', "T201"),
    checked("no shell", "edged/daemon/loop.py", '\nimport os\n\nos.system("reboot")\n', "S605"),
    judged("one clock", "edged/daemon/loop.py", "\nfrom time import sleep\n", "reads_time"),
    judged(
        "one parser",
        "devices/one/codec.py",
        '"""P."""\nimport json\n\nX = json.loads(b"1")\n',
        "strict_parser",
    ),
    judged("the core is pure", "edged/core/planted.py", '"""P."""\nimport decimal\n', "pure_modules"),
    judged(
        "events are frozen",
        "edged/core/model/events.py",
        '\n@dataclass(slots=True)\nclass Planted:\n    """P."""\n',
        "frozen",
    ),
    judged("functions are short", "edged/core/planted.py", LONG_FUNCTION, "functions_are_short"),
    judged("names say something", "edged/core/helpers.py", '"""P."""\n', "vague_name"),
    judged(
        "a name is one class",
        "edged/core/planted.py",
        '"""P."""\nclass Engine:\n    """P."""\n',
        "two_classes",
    ),
    judged("queues are bounded", "edged/core/planted.py", "q = Queue()\n", "queue_has"),
    judged("caps have a name", "edged/core/planted.py", "q = Queue(10)\n", "queue_has"),
    judged("buffers are bounded", "edged/core/planted.py", "WORDS_MAX = 9\nq = deque()\n", "queue_has"),
    judged("a cap of something else is none", "edged/core/planted.py", UNBOUNDED_CLASS, "queue_has"),
    judged(
        "no buffer by a factory", "edged/core/planted.py", "x = field(default_factory=deque)\n", "queue_has"
    ),
    judged(
        "cancellations arrive", "tests/planted.py", "await asyncio.wait_for(x, 1)\n", "swallows_cancellations"
    ),
    judged(
        "cancellations arrive",
        "edged/daemon/loop.py",
        "\naiomqtt.Client(host, 1)\n",
        "swallows_cancellations",
    ),
    judged("public names are documented", "edged/core/planted.py", '"""P."""\ndef f(): ...\n', "docstring"),
    judged(
        "errors have a condition",
        "edged/planted.py",
        '"""P. Raises ``X``, ``Y`` or ``Z``. """\n',
        "condition",
    ),
    judged("a warning says what it means", "edged/planted.py", 'log.warning("lost")\n', "names_its_effect"),
    judged(
        "tests assert", "tests/test_planted.py", "def test_nothing():\n    print(1)\n", "asserts_something"
    ),
    judged("nothing is left unfinished", "edged/core/planted.py", f"# {'TO' + 'DO'} later\n", "unfinished"),
    judged("the guide is true", "CONTRIBUTING.md", "See `edged/nowhere.py`.\n", "contributing_guide"),
    Break(
        "types are strict",
        "edged/core/planted.py",
        '"""P."""\ndef f(x):\n    return x\n',
        (*MYPY, "edged/core/planted.py"),
        "no-untyped-def",
    ),
    Break(
        "the types of tests are strict",
        "tests/test_planted.py",
        "def test_it():\n    assert True\n",
        (*MYPY, "tests/test_planted.py"),
        "no-untyped-def",
    ),
)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree without its environment, and two small devices, so that the checks need no particular driver."""
    copy = tmp_path_factory.mktemp("laws")
    for folder in ("edged", "devices", "tests", "configs", "systemd", ".ci"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        if (ROOT / file).exists():
            shutil.copy(ROOT / file, copy / file)
    for device in ("one", "two"):
        for module in ("__init__", "codec", "driver", "fake"):
            path = copy / "devices" / device / f"{module}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text('"""Planted."""\n')
    return copy


def run(tool: tuple[str, ...], tree: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python tool in ``tree``, so that it sees ``tree`` and not the installed project."""
    program = ["-c", "import sys; from importlinter.cli import lint_imports_command as c; c()"]
    start = program if tool is LINT_IMPORTS else ["-m", tool[0]]
    return subprocess.run(
        [sys.executable, *start, *tool[1:]],
        cwd=tree,
        env={
            "PYTHONPATH": str(tree),
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("broken", BREAKS, ids=lambda b: f"{b.law} [{b.tool[0]}]")
def test_every_planted_break_of_a_code_rule_is_found(broken: Break, copied: Path) -> None:
    target = copied / broken.file
    before = target.read_text() if target.exists() else None
    target.write_text((before or "") + broken.text)
    try:
        done = run(broken.tool, copied)
    finally:
        target.unlink() if before is None else target.write_text(before)
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert broken.complaint in output, output


def test_the_import_contracts_hold_in_the_unbroken_tree(copied: Path) -> None:
    done = run(LINT_IMPORTS, copied)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
