"""The manuals: links lead somewhere, the two languages say the same, what a newcomer is told to type works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.needs import lacking
from tests.support.punctuation import half_width

ROOT = Path(__file__).parents[1]
IGNORED = {".venv", ".git", "node_modules", "build"}
README_LINES = 200
TYPED_S = 60
MANNED = {"configs", "devices", "edged", "systemd", "README.zh-CN.md"}
READ = {".md", ".toml", ".conf", ".html", ".js", ".yml", ".service", ".json"}


def manuals() -> list[Path]:
    """Every Markdown file of the tree."""
    return [path for path in sorted(ROOT.rglob("*.md")) if not IGNORED & set(path.relative_to(ROOT).parts)]


def translated() -> list[tuple[Path, Path]]:
    """Pairs of an English manual and its Chinese one."""
    pairs = [
        (path.with_name(path.name.replace(".zh-CN", "")), path) for path in manuals() if ".zh-CN" in path.name
    ]
    assert all(english.exists() for english, _ in pairs), "a Chinese manual without its English one"
    return pairs


def blocks(manual: Path) -> list[str]:
    """What stands in its code fences."""
    return re.findall(r"^```(?:sh|bash|toml)\n(.*?)^```", manual.read_text("utf-8"), re.S | re.M)


def without_comments(block: str) -> list[str]:
    """The lines of a block, less what is said in one language only."""
    lines = (re.sub(r"(^|\s+)#\s.*$", "", line).rstrip() for line in block.splitlines())
    return [line for line in lines if line]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short(name: str) -> None:
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= README_LINES


def test_every_link_of_a_manual_leads_to_a_file() -> None:
    dead = [
        f"{manual.relative_to(ROOT)}: {target}"
        for manual in manuals()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", manual.read_text("utf-8"))
        if "://" not in target and not (manual.parent / target).exists()
    ]
    assert not dead, "\n".join(dead)


def test_both_languages_have_the_same_headings_and_commands() -> None:
    assert len(translated()) >= 4
    for english, chinese in translated():
        depths = [re.findall(r"^(#+) ", path.read_text("utf-8"), re.M) for path in (english, chinese)]
        assert depths[0] == depths[1], f"headings of {english} and {chinese.name}"
        commands = [[without_comments(block) for block in blocks(path)] for path in (english, chinese)]
        for english_blocks, chinese_blocks in zip(*commands, strict=True):
            assert english_blocks == chinese_blocks, f"{english} and {chinese.name}"


def test_chinese_text_has_full_width_punctuation() -> None:
    """Manuals, comments of shipped files, titles of devices, words of pages: full-width beside Chinese characters."""
    wrong = []
    for path in sorted(ROOT.rglob("*")):
        own = path.relative_to(ROOT)
        if own.parts[0] not in MANNED or IGNORED & set(own.parts) or path.suffix not in READ:
            continue
        chinese = ".zh-CN" in path.name
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if path.suffix != ".md" or chinese:
                wrong += [f"{own}:{number}: {near}" for near in half_width(line, bilingual=not chinese)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_first_steps_of_the_readme_light_the_lamp(name: str, tmp_path: Path) -> None:
    """The block with mosquitto, word for word, on a network of its own so that port 1883 is free."""
    if shutil.which("mosquitto", path=_path()) is None or shutil.which("unshare") is None:
        lacking("mosquitto and unshare are needed: apt-get install mosquitto util-linux")
    (typed,) = (block for block in blocks(ROOT / name) if "mosquitto -d" in block)
    script = "ip link set lo up\n" + typed + "wait\n"
    seen = tmp_path / "seen"
    with seen.open("w") as stdout_file, (tmp_path / "said").open("w") as stderr_file:
        process = subprocess.Popen(
            ("unshare", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", script),
            cwd=ROOT,
            stdout=stdout_file,
            stderr=stderr_file,
            env=os.environ | {"PATH": _path(), "TMPDIR": str(tmp_path)},
        )
        deadline_s = time.monotonic() + TYPED_S
        while '"on"' not in seen.read_text() and time.monotonic() < deadline_s and process.poll() is None:
            time.sleep(0.1)
        process.kill()
        process.wait()
    assert '"on"' in seen.read_text(), f"{seen.read_text()}\n{(tmp_path / 'said').read_text()}"
    lamps = re.findall(r"lamp (\{.*\})", seen.read_text())
    assert lamps[-2:] == ['{"state":"blink"}', '{"state":"on"}'], lamps
    left = [*ROOT.glob("*.db*"), *(ROOT / "configs").glob("*.db*"), *ROOT.glob("*.ballast")]
    assert not left, "journal and ballast stay out of the checkout"


def _path() -> str:
    """Where the shell of a newcomer with an active environment looks."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
