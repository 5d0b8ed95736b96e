"""Runs every fuzz target on its kept inputs, and fuzzes each for a few seconds; ``python -m tests.fuzz`` fuzzes
longer.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
SECONDS = 2
KEPT_ONLY = {  # here only what was kept: the start of another fuzzer costs each check of a change ten seconds
    "voice_answers",
    "described_words",
    "module_registers",
    "description_files",
    "queue_rows",
}
LONG_S = 0.05  # a whole hall.toml and a signed policy are read within this; a frame within a hundredth of it


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_taken_or_refused(name: str) -> None:
    kept = sorted((CORPUS / name).iterdir())
    assert kept, f"no corpus for {name}"
    for file in kept:
        TARGETS[name](file.read_bytes())
        took_s = min(timed(TARGETS[name], file.read_bytes()) for _ in range(3))
        assert took_s < LONG_S, f"{file.name} takes {took_s:.3f} s of the loop"


def timed(target: Callable[[bytes], None], data: bytes) -> float:
    """The processor time in seconds that ``target`` takes for ``data``."""
    began_s = time.thread_time()
    target(data)
    return time.thread_time() - began_s


FUZZED = [pytest.param(name, marks=[pytest.mark.full] if name in KEPT_ONLY else []) for name in TARGETS]


@pytest.mark.parametrize("name", FUZZED)
def test_the_fuzzer_finds_nothing_in_a_few_seconds(name: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(SECONDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}: ok" in done.stdout


def test_a_faulty_target_is_found(tmp_path: Path) -> None:
    """The fuzzer itself works: it finds within seconds the one byte on which a faulty target fails."""
    script = tmp_path / "weak.py"
    script.write_text(
        "import atheris, sys\n"
        "def weak(data):\n    assert data[:1] != b'!'\n"
        "atheris.Setup([sys.argv[0], '-max_total_time=20', '-artifact_prefix=' + sys.argv[1] + '/'], weak)\n"
        "atheris.Fuzz()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert list(tmp_path.glob("crash-*"))
