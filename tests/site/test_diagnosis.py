"""The archive for whoever helps holds what they need and nothing of people, passwords or keys, wherever these stood."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path

from edged.cli.exchange import conversation
from edged.cli.target import from_config
from edged.site.redaction import Redaction
from tests.support.brokers import real_mosquitto
from tests.support.daemons import edged, small_hall

# A valid identity number of a region that does not exist, and a mobile range nobody is given.
IDENTITY, MOBILE = "99010119900307001X", "19900000000"
PASSWORD, TOKEN, PEM = "Tr0ub4dor&3", "eyJhbGciOi.planted.token", "MC4CAQAwBQYDK2VwBCIEIPlanted"
NAMES = ("陈敏", "刘洋测试")
PLANTED = (IDENTITY, MOBILE, PASSWORD, TOKEN, PEM, *NAMES, "liu-yang", "hunter2")
KEY = f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----"
LOG = "\n".join(
    (
        f'{{"event": "step", "note": "{NAMES[0]} logged in", "staff": "liu-yang"}}',
        f"visitor {IDENTITY} and +86 {MOBILE[:3]} {MOBILE[3:7]} {MOBILE[7:]}",
        f"connect mqtt://edged:{PASSWORD}@broker/ password=hunter2",
        f"Authorization: Bearer {TOKEN}",
        KEY,
        "a line that helps",
    )
)


def members(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        return {
            one.name.rpartition("/")[2]: archive.extractfile(one).read().decode()  # type: ignore[union-attr]
            for one in archive.getmembers()
        }


async def test_nothing_planted_is_in_the_archive_and_what_helps_is(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (files, daemon, _machines):
        folder = files.directory
        (folder / "password").write_text(f"\ufeff{PASSWORD}\n")
        files.edit("keepalive_s = 3", 'keepalive_s = 3\npassword_file = "password"')
        text = files.file.read_text()
        staff = f'[[staff]]\nid = "liu-yang"\nname = "{NAMES[1]}"\nskills = ["tax"]\n'
        files.file.write_text(f"# {NAMES[0]} {MOBILE} {PASSWORD}\n{text}\n{staff}")
        (folder / "hall.log").write_text(LOG)
        await daemon.start()
        await asyncio.to_thread(_leave, files.file, "hall/east/state/area/odd")
        out = tmp_path / "out.tar.gz"
        words = ("diagnose", str(out), "--config", str(files.file), "--log", str(folder / "hall.log"))
        done = await asyncio.to_thread(edged, *words)
        assert done.returncode == 0, done.stderr
    found = members(out)
    assert set(found) == {
        *("README.txt", "hall.json", "versions.json", "check.txt", "doctor.txt", "health.json"),
        *("metrics.txt", "status.json", "journal.json", "unit.txt", "log.txt"),
    }
    for name, text in found.items():
        for planted in PLANTED:
            assert planted not in text, f"{planted} in {name}"
    assert out.stat().st_mode & 0o077 == 0
    assert "a line that helps" in found["log.txt"]
    assert "staff-2" in found["log.txt"]
    assert json.loads(found["hall.json"])["hall"]["id"] == "east"
    assert json.loads(found["health.json"])["devices_lost"] == []
    assert json.loads(found["journal.json"])["rows"]
    assert "device relay" in found["doctor.txt"]
    assert "could not be had" not in "".join(found.values())


def _leave(config: Path, topic: str) -> None:
    with conversation(from_config(config)) as talk:
        body = {"waiting": 1, "override": f"{NAMES[0]} {IDENTITY}", "oldest_since": None}
        talk.publish(topic, json.dumps(body).encode(), retain=True)


def test_a_broken_hall_is_told_as_far_as_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "hall.toml").write_text(f'[hall\npassword = "{PASSWORD}"\n')
    done = edged("diagnose", str(tmp_path / "o.tar.gz"), "--config", str(tmp_path / "hall.toml"))
    assert done.returncode == 0, done.stderr
    found = members(tmp_path / "o.tar.gz")
    assert PASSWORD not in "".join(found.values())
    assert "hall.toml:1" in found["check.txt"]
    assert "could not be had" in found["health.json"]


def test_short_names_do_not_blot_out_other_words() -> None:
    redaction = Redaction({"staff": [{"id": "li", "name": "李"}]}, Path("."))
    assert redaction.text("list li 李 west-li li-west") == "list staff-1 staff-1 west-li li-west"
