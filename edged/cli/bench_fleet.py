"""``edged bench --fleet``: measures a whole city simulated on this machine, with planned failures."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from edged.bench.fleet import FleetPlan
    from edged.sim.city.town import CityPlan

VISITORS_PER_HALL_S = 0.15  # three events each: 200 halls tell 90 a second
PHASE_S, QUICK_S = 60.0, 4.0
CTRL_C = 130


def bench_fleet(halls: int, daemons: int, day: int, quick: bool, as_json: bool) -> NoReturn:
    """Simulate ``halls`` halls without and ``daemons`` halls with a real daemon, print the figures and exit: 0 good, 1
    something is missing or late, 2 a needed program or library is not installed.

    Half of the halls without a daemon are away at first: ``day`` is the number of unsent events with which each comes
    back. ``quick``: shorter phases.
    """
    from edged.bench.fleet import FleetPlan
    from edged.sim.city.processes import PartMissing
    from edged.sim.city.town import CityPlan

    city = CityPlan(halls, daemons, halls * VISITORS_PER_HALL_S)
    plan = FleetPlan(QUICK_S if quick else PHASE_S, halls // 2, day)
    try:
        found = asyncio.run(_ran(city, plan))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _print("stopped")
        raise typer.Exit(CTRL_C) from None
    except (PartMissing, ImportError) as error:
        _print(str(error))
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        for key, value in found.items():
            typer.echo(f"{key:18} {value}")
    raise typer.Exit(0 if found["good"] else 1)


async def _ran(city_plan: CityPlan, plan: FleetPlan) -> dict[str, Any]:
    from edged.bench.fleet import FleetBench
    from edged.sim.city.mosquittos import mosquitto_path
    from edged.sim.city.processes import PartMissing
    from edged.sim.city.town import SimulatedCity

    if mosquitto_path() is None:
        raise PartMissing("mosquitto is not installed (Debian: apt-get install mosquitto) / 未安装 mosquitto")
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with SimulatedCity(city_plan, _print) as city:
        return await FleetBench(city, plan, _print).run()


def _print(text: str) -> None:
    print(f"edged bench: {text}", file=sys.stderr, flush=True)
