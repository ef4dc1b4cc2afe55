"""``portside get`` and ``put`` over HTTP: what a real web server has, as the commands bring it."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from portside.cli.http_url import parse_http_url
from portside.cli.main import main
from portside.errors import MalformedEndpoint
from support.certificates import Certificates
from support.web import LATER, Web, web_server

pytest.importorskip("httpx", reason="httpx is not installed")

CONTENT = bytes(range(256)) * 2_000


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as web:
        yield web


def get(*arguments: str) -> int:
    return main(["get", "--retries", "0", *arguments])


def put(*arguments: str) -> int:
    return main(["put", "--retries", "0", *arguments])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# ── get ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_comes_under_its_own_name_and_with_its_time(web: Web, here: Path) -> None:
    web.files["/d/report%201.bin"] = CONTENT
    assert get(f"{web.url}/d/report%201.bin") == 0
    assert names(here) == ["report 1.bin"]
    assert (here / "report 1.bin").read_bytes() == CONTENT
    assert (here / "report 1.bin").stat().st_mtime == 1_700_000_000


def test_it_goes_where_it_is_told(web: Web, here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    web.files["/a"] = b"content"
    assert get(f"{web.url}/a", "-o", "b") == 0
    assert (here / "b").read_bytes() == b"content"
    assert get(f"{web.url}/a", "-o", "-") == 0
    assert capfdbinary.readouterr().out == b"content"


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('attachment; filename="theirs.txt"', "theirs.txt"),
        ("attachment; filename*=UTF-8''k%C3%A4se", "käse"),
        ('attachment; filename="../../evil"', "evil"),
        ('attachment; filename="..\\\\evil"', "evil"),
        ('attachment; filename=".bashrc"', "a"),
        ('attachment; filename="old"', "a"),  # is there, and only the user says what is replaced
        ('attachment; filename=".."', "a"),
        ("inline", "a"),
    ],
)
def test_the_server_may_suggest_a_name(web: Web, here: Path, field: str, name: str) -> None:
    (here / "old").write_bytes(b"old")
    web.files["/a"] = b"content"
    web.headers["/a"] = {"content-disposition": field}
    assert get(f"{web.url}/a") == 0
    assert names(here) == sorted([name, "old"])
    assert (here / name).read_bytes() == b"content"
    assert get(f"{web.url}/a", "-o", "mine") == 0
    assert (here / "mine").read_bytes() == b"content"


def test_a_broken_download_goes_on_where_it_stopped(web: Web, here: Path) -> None:
    web.files["/a"] = CONTENT
    web.cut_after = 1_000
    assert get(f"{web.url}/a") == 1
    assert names(here) == ["a.part"]
    assert (here / "a.part").read_bytes() == CONTENT[:1_000]
    assert get("--resume", f"{web.url}/a") == 0
    assert web.asked[-1][2]["range"] == "bytes=1000-"
    assert (here / "a").read_bytes() == CONTENT


def test_a_broken_download_is_gone_on_with_by_the_same_call(web: Web, here: Path) -> None:
    web.files["/a"] = CONTENT
    web.cut_after = 1_000
    assert main(["get", "--retries", "1", f"{web.url}/a"]) == 0
    assert [fields.get("range") for _, _, fields in web.asked] == [None, "bytes=1000-"]
    assert (here / "a").read_bytes() == CONTENT


def test_another_file_meanwhile_is_brought_from_its_beginning(web: Web, here: Path) -> None:
    web.files["/a"] = CONTENT
    web.cut_after = 1_000
    assert get(f"{web.url}/a") == 1
    web.files["/a"], web.modified = CONTENT[::-1], LATER
    assert get("--resume", f"{web.url}/a") == 0
    assert (here / "a").read_bytes() == CONTENT[::-1]


def test_what_was_killed_begins_anew(web: Web, here: Path) -> None:
    """It could not say any more of which file its bytes are."""
    web.files["/a"] = CONTENT
    (here / "a.part").write_bytes(b"of another file")
    assert get("--resume", f"{web.url}/a") == 0
    assert (here / "a").read_bytes() == CONTENT


def test_all_of_it_was_there_before(web: Web, here: Path) -> None:
    web.files["/a"] = CONTENT
    (here / "a.part").write_bytes(CONTENT)
    os.utime(here / "a.part", (1_700_000_000, 1_700_000_000))
    assert get("--resume", f"{web.url}/a") == 0
    assert (here / "a").read_bytes() == CONTENT


def test_redirects_are_followed_and_circles_are_not(web: Web, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    web.files["/end"] = b"content"
    web.redirects |= {"/a": "/b", "/b": "/end", "/circle": "/circle"}
    assert get(f"{web.url}/a") == 0
    assert (here / "a").read_bytes() == b"content"
    assert get(f"{web.url}/circle") == 1
    assert "redirects" in capfd.readouterr().err


def test_credentials_do_not_travel_to_another_server(web: Web, here: Path) -> None:
    with web_server() as other:
        other.files["/a"] = b"content"
        web.redirects["/a"] = f"{other.url}/a"
        host = web.url.removeprefix("http://")
        assert get("-H", "Authorization: Bearer x", f"http://anna:secret@{host}/a") == 0
        assert "authorization" in web.asked[0][2]
        assert "authorization" not in other.asked[0][2]


def test_who_one_is(web: Web, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    web.files["/a"], web.logins["/a"] = b"content", "anna:secret"
    host = web.url.removeprefix("http://")
    assert get(f"{web.url}/a") == 1
    assert "401" in capfd.readouterr().err
    assert get(f"http://anna:secret@{host}/a") == 0
    assert (here / "a").read_bytes() == b"content"


def test_what_the_server_refuses_is_said_in_its_words(web: Web, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert get(f"{web.url}/nope") == 1
    assert capfd.readouterr().err == f"portside: {web.url}/nope: 404 Not Found: there is no such file\n"
    assert names(here) == []


def test_a_busy_server_is_asked_again_and_one_that_refuses_is_not(web: Web, here: Path) -> None:
    web.files["/a"] = b"content"
    web.failures = [503]
    assert main(["get", "--retries", "1", f"{web.url}/a"]) == 0
    web.failures = [403, 403]
    assert main(["get", "--retries", "1", f"{web.url}/a"]) == 1
    assert web.failures == [403]


def test_timings_as_json(web: Web, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    web.files["/a"] = b"content"
    assert get("--json", f"{web.url}/a") == 0
    row = json.loads(capfd.readouterr().out)
    assert (row["size"], row["offset"], row["error"]) == (7, 0, None)
    timings = row["timings"]
    assert list(timings) == ["name_s", "connect_s", "tls_s", "first_byte_s", "total_s"]
    assert timings["tls_s"] is None
    assert min(timings["name_s"], timings["connect_s"], timings["first_byte_s"]) >= 0
    assert timings["total_s"] >= timings["first_byte_s"]


def test_encrypted_and_verified(here: Path, certificates: Certificates, capfd: pytest.CaptureFixture[str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.issue("127.0.0.1").both)
    with web_server(context) as web:
        web.files["/a"] = b"content"
        assert get(f"{web.url}/a", "--tls-ca", str(certificates.ca)) == 0
        assert (here / "a").read_bytes() == b"content"
        assert get(f"{web.url}/a", "-o", "b", "--tls-insecure") == 0
        assert get(f"{web.url}/a") == 1
        assert "cannot be verified" in capfd.readouterr().err
        with web_server() as plain:
            plain.files["/a"] = b"content"
            web.redirects["/a"] = f"{plain.url}/a"
            assert get(f"{web.url}/a", "-o", "c", "--tls-ca", str(certificates.ca)) == 1
            assert "not encrypted" in capfd.readouterr().err


def test_the_exchange_as_it_goes_over_the_line(web: Web, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    web.files["/a?b=c"] = b"content\n"
    assert get("--raw", "-H", "Accept: text/plain", f"{web.url}/a?b=c") == 0
    ours, answer = capfdbinary.readouterr().out.split(b"> \n")
    assert ours.splitlines() == [
        b"> GET /a?b=c HTTP/1.1",
        b"> Host: " + web.url.removeprefix("http://").encode(),
        b"> User-Agent: portside",
        b"> Connection: close",
        b"> Accept: text/plain",
    ]
    assert answer.startswith(b"< HTTP/1.1 200 OK\n")
    assert answer.endswith(b"< last-modified: Tue, 14 Nov 2023 22:13:20 GMT\n< \ncontent\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:1/a", "ftp://127.0.0.1:1/a"], "a command each"),
        (["--verify", "http://127.0.0.1:1/a"], "--verify is for FTP"),
        (["--raw", "ftp://127.0.0.1:1/a"], "--raw is for HTTP"),
        (["-H", "a: b", "ftp://127.0.0.1:1/a"], "--header is for HTTP"),
        (["-H", "nonsense", "http://127.0.0.1:1/a"], "no header"),
        (["-H", "a: b\r\nc: d", "http://127.0.0.1:1/a"], "no CR, LF"),
        (["--tls-insecure", "http://127.0.0.1:1/a"], "not encrypted"),
        (["http://127.0.0.1:1/a", "http://127.0.0.1:1/a"], "both become"),
        (["http:///a"], "names no host"),
        (["http://127.0.0.1:1/%2Fa"], "names no file"),
        (["http://127.0.0.1:1/.."], "names no file"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert get(*arguments) == 2
    assert said in capfd.readouterr().err


# ── put ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_put_where_the_url_says(web: Web, here: Path) -> None:
    (here / "a b.bin").write_bytes(CONTENT)
    (here / "c").write_bytes(b"")
    assert put("a b.bin", "c", f"{web.url}/d/") == 0
    assert web.files == {"/d/a%20b.bin": CONTENT, "/d/c": b""}
    assert {fields["content-length"] for _, _, fields in web.asked} == {str(len(CONTENT)), "0"}
    assert put("c", f"{web.url}/other") == 0
    assert web.files["/other"] == b""


def test_a_refused_upload_is_said(web: Web, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "a").write_bytes(b"content")
    web.failures = [403]
    assert put("a", f"{web.url}/a") == 1
    assert "403 Forbidden" in capfd.readouterr().err
    assert put("--resume", "a", f"{web.url}/a") == 2


# ── URLs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown", "name"),
    [
        ("http://example.org", "http://example.org/", ""),
        ("HTTP://Example.org:80/a", "http://example.org/a", "a"),
        ("https://example.org:444/a/b%20c?d=e#f", "https://example.org:444/a/b%20c?d=e", "b c"),
        ("http://[::1]:8080/käse", "http://[::1]:8080/k%C3%A4se", "käse"),
    ],
)
def test_urls(text: str, shown: str, name: str) -> None:
    url = parse_http_url(text)
    assert (str(url), url.name) == (shown, name)


def test_a_url_keeps_its_password_to_itself() -> None:
    url = parse_http_url("http://anna:s%40cret@example.org/")
    assert (url.user, url.password) == ("anna", "s@cret")
    assert "cret" not in f"{url}{url!r}"


@pytest.mark.parametrize("text", ["http://", "http://a b/", "http://a:0/", "http://a:99999/", "http://[::1/"])
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(MalformedEndpoint):
        parse_http_url(text)
