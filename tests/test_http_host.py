"""The one reader of Host headers, by itself; both listeners are asked the same in their own tests."""

from __future__ import annotations

import pytest

from edged.http_host import HostNames
from tests.support import host_headers


@pytest.mark.parametrize("host", host_headers.OURS)
def test_our_host_names_are_accepted_in_every_spelling(host: str) -> None:
    assert HostNames("127.0.0.1", host_headers.NAMES).has((host,))


@pytest.mark.parametrize("host", host_headers.NOT_OURS)
def test_malformed_and_foreign_host_names_are_refused(host: str) -> None:
    assert not HostNames("127.0.0.1", host_headers.NAMES).has((host,))


@pytest.mark.parametrize("hosts", host_headers.SEVERAL)
def test_no_host_header_and_several_host_headers_are_refused(hosts: tuple[str, ...]) -> None:
    assert not HostNames("127.0.0.1").has(hosts)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_server_on_all_addresses_accepts_any_address_but_no_other_host_name(everywhere: str) -> None:
    names = HostNames(everywhere)
    for host in ("10.0.0.7:80", "[fd00::8]", "[fe80::1%25eth0]:80"):
        assert names.has((host,)), host
    for host in ("evil.example", "10.0.0.7.evil.example", "10.0.0", "[10.0.0.7]"):
        assert not names.has((host,)), host


def test_an_address_or_name_in_hall_toml_is_recognised_in_any_spelling() -> None:
    assert HostNames("FE80:0::1%eth0").has(("[fe80::1]:9465",))
    assert HostNames("127.0.0.1", ("HALL.example.",)).has(("hall.EXAMPLE:80",))
