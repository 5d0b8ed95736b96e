"""Fuzz every function that reads foreign bytes: ``python -m tests.fuzz [TARGET …] [--seconds N]``. Exit code 1 if one
of them broke.

Seconds are processor time, so that a busy machine fuzzes as much as a quiet one, only for longer.

An input that breaks a target is kept as ``corpus/TARGET/crash-…``: commit it with the fix, because the tests run every
kept input. New inputs that reach new code go to a separate folder (``--grow DIR``), so that the corpus in the
repository grows only on purpose.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
HANG_S = (
    30  # of wall time, for libFuzzer knows no other: a busy machine may leave a process alone for seconds
)
MEMORY_MIB = 1024
LOOKS_EVERY = 16  # inputs between two looks at the clock


def main() -> int:
    """Fuzz the targets, each in a process of its own, because libFuzzer never returns."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("targets", nargs="*", help="default: all")
    asked.add_argument("--seconds", type=int, default=300, help="processor time per target (default 300)")
    asked.add_argument("--grow", type=Path, help="folder for inputs that reach new code")
    asked.add_argument("--inside", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.inside:
        return _inside(options.inside, options.seconds, options.grow)
    from tests.fuzz.targets import TARGETS

    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        asked.error(f"no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    broken = [name for name in options.targets or TARGETS if not _run(name, options.seconds, options.grow)]
    count = len(options.targets or TARGETS)
    print(f"{count} targets, {options.seconds} s of processor time each, broken: {broken or 'none'}")  # noqa: T201
    return 1 if broken else 0


def _run(name: str, seconds: int, grow: Path | None) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if grow is None else grow / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "--inside",
            name,
            "--seconds",
            str(seconds),
            "--grow",
            str(folder),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [
        line
        for line in done.stderr.splitlines()
        if line.startswith(("Done ", "stat::", " === ", "==", "SUMMARY"))
    ]
    print(f"{name}: {'ok' if done.returncode == 0 else 'BROKEN'}  {' '.join(told[:1])}", flush=True)  # noqa: T201
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)  # noqa: T201
    return done.returncode == 0


def _for_seconds(target: Callable[[bytes], None], seconds: int) -> Callable[[bytes], None]:
    """Wrap ``target`` so that the process ends with exit code 0 after ``seconds`` of processor time.

    libFuzzer's own limit is wall time.
    """
    runs, until_s = 0, time.process_time() + seconds

    def one(data: bytes) -> None:
        nonlocal runs
        target(data)
        runs += 1
        if runs % LOOKS_EVERY == 0 and time.process_time() >= until_s:
            print(f"Done {runs} runs in {seconds} seconds of processor time", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(0)

    return one


def _inside(name: str, seconds: int, grow: Path) -> int:
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["devices", "edged"]):
        from tests.fuzz.targets import ONCE_MAX, TARGETS

    kept = CORPUS / name
    arguments = [
        sys.argv[0],
        f"-timeout={HANG_S}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-max_len={ONCE_MAX}",
        f"-artifact_prefix={kept}/",
        "-print_final_stats=0",
        str(grow),
        str(kept),
    ]
    atheris.Setup(arguments, _for_seconds(TARGETS[name], seconds))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
