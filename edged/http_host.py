"""Checks the Host header of HTTP requests, for all listeners of this package.

This prevents DNS rebinding (OWASP ASVS 4.0.3, V14.5.3): a foreign web page on a clerk's PC makes its own domain name
resolve to the hall's address, and could then read the hall's pages. Sources for the header's form: RFC 9112, 3.2
(exactly one Host) and RFC 3986, 3.2.2 and 3.2.3 (host and port).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (a hall's own decision, named in its hall.toml)
PORT_MAX = 65_535


class HostNames:
    """The names under which one listener may be addressed: its own address, the loopback names (``localhost``,
    ``127.0.0.1``, ``::1``), and the names that hall.toml adds.
    """

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        """``host``: the address of the listener; ``names``: further names of this machine (``names = [...]`` of
        hall.toml).
        """
        self._names = frozenset(_plain(name) for name in ("localhost", "127.0.0.1", "::1", host, *names))
        self._everywhere = host in EVERYWHERE

    def has(self, hosts: Sequence[str]) -> bool:
        """Is a request with these Host headers for this listener? There must be exactly one header, well formed, with
        one of the names.

        A listener on all addresses accepts every IP address in the header, because DNS rebinding needs a name.
        """
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0])
        return name in self._names or (self._everywhere and _address(name) is not None)


def host_name(host: str) -> str:
    """The name in a Host header: in lower case, without port, brackets, zone and final dot; "" if malformed."""
    host = host.strip(" \t")
    if host.startswith("["):
        literal, bracket, port = host[1:].partition("]")
        address = _address(literal) if bracket and ":" in literal else None
        if address is None or (port and not port.startswith(":")):
            return ""
        name, port = address, port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
        name = _plain(name)
    if port and not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= PORT_MAX):
        return ""
    return name


def _plain(name: str) -> str:
    """Normalise a name: an IP address to its canonical spelling, anything else to lower case without a final dot."""
    name = name.removesuffix(".")
    return _address(name) or name.lower()


def _address(name: str) -> str | None:
    """An IP address in its canonical spelling, without a zone (``%eth0``); None if it is not an address."""
    try:
        return str(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        return None
