"""What we ship under configs/ loads, says what the code does, and stays so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml  # type: ignore[import-untyped]

from devices.mqtt_json.codec import MODELS, encode_action, encode_level
from edged.central import topics
from edged.central.audience import Audience, Names, Trusted
from edged.central.cloud_events import EventWriter, Fact
from edged.central.condemned import Condemned
from edged.central.hall_status import HallFacts, HallStatus
from edged.central.operations import OperationDocument
from edged.central.policies import PAYLOAD_TYPE, inspect
from edged.central.policy_desk import Known, PolicyDesk
from edged.central.policy_schema import policy_schema
from edged.central.rehearsed import Missed
from edged.central.state_messages import StateMessages
from edged.central.uplink import parse_ack
from edged.config import load
from edged.core.model.commands import (
    Action,
    AreaSummary,
    Body,
    CasesSummary,
    CaseSummary,
    Display,
    Evaluator,
    Issuing,
    Lamp,
    NoNumber,
    Page,
    Panel,
    Print,
    Refuse,
    Say,
    Serve,
    Value,
    WindowSummary,
)
from edged.core.model.events import Event
from edged.core.model.point import Point
from edged.core.model.state import State, WindowStateName
from edged.links.mqtt.link import MqttLink
from edged.shapes import keys_of
from edged.store.records import ALONE, Attachments, Policies
from tests.support.brokers import (
    Rejections,
    collect,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)
from tests.support.centres import Operator
from tests.support.centres import envelope_of as operation_envelope
from tests.support.policies import AUDIENCE, KEYS, NOW_MS, OTHER_KEY, envelope
from tests.support.schemas import bare, faults, shape

CONFIGS = Path(__file__).parents[2] / "configs"
API: dict[str, Any] = yaml.safe_load((CONFIGS / "asyncapi.yaml").read_text("utf-8"))
SCHEMAS = API["components"]["schemas"]
UP = {
    "status": "DeviceStatus",
    "ticket": "Ticket",
    "request": "TicketRequest",
    "key": "KeyPress",
    "call": "CallReport",
    "end": "EndReport",
    "queue": "QueueReport",
    "window": "WindowReport",
    "rating": "Rating",
    "count": "Count",
    "health": "Health",
    "done": "Done",
}


def test_the_example_hall_is_what_it_says_it_is() -> None:
    hall = load(CONFIGS / "hall-demo.toml")
    assert [area.name for area in hall.site.areas] == [
        "税务综合",
        "企业开办",
        "不动产登记",
        "公积金",
        "社保",
        "办不成事反映",
    ]
    assert len(hall.site.windows) == 15
    assert sum(window.tidal for window in hall.site.windows) == 4
    assert sum("standby" in member.roles for member in hall.site.staff) == 6
    assert sum("commissioner" in member.roles for member in hall.site.staff) == 1
    assert all(member.pager for member in hall.site.staff)
    drivers = [device.driver for device in hall.devices]
    assert set(drivers) == {"mqtt_json", "onbon_bx", "candle485", "modbus_relay", "milesight_mqtt"}
    assert drivers.count("onbon_bx") == 2
    assert sum(bool(window.lamp) for window in hall.site.windows) >= 4


def test_the_teaching_file_is_a_hall() -> None:
    hall = load(CONFIGS / "hall-example.toml")
    assert hall.mqtt.tls is not None
    text = (CONFIGS / "hall-example.toml").read_text("utf-8")
    comments = [line for line in text.splitlines() if "#" in line]
    assert sum(any("\u4e00" <= c <= "\u9fff" for c in line.partition("#")[2]) for line in comments) > 15


@pytest.mark.parametrize("name", ["policy-example.json", "policy-demo.json"])
def test_the_policies_fit_the_example_hall(name: str) -> None:
    hall = load(CONFIGS / "hall-demo.toml")
    document = json.loads((CONFIGS / name).read_text("utf-8"))
    assert document.pop("$schema") == "./policy.schema.json"
    audience = Audience(hall.hall, hall.policy.group, Names.of(hall.site))
    assert inspect(json.dumps(document).encode(), audience).version == 1


def test_the_policy_schema_is_the_one_of_the_code() -> None:
    """Regenerate: edged policy schema > configs/policy.schema.json"""
    assert json.loads((CONFIGS / "policy.schema.json").read_text("utf-8")) == policy_schema()


# -- asyncapi.yaml ----------------------------------------------------------------------------------------------------


def test_every_reference_leads_somewhere_and_every_part_is_used() -> None:
    used: set[str] = set()

    def walk(node: Any) -> None:
        for key, child in (
            node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        ):
            if key == "$ref":
                used.add(child)
            walk(child)

    walk(API)
    for reference in used:
        target: Any = API
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    for kind in ("messages", "schemas", "parameters"):
        for name in API["components"][kind]:
            assert f"#/components/{kind}/{name}" in used
    channels = {operation["channel"]["$ref"] for operation in API["operations"].values()}
    channels |= {o["reply"]["channel"]["$ref"] for o in API["operations"].values() if "reply" in o}
    assert channels == {f"#/channels/{name}" for name in API["channels"]}


def test_addresses_name_their_parameters() -> None:
    assert API["asyncapi"] == "3.0.0"
    for channel in API["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])
        assert channel["messages"]


def test_addresses_are_those_of_the_code() -> None:
    addresses = {channel["address"] for channel in API["channels"].values()}
    device = {f"hall/{{hall}}/dev/{{device}}/up/{kind}" for kind in MODELS}
    device |= {
        f"hall/{{hall}}/dev/{{device}}/down/{kind}"
        for kind in (
            *("lamp", "display", "panel", "pager", "evaluator", "issuing"),
            *("say", "print", "page", "refuse", "serve"),
        )
    }
    assert addresses == device | {topic.address for topic in topics.CONTRACT}


def test_the_description_has_the_publishers_and_retained_topics_of_the_code() -> None:
    operations = {API["channels"][_last(o["channel"])]["address"]: o for o in API["operations"].values()}
    for topic in topics.CONTRACT:
        if topic == topics.ANSWER:  # the reply of hearOperation
            continue
        operation = operations[topic.address]
        assert operation["action"] == ("receive" if topic.way == "down" else "send"), topic
        bindings = operation.get("bindings", {"mqtt": {"retain": False}})
        assert bindings["mqtt"]["retain"] is topic.retained, topic


def _last(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


@pytest.mark.parametrize("kind", MODELS)
def test_schemas_of_device_messages_are_those_of_the_models(kind: str) -> None:
    assert kind in UP, (
        f"up/{kind} needs its schema in configs/asyncapi.yaml, and that schema's name in UP above"
    )
    written = {key: value for key, value in SCHEMAS[UP[kind]].items() if key != "description"}
    assert bare(written) == shape(MODELS[kind])


def fits(name: str, payload: bytes) -> None:
    assert faults(json.loads(payload), SCHEMAS[name], API) == []


CASES = CasesSummary(
    (CaseSummary("20261125-1", "OPEN", "tax", None, "other", 1000, "2026-12-02", False, True),),
    1,
    0,
    1,
    0.5,
    None,
    1.0,
    None,
)
PANEL = Panel("w1", "SERVING", 3, "A001", "请")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("Lamp", Lamp(state)) for state in ("off", "on", "blink")],
        ("Display", Display(("A001→3号窗口",))),
        ("Panel", PANEL),
        ("Serve", Serve((("w1", ("tax-general",)), ("w2", ())))),
        *[("Evaluator", Evaluator("w1", *arguments)) for arguments in ((), ("A001",), (None, "20261125-1"))],
        ("Issuing", Issuing()),
        ("Issuing", Issuing((NoNumber("tax", "stopped", "停止取号", "no more numbers"),))),
        *[("Panel", Panel("w1", state, 0)) for state in get_args(WindowStateName)],
    ],
)
def test_levels_are_sent_as_written_there(name: str, value: Value) -> None:
    tail, payload = encode_level(value)
    assert tail == name.lower()
    fits(name, payload)


@pytest.mark.parametrize(
    "body",
    [
        Say("请", "Please", "A001"),
        Print("A001", "tax", 2),
        Print("A002", "tax", 2, 120, 300, 540),
        Print(
            "A003", "tax", 0, about="told-once", lines=("还需材料：照片",), lines_en=("Please bring: photo",)
        ),
        Print("A004", "tax", 2, seq=7, boot="b1"),
        Print("A005", "tax", 2, url="https://hall.example.org/t/0123456789abcdef0123456789abcdef"),
        Page("chen", "tax", "w3", "请", "Go"),
        Refuse("tax", "closed", "已闭厅", "Closed"),
    ],
)
def test_actions_are_sent_as_written_there(body: Body) -> None:
    tail, payload = encode_action(Action("a1", Point("x"), body))
    assert tail == body.kind
    fits(tail.capitalize(), payload)


class Always:
    """A journal whose disk always works, and that keeps nothing."""

    durable = True

    def policies(self) -> Policies:
        return Policies(None, 0)


async def test_what_the_centre_gets_over_a_real_broker_is_as_written_there() -> None:
    now_ms = [NOW_MS]
    audience = Audience("demo", None, AUDIENCE.names)
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        watcher = MqttLink(settings_for(broker, "watcher"), Rejections())
        published = collect(watcher, "hall/demo/#")
        desk = PolicyDesk(
            audience,
            lambda: Trusted(KEYS),
            link,
            at_once,
            lambda: now_ms[0],
            ledger=Always(),
            state=State,
            condemned=Condemned(),
            refused=lambda why, named, order="": None,
            rehearse=lambda *_: Missed(missed="no-service"),
        )
        messages = StateMessages(link, "demo", lambda at_ms: "2026-05-28T10:00:00+08:00")
        desk.start(Known())  # before the link: what it subscribes to then stands before the first push
        async with running(watcher), running(link), plain_client(broker, "centre") as centre:
            await messages.show(Point("centre"), AreaSummary("tax", 4, 1000, 2, 1, 120, 300, 540))
            await messages.show(Point("centre"), AreaSummary("tax", 0, None, 2, 1))
            await messages.show(Point("centre"), CASES)
            await messages.show(Point("centre"), WindowSummary("w1", "OPEN", None, None, None))
            await messages.show(Point("centre"), WindowSummary("w1", "OPEN", "A001", "tax", "9 waiting"))
            for payload in (b"?", envelope(key=OTHER_KEY), envelope()):
                await centre.publish(topics.policy_push("demo"), payload, qos=1)
            await until(
                lambda: any(b'"version":7' in m.payload and b'"applied",' in m.payload for m in published)
            )
            now_ms[0] *= 2
            desk.check()
            await until(lambda: any(b'"expired":true' in message.payload for message in published))
    reports = [
        json.loads(message.payload) for message in published if message.topic == topics.policy_report("demo")
    ]
    assert [report["state"] for report in reports] == [
        "applied",
        "rejected",
        "rejected",
        "applied",
        "applied",
    ]
    for message in published:
        kind = message.topic.removeprefix("hall/demo/").split("/")
        name = {
            "area": "AreaState",
            "window": "WindowState",
            "cases": "CasesState",
            "report": "PolicyReport",
        }.get(kind[1])
        if name is not None:
            fits(name, message.payload)
    assert len(published) == 5 + 3 + 5
    status = HallStatus("demo", 1, lambda wall_ms: "2026-05-28T10:00:00+08:00", "river-city")
    for why in ((), ("disk", "device relay")):
        fits("HallStatus", status.payload("degraded", HallFacts(State(), True, NOW_MS, ()), why))
    fits("PolicyEnvelope", envelope())
    assert SCHEMAS["PolicyEnvelope"]["properties"]["payloadType"]["const"] == PAYLOAD_TYPE


def test_events_and_their_acknowledgements_are_as_written_there() -> None:
    fact = Fact(7, 1000, 1000, "tidal.requested", "w11", {"area": "tax", "waiting": 9, "staff": None})
    fits("Event", EventWriter("demo", 2).message(fact, "2026-05-28T10:00:00+08:00", 6, False))
    fits("EventsAck", b'{"epoch":2,"upto":7}')
    assert parse_ack(b'{"epoch":2,"upto":7}') == (2, 7)


def test_operations_are_as_written_there() -> None:
    operator = Operator(None, "demo")  # type: ignore[arg-type]
    document = operator.document("open", {"window": "w1"})
    assert faults(document, SCHEMAS["OperationDocument"], API) == []
    keys = keys_of(OperationDocument)
    assert set(SCHEMAS["OperationDocument"]["properties"]) == set(keys)
    assert set(SCHEMAS["OperationDocument"]["required"]) == {
        key for key, required in keys.items() if required
    }
    fits("OperationEnvelope", operation_envelope(document))


def at_once(event: Event, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE) -> bool:
    """Where the inbox stands: everything is committed as it comes."""
    if ack is not None:
        ack()
    return True


def test_the_checker_of_this_file_finds_faults() -> None:
    good = json.loads(encode_level(PANEL)[1])
    wrong: Any
    for wrong in (
        good | {"waiting": -1},
        good | {"extra": 1},
        good | {"state": "open"},
        good | {"number": 1},
        {},
        [],
    ):
        assert faults(wrong, SCHEMAS["Panel"], API)
