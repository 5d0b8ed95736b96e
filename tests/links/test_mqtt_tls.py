"""The broker link over TLS: a record may hold many packets, and a packet many records."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edged.links.mqtt.link import MqttLink, MqttSettings
from tests.support.brokers import Broker, Rejections, collect, real_mosquitto, running, settings_for, until

BURST = 500
BIG_BYTES = 60_000  # four records of 16 KiB


def certificate(directory: Path, name: str, days: int = 1) -> tuple[Path, Path]:
    """A key and a certificate that vouches for itself, for 127.0.0.1; it ends in ``days``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    pem = serialization.Encoding.PEM
    cert_file.write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return cert_file, key_file


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_over_tls_a_burst_and_a_large_message_arrive_complete_and_in_order(
    protocol: str, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path, "broker")
    async with real_mosquitto(f"certfile {cert}", f"keyfile {key}", "max_queued_messages 10000") as broker:
        settings = replace(settings_for(broker), tls_ca=str(cert), protocol=protocol)  # type: ignore[arg-type]
        link = MqttLink(settings, Rejections())
        got = collect(link, "a/#")
        async with running(link):
            for number in range(BURST):
                link.publish("a/x", str(number).encode())
            link.publish("a/x", bytes(BIG_BYTES))
            await until(lambda: len(got) == BURST + 1)
        assert [int(message.payload) for message in got[:-1]] == list(range(BURST))
        assert got[-1].payload == bytes(BIG_BYTES)


async def refusal(broker: Broker, ca: Path) -> str:
    """Why the link does not come up with what ``ca`` vouches for, in the words of its first report."""
    link = MqttLink(replace(settings_for(broker), tls_ca=str(ca)), Rejections())
    reasons: list[str] = []
    link.on_state(lambda up, reason: reasons.append("up" if up else reason))
    async with running(link, up=False):
        await until(lambda: reasons != [])
    assert "up" not in reasons
    return reasons[0]


async def test_a_broker_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "broker")
    other, _ = certificate(tmp_path, "other")
    async with real_mosquitto(f"certfile {cert}", f"keyfile {key}") as broker:
        assert "the broker's certificate is not accepted here: " in await refusal(broker, other)


async def test_an_expired_broker_certificate_is_named_as_the_reason(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "broker", days=-1)
    async with real_mosquitto(f"certfile {cert}", f"keyfile {key}") as broker:
        assert "the broker's certificate has ended" in await refusal(broker, cert)


def test_certificate_files_damaged_later_are_tolerated_and_those_bad_at_the_start_refused(
    tmp_path: Path,
) -> None:
    cert, _ = certificate(tmp_path, "broker")
    settings = MqttSettings("hall", tls_ca=str(cert))
    good = settings.held.context(settings)
    cert.write_text("half a cert")
    assert settings.held.context(settings) is good
    fresh = MqttSettings("hall", tls_ca=str(cert))
    with pytest.raises((OSError, ValueError)):
        fresh.held.context(fresh)


async def test_the_expiry_of_the_broker_certificate_is_known_to_the_second(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "broker")
    ends = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    async with real_mosquitto(f"certfile {cert}", f"keyfile {key}") as broker:
        settings = replace(settings_for(broker), tls_ca=str(cert))
        link = MqttLink(settings, Rejections())
        async with running(link):
            await until(lambda: link.connected)
    assert settings.held.peer_end_ms == int(ends.timestamp()) * 1000
