"""Checks the systemd unit against hall.toml: does it allow the addresses of all devices, and pass all credentials?"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from msgspec.structs import asdict

from edged.config import HallConfig

_NAMES = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}  # systemd.resource-control(5)
_CREDENTIAL = re.compile(r"/run/credentials/[^/]+/(.+)")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def mistakes(config: HallConfig, text: str) -> Iterator[str]:
    """Yield a sentence for each address and credential that hall.toml needs and the unit (with its drop-ins) denies;
    for an address with the line that permits it.
    """
    keys = _keys(text)
    allowed = list(_networks(keys.get("IPAddressAllow", ())))
    if any(True for _ in _networks(keys.get("IPAddressDeny", ()))):
        for who, host in _hosts(config):
            try:
                address = ipaddress.ip_address(host)
            except ValueError:
                continue  # a host name: its address may change
            if not any(address in network for network in allowed if network.version == address.version):
                yield (
                    f"{who}: the unit denies {host}; systemctl edit edged: [Service] IPAddressAllow={host}"
                    " (or the subnet of the devices)"
                )
    loaded = [one.partition(":")[0] for one in keys.get("LoadCredential", ())]
    for file in _files(config):
        named = _CREDENTIAL.fullmatch(file)
        if named is not None and not any(named[1] == one or named[1].startswith(f"{one}_") for one in loaded):
            yield f"{file}: the unit hands over no such credential; it has {', '.join(loaded) or 'none'}"


def _keys(text: str) -> dict[str, list[str]]:
    """The words assigned to each key of a unit file. An empty assignment clears earlier ones, as in systemd."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith(("#", ";")):
            continue
        found[key] = [*found.get(key, ()), *value.split()] if value.strip() else []
    return found


def _networks(words: Iterable[str]) -> Iterator[Network]:
    for word in words:
        for text in _NAMES.get(word, (word,)):
            try:
                yield ipaddress.ip_network(text, strict=False)
            except ValueError:
                continue


def _hosts(config: HallConfig) -> Iterator[tuple[str, str]]:
    """Yield each address that the daemon connects to or listens on, after the key that gives it."""
    yield "mqtt.host", config.mqtt.host
    for device in config.devices:
        for key, value in asdict(device.options).items():
            if key == "host" and isinstance(value, str):
                yield f"devices.{device.id}.host", value
            elif key == "url" and isinstance(value, str) and "://" in value:
                yield f"devices.{device.id}.url", urlsplit(value).hostname or ""


def _files(config: HallConfig) -> Iterator[str]:
    mqtt, tls = config.mqtt, config.mqtt.tls
    found = [mqtt.password_file, config.policy.keys, config.policy.root, config.duty.keys]
    found += [] if tls is None else [tls.ca_file, tls.cert_file, tls.key_file]
    yield from (file for file in found if file is not None)
