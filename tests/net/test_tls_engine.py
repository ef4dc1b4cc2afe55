"""TLS without sockets: two engines joined back to back, whole and byte by byte."""

from __future__ import annotations

import datetime
import os
import ssl

import pytest
import trustme

from portside.errors import TlsFailed, UsageError
from portside.net.tls import PIECE_BYTES, RECORD_BYTES, TlsEngine, tls_failure
from support.wire import join

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
