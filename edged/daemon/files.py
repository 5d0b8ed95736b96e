"""The files that hall.toml names beside itself: are they good, and what did they hold when they were?

Rules: a file is judged by what it is for (a key file by its keys, a certificate with its key), not by whether it can be
opened. What is public (who may sign policies) is kept beside the journal when it was good, and serves when it is not;
private keys and passwords are never copied: a link that had them goes on with them (``links/mqtt/settings.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from edged.central.envelope import KeyFileError, load_keys
from edged.config import HallConfig, load
from edged.config.broker import secret_files, spoilt_secrets

SUFFIX = ".accepted.keys.json"


class Reading(NamedTuple):
    """hall.toml as it is now. ``spoilt``: files it names that are not good, and why. ``keys``: who may sign; None:
    that file is among them. ``duty``: who may order what a duty desk may."""

    config: HallConfig
    spoilt: dict[str, str]
    keys: dict[str, bytes] | None
    duty: Mapping[str, bytes] = MappingProxyType({})


def named_files(config: HallConfig) -> tuple[str, ...]:
    """All of them."""
    keys = (one for one in (config.policy.keys, config.duty.keys) if one is not None)
    return (*secret_files(config), *keys)


def read(file: Path) -> Reading:
    """``file`` and all that it names. Raises ``ConfigErrors``. For another thread than the loop's."""
    config = load(file)
    keys, why = policy_keys(config)
    return Reading(config, spoilt(config), None if why else keys, duty_keys(config))


def spoilt(config: HallConfig) -> dict[str, str]:
    """Every file that is not good, and why. Reads all of them: for another thread than the loop's."""
    found = spoilt_secrets(config)
    for file in (config.policy.keys, config.duty.keys):
        try:
            load_keys(file) if file is not None else None
        except KeyFileError as error:
            found[str(file)] = str(error).removeprefix(f"{file}: ")
    return found


def duty_keys(config: HallConfig) -> dict[str, bytes]:
    """Whose orders are those of a duty desk; nobody's while the file is not good: the panels order all the same."""
    with suppress(KeyFileError):
        return {} if config.duty.keys is None else load_keys(config.duty.keys)
    return {}


def policy_keys(config: HallConfig) -> tuple[dict[str, bytes], str]:
    """Who may sign: the keys of ``[policy] keys``, or of the last time when that file was good, with why ("" else)."""
    file = config.policy.keys
    if file is None:
        return {}, ""
    kept = _kept(config)
    try:
        keys = load_keys(file)
    except KeyFileError as error:
        with suppress(KeyFileError):
            return load_keys(kept), str(error)
        return {}, str(error)
    with suppress(OSError):  # on a full disk the next start tries again
        _copy(Path(file), kept)
    return keys, ""


def _kept(config: HallConfig) -> Path:
    journal = Path(config.store.path)
    return journal.with_name(journal.name + SUFFIX)


def _copy(file: Path, kept: Path) -> None:
    data = file.read_bytes()
    if kept.exists() and kept.read_bytes() == data:
        return
    fresh = kept.with_name(kept.name + ".new")
    with fresh.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, kept)
