"""``edged cases`` against a real broker: what the hall left there is what it lists."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from edged.central.state_messages import StateMessages
from edged.core.model.commands import CasesSummary, CaseSummary
from edged.core.model.point import Point
from edged.links.mqtt.link import MqttLink
from tests.support.brokers import Rejections, real_mosquitto, running, settings_for

ROOT = Path(__file__).parents[2]
LATE = CaseSummary("20261125-7", "ACKNOWLEDGED", "tax", None, "papers", 1000, "2026-12-02", True, True)
NEW = CaseSummary("20261202-8", "OPEN", None, None, "other", 2000, None, False, False)


async def listed(port: int, *more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged", "cases", "--hall", "demo"),
        *("--broker", f"mqtt://test@127.0.0.1:{port}", *more),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_open_cases_and_percentages_are_listed_and_what_is_late_is_a_no() -> None:
    async with real_mosquitto() as broker:
        code, output = await listed(broker.port)
        assert (code, "no case was ever opened" in output) == (0, True)
        link = MqttLink(settings_for(broker), Rejections())
        messages = StateMessages(link, "demo", lambda at_ms: f"at {at_ms}")
        async with running(link):
            await messages.show(
                Point("centre/cases"), CasesSummary((LATE, NEW), 2, 1, 1, 0.5, None, 1.0, 0.875)
            )
            code, output = await listed(broker.port)
            assert code == 1
            assert "2 wait 待响应，1 in hand 办理中，1 overdue 超期" in output
            assert (
                "响应 50.0%, done in time 可办按时办结 -, explained in time 不可办按时答复 100.0%, satisfied 满意 87.5%"
                in output
            )
            late = next(line for line in output.splitlines() if line.startswith("20261125-7"))
            assert late.split()[1:5] == ["ACKNOWLEDGED", "办理中", "2026-12-02", "tax"]
            assert late.endswith("papers        at 1000 ! special 特殊")
            assert "and 1 newer ones" in output
            code, output = await listed(broker.port, "--json")
            assert [case["case"] for case in json.loads(output)["cases"]] == ["20261125-7", "20261202-8"]
            await messages.show(Point("centre/cases"), CasesSummary((), 0, 0, 0, 0.5, 1.0, None, 0.875))
            assert (await listed(broker.port))[0] == 0
