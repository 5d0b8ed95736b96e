"""Runs many seeds on all processors: yields each verdict as it is found, and makes the command that repeats a failed
seed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from edged import __version__
from edged.sim.worlds.days import WorldVerdict

COMMIT_WAIT_S = 20.0  # for git, on a busy machine


def run(job: Callable[[int], WorldVerdict], seeds: Sequence[int], processes: int) -> Iterator[WorldVerdict]:
    """Simulate every seed, in up to ``processes`` processes. ``job`` simulates one seed and returns its verdict; each
    verdict is yielded as soon as it is there.
    """
    if processes == 1 or len(seeds) == 1:
        yield from map(job, seeds)
        return
    with ProcessPoolExecutor(processes) as pool:
        try:
            for done in as_completed([pool.submit(job, seed) for seed in seeds]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def summary(verdicts: Iterable[WorldVerdict], rerun: Callable[[int], str]) -> dict[str, Any]:
    """Sum up all seeds as JSON values: counts, a digest of all decisions, and under ``broken`` each seed that failed,
    with the broken promise, its faults and the command that repeats it. ``rerun(seed)`` returns that command.
    """
    known = sorted(verdicts, key=lambda one: one.seed)
    return {
        "commit": commit(),
        "seeds": len(known),
        "days": sum(one.days for one in known),
        "steps": sum(one.steps for one in known),
        "ticks": sum(one.ticks for one in known),
        "tickets": sum(one.tickets for one in known),
        "broken": [
            {"seed": one.seed, "promise": one.broken, "faults": one.faults, "rerun": rerun(one.seed)}
            for one in known
            if one.broken is not None
        ],
        "digest": _digest(known),
    }


def _digest(verdicts: list[WorldVerdict]) -> str:
    """Hash the decisions of all seeds: two machines with the same hash decided everything alike."""
    import hashlib

    return hashlib.sha256("".join(one.digest for one in verdicts).encode()).hexdigest()[:16]


def commit() -> str:
    """Return the git commit of this source tree (as ``git describe`` names it); if git knows none, the program's
    version.
    """
    folder = Path(__file__).parent
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), "describe", "--always", "--dirty"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=COMMIT_WAIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return found.stdout.strip()
