"""The way back from TLS to plain bytes, with a peer that is not ours."""

from __future__ import annotations

import ssl

import pytest

from portside.errors import EndOfStream
from portside.net.upgrade import CONTENT_TYPES, LastWords
from support.certificates import Certificates
from support.wire import Wire, join


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def wire(request: pytest.FixtureRequest, certificates: Certificates) -> Wire:
    """A server and a client whose handshake is done."""
    server = certificates.server_context(certificates.issue("localhost"))
    server.maximum_version = request.param
    return join(server, certificates.client_context()).shake_hands()


def test_the_peer_ends_it_too(wire: Wire) -> None:
    words = LastWords(wire.server)
    wire.server.close()
    assert not words.are_over
    words.take(wire.client.send(b"one more"))
    assert not words.are_over
    words.take(wire.client.close())
    assert words.are_over


def test_the_peer_leaves_without_a_word(wire: Wire) -> None:
    words = LastWords(wire.server)
    wire.server.close()
    words.take(b"PWD\r\n")
    assert words.are_over
    assert words._clear == b"PWD\r\n"


def test_what_it_says_in_tls_begins_like_a_record(wire: Wire) -> None:
    said = [wire.client.send(b"x"), wire.client.close()]
    assert {sealed[0] for sealed in said} <= set(CONTENT_TYPES)
    assert not set(CONTENT_TYPES) & set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def test_the_peer_is_gone(wire: Wire) -> None:
    words = LastWords(wire.server)
    wire.server.close()
    with pytest.raises(EndOfStream):
        words.take(b"")
