"""The commissioning checklist (现场验收清单): what only the real machine can show. Rules of this file:

* A line names its fault case (F01-F74), what to do, what must be seen and within how many seconds (0: no time limit).
* ``check`` names the self-check in ``doctor_checks.py`` that answers a part of the line by itself.
* Faults that a test shows on every change are not listed here; ``tests/faults/cases.toml`` says what is tested where.
"""

from __future__ import annotations

from typing import NamedTuple


class ChecklistLine(NamedTuple):
    """One line for the engineer on site. Texts are (Chinese, English)."""

    case: str
    do: tuple[str, str]
    see: tuple[str, str]
    within_s: int = 0
    check: str = ""


LINES: tuple[ChecklistLine, ...] = (
    ChecklistLine(
        "F02",
        (
            "连续取号、叫号时拔掉主机电源线，重新上电；重复十次",
            "Pull the mains plug while numbers are taken and called; ten times",
        ),
        (
            "号码、窗口、指示灯与断电前一致；edged replay 显示 identical",
            "Numbers, windows and lamps as before; edged replay says identical",
        ),
        within_s=60,
        check="journal",
    ),
    ChecklistLine(
        "F05",
        (
            "用大文件写满日志所在分区，继续叫号，再删除文件",
            "Fill the journal's partition with a large file, go on calling, delete it",
        ),
        (
            "叫号不断；edged status 显示 durable False，删除后恢复 True",
            "Calling goes on; edged status says durable False, and True again after",
        ),
        within_s=10,
        check="room",
    ),
    ChecklistLine(
        "F08",
        ("查看磁盘写入耗时", "Look at how long the disk takes for a commit"),
        ("同步写入 p99 不超过 50 毫秒", "A synchronised write takes 50 ms at p99, no more"),
        check="sync",
    ),
    ChecklistLine(
        "F09",
        (
            "停止 mosquitto（或拔掉其网线）十分钟，期间用串口呼叫器叫号，再恢复",
            "Stop mosquitto (or pull its cable) for ten minutes, call with serial panels, bring it back",
        ),
        (
            "串口设备照常叫号；恢复后指示灯、显示屏正确，中心补收全部事件",
            "Serial devices go on; then lamps and displays are right and the centre gets every event",
        ),
        within_s=5,
        check="broker",
    ),
    ChecklistLine(
        "F10",
        (
            "拔掉交换机与主机之间的网线（不停止任何程序）",
            "Pull the cable between switch and machine, stopping no program",
        ),
        ("日志出现 link-down；插回后自行恢复", "The log says link-down; back by itself once plugged in"),
        within_s=12,
    ),
    ChecklistLine(
        "F20",
        (
            "拔下 USB 串口适配器，插到另一个口再插回原口",
            "Unplug the USB serial adapter, plug it in elsewhere, then where it was",
        ),
        (
            "拔下时设备报失联，插回后三秒内恢复，其余设备不受影响",
            "Its devices are lost, and back within 3 s; no other device is touched",
        ),
        within_s=3,
        check="serial",
    ),
    ChecklistLine(
        "F24",
        ("关掉同一 RS-485 总线上的一台设备", "Switch off one unit of a shared RS-485 line"),
        (
            "其余设备的指示灯照常，断电设备报失联",
            "The others' lamps are as quick as before; the dead unit is told as lost",
        ),
        within_s=5,
    ),
    ChecklistLine(
        "F29",
        ("用 date 将系统时间拨快、再拨回一小时", "Set the clock an hour forward and back with date"),
        (
            "无人被误过号，号码顺序不变，日志有 clock-stepped",
            "Nobody times out, the order stands, the log says clock-stepped",
        ),
        within_s=5,
        check="clock",
    ),
    ChecklistLine(
        "F30",
        (
            "关机，断网上电开机，十分钟后接网",
            "Switch off, boot without the network, plug it in ten minutes later",
        ),
        (
            "主机时钟有电池则时间正确；没有则按人员在岗开放，校时后按营业时间",
            "Right time with a battery; else open while somebody is there, by the hours once the time is known",
        ),
        check="rtc",
    ),
    ChecklistLine(
        "F31",
        ("kill -STOP 主进程", "kill -STOP the daemon"),
        (
            "看门狗杀掉并重启，亮着的“+1”灯不灭，无人被误过号",
            "The watchdog kills it; lit +1 lamps stay lit, nobody times out",
        ),
        within_s=12,
        check="watchdog",
    ),
    ChecklistLine(
        "F32",
        (
            "停止系统本身：echo c > /proc/sysrq-trigger（可选）",
            "Hang the system itself: echo c > /proc/sysrq-trigger (optional)",
        ),
        ("硬件看门狗重启主机，大厅恢复", "The hardware watchdog reboots the machine and the hall is back"),
        within_s=180,
        check="hardware-watchdog",
    ),
    ChecklistLine(
        "F35",
        ("查看服务单元的文件句柄上限", "Look at the unit's limit on open files"),
        ("上限不低于 1024", "The limit is 1024 or more"),
        check="limits",
    ),
    ChecklistLine(
        "F36",
        (
            "运行 edged bench --config hall.toml（停止服务后）",
            "Run edged bench --config hall.toml with the service stopped",
        ),
        ("内存和时延在 README 所列限度内", "Memory and latency within the limits of README"),
        check="memory",
    ),
    ChecklistLine(
        "F38",
        ("推送一份未签名或改动过的策略", "Push a policy without a signature, or with a byte changed"),
        ("被拒绝并说明原因，生效策略不变", "Refused with its reason; the policy in force stands"),
        within_s=2,
        check="policy-keys",
    ),
    ChecklistLine(
        "key-list",
        (
            "有根密钥的城市：推送密钥清单（edged keys push）",
            "In a city with a root key: push the key list (edged keys push)",
        ),
        ("大厅回复已生效；重启后仍是该版本", "The hall answers applied; after a restart it still holds it"),
        check="key-list",
    ),
    ChecklistLine(
        "parts",
        ("运行 edged check", "Run edged check"),
        (
            "无错误；每条提示都已知晓（无人使用的设备、显示屏没有的字）",
            "No mistake; every remark is known (devices nobody uses, characters a board has not)",
        ),
        check="parts",
    ),
    ChecklistLine(
        "names",
        (
            "拔掉外网，重启主机，核对各设备上线",
            "Pull the cable to the outside, restart the machine, and see every device come back",
        ),
        ("不依赖外网域名，设备全部在线", "Nothing needs a name server outside: every device is there"),
        check="names",
    ),
    ChecklistLine(
        "broker-key",
        (
            "执行 systemctl reload mosquitto，再用设备取号",
            "Run systemctl reload mosquitto, then take a number",
        ),
        (
            "broker 重新读取证书和私钥，照常出号",
            "The broker reads certificate and key again; numbers are printed",
        ),
        check="broker-key",
    ),
    ChecklistLine(
        "F43",
        (
            "用笔记本接入大厅网络，以无证书客户端发布取号和叫号",
            "From a laptop on the hall's network publish a ticket and a call without a certificate",
        ),
        ("broker 拒绝连接或发布，队列不变", "The broker refuses; the queue does not change"),
        within_s=2,
        check="broker-guard",
    ),
    ChecklistLine(
        "F44",
        ("拔掉一块 LED 屏和一个指示灯模块的电源", "Cut the power of one LED bar and one lamp module"),
        (
            "edged status 报失联，值班长收到通知，其他屏和灯照常；通电后自行正确",
            "edged status says lost; the others go on; right by themselves once powered",
        ),
        within_s=15,
        check="devices",
    ),
    ChecklistLine(
        "F45",
        (
            "“+1”灯亮时 systemctl stop edged；再对每种模块断开网线",
            "With a +1 lamp lit: systemctl stop edged; then pull the cable of each kind of module",
        ),
        (
            "灯自行熄灭（模块自带看门狗，没有的模块须在模块内设置）",
            "The lamp goes dark by itself (set the module's own watchdog where it has no timed coil)",
        ),
        within_s=15,
        check="dead-man",
    ),
    ChecklistLine(
        "F46",
        ("查看服务单元：永远重启", "Look at the unit: it restarts for ever"),
        (
            "Restart=always,StartLimitIntervalSec=0，安全评分不高于 1.2",
            "Restart=always, StartLimitIntervalSec=0, exposure 1.2 or less",
        ),
        check="unit",
    ),
    ChecklistLine(
        "F47",
        ("升级到新版本，再退回旧版本", "Upgrade to a newer version, then go back"),
        (
            "升级后状态不变；旧版本遇到新库以 78 退出，文件原样",
            "The state stands; the older version ends with 78 on a newer journal and leaves it alone",
        ),
        within_s=30,
    ),
    ChecklistLine(
        "F48",
        ("移走 broker 证书或令其过期", "Take the broker's certificate away, or let it expire"),
        (
            "串口和本地叫号照常，日志和 edged status 报 mqtt 断开",
            "Local calling goes on; log and edged status say that mqtt is down",
        ),
        within_s=12,
        check="secrets",
    ),
    ChecklistLine(
        "F65",
        (
            "每台设备各发一条消息，看控制器是否收到",
            "Let every device say something once; look whether it is heard",
        ),
        (
            "edged status 无失联；访问控制表放行全部主题",
            "edged status has nobody lost; the broker's list lets every topic through",
        ),
        check="access-list",
    ),
    ChecklistLine(
        "F70",
        (
            "拔掉主机电源，在备用机上按手册恢复最近的备份并取号",
            "Unplug the PC, restore the newest backup on the spare one by the manual, take a number there",
        ),
        (
            "号码接在已印出的号码之后，无重号；告警说明日志来自备份",
            "Numbers go on behind what is on paper, none twice; an alarm says that the journal is from a backup",
        ),
        within_s=600,
        check="backup",
    ),
)

CARD: tuple[tuple[str, str], ...] = (
    (
        "应急卡（停机手工叫号，请贴在取号机旁）",
        "Emergency card (the controller is away; keep it beside the dispensers)",
    ),
    (
        "1. 按业务手写号码，接着最后一张号票往下写，例如 A051、A052",
        "1. Write numbers by hand, service by service, on from the last one printed: A051, A052",
    ),
    (
        "2. 窗口口头叫号；老人、残疾人、孕妇、军人优先",
        "2. Windows call aloud; elderly, disabled, pregnant and military visitors first",
    ),
    (
        "3. 记下最后发出的号码，和还在等候的第一个号码",
        "3. Keep the last number given, and the first one that still waits",
    ),
    (
        "4. 恢复后由值班长按一次：go-on A057 waiting=A053 by=姓名（A057 为下一个号码，A053 起仍在等候）",
        "4. Then one key of the duty manager: go-on A057 waiting=A053 by=NAME (next is A057, from A053 on they wait)",
    ),
    (
        "   或下达指令：edged op push go-on number=A057 waiting_from=A053",
        "   or one order: edged op push go-on number=A057 waiting_from=A053",
    ),
    (
        "   超过100个手工号时先询问，核对后一分钟内再做一次",
        "   More than 100 numbers by hand are asked about: check, then once more within a minute",
    ),
    (
        "5. 每项业务各做一次；看屏上等候人数是否正确",
        "5. Once for each service; see that the boards count who waits",
    ),
)
