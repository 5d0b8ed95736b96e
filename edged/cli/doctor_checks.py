"""The automatic checks of ``edged doctor``. Rules of this file:

* A check is a function of the hall's configuration, listed in ``CHECKS``; it changes nothing and takes seconds
at most.
* Its result is well, ill or unknown, with an explanation in Chinese and English; for unknown it says
what the check would need.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import asdict

from edged import clock
from edged.config import HallConfig

UNIT = "edged.service"
BACKUP = "edged-backup.service"
BACKUP_TIMER = "edged-backup.timer"
BACKUP_S_MAX = 1_200.0  # the timer's five minutes, four for the copy, and some for a machine that was off
MOSQUITTO = "/etc/mosquitto"
MOSQUITTO_USER = "mosquitto"
ACL = f"{MOSQUITTO}/edged.acl"
_KEY_FILE = re.compile(r"^[ \t]*keyfile[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
ROOM_BYTES = 1 << 30  # space for a year of a busy hall, and many times the ballast file
SYNC_MS_MAX = 50.0
SYNCS = 60
WATCHDOG_S_MAX = 6.0
EXPOSURE_MAX = 1.2
FILES_MIN = 1_024
MEMORY_BYTES = 1 << 30
RTC_OFF_S = 5
COMMAND_S = 10.0
# file systems that lose data with a power cut or the network
VOLATILE = frozenset({"tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "9p"})
STABLE_PORTS = ("/dev/serial/by-path/", "/dev/serial/by-id/", "/dev/ttyS")


class CheckResult(NamedTuple):
    """The result of one check of ``edged doctor``, with a sentence in Chinese and English."""

    state: Literal["well", "ill", "unknown"]
    chinese: str
    english: str
    do: tuple[str, str] = ("", "")  # a remedy more specific than the check's own


def well(chinese: str, english: str) -> CheckResult:
    """The result "good" with its sentence."""
    return CheckResult("well", chinese, english)


def ill(chinese: str, english: str, do_chinese: str = "", do_english: str = "") -> CheckResult:
    """The result "fault" with its sentence. ``do_chinese`` and ``do_english``: a remedy for this very fault; if empty,
    the check's usual remedy (``doctor_remedies``) is printed.
    """
    return CheckResult("ill", chinese, english, (do_chinese, do_english))


def unknown(chinese: str, english: str) -> CheckResult:
    """The result "cannot be checked from here"."""
    return CheckResult("unknown", chinese, english)


def check_journal(hall: HallConfig) -> CheckResult:
    """Can the journal be read, and was it written by this version or an older one?"""
    from edged.store.database import StoreError
    from edged.store.journal import Journal

    path = Path(hall.store.path)
    if not path.exists():
        return unknown("尚无日志库", f"no journal yet at {path}")
    try:
        journal = Journal.open(path, read_only=True)
    except StoreError as error:
        return ill(f"日志库不可读：{error}", str(error))
    steps = journal.restore().last_seq
    journal.close()
    return well(f"日志库可读，{steps} 步", f"the journal can be read: {steps} steps")


def check_room(hall: HallConfig) -> CheckResult:
    """Is there enough free space, on a file system that survives a power cut?"""
    folder = _folder(hall)
    free = os.statvfs(folder)
    mib = free.f_bavail * free.f_frsize >> 20
    kind = _filesystem(folder)
    if kind in VOLATILE:
        return ill(
            f"{folder} 位于 {kind}：断电即失", f"{folder} is on {kind}: a power cut or a network takes it"
        )
    if mib << 20 < ROOM_BYTES:
        return ill(f"剩余 {mib} MiB，需要 1024", f"{mib} MiB free, wanted are 1024")
    return well(f"剩余 {mib} MiB（{kind}）", f"{mib} MiB free on {kind}")


def check_sync(hall: HallConfig) -> CheckResult:
    """How long does the disk take to write one page durably?"""
    from edged.bench.disk import sync_seconds

    try:
        with tempfile.TemporaryDirectory(dir=_folder(hall), prefix="edged-doctor-") as scratch:
            took = sorted(sync_seconds(Path(scratch) / "page", SYNCS))
    except OSError as error:
        return ill(f"无法写入：{error}", f"cannot write: {error}")
    ms = took[int(len(took) * 0.99)] * 1000
    texts = (f"同步写入 p99 {ms:.1f} 毫秒", f"a synchronised write takes {ms:.1f} ms at p99")
    return well(*texts) if ms <= SYNC_MS_MAX else ill(*texts)


def check_broker(hall: HallConfig) -> CheckResult:
    """Does the broker accept a connection with the settings in hall.toml, and keep retained messages?"""
    from edged.cli.exchange import NoAnswer, conversation
    from edged.cli.target import from_config
    from edged.clock import perf_s
    from edged.config import ConfigErrors

    start_s = perf_s()
    try:
        with conversation(from_config(hall.file), ["$SYS/broker/version"]) as talk:
            ms = (perf_s() - start_s) * 1000
            if not talk.keeps:
                return ill(
                    "broker 不保存保留消息：设备重启后收不到状态",
                    "the broker keeps no retained messages (retain_available): a device that restarts stays dark",
                )
    except (NoAnswer, ConfigErrors) as error:
        return ill(f"broker 不可用：{error}", str(error))
    return well(f"broker 应答 {ms:.0f} 毫秒", f"the broker answers in {ms:.0f} ms")


def check_parts(hall: HallConfig) -> CheckResult:
    """Does hall.toml leave a part of the hall without function, for example a lamp set as a pager, or no dispenser?"""
    lines = [remark.line for remark in hall.remarks]
    if any(remark.grave for remark in hall.remarks):
        return ill(f"部分设备配置不可用：{'; '.join(lines)}", "; ".join(lines))
    if lines:
        return well(f"配置有提示：{'; '.join(lines)}", f"to think about: {'; '.join(lines)}")
    return well("各部分配置完整", "every part of the hall has what it needs")


def check_broker_guard(hall: HallConfig) -> CheckResult:
    """Does the broker accept a client without a password? It must not, on a network that visitors can reach."""
    from edged.cli.exchange import NoAnswer, conversation
    from edged.cli.target import from_config
    from edged.config import ConfigErrors

    if check_broker(hall).state != "well":
        return unknown("broker 不可用", "the broker is not there to be asked")
    with suppress(ConfigErrors):
        own = from_config(hall.file)
        stranger = type(own)(own.hall, own.host, own.port, own.protocol, tls=own.tls, tls_ca=own.tls_ca)
        try:
            with conversation(stranger):
                return ill(
                    "broker 接受无凭据的客户端",
                    "the broker takes a client without a name: allow_anonymous false",
                )
        except NoAnswer:
            pass
    return well("broker 拒绝无凭据的客户端", "the broker refuses a client without a name")


def check_names(hall: HallConfig) -> CheckResult:
    """Can the host names in hall.toml be resolved?"""
    import socket

    hosts = {hall.mqtt.host, hall.web.host}
    for device in hall.devices:
        given = asdict(device.options)
        hosts |= {
            urlsplit(text).hostname or ""
            for text in given.values()
            if isinstance(text, str) and "://" in text
        }
        hosts.add(str(given.get("host") or ""))
    lost = []
    for host in sorted(host for host in hosts if host):
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            lost.append(host)
    if lost:
        return ill(
            f"主机名无法解析：{'、'.join(lost)}；请改用 IP 地址或修复域名解析",
            f"no address is known for {', '.join(lost)}: give the IP address, or mend name resolution",
        )
    return well("主机名均可解析", "every host in hall.toml has an address")


def check_broker_key(hall: HallConfig) -> CheckResult:
    """Can mosquitto read the private key of its certificate? It starts as root but has dropped root when it reloads."""
    import pwd

    try:
        user = pwd.getpwnam(MOSQUITTO_USER)
    except KeyError:
        return unknown("本机没有 mosquitto 用户", f"no user {MOSQUITTO_USER} on this machine")
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    keys = sorted({Path(path) for text in _broker_files() for path in _KEY_FILE.findall(text)})
    for key in keys:
        try:
            barred = next(
                (path for path in (*reversed(key.parents), key) if not _may_read(path, user.pw_uid, groups)),
                None,
            )
        except OSError as error:
            return ill(f"私钥不可用：{key}：{error.strerror}", f"{key}: {error.strerror}")
        if barred is not None:
            return ill(
                f"mosquitto 用户读不到 {key}（{barred} 的权限）：chown root:mosquitto，chmod 640",
                f"the user {user.pw_name} may not read {key} (because of {barred}): chown root:mosquitto, chmod 640",
            )
    if not keys:
        return well("本机 broker 未配置私钥", "the broker of this machine has no private key")
    return well("mosquitto 可读取私钥", "mosquitto may read its private key")


def check_serial(hall: HallConfig) -> CheckResult:
    """Do the serial ports in hall.toml exist, each under a name that stays the same when it is plugged in again?"""
    ports = {port for text in _texts(hall) for port in re.findall(r"/dev/[^?\s\"]+", text)}
    if not ports:
        return well("未配置串口", "no serial port in hall.toml")
    gone = sorted(port for port in ports if not os.path.exists(port))
    loose = sorted(port for port in ports if not port.startswith(STABLE_PORTS))
    if gone:
        there = _serial_ports()
        return ill(
            f"不存在：{'、'.join(gone)}；本机现有：{'、'.join(there) or '无'}",
            f"not there: {', '.join(gone)}; this machine has {', '.join(there) or 'none'}",
        )
    if loose:
        return ill(
            f"名称会变：{'、'.join(loose)}，请用 /dev/serial/by-path/",
            f"names that change with a replug: {', '.join(loose)}; use /dev/serial/by-path/…",
        )
    return well(f"{len(ports)} 个串口就绪", f"{len(ports)} ports, all there by a lasting name")


def check_clock(hall: HallConfig) -> CheckResult:
    """Is the clock synchronised?"""
    synchronised = _command("timedatectl", "show", "--value", "-p", "NTPSynchronized")
    if synchronised is None:
        return unknown("需要 timedatectl", "needs timedatectl, under systemd")
    return (
        well("时钟已同步", "the clock is synchronised")
        if synchronised == "yes"
        else ill("时钟未同步", "the clock is not")
    )


def check_rtc(hall: HallConfig) -> CheckResult:
    """Is there a battery-backed clock that agrees with the system's?"""
    from edged.clock import wall_ms

    try:
        off_s = abs(int(Path("/sys/class/rtc/rtc0/since_epoch").read_text()) - wall_ms() // 1000)
    except (OSError, ValueError):
        return ill(
            "没有实时钟：断网上电后时间未知",
            "no clock with a battery: after a boot without network nobody knows the time",
        )
    texts = (f"实时钟相差 {off_s} 秒", f"the battery's clock differs by {off_s} s")
    return well(*texts) if off_s <= RTC_OFF_S else ill(*texts)


def check_watchdog(hall: HallConfig) -> CheckResult:
    """Does the systemd unit set a watchdog for the daemon?"""
    text = _unit("WatchdogUSec")
    if not text:
        return unknown("需要已安装的服务单元", f"needs {UNIT}, installed")
    seconds = _seconds(text)
    texts = (f"看门狗 {text}", f"the watchdog's interval is {text}")
    return well(*texts) if 0 < seconds <= WATCHDOG_S_MAX else ill(*texts)


def check_hardware_watchdog(hall: HallConfig) -> CheckResult:
    """Is there a hardware watchdog for the whole system?"""
    if not os.path.exists("/dev/watchdog"):
        return ill("没有硬件看门狗 /dev/watchdog", "no /dev/watchdog: a hung system stays hung")
    text = _command("systemctl", "show", "--value", "-p", "RuntimeWatchdogUSec") or "0"
    if _seconds(text) <= 0:
        return ill(
            "请在 system.conf 设置 RuntimeWatchdogSec=30s",
            "nobody feeds it: RuntimeWatchdogSec=30s in system.conf",
        )
    return well(f"硬件看门狗 {text}", f"the system's watchdog: {text}")


def check_limits(hall: HallConfig) -> CheckResult:
    """How many files may the daemon have open under its systemd unit?"""
    text = _unit("LimitNOFILE")
    if not text:
        return unknown("需要已安装的服务单元", f"needs {UNIT}, installed")
    texts = (f"文件句柄上限 {text}", f"{text} open files")
    return well(*texts) if not text.isdigit() or int(text) >= FILES_MIN else ill(*texts)


def check_memory(hall: HallConfig) -> CheckResult:
    """Does the machine have enough memory?"""
    bytes_there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    texts = (f"内存 {bytes_there >> 20} MiB", f"{bytes_there >> 20} MiB of memory")
    return well(*texts) if bytes_there >= MEMORY_BYTES else ill(*texts)


def check_policy_keys(hall: HallConfig) -> CheckResult:
    """Are there keys that may sign policies for this hall?"""
    from edged.central.envelope import KeyFileError, load_keys

    if hall.policy.keys is None:
        return ill("未配置 [policy] keys：拒绝一切策略", "[policy] names no keys: every policy is refused")
    try:
        keys = load_keys(hall.policy.keys)
    except KeyFileError as error:
        return ill(f"密钥不可用：{error}", str(error))
    return well(f"{len(keys)} 把公钥", f"{len(keys)} keys may sign")


def check_key_list(hall: HallConfig) -> CheckResult:
    """Is the city's key list in the journal valid, and does no key on it end within 30 days?"""
    from edged.central.envelope import KeyFileError, load_keys
    from edged.central.key_desk import kept_list
    from edged.central.key_list import reread
    from edged.central.keyring import Keyring
    from edged.central.refusals import DocumentRefused
    from edged.clock import wall_ms
    from edged.store.database import StoreError
    from edged.store.journal import Journal

    path = Path(hall.store.path)
    if hall.policy.root is None:
        return well("无根密钥，以 hall.toml 中的公钥为准", "no root key: the keys in hall.toml count")
    try:
        roots = load_keys(hall.policy.root)
        stored = ""
        if path.is_file():
            journal = Journal.open(path, read_only=True)
            stored = journal.key_list
            journal.close()
        if not stored:
            return well(
                "尚未收到密钥清单，以 hall.toml 中的公钥为准", "no key list yet: the keys in hall.toml count"
            )
        listed = reread(kept_list(stored)[0], roots)
    except KeyFileError as error:
        return ill(f"根公钥不可用：{error}", str(error))
    except (OSError, StoreError) as error:
        return unknown(f"无法读取日志库：{error}", f"the journal cannot be read: {error}")
    except DocumentRefused as refusal:
        return ill(
            f"密钥清单未生效：{refusal.reasons[0].message_zh}", f"the key list does not count: {refusal}"
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return ill("日志库中的密钥清单无法读取", "the kept key list cannot be read")
    soon = Keyring(listed=listed).ends(wall_ms())
    if soon:
        named = "、".join(soon)
        return ill(f"30 天内到期或已到期：{named}", "; ".join(soon.values()))
    return well(
        f"密钥清单第 {listed.version} 版，{len(listed.keys)} 把密钥",
        f"key list version {listed.version}, {len(listed.keys)} keys",
    )


def check_devices(hall: HallConfig) -> CheckResult:
    """Which devices has the running daemon lost, and which send messages without being in hall.toml?"""
    import http.client

    try:
        connection = http.client.HTTPConnection(hall.web.host, hall.web.port, timeout=2.0)
        connection.request("GET", "/healthz")
        health: dict[str, Any] = json.loads(connection.getresponse().read(1 << 16))
    except (OSError, ValueError, http.client.HTTPException):
        return unknown("服务未运行", "the daemon does not run")
    lost = sorted(health.get("devices_lost") or ())
    named = {
        concern.partition("/")[2]: why
        for concern, why in (health.get("concerns") or {}).items()
        if "device-unknown/" in concern
    }
    if named:
        more = f"; lost: {', '.join(lost)}" if lost else ""
        return ill(
            f"未登记的设备：{'、'.join(sorted(named))}{'；失联：' + '、'.join(lost) if lost else ''}",
            "; ".join(f"{name} {why}" for name, why in sorted(named.items())) + more,
        )
    if lost:
        return ill(f"失联：{'、'.join(lost)}", f"lost: {', '.join(lost)}")
    return well("全部设备在线", "no device is lost")


def check_dead_man(hall: HallConfig) -> CheckResult:
    """Which lamp modules would stay lit if the controller died, unless their own watchdog is set?"""
    from devices.modbus_relay.driver import RelayOptions
    from devices.modbus_relay.profiles import profile_of

    open_ended = []
    for device in hall.devices:
        if isinstance(device.options, RelayOptions):
            profile = profile_of(device.options.profile)
            if (profile.pulse_off if device.options.invert else profile.pulse_on) is None:
                open_ended.append(device.id)
    if open_ended:
        names = ", ".join(sorted(open_ended))
        return unknown(
            f"须在模块内设置看门狗：{names}", f"set the watchdog inside the module, 15 s or less: {names}"
        )
    return well("所有灯自带定时熄灭", "every lamp goes dark by itself")


def check_unit(hall: HallConfig) -> CheckResult:
    """Is the systemd unit as shipped: always restarted, in a sandbox that permits this hall's devices and secrets?"""
    from edged.config.unit_file import mistakes

    if not _unit("FragmentPath"):
        return unknown("服务单元未安装", f"{UNIT} is not installed")
    wrong = [
        f"{name}={found}"
        for name, wanted in (("Restart", "always"), ("StartLimitIntervalUSec", "0"))
        if (found := _unit(name)) != wanted
    ]
    rated = re.search(
        r"exposure level for \S+: ([\d.]+)", _command("systemd-analyze", "security", UNIT) or ""
    )
    if rated is not None and float(rated[1]) > EXPOSURE_MAX:
        wrong.append(f"exposure {rated[1]}")
    withheld = list(mistakes(hall, _command("systemctl", "cat", UNIT) or ""))
    if withheld:
        return ill(f"单元限制：{withheld[0]}", withheld[0])
    if wrong:
        return ill(f"与发行的单元不同：{'、'.join(wrong)}", f"not as shipped: {', '.join(wrong)}")
    return well("单元与发行一致", f"as shipped{'' if rated is None else f', exposure {rated[1]}'}")


def check_backup(hall: HallConfig) -> CheckResult:
    """Are backups made, is the newest recent, and is it on another disk than the journal?"""
    if _command("systemctl", "show", "--value", "-p", "LoadState", BACKUP_TIMER) != "loaded":
        return unknown(
            "没有备份定时器单元（apt 或 ./install 会安装）",
            f"no {BACKUP_TIMER} here; ./install or apt brings it",
        )
    if _command("systemctl", "show", "--value", "-p", "ActiveState", BACKUP_TIMER) != "active":
        return ill("未启用定时备份", f"{BACKUP_TIMER} is not enabled: nothing is backed up")
    environment = _command("systemctl", "show", "--value", "-p", "Environment", BACKUP) or ""
    place = Path(next(re.finditer(r"EDGED_BACKUP=(\S+)", environment), ["", "/var/backups/edged"])[1])
    newest_s = max((backup.stat().st_mtime for backup in place.glob("edged-*.tar.gz")), default=0.0)
    age_s = clock.wall_ms() / 1000 - newest_s
    if age_s > BACKUP_S_MAX:
        since = "" if not newest_s else f"{age_s / 60:.0f}"
        return ill(
            f"{place} 中最近的备份在 {since} 分钟前" if since else f"{place} 中没有备份",
            f"the newest backup in {place} is {since} minutes old"
            if since
            else f"there is no backup in {place}",
            "journalctl -u edged-backup 查看原因；第二台机器是否已挂载",
            "`journalctl -u edged-backup` says why; is the other machine mounted?",
        )
    if place.stat().st_dev == _folder(hall).stat().st_dev:
        return ill(f"备份目录 {place} 与日志库在同一磁盘", f"{place} is on the journal's own disk")
    return well(
        f"备份在 {place}，最近一次在 {age_s / 60:.0f} 分钟前", f"in {place}, {age_s / 60:.0f} minutes old"
    )


def check_access_list(hall: HallConfig) -> CheckResult:
    """Does the access list permit every topic that hall.toml needs? (A broker grants forbidden subscriptions, too.)"""
    from edged.config.access_list import mistakes
    from edged.config.certificates import broker_name
    from edged.encoding import file_text

    try:
        missing = list(mistakes(hall, file_text(Path(ACL)), broker_name(hall)))
    except FileNotFoundError:
        return unknown(f"没有 {ACL}", f"no {ACL}; edged check --acl FILE asks another one")
    except (OSError, ValueError) as error:
        return unknown(f"无法读取：{error}", f"cannot be read: {error}")
    if missing:
        more = f" (+{len(missing) - 1})" if len(missing) > 1 else ""
        return ill(f"访问控制表缺少：{missing[0]}{more}", f"{missing[0]}{more}")
    return well("访问控制表与配置相符", "the list lets everybody say and hear what hall.toml needs")


def check_secrets(hall: HallConfig) -> CheckResult:
    """Do password and certificates exist, and are they valid for another month?"""
    from edged.clock import wall_ms
    from edged.config import ConfigErrors
    from edged.config.broker import password
    from edged.config.certificates import WARN_DAYS, days_left, expiries

    try:
        password(hall)
        days = {file: days_left(end_ms, wall_ms()) for file, end_ms in expiries(hall.mqtt).items()}
    except (ConfigErrors, OSError, ValueError) as error:
        return ill(f"不可用：{error}", str(error))
    short = [f"{file}: {left} d" for file, left in days.items() if left < WARN_DAYS]
    if short:
        return ill(f"证书即将到期：{'、'.join(short)}", f"ends within {WARN_DAYS} days: {', '.join(short)}")
    return well("凭据可用", "password and certificates can be used" if days else "no certificate is used")


CHECKS: dict[str, Callable[[HallConfig], CheckResult]] = {
    check.__name__.removeprefix("check_").replace("_", "-"): check
    for check in (
        check_journal,
        check_room,
        check_sync,
        check_parts,
        check_broker,
        check_names,
        check_broker_guard,
        check_broker_key,
        check_serial,
        check_clock,
        check_rtc,
        check_watchdog,
        check_hardware_watchdog,
        check_limits,
        check_memory,
        check_policy_keys,
        check_key_list,
        check_devices,
        check_dead_man,
        check_unit,
        check_backup,
        check_access_list,
        check_secrets,
    )
}


def _broker_files() -> Iterator[str]:
    for file in sorted(Path(MOSQUITTO).rglob("*.conf")):
        yield file.read_text("utf-8", "replace")


def _may_read(path: Path, uid: int, groups: set[int]) -> bool:
    """Whether a user may read a file, or pass through a folder."""
    status = path.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return bool(status.st_mode >> shift & (1 if path.is_dir() else 4))


def _folder(hall: HallConfig) -> Path:
    """The nearest existing directory of the path where the journal is or will be."""
    folder = Path(hall.store.path).parent
    while not folder.exists():
        folder = folder.parent
    return folder


def _serial_ports() -> list[str]:
    """The serial ports of this machine as text: the name and the maker's description of each."""
    from serial.tools.list_ports import comports

    return [f"{port.device} ({port.description})" for port in sorted(comports())]


def _filesystem(folder: Path) -> str:
    """The type of the file system that holds ``folder``."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split(" ")
        inside = folder.resolve().is_relative_to(place.encode().decode("unicode_escape"))
        if inside and len(place) >= len(best):
            best, kind = place, found
    return kind


def _texts(hall: HallConfig) -> Iterator[str]:
    """Every text in the options of every device."""
    for device in hall.devices:
        yield from (value for value in asdict(device.options).values() if isinstance(value, str))


def _unit(name: str) -> str:
    """The value of property ``name`` of the installed systemd unit; "" if no unit is installed."""
    if _command("systemctl", "show", "--value", "-p", "LoadState", UNIT) != "loaded":
        return ""
    return _command("systemctl", "show", "--value", "-p", name, UNIT) or ""


def _seconds(text: str) -> float:
    """Seconds of a duration as systemctl prints it: ``1min 30s``, ``10s``, ``500ms``, ``0``."""
    units = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
    return sum(float(count) * units[unit] for count, unit in re.findall(r"([\d.]+)(min|ms|us|h|s)\b", text))


def _command(*words: str) -> str | None:
    """The output of a system program; None if it is missing, fails or does not end in time."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
