"""The manual, followed word by word from nothing but the archive, in a Debian without a network; and timed.

Every command of the sections is taken from the Chinese page as it stands and typed in its order; the English one has
the same, which is compared (``EDGED_MANUALS=both`` types it, too). ``-s`` shows the minutes.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from edged.clock import monotonic_s
from tests.support.containers import Container
from tests.support.debian import copy_disk, debian_machine

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)  # making the Debian is in the first of them
ARCHIVE = "edged-x86_64.tar.gz"
PAGES = {
    "README.zh-CN.md": ("安装（在大厅）", "备份，以及主机损坏的那一天"),
    "README.md": ("Install (in the hall)", "Backup, and the day the PC dies"),
}
TYPED = list(PAGES) if os.environ.get("EDGED_MANUALS") == "both" else list(PAGES)[:1]
WITHIN_S = 240.0
MINUTES_MAX = 10.0  # what the page promises; a person reads and answers besides


def commands(page: str, section: str) -> list[str]:
    """Lines of the first block of a section, without their remarks."""
    text = (ROOT / "systemd" / page).read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    block = text.partition("```sh\n")[2].partition("```")[0]
    return [line.partition("  #")[0].rstrip() for line in block.splitlines() if line.strip()]


def steps_of_the_dead_pc(page: str, section: str) -> list[str]:
    """What stands in backquotes in the numbered steps, where it is a command."""
    text = (ROOT / "systemd" / page).read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [one for one in re.findall(r"`([^`]+)`", text.partition("\n1. ")[2]) if one.startswith("sudo ")]


async def type_in(machine: Container, lines: list[str], answers: str = "") -> None:
    """One shell, as at a terminal: what one line leaves, the next one finds."""
    script = "\n".join(lines)
    await machine.shell("echo 127.0.0.1 localhost $(hostname) >/etc/hosts")
    machine.file("/root/typed.sh").write_text(f"set -e\ncd /root\n{script}\n")
    code, output = await machine.shell(f"{answers} bash -x /root/typed.sh", WITHIN_S)
    assert code == 0, output


def test_both_pages_tell_the_same_commands() -> None:
    typed = [
        (commands(page, install), commands(page, backup), steps_of_the_dead_pc(page, backup))
        for page, (install, backup) in PAGES.items()
    ]
    assert typed[0] == typed[1]
    assert all(map(len, typed[0]))


@pytest.mark.parametrize("page", TYPED)
async def test_typing_the_installation_page_word_by_word_gives_a_hall_that_issues_tickets(
    page: str, bundles: Path, debian: Path, tmp_path: Path
) -> None:
    install, backup = PAGES[page]
    lines = commands(page, install)
    assert lines[0] == f"tar xf {ARCHIVE} && cd edged-*/"
    box, minutes = tmp_path / "box", {}
    box.mkdir()
    disk = copy_disk(debian, tmp_path / "disk.img")
    async with debian_machine(tmp_path / "hall", disk, {bundles: "/mnt/usb"}) as machine:
        await machine.shell(f"mosquitto -d -p 1883; cp /mnt/usb/{ARCHIVE} /root/")
        since_s = monotonic_s()
        await type_in(machine, lines, "yes '' |")
        await machine.until_state("active/running", 30)
        number = await first_ticket(machine, 1)
        minutes["from the stick to the first ticket"] = (monotonic_s() - since_s) / 60
        assert number == "A001"
        taken = [line for line in commands(page, backup) if " backup " in line]
        assert len(taken) == 1
        await type_in(machine, ["mkdir -p /mnt/usb-out", taken[0].replace("/mnt/usb/", "/mnt/usb-out/")])
        (box / "hall.tar.gz").write_bytes(machine.file("/mnt/usb-out/hall.tar.gz").read_bytes())
        await first_ticket(machine, 2)  # not in the backup
    disk.unlink()
    other = copy_disk(debian, tmp_path / "other.img")
    async with debian_machine(tmp_path / "new", other, {bundles: "/mnt/usb", box: "/mnt/box"}) as machine:
        await machine.shell(f"mosquitto -d -p 1883; cp /mnt/usb/{ARCHIVE} /root/")
        since_s = monotonic_s()
        typed = steps_of_the_dead_pc(page, backup)
        assert [line.split()[1].rpartition("/")[2] for line in typed] == [
            "install",
            "edged",
            "edged",
            "install",
        ]
        await type_in(machine, [lines[0], *(one.replace("edged-….tar.gz", "hall.tar.gz") for one in typed)])
        await machine.until_state("active/running", 30)
        number = await first_ticket(machine, 3)
        minutes["the PC died: served again"] = (monotonic_s() - since_s) / 60
        assert number > "A010", "numbers skip what may be on paper"
    print(*(f"{page}: {what}: {took:.1f} min of typing" for what, took in minutes.items()), sep="\n")  # noqa: T201
    assert max(minutes.values()) <= MINUTES_MAX, minutes


async def first_ticket(machine: Container, seq: int) -> str:
    """Somebody asks the first dispenser of hall.toml for a number; what is to be printed."""
    hall = machine.file("/etc/edged/hall.toml").read_text()
    name = re.search(r'^id = "([^"]+)"', hall.partition("[hall]")[2], re.M)
    service = re.search(r'^id = "([^"]+)"', hall.partition("[[services]]")[2], re.M)
    dispenser = re.search(r'id = "([^"]+)"\ndriver = "mqtt_json"\nkind = "dispenser"', hall)
    assert name is not None
    assert service is not None
    assert dispenser is not None, hall
    topic = f"hall/{name[1]}/dev/{dispenser[1]}"
    body = json.dumps({"seq": seq, "service": service[1]})
    script = (
        f"(sleep 1; mosquitto_pub -h 127.0.0.1 -q 1 -t {topic}/up/request -m '{body}') &"
        f" mosquitto_sub -h 127.0.0.1 -q 1 -t {topic}/down/print -C 1 -W 20"
    )
    code, output = await machine.shell(script, 60)
    assert code == 0, output + await machine.call("journalctl", "-u", "edged", "-n", "30", "--no-pager")
    return str(json.loads(output)["number"])
