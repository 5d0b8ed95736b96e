"""Writes a first hall.toml from a few answers: complete enough for ``edged check``; optional keys are comments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LETTERS = "ABCDEFGHJKLMNPQRSTVWXYZ"  # first letters of ticket numbers; without I, O and U, which are misread
HEAD = """#:schema {schema}
# {name} / hall.toml, written by `edged config new`. After every change 每次修改后：edged check hall.toml
# What else there is, with comments, stands in hall-example.toml. 其余写法见 hall-example.toml。
"""


@dataclass(frozen=True, slots=True)
class AreaDraft:
    """The answers about one area: how many regular and how many "+1" windows it has."""

    id: str
    name: str
    name_en: str
    windows: int
    tidal: int


@dataclass(frozen=True, slots=True)
class HallDraft:
    """All answers. ``ports``: the serial ports found on this machine."""

    id: str
    name: str
    broker: str
    broker_port: int
    areas: Sequence[AreaDraft]
    ports: Sequence[str] = ()


def hall_toml(draft: HallDraft, schema: str = "./hall.schema.json") -> str:
    """The text of the new hall.toml. ``schema``: the path of the JSON Schema that its first line names, for editors."""
    parts = [
        HEAD.format(name=draft.name, schema=schema),
        f'[hall]\nid = "{draft.id}"\nname = "{draft.name}"\n',
        f'# The hall\'s broker 消息服务器\n[mqtt]\nhost = "{draft.broker}"\nport = {draft.broker_port}\n'
        '# username = "edged"\n# password_file = "/run/credentials/edged.service/secrets_mqtt.password"\n',
        '[store]\npath = "/var/lib/edged/hall.db"\n',
        "[web]\nport = 9464\n",
        '[duty]                       # the duty manager 值班长\npager = "pager-duty"\n',
    ]
    devices = [("dispenser-1", "dispenser"), ("voice-1", "voice"), ("pager-duty", "pager")]
    number = 0
    for position, area in enumerate(draft.areas):
        prefix, names = LETTERS[position], f'name = "{area.name}"\nname_en = "{area.name_en}"\n'
        parts.append(f'[[areas]]\nid = "{area.id}"\n{names}voice = "voice-1"\n')
        parts.append(
            f'[[services]]\nid = "{area.id}-general"\narea = "{area.id}"\n{names}'
            f'prefix = "{prefix}"               # numbers {prefix}001, {prefix}002, … 号票前缀\n'
            "# mean_s = 600             # usual service time in seconds 平均办理时长（秒）\n"
        )
        for place in range(area.windows + area.tidal):
            number += 1
            tidal = place >= area.windows
            window = f"w{number}"
            more = (
                f'tidal = true               # a "+1" window 潮汐窗口\nlamp = "lamp-{window}"\n'
                if tidal
                else ""
            )
            parts.append(
                f'[[windows]]\nid = "{window}"\nnumber = "{number}"\n{more}skills = ["{area.id}-general"]\n'
                f'panel = "panel-{window}"\n'
            )
            devices.append((f"panel-{window}", "panel"))
            if tidal:
                devices.append((f"lamp-{window}", "lamp"))
    skills = ", ".join(f'"{area.id}"' for area in draft.areas)
    parts.append(
        "# Who may be paged for a +1 window 待命人员\n"
        f'[[staff]]\nid = "staff-1"\nname = "待命一"\nskills = [{skills}]\npager = "pager-staff-1"\n'
    )
    devices.append(("pager-staff-1", "pager"))
    parts += [
        f'[[devices]]\nid = "{device}"\ndriver = "mqtt_json"\nkind = "{kind}"\n' for device, kind in devices
    ]
    if draft.ports:
        found = "\n".join(f"#   {port}" for port in draft.ports)
        parts.append(f"# Serial ports of this machine 本机串口：\n{found}\n")
    return "\n".join(parts)
