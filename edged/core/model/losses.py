"""Why a device is lost: a fixed set of short words, each with a sentence and a remedy in Chinese and English.

The words are metric labels and stand in journals, so they are never renamed; the texts in journals of earlier versions
are read as ``OTHER``. A driver declares which of the words it uses (``Driver.LOSSES``).
"""

from __future__ import annotations

from typing import NamedTuple

OUR_LINK = "broker"  # our own connection to the broker is down; the device may be fine
OTHER = "other"
OFFLINE = "device is offline"  # error of an action not sent because the device reported itself offline
NOT_LISTENING = "not-listening"  # also the start of the error of an action that no device received


class LossWords(NamedTuple):
    """What a lost device's fault is and how to remedy it: a sentence each, in Chinese and English."""

    zh: str
    en: str
    do_zh: str
    do_en: str


class Loss(NamedTuple):
    """Why a device or its link is lost: a word of ``LOSSES``, and the error text of the operating system or library."""

    word: str
    detail: str = ""


LOSSES: dict[str, LossWords] = {
    "no-answer": LossWords(
        "设备无应答",
        "does not answer",
        "检查电源、接线，核对设备地址（站号）与波特率",
        "check power and cable, then its address (unit) and baud rate",
    ),
    "connection-refused": LossWords(
        "设备拒绝网络连接",
        "refuses the connection",
        "核对 IP 与端口；许多设备只允许一个连接，请关闭厂家调试软件",
        "check host and port; many devices take one connection only: close the maker's own tool",
    ),
    "access-refused": LossWords(
        "设备拒绝用户名或密码",
        "refuses our user or password",
        "核对 hall.toml 的 username 与 secret_file；多次失败后设备可能锁定账号，请稍等",
        "correct username and secret_file in hall.toml; after several tries a device may lock the account for a while",
    ),
    "no-route": LossWords(
        "网络不通",
        "no network leads to it",
        "检查网线、交换机，核对本机与设备的 IP 网段",
        "check network cable and switch, and that both are in one subnet",
    ),
    "no-such-name": LossWords(
        "主机名无法解析",
        "its host name is not known",
        "在 hall.toml 中改用 IP 地址，或修复域名解析",
        "give its IP address in hall.toml, or mend name resolution",
    ),
    "port-missing": LossWords(
        "串口（或 USB 输入设备）不存在",
        "its serial port (or USB input) is not there",
        "检查 USB 线是否插好；CH340 插好仍不见，卸载抢占它的 brltty；"
        "edged doctor 列出本机串口，edged devices detect input 列出键盘和扫码枪",
        "plug it in; where a CH340 vanishes, remove brltty, which takes it; "
        "`edged doctor` lists serial ports, `edged devices detect input` keypads and scanners",
    ),
    "port-busy": LossWords(
        "串口（或 USB 输入设备）被其他程序占用",
        "another program has its serial port (or USB input)",
        "关闭占用串口的程序（fuser -v 可查），或停用 ModemManager",
        "close the program that has it (`fuser -v` names it), or disable ModemManager",
    ),
    "no-permission": LossWords(
        "无权打开端口",
        "may not be opened",
        "核对 /etc/udev/rules.d/71-edged.rules 和服务单元的 DeviceAllow",
        "check /etc/udev/rules.d/71-edged.rules, and DeviceAllow of the unit",
    ),
    "not-a-port": LossWords(
        "路径不是串口（或 USB 输入设备）",
        "its path is no serial port (or USB input)",
        "核对 hall.toml 中的路径，应为 /dev/serial/by-path/（键盘、扫码枪：/dev/input/by-id/）下的名称",
        "correct the path in hall.toml: a name under /dev/serial/by-path/ (keypads, scanners: /dev/input/by-id/)",
    ),
    "closed": LossWords(
        "连接被对方关闭",
        "closed the connection",
        "设备可能重启或另有程序连接；若反复出现，检查电源与网线",
        "it may have restarted, or another program connected; if it repeats, check power and cable",
    ),
    "takes-nothing": LossWords(
        "线路不接收数据",
        "takes no bytes",
        "拔插 USB 转换器或重启串口服务器",
        "unplug and plug in the adapter, or restart the serial server",
    ),
    "no-echo": LossWords(
        "转换器不再回显",
        "its adapter echoes no more",
        "拔插 RS-485 转换器；若反复出现请更换",
        "unplug and plug in the RS-485 adapter; replace it if this repeats",
    ),
    "no-process": LossWords(
        "负责它的进程未运行",
        "the process that serves it does not run",
        "查看 systemctl status edged-pager（或 edged-counters、gammu-smsd）",
        "look at `systemctl status edged-pager` (or edged-counters, gammu-smsd)",
    ),
    "bad-answer": LossWords(
        "应答无法识别",
        "answers what cannot be read",
        "核对波特率与校验位；检查是否两台设备同一地址",
        "check baud rate and parity, and whether two devices have one address",
    ),
    "babble": LossWords(
        "总线噪声不断",
        "its line is never quiet",
        "检查终端电阻、屏蔽接地与 A/B 接线",
        "check termination, earthing of the shield, and A and B",
    ),
    "exception-5": LossWords(
        "模块一直处理未完（异常 5）",
        "is still working on it (exception 5)",
        "重启模块；若反复出现请更换",
        "switch the module off and on; replace it if this repeats",
    ),
    "exception-6": LossWords(
        "模块一直忙（异常 6）",
        "is always busy (exception 6)",
        "检查是否另有主站在访问该模块",
        "look for another master that asks this module",
    ),
    "exception-10": LossWords(
        "网关没有到该站的路由（异常 10）",
        "the gateway has no path to it (exception 10)",
        "核对网关的串口设置与站号映射",
        "check the gateway's own settings: port and unit numbers",
    ),
    "exception-11": LossWords(
        "网关收不到该站应答（异常 11）",
        "does not answer the gateway (exception 11)",
        "检查网关后面的接线、电源与站号",
        "check the wires behind the gateway, its power and its unit number",
    ),
    "silent": LossWords(
        "长时间没有上报",
        "has reported nothing for long",
        "检查电源、网络，以及设备内填写的服务器地址和主题",
        "check power and network, and the broker address and topic typed into it",
    ),
    "offline": LossWords(
        "设备已离线",
        "is offline, by its own word or its will at the broker",
        "检查设备电源和网络",
        "check its power and network",
    ),
    OUR_LINK: LossWords(
        "控制器与消息服务器断开",
        "the controller has no link to the broker",
        "先恢复消息服务器：systemctl status mosquitto",
        "bring the broker back first: `systemctl status mosquitto`",
    ),
    "broker-refuses": LossWords(
        "消息服务器拒绝该设备的主题",
        "the broker refuses its topic",
        "在消息服务器的访问控制表（ACL）中放行该主题",
        "allow its topic in the broker's access list",
    ),
    NOT_LISTENING: LossWords(
        "设备未订阅发给它的主题",
        "has not subscribed to what it is sent",
        "重启设备；核对其订阅主题（hall/…/down/#）和消息服务器的 ACL",
        "restart it; check what it subscribes to (hall/.../down/#) and the broker's access list",
    ),
    OTHER: LossWords(
        "原因见日志",
        "for a reason that the log names",
        "查看 journalctl -u edged 中该设备的记录",
        "look for this device in `journalctl -u edged`",
    ),
}


def known(word: str | None) -> str:
    """``word`` if it is one of ``LOSSES``, else ``OTHER``."""
    return word if word in LOSSES else OTHER
