"""Reads the key, certificate and password files that hall.toml names, and keeps the last good content of the public
ones.

Rules: a file is good if it serves its purpose (a key file holds valid keys, a certificate fits its private key), not if
it can just be opened. Public keys of those who may sign policies are copied beside the journal while they are good; the
copy is used while they are not. Private keys and passwords are never copied: a link that has read them goes on with
them (``links/mqtt/settings.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from edged.central.envelope import KeyFileError, load_keys
from edged.central.signatures import PublicKey
from edged.config import HallConfig, load
from edged.config.broker import secret_files, spoilt_secrets
from edged.whole_file import whole_file

SUFFIX = ".accepted.keys.json"
ROOTS_SUFFIX = ".accepted.roots.json"


class Reading(NamedTuple):
    """hall.toml and the keys in the files it names. ``spoilt``: the files that cannot be used, path to reason.
    ``keys``: keys that may sign policies, None if their file is bad. ``duty``: keys of duty desks (值班台, the duty
    managers' web pages), which sign orders. ``roots``: keys that may sign key lists, None if none can be read.
    """

    config: HallConfig
    spoilt: dict[str, str]
    keys: dict[str, PublicKey] | None
    duty: Mapping[str, PublicKey] = MappingProxyType({})
    roots: Mapping[str, PublicKey] | None = None


def named_files(config: HallConfig) -> dict[str, str]:
    """Every file that hall.toml names: maps its path to its place in hall.toml, such as "policy.keys"."""
    named = {
        "policy.keys": config.policy.keys,
        "policy.root": config.policy.root,
        "duty.keys": config.duty.keys,
    }
    return secret_files(config) | {str(file): key for key, file in named.items() if file is not None}


def read(file: Path) -> Reading:
    """Read ``file``, a hall.toml, and every file it names. Raises ``ConfigErrors`` if hall.toml has errors. Blocks on
    the disk: call it in another thread.
    """
    config = load(file)
    keys, why = policy_keys(config)
    return Reading(config, spoilt(config), None if why else keys, duty_keys(config), root_keys(config))


def spoilt(config: HallConfig) -> dict[str, str]:
    """The named files that cannot be used, path to reason. Blocks on the disk: call it in another thread."""
    found = spoilt_secrets(config)
    for file in (config.policy.keys, config.policy.root, config.duty.keys):
        try:
            load_keys(file) if file is not None else None
        except KeyFileError as error:
            found[str(file)] = str(error).removeprefix(f"{file}: ")
    return found


def duty_keys(config: HallConfig) -> dict[str, PublicKey]:
    """The public keys with which duty desks sign their orders; empty while their file is bad (panels can still give
    orders).
    """
    with suppress(KeyFileError):
        return {} if config.duty.keys is None else load_keys(config.duty.keys)
    return {}


def policy_keys(config: HallConfig) -> tuple[dict[str, PublicKey], str]:
    """The public keys that may sign policies, from the file ``[policy] keys``, and "". If that file is bad: its last
    good content, and why it is bad.
    """
    return _last_good(config, config.policy.keys, SUFFIX)


def root_keys(config: HallConfig) -> dict[str, PublicKey] | None:
    """The keys that may sign key lists, from the file ``[policy] root`` or its last good content; empty if hall.toml
    names no such file, None if neither can be read.
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
    with whole_file(kept) as stream:
        stream.write(data)
