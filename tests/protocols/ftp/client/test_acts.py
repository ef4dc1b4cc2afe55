"""What is said for each act, and what its answers mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portside.errors import ConnectionClosed, MalformedMessage, UsageError
from portside.protocols.ftp.client import FtpClient, Leaving, NotSupported, Refused, RemoteEntry, Unavailable
from portside.protocols.ftp.digests import HashReply
from support.scripted_ftp import Answer, visit

NOON_NS = 1_700_000_000_000_000_000
OLD: dict[str, Answer] = {"FEAT": "500 What?"}  # a server that tells nothing of itself


@pytest.mark.parametrize(
    ("act", "answers", "result", "said"),
    [
        (lambda ftp: ftp.home(), {}, "/srv/anna", ["PWD"]),
        (lambda ftp: ftp.delete("a b"), {"DELE": "250 Gone."}, None, ["DELE a b"]),
        (
            lambda ftp: ftp.rename("a", "b c"),
            {"RNFR": "350 To what?", "RNTO": "250 Done."},
            None,
            ["RNFR a", "RNTO b c"],
        ),
        (lambda ftp: ftp.make_directory("d"), {"MKD": '257 "d" made.'}, None, ["MKD d"]),
        (lambda ftp: ftp.remove_directory("d"), {"RMD": "250 Gone."}, None, ["RMD d"]),
        (lambda ftp: ftp.size("x"), {"SIZE": "213 42"}, 42, ["TYPE I", "SIZE x"]),
        (lambda ftp: ftp.size("x"), {}, None, ["TYPE I", "SIZE x"]),
        (lambda ftp: ftp.modified("x"), {"MDTM": "213 20231114221320"}, NOON_NS, ["MDTM x"]),
        (lambda ftp: ftp.modified("x"), {"MDTM": "550 No."}, None, ["MDTM x"]),
        (lambda ftp: ftp.set_modified("x", NOON_NS), {"MFMT": "213 Modify=…"}, True, ["MFMT 20231114221320 x"]),
        (lambda ftp: ftp.set_modified("x", NOON_NS), {"MFMT": "500 What?"}, False, ["MFMT 20231114221320 x"]),
        (lambda ftp: ftp.set_modified("x", 0), {"FEAT": "211-\r\n211 ."}, False, []),
        (
            lambda ftp: ftp.stat("a/b"),
            {"MLST": "250-Here\r\n type=file;size=3; /srv/anna/a/b\r\n250 End"},
            RemoteEntry("b", "file", 3),
            ["MLST a/b"],
        ),
        (
            lambda ftp: ftp.stat("/"),
            {"MLST": "250-Here\r\ntype=dir; /\r\n250 End"},
            RemoteEntry("/", "directory"),
            ["MLST /"],
        ),
        (
            lambda ftp: ftp.stat("x"),
            {**OLD, "SIZE": "213 3", "MDTM": "213 20231114221320"},
            RemoteEntry("x", "file", 3, NOON_NS, is_exact=True),
            ["MLST x", "TYPE I", "SIZE x", "MDTM x"],
        ),
        (
            lambda ftp: ftp.stat("d"),
            OLD,
            RemoteEntry("d", "directory"),
            ["MLST d", "TYPE I", "SIZE d", "PWD", "CWD d"],
        ),
    ],
)
def test_an_act_is_said_in_the_words_of_the_rfcs(
    act: Callable[[FtpClient], Awaitable[Any]], answers: dict[str, Answer], result: object, said: list[str]
) -> None:
    async def once(ftp: FtpClient) -> object:
        return await act(ftp)

    assert visit(once, answers) == (result, said)


@pytest.mark.parametrize(
    ("act", "answers", "error"),
    [
        (lambda ftp: ftp.delete("x"), {"DELE": "550 No such file."}, Unavailable),
        (lambda ftp: ftp.rename("a", "b"), {"RNFR": "550 No."}, Unavailable),
        (lambda ftp: ftp.rename("a", "b"), {"RNFR": "350 To?", "RNTO": "553 No."}, Unavailable),
        (lambda ftp: ftp.make_directory("x"), {"MKD": "521 There."}, Refused),
        (lambda ftp: ftp.stat("x"), {"MLST": "550 No."}, Unavailable),
        (lambda ftp: ftp.stat("x"), {"MLST": "250 Yes."}, MalformedMessage),
        (lambda ftp: ftp.stat("x"), {**OLD, "CWD": "550 No."}, Unavailable),
        (lambda ftp: ftp.size("x"), {"SIZE": "213 many"}, MalformedMessage),
        (lambda ftp: ftp.modified("x"), {"MDTM": "213 noon"}, MalformedMessage),
        (lambda ftp: ftp.home(), {"PWD": "502 No."}, NotSupported),
        (lambda ftp: ftp.home(), {"PWD": "257 here"}, MalformedMessage),
        (lambda ftp: ftp.delete("x\r\nDELE y"), {}, UsageError),
        (lambda ftp: ftp.make_directory("x\0"), {}, UsageError),
    ],
)
def test_an_act_that_is_refused_is_an_error_and_the_session_goes_on(
    act: Callable[[FtpClient], Awaitable[Any]], answers: dict[str, Answer], error: type[Exception]
) -> None:
    async def once(ftp: FtpClient) -> None:
        with pytest.raises(error):
            await act(ftp)
        await ftp.delete("harmless")

    answers = {"DELE harmless": "250 Gone.", **answers}
    assert visit(once, answers)[1][-1] == "DELE harmless"


def test_a_refusal_keeps_the_reply() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Refused) as caught:
            await ftp.delete("x")
        assert caught.value.reply.code == 450
        assert caught.value.reply.lines == ("It is", " busy.", "Really.")
        assert caught.value.is_temporary
        assert str(caught.value) == "the server refuses DELE x: 450 Really."

    visit(act, {"DELE": "450-It is\r\n busy.\r\n450 Really."})


def test_a_server_that_says_goodbye_is_gone() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Leaving):
            await ftp.delete("x")

    visit(act, {"DELE": "421 Going down."})


def test_relative_paths_mean_the_same_whatever_was_asked_before() -> None:
    async def act(ftp: FtpClient) -> None:
        await ftp.stat("d")
        await ftp.delete("x")

    _, said = visit(act, {**OLD, "DELE": "250 Gone."})
    assert said[-3:] == ["CWD d", "CWD /srv/anna", "DELE x"]


def test_a_closed_session_is_closed() -> None:
    async def act(ftp: FtpClient) -> None:
        ftp.close()
        with pytest.raises(ConnectionClosed):
            await ftp.home()

    visit(act)


# ── checksums ────────────────────────────────────────────────────────────────────────────────────────────────────────

SHA = "a" * 64


def features(line: str) -> str:
    return f"211-\r\n {line}\r\n211 ."


@pytest.mark.parametrize(
    ("answers", "result", "said"),
    [
        (
            {"FEAT": features("HASH MD5*;SHA-256"), "OPTS": "200 SHA-256", "HASH": f"213 SHA-256 0-3 {SHA} x"},
            HashReply("SHA-256", SHA, 0, 3, "x"),
            ["TYPE I", "OPTS HASH SHA-256", "HASH x"],
        ),
        (
            {"FEAT": features("HASH MD5*"), "OPTS": "200 MD5", "HASH": f"213 MD5 0-3 {'b' * 32} x"},
            HashReply("MD5", "b" * 32, 0, 3, "x"),
            ["TYPE I", "OPTS HASH MD5", "HASH x"],
        ),
        (
            {"FEAT": features("XCRC\r\n XSHA256"), "XSHA256": f"250 {SHA.upper()}"},
            HashReply("SHA-256", SHA),
            ["XSHA256 x"],
        ),
        ({"FEAT": features("XCRC"), "XCRC": "250 DEADBEEF"}, HashReply("CRC32", "deadbeef"), ["XCRC x"]),
        ({"FEAT": features("HASH TIGER")}, None, []),
        ({}, None, []),
    ],
)
def test_the_best_checksum_that_the_server_has_is_asked_for(
    answers: dict[str, Answer], result: HashReply | None, said: list[str]
) -> None:
    async def act(ftp: FtpClient) -> HashReply | None:
        return await ftp.digest("x", size_bytes=3)

    assert visit(act, answers) == (result, said)
