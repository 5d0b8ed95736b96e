"""Finds the daemon's secrets (passwords, keys) for commands that run while the daemon is down. systemd passes
credentials to a running service only. So the commands, run as root, read the source files that the unit names in
``LoadCredential=``.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from edged.config import HallConfig

UNIT = "edged.service"
COMMAND_S = 10.0
_CREDENTIAL = re.compile(r"/run/credentials/(?P<unit>[^/]+)/(?P<name>.+)")


def reachable(config: HallConfig) -> HallConfig:
    """A copy of ``config`` in which the path of every missing credential is replaced by that of its source file, if
    known.
    """
    mqtt, tls, commands = config.mqtt, config.mqtt.tls, config.mqtt.commands
    if tls is not None:
        tls = structs.replace(
            tls, ca_file=source(tls.ca_file), cert_file=_maybe(tls.cert_file), key_file=_maybe(tls.key_file)
        )
    if commands is not None:
        commands = structs.replace(
            commands,
            password_file=_maybe(commands.password_file),
            cert_file=_maybe(commands.cert_file),
            key_file=_maybe(commands.key_file),
        )
    found = structs.replace(mqtt, password_file=_maybe(mqtt.password_file), tls=tls, commands=commands)
    policy = structs.replace(config.policy, keys=_maybe(config.policy.keys), root=_maybe(config.policy.root))
    duty = structs.replace(config.duty, keys=_maybe(config.duty.keys))
    return replace(config, mqtt=found, policy=policy, duty=duty)


def source(file: str) -> str:
    """The path to read instead of the credential path ``file`` (/run/credentials/UNIT/NAME): its source file. ``file``
    itself if it exists, is no credential path, or its source is not known.
    """
    named = _CREDENTIAL.fullmatch(file)
    if named is None or Path(file).exists():
        return file
    for credential, place in _loaded(named["unit"]):
        path = Path(place)
        if credential == named["name"]:
            return place
        if named["name"].startswith(f"{credential}_") and path.is_dir():
            return str(path / named["name"].removeprefix(f"{credential}_"))  # systemd.exec(5): ID_FILENAME
    return file


def _maybe(file: str | None) -> str | None:
    return None if file is None else source(file)


def _loaded(unit: str) -> list[tuple[str, str]]:
    """Pairs (credential, source file) that a systemd unit names in ``LoadCredential=``; those of the shipped unit if
    none is installed.

    They are read from the unit file, because ``systemctl show`` prints only "[unprintable]" for them (systemd 252). As
    in systemd, an empty ``LoadCredential=`` clears the earlier ones.
    """
    words: list[str] = []
    try:
        done = subprocess.run(  # noqa: S603
            ["systemctl", "cat", unit],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        pass
    else:
        for word in re.findall(r"^LoadCredential=[ \t]*(\S*)", done.stdout, re.MULTILINE):
            words = [*words, word] if word else []
    if not words and unit == UNIT:
        words = ["secrets:/etc/edged/secrets"]
    return [(name, place) for name, _, place in (word.partition(":") for word in words) if place]
