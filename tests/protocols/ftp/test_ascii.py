"""Text on the wire and on the disk, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.ascii import AsciiDecoder, AsciiEncoder

texts = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a", b"\xff"]), max_size=40).map(b"".join)


def encode(data: bytes, size: int = 1_000) -> bytes:
    encoder = AsciiEncoder()
    return b"".join(encoder.feed(data[at : at + size]) for at in range(0, len(data), size))


def decode(data: bytes, size: int = 1_000) -> bytes:
    decoder = AsciiDecoder()
    return b"".join(decoder.feed(data[at : at + size]) for at in range(0, len(data), size)) + decoder.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
@pytest.mark.parametrize(
    ("disk", "wire"),
    [
        (b"", b""),
        (b"a", b"a"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"\n\n", b"\r\n\r\n"),
        (b"a\r\nb\n", b"a\r\nb\r\n"),  # what is CR LF already stays, as with vsftpd and proftpd
        (b"a\rb", b"a\rb"),
        (b"a\r\r\nb", b"a\r\r\nb"),
        (b"\r", b"\r"),
        (b"\xff\n", b"\xff\r\n"),  # no IAC is doubled: a data connection is no Telnet
    ],
)
def test_lines_end_in_cr_lf_on_the_wire(disk: bytes, wire: bytes, size: int) -> None:
    assert encode(disk, size) == wire


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
@pytest.mark.parametrize(
    ("wire", "disk"),
    [
        (b"", b""),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"a\nb", b"a\nb"),  # from clients that do not turn LF into CR LF
        (b"a\r\0b", b"a\rb"),  # RFC 854: a CR alone
        (b"a\rb", b"a\rb"),
        (b"a\r", b"a\r"),
        (b"\r\r\n", b"\r\n"),
        (b"\r\r\0", b"\r\r"),
        (b"\r\n\0", b"\n\0"),
        (b"\r\r\n\0", b"\r\n\0"),
        (b"\0\r\n", b"\0\n"),
    ],
)
def test_lines_end_in_lf_on_the_disk(wire: bytes, disk: bytes, size: int) -> None:
    assert decode(wire, size) == disk


@given(texts, st.integers(1, 5))
def test_how_a_text_is_cut_makes_no_difference(text: bytes, size: int) -> None:
    assert encode(text, size) == encode(text)
    assert decode(text, size) == decode(text)


@given(texts.map(lambda text: text.replace(b"\r", b"")))
def test_a_text_with_lf_comes_back(text: bytes) -> None:
    assert decode(encode(text)) == text


@given(texts)
def test_every_lf_on_the_wire_has_its_cr(text: bytes) -> None:
    wire = encode(text)
    assert wire.count(b"\n") == wire.count(b"\r\n") == text.count(b"\n")
    assert encode(wire) == wire
