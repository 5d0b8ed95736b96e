"""The install program where a step fails between stop and start: with its paths moved into a folder and the machine's
tools stood in for (a whole machine is in ``tests/site/test_install.py``)."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "systemd" / "install"
BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
TOOLS = ("systemd-sysusers", "systemd-tmpfiles", "sha256sum", "runuser", "id", "python9.9")


def _tool(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _bundle(folder: Path) -> Path:
    """A bundle of version 2 on a machine that has version 1."""
    bundle, text = folder / "bundle", INSTALL.read_text()
    for name, place in (("ETC", "/etc/edged"), ("STATE", "/var/lib/edged")):
        assert f"{name}={place}\n" in text
        text = text.replace(f"{name}={place}\n", f"{name}={folder}/{name}\n")
        (folder / name).mkdir()
    (bundle / "configs").mkdir(parents=True)
    (bundle / "install").write_text(text)
    (bundle / "manifest.json").write_text(
        f'"version": "2"\n"platform": "{platform.machine()}"\n"python": "9.9"\n'
    )
    (folder / "os-release").write_text(BOOKWORM)
    (folder / "ETC" / "hall.toml").touch()
    (folder / "STATE" / "hall.db").touch()
    for version in "12":
        _tool(folder / "opt" / "versions" / version / "bin" / "edged", "exit 0")
    (folder / "opt" / "venv").symlink_to("versions/1")
    for tool in TOOLS:
        _tool(folder / "bin" / tool, "echo 0")
    _tool(folder / "bin" / "systemctl", f'echo "$@" >>{folder}/systemctl.log')
    return bundle


@pytest.mark.parametrize(("tool", "when"), [("cp", "*hall.db*"), ("mv", "*before-2*")])
def test_a_step_that_fails_after_the_stop_starts_the_version_before(
    tool: str, when: str, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path)
    _tool(
        tmp_path / "bin" / tool,
        f'case "$*" in {when}) echo "no space left" >&2; exit 1 ;; esac\nexec /bin/{tool} "$@"',
    )
    done = subprocess.run(
        ["/bin/sh", bundle / "install", "--lang", "en"],
        env=os.environ
        | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "EDGED_PREFIX": f"{tmp_path}/opt"}
        | {"EDGED_LOCAL": f"{tmp_path}/local", "EDGED_OS_RELEASE": f"{tmp_path}/os-release"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    commands = (tmp_path / "systemctl.log").read_text().splitlines()
    assert done.returncode != 0, done.stdout
    assert commands == ["stop edged", "start --no-block edged"], done.stderr
    assert "version 1 is started again" in done.stderr


# -- a version that cannot read the journal gives it back; the power may go at any step of that --

FOLD = """case "$*" in *journal_mode*) ;; *) exit 0 ;; esac
for last in "$@"; do :; done
[ ! -f "$last-wal" ] || { /bin/cat "$last-wal" >>"$last"; /bin/rm "$last-wal"; }"""
CUT = """n=$(cat {folder}/left); n=$((n - 1)); echo $n >{folder}/left
[ $n -ge 0 ] || {{ kill -9 $PPID; exit 1; }}
exec /bin/{tool} "$@" """
STEPS = ("rm", "mkdir", "ln", "mv", "cp")


def _returning(folder: Path) -> dict[str, str]:
    """Version 2 serves with a journal of its own; 1 cannot read it, and the copy of before stands beside it."""
    _bundle(folder)
    state, versions = folder / "STATE", folder / "opt" / "versions"
    copy = state / "before-2"
    copy.mkdir()
    for place, name in ((state, "new"), (copy, "old")):
        (place / "hall.db").write_text(f"{name} ")
        (place / "hall.db-wal").write_text(f"{name}-tail ")
        (place / "hall.db.keep").write_text(f"{name}-keep")
    (folder / "opt" / "venv").unlink()
    (folder / "opt" / "venv").symlink_to("versions/2")
    (folder / "opt" / "before").write_text("1\n")
    _tool(versions / "1" / "bin" / "edged", f"grep -q ^old {state}/hall.db || exit 78")
    _tool(versions / "2" / "bin" / "python", FOLD)
    _tool(folder / "bin" / "runuser", 'shift 3\nexec "$@"')
    _tool(folder / "bin" / "sync", "exit 0")
    _tool(folder / "bin" / "sleep", f'echo "$1" >>{folder}/slept')
    _tool(folder / "bin" / "udevadm", "exit 0")
    _tool(
        folder / "bin" / "systemctl", 'case "$*" in *ActiveState*) echo active ;; *MainPID*) echo 7 ;; esac'
    )
    return (
        os.environ
        | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "EDGED_PREFIX": f"{folder}/opt"}
        | {"EDGED_LOCAL": f"{folder}/local"}
    )


def _rollback(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", folder / "bundle" / "install", "rollback", "--lang", "en"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _journal(folder: Path) -> str:
    """What SQLite would read: the file, and the log beside it that may not be of another file."""
    main, log = folder / "hall.db", folder / "hall.db-wal"
    return main.read_text() + (log.read_text() if log.exists() else "")


def test_a_power_cut_in_a_return_leaves_one_whole_journal_and_the_next_try_ends_it(tmp_path: Path) -> None:
    cuts = 0
    while True:
        folder = tmp_path / str(cuts)
        folder.mkdir()
        environment = _returning(folder)
        for tool in STEPS:
            _tool(folder / "bin" / tool, CUT.format(folder=folder, tool=tool))
        (folder / "left").write_text(f"{cuts}\n")
        done = _rollback(folder, environment)
        assert _journal(folder / "STATE") in ("new new-tail ", "old old-tail "), f"cut at step {cuts}"
        if done.returncode == 0:
            break
        for tool in STEPS:
            (folder / "bin" / tool).unlink()
        again = _rollback(folder, environment)
        assert again.returncode == 0, f"cut at step {cuts}: {again.stderr}"
        _returned(folder)
        cuts += 1
    _returned(folder)
    assert cuts > 12, "every step of it was cut"


def _returned(folder: Path) -> None:
    state = folder / "STATE"
    assert (_journal(state), (state / "hall.db.keep").read_text()) == ("old old-tail ", "old-keep")
    assert _journal(state / "after-2") == "new new-tail "
    assert os.readlink(folder / "opt" / "venv") == "versions/1"
    assert not list(state.glob("returning*"))


def test_a_version_that_never_serves_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    """``inactive`` is not ``active``: no look at it costs three seconds more."""
    environment = _returning(tmp_path) | {"EDGED_HEALTH_S": "9"}
    _tool(
        tmp_path / "bin" / "systemctl",
        'case "$*" in *ActiveState*) echo inactive ;; *MainPID*) echo 0 ;; esac',
    )
    done = _rollback(tmp_path, environment)
    assert done.returncode == 1
    assert "does not serve either" in done.stderr
    assert (tmp_path / "slept").read_text().split() == ["1"] * 9


# -- where it may be installed --

KYLIN = 'VERSION_ID="V10"\nID="kylin"\nPRETTY_NAME="Kylin Linux Advanced Server V10 (Tercel)"\n'


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (
            'PRETTY_NAME="Ubuntu 24.04 LTS"\nVERSION_ID="24.04"\nID=ubuntu\n',
            "Ubuntu 24.04 LTS is not supported: Debian 12",
        ),
        (
            'PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nVERSION_ID="11"\nID=debian\n',
            "11 (bullseye) is not supported",
        ),
        (KYLIN, "Kylin Linux Advanced Server V10 (Tercel) brings a Python that is too old"),
        ("", "this system is not supported"),
    ],
)
def test_a_system_that_nobody_tried_is_refused_by_its_name(
    system: str, expected: str, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path)
    (tmp_path / "os-release").write_text(system)
    place = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "EDGED_OS_RELEASE": f"{tmp_path}/os-release"}
    done = subprocess.run(
        ["/bin/sh", bundle / "install", "--dry-run", "--lang", "en"],
        env=os.environ | place | {"EDGED_PREFIX": f"{tmp_path}/opt"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("way", ["a Python of its own", "somebody's will"])
def test_a_bundled_python_or_edged_any_system_lets_an_untried_system_install(
    way: str, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path)
    (tmp_path / "os-release").write_text(KYLIN)
    place = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "EDGED_OS_RELEASE": f"{tmp_path}/os-release"}
    if way == "somebody's will":
        (tmp_path / "os-release").write_text("ID=arch\n")
        place["EDGED_ANY_SYSTEM"] = "yes"
    else:
        _tool(bundle / "python" / "bin" / "python3", "exit 0")
    done = subprocess.run(
        ["/bin/sh", bundle / "install", "--dry-run", "--lang", "en"],
        env=os.environ | place | {"EDGED_PREFIX": f"{tmp_path}/opt"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "not supported" not in done.stderr
    assert "too old" not in done.stderr
