"""TLS contexts: which certificate is shown to whom, what a reload changes, and an operator's mistakes."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from portside.errors import LocalError, NotPermitted, TlsFailed, UsageError
from portside.net.tls import client_context, server_context
from support.wire import join

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Files:
    """A directory with certificates and keys, as an operator has them."""

    directory: Path
    authority: trustme.CA

    def pair(self, name: str, *identities: str, authority: trustme.CA | None = None) -> tuple[str, str]:
        """Write NAME.pem and NAME.key for the identities, replacing what was there. Returns their paths."""
        issued = (authority or self.authority).issue_cert(*identities)
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return str(certificate), str(key)

    def write(self, name: str, data: bytes) -> str:
        path = self.directory / name
        path.write_bytes(data)
        return str(path)

    @property
    def ca(self) -> str:
        return self.write("ca.pem", self.authority.cert_pem.bytes())

    def client(self, **options: Any) -> ssl.SSLContext:
        return client_context(self.ca, **options)


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Files:
    return Files(tmp_path, authority)


def names_shown(context: ssl.SSLContext, client: ssl.SSLContext, server_name: str | None) -> set[str]:
    """Return the DNS names in the certificate that the server shows to a client that asks for this name."""
    client.check_hostname = False
    wire = join(context, client, server_name=server_name).shake_hands()
    assert wire.server.state.server_name == server_name
    shown = wire.client.state.peer_certificate
    assert shown is not None
    return {value for kind, value in shown["subjectAltName"] if kind == "DNS"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("one.example", {"one.example"}),
        ("two.example", {"two.example", "www.two.example"}),
        ("www.two.example", {"two.example", "www.two.example"}),
        ("WWW.Two.Example", {"two.example", "www.two.example"}),
        ("a.wild.example", {"*.wild.example"}),
        ("exact.wild.example", {"exact.wild.example"}),
        ("a.b.wild.example", {"one.example"}),
        ("wild.example", {"one.example"}),
        ("localhost", {"one.example"}),
        (None, {"one.example"}),
    ],
)
def test_the_name_asked_for_chooses_the_certificate(
    files: Files, asked: str | None, shown: set[str], version: ssl.TLSVersion
) -> None:
    tls = server_context(
        [
            files.pair("one", "one.example"),
            files.pair("two", "two.example", "www.two.example"),
            files.pair("wild", "*.wild.example"),
            files.pair("exact", "exact.wild.example"),
        ]
    )
    client = files.client()
    client.maximum_version = version
    assert names_shown(tls.context, client, asked) == shown


def test_the_first_of_two_certificates_for_a_name_counts(files: Files) -> None:
    pairs = [files.pair("one", "x.example", "one.example"), files.pair("two", "x.example", "two.example")]
    assert names_shown(server_context(pairs).context, files.client(), "x.example") == {"x.example", "one.example"}


def test_key_and_certificate_may_share_a_file(files: Files) -> None:
    certificate, key = files.pair("one", "one.example")
    both = files.write("both.pem", Path(key).read_bytes() + Path(certificate).read_bytes())
    assert names_shown(server_context([(both, both)]).context, files.client(), None) == {"one.example"}


@pytest.mark.parametrize("several", [False, True])
def test_a_reload_is_for_handshakes_from_then_on(files: Files, several: bool) -> None:
    pairs = [files.pair("one", "localhost", "old.example")]
    if several:
        pairs.append(files.pair("two", "two.example"))
    tls = server_context(pairs)
    before = tls.context
    standing = join(before, files.client()).shake_hands()
    assert not tls.changed()

    files.pair("one", "localhost", "new.example")
    assert tls.changed()
    assert names_shown(tls.context, files.client(), "localhost") == {"localhost", "old.example"}
    tls.reload()
    assert not tls.changed()
    for context in (tls.context, before):  # also for who kept the context from before
        assert names_shown(context, files.client(), "localhost") == {"localhost", "new.example"}
    standing.carry(client_says=standing.client.send(b"still here"))
    assert standing.server_got == b"still here"


def test_a_broken_new_pair_leaves_the_old_in_force(files: Files) -> None:
    tls = server_context([files.pair("one", "one.example")])
    certificate, key = files.pair("other", "two.example")
    os.replace(certificate, files.directory / "one.pem")  # the new certificate is there, its key is not yet
    with pytest.raises(UsageError, match=r"the key .*one\.key does not belong to the certificate .*one\.pem"):
        tls.reload()
    assert names_shown(tls.context, files.client(), None) == {"one.example"}
    assert not tls.changed()  # it was tried; nothing new since
    os.replace(key, files.directory / "one.key")
    assert tls.changed()
    tls.reload()
    assert names_shown(tls.context, files.client(), None) == {"two.example"}


def test_a_missing_file_is_a_change_and_a_return_too(files: Files) -> None:
    certificate, key = files.pair("one", "one.example")
    tls = server_context([(certificate, key)], client_ca=files.ca)
    os.rename(key, key + ".away")
    assert tls.changed()
    with pytest.raises(UsageError, match=r"one\.key cannot be read: there is no such file"):
        tls.reload()
    assert not tls.changed()
    os.rename(key + ".away", key)
    assert tls.changed()
    tls.reload()
    files.write("ca.pem", trustme.CA().cert_pem.bytes())
    assert tls.changed()


@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificates_are_required(files: Files, version: ssl.TLSVersion) -> None:
    tls = server_context([files.pair("one", "localhost")], client_ca=files.ca)
    anna = files.client(certificate=files.pair("anna", "anna@example.org"))
    stranger = files.client(certificate=files.pair("stranger", "eve@example.org", authority=trustme.CA()))
    for client in (anna, stranger):
        client.maximum_version = version
    shown = join(tls.context, anna).shake_hands().server.state.peer_certificate
    assert shown is not None
    assert ("email", "anna@example.org") in shown["subjectAltName"]
    with pytest.raises(TlsFailed, match="the peer's certificate cannot be verified"):
        join(tls.context, stranger).shake_hands()
    with pytest.raises(TlsFailed, match="the client showed no certificate"):
        join(tls.context, files.client()).shake_hands()


def test_client_certificates_are_required_behind_every_name(files: Files) -> None:
    pairs = [files.pair("one", "localhost"), files.pair("two", "two.example")]
    tls = server_context(pairs, client_ca=files.ca)
    with pytest.raises(TlsFailed, match="the client showed no certificate"):
        join(tls.context, files.client(), server_name="two.example").shake_hands()


def test_after_a_reload_the_new_authority_decides(files: Files) -> None:
    tls = server_context([files.pair("one", "localhost")], client_ca=files.ca)
    anna = files.client(certificate=files.pair("anna", "anna@example.org"))
    join(tls.context, anna).shake_hands()
    Path(tls._client_ca or "").write_bytes(trustme.CA().cert_pem.bytes())
    tls.reload()
    with pytest.raises(TlsFailed, match="the peer's certificate cannot be verified"):
        join(tls.context, anna).shake_hands()


def test_protocols_are_offered_and_chosen(files: Files) -> None:
    tls = server_context([files.pair("one", "localhost"), files.pair("two", "two.example")], alpn=("h2", "http/1.1"))
    for name in ("localhost", "two.example"):
        assert join(tls.context, files.client(alpn=["http/1.1"]), server_name=name).shake_hands().server.state.alpn == (
            "http/1.1"
        )
    assert join(tls.context, files.client(alpn=["other"])).shake_hands().client.state.alpn is None


def test_nothing_under_tls_1_2(files: Files) -> None:
    assert server_context([files.pair("one", "localhost")]).context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_clients_verify_unless_told_otherwise(files: Files) -> None:
    tls = server_context([files.pair("one", "localhost")])
    with pytest.raises(TlsFailed, match="certificate of localhost cannot be verified"):
        join(tls.context, client_context()).shake_hands()
    assert join(tls.context, client_context(insecure=True), server_name="other").shake_hands().client.done


def test_the_system_s_store_may_be_named_by_the_environment(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", files.ca)
    tls = server_context([files.pair("one", "localhost")])
    assert join(tls.context, client_context()).shake_hands().client.done


def test_self_signed_is_made_and_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tls = server_context(self_signed=True)
    assert list(tmp_path.iterdir()) == []
    wire = join(tls.context, client_context(insecure=True)).shake_hands()
    shown = wire.client._object.getpeercert(binary_form=True)
    assert shown is not None
    trusting = client_context(files.write("shown.pem", ssl.DER_cert_to_PEM_cert(shown).encode()))
    assert not tls.changed()
    tls.reload()  # keeps its certificate: who came to trust it goes on to
    for name in ("localhost", "127.0.0.1", "::1"):
        assert join(tls.context, trusting, server_name=name).shake_hands().client.done


def test_keys_are_logged_for_both_sides(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = files.pair("one", "localhost")
    plain_server, plain_client = server_context([pair]).context, files.client()
    log = files.directory / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    join(
        server_context([pair, files.pair("two", "two.example")]).context, plain_client, server_name="two.example"
    ).shake_hands()
    by_server = log.read_text()
    assert "SERVER_TRAFFIC_SECRET_0" in by_server
    join(plain_server, files.client()).shake_hands()
    assert log.read_text().count("SERVER_TRAFFIC_SECRET_0") == 2
    monkeypatch.setenv("SSLKEYLOGFILE", str(files.directory / "none" / "keys.log"))
    with pytest.raises(LocalError, match=r"SSLKEYLOGFILE .* cannot be written"):
        server_context([pair])


# ── mistakes of the operator ─────────────────────────────────────────────────────────────────────────────────────────


def encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    return form.load_pem_private_key(key, None).private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret")
    )


def test_a_key_of_another_certificate_names_both_files(files: Files) -> None:
    certificate, _ = files.pair("one", "one.example")
    _, key = files.pair("two", "two.example")
    with pytest.raises(UsageError, match=r"the key .*two\.key does not belong to the certificate .*one\.pem"):
        server_context([(certificate, key)])


def test_a_key_of_another_kind_names_both_files(files: Files) -> None:
    certificate, _ = files.pair("one", "one.example")
    key = files.write(
        "two.key", files.authority.issue_cert("two.example", key_type=trustme.KeyType.RSA).private_key_pem.bytes()
    )
    with pytest.raises(UsageError, match=r"the key .*two\.key does not belong to the certificate .*one\.pem"):
        server_context([(certificate, key)])


def test_an_encrypted_key_is_refused_with_advice(files: Files) -> None:
    certificate, key = files.pair("one", "one.example")
    Path(key).write_bytes(encrypted(Path(key).read_bytes()))
    with pytest.raises(UsageError, match=r"one\.key is encrypted.*openssl pkey -in .*one\.key"):
        server_context([(certificate, key)])


def test_files_that_are_not_what_they_should_be(files: Files) -> None:
    certificate, key = files.pair("one", "one.example")
    text = files.write("text", b"hello\n")
    damaged = files.write("damaged.pem", Path(certificate).read_bytes().replace(b"\nM", b"\n!", 1))
    for pair, said in [
        ((text, key), "text holds no certificate in PEM form"),
        ((certificate, text), "text holds no private key in PEM form"),
        ((key, certificate), r"one\.key holds no certificate in PEM form"),
        ((damaged, key), r"damaged\.pem and the key .*one\.key cannot be used: "),
        ((str(files.directory), key), "cannot be read: Is a directory"),
        ((str(files.directory / "none"), key), "none cannot be read: there is no such file"),
        ((certificate, "nul\0"), "cannot be read: embedded null byte"),
    ]:
        with pytest.raises(UsageError, match=said):
            server_context([pair])
    with pytest.raises(UsageError, match="text holds no certificates of authorities"):
        server_context([(certificate, key)], client_ca=text)
    with pytest.raises(UsageError, match="none cannot be read"):
        client_context(str(files.directory / "none"))


def test_a_file_that_may_not_be_read(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = files.pair("one", "one.example")

    def refuse(path: str, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("portside.net.tls.open", refuse, raising=False)
    with pytest.raises(NotPermitted, match=r"one\.pem may not be read by this user"):
        server_context([pair])


def test_names_that_cannot_be_read_matter_only_where_one_must_choose(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str) -> None:
        raise ValueError("a length is not DER")

    monkeypatch.setattr("portside.net.tls.names_in_pem", refuse)
    one, two = files.pair("one", "one.example"), files.pair("two", "two.example")
    server_context([one])
    with pytest.raises(UsageError, match=r"names in the certificate .*one\.pem cannot be read: a length is not DER"):
        server_context([one, two])


@pytest.mark.parametrize("alpn", [[""], ["x" * 256], ["h\N{SUPERSCRIPT TWO}"]])
def test_protocol_names_that_cannot_be(files: Files, alpn: list[str]) -> None:
    with pytest.raises(UsageError, match="no list of ALPN names"):
        server_context([files.pair("one", "one.example")], alpn=alpn)


def test_a_certificate_is_needed_and_one_kind_of_it(files: Files) -> None:
    with pytest.raises(UsageError, match="needs a certificate"):
        server_context()
    with pytest.raises(UsageError, match="exclude each other"):
        server_context([files.pair("one", "one.example")], self_signed=True)
