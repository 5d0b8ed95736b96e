"""``edged centre demo``: a whole city on this machine."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.target import fail

if TYPE_CHECKING:
    from edged.sim.city.town import CityPlan, PrintLine

VISITORS_PER_HALL_S = 0.1  # on wires: six a minute, so that something is to be seen
CTRL_C = 130


def demo(
    halls: Annotated[int, typer.Option(min=1, max=1000, help="Simulated halls without a daemon.")] = 20,
    daemons: Annotated[int, typer.Option(min=0, max=20, help="Real daemons behind mosquitto bridges.")] = 2,
    minutes: Annotated[float, typer.Option(min=0.05, max=1440, help="How long people come.")] = 2,
    seed: Annotated[int, typer.Option(help="Same seed, same visitors.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one summary object on stdout.")] = False,
) -> None:
    """Run a whole city on this machine, and break some of it.

    It has a broker, PostgreSQL, the program that stores events (consumer), simulated halls that are only a
    connection to the broker, and real daemons behind real mosquitto bridges.

    \b
    A policy is pushed to the whole group, and one hall refuses it on purpose. The connection of one hall is cut and
    restored. At the end every hall's events are counted in the database.
    Needs PostgreSQL's programs (not a running server) and the extras "centre" and "demo"; the bridges need mosquitto.
    Meanwhile, in another terminal, with the addresses that it prints: edged centre status, edged centre report,
    edged policy push.
    Exit code 0: nothing missing, exactly the planted refusal; 1: otherwise; 130: Ctrl-C.
    """
    from edged.sim.city.processes import PartMissing
    from edged.sim.city.town import CityPlan

    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise fail('the centre needs psycopg: pip install "edged[centre,demo]"', 2) from None
    plan = CityPlan(halls, daemons, halls * VISITORS_PER_HALL_S, seed)
    try:
        summary = asyncio.run(_ran(plan, minutes * 60, _print))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise fail("stopped", CTRL_C) from None
    except PartMissing as error:
        raise fail(str(error)) from None
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        for key, value in summary.items():
            typer.echo(f"{key:16} {value}")
    raise typer.Exit(0 if summary["good"] else 1)


async def _ran(plan: CityPlan, seconds: float, print_line: PrintLine) -> dict[str, Any]:
    from edged.sim.city.demo import CityDemo
    from edged.sim.city.town import SimulatedCity

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal leaves nothing behind
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with SimulatedCity(plan, print_line) as city:
        return await CityDemo(city, seconds, print_line).run()


def _print(text: str) -> None:
    print(f"edged centre demo: {text}", file=sys.stderr, flush=True)
