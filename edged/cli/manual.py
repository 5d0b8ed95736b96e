"""``edged manual``: prints the manual page ``man edged``, generated from the commands' own help.

Source of the format: man(7). The English page has every command with its options; the Chinese one the purpose of each
command, files and exit codes (the options are listed by ``edged COMMAND --help``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from edged.cli import COMMANDS, app, load_command

WIDTH = 72  # plus a margin of seven: a terminal of 80 columns
CHINESE = {  # in the order of COMMANDS
    "demo": "在本机演示整个大厅：消息服务器、设备、群众、窗口人员。",
    "config": "回答几个问题生成 hall.toml；输出其结构定义。",
    "check": "检查 hall.toml：逐条指出错误、行号和改法。",
    "doctor": "检查本机是否适合；打印现场验收清单。",
    "devices": "单台设备：描述、探测、监听、解码、查找。",
    "run": "运行一个大厅直到停止（由 systemd 单元调用）。",
    "web": "提供大厅页面：值班台、公众屏、回放。",
    "pager": "将呼叫转发到企业微信、钉钉、飞书机器人。",
    "counters": "接收经 HTTP 上报的客流计数器。",
    "bridge": "跟随已有排队系统的数据库或网页接口。",
    "reload": "让运行中的服务读取当前的 hall.toml。",
    "status": "查看运行中的大厅：专区、窗口、策略、健康状况。",
    "alarms": "列出当前告警和处理办法。",
    "cases": "列出未办结的“办不成事”、超期件和办结率。",
    "why": "说明潮汐窗口的每次启用：规则、数据、备选。",
    "words": "列出所有给人看的文字，各附一例。",
    "hours": "按策略显示开放时间和全年节假日。",
    "policy": "密钥；检查、签名、下发策略；查看生效的策略。",
    "keys": "谁可以签发：根密钥、密钥清单、推送。",
    "op": "签名并下发操作：开窗、关窗、通知、回退等。",
    "backtest": "用其他策略重放历史日并比较。",
    "tune": "用大厅自己的日志拟合等候策略。",
    "rehearse": "为服务试算收到的策略（由 edged-rehearse 单元调用）。",
    "bench": "测量本机：延迟、负载、上限。",
    "simulate": "模拟充满故障的日子，逐项核对承诺。",
    "diagnose": "打包一份给协助者的诊断文件，不含个人信息和密码。",
    "backup": "在服务的同时备份大厅。",
    "restore": "从备份继续，本机或另一台主机均可。",
    "settle": "升级前由旧版本整理状态（由安装程序调用）。",
    "bundle": "制作离线安装包。",
    "pki": "签发、更换证书；查看即将到期的证书。",
    "centre": "城市平台侧：保存事件、状态、报表、分批下发。",
    "completion": "输出 bash、zsh、fish 的命令补全脚本。",
    "manual": "输出本手册页。",
    "replay": "重放日志库：同样的事件必须得到同样的指令。",
}
FILES = (
    (
        "/etc/edged/hall.toml",
        "the hall: areas, windows, devices, broker",
        "大厅：专区、窗口、设备、消息服务器",
    ),
    ("/etc/edged/secrets/", "passwords and keys, for root only", "密码和密钥，仅 root 可读"),
    ("/var/lib/edged/hall.db", "the journal", "日志库"),
    (
        "/opt/edged/versions/",
        "installed versions; /opt/edged/venv leads to the one that runs",
        "已安装的版本；/opt/edged/venv 指向运行中的版本",
    ),
)
CODES = (
    ("0", "yes, done", "是，完成"),
    ("1", "no: refused, degraded, unreachable, not found", "否：被拒绝、降级、无法连接、未找到"),
    ("2", "wrong usage or configuration", "用法或配置错误"),
    ("70", "a bug", "程序缺陷"),
    ("74", "the disk", "磁盘错误"),
    ("75", "another process has the journal", "日志库被其他进程占用"),
    ("78", "the journal was written by a newer version", "日志库由更新的版本写入"),
)
ENGLISH_TITLES = ("NAME", "SYNOPSIS", "COMMANDS", "FILES", "EXIT STATUS", "SEE ALSO")
CHINESE_TITLES = ("名称", "用法", "命令", "文件", "退出码", "另见")


def manual(lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of the page.")] = "en") -> None:
    """Print the manual page in the format of man(1).

    \b
    Example:    edged manual > /usr/local/share/man/man1/edged.1
    Exit codes: 0 printed.
    """
    typer.echo(page(lang))


def page(lang: Literal["en", "zh"]) -> str:
    """The whole page as roff with man(7) macros."""
    zh = lang == "zh"
    name, synopsis, commands, files, codes, also = CHINESE_TITLES if zh else ENGLISH_TITLES
    subtitle = "政务服务大厅边缘控制器" if zh else "edge controller of a government service hall"
    lines = ['.TH EDGED 1 "" edged', f".SH {name}", rf"edged \- {subtitle}", f".SH {synopsis}"]
    lines += [
        r"\fBedged\fR \fICOMMAND\fR [\fIOPTIONS\fR]",
        ".br",
        r"\fBedged\fR \fICOMMAND\fR \fB\-\-help\fR",
    ]
    lines += [f".SH {commands}", *(_chinese() if zh else _english()), f".SH {files}"]
    for place, english, chinese in FILES:
        lines += [".TP", rf"\fI{_plain(place)}\fR", _plain(chinese if zh else english)]
    lines.append(f".SH {codes}")
    for code, english, chinese in CODES:
        lines += [".TP", rf"\fB{code}\fR", _plain(chinese if zh else english)]
    lines += [f".SH {also}", r"\fBjournalctl\fR(1), \fBsystemctl\fR(1), \fBmosquitto\fR(8)"]
    return "\n".join(lines)


def _chinese() -> Iterator[str]:
    for name, (_, english) in COMMANDS.items():
        yield from (".TP", rf"\fBedged {name}\fR", _plain(CHINESE.get(name, english)))


def _english() -> Iterator[str]:
    root = typer.main.get_command(app)
    for name in COMMANDS:
        yield from _command(load_command(name), f"edged {name}", root)


def _command(command: Any, words: str, parent: Any) -> Iterator[str]:
    """Yield the page's section about a command, made from its own help, then those of its subcommands."""
    import click

    context = click.Context(
        command,
        info_name=words,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield from (f'.SS "{words}"', ".nf", *map(_plain, command.get_help(context).splitlines()), ".fi")
    for below in getattr(command, "commands", {}).values():
        yield from _command(below, f"{words} {below.name}", command)


def _plain(line: str) -> str:
    """Escape a line, so that no backslash, hyphen, dot or quote in it is a roff request."""
    text = line.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text[:1] in (".", "'") else text
