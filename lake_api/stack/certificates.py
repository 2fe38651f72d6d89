"""Certificates with which one server knows its own inner connections (mutual TLS).

Belongs here: making them.
Does not belong here: the server that uses them (`s3`).

They are made anew at each start, so that none expires and none is worth stealing. The authority
signs one certificate and its key is never written down: nobody can sign another one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from lake_api.stack.ports import LOOPBACK
from lake_api.stack.secret_files import write_private

_VALID = timedelta(days=3650)
# The clock of a machine may be set back after the start.
_EARLIER = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Where an authority, the one certificate that it signed, and its private key lie."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> Certificates:
    """Write a new authority, certificate and key into `directory`, readable for the owner only."""
    # Slow to import, and not for every command.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(tz=UTC)

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(now + _VALID)
        )

    issuer = name("lake inner authority")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = (
        builder(issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(name("lake inner service"), key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ip_address(LOOPBACK))]
            ),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    made = Certificates(
        authority=directory / "inner-ca.pem",
        certificate=directory / "inner.pem",
        key=directory / "inner-key.pem",
    )
    pem = serialization.Encoding.PEM
    write_private(made.authority, authority.public_bytes(pem).decode())
    write_private(made.certificate, certificate.public_bytes(pem).decode())
    write_private(
        made.key,
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
    return made
