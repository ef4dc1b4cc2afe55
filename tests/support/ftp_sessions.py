"""FTP sessions in a given state, and what a line leads to in them."""

from __future__ import annotations

from portside.accounts.account import ANONYMOUS, Account
from portside.address import InternetAddress
from portside.protocols.ftp.battery import TABLES
from portside.protocols.ftp.commands import VERBS, parse_command
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import Policy, Session
from support.ftp_codes import may_answer

assert TABLES  # importing the battery has filled the tables

PEER = InternetAddress("198.51.100.7", 50_000)


def session_in(state: str) -> Session:
    """Return a session that has come so far: ``new``, ``named``, logged in as ``user``, or as ``guest``."""
    session = Session(Policy(anonymous=True), PEER)
    if state != "new":
        session.user = "anna"
    if state in ("user", "guest"):
        session.logged_in(Account("anna") if state == "user" else ANONYMOUS)
    return session


def outcome_of(session: Session, line: str) -> str:
    """Return the code of the reply, or the name of the act, which a line leads to."""
    command = parse_command(line.encode())
    outcome = session.receive(command)
    if not isinstance(outcome, Reply):
        return type(outcome).__name__
    assert may_answer(outcome.code, command.verb if command.verb in VERBS else ""), f"{outcome} to {line}"
    return str(outcome.code)
