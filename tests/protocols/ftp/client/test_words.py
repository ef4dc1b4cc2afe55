"""What the replies to single commands say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.client.words import algorithms_of, parse_features, parse_path, parse_size
from portside.protocols.ftp.replies import MalformedReply, Reply


def test_features_are_named_with_what_stands_behind_them() -> None:
    # RFC 2389 section 3.2 asks for a blank before each; not all servers have it, and some repeat a name.
    lines = ("Features:", " SIZE", "MLST type*;size*;", " AUTH TLS", " auth SSL", " REST STREAM ", "", "End")
    features = parse_features(Reply(211, lines))
    assert features.by_name == {"SIZE": "", "MLST": "type*;size*;", "AUTH": "TLS SSL", "REST": "STREAM"}
    assert "SIZE" in features
    assert "MDTM" not in features
    assert features["REST"] == "STREAM"


def test_what_a_server_without_feat_can_do_must_be_tried() -> None:
    told = parse_features(Reply(211, ("no features",)))
    assert not told.may_know("SIZE")
    assert type(told)().may_know("SIZE")


@pytest.mark.parametrize(("text", "size"), [("12345", 12_345), (" 7 ", 7), ("7 bytes", 7), ("0", 0)])
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(Reply(213, (text,))) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "9" * 21, "²"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(MalformedReply, match="a number of bytes"):
        parse_size(Reply(213, (text,)))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('"/srv/anna" is the directory', "/srv/anna"),
        ('"/a ""b"" c"', '/a "b" c'),  # RFC 959 appendix II
        ('"" created', ""),
    ],
)
def test_a_path_stands_between_quotes(text: str, path: str) -> None:
    assert parse_path(Reply(257, (text,))) == path


def test_a_path_without_quotes_is_refused() -> None:
    with pytest.raises(MalformedReply, match='stands in "quotes"'):
        parse_path(Reply(257, ("/srv/anna",)))


def test_the_algorithms_of_hash_are_named() -> None:
    features = parse_features(Reply(211, ("", " HASH SHA-1;sha-256*;MD5;", "")))
    assert algorithms_of(features) == ("SHA-1", "SHA-256", "MD5")
    assert algorithms_of(type(features)()) == ()


@given(st.lists(st.text(), min_size=1))
def test_any_reply_is_understood_or_refused(lines: list[str]) -> None:
    reply = Reply(213, tuple(lines))
    parse_features(reply)
    for parse in (parse_size, parse_path):
        try:
            parse(reply)
        except MalformedReply:
            continue
