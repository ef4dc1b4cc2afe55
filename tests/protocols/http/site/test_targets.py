"""Targets and media types: from what is asked for to a path, and what a name says of its file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.site.media import build_content_type, is_active, is_compressible, media_type_of
from portside.protocols.http.site.targets import build_reference, is_concealed, parse_target, shown


def target(raw: bytes, root_path: str = "") -> tuple[str, bool]:
    return parse_target({"raw_path": raw, "path": "unused", "root_path": root_path})


@pytest.mark.parametrize(
    ("raw", "path", "is_folder"),
    [
        (b"/", "/", True),
        (b"/a", "/a", False),
        (b"/a/b/", "/a/b", True),
        (b"/a%20b", "/a b", False),
        (b"/%C3%A4", "/ä", False),
        (b"/%ff", "/\udcff", False),
        (b"/%zz", "/%zz", False),
        (b"/%2541", "/%41", False),  # decoded once
        (b"/a+b", "/a+b", False),
        (b"//a//b//", "/a/b", True),
        (b"/../../etc/passwd", "/etc/passwd", False),
        (b"/%2e%2e/%2e%2e/etc", "/etc", False),
        (b"/a/..%2f..%2fb", "/b", False),
        (b"/a/./b/.", "/a/b", True),
        (b"/a/b/..", "/a", True),
        (b"/..", "/", True),
        (b"/.a/..b/...", "/.a/..b/...", False),
        (b"a", "/a", False),
        (b"", "/", True),
    ],
)
def test_what_is_asked_for(raw: bytes, path: str, is_folder: bool) -> None:
    assert target(raw) == (path, is_folder)


def test_what_the_site_is_mounted_under_is_no_part_of_it() -> None:
    assert target(b"/files/a", "/files") == ("/a", False)
    assert target(b"/files", "/files") == ("/", True)
    assert target(b"/files/", "/files") == ("/", True)
    assert target(b"/other/a", "/files") == ("/other/a", False)


def test_a_server_without_raw_paths_gives_the_path_as_it_has_it() -> None:
    assert parse_target({"path": "/a b%20"}) == ("/a b%20", False)


@given(st.binary(max_size=60))
def test_no_target_leads_up(raw: bytes) -> None:
    path, _ = target(raw)
    assert path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/")[1:]) or path == "/"


@given(st.text(min_size=1, max_size=30).filter(lambda name: "/" not in name and name not in {".", ".."}))
def test_a_reference_leads_back_to_its_name(name: str) -> None:
    try:
        reference = build_reference(name)
    except UnicodeEncodeError:  # a surrogate that no file's name has
        return
    assert target(b"/folder/" + reference.encode("ascii")) == (f"/folder/{name}", False)


def test_references_to_names_that_look_like_something_else() -> None:
    assert build_reference("a:b?c#d&e") == "a%3Ab%3Fc%23d%26e"
    assert build_reference("\udcff", is_folder=True) == "%FF/"
    assert shown("caf\udce9") == "caf\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("path", "concealed"),
    [
        ("/", False),
        ("/a.b/c", False),
        ("/.git/config", True),
        ("/a/.b", True),
        ("/.well-known/security.txt", False),
        ("/.well-known", False),
        ("/.well-known/.x", True),
        ("/a/.well-known/x", True),
    ],
)
def test_names_with_a_dot_are_concealed(path: str, concealed: bool) -> None:
    assert is_concealed(path) is concealed


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("index.html", b"text/html; charset=utf-8"),
        ("INDEX.HTM", b"text/html; charset=utf-8"),
        ("a.css", b"text/css; charset=utf-8"),
        ("a.js", b"text/javascript; charset=utf-8"),
        ("a.mjs", b"text/javascript; charset=utf-8"),
        ("a.txt", b"text/plain; charset=utf-8"),
        ("a.md", b"text/markdown; charset=utf-8"),
        ("a.csv", b"text/csv; charset=utf-8"),
        ("a.json", b"application/json"),
        ("a.svg", b"image/svg+xml"),
        ("a.png", b"image/png"),
        ("a.jpeg", b"image/jpeg"),
        ("a.webp", b"image/webp"),
        ("a.wasm", b"application/wasm"),
        ("a.woff2", b"font/woff2"),
        ("a.mp4", b"video/mp4"),
        ("a.pdf", b"application/pdf"),
        ("a.tar.gz", b"application/gzip"),
        ("a.html.br", b"application/x-brotli"),
        ("data:text/html,x", b"application/octet-stream"),
        ("a?b.html", b"text/html; charset=utf-8"),
        (".html", b"application/octet-stream"),
        ("README", b"text/plain; charset=utf-8"),
        ("a.unknown", b"application/octet-stream"),
        ("", b"application/octet-stream"),
    ],
)
def test_what_a_name_says_of_its_file(name: str, content_type: bytes) -> None:
    assert build_content_type(name, "utf-8") == content_type


def test_a_charset_is_said_of_texts_only_and_where_it_is_known() -> None:
    assert build_content_type("a.txt", "iso-8859-1") == b"text/plain; charset=iso-8859-1"
    assert build_content_type("a.txt", None) == b"text/plain"


@pytest.mark.parametrize(
    ("name", "active", "compressible"),
    [
        ("a.html", True, True),
        ("a.xhtml", True, True),
        ("a.svg", True, True),
        ("a.xml", True, True),
        ("a.txt", False, True),
        ("a.wasm", False, True),
        ("a.pdf", False, False),
        ("a.png", False, False),
        ("a.zip", False, False),
    ],
)
def test_what_browsers_run_and_what_compresses(name: str, active: bool, compressible: bool) -> None:
    media_type = media_type_of(name)
    assert (is_active(media_type), is_compressible(media_type)) == (active, compressible)
