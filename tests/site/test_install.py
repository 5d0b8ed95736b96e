"""The bundle in a booted machine without a network: installed, upgraded, returned by itself, rolled back, removed.

The machine has the host's /usr (Debian's Python 3.11 and mosquitto) and nothing of ours.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.site.bundle import BundlePlan, make
from tests.support.containers import Container, empty_machine
from tests.support.needs import lacking

ROOT = Path(__file__).parents[2]
PYTHON = "3.11"
INSTALL_S = 240.0  # on a busy machine; a quiet one takes half a minute


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked bundle ``one``, a later version ``two``, and ``broken`` that never gets READY."""
    if shutil.which(f"python{PYTHON}", path="/usr/bin") is None:
        lacking(f"Debian's python{PYTHON} is not installed")
    folder = tmp_path_factory.mktemp("usb")
    archive = folder / "edged.tar.gz"
    make(BundlePlan(ROOT, "x86_64", PYTHON), archive)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (next(folder.glob("edged-*/"))).rename(folder / "one")
    for name, version in (("two", "0.1.1"), ("broken", "0.1.2")):
        shutil.copytree(folder / "one", folder / name)
        manifest = json.loads((folder / name / "manifest.json").read_text())
        (folder / name / "manifest.json").write_text(json.dumps(manifest | {"version": version}, indent=2))
    install = folder / "broken" / "install"
    start = "$target/lib/python3.11/site-packages/edged/daemon/start.py"
    spoilt = f'run mv "$target.part" "$target"\n  echo "raise SystemExit(70)" >"{start}"'
    text = install.read_text()
    assert 'run mv "$target.part" "$target"' in text
    install.write_text(text.replace('run mv "$target.part" "$target"', spoilt))
    for name in ("two", "broken"):
        _sum_again(folder / name)
    return folder


def _sum_again(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    done = subprocess.run(
        ["sha256sum", *(str(path.relative_to(folder)) for path in files)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "SHA256SUMS").write_text(done.stdout)


@pytest.fixture
async def machine(bundles: Path, tmp_path: Path) -> AsyncIterator[Container]:
    async with empty_machine(tmp_path / "box", {bundles: "/mnt/usb"}) as container:
        await container.call("ip", "link", "set", "lo", "up")
        yield container


async def inside(machine: Container, script: str, within_s: float = 30.0) -> tuple[int, str]:
    """Exit code and everything that a shell says inside."""
    said = await machine.call("sh", "-c", f"({script}) 2>&1; echo rc=$?", within_s=within_s)
    text, _, code = said.rpartition("rc=")
    return int(code), text


async def hall_of_one_area(machine: Container) -> None:
    """The small hall of the examples and a broker, as a technician would put them there."""
    code, said = await inside(
        machine,
        "mosquitto -d -p 1883 && cp /etc/edged/examples/hall-small.toml /etc/edged/hall.toml"
        " && sed -i 's,^path = .*,path = \"/var/lib/edged/hall.db\",' /etc/edged/hall.toml"
        " && /opt/edged/venv/bin/edged check /etc/edged/hall.toml",
    )
    assert code == 0, said


async def ticket(machine: Container, number: int) -> None:
    """A visitor takes a number, and it is in the queue."""
    body = json.dumps({"seq": number, "number": f"A{number:03d}", "service": "tax-general"})
    code, said = await inside(
        machine,
        f"mosquitto_pub -h 127.0.0.1 -q 1 -t hall/small/dev/dispenser-1/up/ticket -m '{body}'"
        " && for n in $(seq 50); do mosquitto_sub -h 127.0.0.1 -t hall/small/state/area/tax -C 1 -W 5"
        f" | grep -q '\"waiting\": *{number}[,}}]' && exit 0; sleep 0.2; done; exit 1",
        60,
    )
    log = await machine.call("journalctl", "-u", "edged", "-n", "20", "--no-pager")
    assert code == 0, f"{said}\n{log}"


async def test_from_an_empty_machine_to_a_served_hall_and_back(machine: Container) -> None:
    code, said = await inside(machine, "/mnt/usb/one/install --dry-run --lang zh", 60)
    assert code == 0, said
    assert "+ systemctl daemon-reload" in said
    assert (await inside(machine, "ls /opt/edged"))[0] != 0, "a dry run changes nothing"

    code, said = await inside(machine, "/mnt/usb/one/install --lang zh", INSTALL_S)
    assert code == 0, said
    assert "已安装" in said
    await hall_of_one_area(machine)
    code, said = await inside(machine, "/mnt/usb/one/install --lang en", INSTALL_S)
    assert code == 0, said
    assert "version 0.1.0 serves" in said
    await ticket(machine, 1)

    code, said = await inside(machine, "/mnt/usb/two/install", INSTALL_S)
    assert code == 0, said
    await ticket(machine, 2)
    assert "* 0.1.1" in (await inside(machine, "/opt/edged/install status"))[1]

    code, said = await inside(machine, "EDGED_HEALTH_S=15 /mnt/usb/broken/install", INSTALL_S)
    assert code == 1, said
    assert "going back to 0.1.1" in said
    assert "version 0.1.1 serves" in said
    await ticket(machine, 3)

    code, said = await inside(machine, "/opt/edged/install rollback", INSTALL_S)
    assert code == 0, said
    await ticket(machine, 4)

    code, said = await inside(machine, "/opt/edged/install uninstall", 60)
    assert code == 0, said
    code, said = await inside(
        machine, "find / -xdev -name '*edged*' -not -path '/proc/*' -not -path '/mnt/*'"
    )
    left = {
        line
        for line in said.split()
        if line not in ("/etc/edged", "/var/lib/edged", "/var/lib/private/edged")
    }
    assert not {line for line in left if not line.startswith(("/tmp", "/var/log", "/run"))}, left
    assert (await inside(machine, "ls /var/lib/edged/hall.db"))[0] == 0, "data stay"


async def test_a_power_cut_while_unpacking_leaves_nothing_in_the_way(machine: Container) -> None:
    """A half-made version is made anew; the version that ran goes on."""
    await inside(
        machine,
        "mkdir -p /opt/edged/versions/0.1.0.part/bin && touch /opt/edged/versions/0.1.0.part/bin/python",
    )
    code, said = await inside(machine, "/mnt/usb/one/install", INSTALL_S)
    assert code == 0, said
    assert (await inside(machine, "ls /opt/edged/versions"))[1].split() == ["0.1.0"]


async def test_a_damaged_bundle_is_refused(machine: Container) -> None:
    script = (
        "cp -r /mnt/usb/one /root/copy && printf x >>/root/copy/systemd/edged.service && /root/copy/install"
    )
    code, said = await inside(machine, script, 60)
    assert code == 1, said
    assert "damaged" in said


def test_the_install_program_is_plain_posix_shell() -> None:
    tool = shutil.which("shellcheck") or lacking("shellcheck is not installed")
    done = subprocess.run(
        [tool, "-s", "sh", "-S", "warning", str(ROOT / "systemd" / "install")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
