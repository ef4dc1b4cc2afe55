"""TLS without sockets: two engines joined back to back, whole and byte by byte, and the contexts behind them."""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from portside.errors import LocalError, NotPermitted, TlsFailed, UsageError
from portside.net.tls import PIECE_BYTES, RECORD_BYTES, TlsEngine, client_context, server_context, tls_failure

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", "127.0.0.1")


def contexts(authority: trustme.CA, certificate: trustme.LeafCert) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certificate.configure_cert(server)
    authority.configure_trust(client)
    return server, client


class Wire:
    """Two engines and the bytes between them, cut into pieces of ``cut`` bytes (0: as they come)."""

    def __init__(self, server: TlsEngine, client: TlsEngine, cut: int = 0) -> None:
        self.server, self.client, self.cut = server, client, cut
        self.server_got = self.client_got = b""

    def carry(self, server_says: bytes = b"", client_says: bytes = b"") -> None:
        """Carry what both say, and what that makes them say, until nobody has anything left to say."""
        while server_says or client_says:
            self.client_got += self._feed(self.client, server_says)
            self.server_got += self._feed(self.server, client_says)
            server_says, client_says = self.server.pending_output(), self.client.pending_output()

    def _feed(self, engine: TlsEngine, ciphertext: bytes) -> bytes:
        size = self.cut or len(ciphertext) or 1
        return b"".join(engine.receive(ciphertext[i : i + size]) for i in range(0, len(ciphertext), size))

    def shake_hands(self) -> Wire:
        assert not self.client.handshake()
        self.carry(client_says=self.client.pending_output())
        return self


def join(server: ssl.SSLContext, client: ssl.SSLContext, cut: int = 0, server_name: str | None = "localhost") -> Wire:
    return Wire(TlsEngine(server, server_side=True), TlsEngine(client, server_side=False, server_name=server_name), cut)


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_go_both_ways_however_the_network_cuts_them(
    authority: trustme.CA, certificate: trustme.LeafCert, version: ssl.TLSVersion, cut: int
) -> None:
    server, client = contexts(authority, certificate)
    client.maximum_version = client.minimum_version = version
    wire = join(server, client, cut).shake_hands()
    assert wire.server.done
    assert wire.client.done
    wire.carry(client_says=wire.client.send(b"how", b" do ", b"you do"))
    wire.carry(server_says=wire.server.send(memoryview(b"fine" * 9_000)))
    assert wire.server_got == b"how do you do"
    assert wire.client_got == b"fine" * 9_000
    assert wire.client.state.version == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_bulk_in_pieces_arrives_whole(
    authority: trustme.CA, certificate: trustme.LeafCert, version: ssl.TLSVersion
) -> None:
    server, client = contexts(authority, certificate)
    client.maximum_version = version
    wire = join(server, client, cut=65_536).shake_hands()
    data = os.urandom(3 * PIECE_BYTES + 1)
    for start in range(0, len(data), PIECE_BYTES):
        wire.carry(server_says=wire.server.send(memoryview(data)[start : start + PIECE_BYTES]))
    assert wire.client_got == data


def test_small_chunks_share_a_record(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    wire = join(*contexts(authority, certificate)).shake_hands()
    one, many = len(wire.client.send(b"x" * 100)), len(wire.client.send(*[b"x"] * 100))
    assert one == many
    assert wire.client.send() == wire.client.send(b"", b"") == b""


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("version", VERSIONS)
def test_half_close_leaves_the_other_direction_open(
    authority: trustme.CA, certificate: trustme.LeafCert, version: ssl.TLSVersion, cut: int
) -> None:
    server, client = contexts(authority, certificate)
    client.maximum_version = version
    wire = join(server, client, cut).shake_hands()
    wire.carry(client_says=wire.client.send(b"the last") + wire.client.close())
    assert (wire.server_got, wire.server.ended) == (b"the last", True)
    wire.carry(server_says=wire.server.send(b"an answer" * 5_000))
    assert (wire.client_got, wire.client.ended) == (b"an answer" * 5_000, False)
    wire.carry(server_says=wire.server.close())
    assert wire.client.ended
    wire.client.feed_eof()
    wire.server.feed_eof()
    assert not wire.client.truncated
    assert not wire.server.truncated
    with pytest.raises(TlsFailed, match="already closed on this side"):
        wire.client.send(b"more")


def test_nothing_behind_a_close_notify_is_kept(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    wire = join(*contexts(authority, certificate)).shake_hands()
    wire.carry(client_says=wire.client.close())
    assert wire.server.receive(b"anything" * 1_000) == b""
    assert wire.server._incoming.pending == 0


@pytest.mark.parametrize("at", [0, 100_000, 250_000])
def test_a_large_piece_is_good_up_to_its_damage(authority: trustme.CA, certificate: trustme.LeafCert, at: int) -> None:
    wire = join(*contexts(authority, certificate)).shake_hands()
    data = os.urandom(PIECE_BYTES)
    sealed = bytearray(wire.client.send(data))
    sealed[at + 5] ^= 1  # 5: what is behind the header of the first record
    got = b""
    if at >= RECORD_BYTES:
        got = wire.server.receive(sealed)
        assert at - 2 * RECORD_BYTES < len(got) <= at
        assert data.startswith(got)
    with pytest.raises(TlsFailed, match="damaged or forged"):
        wire.server.receive(sealed)


def test_an_end_without_close_notify_is_told_apart(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    wire = join(*contexts(authority, certificate)).shake_hands()
    wire.carry(client_says=wire.client.send(b"half a fi"))
    wire.server.feed_eof()
    assert (wire.server.ended, wire.server.truncated) == (True, True)


def test_end_in_the_handshake_fails(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    wire = join(*contexts(authority, certificate))
    wire.client.handshake()
    wire.server.receive(wire.client.pending_output()[:20])
    with pytest.raises(TlsFailed, match="left in the middle of the handshake"):
        wire.server.feed_eof()


def test_nothing_is_sent_before_the_handshake(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    wire = join(*contexts(authority, certificate))
    with pytest.raises(TlsFailed, match="before the handshake"):
        wire.client.send(b"early")
    assert wire.client.close() == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificates_are_asked_for_and_shown(authority: trustme.CA, version: ssl.TLSVersion) -> None:
    server, client = contexts(authority, authority.issue_cert("localhost"))
    client.maximum_version = version
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("anna@example.org", common_name="anna").configure_cert(client)
    wire = join(server, client).shake_hands()
    shown = wire.server.state.peer_certificate
    assert shown is not None
    assert ("email", "anna@example.org") in shown["subjectAltName"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_without_its_certificate_is_refused_on_both_sides(
    authority: trustme.CA, certificate: trustme.LeafCert, version: ssl.TLSVersion
) -> None:
    server, client = contexts(authority, certificate)
    client.maximum_version = version
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    wire = join(server, client)
    with pytest.raises(TlsFailed, match="the client showed no certificate"):
        wire.shake_hands()
    # The alert is there to be sent although receive() raised, and it makes the other side fail with a sentence too.
    with pytest.raises(TlsFailed, match="client certificate"):
        wire.client.receive(wire.server.pending_output())
    with pytest.raises(TlsFailed, match="client certificate"):
        wire.client.receive(b"")


def test_an_unknown_authority_is_refused_on_both_sides(certificate: trustme.LeafCert) -> None:
    server, client = contexts(trustme.CA(), certificate)
    wire = join(server, client)
    with pytest.raises(TlsFailed, match="certificate of localhost cannot be verified: unable to get local issuer"):
        wire.shake_hands()
    with pytest.raises(TlsFailed, match="refused our certificate: it does not know who signed it"):
        wire.server.receive(wire.client.pending_output())


def test_another_name_is_refused(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    wire = join(*contexts(authority, certificate), server_name="example.org")
    with pytest.raises(TlsFailed, match=r"Hostname mismatch.*'example\.org'"):
        wire.shake_hands()


def test_an_expired_certificate_is_refused(authority: trustme.CA) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    wire = join(*contexts(authority, authority.issue_cert("localhost", not_after=yesterday)))
    with pytest.raises(TlsFailed, match="certificate has expired"):
        wire.shake_hands()


def test_no_version_in_common(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    server, client = contexts(authority, certificate)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    wire = join(server, client)
    with pytest.raises(TlsFailed, match="no TLS version in common"):
        wire.shake_hands()
    with pytest.raises(TlsFailed, match="no TLS version in common"):
        wire.client.receive(wire.server.pending_output())


@pytest.mark.parametrize(
    ("said", "sentence"),
    [(b"GET / HTTP/1.0\r\n\r\n", "speaks plain HTTP"), (b"hello there, server\r\n", "does not speak TLS")],
)
def test_plain_bytes_are_no_handshake(
    authority: trustme.CA, certificate: trustme.LeafCert, said: bytes, sentence: str
) -> None:
    server = TlsEngine(contexts(authority, certificate)[0], server_side=True)
    with pytest.raises(TlsFailed, match=sentence):
        server.receive(said)
    with pytest.raises(TlsFailed, match=sentence):  # for good: nothing mends it
        server.receive(b"more")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_record_fails_after_the_good_ones(
    authority: trustme.CA, certificate: trustme.LeafCert, version: ssl.TLSVersion
) -> None:
    server, client = contexts(authority, certificate)
    client.maximum_version = version
    wire = join(server, client).shake_hands()
    good, bad = wire.client.send(b"good"), bytearray(wire.client.send(b"bad"))
    bad[-1] ^= 1
    assert wire.server.receive(good + bad) == b"good"
    with pytest.raises(TlsFailed, match="damaged or forged"):
        wire.server.receive(b"")


def test_the_state_tells_what_was_agreed(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    server, client = contexts(authority, certificate)
    server.set_alpn_protocols(["two", "one"])
    client.set_alpn_protocols(["one"])
    wire = join(server, client).shake_hands()
    state = wire.client.state
    assert (state.version, state.alpn, state.server_name) == ("TLSv1.3", "one", "localhost")
    assert state.cipher.startswith("TLS_")
    assert state.peer_certificate is not None
    assert wire.server.state.alpn == "one"
    assert wire.server.state.peer_certificate is None


@pytest.mark.parametrize("name", ["", ".example.org", "a" * 64 + ".example"])
def test_names_that_cannot_be_asked_for(authority: trustme.CA, certificate: trustme.LeafCert, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be asked for"):
        TlsEngine(contexts(authority, certificate)[1], server_side=False, server_name=name)


def test_a_failure_keeps_its_cause_and_always_has_words() -> None:
    error = ssl.SSLError(1, "[SSL: A_REASON_NOBODY_KNOWS] something odd")
    assert str(tls_failure(error)) == "TLS failed: [SSL: A_REASON_NOBODY_KNOWS] something odd"
    assert tls_failure(error).__cause__ is error
    error.reason = "A_REASON_NOBODY_KNOWS"
    assert str(tls_failure(error)) == "TLS failed: a reason nobody knows"


# ── contexts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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
