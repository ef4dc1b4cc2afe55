"""``portside users``: from what is typed to a file that servers read."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portside.accounts.account import READ_ONLY, Account
from portside.accounts.files import open_user_file
from portside.accounts.passwords import verify_password
from portside.cli import users as module
from portside.cli.main import main
from support.accounts import login, quick_hash
from support.server import COMMAND, environment
from support.server import portside as run_portside
from support.waiting import WITHIN_S

Says = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["users.toml", "users.db"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The name of a file of users of each kind, which is not there yet."""
    return Path(tmp_path / request.param)


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Says:
    """Run ``portside users …`` here; ``typed`` is standard input. Returns the status, stdout and stderr."""
    monkeypatch.setattr(module, "hash_password", lambda password, form: quick_hash(password))
    for name in list(os.environ):
        if name.startswith("PORTSIDE_"):
            monkeypatch.delenv(name)

    def say(*arguments: str | Path, typed: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        status = main(["users", *map(str, arguments)])
        return status, *capsys.readouterr()

    return say


def passwords_of(path: Path) -> dict[str, str]:
    return {one.account.name: one.password_hash for one in open_user_file(str(path)).logins()}


# ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_from_the_first_to_the_last_day(says: Says, path: Path) -> None:
    limits = ("--quota", "10GB", "--rate-in", "1MB/s", "--rate-out", "64KiB", "--sessions", "3")
    silent = (0, "", "")
    added = says(
        "add", "--file", path, "anna", "--root", "anna", "--permissions", "list,read", *limits, "--password-stdin",
        typed=b"geheim\n",
    )  # fmt: skip
    assert added == silent
    (anna,) = open_user_file(str(path)).logins()
    assert anna.account == Account("anna", "/anna", READ_ONLY, 10_000_000_000, 1_000_000.0, 65_536.0, 3)
    assert verify_password("geheim", anna.password_hash)

    assert says("set", "--file", path, "anna", "--quota", "none", "--permissions", "full") == silent
    (anna,) = open_user_file(str(path)).logins()
    assert anna.account == Account("anna", "/anna", bytes_in_per_s=1e6, bytes_out_per_s=65_536.0, sessions_max=3)
    assert verify_password("geheim", anna.password_hash)

    assert says("passwd", "--file", path, "anna", "--password-stdin", typed=b"neu") == silent
    assert verify_password("neu", passwords_of(path)["anna"])

    assert says("remove", "--file", path, "anna") == silent
    assert passwords_of(path) == {}


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (("remove", "carl"), 1, "there is no user 'carl' in "),
        (("set", "carl", "--root", "x"), 1, "there is no user 'carl' in "),
        (("passwd", "carl", "--password-stdin"), 1, "there is no user 'carl' in "),
        (("add", "anna", "--password-stdin"), 1, "there is a user 'anna' in "),
        (("add", "a:b", "--password-stdin"), 2, "'a:b' is no name of a user"),
        (("add", "bert", "--password-stdin", "--quota", "10 beer"), 2, "there is no unit 'beer'"),
        (("add", "bert", "--password-stdin", "--permissions", "reed"), 2, "did you mean read?"),
        (("add", "bert", "--password-stdin", "--root", ".."), 2, "is no path below"),
        (("add", "bert", "--password-stdin", "--hash", "md5"), 2, "'md5' is not one of"),
        (("set", "anna"), 2, "nothing is said of 'anna': give --root, --permissions,"),
        (("passwd", "anna"), 2, "there is no terminal to ask for a password: pipe it in, with --password-stdin"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    says: Says, path: Path, arguments: tuple[str, ...], status: int, why: str
) -> None:
    open_user_file(str(path)).add(login("anna"))
    command, *rest = arguments
    code, out, complaint = says(command, "--file", path, *rest, typed=b"geheim\n")
    assert (code, out) == (status, "")
    assert why in complaint
    assert open_user_file(str(path)).logins() == [login("anna")]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (b"", "the password of 'anna' is empty"),
        (b"\n", "the password of 'anna' is empty"),
        (b"one\ntwo\n", "holds a NUL or an end of line"),
        (b"\xff\n", "is not UTF-8"),
        (b"x" * 5_000, "there are more than 4096 bytes"),
    ],
)
def test_what_is_piped_in_may_be_no_password(says: Says, path: Path, typed: bytes, why: str) -> None:
    code, _, complaint = says("add", "--file", path, "anna", "--password-stdin", typed=typed)
    assert code == 2
    assert why in complaint
    assert not path.exists()


@pytest.mark.parametrize("typed", [b"ge heim \n", b"ge heim \r\n", b"ge heim "])
def test_only_the_end_of_the_line_is_taken_off_a_password(says: Says, path: Path, typed: bytes) -> None:
    assert says("add", "--file", path, "anna", "--password-stdin", typed=typed)[0] == 0
    assert passwords_of(path) == {"anna": quick_hash("ge heim ")}


def test_the_form_of_the_hash_can_be_chosen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms: list[str] = []
    monkeypatch.setattr(module, "hash_password", lambda password, form: forms.append(form) or quick_hash(password))
    for name, options in {"anna": (), "bert": ("--hash", "argon2id")}.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"geheim")))
        assert main(["users", "add", "--file", str(path), name, "--password-stdin", *options]) == 0
    assert forms == ["scrypt", "argon2id"]


def test_a_file_of_no_kind_and_one_with_mistakes(says: Says, tmp_path: Path) -> None:
    assert says("list", "--file", tmp_path / "users.txt")[0] == 2
    (tmp_path / "users.toml").write_text("[user.anna]\npassword = 'x'\nqouta = 1\n")
    status, out, complaint = says("list", "--file", tmp_path / "users.toml")
    assert (status, out) == (2, "")
    assert [line.partition("users.toml")[2][:3] for line in complaint.splitlines()] == [":2:", ":3:"]


def test_a_folder_that_is_not_there_is_named(says: Says, tmp_path: Path) -> None:
    status, _, complaint = says("add", "--file", tmp_path / "no" / "users.toml", "anna", "--password-stdin", typed=b"x")
    assert status == 1
    assert re.search(r"no: No such file or directory", complaint)


# ── typing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch, says: Says) -> Callable[..., None]:
    """Let somebody sit at a terminal and type these passwords when they are asked."""

    def type_(*passwords: str) -> None:
        answers = iter(passwords)

        def ask(prompt: str) -> str:
            try:
                return next(answers)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(getpass, "getpass", ask)
        monkeypatch.setattr(sys, "stdin", Terminal())

    return type_


@pytest.mark.parametrize(
    ("typed", "status"), [(("geheim", "geheim"), 0), (("geheim", "gehein"), 2), (("geheim",), 2), (("", ""), 2)]
)
def test_a_password_is_typed_twice(
    types: Callable[..., None], path: Path, typed: tuple[str, ...], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    types(*typed)
    assert main(["users", "add", "--file", str(path), "anna"]) == status
    assert path.exists() == (status == 0)
    assert "gehei" not in "".join(capsys.readouterr())


def test_a_terminal_does_not_show_the_password(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, "users", "add", "--file", str(path), "anna"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        shown = _read_until(ours, b"password of anna: ")
        os.write(ours, b"geheim\n")
        shown += _read_until(ours, b"the same again: ")
        os.write(ours, b"geheim\n")
        assert process.wait(WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"geheim" not in shown
    assert verify_password("geheim", passwords_of(path)["anna"])


def _read_until(descriptor: int, words: bytes) -> bytes:
    shown = b""
    while words not in shown:
        shown += os.read(descriptor, 1_024)
    return shown


# ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

KEYS = ["name", "root", "permissions", "quota_bytes", "bytes_in_per_s", "bytes_out_per_s", "sessions_max"]


def test_users_are_listed_for_people_and_for_programs(says: Says, path: Path) -> None:
    open_user_file(str(path)).add(login("anna", root="/anna", permissions=READ_ONLY, quota_bytes=10**10))
    open_user_file(str(path)).add(login("bert", sessions_max=3))
    status, out, _ = says("list", "--file", path)
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["NAME", "ROOT", "PERMISSIONS", "QUOTA", "IN/s", "OUT/s", "SESSIONS"],
        ["anna", "/anna", "read-only", "10GB", "-", "-", "-"],
        ["bert", "/", "full", "-", "-", "-", "3"],
    ]
    status, out, _ = says("list", "--file", path, "--json")
    anna, bert = json.loads(out)
    assert (status, list(anna), list(bert)) == (0, KEYS, KEYS)
    assert anna == dict(zip(KEYS, ["anna", "/anna", ["list", "read"], 10**10, None, None, None], strict=True))
    assert "scrypt" not in out


def test_the_keys_of_the_listing_are_documented() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "reference.md").read_text(encoding="utf-8")
    (keys,) = re.findall(r"^\| `users list` \| array, an object for each user \| (.*) \|$", page, re.M)
    assert re.findall(r"`(\w+)`", keys) == KEYS


def test_nobody_is_said_so(says: Says, path: Path) -> None:
    open_user_file(str(path)).add(login("anna"))
    open_user_file(str(path)).remove("anna")
    assert says("list", "--file", path) == (0, f"there are no users in {path}\n", "")
    assert says("list", "--file", path, "--json") == (0, "[]\n", "")


def test_a_command_that_is_installed_does_all_that(path: Path) -> None:
    """Once with nothing of ours in between: the real hash, the real streams."""
    done = run_portside("users", "add", "--file", str(path), "anna", "--password-stdin", input="geheim\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert verify_password("geheim", passwords_of(path)["anna"])
    assert path.stat().st_mode & 0o777 == 0o600
    listed = run_portside("users", "list", "--json", env={"PORTSIDE_FILE": str(path)})
    assert [user["name"] for user in json.loads(listed.stdout)] == ["anna"]


def test_a_password_is_never_an_argument(says: Says) -> None:
    helps: list[Any] = [says(command, "--help")[1] for command in ("add", "passwd", "set")]
    assert not any(re.search(r"--password(?!-stdin)", text) for text in helps)
