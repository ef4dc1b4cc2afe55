"""From a connection to a session: greetings, logins, TLS, features."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import pytest

from portside.address import Endpoint
from portside.errors import (
    ConnectFailed,
    ConnectionLost,
    MalformedMessage,
    NameNotFound,
    TlsFailed,
    UsageError,
)
from portside.protocols.ftp.client import (
    FtpClient,
    Leaving,
    LoginRefused,
    NotSupported,
    Refused,
    UnexpectedReply,
)
from portside.testing.memory import MemoryConnection, MemoryNetwork
from support.certificates import Certificates
from support.scripted_ftp import HOST, SOON_S, URL, Answer, ScriptedServer, Visit, meet


def log_in(
    answers: Mapping[str, Answer] | None = None,
    url: str = URL,
    *,
    server_tls: ssl.SSLContext | None = None,
    **options: Any,
) -> list[str]:
    """Log in and out, and return what was said."""

    async def act(network: MemoryNetwork, server: ScriptedServer) -> list[str]:
        async with await FtpClient.connect(network, url, **options):
            pass
        return server.said

    return meet(act, answers, tls=server_tls)[0]


def test_a_login_says_who_we_are_and_asks_what_there_is() -> None:
    assert log_in() == ["USER anna", "PASS secret", "FEAT", "QUIT"]


def test_without_a_user_we_are_nobody_in_particular() -> None:
    assert log_in(url=f"ftp://{HOST}/")[:2] == ["USER anonymous", "PASS portside@"]


def test_what_is_given_goes_before_the_url() -> None:
    assert log_in(user="bob", password="other")[:2] == ["USER bob", "PASS other"]


@pytest.mark.parametrize(
    ("answers", "options", "said"),
    [
        ({"USER": "230 Come in."}, {}, ["USER anna", "FEAT", "QUIT"]),
        ({"PASS": "202 No need."}, {}, ["USER anna", "PASS secret", "FEAT", "QUIT"]),
        (
            {"PASS": "332 And the account?", "ACCT": "230 Good."},
            {"account": "42"},
            ["USER anna", "PASS secret", "ACCT 42", "FEAT", "QUIT"],
        ),
        ({"": "120 Wait.\r\n220 Now."}, {}, ["USER anna", "PASS secret", "FEAT", "QUIT"]),
        ({"": "220-Welcome to\r\n  220 times\r\nnothing\r\n220 go"}, {}, ["USER anna", "PASS secret", "FEAT", "QUIT"]),
        ({"FEAT": "500 What?"}, {}, ["USER anna", "PASS secret", "FEAT", "QUIT"]),
        (
            {"FEAT": "211-\r\n UTF8\r\n MLST type;size*;modify*;perm*;\r\n211 .", "OPTS": "501 No."},
            {},
            ["USER anna", "PASS secret", "FEAT", "OPTS UTF8 ON", "OPTS MLST type;size;modify;", "QUIT"],
        ),
    ],
)
def test_each_way_to_be_let_in(answers: dict[str, Answer], options: dict[str, Any], said: list[str]) -> None:
    assert log_in(answers, **options) == said


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ({"": "421 Too many."}, Leaving, "the server refuses the connection: 421 Too many."),
        ({"": "230 What?"}, UnexpectedReply, "230 What?"),
        ({"": "SSH-2.0-OpenSSH"}, MalformedMessage, "a reply begins with a code"),
        ({"USER": "530 Go away."}, LoginRefused, "the server refuses the login of anna: 530 Go away."),
        ({"PASS": "530 Wrong."}, LoginRefused, "the server refuses the login of anna: 530 Wrong."),
        ({"PASS": "332 Account?"}, LoginRefused, "the login of anna without an account"),
        ({"PASS": "350 Huh?"}, UnexpectedReply, "350 Huh?"),
        ({"PASS": "421 Closing."}, Leaving, "421 Closing."),
    ],
)
def test_each_way_to_be_sent_away(answers: dict[str, Answer], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        log_in(answers)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_user_without_a_password_is_sent_away_by_us() -> None:
    with pytest.raises(LoginRefused, match="the login of anna without a password"):
        log_in(url=f"ftp://anna@{HOST}/")


def test_nobody_there_is_said_as_the_network_says_it() -> None:
    with pytest.raises(ConnectFailed):
        log_in(url="ftp://192.0.2.2/")
    with pytest.raises(NameNotFound):
        log_in(url="ftp://nowhere.example/")


async def _silence(visit: Visit, argument: str) -> None:
    """Say nothing."""


async def _goodbye(visit: Visit, argument: str) -> None:
    await visit.control.close()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with pytest.raises(TimeoutError, match="no answer to the connection within 5 s"):
        log_in({"": _silence}, timeout_s=SOON_S)
    with pytest.raises(TimeoutError, match="no answer to PASS within 5 s"):
        log_in({"PASS": _silence}, timeout_s=SOON_S)


def test_a_server_that_leaves_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost, match="the server closed the control connection"):
        log_in({"USER": _goodbye})


def test_a_goodbye_needs_no_answer() -> None:
    assert log_in({"QUIT": _goodbye})[-1] == "QUIT"
    assert log_in({"QUIT": "500 Stay!"})[-1] == "QUIT"


def test_a_user_cannot_smuggle_a_command() -> None:
    with pytest.raises(UsageError, match="cannot be said to an FTP server"):
        log_in(user="anna\r\nDELE x")


def test_a_control_connection_that_is_silent_for_long_stays_alive() -> None:
    endpoints: list[Endpoint] = []

    class Seen(MemoryNetwork):
        async def connect(self, endpoint: Endpoint | str, **options: Any) -> MemoryConnection:
            assert isinstance(endpoint, Endpoint)
            endpoints.append(endpoint)
            raise ConnectFailed(str(endpoint), ())

    async def act(network: MemoryNetwork, server: ScriptedServer) -> None:
        with pytest.raises(ConnectFailed):
            await FtpClient.connect(Seen(), URL)

    meet(act)
    (endpoint,) = endpoints
    assert endpoint.options.keepalive_s == 60  # routers forget what says nothing during a transfer


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _auth(visit: Visit, argument: str) -> None:
    await visit.say("234 Go on.")
    assert visit.server.tls is not None
    await visit.control.start_tls(visit.server.tls)


async def _auth_with_more_behind(visit: Visit, argument: str) -> None:
    await visit.say("234 Go on.\r\n230 And you are in already.")


@pytest.fixture
def server_tls(certificates: Certificates) -> ssl.SSLContext:
    return certificates.server_context(certificates.issue(HOST))


def test_explicit_tls_begins_before_the_login_and_covers_the_data(
    certificates: Certificates, server_tls: ssl.SSLContext
) -> None:
    said = log_in({"AUTH": _auth}, tls=certificates.client_context(), server_tls=server_tls)
    assert said == ["AUTH TLS", "USER anna", "PASS secret", "PBSZ 0", "PROT P", "FEAT", "QUIT"]
    assert log_in(
        {"AUTH": _auth}, URL.replace("ftp:", "ftpes:"), tls=certificates.client_context(), server_tls=server_tls
    )


def test_a_server_without_tls_never_hears_the_password() -> None:
    heard: list[str] = []

    async def refuse(visit: Visit, argument: str) -> None:
        heard.extend(visit.server.said)
        await visit.say("502 No TLS.")

    with pytest.raises(NotSupported, match="the server refuses AUTH TLS"):
        log_in({"AUTH": refuse}, tls=True)
    assert heard == ["AUTH TLS"]


def test_a_certificate_nobody_vouches_for_is_refused(server_tls: ssl.SSLContext) -> None:
    with pytest.raises(TlsFailed, match="cannot be verified"):
        log_in({"AUTH": _auth}, tls=True, server_tls=server_tls)


def test_plain_words_behind_the_upgrade_are_an_attack(certificates: Certificates) -> None:
    with pytest.raises(TlsFailed, match="plain bytes stood behind"):
        log_in({"AUTH": _auth_with_more_behind}, tls=certificates.client_context())


async def _auth_and_nothing(visit: Visit, argument: str) -> None:
    await visit.say("234 Go on.")
    await asyncio.Event().wait()


def test_a_handshake_that_does_not_come_is_given_up(certificates: Certificates) -> None:
    with pytest.raises(TimeoutError, match="no TLS handshake within 5 s"):
        log_in({"AUTH": _auth_and_nothing}, tls=certificates.client_context(), timeout_s=SOON_S)


def test_data_is_never_sent_in_plain_where_tls_was_asked_for(
    certificates: Certificates, server_tls: ssl.SSLContext
) -> None:
    with pytest.raises(Refused, match="the server refuses PROT P: 536"):
        log_in({"AUTH": _auth, "PROT": "536 Only C."}, tls=certificates.client_context(), server_tls=server_tls)


def test_tls_cannot_be_both_asked_for_and_forbidden() -> None:
    with pytest.raises(UsageError, match="asks for TLS"):
        log_in(url=f"ftps://{HOST}/", tls=False)
