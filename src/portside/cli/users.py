"""``portside users``: who may log in, and what they may do, in a file of users."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

import click

from portside.accounts.account import Account
from portside.accounts.book import Login
from portside.accounts.files import NoSuchUser, UserExists, open_user_file
from portside.accounts.passwords import FORMS, Form, hash_password
from portside.accounts.typed import FIELDS, PERMISSION_NAMES, parse_name, refuse_password, show_permissions
from portside.cli.output import Column, Row, print_listing
from portside.errors import UsageError
from portside.units import show_size

PASSWORD_BYTES_MAX: Final = 4_096  # of what --password-stdin reads: more is a mistake in the pipe

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(short_help="add, list, change and remove the users of a file")
def users() -> None:
    """Add, list, change and remove who may log in.

    FILE ends in .toml, or in .db or .sqlite. Servers that use it notice the change. A password is asked for, or read
    from standard input; it is never an argument, where everybody on the machine could read it.
    """


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


_file_option: Final = click.option("--file", "path", required=True, metavar="FILE", help="The file of users.")
_name_argument: Final = click.argument("name", callback=lambda context, parameter, text: parse_name(text))


def _account_options(command: Command) -> Command:
    """Add an option for each thing that an account has. What is not said is None."""
    for field in reversed(FIELDS):

        def read(context: click.Context, parameter: click.Parameter, text: str | None, field: Any = field) -> Any:
            return None if text is None else (field.parse(text),)  # in a tuple: the value None means no limit

        option = click.option(
            field.option,
            field.attribute,
            metavar=field.metavar,
            callback=read,
            help=f"{field.sentence[:1].upper()}{field.sentence[1:]}.",
        )
        command = option(command)
    return command


def _password_options(command: Command) -> Command:
    command = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")(command)
    return click.option(
        "--hash", "form", type=click.Choice(FORMS), default="scrypt", show_default=True, help="How to hash it."
    )(command)


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """Return what was said of the account, by the names of its attributes."""
    return {attribute: value[0] for attribute, value in options.items() if value is not None}


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@users.command(short_help="add a user")
@_file_option
@_name_argument
@_account_options
@_password_options
def add(path: str, name: str, *, form: Form, password_stdin: bool, **options: Any) -> None:
    """Add a user, who may do everything below the root unless --permissions says less. Makes the file if need be."""
    file = open_user_file(path)
    if file.has(name):
        raise UserExists(name, path)  # before anybody is asked for a password
    password_hash = hash_password(_read_password(name, from_stdin=password_stdin), form)
    file.add(Login(Account(name, **_said(options)), password_hash))


@users.command("list", short_help="list the users")
@_file_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_users(path: str, *, as_json: bool) -> None:
    """List the users and what they may do. Passwords are not shown, nor what is kept of them."""
    accounts = [login.account for login in open_user_file(path).logins()]
    print_listing(map(_row, accounts), _COLUMNS, as_json=as_json, empty=f"there are no users in {path}")


@users.command(short_help="change a user's password")
@_file_option
@_name_argument
@_password_options
def passwd(path: str, name: str, *, form: Form, password_stdin: bool) -> None:
    """Change a user's password. Sessions that are open go on."""
    file = open_user_file(path)
    if not file.has(name):
        raise NoSuchUser(name, path)
    password_hash = hash_password(_read_password(name, from_stdin=password_stdin), form)
    file.change(name, lambda login: replace(login, password_hash=password_hash))


@users.command("set", short_help="change what a user may do")
@_file_option
@_name_argument
@_account_options
def set_account(path: str, name: str, **options: Any) -> None:
    """Change what a user may do; what is not said stays as it is, and none takes a limit away.

    Sessions that are open go on as they began.
    """
    said = _said(options)
    if not said:
        raise UsageError(f"nothing is said of {name!r}: give {', '.join(field.option for field in FIELDS)}")
    open_user_file(path).change(name, lambda login: replace(login, account=replace(login.account, **said)))


@users.command(short_help="remove a user")
@_file_option
@_name_argument
def remove(path: str, name: str) -> None:
    """Remove a user. The user's files stay, and sessions that are open go on."""
    open_user_file(path).remove(name)


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_password(name: str, *, from_stdin: bool) -> str:
    """Return the password that is typed twice without being shown, or comes on standard input. Raises: UsageError."""
    password = _piped_password() if from_stdin else _typed_password(name)
    refuse_password(password, of=name)
    return password


def _piped_password() -> str:
    """Return all of standard input, as UTF-8 and without the end of its line."""
    data = sys.stdin.buffer.read(PASSWORD_BYTES_MAX + 1) if sys.stdin is not None else b""
    if len(data) > PASSWORD_BYTES_MAX:
        raise UsageError(f"there are more than {PASSWORD_BYTES_MAX} bytes on standard input: that is no password")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UsageError("the password on standard input is not UTF-8") from error


def _typed_password(name: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for a password: pipe it in, with --password-stdin")
    import getpass

    try:
        password = getpass.getpass(f"password of {name}: ")
        if getpass.getpass("the same again: ") != password:
            raise UsageError("these were two different passwords; nothing was changed")
    except EOFError as error:
        raise UsageError("no password was typed; nothing was changed") from error
    return password


# ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(account: Account) -> Row:
    """Return what is listed of an account: the names of its attributes are the documented keys."""
    named = {field.name: getattr(account, field.name) for field in fields(account)}
    return named | {"permissions": [name for name in PERMISSION_NAMES if account.may(name)]}


_COLUMNS: Final = (
    Column("name"),
    Column("root"),
    Column("permissions", show=lambda words: show_permissions(frozenset(words))),
    Column("quota_bytes", "QUOTA", right=True, show=show_size),
    Column("bytes_in_per_s", "IN/s", right=True, show=show_size),
    Column("bytes_out_per_s", "OUT/s", right=True, show=show_size),
    Column("sessions_max", "SESSIONS", right=True),
)
