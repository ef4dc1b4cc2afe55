"""The names inside certificates, read by our own few lines, against what a real X.509 library put there."""

from __future__ import annotations

import builtins
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MissingExtra
from portside.net.certificates import make_self_signed, names_in, names_in_pem

KEY = ec.generate_private_key(ec.SECP256R1())


def make(common_name: str | None, *alternatives: x509.GeneralName, others: int = 0) -> bytes:
    """Return a certificate, DER, with these names and ``others`` extensions in front of them."""
    attributes = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Somebody"),
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
    ]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the issuer")]))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
    )
    for number in range(others):
        oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.55555.{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x82\x03abc" * 40), critical=bool(number % 2))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=common_name is None)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def test_dns_names_among_other_names() -> None:
    certificate = make(
        "ignored.example",
        x509.RFC822Name("anna@example.org"),
        x509.DNSName("Example.ORG"),
        x509.UniformResourceIdentifier("https://uri.example/"),
        x509.DNSName("*.example.net"),
        others=3,
    )
    assert names_in(certificate) == ("example.org", "*.example.net")


@pytest.mark.parametrize("others", [0, 2])
def test_the_common_name_counts_where_no_dns_name_is(others: int) -> None:
    assert names_in(make("Old.example", others=others)) == ("old.example",)
    assert names_in(make("old.example", x509.RFC822Name("anna@example.org"), others=others)) == ("old.example",)
    assert names_in(make(None, others=others)) == ()
    assert names_in(make("bücher.example", others=others)) == ()


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
dns_names = st.builds(".".join, st.lists(labels, min_size=1, max_size=4))


@given(st.lists(dns_names, min_size=1, max_size=40))
def test_all_names_in_order(names: list[str]) -> None:
    assert names_in(make(None, *map(x509.DNSName, names), others=1)) == tuple(names)


SAMPLE = make("sample.example", x509.DNSName("sample.example"), others=1)


@given(at=st.integers(0, len(SAMPLE) - 1), value=st.integers(0, 255), cut=st.none() | st.integers(0, len(SAMPLE)))
def test_damaged_certificates_give_names_or_a_reason(at: int, value: int, cut: int | None) -> None:
    damaged = bytearray(SAMPLE)
    damaged[at] = value
    try:
        names = names_in(bytes(damaged[:cut]))
    except ValueError:
        return
    assert all(isinstance(name, str) for name in names)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x30", b"\x30\x80\x00\x00", b"\x30\x81\x05", b"\x30\x82\x00\x01\x00", b"\x30\x05\x02\x01\x01"),
        *(b"\x3f\x01\x00", b"\x30\x03\x30\x01", b"\x31\x00", SAMPLE + b"\x00", SAMPLE + SAMPLE, SAMPLE[:-1]),
    ],
)
def test_what_is_no_certificate(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        names_in(data)


def test_the_first_certificate_of_a_file_counts() -> None:
    authority = trustme.CA()
    chain = authority.issue_cert("first.example").cert_chain_pems[0].bytes() + authority.cert_pem.bytes()
    assert names_in_pem("# a comment\n" + chain.decode()) == ("first.example",)
    with pytest.raises(ValueError, match="no certificate"):
        names_in_pem("nothing")


def test_a_self_signed_certificate_is_for_this_machine() -> None:
    pem = make_self_signed()
    certificate = x509.load_pem_x509_certificate(pem)
    assert names_in_pem(pem.decode())[0] == "localhost"
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(ip) for ip in alternatives.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert b"PRIVATE KEY" in pem
    ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(certificate.public_bytes(Encoding.DER)))


def test_without_cryptography_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r"pip install 'portside\[tls\]'"):
        make_self_signed()
