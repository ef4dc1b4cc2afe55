"""Files in parts and by conditions: what is asked for, what the client has already, and what has changed meanwhile."""

from __future__ import annotations

import email
import os
from pathlib import Path

import pytest

from portside.protocols.http.site.delivery import PIECE_BYTES
from support.site import Answer, Asking

# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wanted", "content_range", "body"),
    [
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=4-", "bytes 4-9/10", b"456789"),
        ("bytes=-2", "bytes 8-9/10", b"89"),
        ("bytes=0-0,1-1", "bytes 0-1/10", b"01"),
    ],
)
def test_a_part_of_a_file(site: Asking, digits: Path, wanted: str, content_range: str, body: bytes) -> None:
    answer = site.get("/digits.txt", {"range": wanted})
    assert (answer.status, answer.fields["content-range"], answer.body) == (206, content_range, body)
    whole = site.get("/digits.txt").fields
    for name in ("etag", "last-modified", "content-type", "cache-control", "vary"):
        assert answer.fields[name] == whole[name]


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0"])
def test_a_part_that_is_not_there(site: Asking, digits: Path, wanted: str) -> None:
    answer = site.get("/digits.txt", {"range": wanted})
    assert (answer.status, answer.fields["content-range"]) == (416, "bytes */10")


@pytest.mark.parametrize("wanted", ["bytes=3-1", "lines=1-2", "nonsense"])
def test_a_range_that_is_none_gets_the_whole(site: Asking, digits: Path, wanted: str) -> None:
    answer = site.get("/digits.txt", {"range": wanted})
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert "content-range" not in answer.fields


def test_head_has_no_parts(site: Asking, digits: Path) -> None:
    assert site("HEAD", "/digits.txt", {"range": "bytes=0-3"}).status == 200


def parts_of(answer: Answer) -> list[tuple[str, str, bytes]]:
    """Return type, range and bytes of each part, as a mail program sees them."""
    whole = b"Content-Type: " + answer.fields["content-type"].encode() + b"\r\n\r\n" + answer.body
    return [
        (part["Content-Type"], part["Content-Range"], part.get_payload(decode=True))
        for part in email.message_from_bytes(whole).get_payload()
    ]


def test_several_parts(site: Asking, root: Path) -> None:
    content = os.urandom(PIECE_BYTES + 1_000)
    (root / "large.bin").write_bytes(content)
    answer = site.get("/large.bin", {"range": f"bytes=0-9,500-{PIECE_BYTES + 500},-5"})
    assert answer.status == 206
    # A boundary is no newline's: payloads of a mail are compared by their own bytes.
    boundary = answer.fields["content-type"].partition("boundary=")[2].encode()
    pieces = answer.body.split(b"\r\n--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    found = [piece.split(b"\r\n\r\n", 1)[1] for piece in pieces[1:-1]]
    assert found == [content[:10], content[500 : PIECE_BYTES + 501], content[-5:]]
    assert [part[:2] for part in parts_of(answer)] == [
        ("application/octet-stream", f"bytes {start}-{end}/{len(content)}")
        for start, end in ((0, 9), (500, PIECE_BYTES + 500), (len(content) - 5, len(content) - 1))
    ]


def test_a_range_goes_on_only_with_the_same_content(site: Asking, digits: Path) -> None:
    fields = site.get("/digits.txt").fields
    for condition in (fields["etag"], fields["last-modified"]):
        assert site.get("/digits.txt", {"range": "bytes=5-", "if-range": condition}).status == 206
    digits.write_bytes(b"abcdefghij")
    for condition in (fields["etag"], fields["last-modified"]):
        answer = site.get("/digits.txt", {"range": "bytes=5-", "if-range": condition})
        assert (answer.status, answer.body) == (200, b"abcdefghij")


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_client_has_already_is_not_sent(site: Asking, digits: Path) -> None:
    fields = site.get("/digits.txt").fields
    for condition in ({"if-none-match": fields["etag"]}, {"if-modified-since": fields["last-modified"]}):
        answer = site.get("/digits.txt", condition)
        assert (answer.status, answer.body) == (304, b"")
        # RFC 9110 section 15.4.5: what a cache would need to know of a response of 200.
        for name in ("etag", "cache-control", "vary", "last-modified"):
            assert answer.fields[name] == fields[name]
        assert "content-type" not in answer.fields


def test_conditions_of_several_lines_are_one(site: Asking, digits: Path) -> None:
    etag = site.get("/digits.txt").fields["etag"]
    assert site.get("/digits.txt", [("if-none-match", '"x"'), ("if-none-match", etag)]).status == 304
    assert site.get("/digits.txt", [("if-none-match", etag), ("if-none-match", '"x"')]).status == 304


def test_a_condition_that_fails(site: Asking, digits: Path) -> None:
    assert site.get("/digits.txt", {"if-match": '"x"'}).status == 412
    assert site.get("/digits.txt", {"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}).status == 412


def test_another_content_has_another_tag(site: Asking, digits: Path) -> None:
    seen = {site.get("/digits.txt").fields["etag"]}
    facts = digits.stat()
    digits.write_bytes(b"9876543210")  # in place, of the same size
    seen.add(site.get("/digits.txt").fields["etag"])
    (digits.parent / "other").write_bytes(b"5555555555")
    os.utime(digits.parent / "other", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (digits.parent / "other").rename(digits)  # another file, of the same size and time
    seen.add(site.get("/digits.txt").fields["etag"])
    assert len(seen) == 3
