"""Expiry of the TLS certificates that hall.toml names. An expired one breaks the connection to the broker."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edged.config import HallConfig
from edged.config.shape import MqttTable

WARN_DAYS = 30  # before the end: a month for whoever issues certificates


def expiries(mqtt: MqttTable) -> dict[str, int]:
    """The expiry of each certificate file (the first certificate in it) in ms since 1970 UTC; {} without [mqtt.tls].
    Raises ``OSError`` if a file cannot be read, ``ValueError`` if it is no certificate.
    """
    if mqtt.tls is None:
        return {}
    from cryptography.x509 import load_pem_x509_certificate

    files = [file for file in (mqtt.tls.ca_file, mqtt.tls.cert_file) if file is not None]
    ends = {file: load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc for file in files}
    return {
        file: int((end - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000) for file, end in ends.items()
    }


def days_left(end_ms: int, now_ms: int) -> int:
    """Whole days from ``now_ms`` to ``end_ms``; negative after the end."""
    return (end_ms - now_ms) // 86_400_000


def broker_name(config: HallConfig) -> str:
    """The daemon's user name at its broker: the common name of its certificate if that exists, else ``username``, else
    "edged".

    Raises ``OSError`` or ``ValueError`` if the certificate cannot be read.
    """
    from cryptography.x509 import NameOID, load_pem_x509_certificate

    tls = config.mqtt.tls
    if tls is not None and tls.cert_file is not None and Path(tls.cert_file).exists():
        subject = load_pem_x509_certificate(Path(tls.cert_file).read_bytes()).subject
        for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            return str(name.value)
    return config.mqtt.username or "edged"
