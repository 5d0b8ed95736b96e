"""The files that hall.toml names: whether each can be used now, and the last content of each that could be.

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
from edged.central.signatures import PublicKey
from edged.config import HallConfig, load
from edged.config.broker import secret_files, spoilt_secrets

SUFFIX = ".accepted.keys.json"
ROOTS_SUFFIX = ".accepted.roots.json"


class Reading(NamedTuple):
    """hall.toml as it is now. ``spoilt``: files it names that cannot be used, and why. ``keys``: policy keys, None if
    their file is spoilt. ``duty``: keys of duty desks. ``roots``: keys that may sign key lists, None if none can be
    read.
    """

    config: HallConfig
    spoilt: dict[str, str]
    keys: dict[str, PublicKey] | None
    duty: Mapping[str, PublicKey] = MappingProxyType({})
    roots: Mapping[str, PublicKey] | None = None


def named_files(config: HallConfig) -> tuple[str, ...]:
    """Every file that hall.toml names."""
    keys = (one for one in (config.policy.keys, config.policy.root, config.duty.keys) if one is not None)
    return (*secret_files(config), *keys)


def read(file: Path) -> Reading:
    """Read ``file`` and every file it names. Raises ``ConfigErrors``. Blocks on the disk: call it in another
    thread.
    """
    config = load(file)
    keys, why = policy_keys(config)
    return Reading(config, spoilt(config), None if why else keys, duty_keys(config), root_keys(config))


def spoilt(config: HallConfig) -> dict[str, str]:
    """Every named file that cannot be used, and why. Blocks on the disk: call it in another thread."""
    found = spoilt_secrets(config)
    for file in (config.policy.keys, config.policy.root, config.duty.keys):
        try:
            load_keys(file) if file is not None else None
        except KeyFileError as error:
            found[str(file)] = str(error).removeprefix(f"{file}: ")
    return found


def duty_keys(config: HallConfig) -> dict[str, PublicKey]:
    """The keys whose orders count as those of a duty desk; empty while their file is spoilt (panels can still give
    orders).
    """
    with suppress(KeyFileError):
        return {} if config.duty.keys is None else load_keys(config.duty.keys)
    return {}


def policy_keys(config: HallConfig) -> tuple[dict[str, PublicKey], str]:
    """The keys that may sign policies: of ``[policy] keys``, or its last good content and why ("" if the file is
    good).
    """
    return _last_good(config, config.policy.keys, SUFFIX)


def root_keys(config: HallConfig) -> dict[str, PublicKey] | None:
    """The keys that may sign key lists: of ``[policy] root``, or its last good content; None if neither can be
    read.
    """
    keys, why = _last_good(config, config.policy.root, ROOTS_SUFFIX)
    return None if why and not keys else keys


def _last_good(config: HallConfig, file: str | None, suffix: str) -> tuple[dict[str, PublicKey], str]:
    if file is None:
        return {}, ""
    kept = _kept(config, suffix)
    try:
        keys = load_keys(file)
    except KeyFileError as error:
        with suppress(KeyFileError):
            return load_keys(kept), str(error)
        return {}, str(error)
    with suppress(OSError):  # on a full disk the next start tries again
        _copy(Path(file), kept)
    return keys, ""


def _kept(config: HallConfig, suffix: str) -> Path:
    journal = Path(config.store.path)
    return journal.with_name(journal.name + suffix)


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
