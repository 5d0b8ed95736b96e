"""What commands rely on where the unit's sandbox, or its being down, hides the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.cli.credentials import source
from edged.config import verdicts
from edged.config.verdicts import FileVerdict

GONE = 2**22 + 1  # beyond the kernel's greatest process id


def test_a_daemon_whose_process_cannot_be_seen_lives_if_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "start_ticks_of", lambda pid: "")
    assert FileVerdict(os.getpid(), "17", 0, "serving").is_running
    assert not FileVerdict(GONE, "17", 0, "serving").is_running
    assert not FileVerdict(0, "17", 0, "serving").is_running


def test_a_process_id_that_somebody_else_has_now_is_none_of_ours() -> None:
    assert not FileVerdict(os.getpid(), "17", 0, "serving").is_running


@pytest.mark.parametrize(
    ("unit", "place"),
    [
        ("[Service]\nLoadCredential=secrets:{0}/a\n", "a/broker"),
        (
            "[Service]\nLoadCredential=secrets:{0}/b\n# drop-in\nLoadCredential=\nLoadCredential=secrets:{0}/a\n",
            "a/broker",
        ),
        ("[Service]\nLoadCredential=secrets_broker:{0}/c\n", "c"),
    ],
)
def test_a_credential_is_read_where_the_unit_has_it_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, place: str
) -> None:
    """As ``systemctl cat`` prints it; ``systemctl show`` of systemd 252 calls it unprintable."""
    (tmp_path / "a").mkdir()
    printed = tmp_path / "said"
    printed.write_text(unit.format(tmp_path))
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\nif [ "$1" = cat ]; then cat {printed}; else echo "[unprintable]"; fi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert source("/run/credentials/edged.service/secrets_broker") == str(tmp_path / place)
