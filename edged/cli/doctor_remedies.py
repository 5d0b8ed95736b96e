"""The remedy for a fault found by each check of ``edged doctor``, in Chinese and English."""

from __future__ import annotations

AS_ABOVE = ("按上一行的说明处理", "do as the line above says")
REMEDIES: dict[str, tuple[str, str]] = {
    "journal": (
        "用 edged restore 恢复备份，或换用写入该日志的版本",
        "restore a backup (`edged restore`), or run the version that wrote this journal",
    ),
    "room": (
        "将 [store] path 移到本机 SSD，并留出 1 GiB 以上空间",
        "put [store] path on a local SSD with 1 GiB free or more",
    ),
    "sync": (
        "更换为带掉电保护的 SSD；先用 edged bench --only disk 复测",
        "use an SSD with power-loss protection; measure again with `edged bench --only disk`",
    ),
    "parts": (
        "按提示修改 hall.toml，再运行 edged check",
        "correct hall.toml as it says, then run `edged check`",
    ),
    "backup": (
        "用 systemctl edit edged-backup 指定第二台机器的目录（EDGED_BACKUP），"
        "再 systemctl enable --now edged-backup.timer",
        "name a folder of a second machine (EDGED_BACKUP) by `systemctl edit edged-backup`, then"
        " `systemctl enable --now edged-backup.timer`",
    ),
    "broker": (
        "systemctl status mosquitto；核对 [mqtt] 的地址、端口、用户名和密码文件",
        "`systemctl status mosquitto`; check host, port, username and password_file of [mqtt]",
    ),
    "broker-guard": (
        "在 mosquitto 设置 allow_anonymous false 与 password_file（见 configs/mosquitto）",
        "set allow_anonymous false and password_file in mosquitto (configs/mosquitto shows how)",
    ),
    "broker-key": (
        "将私钥改为 root:mosquitto、640，再重新加载 mosquitto",
        "make the key root:mosquitto with mode 640, then reload mosquitto",
    ),
    "names": (
        "在 hall.toml 中改用 IP 地址，或修复域名解析",
        "give IP addresses in hall.toml, or mend name resolution",
    ),
    "serial": (
        "插好转换器；ls -l /dev/serial/by-path/ 查看固定名称并写入 hall.toml",
        "plug the adapter in; `ls -l /dev/serial/by-path/` shows the lasting name for hall.toml",
    ),
    "clock": (
        "timedatectl set-ntp true，并在 /etc/systemd/timesyncd.conf 写入局域网授时服务器",
        "`timedatectl set-ntp true`, and name a time server of this network in timesyncd.conf",
    ),
    "rtc": (
        "更换主板电池，再执行 hwclock --systohc",
        "replace the battery on the board, then `hwclock --systohc`",
    ),
    "watchdog": (
        "恢复发行的服务单元（WatchdogSec=6s），systemctl daemon-reload",
        "put the shipped unit back (WatchdogSec=6s), then `systemctl daemon-reload`",
    ),
    "hardware-watchdog": (
        "加载看门狗驱动（如 iTCO_wdt），在 system.conf 设置 RuntimeWatchdogSec=30s",
        "load the driver of the board's watchdog (iTCO_wdt), set RuntimeWatchdogSec=30s in system.conf",
    ),
    "limits": (
        "恢复发行的服务单元（LimitNOFILE）",
        "put the shipped unit back (LimitNOFILE)",
    ),
    "memory": (
        "换用 1 GiB 以上内存的主机",
        "use a machine with 1 GiB of memory or more",
    ),
    "policy-keys": (
        "将政策签发方的公钥文件写入 [policy] keys",
        "name the file with the public keys of whoever signs policies in [policy] keys",
    ),
    "key-list": (
        "请上级推送期限更长、由现有根密钥签发的密钥清单；根公钥写入 [policy] root",
        "ask the centre for a key list that lasts longer and that a root key of [policy] root has signed",
    ),
    "devices": (
        "见下方各设备的原因与办法",
        "the lines of each device below say why and what helps",
    ),
    "dead-man": (
        "在模块内设置 15 秒以内的看门狗",
        "set the watchdog inside the module to 15 s or less",
    ),
    "unit": (
        "恢复发行的服务单元，或按提示放行设备与凭据",
        "put the shipped unit back, or let through what the line names",
    ),
    "access-list": (
        "按 configs/mosquitto/edged.acl 补齐，重新加载 mosquitto",
        "add what is missing as in configs/mosquitto/edged.acl, reload mosquitto",
    ),
    "secrets": (
        "检查 /etc/edged/secrets 下的文件；更换即将到期的证书后重新加载",
        "look at the files under /etc/edged/secrets; replace what ends soon, then reload",
    ),
    "daemon": (
        "journalctl -u edged -n 50 查看原因；edged alarms 列出告警与办法",
        "`journalctl -u edged -n 50` says why; `edged alarms` lists what stands and what helps",
    ),
    "device": (
        "查看 hall.toml 中该设备的设置，运行 edged check",
        "look at this device in hall.toml, run `edged check`",
    ),
}


def remedy_of(name: str, own: tuple[str, str]) -> tuple[str, str]:
    """The remedy (Chinese, English) for a fault found by check ``name``: ``own`` unless it is empty, else the one
    listed for the check, else for the first word of its name ("device" of "device relay-1").
    """
    return own if own[0] else REMEDIES.get(name) or REMEDIES.get(name.partition(" ")[0], AS_ABOVE)
