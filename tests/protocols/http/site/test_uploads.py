"""PUT and MKCOL: a file comes whole or not at all, conditions hold to the last moment, and nothing leaves its place."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from portside import events
from portside.accounts.account import PERMISSIONS, Account
from portside.protocols.http.site import login
from portside.protocols.http.site.receiving import WRITE_BYTES
from portside.protocols.http.site.rules import Rules
from portside.storage.memory import MemoryStorage
from support.site import CLIENT, HTML, Asking, at_once


@pytest.fixture
def site(make_site: Any) -> Asking:
    made: Asking = make_site(uploads=True)
    return made


def names_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_is_made_and_then_replaced(site: Asking, root: Path) -> None:
    made = site("PUT", "/new%20file.txt", body=b"first")
    assert (made.status, made.body) == (201, b"")
    assert (root / "new file.txt").read_bytes() == b"first"
    assert site.get("/new%20file.txt").fields["etag"] == made.fields["etag"]
    replaced = site("PUT", "/new%20file.txt", body=[b"sec", b"ond"])
    assert replaced.status == 204
    assert replaced.fields["etag"] != made.fields["etag"]
    assert (root / "new file.txt").read_bytes() == b"second"
    assert names_in(root) == ["new file.txt"]


@pytest.mark.parametrize("size", [0, 1, WRITE_BYTES - 1, WRITE_BYTES, 2 * WRITE_BYTES + 7])
def test_files_of_any_size(site: Asking, root: Path, size: int) -> None:
    content = os.urandom(size)
    pieces = [content[start : start + 65_536] for start in range(0, size, 65_536)]
    assert site("PUT", "/x", body=pieces).status == 201
    assert (root / "x").read_bytes() == content


def test_a_body_that_breaks_off_leaves_nothing(site: Asking, root: Path) -> None:
    (root / "x").write_text("old")
    answer = site("PUT", "/x", body=[b"x" * WRITE_BYTES, b"more", None])
    assert answer.messages == []
    assert answer.failure is None
    assert (root / "x").read_text() == "old"
    assert names_in(root) == ["x"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/nowhere/x", 404),
        ("/sub/", 409),
        ("/sub", 409),
        ("/", 409),
        ("/file/x", 404),
        ("/.hidden", 403),
        ("/.git/hooks", 403),
        ("/out", 403),
        ("/fifo", 404),
        ("/a%00b", 403),
        ("/" + "x" * 300, 403),
        ("/.portside-00000000000000000000000000000000.part", 403),
    ],
)
def test_what_cannot_be_put(site: Asking, root: Path, target: str, status: int) -> None:
    (root / "sub").mkdir()
    (root / "file").write_text("old")
    (root / "out").symlink_to("../outside")
    (root.parent / "outside").write_text("old")
    os.mkfifo(root / "fifo")
    before = names_in(root)
    assert site("PUT", target, body=b"new").status == status
    assert names_in(root) == before
    assert (root.parent / "outside").read_text() == "old"
    assert (root / "file").read_text() == "old"


def test_nothing_is_put_outside(site: Asking, root: Path) -> None:
    site("PUT", "/../outside", body=b"x")
    site("PUT", "/..%2foutside", body=b"x")
    assert not (root.parent / "outside").exists()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"content-range": "bytes 0-1/2"}, 400),
        ({"content-encoding": "gzip"}, 415),
        ({"content-encoding": "identity"}, 201),
    ],
)
def test_what_would_make_another_file_of_it(site: Asking, fields: dict[str, str], status: int) -> None:
    assert site("PUT", "/x", fields, b"ab").status == status


def test_hidden_files_may_be_put_if_they_are_shown(make_site: Any, root: Path) -> None:
    assert make_site(uploads=True, hidden=True)("PUT", "/.htaccess", body=b"x").status == 201


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_what_is_new(site: Asking, root: Path) -> None:
    assert site("PUT", "/x", {"if-none-match": "*"}, b"first").status == 201
    assert site("PUT", "/x", {"if-none-match": "*"}, b"second").status == 412
    assert (root / "x").read_bytes() == b"first"


def test_only_what_is_known(site: Asking, root: Path) -> None:
    assert site("PUT", "/x", {"if-match": "*"}, b"x").status == 412
    etag = site("PUT", "/x", body=b"first").fields["etag"]
    second = site("PUT", "/x", {"if-match": etag}, b"second")
    assert second.status == 204
    assert site("PUT", "/x", {"if-match": etag}, b"third").status == 412
    assert site("PUT", "/x", {"if-match": second.fields["etag"]}, b"third").status == 204
    assert (root / "x").read_bytes() == b"third"


def test_a_condition_that_fails_costs_no_body(site: Asking, root: Path) -> None:
    (root / "x").write_text("old")
    assert asyncio.run(_asked_lazily(site, _unwanted())) == 412


def _unwanted() -> Any:
    raise AssertionError("it was asked for")
    yield b""


def test_of_many_who_make_the_same_file_one_does(site: Asking, root: Path) -> None:
    answers = at_once(*(site.asked("PUT", "/x", {"if-none-match": "*"}, b"%d" % number * 1_000) for number in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [412] * 7
    assert names_in(root) == ["x"]


def test_a_condition_holds_when_the_file_is_there(site: Asking, root: Path) -> None:
    """Somebody else makes the file while the body comes."""

    def body() -> Any:
        (root / "x").write_text("theirs")
        yield b"mine"

    assert asyncio.run(_asked_lazily(site, body())) == 412
    assert (root / "x").read_text() == "theirs"
    assert names_in(root) == ["x"]


async def _asked_lazily(site: Asking, pieces: Any) -> int:
    """Return the status of a PUT whose body is made while it is asked for."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "PUT", "path": "/x",
        "raw_path": b"/x", "query_string": b"", "headers": [(b"if-none-match", b"*")], "root_path": "",
    }  # fmt: skip
    await site.application(scope, receive, send)
    return int(sent[0]["status"])


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told", [True, False])
def test_a_file_over_the_limit(make_site: Any, root: Path, told: bool) -> None:
    site = make_site(uploads=True, upload_bytes_max=10)
    assert site("PUT", "/x", body=b"0123456789").status == 201
    fields = {} if told else {"transfer-encoding": "chunked"}
    answer = site("PUT", "/y", fields, [b"0123456789", b"0"])
    assert answer.status == 413
    assert "10 bytes" in answer.text
    assert names_in(root) == ["x"]


def test_a_storage_that_is_full() -> None:
    storage = MemoryStorage(capacity_bytes=100)
    site = Asking(storage, Rules(uploads=True))
    assert site("PUT", "/x", body=b"x" * 60).status == 201
    assert site("PUT", "/y", body=b"y" * 60).status == 507
    assert site.get("/x").body == b"x" * 60
    assert site.get("/y").status == 404


def test_a_quota_holds(make_site: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "ANYBODY", Account("anybody", quota_bytes=100))
    site = make_site(uploads=True)
    assert site("PUT", "/x", body=b"x" * 60).status == 201
    refused = site("PUT", "/y", body=b"y" * 60)
    assert (refused.status, "quota" in refused.text) == (507, True)
    assert site("PUT", "/x", body=b"x" * 100).status == 204  # in place of what was there
    assert site("PUT", "/y", body=b"y").status == 507
    assert names_in(root) == ["x"]


def test_a_quota_holds_for_many_at_once(make_site: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "ANYBODY", Account("anybody", quota_bytes=100))
    site = make_site(uploads=True)
    answers = at_once(*(site.asked("PUT", f"/{number}", body=b"x" * 60) for number in range(5)))
    assert sorted(answer.status for answer in answers) == [201] + [507] * 4
    assert sum(path.stat().st_size for path in root.iterdir()) == 60


@pytest.mark.parametrize(("permission", "method"), [("write", "PUT"), ("mkdir", "MKCOL")])
def test_who_may_not_does_not(
    make_site: Any, root: Path, monkeypatch: pytest.MonkeyPatch, permission: Any, method: str
) -> None:
    monkeypatch.setattr(login, "ANYBODY", Account("anybody", permissions=PERMISSIONS - {permission}))
    site = make_site(uploads=True)
    assert site(method, "/x").status == 403
    assert names_in(root) == []


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_made(site: Asking, root: Path) -> None:
    assert site("MKCOL", "/new%20folder").status == 201
    assert site("MKCOL", "/new%20folder/inner/").status == 201
    assert (root / "new folder" / "inner").is_dir()


@pytest.mark.parametrize(
    ("target", "status"),
    [("/there", 405), ("/file", 405), ("/", 405), ("/nowhere/x", 409), ("/.x", 403), ("/file/x", 409)],
)
def test_what_cannot_be_made(site: Asking, root: Path, target: str, status: int) -> None:
    (root / "there").mkdir()
    (root / "file").touch()
    assert site("MKCOL", target).status == status
    assert names_in(root) == ["file", "there"]


def test_a_folder_is_made_of_nothing(site: Asking) -> None:
    assert site("MKCOL", "/x", body=b"<mkcol/>").status == 415


# ── who is behind it ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["PUT", "POST", "MKCOL"])
@pytest.mark.parametrize(
    ("fields", "is_ours"),
    [
        ({}, True),  # a program
        ({"origin": "http://site.example"}, True),
        ({"origin": "https://site.example"}, True),  # behind a proxy that has the certificate
        ({"origin": "http://SITE.example", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://site.example.evil.example"}, False),
        ({"origin": "http://site.example:8080"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "\xff"}, False),
        ({"origin": "http://[site.example"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://site.example"}, False),
    ],
)
def test_another_site_s_page_changes_nothing(
    site: Asking, root: Path, method: str, fields: dict[str, str], is_ours: bool
) -> None:
    answer = site(method, "/x", fields)
    assert (answer.status != 403) == is_ours
    assert is_ours or names_in(root) == []


def test_another_site_s_page_may_read_what_it_could_anyway(site: Asking, root: Path) -> None:
    (root / "x").write_text("x")
    assert site.get("/x", {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}).status == 200


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_done_is_told(site: Asking, root: Path) -> None:
    told: list[Any] = []
    stop = events.subscribe(told.append, events.FileActed)
    try:
        site("PUT", "/x", body=b"hello")
        site("PUT", "/x", {"if-none-match": "*"}, b"hello")
        site("PUT", "/y", body=[b"half", None])
        site("MKCOL", "/folder")
        site("MKCOL", "/folder")
    finally:
        stop()
    assert [(one.act, one.path, one.size_bytes, one.failed) for one in told] == [
        ("upload", "/x", 5, None),
        ("upload", "/y", None, "the client has left before the end"),
        ("mkdir", "/folder", None, None),
        ("mkdir", "/folder", None, "the name is taken"),
    ]
    assert {(one.user, one.peer.host, one.service) for one in told} == {("anonymous", CLIENT[0], "http")}


def test_a_refusal_is_a_page_for_people(site: Asking) -> None:
    answer = site("PUT", "/nowhere/x", HTML, b"x")
    assert answer.fields["content-type"].startswith("text/html")
    assert answer.status == 404
