"""The install program where a step fails between stop and start: with its paths moved into a folder and the machine's
tools stood in for (a whole machine is in ``tests/site/test_install.py``)."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "systemd" / "install"
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
        env=os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "EDGED_PREFIX": f"{tmp_path}/opt"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = (tmp_path / "systemctl.log").read_text().splitlines()
    assert done.returncode != 0, done.stdout
    assert said == ["stop edged", "start --no-block edged"], done.stderr
    assert "version 1 is started again" in done.stderr
