"""``edged config``: writes a hall.toml from a few questions; prints the reference and the JSON Schema of hall.toml."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from edged.cli.target import fail

AREAS_ASKED_MAX = 20  # there are as many first letters of ticket numbers
app = typer.Typer(
    help="Write a first hall.toml from a few questions; its schema for editors.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
QUESTIONS = {
    "id": ("Short id of the hall, for topics (a-z, 0-9, -)", "大厅标识，用于主题（小写字母、数字、连字符）"),
    "name": ("Name of the hall", "大厅名称"),
    "broker": ("Address of the broker", "消息服务器地址"),
    "port": ("Port of the broker", "消息服务器端口"),
    "areas": ("How many areas", "几个服务专区"),
    "area": ("Name of area {n}", "第{n}个专区名称"),
    "area_en": ("Its English name", "其英文名称"),
    "windows": ("Windows that serve {area} all day", "{area} 常设窗口数"),
    "tidal": ('"+1" windows of {area}', "{area} 潮汐窗口数"),
}


@app.command()
def reference(
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the texts.")] = "en",
) -> None:
    """Print the reference of hall.toml. It lists every table and key with values, default and meaning, and is also in
    configs/hall-reference.md.
    """
    from edged.config.reference import hall_reference

    typer.echo(hall_reference(lang), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of hall.toml. taplo, VS Code and other editors use it; it is also in
    configs/hall.schema.json.
    """
    typer.echo(_schema_text(), nl=False)


def _schema_text() -> str:
    from edged.config.hall_schema import hall_schema

    return json.dumps(hall_schema(), ensure_ascii=False, indent=2) + "\n"


@app.command()
def new(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")] = Path("hall.toml"),
    lang: Annotated[str | None, typer.Option(help="zh or en; default: the terminal's.")] = None,
) -> None:
    """Write a hall.toml from a few questions. They are about areas, windows and the broker; the file passes `edged
    check`.

    The JSON Schema that its first line names is written beside it: taplo and VS Code use it to complete and check.

    \b
    Example:    edged config new /etc/edged/hall.toml
    Exit codes: 0 written, 2 the file exists already.
    """
    from edged.site.hall_draft import AreaDraft, HallDraft, hall_toml

    if out.exists():
        raise fail(f"{out} is there already; name another file", 2)
    chinese = (lang or os.environ.get("LC_ALL") or os.environ.get("LANG") or "en").startswith("zh")

    def ask(what: str, default: str, pattern: str, **names: object) -> str:
        question = QUESTIONS[what][chinese].format(**names)
        while True:
            answer = str(typer.prompt(question, default=default)).strip()
            if re.fullmatch(pattern, answer):
                return answer
            typer.echo(
                "不符合要求，请重新输入" if chinese else "that does not fit, once more please", err=True
            )

    ident, name = ask("id", "east", r"[a-z0-9][a-z0-9-]{0,31}"), ask("name", "政务服务中心", r".{1,32}")
    broker = ask("broker", "127.0.0.1", r"[A-Za-z0-9.:_-]{1,253}")
    port = int(ask("port", "1883", r"[0-9]{1,5}"))
    areas = []
    for n in range(1, int(ask("areas", "1", rf"[1-9]|1[0-9]|{AREAS_ASKED_MAX}")) + 1):
        area = ask("area", f"专区{n}", r"[^\"\\\x00-\x1f]{1,32}", n=n)
        area_en = ask("area_en", f"Area {n}", r"[ -!#-\[\]-~]{1,32}")
        windows = int(ask("windows", "2", r"[1-9][0-9]?", area=area))
        areas.append(
            AreaDraft(f"area{n}", area, area_en, windows, int(ask("tidal", "1", r"[0-9]", area=area)))
        )
    out.write_text(hall_toml(HallDraft(ident, name, broker, port, areas, _serial_ports())), encoding="utf-8")
    # named in the first line of hall.toml, for completion and checks in editors
    beside = out.with_name("hall.schema.json")
    if not beside.exists():
        beside.write_text(_schema_text(), encoding="utf-8")
    typer.echo(f"{out}: edged check {out}")


def _serial_ports() -> list[str]:
    """The serial ports of this machine by path below /dev/serial/by-path. This path names the socket, so it stays the
    same after a restart or with another adapter. Without that folder: device names with a description.
    """
    from serial.tools.list_ports import comports

    folder = Path("/dev/serial/by-path")
    lasting = sorted(str(path) for path in folder.iterdir()) if folder.is_dir() else []
    return lasting or [f"{port.device} ({port.description})" for port in sorted(comports())]
