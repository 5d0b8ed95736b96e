"""Debian's Python leaves the oldest version of TLS to the system's settings; ours is 1.2 all the same."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from edged.centre.broker import CityAddress
from edged.centre.broker import _context as of_the_centre
from edged.cli.exchange import _tls as of_commands
from edged.cli.target import Target
from edged.links.http.listener import Listener
from edged.links.mqtt.settings import MqttSettings
from tests.support.authorities import Authority

Make = Callable[[str, str, str], ssl.SSLContext]


def as_debian_makes_it(true_new: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    def new(*args: Any) -> ssl.SSLContext:
        context = true_new(*args)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    return new


def of_a_listener(_ca: str, cert: str, key: str) -> ssl.SSLContext:
    server = Listener(PlainTextResponse("never asked"), cert, key)
    server.config.load()
    assert server.config.ssl is not None
    return server.config.ssl


def of_the_daemon(ca: str, cert: str, key: str) -> ssl.SSLContext:
    settings = MqttSettings("edged", tls_ca=ca, tls_cert=cert, tls_key=key)
    return settings.held.context(settings)


def of_a_command(ca: str, cert: str, key: str) -> ssl.SSLContext:
    return of_commands(Target("h1", tls_ca=ca, tls_cert=cert, tls_key=key))


def of_the_city(ca: str, cert: str, key: str) -> ssl.SSLContext:
    return of_the_centre(CityAddress("127.0.0.1", 8883, ca=ca, cert=cert, key=key))


@pytest.mark.parametrize("make", [of_a_listener, of_the_daemon, of_a_command, of_the_city])
def test_every_tls_context_requires_version_1_2_or_newer(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("hall")
    monkeypatch.setattr(ssl.SSLContext, "__new__", as_debian_makes_it(ssl.SSLContext.__new__))
    context = make(str(authority.file), str(cert), str(key))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT, "old authorities have no key identifiers"
