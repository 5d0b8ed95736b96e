"""The shipped unit and its companions, judged by systemd's own tools and by what the code expects of them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edged.bench.children import UNIT_ENVIRONMENT
from edged.central.rehearsals import DEADLINE_S, SECONDS
from edged.config.shape import PolicyTable
from edged.daemon.service_manager import HEARTBEAT_LIMIT_S

UNITS = Path(__file__).parents[2] / "systemd"
EXPOSURE_MAX_TENTHS = 12  # 1.2 of 10; serial ports, one socket family and the host's network remain


def tool(name: str) -> str:
    """Return the path of a systemd tool; without it the test is skipped, but fails in CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing: .ci/run installs systemd")
        pytest.skip(f"{name} is not installed here")
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy of the daemon's unit whose program exists on this machine: ``verify`` looks for it."""
    return copied(UNITS / "edged.service", tmp_path)


def copied(unit: Path, folder: Path) -> Path:
    text = unit.read_text()
    assert text.count("/opt/edged/venv/bin/python ") >= 1
    copy = folder / unit.name
    copy.write_text(text.replace("/opt/edged/venv/bin/python ", f"{sys.executable} "))
    return copy


def service(name: str = "edged.service") -> dict[str, str]:
    """The [Service] section; of a repeated key the last value."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return dict(parser["Service"])


OTHERS = (
    "systemd/edged-web.service",
    "systemd/edged-pager.service",
    "systemd/edged-bridge.service",
    "systemd/edged-counters.service",
    "systemd/edged-backup.service",
    "configs/city/edged-centre.service",
)


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_units_are_as_closed_as_the_daemons(name: str, tmp_path: Path) -> None:
    unit = copied(UNITS.parent / name, tmp_path)
    done = run(tool("systemd-analyze"), "verify", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    check = (tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE_MAX_TENTHS}")
    done = run(*check, str(unit))
    assert done.returncode == 0, done.stdout


def test_every_unit_that_is_shipped_is_judged() -> None:
    shipped = [*UNITS.glob("*.service"), *UNITS.parent.glob("configs/**/*.service")]
    assert {str(one.relative_to(UNITS.parent)) for one in shipped} == {
        *OTHERS,
        "systemd/edged.service",
        "systemd/edged-rehearse.service",  # with its socket, below
    }


def test_the_timer_of_the_backup_is_right_and_starts_its_service(tmp_path: Path) -> None:
    copied(UNITS / "edged-backup.service", tmp_path)
    timer = tmp_path / "edged-backup.timer"
    shutil.copyfile(UNITS / timer.name, timer)
    done = run(tool("systemd-analyze"), "verify", str(timer))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_pages_run_as_another_user_with_less_priority_than_the_daemon() -> None:
    pages, daemon = service("edged-web.service"), service()
    assert pages["User"] != daemon["User"]
    assert f"u {pages['User']} " in (UNITS / "edged.sysusers").read_text()
    assert int(pages["CPUWeight"]) < int(daemon["CPUWeight"])
    assert int(pages["OOMScoreAdjust"]) > int(daemon["OOMScoreAdjust"])
    assert pages["InaccessiblePaths"] == f"-/var/lib/{daemon['StateDirectory']}"
    _, *arguments = pages["ExecStart"].split()
    done = run(sys.executable, *arguments[: arguments.index("web") + 1], "--help")
    assert done.returncode == 0, done.stderr
    assert " --config " in done.stdout


def test_the_unit_of_rehearsals_is_as_closed_and_gives_way_to_everybody(tmp_path: Path) -> None:
    unit = copied(UNITS / "edged-rehearse.service", tmp_path)
    door = tmp_path / "edged-rehearse.socket"
    shutil.copy(UNITS / door.name, door)
    done = run(tool("systemd-analyze"), "verify", str(unit), str(door))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    check = (tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE_MAX_TENTHS}")
    done = run(*check, str(unit))
    assert done.returncode == 0, done.stdout
    rehearsal, daemon = service("edged-rehearse.service"), service()
    assert (rehearsal["CPUSchedulingPolicy"], rehearsal["IOSchedulingClass"]) == ("idle", "idle")
    assert rehearsal["OOMScoreAdjust"] > daemon["OOMScoreAdjust"]
    assert "MemoryMax" in rehearsal
    assert rehearsal["ReadOnlyPaths"] == f"-/var/lib/{daemon['StateDirectory']}"
    _, *arguments = rehearsal["ExecStart"].split()
    assert run(sys.executable, *arguments, "--help").returncode == 0


def test_the_daemon_asks_where_the_socket_listens_and_gives_up_before_the_rehearsal_is_killed() -> None:
    text = (UNITS / "edged-rehearse.socket").read_text()
    assert f"\nListenStream={PolicyTable().rehearse_socket}\n" in text
    assert f"\nSocketUser={service()['User']}\n" in text
    assert "\nSocketMode=0600\n" in text
    longest_s = float(service("edged-rehearse.service")["RuntimeMaxSec"].removesuffix("s"))
    assert SECONDS < DEADLINE_S < longest_s


def test_systemd_finds_nothing_to_say_about_the_unit(unit: Path) -> None:
    done = run(tool("systemd-analyze"), "verify", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_verify_does_speak_up_about_an_unknown_key(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("[Service]\n", "[Service]\nWatchdogSecs=10\n"))
    done = run(tool("systemd-analyze"), "verify", str(unit))
    assert "WatchdogSecs" in done.stdout + done.stderr


def test_the_exposure_stays_under_the_limit(unit: Path) -> None:
    check = (tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE_MAX_TENTHS}")
    done = run(*check, str(unit))
    assert done.returncode == 0, done.stdout
    unit.write_text(unit.read_text().replace("NoNewPrivileges=yes\n", "").replace("PrivateUsers=yes\n", ""))
    assert run(*check, str(unit)).returncode != 0


def test_the_user_and_the_directories_of_the_unit_are_made(tmp_path: Path) -> None:
    installs = [UNITS / "edged.sysusers", UNITS / "edged.tmpfiles"]
    for source in installs:
        shutil.copy(source, _place(source, tmp_path))
    (tmp_path / "etc").mkdir(exist_ok=True)
    users = run(tool("systemd-sysusers"), f"--root={tmp_path}")
    assert users.returncode == 0, users.stderr
    names = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    wanted = service()
    assert wanted["User"] in names
    assert wanted["Group"] in groups
    if os.geteuid() == 0:  # owners can be set by root only
        made = run(tool("systemd-tmpfiles"), f"--root={tmp_path}", "--create", "edged.conf")
        assert made.returncode == 0, made.stderr
        secrets = tmp_path / wanted["LoadCredential"].partition(":")[2].lstrip("/")
        assert secrets.stat().st_mode & 0o777 == 0o700


def test_the_watchdog_leaves_a_heart_time_to_miss_its_limit() -> None:
    interval = service()["WatchdogSec"]
    assert interval.endswith("s")
    assert float(interval.removesuffix("s")) > HEARTBEAT_LIMIT_S


def test_the_unit_never_gives_up_and_runs_isolated_from_the_environment() -> None:
    text = (UNITS / "edged.service").read_text()
    assert "\nStartLimitIntervalSec=0\n" in text
    assert service()["Restart"] == "always"
    assert service()["ExecStart"].split()[1:] == [
        "-I",
        "-m",
        "edged",
        "run",
        "--config",
        "/etc/edged/hall.toml",
    ]


def test_the_bench_measures_the_daemon_as_the_unit_starts_it() -> None:
    given = service()["Environment"]
    assert given.split() == [f"{name}={value}" for name, value in UNIT_ENVIRONMENT.items()]


def test_the_command_of_the_unit_is_one_that_the_program_has() -> None:
    _, *arguments = service()["ExecStart"].split()
    done = run(sys.executable, *arguments[: arguments.index("run") + 1], "--help")
    assert done.returncode == 0, done.stderr
    assert " --config " in done.stdout
    assert "SIGHUP" in done.stdout
    assert service()["ExecReload"].endswith(" -m edged reload --config /etc/edged/hall.toml"), (
        "waits for the verdict; kill -HUP would succeed whatever the file says"
    )


def test_every_kind_of_serial_port_the_unit_allows_has_an_owner_rule() -> None:
    allowed = set(re.findall(r"^DeviceAllow=char-(\w+) rw$", (UNITS / "edged.service").read_text(), re.M))
    ruled = {}
    for line in (UNITS / "71-edged.rules").read_text().splitlines():
        if line and not line.startswith("#"):
            pairs = dict(re.findall(r'([\w{}]+)={1,2}"([^"]*)"', line))
            ruled[re.match(r"[A-Za-z]+", pairs["KERNEL"]).group()] = pairs  # type: ignore[union-attr]
    assert set(ruled) == allowed
    assert {pairs["GROUP"] for pairs in ruled.values()} == {service()["Group"]}
    assert all(pairs["MODE"] == "0660" for pairs in ruled.values())


def test_the_modules_to_load_are_one_name_a_line() -> None:
    lines = (UNITS / "edged.modules-load").read_text().splitlines()
    modules = [line for line in lines if not line.startswith("#")]
    assert "usbserial" in modules
    assert all(re.fullmatch(r"[a-z0-9_]+", module) for module in modules)


def test_the_libraries_work_without_writable_code_pages() -> None:
    """MemoryDenyWriteExecute=yes of the unit, through the kernel's own switch for it (Linux 6.3, prctl 65)."""
    code = "\n".join(
        [
            "import ctypes, mmap, sys",
            "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)",
            "try:",
            "    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
            "    sys.exit('not refused')",
            "except PermissionError: pass",
            "import aiomqtt, apsw, msgspec, pymodbus, serialx, ssl",
            "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey",
            "key = Ed25519PrivateKey.generate()",
            "key.public_key().verify(key.sign(b'x'), b'x')",
            "database = apsw.Connection(':memory:')",
            "database.create_scalar_function('up', lambda x: x + 1)",
            "assert database.execute('select up(1)').fetchall() == [(2,)]",
            "ssl.create_default_context()",
        ]
    )
    done = run(sys.executable, "-c", code)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr


def _place(source: Path, root: Path) -> Path:
    """Where the first comment of ``source`` says that it is installed, under ``root``."""
    found = re.match(r"# Install as (/\S+\.conf)\.", source.read_text())
    assert found is not None, source
    place = root / found[1].lstrip("/")
    place.parent.mkdir(parents=True)
    return place


def test_the_command_of_a_citys_centre_is_one_that_the_program_has() -> None:
    text = (UNITS.parent / "configs" / "city" / "edged-centre.service").read_text()
    (command,) = re.findall(r"^ExecStart=\S+ (.*)$", text, re.M)
    words = command.split()
    done = run(sys.executable, *words[: words.index("consume") + 1], "--help")
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("--")):
        assert f" {option} " in done.stdout
    for variable in ("EDGED_BROKER", "EDGED_POSTGRES"):
        assert variable in done.stdout
        assert f"{variable}=" in text
