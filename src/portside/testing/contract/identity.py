"""Who talks to whom, when and how; and the upgrade to TLS."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from portside.address import InternetAddress
from portside.errors import (
    ConnectionLost,
    EndOfStream,
    HandlerError,
    TlsFailed,
)
from portside.net.stream import Stream
from portside.net.tls_engine import TlsEngine
from portside.testing.contract.company import two_ends
from portside.testing.contract.ends import check_unusable
from portside.testing.contract.pairs import (
    PATIENCE_S,
    SERVER_NAME,
    Pairs,
    TlsContexts,
    nothing,
    read_all,
    says,
)


class IdentityContract:
    def test_both_ends_know_who_and_when(self, pairs: Pairs) -> None:
        seen: dict[str, Stream] = {}

        async def server(connection: Stream) -> None:
            seen["server"] = connection
            assert await connection.read_line() == b"there"
            client = seen["client"]
            assert connection.local == client.peer
            assert connection.peer == client.local
            assert connection.id != client.id
            assert connection.started_at.tzinfo is UTC
            assert abs((datetime.now(UTC) - connection.started_at).total_seconds()) < PATIENCE_S
            assert 0 <= connection.age_s < PATIENCE_S
            if isinstance(connection.local, InternetAddress):  # through a dual-stack listener, but shown as IPv4
                assert connection.local.host.count(".") == 3
                assert connection.peer.host.count(".") == 3  # type: ignore[union-attr]

        async def client(connection: Stream) -> None:
            seen["client"] = connection
            assert connection.local is not None
            assert connection.peer is not None
            await connection.write(b"there\n")
            await connection.read()

        pairs.run(server, client)

    def test_tls_is_known_only_where_there_is_some(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            if pairs.tls is None:
                assert connection.tls is None
            else:
                assert connection.tls is not None
                assert connection.tls.version == "TLSv1.3"
                assert connection.tls.cipher
            await connection.read()

        pairs.run(server, nothing)

    def test_an_end_that_the_peer_has_not_said_under_tls_is_known(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await read_all(connection) == b"half of it"
            assert connection.is_truncated is (pairs.tls is not None)

        async def client(connection: Stream) -> None:
            await connection.write(b"half of it")
            assert not connection.is_truncated
            pairs.cut(connection)
            assert await connection.read() == b""
            assert not connection.is_truncated

        pairs.run(server, client)


async def shake_hands_and_read(connection: Stream, context: ssl.SSLContext) -> bytes:
    await connection.start_tls(context)
    return await connection.read()


class UpgradeContract:
    """start_tls, on pairs that begin plain; ``tls_contexts`` is a fixture that gives TlsContexts."""

    def test_the_conversation_goes_on_under_tls(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"STARTTLS"
            await connection.write(b"220 go ahead\r\n")
            await connection.start_tls(tls_contexts[0])
            assert connection.tls is not None
            assert await connection.read_line() == b"secret"
            await connection.write(b"hush\n")
            with pytest.raises(HandlerError, match="already"):
                await connection.start_tls(tls_contexts[0])
            assert await connection.read() == b""

        async def client(connection: Stream) -> None:
            await connection.write(b"STARTTLS\r\n")
            assert await connection.read_line() == b"220 go ahead"
            await connection.start_tls(tls_contexts[1], server_side=False, server_name=SERVER_NAME)
            assert connection.tls is not None
            assert connection.tls.peer_certificate is not None
            await connection.write(b"secret\n")
            assert await connection.read_line() == b"hush"

        pairs.run(server, client)

    def test_plain_bytes_behind_the_upgrade_are_an_attack(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"STARTTLS"
            with pytest.raises(TlsFailed):
                await connection.start_tls(tls_contexts[0])

        pairs.run(server, says(b"STARTTLS\r\nDELETE everything\r\n"))

    def test_a_peer_that_does_not_speak_tls_is_told_and_let_go(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises(TlsFailed):
                await connection.start_tls(tls_contexts[0])
            await check_unusable(connection, ConnectionLost)

        async def client(connection: Stream) -> None:
            await connection.write(b"GET / HTTP/1.0\r\n\r\n")
            await read_all(connection)  # an alert, perhaps, and then the end; no reset

        pairs.run(server, client)

    def test_a_certificate_nobody_vouches_for_fails_both_ends(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            # Under TLS 1.3 the server is done before the client has judged its certificate.
            with pytest.raises((TlsFailed, ConnectionLost)):
                await shake_hands_and_read(connection, tls_contexts[0])

        async def client(connection: Stream) -> None:
            with pytest.raises(TlsFailed, match="certificate"):
                await connection.start_tls(ssl.create_default_context(), server_side=False, server_name=SERVER_NAME)

        pairs.run(server, client)

    def test_a_peer_that_leaves_in_the_handshake_fails_it(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises((TlsFailed, ConnectionLost)):
                await connection.start_tls(tls_contexts[0])

        pairs.run(server, nothing)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_a_session_is_resumed(self, pairs: Pairs, tls_contexts: TlsContexts, version: ssl.TLSVersion) -> None:
        earlier: list[Stream] = []

        async def server(connection: Stream) -> None:
            await connection.start_tls(tls_contexts[0])
            assert connection.tls is not None
            assert connection.tls.resumed is bool(earlier)
            await connection.write(b"hello\n")
            assert await connection.read_line() == b"seen"

        async def client(connection: Stream) -> None:
            resume = earlier[-1] if earlier else None
            await connection.start_tls(tls_contexts[1], server_side=False, server_name=SERVER_NAME, resume=resume)
            assert await connection.read_line() == b"hello"  # a ticket of TLS 1.3 comes with it
            assert connection.tls is not None
            assert connection.tls.version == version.name.replace("TLSv1_", "TLSv1.")
            assert connection.tls.resumed is bool(earlier)
            earlier.append(connection)
            await connection.write(b"seen\n")

        with only(tls_contexts[1], version):
            for _ in range(3):
                pairs.run(server, client)

    def test_only_a_client_resumes_and_only_under_the_same_context(
        self, pairs: Pairs, tls_contexts: TlsContexts
    ) -> None:
        async def server(connection: Stream) -> None:
            await connection.start_tls(tls_contexts[0])
            await connection.read()

        async def client(connection: Stream) -> None:
            await connection.start_tls(tls_contexts[1], server_side=False, server_name=SERVER_NAME)
            async with two_ends(connection) as (one, other):
                with pytest.raises(HandlerError, match="resumed"):
                    await one.start_tls(
                        ssl.create_default_context(), server_side=False, server_name=SERVER_NAME, resume=connection
                    )
                with pytest.raises(HandlerError, match="resumed"):
                    await other.start_tls(tls_contexts[0], resume=connection)

        pairs.run(server, client)

    def test_the_conversation_goes_back_to_plain_bytes(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            for _ in range(2):
                await connection.start_tls(tls_contexts[0])
                assert await connection.read_line() == b"CCC"
                await connection.write(b"200 plain from here on\r\n")
                await connection.stop_tls()
                assert connection.tls is None
                assert not connection.is_truncated
                with pytest.raises(HandlerError, match="not under TLS"):
                    await connection.stop_tls()
                assert await connection.read_line() == b"plain"
                await connection.write(b"indeed\r\n")

        async def client(connection: Stream) -> None:
            for _ in range(2):
                await connection.start_tls(tls_contexts[1], server_side=False, server_name=SERVER_NAME)
                await connection.write(b"CCC\r\n")
                assert await connection.read_line() == b"200 plain from here on"
                await connection.stop_tls()
                await connection.write(b"plain\r\n")
                assert await connection.read_line() == b"indeed"

        pairs.run(server, client)

    def test_plain_bytes_right_behind_the_end_of_tls_are_kept(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            await connection.start_tls(tls_contexts[0])
            assert await connection.read_line() == b"CCC"
            await connection.write(b"200 plain from here on\r\n")
            await connection.stop_tls()
            assert await connection.read_line() == b"sealed"
            assert await connection.read_line() == b"plain"
            assert await connection.read() == b""

        async def client(connection: Stream) -> None:
            tls = TlsEngine(tls_contexts[1], server_side=False, server_name=SERVER_NAME)
            while not tls.handshake():
                await connection.write(tls.pending_output())
                tls.receive(await connection.read())
            # All at once, and without waiting for the other end's close_notify.
            await connection.write(tls.send(b"CCC\r\nsealed\r\n"), tls.close(), b"plain\r\n")
            await connection.write_eof()
            await read_all(connection)

        pairs.run(server, client)

    def test_a_peer_that_leaves_instead_of_ending_tls_fails_it(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            await connection.start_tls(tls_contexts[0])
            assert await connection.read_line() == b"CCC"
            with pytest.raises(EndOfStream):
                await connection.stop_tls()
            await check_unusable(connection, ConnectionLost)

        async def client(connection: Stream) -> None:
            await connection.start_tls(tls_contexts[1], server_side=False, server_name=SERVER_NAME)
            await connection.write(b"CCC\r\n")
            pairs.cut(connection)
            await read_all(connection)

        pairs.run(server, client)


@contextlib.contextmanager
def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> Iterator[None]:
    """Have the context speak nothing but that version."""
    before = context.maximum_version
    context.maximum_version = version
    try:
        yield
    finally:
        context.maximum_version = before
