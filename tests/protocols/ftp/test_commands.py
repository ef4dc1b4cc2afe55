"""Commands as clients send them, and the table of all that there are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.commands import VERBS, Command, MalformedCommand, build_command, parse_command


def words(text: str) -> list[str]:
    return text.split()


# RFC 5797's registry, without LPRT and LPSV (historic) and the pseudo-commands, then what this server has beyond it.
REGISTERED = words("""
    ABOR ACCT ADAT ALLO APPE AUTH CCC CDUP CONF CWD DELE ENC EPRT EPSV FEAT HELP HOST LANG LIST MDTM MIC MKD MLSD MLST
    MODE NLST NOOP OPTS PASS PASV PBSZ PORT PROT PWD QUIT REIN REST RETR RMD RNFR RNTO SITE SIZE SMNT STAT STOR STOU
    STRU SYST TYPE USER XCUP XCWD XMKD XPWD XRMD
""")
BEYOND = ["CLNT", "ESTA", "ESTP", "HASH", "MFCT", "MFMT", "XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512"]

names = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=60)
raw_names = st.binary(max_size=60).map(lambda name: re.sub(rb"[\r\n\0]", b"", name).decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"QUIT", Command("QUIT")),
        (b"quit", Command("QUIT")),
        (b"QUIT ", Command("QUIT", "")),
        (b"USER anna", Command("USER", "anna")),
        (b"uSeR Anna", Command("USER", "Anna")),
        (b"RETR  a  b ", Command("RETR", " a  b ")),  # one space separates, the others are the name's
        (b"RETR \ta", Command("RETR", "\ta")),
        (b"PASS ", Command("PASS", "")),
        (b"XSHA256 a", Command("XSHA256", "a")),
        ("RETR Grüße".encode(), Command("RETR", "Grüße")),
        (b"RETR Gr\xfc\xdfe", Command("RETR", "Gr\udcfc\udcdfe")),  # Latin-1: the bytes come back as they were
        (b"RETR \xff\xff", Command("RETR", "\udcff")),
        (b"RETR a\r\0b", Command("RETR", "a\rb")),  # RFC 2640 section 3.1
        (b"\xff\xf4\xff\xf2ABOR", Command("ABOR")),
        (b"\xff\xf4\xf2ABOR", Command("ABOR")),  # the IAC before DM was the urgent byte, and is lost to the stream
        (b"\xf2ABOR", Command("ABOR")),
        (b"\xff\xfb\x1fNOOP", Command("NOOP")),
        (b"FOOBARBAZQUX", Command("FOOBARBAZQUX")),  # whether there is such a command is another question
    ],
)
def test_a_command_is_a_verb_and_its_argument(line: bytes, command: Command) -> None:
    assert parse_command(line) == command


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b" NOOP", b"NO", b"\tNOOP", b"NOOP\t", b"NOOP\r", b"N\0OP", b"1234", b"ABCDEFGHIJKLM"],
)
def test_a_line_without_a_verb_is_500(line: bytes) -> None:
    with pytest.raises(MalformedCommand) as caught:
        parse_command(line)
    assert caught.value.code == 500


@pytest.mark.parametrize("line", [b"RETR a\0b", b"RETR \0", b"RETR a\nb", b"DELE a\nDELE b", b"RETR a\r\0\0"])
def test_a_nul_or_lf_in_an_argument_is_501(line: bytes) -> None:
    with pytest.raises(MalformedCommand) as caught:
        parse_command(line)
    assert caught.value.code == 501


@pytest.mark.parametrize("length", [100, 60_000])
def test_a_verb_without_end_is_refused_whatever_its_length(length: int) -> None:
    with pytest.raises(MalformedCommand):
        parse_command(b"A" * length)


@given(st.sampled_from(sorted(VERBS)), names | raw_names)
def test_what_was_built_is_parsed(verb: str, argument: str) -> None:
    line = build_command(Command(verb, argument))
    assert line.endswith(b"\r\n")
    assert parse_command(line.removesuffix(b"\r\n")) == Command(verb, argument)


@pytest.mark.parametrize(
    "command",
    [
        Command("RETR", "a\r\nDELE b"),
        Command("RETR", "a\n"),
        Command("RETR", "\r"),
        Command("RETR", "a\0"),
        Command("RETR a", ""),
        Command("", "a"),
        Command("\N{FULLWIDTH LATIN CAPITAL LETTER A}BOR"),
    ],
)
def test_what_would_be_another_command_is_not_built(command: Command) -> None:
    with pytest.raises(ValueError, match=r"no command's word|has a CR, LF or NUL"):
        build_command(command)


def test_a_byte_255_of_a_name_travels_twice() -> None:
    assert build_command(Command("RETR", "\udcff")) == b"RETR \xff\xff\r\n"


@given(st.binary(max_size=80))
def test_any_line_is_a_command_or_refused(line: bytes) -> None:
    try:
        command = parse_command(line)
    except MalformedCommand as refusal:
        code = refusal.code
    else:
        code = 200
        assert command.verb.isascii()
        assert command.verb.isupper()
        assert not {"\n", "\0"} & set(command.argument)
    assert code in (200, 500, 501)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_has_every_command_of_the_registry() -> None:
    assert sorted(VERBS) == sorted([*REGISTERED, *BEYOND])


def test_each_verb_says_how_it_is_written_and_what_it_does() -> None:
    for name, verb in VERBS.items():
        assert verb.name == name
        assert verb.syntax.split(" ")[0] == name
        assert (" " in verb.syntax) == (verb.needs_argument is not False)
        assert verb.syntax[len(name) + 1 :].startswith("[") == (verb.needs_argument is None)
        assert verb.sentence.endswith(".")
        assert len(verb.sentence) < 80


def test_what_is_answered_before_a_login_lets_nobody_touch_a_file() -> None:
    before = {name for name, verb in VERBS.items() if not verb.needs_login}
    assert before == set(
        words("USER PASS ACCT HOST REIN QUIT LANG AUTH ADAT PBSZ PROT MIC CONF ENC OPTS SYST HELP NOOP FEAT CLNT")
    )


def test_a_transfer_goes_on_beside_what_rfc_959_says() -> None:
    assert {name for name, verb in VERBS.items() if verb.during_transfer} == {"ABOR", "STAT", "QUIT"}
