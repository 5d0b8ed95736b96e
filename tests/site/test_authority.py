"""Certificates of ``edged pki`` at a real mosquitto: let in, renewed, kept out once revoked, told before they end."""

from __future__ import annotations

import asyncio
import math
import ssl
import subprocess
from pathlib import Path

import aiomqtt
import pytest

from edged.sim.broker import free_port
from tests.support.brokers import real_mosquitto
from tests.support.daemons import edged


def pki(*words: str, directory: Path) -> tuple[int, str]:
    done = edged("pki", *words, "--dir", str(directory))
    return done.returncode, done.stdout + done.stderr


async def lets_in(port: int, directory: Path, name: str) -> bool:
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    try:
        async with (
            asyncio.timeout(3),  # aiomqtt waits for ever for a broker that hangs up before it answers
            aiomqtt.Client("127.0.0.1", port, tls_context=context, timeout=math.inf),
        ):
            return True
    except (aiomqtt.MqttError, TimeoutError):
        return False


async def test_a_broker_lets_in_whom_the_authority_names_and_not_whom_it_revoked(tmp_path: Path) -> None:
    for words in (("new", "hall-ca"), ("issue", "broker", "--host", "127.0.0.1"), ("issue", "panel-w1")):
        assert pki(*words, directory=tmp_path)[0] == 0
    assert (
        (tmp_path / "ca.key").stat().st_mode & 0o077
        == (tmp_path / "panel-w1.key").stat().st_mode & 0o077
        == 0
    )
    port = free_port()
    lines = [f"listener {port} 127.0.0.1", f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/broker.pem"]
    lines += [f"keyfile {tmp_path}/broker.key", f"crlfile {tmp_path}/crl.pem", "require_certificate true"]
    async with real_mosquitto(*lines):
        assert await lets_in(port, tmp_path, "panel-w1")
        assert pki("issue", "panel-w1", directory=tmp_path)[0] == 2  # nothing is overwritten
        stolen = (tmp_path / "panel-w1.pem").read_bytes(), (tmp_path / "panel-w1.key").read_bytes()
        assert pki("revoke", "panel-w1", directory=tmp_path)[0] == 0
        assert pki("issue", "panel-w1", "--renew", directory=tmp_path)[0] == 0
    for name, data in zip(("stolen.pem", "stolen.key"), stolen, strict=True):
        (tmp_path / name).write_bytes(data)
    async with real_mosquitto(*lines):
        assert await lets_in(port, tmp_path, "panel-w1")
        assert not await lets_in(port, tmp_path, "stolen")


def test_a_file_that_cannot_be_written_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    code, text = pki("new", "hall-ca", directory=tmp_path / "plain" / "pki")
    assert (code, "Traceback" in text, "cannot be made" in text) == (2, False, True)
    assert pki("new", "hall-ca", directory=tmp_path)[0] == 0
    for words, file in ((("issue", "panel-w1"), "panel-w1.key"), (("revoke",), "crl.pem")):
        (tmp_path / f"{file}.new").mkdir()  # in the way of the new file
        code, text = pki(*words, directory=tmp_path)
        assert (code, "Traceback" in text, f"{file}: cannot be written" in text) == (2, False, True)


def test_certificates_pass_the_strict_verification_of_python_3_13(tmp_path: Path) -> None:
    for words in (("new", "hall-ca"), ("issue", "broker", "--host", "127.0.0.1"), ("issue", "panel-w1")):
        assert pki(*words, directory=tmp_path)[0] == 0
    for name in ("broker", "panel-w1"):
        strictly = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            f"{tmp_path}/ca.pem",
            f"{tmp_path}/{name}.pem",
        ]
        assert subprocess.run(strictly, capture_output=True, check=False).returncode == 0


def test_what_ends_soon_is_told(tmp_path: Path) -> None:
    assert pki("new", "hall-ca", directory=tmp_path)[0] == 0
    assert pki("issue", "lamp-w2", "--days", "40", directory=tmp_path)[0] == 0
    assert pki("expiring", directory=tmp_path)[0] == 0
    code, output = pki("expiring", "--days", "60", directory=tmp_path)
    assert code == 1
    assert "lamp-w2.pem  lamp-w2 <- renew" in output
    assert output.count("renew") == 1


@pytest.mark.parametrize("name", ["../ca", "ca", "crl", "", "a b"])
def test_odd_names_make_no_files(tmp_path: Path, name: str) -> None:
    assert pki("new", "hall-ca", directory=tmp_path)[0] == 0
    before = sorted(tmp_path.rglob("*"))
    assert pki("issue", name, directory=tmp_path)[0] == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert pki("issue", "x", directory=tmp_path / "nowhere")[0] == 2
