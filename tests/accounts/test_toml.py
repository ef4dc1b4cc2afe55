"""A TOML file of users: its mistakes, and how its text is changed around everything else."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.accounts.account import READ_ONLY
from portside.accounts.book import Login
from portside.accounts.files import NoSuchUser, UserExists
from portside.accounts.toml_book import Mistakes, TomlBook, parse_users
from portside.accounts.toml_file import TomlFile
from portside.accounts.toml_text import add_table, change_table, line_of, remove_table
from portside.errors import UsageError
from support.accounts import login, quick_hash

HASH = quick_hash("geheim")


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_that_can_be_said_of_a_user() -> None:
    text = f"""
        [user.anna]
        password = "{HASH}"
        root = "anna"
        permissions = ["list", "read"]
        quota = "10GB"
        rate_in = "1MB/s"
        rate_out = 65536
        sessions = 3
        [user."Zoë Ünal"]
        password = "{HASH}"
        permissions = "read-only"
        quota = "none"
    """
    anna = login(
        "anna",
        root="/anna",
        permissions=READ_ONLY,
        quota_bytes=10_000_000_000,
        bytes_in_per_s=1e6,
        bytes_out_per_s=65_536.0,
        sessions_max=3,
    )
    assert parse_users(text, "users.toml") == [anna, login("Zoë Ünal", permissions=READ_ONLY)]


def test_a_file_without_users_has_none() -> None:
    assert parse_users("# nobody yet\n", "users.toml") == []


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    text = f"""\
# users
title = "x"
[user.anna]
password = "in the clear"
qouta = "1GB"
permissions = ["list", 7]

[user.bert]
root = "../carl"
sessions = true

[user.carl]
password = "{HASH}"
quota = "10 beer"
rate_in = 0

[user."a:b"]
password = "{HASH}"
"""
    with pytest.raises(Mistakes) as caught:
        parse_users(text, "users.toml")
    assert str(caught.value).splitlines() == [
        "users.toml: title: there is nothing of that name in a file of users; write [user.NAME]",
        "users.toml:4: user.anna.password: it is no hash of a password: $scrypt$… or $argon2id$…, "
        "as `portside users passwd` writes it",
        "users.toml:5: user.anna.qouta: a user has no such key; did you mean quota?",
        "users.toml:6: user.anna.permissions: it is text, not ['list', 7]",
        "users.toml:8: user.bert.password: there is none: `portside users passwd` writes it",
        "users.toml:9: user.bert.root: '../carl' is no path below the service's own directory: "
        "write anna, or / for all of it",
        "users.toml:10: user.bert.sessions: it is text or a whole number, not True",
        "users.toml:14: user.carl.quota: '10 beer' is not a size: there is no unit 'beer'; write 64KiB or 10MB",
        "users.toml:15: user.carl.rate_in: '0' allows nothing: the least is 1, and none means no limit",
        "users.toml:17: user.a:b: no user can be called so: a colon ends the name where a password follows it",
    ]
    assert caught.value.mistakes == tuple(str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[user.anna", "not TOML: "),
        ("user = 3", "user is a table: write [user.NAME]"),
        ("user.anna = 3", "user.anna: a user is a table"),
        ("[[user]]\nname = 'anna'", "user is a table"),
        ("a = " + "[" * 10_000, "not TOML: "),
    ],
)
def test_what_is_no_file_of_users(text: str, why: str) -> None:
    with pytest.raises(Mistakes) as caught:
        parse_users(text, "users.toml")
    assert why in str(caught.value)


@given(st.text(st.sampled_from("[]user.an=\"'# \n\\{}3"), max_size=40))
def test_any_text_is_users_or_mistakes(text: str) -> None:
    with contextlib.suppress(Mistakes):
        assert all(known.password_hash for known in parse_users(text, "users.toml"))


def test_a_server_that_lacks_a_hash_s_package_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users.toml"
    path.write_text(f'[user.anna]\npassword = "$argon2id$v=19$m=64,t=1,p=1${"A" * 22}${"A" * 43}"\n')
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(Mistakes, match=r"users.toml:2: user.anna.password: .* pip install 'portside\[auth\]'"):
        TomlBook(str(path))
    file = TomlFile(str(path))
    file.remove("anna")
    assert file.logins() == []


def test_bytes_that_are_not_utf_8_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_bytes(b"# \xff\n")
    with pytest.raises(UsageError, match="is UTF-8, and this one is not"):
        TomlFile(str(tmp_path / "users.toml")).logins()


# ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

WRITTEN = f"""\
# Our users.

# Anna keeps the archive.
[user.anna]  # since 2024
password = "{HASH}"
quota = "10GB"   # enough
permissions = [
    "list",  # of course
    "read",
]
# no rates yet

# Bert is a camera.
[user."bert"]
password = '{HASH}'
rate_in = 65536
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users.toml"
    path.write_text(WRITTEN)
    return path


def test_a_user_is_added_behind_the_others_and_only_what_is_not_the_default_is_said(path: Path) -> None:
    TomlFile(str(path)).add(login("Carl K.", root="/carl", sessions_max=2, bytes_out_per_s=1e6))
    added = f'\n[user."Carl K."]\npassword = "{HASH}"\nroot = "/carl"\nrate_out = "1MB"\nsessions = 2\n'
    assert path.read_text() == WRITTEN + added


def test_a_change_touches_the_lines_it_is_about(path: Path) -> None:
    def change(old: Login) -> Login:
        return replace(old, account=replace(old.account, quota_bytes=2**30, sessions_max=4))

    TomlFile(str(path)).change("anna", change)
    assert path.read_text() == WRITTEN.replace('quota = "10GB"   # enough', 'quota = "1GiB"   # enough').replace(
        "]\n# no rates", "]\nsessions = 4\n# no rates"
    )


def test_a_value_over_several_lines_is_replaced_as_a_whole(path: Path) -> None:
    TomlFile(str(path)).change("anna", lambda old: replace(old, account=replace(old.account, permissions=frozenset())))
    lines = '    "list",  # of course\n    "read",\n]\n'
    assert path.read_text() == WRITTEN.replace(f"permissions = [\n{lines}", 'permissions = "none"\n')


def test_what_becomes_the_default_is_not_said_any_more(path: Path) -> None:
    TomlFile(str(path)).change("bert", lambda old: login("bert", "neu"))
    assert path.read_text() == WRITTEN.replace(f"'{HASH}'\nrate_in = 65536", f'"{quick_hash("neu")}"')


def test_a_user_is_removed_and_comments_stay(path: Path) -> None:
    file = TomlFile(str(path))
    file.remove("anna")
    assert path.read_text() == (
        "# Our users.\n\n# Anna keeps the archive.\n# no rates yet\n\n# Bert is a camera.\n"
        f"[user.\"bert\"]\npassword = '{HASH}'\nrate_in = 65536\n"
    )
    file.remove("bert")
    assert path.read_text() == "# Our users.\n\n# Anna keeps the archive.\n# no rates yet\n\n# Bert is a camera.\n"


def test_nothing_happens_to_a_user_who_is_not_there_and_none_is_there_twice(path: Path) -> None:
    file = TomlFile(str(path))
    with pytest.raises(NoSuchUser):
        file.remove("carl")
    with pytest.raises(NoSuchUser):
        file.change("carl", lambda old: old)
    with pytest.raises(UserExists):
        file.add(login("bert"))
    assert path.read_text() == WRITTEN


@pytest.mark.parametrize("text", [f"user.anna.password = '{HASH}'\n", f"[user]\nanna = {{ password = '{HASH}' }}\n"])
def test_a_user_who_is_written_another_way_is_not_touched(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.toml"
    path.write_text(text)
    file = TomlFile(str(path))
    for change in (lambda: file.remove("anna"), lambda: file.change("anna", lambda old: login("anna", "neu"))):
        with pytest.raises(UsageError, match=r"is not written as \[user.NAME\]: change it by hand"):
            change()
    assert path.read_text() == text


def test_a_text_that_imitates_a_header_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    imitation = 'root = """/a\\\n[user.anna]"""'
    text = f"[user.bert]\npassword = '{HASH}'\n{imitation}\n[user.anna]\npassword = '{HASH}'\n"
    path.write_text(text)
    file = TomlFile(str(path))
    assert file.logins() == [login("bert", root="/a[user.anna]"), login("anna")]
    with pytest.raises(UsageError, match="change it by hand"):
        file.remove("anna")
    assert path.read_text() == text


def test_line_ends_of_other_systems_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_bytes(WRITTEN.replace("\n", "\r\n").encode())
    file = TomlFile(str(path))
    file.add(login("carl"))
    file.change("bert", lambda old: login("bert", sessions_max=2))
    file.remove("anna")
    data = path.read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n")
    assert [known.account.name for known in file.logins()] == ["bert", "carl"]


def test_a_file_without_an_end_of_its_last_line_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text("# none")
    TomlFile(str(path)).add(login("anna"))
    assert path.read_text().startswith("# none\n\n[user.anna]\n")


NAMES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=":"), min_size=1, max_size=8)
ACCOUNTS = st.fixed_dictionaries(
    {},
    optional={
        "root": st.sampled_from(["/a", '/with "quotes"', "/a\\b"]),
        "permissions": st.sampled_from([READ_ONLY, frozenset({"list", "write"})]),
        "quota_bytes": st.integers(1, 2**53),
        "bytes_in_per_s": st.integers(1, 2**40).map(float),
        "sessions_max": st.integers(1, 10**15 - 1),
    },
)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, ACCOUNTS, min_size=1, max_size=4), st.data())
def test_what_is_written_is_read_and_a_change_changes_nothing_else(
    accounts: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    from portside.accounts.toml_file import _values

    logins = {name: login(name, **account) for name, account in accounts.items()}
    text = ""
    for one in logins.values():
        text = add_table(text, one.account.name, _values(one))
    assert parse_users(text, "") == list(logins.values())
    name = data.draw(st.sampled_from(list(logins)))
    logins[name] = login(name, "neu", **data.draw(ACCOUNTS))
    changed = change_table(text, name, _values(logins[name]))
    assert changed is not None
    assert parse_users(changed, "") == list(logins.values())
    assert line_of(changed, name) == 1 + changed.split("\n").index(next(filter(_header_of(name), changed.split("\n"))))
    del logins[name]
    removed = remove_table(changed, name)
    assert removed is not None
    assert parse_users(removed, "") == list(logins.values())


def _header_of(name: str) -> Any:
    return lambda line: line.startswith("[") and name in tomllib.loads(line)["user"]


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("before", "after"), [(None, 0o600), (0o600, 0o600), (0o640, 0o640), (0o644, 0o640)])
def test_others_cannot_read_it(tmp_path: Path, before: int | None, after: int) -> None:
    path = tmp_path / "users.toml"
    if before is not None:
        path.touch()
        path.chmod(before)
    TomlFile(str(path)).add(login("anna"))
    assert mode_of(path) == after
    assert os.listdir(tmp_path) == ["users.toml"]


def test_its_owner_stays_its_owner(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give files away")
    path = tmp_path / "users.toml"
    path.touch()
    os.chown(path, 12_345, 12_346)
    TomlFile(str(path)).add(login("anna"))
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 12_346)


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "users.toml").symlink_to("real/users.toml")
    TomlFile(str(tmp_path / "users.toml")).add(login("anna"))
    assert (tmp_path / "users.toml").is_symlink()
    assert "anna" in (tmp_path / "real" / "users.toml").read_text()


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        TomlFile(str(path)).add(login("carl"))
    assert path.read_text() == WRITTEN
    assert os.listdir(path.parent) == ["users.toml"]


def test_changes_made_side_by_side_are_all_there(path: Path) -> None:
    begin = threading.Barrier(4)

    def add(number: int) -> None:
        begin.wait()
        for one in range(5):
            TomlFile(str(path)).add(login(f"user-{number}-{one}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(TomlFile(str(path)).logins()) == 22
