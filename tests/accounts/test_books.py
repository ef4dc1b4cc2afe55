"""Books of accounts: from the command line, from files of each kind, and what they share."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portside.accounts.account import PERMISSIONS, READ_ONLY, Account
from portside.accounts.book import AccountBook, BooksInOrder, MemoryBook, choose_decoy, open_books, read_logins
from portside.accounts.files import open_book, open_user_file
from portside.accounts.passwords import NOBODY, verifies_at_once, verify_password
from portside.accounts.sqlite_book import SqliteBook
from portside.errors import LocalError, UsageError
from support.accounts import login, quick_hash

# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_of_the_command_line_may_do_everything() -> None:
    book = read_logins(["anna:geheim", "bert:ge:heim"])
    anna, bert = book.find("anna"), book.find("bert")
    assert anna is not None
    assert bert is not None
    assert anna.account == Account("anna", root="/", permissions=PERMISSIONS)
    assert verify_password("geheim", anna.password_hash)
    assert verify_password("ge:heim", bert.password_hash)
    assert book.find("carl") is None


def test_two_logins_of_one_name_are_a_mistake() -> None:
    with pytest.raises(UsageError, match="two logins of the name 'anna'"):
        read_logins(["anna:geheim", "anna:geheimer"])


def test_nobody_is_configured() -> None:
    assert open_books([], None) is None


def test_logins_alone_verify_at_once_for_those_who_exist_and_those_who_do_not() -> None:
    book = open_books(["anna:geheim"], None)
    assert book is not None
    anna = book.find("anna")
    assert anna is not None
    assert verifies_at_once(anna.password_hash)
    assert verifies_at_once(book.decoy("bert"))


def test_beside_a_file_logins_are_as_slow_as_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "users.toml")
    open_user_file(path).add(login("bert"))
    book = open_books(["anna:geheim", "bert:anders"], path)
    assert book is not None
    anna, bert = book.find("anna"), book.find("bert")
    assert anna is not None
    assert bert is not None
    assert anna.password_hash.startswith("$scrypt$ln=15,")
    assert verify_password("anders", bert.password_hash), "the command line counts before the file"
    assert book.decoy("carl") == quick_hash("geheim")
    assert book.is_at_hand
    assert book.find("carl") is None


# ── decoys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_nobody_is_the_decoy_is_nobody_s() -> None:
    assert MemoryBook(()).decoy("anna") == BooksInOrder().decoy("anna") == NOBODY


def test_a_name_always_meets_the_same_decoy_and_names_meet_all_kinds() -> None:
    hashes = [f"$hash-{number}" for number in range(4)]
    met = Counter(choose_decoy(hashes, f"name{number}") for number in range(200))
    assert set(met) == set(hashes)
    assert choose_decoy(hashes, "anna") == choose_decoy(hashes, "anna")
    assert choose_decoy(hashes, "a\udc80") in hashes


def test_which_decoy_a_name_meets_cannot_be_computed_from_outside() -> None:
    def chosen(first: str) -> list[int]:
        hashes = [first, "$hash-1", "$hash-2", "$hash-3"]
        return [hashes.index(choose_decoy(hashes, f"name{number}")) for number in range(50)]

    assert chosen("$secret") != chosen("$other")


# ── files of both kinds ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["users.toml", "users.db"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a file of users of each kind, which is not there yet."""
    return str(tmp_path / request.param)


@pytest.fixture
def books() -> Iterator[list[AccountBook]]:
    """Those that hold something open are closed afterwards."""
    opened: list[AccountBook] = []
    yield opened
    for book in opened:
        if isinstance(book, SqliteBook):
            book.close()


def test_a_book_says_what_its_file_says(path: str, books: list[AccountBook]) -> None:
    anna = login(
        "anna",
        root="/anna",
        permissions=READ_ONLY,
        quota_bytes=10_000_000_000,
        bytes_in_per_s=1e6,
        bytes_out_per_s=65_536.0,
        sessions_max=3,
    )
    file = open_user_file(path)
    file.add(anna)
    file.add(login("Zoë Ünal"))
    books.append(book := open_book(path))
    assert book.find("anna") == anna
    assert book.find("Zoë Ünal") == login("Zoë Ünal")
    for nobody in ("Anna", "", "a\udc80", "x" * 10_000, "anna\0", "' OR 1=1 --"):
        assert book.find(nobody) is None
        assert book.decoy(nobody) == quick_hash("geheim")


def test_a_book_notices_changes(path: str, books: list[AccountBook]) -> None:
    file = open_user_file(path)
    file.add(login("anna"))
    books.append(book := open_book(path))
    assert book.find("anna") == login("anna")
    file.change("anna", lambda old: login("anna", "neu"))
    file.add(login("bert"))
    assert book.find("anna") == login("anna", "neu")
    assert book.find("bert") is not None
    file.remove("anna")
    assert book.find("anna") is None


def test_when_a_file_breaks_the_old_users_stay_and_it_is_said_once(
    path: str, books: list[AccountBook], caplog: pytest.LogCaptureFixture
) -> None:
    open_user_file(path).add(login("anna"))
    books.append(book := open_book(path))
    assert book.find("anna") is not None
    broken = Path(f"{path}.new")
    broken.write_text("[user.anna]\npassword = 'open'\n")
    os.replace(broken, path)
    for _ in range(3):
        assert book.find("anna") == login("anna")
        assert book.decoy("bert") == quick_hash("geheim")
    assert len(caplog.records) == 1
    assert "the users stay as they were" in caplog.text
    os.unlink(path)
    assert book.find("anna") == login("anna")
    assert len(caplog.records) == 2


def test_a_file_that_was_mended_counts(path: str, books: list[AccountBook], caplog: pytest.LogCaptureFixture) -> None:
    open_user_file(path).add(login("anna"))
    books.append(book := open_book(path))
    os.unlink(path)
    assert book.find("anna") is not None
    open_user_file(path).add(login("bert"))
    assert book.find("anna") is None
    assert book.find("bert") is not None


def test_a_file_that_is_not_there_is_a_mistake(path: str) -> None:
    with pytest.raises(UsageError, match=r"there is no file of users .*`portside users add` makes one"):
        open_book(path)


def test_many_threads_may_ask_while_the_file_changes(path: str, books: list[AccountBook]) -> None:
    file = open_user_file(path)
    file.add(login("anna"))
    books.append(book := open_book(path))
    begin = threading.Barrier(4)
    wrong: list[object] = []

    def ask() -> None:
        begin.wait()
        for _ in range(50):
            found = book.find("anna")
            if found is None or found.account.sessions_max not in (None, *range(1, 6)):
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    begin.wait()
    for sessions in range(1, 6):
        file.change("anna", lambda old, sessions=sessions: login("anna", sessions_max=sessions))  # type: ignore[misc]
    for thread in threads:
        thread.join()
    assert wrong == []
    assert book.find("anna") == login("anna", sessions_max=5)


# ── which kind a file is ─────────────────────────────────────────────────────────────────────────────────────────────


def test_content_tells_a_database_whatever_its_name(tmp_path: Path, books: list[AccountBook]) -> None:
    open_user_file(str(tmp_path / "users.sqlite3")).add(login("anna"))
    shutil.copy(tmp_path / "users.sqlite3", tmp_path / "users.toml")
    books.append(book := open_book(str(tmp_path / "users.toml")))
    assert isinstance(book, SqliteBook)


def test_text_without_a_known_name_is_toml(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"[user.anna]\npassword = '{quick_hash('geheim')}'\n")
    assert open_book(str(tmp_path / "users")).find("anna") == login("anna")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("users.db", "[user.anna]\n", "is named like a database of SQLite, and is none"),
        ("users.txt", None, "a file of users ends in .toml, .db or .sqlite"),
        ("users", "", "a file of users ends in .toml, .db or .sqlite"),
        ("nowhere/users.toml", None, "there is no file of users"),
        ("", None, "cannot read the file of users"),
    ],
)
def test_what_is_no_file_of_users(tmp_path: Path, name: str, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        open_book(str(tmp_path / name))
    assert why in str(caught.value)


# ── databases ────────────────────────────────────────────────────────────────────────────────────────────────────────


def sql(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ((), "is a database, and not one of users"),
        (("CREATE TABLE users (name, password)",), "is a database, and not one of users"),
        ((f"PRAGMA application_id = {0x506F7274}", "PRAGMA user_version = 2"), "was made by a newer Portside"),
    ],
)
def test_other_databases_are_refused(tmp_path: Path, statements: tuple[str, ...], why: str) -> None:
    sql(tmp_path / "users.db", *statements)
    (tmp_path / "users.db").touch()
    for refuse in (open_book, lambda path: open_user_file(path).logins()):
        with pytest.raises(UsageError) as caught:
            refuse(str(tmp_path / "users.db"))
        assert why in str(caught.value)


def test_another_program_s_row_is_checked_and_a_wrong_one_passed_over(
    tmp_path: Path, books: list[AccountBook], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.db"
    open_user_file(str(path)).add(login("anna"))
    sql(
        path,
        "INSERT INTO users (name, password) VALUES ('bert', 'in the clear')",
        f"INSERT INTO users (name, password, permissions) VALUES ('carl', '{quick_hash('x')}', 'list,reed')",
        f"INSERT INTO users (name, password, root) VALUES ('dora', '{quick_hash('x')}', 'dora')",
    )
    books.append(book := open_book(str(path)))
    assert book.find("bert") is None
    assert book.find("carl") is None
    assert book.find("dora") == login("dora", "x", root="/dora")
    assert "user 'bert': it is no hash of a password" in caplog.text
    assert "user 'carl': there is no permission 'reed'" in caplog.text
    assert "in the clear" not in caplog.text


def test_the_database_itself_refuses_limits_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    open_user_file(str(path)).add(login("anna"))
    for column in ("quota_bytes", "bytes_in_per_s", "bytes_out_per_s", "sessions_max"):
        with pytest.raises(sqlite3.IntegrityError):
            sql(path, f"UPDATE users SET {column} = 0")
        with pytest.raises(sqlite3.IntegrityError):
            sql(path, f"UPDATE users SET {column} = 'many'")


def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path, books: list[AccountBook]) -> None:
    path = tmp_path / "users.db"
    open_user_file(str(path)).add(login("anna"))
    books.append(book := open_book(str(path)))
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("DELETE FROM users")
    assert book.find("anna") is not None
    writer.execute("COMMIT")
    writer.close()
    assert book.find("anna") is None


def as_nobody(act: Callable[[], str]) -> str:
    """Return what ``act`` says in a process without root's rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            if os.getuid() == 0:
                os.setgid(65_534)
                os.setuid(65_534)
            os.write(writing, act().encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    return text


def test_a_directory_in_which_sqlite_cannot_write_is_named() -> None:
    """Under WAL a reader makes files too; SQLite then says "attempt to write a readonly database"."""
    with tempfile.TemporaryDirectory() as directory:  # pytest's own nobody else may enter
        path = f"{directory}/users.db"
        open_user_file(path).add(login("anna"))

        def find() -> str:
            try:
                return repr(SqliteBook(path).find("anna"))
            except UsageError as error:
                return str(error)

        os.chmod(path, 0o444)
        os.chmod(directory, 0o555)
        assert f"must be able to write in '{directory}', unless it is told PRAGMA journal_mode = DELETE" in as_nobody(
            find
        )
        os.chmod(path, 0o644)
        os.chmod(directory, 0o755)
        sql(Path(path), "PRAGMA journal_mode = DELETE")
        os.chmod(directory, 0o555)
        assert as_nobody(find) == repr(login("anna"))
        os.chmod(directory, 0o755)


def test_a_database_that_cannot_be_read_is_nobody_s_failed_login(tmp_path: Path, books: list[AccountBook]) -> None:
    path = tmp_path / "users.db"
    open_user_file(str(path)).add(login("anna"))
    books.append(book := open_book(str(path)))
    sql(path, "DROP TABLE users")
    with pytest.raises(LocalError, match="cannot be read: no such table"):
        book.find("anna")


def test_a_database_is_opened_anew_after_a_fork(tmp_path: Path, books: list[AccountBook]) -> None:
    """https://www.sqlite.org/howtocorrupt.html section 2.6."""
    path = str(tmp_path / "users.db")
    open_user_file(path).add(login("anna"))
    books.append(book := open_book(path))
    assert isinstance(book, SqliteBook)
    assert book.find("anna") is not None
    before = book._open
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        found = book.find("anna") == login("anna") and book._open is not before
        os.write(writing, b"anew" if found else b"not")
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said:
        assert said.read() == b"anew"
    os.waitpid(child, 0)
    assert book._open is before
    assert book.find("anna") is not None
