"""The manual page that is made of the commands' own help: every command, in both languages, as man(1) takes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from edged.cli import COMMANDS
from edged.cli.manual import CHINESE, page
from tests.support.needs import lacking


def test_every_command_has_a_line_in_chinese() -> None:
    assert list(CHINESE) == list(COMMANDS)
    assert all(line.endswith("。") and not line.isascii() for line in CHINESE.values())


def test_every_command_is_there_with_its_options() -> None:
    text = page("en")
    for name in COMMANDS:
        assert f'.SS "edged {name}"' in text
    assert '.SS "edged policy push"' in text
    assert r"\-\-retain / \-\-no\-retain" in text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_man_shows_it_without_a_complaint(lang: Literal["en", "zh"], tmp_path: Path) -> None:
    tool = shutil.which("man") or lacking("man is not installed: apt-get install man-db")
    if shutil.which("groff") is None:
        lacking("groff is not installed: apt-get install groff")
    file = tmp_path / "edged.1"
    file.write_text(page(lang) + "\n", "utf-8")
    done = subprocess.run(
        [tool, "--warnings=w", "-E", "UTF-8", "-l", str(file)],
        capture_output=True,
        text=True,
        env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
        check=False,
    )
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("edged settle" in shown, "/var/lib/edged/hall.db" in shown) == (True, True)
