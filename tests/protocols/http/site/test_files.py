"""Files: whole, in parts, conditionally, compressed, and what is not given out."""

from __future__ import annotations

import email
import os
from pathlib import Path
from typing import Any

import pytest

from portside.errors import EndOfStream
from portside.protocols.http.site.delivery import AT_ONCE_BYTES, PIECE_BYTES, ZERO_COPY
from portside.protocols.http.site.rules import Rules
from portside.storage.memory import MemoryStorage
from support.site import HTML, Asking

HOUR_S = 3_600


def test_a_file_comes_as_it_is(site: Asking, digits: Path) -> None:
    answer = site.get("/digits.txt")
    assert (answer.status, answer.body) == (200, b"0123456789")
    fields = answer.fields
    assert fields["content-type"] == "text/plain; charset=utf-8"
    assert fields["content-length"] == "10"
    assert fields["accept-ranges"] == "bytes"
    assert fields["cache-control"] == "no-cache"
    assert email.utils.parsedate_to_datetime(fields["last-modified"]).timestamp() == int(digits.stat().st_mtime)
    assert fields["etag"].startswith('"')


def test_head_is_the_same_without_the_body(site: Asking, digits: Path) -> None:
    get, head = site.get("/digits.txt"), site("HEAD", "/digits.txt")
    assert (head.status, head.fields, head.body) == (200, get.fields, b"")


def test_the_head_of_a_file_costs_one_message_and_its_body_another(site: Asking, digits: Path) -> None:
    assert len(site.get("/digits.txt").messages) == 2


def test_an_empty_file(site: Asking, root: Path) -> None:
    (root / "empty").touch()
    assert (site.get("/empty").status, site.get("/empty").body) == (200, b"")
    assert site.get("/empty", {"range": "bytes=0-"}).status == 416


@pytest.mark.parametrize("size", [AT_ONCE_BYTES, AT_ONCE_BYTES + 1, PIECE_BYTES, 2 * PIECE_BYTES + 1])
def test_large_files_come_in_pieces(site: Asking, root: Path, size: int) -> None:
    content = os.urandom(size)
    (root / "large").write_bytes(content)
    answer = site.get("/large")
    assert answer.body == content
    assert all(len(message["body"]) <= max(AT_ONCE_BYTES, PIECE_BYTES) for message in answer.messages[1:])


def test_a_storage_without_descriptors_is_served_too() -> None:
    storage = MemoryStorage()
    for name, content in (("/small", b"x" * 10), ("/large", bytes(range(256)) * 2_000)):
        upload = storage.upload(name)
        upload.file.write(content)
        upload.commit()
    site = Asking(storage, extensions=(ZERO_COPY,))
    assert site.get("/small").body == b"x" * 10
    assert site.get("/large").body == bytes(range(256)) * 2_000
    assert site.get("/large", {"range": "bytes=300000-300009"}).body == (bytes(range(256)) * 2_000)[300_000:300_010]


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a b.txt", "/a%20b.txt"),
        ("größe.txt", "/gr%C3%B6%C3%9Fe.txt"),
        ("100%.txt", "/100%25.txt"),
        ("a?b#c.txt", "/a%3Fb%23c.txt"),
        ("back\\slash", "/back%5Cslash"),
        ("line\nfeed", "/line%0Afeed"),
        (os.fsdecode(b"caf\xe9"), "/caf%E9"),
    ],
)
def test_any_name_can_be_asked_for(site: Asking, root: Path, name: str, target: str) -> None:
    (root / name).write_text("found")
    assert site.get(target).text == "found"


@pytest.mark.parametrize(
    "target",
    [
        "/nothing",
        "/digits.txt/",  # a file is no folder: what is on it would lead elsewhere
        "/digits.txt/more",
        "/.hidden",
        "/.folder/file",
        "/fifo",
        "/out",
        "/loop",
        "/nowhere",
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/a%00b",
        "/" + "x" * 300,
    ],
)
def test_what_is_not_there_or_not_for_anybody(site: Asking, root: Path, digits: Path, target: str) -> None:
    (root.parent / "secret").write_text("secret")
    (root / ".hidden").write_text("secret")
    (root / ".folder").mkdir()
    (root / ".folder" / "file").write_text("secret")
    (root / "out").symlink_to("../secret")
    (root / "loop").symlink_to("loop")
    (root / "nowhere").symlink_to("nothing")
    os.mkfifo(root / "fifo")
    answer = site.get(target)
    assert answer.status in {403, 404}
    assert b"secret" not in answer.body


def test_hidden_files_are_shown_if_the_operator_says_so(make_site: Any, root: Path) -> None:
    (root / ".hidden").write_text("shown")
    assert make_site(hidden=True).get("/.hidden").text == "shown"


def test_what_is_well_known_is_not_hidden(site: Asking, root: Path) -> None:
    (root / ".well-known").mkdir()
    (root / ".well-known" / "security.txt").write_text("mail us")
    assert site.get("/.well-known/security.txt").text == "mail us"


def test_links_lead_to_files_beneath_the_root_if_they_may(make_site: Any, root: Path, digits: Path) -> None:
    (root / "link.txt").symlink_to("digits.txt")
    assert make_site().get("/link.txt").body == b"0123456789"
    assert make_site(follows_links=False).get("/link.txt").status == 403


def test_a_file_that_may_not_be_read(site: Asking, digits: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    digits.chmod(0)
    assert site.get("/digits.txt").status == 403


# ── compressed files ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def page(root: Path) -> Path:
    """A page with its compressed forms beside it; their contents are their names."""
    for name in ("page.html", "page.html.gz", "page.html.br"):
        (root / name).write_text(name)
    return root / "page.html"


@pytest.mark.parametrize(
    ("accepted", "body", "coding"),
    [
        (None, b"page.html", None),
        ("", b"page.html", None),
        ("gzip", b"page.html.gz", "gzip"),
        ("gzip, deflate, br", b"page.html.br", "br"),
        ("br;q=0.1, gzip;q=0.9", b"page.html.gz", "gzip"),
        ("zstd", b"page.html", None),  # there is none
        ("zstd, gzip", b"page.html.gz", "gzip"),
        ("gzip;q=0", b"page.html", None),
    ],
)
def test_the_form_that_a_client_likes_best(
    site: Asking, page: Path, accepted: str | None, body: bytes, coding: str | None
) -> None:
    answer = site.get("/page.html", {} if accepted is None else {"accept-encoding": accepted})
    assert (answer.status, answer.body) == (200, body)
    assert answer.fields.get("content-encoding") == coding
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    assert answer.fields["vary"] == "accept-encoding"


def test_each_form_has_a_tag_of_its_own(site: Asking, page: Path) -> None:
    plain, packed = site.get("/page.html"), site.get("/page.html", {"accept-encoding": "br"})
    assert plain.fields["etag"] != packed.fields["etag"]
    again = {"accept-encoding": "br", "if-none-match": packed.fields["etag"]}
    assert site.get("/page.html", again).status == 304
    assert site.get("/page.html", {"if-none-match": packed.fields["etag"]}).status == 200


def test_a_part_is_one_of_the_form_that_is_sent(site: Asking, page: Path) -> None:
    answer = site.get("/page.html", {"accept-encoding": "br", "range": "bytes=-2"})
    assert (answer.status, answer.body, answer.fields["content-encoding"]) == (206, b"br", "br")


def test_an_older_form_is_not_sent(site: Asking, page: Path) -> None:
    then_s = page.stat().st_mtime - HOUR_S
    os.utime(page.with_name("page.html.br"), (then_s, then_s))
    assert site.get("/page.html", {"accept-encoding": "br"}).body == b"page.html"
    assert site.get("/page.html", {"accept-encoding": "br, gzip"}).body == b"page.html.gz"


def test_compressed_files_are_files_too(site: Asking, page: Path) -> None:
    answer = site.get("/page.html.gz", {"accept-encoding": "gzip"})
    assert (answer.fields["content-type"], answer.body) == ("application/gzip", b"page.html.gz")
    assert "content-encoding" not in answer.fields


def test_no_compressed_form_of_what_is_compressed(site: Asking, root: Path) -> None:
    (root / "a.png").write_bytes(b"picture")
    (root / "a.png.gz").write_bytes(b"larger")
    answer = site.get("/a.png", {"accept-encoding": "gzip"})
    assert answer.body == b"picture"
    assert "vary" not in answer.fields


def test_compressed_forms_can_be_left_alone(make_site: Any, page: Path) -> None:
    answer = make_site(precompressed=False).get("/page.html", {"accept-encoding": "br"})
    assert answer.body == b"page.html"
    assert "vary" not in answer.fields


# ── what else is said ────────────────────────────────────────────────────────────────────────────────────────────────


def test_how_long_a_file_may_be_used_again(make_site: Any, digits: Path) -> None:
    assert make_site(max_age_s=3_600.0).get("/digits.txt").fields["cache-control"] == "max-age=3600"


def test_pages_of_other_sites_may_read_if_the_operator_says_so(make_site: Any, digits: Path) -> None:
    assert "access-control-allow-origin" not in make_site().get("/digits.txt").fields
    site = make_site(cors=True)
    for answer in (site.get("/digits.txt"), site.get("/digits.txt", {"range": "bytes=0-1"}), site.get("/nothing")):
        assert answer.fields["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.fields
    preflight = site("OPTIONS", "/digits.txt", {"origin": "https://x.example", "access-control-request-method": "GET"})
    assert preflight.status == 204
    assert "GET" in preflight.fields["access-control-allow-methods"]
    assert "PUT" not in preflight.fields["access-control-allow-methods"]
    assert "range" in preflight.fields["access-control-allow-headers"]


def test_uploaded_pages_are_kept_apart_from_the_site(make_site: Any, page: Path, digits: Path) -> None:
    site = make_site(uploads=True)
    policy = site.get("/page.html").fields["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-same-origin" not in policy
    assert "content-security-policy" not in site.get("/digits.txt").fields
    assert "content-security-policy" not in make_site().get("/page.html").fields


def test_options_tell_what_can_be_done(make_site: Any) -> None:
    assert make_site()("OPTIONS", "/").fields["allow"] == "GET, HEAD, OPTIONS"
    assert "PUT" in make_site(uploads=True)("OPTIONS", "/").fields["allow"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "MKCOL", "PATCH", "TRACE", "BREW"])
def test_what_the_site_does_not_do(site: Asking, digits: Path, method: str) -> None:
    answer = site(method, "/digits.txt")
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert digits.read_bytes() == b"0123456789"


# ── by the kernel ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_can_is_given_the_open_file(make_site: Any, root: Path) -> None:
    size = AT_ONCE_BYTES + 1
    (root / "large").write_bytes(bytes(size))
    site = make_site(extensions=(ZERO_COPY,))
    answer = site.get("/large")
    [message] = answer.messages[1:]
    assert {name: message[name] for name in ("type", "offset", "count", "more_body")} == {
        "type": ZERO_COPY, "offset": 0, "count": size, "more_body": False,
    }  # fmt: skip
    assert message["file"].closed  # when the server was done with it
    answer = site.get("/large", {"range": "bytes=5-9,1000-1004"})
    assert [(message.get("offset"), message.get("count")) for message in answer.messages[1:]] == [
        (None, None), (5, 5), (None, None), (1_000, 5), (None, None),
    ]  # fmt: skip


def test_a_file_that_becomes_shorter_breaks_the_answer_off(make_site: Any, root: Path) -> None:
    path = root / "large"
    path.write_bytes(bytes(2 * PIECE_BYTES))
    site = make_site()
    heads = site.application._heads
    of = heads.of

    def truncate(*arguments: Any) -> Any:
        path.write_bytes(bytes(PIECE_BYTES + 10))
        return of(*arguments)

    heads.of = truncate
    answer = site.get("/large")
    assert isinstance(answer.failure, EndOfStream)
    assert answer.messages[-1]["more_body"]


def test_no_file_is_left_open(make_site: Any, root: Path, page: Path, digits: Path) -> None:
    site = make_site()
    before = len(os.listdir("/proc/self/fd"))
    for target, fields in (
        ("/page.html", {"accept-encoding": "br"}),
        ("/page.html", {"if-none-match": "*"}),
        ("/page.html", {"if-match": '"x"'}),
        ("/digits.txt", {"range": "bytes=99-"}),
        ("/digits.txt", {"range": "bytes=1-2,7-8"}),
        ("/nothing", HTML),
        ("/", HTML),
        ("/?zip", {}),
    ):
        site.get(target, fields)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_page_for_what_is_not_there_is_the_site_s_own(site: Asking, root: Path) -> None:
    (root / "404.html").write_text("lost?")
    answer = site.get("/nothing", HTML)
    assert (answer.status, answer.body) == (404, b"lost?")
    assert site.get("/nothing", {**HTML, "range": "bytes=0-0"}).status == 404
    assert site.get("/nothing").text.startswith("404 ")  # for programs it is a line


def test_rules_have_sensible_defaults() -> None:
    rules = Rules()
    assert not any((rules.uploads, rules.hidden, rules.cors, rules.spa))
