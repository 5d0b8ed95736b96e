"""A hall's own certificate authority, for brokers and devices of a test."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM
# What an authority's key is for: certificates and lists of revoked ones.
SIGNS = x509.KeyUsage(False, False, False, False, False, True, True, False, False)


class Authority:
    """A certificate authority of a test. It writes each certificate into ``directory``; ``file`` is the authority's own
    certificate (PEM).
    """

    def __init__(self, directory: Path, name: str = "hall-ca") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.file = directory / f"{name}.pem"
        made = self._builder(self._name, self._key, 90).add_extension(x509.BasicConstraints(True, None), True)
        made = made.add_extension(SIGNS, True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def issue(self, name: str, days: int = 60, begins_days: int = -60) -> tuple[Path, Path]:
        """Make a certificate for ``name`` at 127.0.0.1 and its key; returns both files. It is valid from
        ``begins_days`` to ``days`` days from now: negative ``days`` make an expired one, positive ``begins_days`` one
        that is not valid yet.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self._builder(subject, key, days, begins_days)
        made = builder.add_extension(here, False).sign(self._key, hashes.SHA256())
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        cert_file.write_bytes(made.public_bytes(PEM))
        plain = serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
        return cert_file, key_file

    def revoke(self, *certs: Path) -> Path:
        """Write the revocation list with these certificate files, and return its path. Each call replaces the earlier
        list.
        """
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(now)
        builder = builder.next_update(now + datetime.timedelta(days=30))
        for cert in certs:
            serial = x509.load_pem_x509_certificate(cert.read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(one)
        file = self._directory / "hall-crl.pem"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        return file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, begins_days: int = -60
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._key.public_key()
        )  # Python 3.13 asks for it
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins_days))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(ours, False)
        )
