"""What a session answers to every verb in every state, without any I/O: the tables of RFC 959, read as tables."""

from __future__ import annotations

import pytest

from portside.accounts.account import ANONYMOUS, PERMISSIONS, Account
from portside.address import InternetAddress, UnixAddress
from portside.protocols.ftp import acts
from portside.protocols.ftp.battery import TABLES
from portside.protocols.ftp.commands import VERBS
from portside.protocols.ftp.session import TABLE, Policy, Session
from portside.protocols.ftp.visit import ACTS
from support.ftp_sessions import PEER, outcome_of, session_in

# In each column the code of the reply, or the act that is carried out. Not logged in, with a user named, with all
# rights, and as anonymous, who only may look and read.
STATES = ("new", "named", "user", "guest")
BY_STATE = """
    USER anna               331     331     331             331
    USER anonymous          331     331     331             331
    USER                    501     501     501             501
    PASS secret             503     LogIn   503             503
    PASS                    503     LogIn   503             503
    ACCT some               202     202     202             202
    ACCT                    501     501     501             501
    HOST ftp.example        220     503     503             503
    HOST                    501     501     501             501
    REIN                    LogOut  LogOut  LogOut          LogOut
    REIN now                501     501     501             501
    QUIT                    Quit    Quit    Quit            Quit
    QUIT now                501     501     501             501
    CWD a                   530     530     ChangeDirectory ChangeDirectory
    CWD                     530     530     501             501
    XCWD a                  530     530     ChangeDirectory ChangeDirectory
    CDUP                    530     530     ChangeDirectory ChangeDirectory
    CDUP a                  530     530     501             501
    XCUP                    530     530     ChangeDirectory ChangeDirectory
    SMNT a                  502     502     502             502
    LANG                    200     200     200             200
    LANG en                 200     200     200             200
    LANG fr                 504     504     504             504
    AUTH TLS                502     502     502             502
    ADAT x                  502     502     502             502
    PBSZ 0                  503     503     503             503
    PROT P                  503     503     503             503
    CCC                     530     530     533             533
    MIC x                   502     502     502             502
    CONF x                  502     502     502             502
    ENC x                   502     502     502             502
    PORT 198,51,100,7,200,1 530     530     Call            Call
    PORT                    530     530     501             501
    EPRT |1|198.51.100.7|9| 530     530     504             504
    EPRT |1|198.51.100.7|9000|      530     530     Call    Call
    PASV                    530     530     Listen          Listen
    PASV x                  530     530     501             501
    EPSV                    530     530     Listen          Listen
    EPSV 1                  530     530     Listen          Listen
    EPSV 2                  530     530     522             522
    EPSV 3                  530     530     522             522
    EPSV x                  530     530     501             501
    EPSV ALL                530     530     200             200
    TYPE I                  530     530     200             200
    TYPE                    530     530     501             501
    STRU F                  530     530     200             200
    MODE S                  530     530     200             200
    OPTS UTF8 ON            200     200     200             200
    OPTS                    501     501     501             501
    ESTA                    502     502     502             502
    ESTP                    502     502     502             502
    RETR a                  530     530     Retrieve        Retrieve
    RETR                    530     530     501             501
    STOR a                  530     530     Store           553
    STOR                    530     530     501             501
    STOU                    530     530     Store           553
    STOU a                  530     530     Store           553
    APPE a                  530     530     Store           550
    APPE                    530     530     501             501
    REST 0                  530     530     350             350
    REST                    530     530     501             501
    ALLO 100                530     530     Allocate        Allocate
    ALLO                    530     530     501             501
    ABOR                    530     530     Abort           Abort
    ABOR x                  530     530     501             501
    LIST                    530     530     SendListing     SendListing
    LIST -la a b            530     530     SendListing     SendListing
    NLST                    530     530     SendListing     SendListing
    MLSD                    530     530     SendListing     SendListing
    DELE a                  530     530     Delete          550
    DELE                    530     530     501             501
    RNFR a                  530     530     RenameFrom      550
    RNFR                    530     530     501             501
    RNTO b                  530     530     503             503
    RNTO                    530     530     501             501
    MKD a                   530     530     MakeDirectory   550
    MKD                     530     530     501             501
    XMKD a                  530     530     MakeDirectory   550
    RMD a                   530     530     RemoveDirectory 550
    RMD                     530     530     501             501
    XRMD a                  530     530     RemoveDirectory 550
    PWD                     530     530     257             257
    PWD a                   530     530     501             501
    XPWD                    530     530     257             257
    MLST                    530     530     TellFacts       TellFacts
    MLST a                  530     530     TellFacts       TellFacts
    SIZE a                  530     530     TellSize        TellSize
    SIZE                    530     530     501             501
    MDTM a                  530     530     TellModified    TellModified
    MDTM                    530     530     501             501
    MFMT 20261125220000 a   530     530     SetModified     550
    MFMT                    530     530     501             501
    MFCT 20261125220000 a   502     502     502             502
    HASH a                  530     530     TellDigest      TellDigest
    HASH                    530     530     501             501
    XSHA256 a               530     530     TellDigest      TellDigest
    XSHA512 a               530     530     TellDigest      TellDigest
    XSHA1 a                 530     530     TellDigest      TellDigest
    XMD5 a                  530     530     TellDigest      TellDigest
    XCRC a                  530     530     TellDigest      TellDigest
    SITE HELP               530     530     214             214
    SITE                    530     530     501             501
    SITE CHMOD 644 a        530     530     SetMode         550
    SITE UTIME 202611252200 a       530     530     SetModified     550
    SITE EXEC ls            530     530     504             504
    SYST                    215     215     215             215
    SYST x                  501     501     501             501
    STAT                    530     530     TellStatus      TellStatus
    STAT a                  530     530     TellStatus      TellStatus
    HELP                    214     214     214             214
    HELP stor               214     214     214             214
    HELP SITE               214     214     214             214
    HELP me                 502     502     502             502
    NOOP                    200     200     200             200
    NOOP x                  501     501     501             501
    FEAT                    211     211     211             211
    FEAT x                  501     501     501             501
    CLNT NcFTP              200     200     200             200
    CLNT                    501     501     501             501
    WHAT                    500     500     500             500
    XYZZY plugh             500     500     500             500
"""
ROWS = [row.strip().rsplit(maxsplit=len(STATES)) for row in BY_STATE.strip().splitlines()]


@pytest.mark.parametrize(("line", "expected"), [(line, dict(zip(STATES, row, strict=True))) for line, *row in ROWS])
def test_every_verb_in_every_state(line: str, expected: dict[str, str]) -> None:
    assert {state: outcome_of(session_in(state), line) for state in STATES} == expected


def test_the_table_has_every_verb() -> None:
    assert {line.split()[0] for line, *_ in ROWS} - {"WHAT", "XYZZY"} == set(VERBS)


def test_every_verb_that_does_something_is_known_and_every_act_is_carried_out() -> None:
    assert len(TABLES) == 7
    assert set(TABLE) - set(VERBS) == set()
    assert set(ACTS) == set(acts.Act.__args__)


@pytest.mark.parametrize("line", [line for line, *_ in ROWS])
def test_verbs_may_be_typed_in_small_letters(line: str) -> None:
    verb, _, argument = line.partition(" ")
    assert outcome_of(session_in("user"), f"{verb.lower()} {argument}".strip()) == outcome_of(session_in("user"), line)


# ── permissions ──────────────────────────────────────────────────────────────────────────────────────────────────────

NEEDED = {
    "LIST": "list",
    "NLST": "list",
    "MLSD": "list",
    "MLST": "list",
    "SIZE a": "list",
    "MDTM a": "list",
    "STAT a": "list",
    "RETR a": "read",
    "HASH a": "read",
    "XCRC a": "read",
    "STOR a": "write",
    "STOU": "write",
    "MFMT 20261125220000 a": "write",
    "SITE UTIME 202611252200 a": "write",
    "APPE a": "append",
    "DELE a": "delete",
    "RNFR a": "rename",
    "MKD a": "mkdir",
    "RMD a": "mkdir",
    "SITE CHMOD 644 a": "chmod",
}


@pytest.mark.parametrize(("line", "permission"), NEEDED.items())
def test_each_permission_is_needed_for_its_verbs_and_for_no_others(line: str, permission: str) -> None:
    for account, may in (
        (Account("anna", permissions=PERMISSIONS - {permission}), False),
        (Account("anna", permissions=frozenset({permission})), True),  # type: ignore[arg-type]
    ):
        session = session_in("user")
        session.logged_in(account)
        assert (outcome_of(session, line) not in ("550", "553")) is may


def test_whoever_may_rename_loses_it_between_the_two_commands() -> None:
    session = session_in("user")
    session.rename_source = "/a"
    session.account = ANONYMOUS
    assert outcome_of(session, "RNTO b") == "553"


# ── other peers ──────────────────────────────────────────────────────────────────────────────────────────────────────

BY_PEER = {
    "PASV": ("Listen", "425", "425"),
    "EPSV": ("Listen", "Listen", "425"),
    "EPSV 1": ("Listen", "522", "425"),
    "EPSV 2": ("522", "Listen", "522"),
    "PORT 198,51,100,7,200,1": ("Call", "504", "504"),
    "EPRT |1|198.51.100.7|9000|": ("Call", "504", "504"),
    "EPRT |2|2001:db8::7|9000|": ("504", "Call", "504"),
    "EPRT |2|2001:0DB8:0::0007|9000|": ("504", "Call", "504"),
}


@pytest.mark.parametrize(("line", "expected"), BY_PEER.items())
def test_data_connections_are_of_the_peer_s_family(line: str, expected: tuple[str, str, str]) -> None:
    peers = (PEER, InternetAddress("2001:db8::7", 50_000), UnixAddress("ftp.sock"))
    heard = []
    for peer in peers:
        session = Session(Policy(), peer)
        session.logged_in(Account("anna"))
        heard.append(outcome_of(session, line))
    assert tuple(heard) == expected


@pytest.mark.parametrize("line", ["PORT 198,51,100,7,200,10", "EPRT |1|198.51.100.7|9000|"])
def test_active_mode_may_be_off(line: str) -> None:
    session = Session(Policy(active=False), PEER)
    session.logged_in(Account("anna"))
    assert outcome_of(session, line) == "502"
