"""A case (办不成事) and an override through the whole daemon, over a kill -9: kiosk, key, evaluator, duty manager."""

from __future__ import annotations

from math import isnan

from devices.mqtt_json.fake import FakePanel
from tests.support.brokers import until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines, device_table

CASE_HALL = """
[cases]
lamps = ["lamp-case"]

[[areas]]
id = "cases"
name = "办不成事"
name_en = "Cases"

[[services]]
id = "unsolved"
area = "cases"
name = "办不成事反映"
name_en = "Unresolved matters"
prefix = "U"
case = true

[[windows]]
id = "w5"
number = "5"
skills = ["unsolved"]
panel = "panel-w5"
evaluator = "stars-w5"
"""


async def test_a_case_from_the_kiosk_to_its_rating_survives_a_kill(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    panel, stars = FakePanel(machines.fleet, "panel-w5"), FakePanel(machines.fleet, "stars-w5")
    lamp = FakePanel(machines.fleet, "lamp-case")
    devices = {"panel-w5": "panel", "stars-w5": "evaluator", "lamp-case": "lamp"}
    tables = "".join(device_table(*one) for one in devices.items())
    files.file.write_text(files.file.read_text() + CASE_HALL + tables)
    await daemon.start()
    await until(lambda: "lamp" in lamp.shown and "evaluator" in stars.shown)
    panel.press("login", "zhou")
    machines.dispenser.request("unsolved")
    await until(lambda: lamp.shown["lamp"]["state"] == "blink" and machines.duty.actions != [])
    assert await files.metric('edged_cases{state="open"}') == 1
    panel.press("accept")
    await until(lambda: lamp.shown["lamp"]["state"] == "on")
    await daemon.kill()
    await daemon.start()
    case = next(note.subject for step in files.steps() for note in step.notes if note.kind == "case.opened")
    panel.press("case", f"close {case} solved")
    await until(lambda: stars.shown["evaluator"] == {"window": "w5", "state": "rate", "case": case})
    stars.rate(5)
    await until(lambda: stars.shown["evaluator"] == {"window": "w5", "state": "idle"})
    panel.press("force-close", "for_s=600")
    await until(lambda: "人工关闭" in panel.shown["panel"].get("prompt", ""))
    for name in ("response", "on_time", "satisfied"):
        assert await files.metric(f"edged_case_{name}_ratio") == 1
    assert isnan(await files.metric("edged_case_explained_ratio") or 0)  # nothing of the kind was decided
    assert await files.metric('edged_cases{state="closed"}') == 1
    assert await files.metric('edged_overrides{kind="close"}') == 1
    assert await daemon.stop() == 0
    notes = files.notes()
    kinds = ("opened", "acknowledged", "closed", "rated")
    assert [notes[f"case.{kind}"] for kind in kinds] == [1, 1, 1, 1]
    identical(files)
