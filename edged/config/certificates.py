"""When the TLS files of hall.toml end. An expired one cuts the link to the broker."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edged.config import HallConfig
from edged.config.shape import MqttTable

WARN_DAYS = 30  # before the end: a month for whoever issues certificates


def expiries(mqtt: MqttTable) -> dict[str, int]:
    """For each certificate file the ms since 1970 UTC at which its first certificate ends. Raises ``OSError`` if a
    file cannot be read, ``ValueError`` where it is no certificate."""
    if mqtt.tls is None:
        return {}
    from cryptography.x509 import load_pem_x509_certificate

    files = [file for file in (mqtt.tls.ca_file, mqtt.tls.cert_file) if file is not None]
    ends = {file: load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc for file in files}
    return {
        file: int((end - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000) for file, end in ends.items()
    }


def days_left(end_ms: int, now_ms: int) -> int:
    """Whole days from ``now_ms`` to ``end_ms``; negative once it is over."""
    return (end_ms - now_ms) // 86_400_000


def broker_name(config: HallConfig) -> str:
    """The controller's name at its broker: its certificate's common name, else its user name.

    Raises ``OSError`` or ``ValueError`` if its certificate cannot be read.
    """
    from cryptography.x509 import NameOID, load_pem_x509_certificate

    tls = config.mqtt.tls
    if tls is not None and tls.cert_file is not None and Path(tls.cert_file).exists():
        subject = load_pem_x509_certificate(Path(tls.cert_file).read_bytes()).subject
        for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            return str(name.value)
    return config.mqtt.username or "edged"
