"""Digests by their names, and the replies that tell them."""

from __future__ import annotations

import hashlib
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.protocols.ftp.commands import VERBS
from portside.protocols.ftp.digests import (
    ALGORITHMS,
    HEX_DIGITS,
    X_FORMS,
    HashReply,
    build_hash_reply,
    open_digest,
    parse_algorithm,
    parse_hash_reply,
    parse_x_reply,
)
from portside.protocols.ftp.replies import MalformedReply

SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        # of "abc": FIPS 180-4's and RFC 1321's examples, and what cksum of zip files says
        ("SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("SHA-1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("MD5", "900150983cd24fb0d6963f7d28e17f72"),
        ("CRC32", "352441c2"),
    ],
)
def test_digests_of_the_standards_examples(algorithm: str, digest: str) -> None:
    made = open_digest(algorithm)
    for byte in (b"a", bytearray(b"b"), memoryview(b"c")):
        made.update(byte)
    assert made.hexdigest() == digest


@given(st.lists(st.binary(max_size=50)))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    expected = {name: hashlib.new(name.replace("-", ""), whole).hexdigest() for name in ALGORITHMS if name != "CRC32"}
    expected["CRC32"] = f"{zlib.crc32(whole):08x}"
    made = {name: open_digest(name) for name in ALGORITHMS}
    for digest in made.values():
        for piece in pieces:
            digest.update(piece)
    assert {name: digest.hexdigest() for name, digest in made.items()} == expected


def test_the_first_algorithm_is_the_default() -> None:
    assert ALGORITHMS[0] == "SHA-256"
    assert {name: len(open_digest(name).hexdigest()) for name in ALGORITHMS} == dict(HEX_DIGITS)
    assert set(X_FORMS.values()) == set(ALGORITHMS)
    assert {verb for verb in VERBS if verb[:2] in ("XS", "XM") and verb not in ("XMKD",)} | {"XCRC"} <= set(X_FORMS)


@pytest.mark.parametrize(("text", "name"), [("sha-256", "SHA-256"), ("SHA-1", "SHA-1"), ("crc32", "CRC32")])
def test_algorithms_are_known_in_any_case(text: str, name: str) -> None:
    assert parse_algorithm(text) == name


@pytest.mark.parametrize("text", ["", "SHA", "SHA256", "MD4", "SHA-256 "])
def test_unknown_algorithms_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage, match="the algorithms are SHA-256, "):
        parse_algorithm(text)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (f"SHA-1 0-255 {SHA1} filename.ext", HashReply("SHA-1", SHA1, 0, 255, "filename.ext")),  # the draft's form
        (f"SHA-1 {SHA1}", HashReply("SHA-1", SHA1)),  # FileZilla Server
        (f"sha-1 {SHA1.upper()} a b", HashReply("SHA-1", SHA1, path="a b")),
        (
            "MD5 0-170500096 3197bf4ec5fa2d441c0f50264ca52f11",
            HashReply("MD5", "3197bf4ec5fa2d441c0f50264ca52f11", 0, 170_500_096),
        ),
        ("WHIRLPOOL 0-1 0123456789abcdef x", HashReply("WHIRLPOOL", "0123456789abcdef", 0, 1, "x")),
    ],
)
def test_replies_to_hash_are_read(text: str, reply: HashReply) -> None:
    assert parse_hash_reply(text) == reply


@pytest.mark.parametrize(
    "text", ["", "SHA-1", "SHA-1 0-1", "SHA-1 0-1 xyz f", f"SHA-256 0-1 {SHA1} f", f"SHA-1 0 {SHA1} f", "x" * 10_000]
)
def test_what_tells_no_digest_is_refused(text: str) -> None:
    with pytest.raises(MalformedReply):
        parse_hash_reply(text)


@st.composite
def hash_replies(draw: st.DrawFn) -> HashReply:
    algorithm = draw(st.sampled_from(ALGORITHMS))
    digits = HEX_DIGITS[algorithm]
    digest = draw(st.text("0123456789abcdef", min_size=digits, max_size=digits))
    begin, end = draw(st.none() | st.integers(0, 2**63)), draw(st.none() | st.integers(0, 2**63))
    if begin is None or end is None:
        begin = end = None
    return HashReply(algorithm, digest, begin, end, draw(st.text(max_size=20)))


@given(hash_replies())
def test_what_was_built_is_read(reply: HashReply) -> None:
    assert parse_hash_reply(build_hash_reply(reply)) == reply


@pytest.mark.parametrize(
    ("text", "algorithm", "digest"),
    [
        (SHA1, "SHA-1", SHA1),
        (SHA1.upper(), "SHA-1", SHA1),
        (f"XSHA1 = {SHA1}", "SHA-1", SHA1),
        (f"{SHA1} deadbeef", "SHA-1", SHA1),
        ("352441C2", "CRC32", "352441c2"),
        ("File deadbeef.txt", "CRC32", "deadbeef"),
        ("1c2", "CRC32", "000001c2"),  # without the zeros at its beginning
    ],
)
def test_replies_to_the_older_forms_are_read(text: str, algorithm: str, digest: str) -> None:
    assert parse_x_reply(text, algorithm) == digest


@pytest.mark.parametrize(
    ("text", "algorithm"), [("", "MD5"), ("done", "MD5"), (SHA1, "MD5"), ("1c2 1c2", "CRC32"), (SHA1, "CRC32")]
)
def test_what_tells_no_digest_of_that_algorithm_is_refused(text: str, algorithm: str) -> None:
    with pytest.raises(MalformedReply):
        parse_x_reply(text, algorithm)


@given(st.text(max_size=80) | st.text("0123456789abcdef- SHA", max_size=80), st.sampled_from(ALGORITHMS))
def test_any_text_is_a_digest_or_refused(text: str, algorithm: str) -> None:
    with suppress(MalformedReply):
        assert len(parse_x_reply(text, algorithm)) == HEX_DIGITS[algorithm]
    with suppress(MalformedReply):
        assert parse_hash_reply(text).digest.isalnum()
