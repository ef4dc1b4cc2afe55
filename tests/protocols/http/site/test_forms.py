"""Forms: several files at once, each by itself, folders, and whatever browsers call a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside import events
from portside.accounts.account import PERMISSIONS, Account
from portside.protocols.http.site import login
from portside.protocols.http.site.forms import PARTS_MAX, VALUE_BYTES_MAX, name_in
from portside.protocols.http.site.rules import Rules
from portside.storage.memory import MemoryStorage
from support.site import HTML, Answer, Asking

BOUNDARY = "----boundary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"accept": "application/json"}


@pytest.fixture
def site(make_site: Any) -> Asking:
    made: Asking = make_site(uploads=True)
    return made


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def file(name: str, content: bytes = b"content") -> bytes:
    return part("file", content, name)


def post(site: Asking, *parts: bytes, target: str = "/", fields: dict[str, str] | None = None) -> Answer:
    return site("POST", target, {**FORM, **(fields or {})}, form(*parts))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_several_files_come_at_once(site: Asking, root: Path) -> None:
    answer = post(site, file("a.txt", b"first"), file("größe.txt", b"second"), file("empty", b""), fields=HTML)
    assert (answer.status, answer.fields["location"]) == (303, "./")
    assert contents(root) == {"a.txt": b"first", "größe.txt": b"second", "empty": b""}


def test_a_program_is_told_what_has_become_of_each(site: Asking, root: Path) -> None:
    (root / "old").write_text("old")
    answer = post(site, file("new"), file("old"), fields=JSON)
    assert answer.status == 409
    assert json.loads(answer.body) == {
        "files": [
            {"name": "new", "stored": True, "why": None},
            {"name": "old", "stored": False, "why": "The name is taken already."},
        ]
    }
    assert contents(root) == {"new": b"content", "old": b"old"}
    assert post(site, file("other")).text == "other: stored\n"


def test_a_person_is_told_what_has_not_come_about(site: Asking, root: Path) -> None:
    (root / "<old>").write_text("old")
    answer = post(site, file("new"), file("<old>"), fields=HTML)
    assert answer.status == 409
    assert "&lt;old&gt;: The name is taken already." in answer.text
    assert "The other one came about." in answer.text
    assert "<script" not in answer.text


def test_what_is_there_is_replaced_if_the_form_says_so(site: Asking, root: Path) -> None:
    (root / "old").write_text("old")
    assert post(site, part("replace", b"on"), file("old", b"new")).status == 201
    assert contents(root) == {"old": b"new"}
    assert post(site, part("replace", b""), file("old", b"newer")).status == 409


@pytest.mark.parametrize(
    ("target", "status"), [("/sub/", 201), ("/sub", 201), ("/nowhere/", 404), ("/file", 404), ("/.git/", 403)]
)
def test_to_which_folder(site: Asking, root: Path, target: str, status: int) -> None:
    (root / "sub").mkdir()
    (root / "file").touch()
    assert post(site, file("a"), target=target).status == status
    assert (root / "sub" / "a").exists() == (status == 201)


@pytest.mark.parametrize(
    ("filename", "name"),
    [("C:\\Users\\anna\\x.txt", "x.txt"), ("folder/x.txt", "x.txt"), ("../../x.txt", "x.txt"), ("/etc/x.txt", "x.txt")],
)
def test_a_name_is_only_its_last_part(site: Asking, root: Path, filename: str, name: str) -> None:
    post(site, part("file", b"x", filename.replace("\\", "\\\\")))
    assert list(contents(root)) == [name]
    assert list(contents(root.parent)) == []


@pytest.mark.parametrize("filename", ["..", ".", "a/", ".hidden", "a%0Ab", "a\x07b", "\u202eexe.txt"])
def test_what_is_no_name(site: Asking, root: Path, filename: str) -> None:
    answer = post(site, file(filename), file("good"))
    assert answer.status in {400, 403}
    assert contents(root) == {"good": b"content"}


def test_a_form_in_which_nobody_has_chosen_a_file(site: Asking) -> None:
    assert post(site, file("", b"")).status == 400
    assert post(site).status == 400


def test_a_folder_is_made(site: Asking, root: Path) -> None:
    answer = post(site, part("folder", " größe ".encode()), fields=HTML)
    assert (answer.status, answer.fields["location"]) == (303, "./")
    assert (root / "größe").is_dir()
    again = post(site, part("folder", "größe".encode()), fields=HTML)
    assert again.status == 409
    assert post(site, part("folder", b"a/b")).status == 400
    assert post(site, part("folder", b"  ")).status == 400
    assert post(site, part("folder", b".x")).status == 403


def test_pieces_may_be_cut_anywhere(site: Asking, root: Path) -> None:
    content = b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n" + os.urandom(50)
    body = form(file("a", content), file("b", b"x"))
    for size in (1, 2, 7):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        assert site("POST", "/", FORM, [part("replace", b"1"), *pieces]).status == 201
        assert contents(root) == {"a": content, "b": b"x"}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data"}, 415),
        ({"content-type": "multipart/form-data; boundary=other"}, 400),
        ({"content-type": "multipart/mixed; boundary=----boundary"}, 415),
    ],
)
def test_what_is_no_form(site: Asking, root: Path, fields: dict[str, str], status: int) -> None:
    assert site("POST", "/", fields, form(file("a"))).status == status
    assert contents(root) == {}


def test_a_form_that_breaks_off(site: Asking, root: Path) -> None:
    whole = form(file("a"), file("b", b"x" * 3_000_000))
    assert site("POST", "/", FORM, [whole[:-1_000]]).status == 400
    assert list(contents(root)) == ["a"]
    (root / "a").unlink()
    assert site("POST", "/", FORM, [whole[:-1_000], None]).messages == []
    assert list(contents(root)) == ["a"]
    assert sorted(os.listdir(root)) == ["a"]


def test_limits(make_site: Any, root: Path) -> None:
    site = make_site(uploads=True, upload_bytes_max=10)
    answer = post(site, file("large", b"x" * 11), file("small", b"x" * 10), fields=JSON)
    assert answer.status == 413
    assert list(contents(root)) == ["small"]
    assert post(site, part("folder", b"x" * (VALUE_BYTES_MAX + 1))).status == 413
    assert post(site, *(part("x", b"") for _ in range(PARTS_MAX + 1))).status == 400


def test_a_storage_that_is_full_has_what_there_was_room_for() -> None:
    site = Asking(MemoryStorage(capacity_bytes=100), Rules(uploads=True))
    answer = post(site, file("a", b"x" * 60), file("b", b"y" * 60), file("c", b"z" * 30), fields=JSON)
    assert answer.status == 507
    assert [one["stored"] for one in json.loads(answer.body)["files"]] == [True, False, True]


def test_who_may_only_make_folders(make_site: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "ANYBODY", Account("anybody", permissions=PERMISSIONS - {"write"}))
    site = make_site(uploads=True)
    assert post(site, file("a")).status == 403
    assert post(site, part("folder", b"new")).status == 201
    assert os.listdir(root) == ["new"]
    monkeypatch.setattr(login, "ANYBODY", Account("anybody", permissions=PERMISSIONS - {"write", "mkdir"}))
    assert post(site, part("folder", b"newer")).status == 403


def test_what_was_done_is_told(site: Asking, root: Path) -> None:
    (root / "old").write_text("old")
    told: list[Any] = []
    stop = events.subscribe(told.append, events.FileActed)
    try:
        post(site, file("a", b"12345"), file("old"), part("folder", b"new"))
    finally:
        stop()
    assert [(one.act, one.path, one.size_bytes, one.failed) for one in told] == [
        ("upload", "/a", 5, None),
        ("upload", "/old", None, "The name is taken already."),
        ("mkdir", "/new", None, None),
    ]


@given(st.binary(max_size=200), st.integers(1, 40))
def test_no_form_is_worth_an_error(content: bytes, size: int) -> None:
    site = Asking(MemoryStorage(), Rules(uploads=True))
    for body in (content, form(file("a"))[: -len(content) or None] + content, file("a") + content):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        answer = site("POST", "/", FORM, pieces)
        assert answer.failure is None
        assert answer.status in {201, 400, 409, 403}


@given(st.text(max_size=40))
def test_a_name_has_no_way_in_it(filename: str) -> None:
    assert not set("/\\") & set(name_in(filename))
