"""The command line answers at once: it loads what a command uses, and a shell completes it.

Measured on the reference machine (best of seven, ``python -c pass`` 18 ms): ``--help`` 57 ms, ``check`` 230 ms,
``status`` 222 ms; 3, 13 and 12 times an empty Python. As installed from the bundle on
Debian 12 (``time edged check /etc/edged/hall.toml``, user + sys, best of nine, beside a load of 8):
``python -c pass`` 9 ms, ``--help`` 67 ms, ``check`` 227 ms, ``status`` 250 ms.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged.clock import perf_s

ROOT = Path(__file__).parents[2]
HEAVY = ("structlog", "prometheus_client", "apsw", "cryptography", "pymodbus", "rich")
RATIO_MAX = 25.0  # times an empty Python, on a machine that does other things as well
COMMANDS = (
    ("--help",),
    ("check", str(ROOT / "configs/hall-small.toml")),
    ("status", "--hall", "x", "--broker", "mqtt://127.0.0.1:1"),
)


def best_s(*words: str) -> float:
    """The quickest of five runs."""
    took = []
    for _ in range(5):
        started_s = perf_s()
        subprocess.run([sys.executable, *words], capture_output=True, check=False, cwd=ROOT)
        took.append(perf_s() - started_s)
    return min(took)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_command_loads_no_library_that_it_does_not_use(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edged", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    ).stderr
    loaded = {
        line.rpartition("|")[2].strip() for line in done.splitlines() if line.startswith("import time:")
    }
    assert "edged.cli" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_command_starts_quickly(command: tuple[str, ...]) -> None:
    ratio = best_s("-m", "edged", *command) / best_s("-c", "pass")
    assert ratio < RATIO_MAX


@pytest.mark.parametrize(("typed", "wanted"), [("edged sta", "status"), ("edged status --conf", "--config")])
def test_bash_completes_commands_and_options(typed: str, wanted: str, tmp_path: Path) -> None:
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = subprocess.run(
        [sys.executable, "-m", "edged", "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    words = typed.split(" ")
    completion = (
        f"{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _edged_completion edged\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", completion], capture_output=True, text=True, check=False, env=environ, cwd=ROOT
    )
    assert wanted in done.stdout.split(), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edged", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "_EDGED_COMPLETE" in done.stdout
