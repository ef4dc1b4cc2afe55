"""What a session makes of arguments, right and wrong, and of paths, which never lead out of the root."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp import acts
from portside.protocols.ftp.commands import VERBS, Command
from portside.protocols.ftp.replies import Reply
from support.ftp_codes import may_answer
from support.ftp_sessions import outcome_of, session_in

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
