"""``python -m tests.walk``: see the package. ``--stop`` ends at the first practice that does not work."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.walk.hall import Walk, walk_in
from tests.walk.practices import PRACTICES


async def walk_through(directory: Path, stop: bool = False) -> dict[str, str]:
    """Every practice by its first line, and what went wrong with it ("" where it works)."""
    found: dict[str, str] = {}
    async with walk_in(directory) as walk:
        for practice in PRACTICES:
            name = (practice.__doc__ or practice.__name__).split(":")[0]
            found[name] = await _tried(practice, walk)
            print(f"{'works' if not found[name] else 'NOT  '}  {name}  {found[name]}", flush=True)  # noqa: T201
            if stop and found[name]:
                break
    return found


async def _tried(practice: object, walk: Walk) -> str:
    try:
        await practice(walk)  # type: ignore[operator]
    except (AssertionError, TimeoutError, KeyError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return ""


def main() -> None:
    """Exit code 1 where a practice does not work."""
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(walk_through(Path(directory), "--stop" in sys.argv))
    broken = sum(1 for what in found.values() if what)
    print(f"{len(found) - broken} of {len(PRACTICES)} practices work")  # noqa: T201
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
