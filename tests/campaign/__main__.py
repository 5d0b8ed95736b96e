"""Run the long tests and record what was found: ``python -m tests.campaign --hours H``.

The parts run one after another, each for its share of the time and at least once; ``--part NAME`` runs only that part.
The record in ``tests/CAMPAIGN.md`` lists commit, command and figures of each part. If a part found a fault, the record
says which command shows it again, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "CAMPAIGN.md"
HEAD = "# Campaign\n\nWhat each part found when it was run last.\n"
BY_HAND = "## Surviving mutants"  # from there on the record is written by people
ROUND_SEEDS = 100  # simulated days between two looks at the clock
LEAST_WORLDS = 3000  # days of the core, about two seconds of processor time each
LEAST_DAEMONS = 200  # ... of whole daemons, about twelve


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one part: ``figures`` for the record, and ``findings``, each a fault with the command that shows it
    again.
    """

    part: str
    command: str
    seconds: float
    figures: str
    findings: tuple[str, ...]


def worlds(until_s: float) -> Found:
    """Simulate days of the core alone, as many as the time allows."""
    return _simulated("worlds", "core", LEAST_WORLDS, until_s)


def daemons(until_s: float) -> Found:
    """Simulate days of the whole daemon, as many as the time allows."""
    return _simulated("daemons", "daemon", LEAST_DAEMONS, until_s)


def _simulated(part: str, level: str, least: int, until_s: float) -> Found:
    first = seed = random.randrange(1, 10_000_000)
    findings: list[str] = []
    steps = tickets = 0
    began_s = time.monotonic()
    while True:
        seeds = f"{seed}..{seed + ROUND_SEEDS - 1}"
        done = _python("-m", "edged", "simulate", "--level", level, "--seeds", seeds, "--days", "1", "--json")
        told = json.loads(done.stdout)
        steps, tickets = steps + told["steps"], tickets + told["tickets"]
        findings += [f"{one['promise']} — `{one['rerun']}`" for one in told["broken"]]
        seed += ROUND_SEEDS
        if seed - first >= least and time.monotonic() >= until_s:
            break
    figures = f"{seed - first} seeds × 1 hall day ({first}..{seed - 1}), {tickets} tickets, {steps} steps"
    return Found(
        part,
        f"edged simulate --level {level} --seeds {first}..{seed - 1} --days 1",
        time.monotonic() - began_s,
        figures,
        tuple(findings),
    )


def kills(until_s: float) -> Found:
    """Kill the journal's writer by kill -9 while it writes."""
    return _pytest("kills", "tests/store/test_kill.py", "EDGED_KILLS", 200, "kill -9 cycles", until_s)


def cuts(until_s: float) -> Found:
    """Cut the power of a real ext4 file system, by copying its image."""
    return _pytest(
        "cuts", "tests/store/test_image_cut.py", "EDGED_CUTS", 50, "power cuts by image copy", until_s
    )


def torn(until_s: float) -> Found:
    """Lose or tear unsynced writes of the journal, sector by sector."""
    file = "tests/store/test_power_cut.py"
    return _pytest("torn", file, "EDGED_CRASH_STATES", 5000, "torn-write states", until_s)


def faults(until_s: float) -> Found:
    """Test the real daemon under every fault of ``tests/faults/cases.toml``, and its unit under a real systemd, where
    the daemon is killed a hundred times.
    """
    return _pytest("faults", "tests/faults", "EDGED_RESTARTS", 100, "kills of the unit", until_s)


def backlog(until_s: float) -> Found:
    """Send the events of a long outage to the centre while new ones arrive."""
    file = "tests/central/test_uplink.py"
    return _pytest("backlog", file, "EDGED_BACKLOG", 100_000, "events of backlog", until_s)


def age(until_s: float) -> Found:
    """Start the daemon with a journal of ninety days, from a cold disk, in the 256 MB that its unit permits."""
    file = "tests/daemon/test_old_journal.py"
    return _pytest("age", file, "EDGED_JOURNAL_DAYS", 90, "days of journal", until_s)


def fuzz(until_s: float) -> Found:
    """Fuzz every decoder and other entry of foreign bytes with atheris."""
    from tests.fuzz.targets import TARGETS

    began_s = time.monotonic()
    each_s = max(5, int((until_s - began_s) / len(TARGETS)))
    done = _python("-m", "tests.fuzz", "--seconds", str(each_s))
    broken = [line for line in done.stdout.splitlines() if "BROKEN" in line]
    runs = [line for line in done.stdout.splitlines() if ": ok" in line]
    figures = f"{len(TARGETS)} targets × {each_s} s: " + "; ".join(
        line.replace(": ok  Done", "") for line in runs
    )
    return Found(
        "fuzz", f"python -m tests.fuzz --seconds {each_s}", time.monotonic() - began_s, figures, tuple(broken)
    )


def walk(_until_s: float) -> Found:
    """Try every practice of a hall as a stranger would, with simulated devices on real connections."""
    began_s = time.monotonic()
    done = _python("-m", "tests.walk")
    broken = [line for line in done.stdout.splitlines() if line.startswith("NOT")]
    figures = next((line for line in done.stdout.splitlines() if "practices work" in line), "did not end")
    return Found("walk", "python -m tests.walk", time.monotonic() - began_s, figures, tuple(broken))


def mutation(until_s: float) -> Found:
    """Plant bugs at random in core, links, central and devices, and count how many the nearby tests notice."""
    from tests.campaign import mutation as mutants

    began_s = time.monotonic()
    count, seed = int(os.environ.get("EDGED_MUTANTS", "400")), int(os.environ.get("EDGED_SEED", "1"))
    score = mutants.run(count, seed, until_s)
    figures = (
        f"{score.tried} of {score.possible} mutants: {score.killed} killed, {len(score.survivors)} survived "
        f"({100 * score.killed / max(1, score.tried):.0f} %)"
    )
    if score.not_used:
        figures += f"; not used, because they fail anyway: {', '.join(score.not_used)}"
    command = (
        f"EDGED_MUTANTS={score.tried} EDGED_SEED={seed} python -m tests.campaign --part mutation --hours 24"
    )
    return Found("mutation", command, time.monotonic() - began_s, figures, ())


PARTS: dict[str, tuple[Callable[[float], Found], float]] = {  # with its share of the time
    "kills": (kills, 0.05),
    "torn": (torn, 0.05),
    "cuts": (cuts, 0.1),
    "faults": (faults, 0.05),
    "backlog": (backlog, 0.04),
    "age": (age, 0.05),
    "walk": (walk, 0.01),
    "fuzz": (fuzz, 0.25),
    "worlds": (worlds, 0.3),
    "daemons": (daemons, 0.15),
    "mutation": (mutation, 0.2),
}


def _pytest(part: str, file: str, knob: str, least: int, what: str, until_s: float) -> Found:
    """Run the tests in ``file`` again and again with new seeds until ``until_s``, at least once. Each run does
    ``least`` repetitions, set by the environment variable ``knob``; ``what`` names the repetitions in the record.
    """
    began_s, runs = time.monotonic(), 0
    findings: list[str] = []
    told: list[str] = []
    while True:
        seed = random.randrange(2**31)
        words = ("-q", "-x", "-s", "-m", "", "-o", "timeout=0", file)
        done = _python("-m", "pytest", *words, **{knob: str(least), "EDGED_SEED": str(seed)})
        runs += 1
        told += re.findall(r"^\W*(\w[^\n]*\d m?s)$", done.stdout, re.M)
        if done.returncode != 0:
            findings.append(f"`{knob}={least} EDGED_SEED={seed} pytest {file}`: {done.stdout[-300:]!r}")
        if time.monotonic() >= until_s:
            break
    command = f"{knob}={least} pytest -m '' {file}"
    figures = "; ".join([f"{runs * least} {what}", *told])
    return Found(part, command, time.monotonic() - began_s, figures, tuple(findings))


def _python(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )


def _record(found: list[Found], command: str) -> None:
    """Write the results ``found`` into the record. Parts that were not run now keep their earlier rows and findings."""
    from edged.sim.worlds.campaign import commit

    when = f"{time.strftime('%Y-%m-%d %H:%M')}, `{commit()}`, {os.cpu_count()} processors"
    parts = _recorded()
    for one in found:
        row = (one.figures, f"{one.seconds:.0f} s", str(len(one.findings)), f"`{one.command}`", when)
        parts[one.part] = (" | ".join(row), list(one.findings))
    written = RECORD.read_text("utf-8") if RECORD.exists() else ""
    by_hand = "\n" + written[written.index(BY_HAND) :] if BY_HAND in written else ""
    names = sorted(parts, key=lambda name: (list(PARTS).index(name.partition(",")[0]), name))
    rows = "\n".join(f"| {name} | {parts[name][0]} |" for name in names)
    findings = "\n".join(f"- {name}: {text}" for name, (_, texts) in parts.items() for text in texts)
    RECORD.write_text(
        f"{HEAD}\nThe last command was `{command}`.\n\n"
        "| part | done | time | findings | again with | when, commit |\n|---|---|---|---|---|---|\n"
        f"{rows}\n\n## Findings\n\n{findings or 'None.'}\n{by_hand}",
        "utf-8",
    )


def _recorded() -> dict[str, tuple[str, list[str]]]:
    """By part, its row in the present record and its findings. A name like "part, how" is a row that somebody added for
    a run with other settings.
    """
    parts: dict[str, tuple[str, list[str]]] = {}
    for line in RECORD.read_text("utf-8").splitlines() if RECORD.exists() else ():
        name, _, rest = (
            line.removeprefix("| ").removeprefix("- ").partition(" | " if line[:1] == "|" else ": ")
        )
        if name.partition(",")[0] in PARTS and line.startswith("| "):
            parts[name] = (rest.removesuffix(" |"), [])
        elif name in parts and line.startswith("- "):
            parts[name][1].append(rest)
    return parts


def main() -> int:
    """Run the parts and write the record; returns the exit code."""
    asked = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    asked.add_argument("--hours", type=float, default=1.0, help="for all parts together (default 1)")
    asked.add_argument("--part", action="append", choices=list(PARTS), help="only this one; may be repeated")
    options = asked.parse_args()
    chosen = options.part or list(PARTS)
    total = sum(PARTS[name][1] for name in chosen)
    found: list[Found] = []
    try:
        for name in chosen:
            part, share = PARTS[name]
            print(f"{name}: {part.__doc__}", flush=True)  # noqa: T201
            found.append(part(time.monotonic() + options.hours * 3600 * share / total))
            print(f"  {found[-1].figures}; {len(found[-1].findings)} findings", flush=True)  # noqa: T201
    except KeyboardInterrupt:
        return 130
    words = " ".join(sys.argv[1:])
    _record(found, f"python -m tests.campaign {words}".strip())
    return 1 if any(one.findings for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
