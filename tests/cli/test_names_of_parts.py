"""What a command takes and shows: window numbers and names, never an id alone. Real daemon, real broker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.central.operations import OPERATIONS, with_ids
from edged.cli import COMMANDS, load_command
from edged.core.model.events import CaseTold, OverrideSet, RosterTold
from edged.core.model.names import area_meant, service_meant, staff_meant, window_meant
from edged.core.model.site import Area, Service, Site, Staff, Window
from edged.links.mqtt.link import MqttLink
from tests.support.brokers import Rejections, real_mosquitto, running, settings_for
from tests.support.desks import Desk, hall_in_service

HALL = """
[hall]
id = "east"
name = "东区大厅"
[mqtt]
port = {port}
[store]
path = "hall.db"
[web]
port = 0
[policy]
keys = "city.pub.json"
[[areas]]
id = "zt"
name = "税务综合"
name_en = "Taxes"
[[areas]]
id = "zh"
name = "办不成事反映"
name_en = "Unresolved"
[[services]]
id = "zs"
area = "zt"
name = "综合税务"
name_en = "General"
prefix = "A"
[[services]]
id = "zu"
area = "zh"
name = "反映"
name_en = "Report"
prefix = "U"
case = true
[[windows]]
id = "zw1"
number = "1"
skills = ["zs"]
panel = "zp1"
[[windows]]
id = "zw2"
number = "11"
tidal = true
skills = ["zs"]
panel = "zp2"
[[windows]]
id = "zw3"
number = "3"
skills = ["zu"]
[[staff]]
id = "zl"
name = "刘洋"
skills = ["zt"]
pager = "zduty"
[[devices]]
id = "zp1"
driver = "mqtt_json"
kind = "panel"
[[devices]]
id = "zp2"
driver = "mqtt_json"
kind = "panel"
[[devices]]
id = "zduty"
driver = "mqtt_json"
kind = "pager"
"""
CALLED = {  # what people call each part; one of these stands beside its id
    "zt": ("税务综合", "Taxes"),
    "zh": ("办不成事反映", "Unresolved"),
    "zs": ("综合税务", "General"),
    "zu": ("反映", "Report"),
    "zw1": ("1号", "window 1"),
    "zw2": ("11号", "window 11"),
    "zl": ("刘洋",),
    "zw3": ("3号", "window 3"),
    "zp2": ("11号窗口呼叫器", "Panel of window 11"),
    "zp1": ("1号窗口呼叫器", "Panel of window 1"),
    "zduty": ("刘洋的寻呼器",),
}
ORDERS = (
    ("open", "window=11", "area=税务综合", "for_s=3600"),
    ("hold", "window=99"),
    ("ask-window", "area=Taxes"),
    ("ask-window", "area=税务综合", "withdraw=true", "everybody=true"),
    ("lift", "kind=open", "target=11号窗口"),
    ("close", "window=窗口11"),
    ("override", "kind=pause-issuing", "target=税务综合"),
    ("pause-issuing", "area=税务综合"),
    ("roster", "staff=刘洋", "said=also", "areas=办不成事反映"),
    ("roster", "staff=刘洋", "said=absent"),
    ("hours-flex", "area=税务综合", "closes=20:00"),
    ("announce", "text=请注意", "text_en=Attention", "areas=税务综合"),
    ("notice", "id=n1", "text=请注意", "text_en=Attention", "areas=税务综合,办不成事反映"),
    ("case", "told=open", "area=税务综合", "service=综合税务", "code=other"),
)
REFUSED = {  # of these, and why: no such window; announced where no loudspeaker is; no hours are planned
    ("hold", "window=99"): "unknown-window",
    ORDERS[10]: "hours-unknown",
    ORDERS[11]: "no-loudspeaker",
}
LOOKS = (
    ("status", "--config", "hall.toml"),
    ("alarms", "--config", "hall.toml"),
    ("cases", "--config", "hall.toml"),
    ("why", "--config", "hall.toml", "--last", "0"),
    ("why", "--config", "hall.toml", "--window", "11"),
    ("why", "--config", "hall.toml", "--area", "税务综合"),
    ("doctor", "--config", "hall.toml"),
)


def lines_without_a_name(text: str) -> list[str]:
    """Lines that name a part by its id and not as people call it."""
    return [
        line
        for line in text.splitlines()
        for part, names in CALLED.items()
        if re.search(rf"(?<![\w.-]){part}(?![\w-])", line) and not any(name in line for name in names)
    ]


async def test_every_command_takes_and_shows_numbers_and_names(tmp_path: Path) -> None:
    asks = {
        name for name in COMMANDS if any(one.name == "broker" for one in load_command(name).params)
    }  # a running hall, by itself
    assert asks - {"demo"} <= {command[0] for command in LOOKS}
    assert asks
    async with real_mosquitto() as broker:
        (tmp_path / "hall.toml").write_text(HALL.format(port=broker.port), "utf-8")
        desk = Desk(tmp_path)
        assert (await desk.run("policy", "keygen", "city"))[0] == 0
        link = MqttLink(settings_for(broker, "watcher"), Rejections())
        async with running(link), hall_in_service(tmp_path, link, b'"degraded"'):
            for name, *words in ORDERS:
                code, output = await desk.run(
                    "op", "push", name, *words, *("--config", "hall.toml", "--key", "city.key")
                )
                assert code == ((name, *words) in REFUSED), (name, words, output)
                assert REFUSED.get((name, *words), "done") in output
                assert not lines_without_a_name(output), output
            outputs = {}
            for command in LOOKS:
                code, outputs[command] = await desk.run(*command)
                assert code in (0, 1), outputs[command]
                assert not lines_without_a_name(outputs[command]), (
                    command,
                    lines_without_a_name(outputs[command]),
                )
    status, why = outputs[LOOKS[0]], outputs[LOOKS[4]]
    assert "11号 zw2" in status
    assert "税务综合 zt" in status
    assert "人工关闭" in status
    assert "11号窗口" in why
    assert "税务综合 zt" in outputs[LOOKS[2]]


SITE = Site(
    "east",
    "East",
    (Area("a1", "税务", "Taxes"), Area("a2", "社保", "Social"), Area("a3", "社保", "Pensions")),
    (Service("s1", "a1", "综合", "General", "A"),),
    (Window("7", "1", ("s1",)), Window("w2", "7", ("s1",)), Window("w3", "A3", ("s1",))),
    (Staff("li", "李", ()),),
)


@pytest.mark.parametrize(
    ("reference", "window"),
    [("7", "7"), ("1", "7"), ("w2", "w2"), ("a3", "w3"), ("A3号窗口", "w3"), ("window 1", "7"), ("9", None)],
)
def test_a_window_is_found_by_id_then_by_number(reference: str, window: str | None) -> None:
    assert window_meant(SITE, reference) == window


def test_a_name_of_two_parts_means_none() -> None:
    assert area_meant(SITE, "社保") is None
    assert area_meant(SITE, "pensions") == "a3"
    assert (service_meant(SITE, "综合"), staff_meant(SITE, "李"), staff_meant(SITE, "王")) == (
        "s1",
        "li",
        None,
    )


def test_an_order_carries_ids_and_leaves_what_it_does_not_know() -> None:
    assert with_ids(OverrideSet("open", "1", "x", area="税务"), SITE) == OverrideSet(
        "open", "7", "x", area="a1"
    )
    assert with_ids(OverrideSet("pause-issuing", "税务", "x"), SITE) == OverrideSet(
        "pause-issuing", "a1", "x"
    )
    number = OverrideSet("priority-insert", "A001", "x")
    assert with_ids(number, SITE) is number
    assert with_ids(RosterTold("李", "also", "x", ("税务", "无")), SITE) == RosterTold(
        "li", "also", "x", ("a1", "无")
    )
    resolved = with_ids(CaseTold("open", "x", area="Taxes", service="综合"), SITE)
    assert isinstance(resolved, CaseTold)
    assert (resolved.area, resolved.service) == ("a1", "s1")


def test_every_part_that_an_order_names_may_be_named() -> None:
    """A field of an order that means a part of the hall takes a name: none is left with the form of an id."""
    parts = {"window", "area", "areas", "service", "staff", "target", "subject"}
    for name, kind in OPERATIONS.items():
        for field, shape in kind.__annotations__.items():
            if field in parts:
                assert "Called" in str(shape) or "str, Meta" in str(shape), f"{name} {field}: {shape}"
