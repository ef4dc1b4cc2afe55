"""Certificates: the names inside one, read without any library, and one made on the spot for development.

The ssl module hands out the names of a certificate only after a handshake that verified it, so a server that chooses
by name (SNI) reads them itself: a strict walk through the few DER elements that lead to the names.
Source: RFC 5280 sections 4.1 and 4.2.1.6; X.690 for DER.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from portside.errors import MissingExtra

_SEQUENCE, _OBJECT, _OCTETS = 0x30, 0x06, 0x04
_VERSION, _EXTENSIONS, _DNS_NAME = 0xA0, 0xA3, 0x82  # [0] and [3] explicit, [2] IA5String of GeneralName
_SUBJECT_ALT_NAME: Final = bytes.fromhex("551d11")  # 2.5.29.17
_COMMON_NAME: Final = bytes.fromhex("550403")  # 2.5.4.3
_SUBJECT: Final = 4  # behind serial number, signature algorithm, issuer and validity

_PEM_START, _PEM_END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def names_in_pem(text: str) -> tuple[str, ...]:
    """Return the DNS names of the first certificate in PEM text. Raises: ValueError."""
    start = text.find(_PEM_START)
    end = text.find(_PEM_END, start)
    if start < 0 or end < 0:
        raise ValueError("there is no certificate")
    return names_in(ssl.PEM_cert_to_DER_cert(text[start : end + len(_PEM_END)]))


def names_in(certificate: bytes) -> tuple[str, ...]:
    """Return the DNS names a certificate (DER) is for, in lower case, ``*.`` in front where it is a wildcard.

    The common name counts only where there is no DNS name among the subjectAltNames: RFC 6125 section 6.4.4.
    Raises: ValueError when the bytes are no certificate.
    """
    ((_, whole),) = _elements(certificate, _SEQUENCE)
    (_, body), *_ = _elements(whole, _SEQUENCE)
    fields = [(tag, content) for tag, content in _elements(body) if tag != _VERSION]
    if len(fields) <= _SUBJECT:
        raise ValueError("a certificate has more fields")
    names = [name for tag, content in fields if tag == _EXTENSIONS for name in _alternative_names(content)]
    return tuple(name.lower() for name in names or _common_names(fields[_SUBJECT][1]))


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for _, listed in _elements(extensions, _SEQUENCE):
        for _, extension in _elements(listed, _SEQUENCE):
            (_, kind), *_, (value_tag, value) = _elements(extension)
            if kind == _SUBJECT_ALT_NAME and value_tag == _OCTETS:
                for _, general_names in _elements(value, _SEQUENCE):
                    for tag, name in _elements(general_names):
                        if tag == _DNS_NAME:
                            yield name.decode("ascii")


def _common_names(subject: bytes) -> Iterator[str]:
    for _, relative_name in _elements(subject):
        for _, attribute in _elements(relative_name, _SEQUENCE):
            (_, kind), (_, value), *_ = _elements(attribute)
            if kind == _COMMON_NAME and value.isascii():
                yield value.decode("ascii")


def _elements(data: bytes, wanted: int | None = None) -> list[tuple[int, bytes]]:
    """Return tag and content of the elements that fill ``data``; with ``wanted`` the first must have this tag."""
    found = []
    at = 0
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of several bytes")  # none on the way to the names
        length, at = _length(data, at)
        if at + length > len(data):
            raise ValueError("an element is longer than what holds it")
        found.append((tag, data[at : at + length]))
        at += length
    if wanted is not None and (not found or found[0][0] != wanted):
        raise ValueError(f"the element 0x{wanted:02x} is missing")
    return found


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError("an element ends before its length")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    digits = data[at + 1 : at + 1 + count]
    length = int.from_bytes(digits, "big")
    if not 0 < count <= 4 or len(digits) < count or digits[0] == 0 or length < 0x80:
        raise ValueError("a length is not DER")  # indefinite, cut off, or longer than it need be
    return length, at + 1 + count


# ── for development ──────────────────────────────────────────────────────────────────────────────────────────────────

SELF_SIGNED_DAYS: Final = 90


def make_self_signed() -> bytes:
    """Return a new certificate and its key, PEM, for this machine as itself: localhost, its name, loopback addresses.

    ECDSA on P-256. Nobody vouches for it: clients must be told to trust it, or not to verify.
    Raises: MissingExtra without the cryptography package.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise MissingExtra("a self-signed certificate", "tls") from error
    from ipaddress import ip_address

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Portside, self-signed for development")])
    names = [x509.DNSName(host) for host in _own_names()]
    loopbacks = [x509.IPAddress(ip_address(host)) for host in ("127.0.0.1", "::1")]
    now = datetime.now(UTC)
    other_usages = (
        "content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of clients differ
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([*names, *loopbacks]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, **dict.fromkeys(other_usages.split(), False)), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _own_names() -> list[str]:
    own = os.uname().nodename.lower().rstrip(".")
    labels = own.split(".")
    is_host_name = len(own) <= 253 and all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum() for label in labels
    )
    return ["localhost"] + ([own] if is_host_name and own != "localhost" else [])
