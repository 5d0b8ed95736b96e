"""A certificate authority in a folder: of a hall (broker, daemon, devices) or of a city (broker, bridges, centre).

Rules: a key or certificate is overwritten only with ``renew``; private keys are files that only their owner can read; a
certificate names one client (its common name) and, for a broker, its host names. Keys are P-256, which the TLS stacks
of cheap panels support. Sources: RFC 5280, mosquitto.conf(5) (certfile, cafile, crlfile).
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.clock import wall_ms
from edged.whole_file import whole_file

AUTHORITY_DAYS = 3650
# certificates are valid from this long before now, because clocks of devices differ
BEFORE = timedelta(minutes=5)
PEM = serialization.Encoding.PEM


class AuthorityError(Exception):
    """A file in the folder is missing, exists already or cannot be written; the text says which."""


class Expiry(NamedTuple):
    """The certificate in ``file`` expires in ``days`` from now (negative: it expired so many days ago)."""

    file: str
    name: str
    days: int


class Authority:
    """An authority: ``ca.pem`` and ``ca.key`` in ``folder``, the revocation list ``crl.pem``, and the issued
    certificates.
    """

    def __init__(self, folder: Path) -> None:
        """Open the authority in ``folder``. Raises ``AuthorityError`` if there is none."""
        self._folder = folder
        try:
            self._cert = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        except (OSError, ValueError) as error:
            raise AuthorityError(
                f"{folder}: no authority here ({error}); make one with `edged pki new`"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{folder}/ca.key: not the key of an authority")
        self._key = key

    @classmethod
    def make(cls, folder: Path, name: str) -> Authority:
        """Create a new authority. Raises ``AuthorityError`` if one of its files exists already or cannot be written."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(True, 0), True)
        builder = builder.add_extension(_usage(authority=True), True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(issuer, False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AuthorityError(f"{folder}: cannot be made: {error.strerror}") from None
        _write(folder / "ca.key", _private(key), 0o600, new=True)
        _write(folder / "ca.pem", builder.sign(key, hashes.SHA256()).public_bytes(PEM), 0o644, new=True)
        made = cls(folder)
        made.revoke(())
        return made

    def issue(self, name: str, hosts: tuple[str, ...], days: int, renew: bool = False) -> Path:
        """Issue a certificate and key for ``name``, valid for ``days``; with ``hosts`` for a server with these names.
        Returns the certificate's path. Raises ``AuthorityError`` if the files exist already (unless ``renew``) or
        cannot be written.

        ``renew``: replace an existing pair; the key is new, too. Connections that are open keep the old one.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._cert.subject, subject, key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(_usage(authority=False), True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, False)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), False
            )
        file = self._folder / f"{name}.pem"
        _write(file.with_suffix(".key"), _private(key), 0o600, new=not renew)
        _write(file, builder.sign(self._key, hashes.SHA256()).public_bytes(PEM), 0o644, new=not renew)
        return file

    def revoke(self, files: tuple[Path, ...], days: int = 365) -> Path:
        """Add certificates to the revocation list and make it valid for ``days`` more. Renew it in time: with an
        expired list the broker refuses every client. Raises ``OSError`` if a file cannot be read, ``AuthorityError`` if
        the list cannot be written.
        """
        now, listed = _now(), self._folder / "crl.pem"
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._cert.subject)
        builder = builder.last_update(now - BEFORE).next_update(now + timedelta(days=days))
        numbers = {x509.load_pem_x509_certificate(file.read_bytes()).serial_number for file in files}
        if listed.exists():
            numbers |= {one.serial_number for one in x509.load_pem_x509_crl(listed.read_bytes())}
        for number in sorted(numbers):
            revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - BEFORE)
            builder = builder.add_revoked_certificate(revoked.build())
        _write(listed, builder.sign(self._key, hashes.SHA256()).public_bytes(PEM), 0o644, new=False)
        return listed

    def expiries(self) -> list[Expiry]:
        """The expiry of every certificate in the folder and of the revocation list, soonest first."""
        found = []
        for file in sorted(self._folder.glob("*.pem")):
            data = file.read_bytes()
            if b"X509 CRL" in data:
                end = x509.load_pem_x509_crl(data).next_update_utc
                name = "revoked"
            else:
                cert = x509.load_pem_x509_certificate(data)
                end, name = cert.not_valid_after_utc, cert.subject.rfc4514_string().removeprefix("CN=")
            if end is not None:
                found.append(Expiry(file.name, name, (end - _now()).days))
        return sorted(found, key=lambda one: one.days)


def _now() -> datetime:
    return datetime.fromtimestamp(wall_ms() // 1000, UTC)


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key)
    # Python 3.13 verifies strictly (RFC 5280 §4.2.1.1, §4.2.1.2) and refuses certificates without these two
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(_now() - BEFORE).not_valid_after(_now() + timedelta(days=days))


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(file: Path, data: bytes, mode: int, new: bool) -> None:
    """Write a file as a whole or not at all; ``new``: only if it does not exist yet. Raises ``AuthorityError`` if it
    does, or if the disk refuses.
    """
    if new and file.exists():
        raise AuthorityError(f"{file}: is there already; nothing is overwritten")
    try:
        with whole_file(file, mode) as stream:
            stream.write(data)
    except OSError as error:
        raise AuthorityError(f"{file}: cannot be written: {error.strerror}") from None
