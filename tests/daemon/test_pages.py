"""What the whole daemon says for the pages: by name, on change only, told anew to a broker without memory."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from edged.central.page_lines import name_of
from edged.core.people.alarms import DO, TEXT
from tests.support.brokers import Mosquitto, until
from tests.support.daemons import EXTRA_WINDOW, Daemon, Hall, Machines
from tests.support.pages import PageEar, pages_at
from tests.support.schemas import faults

API: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "configs/asyncapi.yaml").read_text("utf-8"))


def written(pages: PageEar) -> None:
    """Fail unless every page part has the shape that asyncapi.yaml gives it."""
    for part, body in pages.parts.items():
        schema = API["components"]["schemas"][f"Page{part.partition('/')[0].capitalize()}"]
        assert faults(body, schema, API) == [], part


async def test_the_messages_for_the_pages_follow_a_day_of_the_hall(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    files.edit('number = "1"\n', 'number = "1"\nposition = [1, 2]\n')
    await daemon.start()
    async with pages_at(broker, "east") as pages:
        await until(lambda: "names" in pages.parts and "beat" in pages.parts)
        names = pages["names"]
        assert names["hall"]["name"] == "东区大厅"
        assert [w["position"] for w in names["windows"]] == [[1, 2], None, None]
        assert {d["id"]: d["zh"] for d in names["devices"]}["lamp-w2"] == "2号窗口灯"
        machines.panel.press("login", "王芳")
        await until(lambda: pages["window/w1"].get("clerk") == "王芳")
        machines.dispenser.ticket("A001", "tax-general")
        machines.dispenser.ticket("A002", "tax-general")
        await until(lambda: pages["area/tax"].get("next") == ["A001", "A002"])
        machines.panel.press("next")
        await until(lambda: pages["window/w1"]["ticket"] == "A001")
        await until(lambda: bool(pages["calls"].get("calls")))
        call = pages["calls"]["calls"][0]
        assert (call["number"], call["window"], call["area"], call["again"]) == ("A001", "w1", "tax", False)
        machines.panel.press("recall")
        await until(lambda: pages["calls"]["calls"][0]["again"])
        machines.panel.press("arrive")
        machines.panel.press("pause", "meal")
        await until(lambda: pages["window/w1"]["pause"] == {"zh": "用餐", "en": "Meal"})
        await until(lambda: pages["area/tax"]["issued"] == 2 and pages["area/tax"]["service_level"] == 1.0)
        # the tide: asked by a person, because that is at once
        machines.panel.press("special-need")
        await until(lambda: pages["window/w2"]["lamp"] == "blink" or pages["window/w3"]["lamp"] == "blink")
        window = "w2" if pages["window/w2"]["lamp"] == "blink" else "w3"
        paged = pages[f"window/{window}"]["paged"]
        assert paged["who"] == "陈敏"
        assert paged["until"] is not None
        await until(lambda: pages["area/tax"]["coming"] == [window])
        await until(lambda: any(d["decision"] == "open" for d in pages["decisions"]["decisions"]))
        decision = next(d for d in pages["decisions"]["decisions"] if d["decision"] == "open")
        assert "税务请求启用" in decision["zh"]
        assert decision["limits"]["pool"] > 0
        assert any(a["chosen"] for a in decision["alternatives"] if a["kind"] == "staff")
        await until(lambda: [s["state"] for s in pages["staff"]["staff"]] == ["paged"])
        machines.tidal_panel.press("login", "chen") if window == "w2" else None
        assert pages["links"]["disk"] is True
        written(pages)
        assert "chen" not in str(pages[f"window/{window}"])
    assert await daemon.stop() == 0


async def test_unchanged_parts_are_not_published_again_and_a_reload_removes_parts(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = hall
    before = files.file.read_text()
    files.file.write_text(before.replace("[[staff]]", f"{EXTRA_WINDOW}\n[[staff]]"))
    await daemon.start()
    async with pages_at(broker, "east") as pages:
        await until(lambda: "window/w4" in pages.parts and pages.received.get("beat", 0) > 1)
        quiet = {part: count for part, count in pages.received.items() if part != "beat"}
        await asyncio.sleep(3.0)
        assert {part: count for part, count in pages.received.items() if part != "beat"} == quiet
        files.file.write_text(before)
        os.kill(daemon.pid, signal.SIGHUP)
        await until(lambda: "window/w4" not in pages.parts)
        await until(lambda: len(pages["names"]["windows"]) == 3)
    assert await daemon.stop() == 0


async def test_a_broker_without_memory_is_told_everything_again(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    _, daemon, _ = hall
    await daemon.start()
    async with pages_at(broker, "east") as pages:
        await until(lambda: "window/w1" in pages.parts)
    await broker.kill()
    await broker.start()
    async with pages_at(broker, "east") as pages:
        await until(lambda: {"names", "window/w1", "area/tax", "policy"} <= set(pages.parts))
    assert await daemon.stop() == 0


async def test_what_a_former_configuration_published_is_removed_at_the_next_start(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = hall
    before = files.file.read_text()
    files.file.write_text(before.replace("[[staff]]", f"{EXTRA_WINDOW}\n[[staff]]"))
    await daemon.start()
    async with pages_at(broker, "east") as pages:
        await until(lambda: "window/w4" in pages.parts)
        assert await daemon.stop() == 0
        files.file.write_text(before)
        await daemon.start()
        await until(lambda: "window/w4" not in pages.parts)
        assert "window/w1" in pages.parts
    assert await daemon.stop() == 0


async def test_a_number_has_an_address_that_a_kill_leaves_as_it_is(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    files.edit("[hall]", '[pages]\npublic_url = "https://hall.example.org/"\n\n[hall]')
    await daemon.start()

    def rows(pages: PageEar) -> dict[str, dict[str, Any]]:
        line = pages["line/tax"]
        found = [dict(zip(line["columns"], row, strict=True)) for row in line.get("rows", ())]
        return {row["of"]: row for row in found}

    async with pages_at(broker, "east") as pages:
        machines.dispenser.request("tax-general")
        machines.dispenser.request("tax-general", "elderly")
        await until(lambda: len(machines.dispenser.printed) == 2)
        urls = {one["number"]: one["url"] for one in machines.dispenser.printed}
        first, second = (name_of(urls[number].rpartition("/")[2]) for number in sorted(urls))
        assert all(url.startswith("https://hall.example.org/t/") for url in urls.values())
        await until(lambda: rows(pages).keys() == {first, second})
        assert sorted(row["ahead"] for row in rows(pages).values()) == [0, 1]
        assert rows(pages)[first]["number"] == sorted(urls)[0]
        assert "elderly" not in str(pages["line/tax"])
        written(pages)
        await daemon.kill()
        await daemon.start()
        machines.panel.press("login", "王芳")
        machines.panel.press("reprint", sorted(urls)[0])
        await until(lambda: len(machines.dispenser.printed) == 3)
        assert machines.dispenser.printed[-1]["url"] == urls[sorted(urls)[0]]
        machines.panel.press("next")
        await until(lambda: any(row["state"] == "called" for row in rows(pages).values()))
        called = next(row for row in rows(pages).values() if row["state"] == "called")
        assert (called["window"], called["calls"], called["ahead"]) == ("w1", 1, None)
        files.edit('[pages]\npublic_url = "https://hall.example.org/"\n\n', "")
        os.kill(daemon.pid, signal.SIGHUP)
        await until(lambda: "line/tax" not in pages.parts)
        machines.dispenser.request("tax-general")
        await until(lambda: len(machines.dispenser.printed) == 4)
        assert "url" not in machines.dispenser.printed[-1]
    assert await daemon.stop() == 0


def test_every_alarm_says_what_to_do() -> None:
    assert set(DO) == set(TEXT)
