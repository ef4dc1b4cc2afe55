"""What a session answers to every verb in every state, without any I/O: the tables of RFC 959, read as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.accounts.account import ANONYMOUS, PERMISSIONS, Account
from portside.address import InternetAddress, UnixAddress
from portside.protocols.ftp import acts
from portside.protocols.ftp.battery import TABLES
from portside.protocols.ftp.commands import VERBS, Command, parse_command
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import TABLE, Policy, Session
from portside.protocols.ftp.visit import ACTS
from support.ftp_codes import may_answer

PEER = InternetAddress("198.51.100.7", 50_000)
TYPED_PORT, TYPED_ADDRESS = "198,51,100,7,200,10", "198.51.100.7"


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


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────

ARGUMENTS = """
    TYPE a                  200
    TYPE A N                200
    TYPE a n                200
    TYPE L 8                200
    TYPE i                  200
    TYPE E                  504
    TYPE E N                504
    TYPE A T                504
    TYPE A C                504
    TYPE L                  504
    TYPE L 36               504
    TYPE X                  501
    TYPE I N                501
    TYPE AN                 501
    STRU f                  200
    STRU R                  504
    STRU P                  504
    STRU X                  501
    MODE s                  200
    MODE Z                  200
    MODE B                  504
    MODE C                  504
    MODE X                  501
    OPTS UTF8               200
    OPTS utf8 on            200
    OPTS UTF-8 NLST         200
    OPTS UTF8 OFF           501
    OPTS MLST type;size;    200
    OPTS MLST               200
    OPTS HASH               200
    OPTS HASH sha-1         200
    OPTS HASH SHA-3         501
    OPTS MODE Z LEVEL 9     200
    OPTS MODE Z LEVEL 0     501
    OPTS MODE Z LEVEL 10    501
    OPTS MODE S             501
    OPTS LIST               501
    REST 9223372036854775807        350
    REST 9223372036854775808        501
    REST 99999999999999999999       501
    REST -1                 501
    REST x                  501
    REST 1.5                501
    ALLO 100 R 10           Allocate
    ALLO x                  501
    ALLO 100 x              501
    ALLO 100 R              501
    PORT 198,51,100,7,4,0   Call
    PORT 198,51,100,7,3,255 504
    PORT 198,51,100,7,0,0   501
    PORT 203,0,113,9,200,1  504
    PORT 127,0,0,1,200,1    504
    PORT 0,0,0,0,200,1      504
    PORT 198,51,100,7,200   501
    PORT 198,51,100,256,200,1       501
    EPRT |1|198.51.100.7|1024|      Call
    EPRT |1|198.51.100.7|1023|      504
    EPRT |1|203.0.113.9|9000|       504
    EPRT |2|::ffff:198.51.100.7|9000|       Call
    EPRT |2|2001:db8::1|9000|       504
    EPRT |3|198.51.100.7|9000|      522
    EPRT |1|ftp.example|9000|       501
    EPRT 198.51.100.7               501
    EPSV all                200
    MFMT 20261125220000     501
    MFMT 20261325220000 a   501
    MFMT now a              501
    SITE chmod 0644 a       SetMode
    SITE CHMOD 644          501
    SITE CHMOD 888 a        501
    SITE CHMOD u+x a        501
    SITE CHMOD 4755 a       550
    SITE UTIME 20261125220000 a     SetModified
    SITE UTIME a b 20261125220000 20261125220000 20261125220000 UTC     SetModified
    SITE UTIME 20261125 a   501
    SITE UTIME 202611252200 501
    SITE UMASK 022          504
    HELP XYZZY              502
"""


@pytest.mark.parametrize(
    ("line", "expected"), [row.strip().rsplit(maxsplit=1) for row in ARGUMENTS.strip().splitlines()]
)
def test_arguments_right_and_wrong(line: str, expected: str) -> None:
    assert outcome_of(session_in("user"), line) == expected


@pytest.mark.parametrize("verb", sorted(verb for verb, what in VERBS.items() if what.needs_argument is None))
def test_a_path_of_blanks_is_a_path(verb: str) -> None:
    assert session_in("user").receive(Command(verb, "  ")) is not None


@pytest.mark.parametrize("verb", ["CWD", "RETR", "STOR", "APPE", "DELE", "MKD", "RMD", "SIZE", "MLST", "HASH", "RNFR"])
@pytest.mark.parametrize("name", ["a\rb", "n" * 256, "d/" * 3_000])
def test_a_path_that_cannot_be_meant_is_refused(verb: str, name: str) -> None:
    outcome = session_in("user").receive(Command(verb, name))
    assert isinstance(outcome, Reply)
    assert outcome.code in (550, 553)
    assert may_answer(outcome.code, verb)


# ── where the client is ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("directory", "typed", "path"),
    [
        ("/", "a", "/a"),
        ("/a", "b", "/a/b"),
        ("/a", "/b", "/b"),
        ("/a/b", "..", "/a"),
        ("/a/b", "../../../..", "/"),
        ("/a", "../../etc/passwd", "/etc/passwd"),
        ("/a", "./b//c/", "/a/b/c"),
        ("/a", " b ", "/a/ b "),
        ("/a", "~", "/a/~"),
    ],
)
def test_paths_are_from_the_root_and_stay_beneath_it(directory: str, typed: str, path: str) -> None:
    session = session_in("user")
    session.directory = directory
    assert session.receive(Command("RETR", typed)) == acts.Retrieve(path, 0)
    assert session.receive(Command("CWD", typed)) == acts.ChangeDirectory(path)


@given(st.text(), st.text())
def test_nothing_that_is_typed_leads_out_of_the_root(directory: str, typed: str) -> None:
    session = session_in("user")
    session.directory = "/" + "/".join(part for part in directory.split("/") if part not in ("", ".", ".."))
    outcome = session.receive(Command("DELE", typed))
    if isinstance(outcome, acts.Delete):
        assert outcome.path.startswith("/")
        assert not {"..", "."} & set(outcome.path.split("/"))


@pytest.mark.parametrize("directory", ["/", "/a", '/say "hi"', "/ü"])
def test_the_directory_is_told_in_quotation_marks(directory: str) -> None:
    session = session_in("user")
    session.directory = directory
    reply = session.receive(Command("PWD"))
    assert isinstance(reply, Reply)
    told = reply.text.removeprefix('"').partition('" ')[0].replace('""', '"')
    assert told == directory


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


@pytest.mark.parametrize("line", [f"PORT {TYPED_PORT}", f"EPRT |1|{TYPED_ADDRESS}|9000|"])
def test_active_mode_may_be_off(line: str) -> None:
    session = Session(Policy(active=False), PEER)
    session.logged_in(Account("anna"))
    assert outcome_of(session, line) == "502"
