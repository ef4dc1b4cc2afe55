"""What a peer or a crowd of them could do to an event loop: floods after the end, many ends, writes cut short."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portside.errors import ConnectionClosed
from portside.net.event_network import EventNetwork
from portside.net.files import Splice
from portside.net.sockets import socketpair
from portside.net.turns import Turns
from support.certificates import Certificates


def test_a_flood_into_a_closed_connection_leaves_the_others_their_turns(run_on_lane: Any) -> None:
    async def main(network: EventNetwork) -> None:
        ours, theirs = socketpair()
        visitor = network.adopt(ours)
        pieces = 0

        def flood(limit: int) -> bytes:
            nonlocal pieces
            pieces += 1
            return bytes(limit) if pieces < 100 else b""

        visitor._receive = flood
        await visitor.close()
        assert pieces < 20
        while ours.fileno() >= 0:
            visitor._note(1)  # an edge for each arrival must not begin one more round
            before = pieces
            await asyncio.sleep(0)
            assert pieces - before < 20
        assert pieces == 100
        theirs.close()

    run_on_lane(main)


class Timers:
    """A loop that only remembers what shall be called later, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.later: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, act: Callable[[], None]) -> None:
        self.later.append((self.now_s + delay_s, act))

    def move_to(self, now_s: float) -> None:
        self.now_s = now_s
        due, self.later = [one for one in self.later if one[0] <= now_s], [one for one in self.later if one[0] > now_s]
        for _, act in due:
            act()


class Lingerer:
    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.closed = False

    def _close_socket(self) -> None:
        self.closed = True
        self._turns.let_go(self)  # type: ignore[arg-type]


def test_connections_that_linger_one_after_the_other_share_one_timer() -> None:
    timers: Any = Timers()
    turns = Turns(timers)
    for _ in range(50):
        gone: Any = Lingerer(turns)
        turns.linger(gone, 2.0)
        turns.let_go(gone)
        timers.now_s += 0.01
    last: Any = Lingerer(turns)
    turns.linger(last, 2.0)
    assert len(timers.later) == 1
    timers.move_to(2.0)
    assert not last.closed
    assert len(timers.later) == 1
    timers.move_to(2.5)
    assert last.closed
    assert not timers.later
    turns.linger(last, 2.0)
    assert len(timers.later) == 1


def test_a_write_under_tls_that_is_cancelled_while_it_queues_breaks_no_later_one(
    run: Any, certificates: Certificates
) -> None:
    server = certificates.server_context(certificates.issue("localhost"))
    client: ssl.SSLContext = certificates.client_context()

    async def main(network: Any) -> None:
        from support.event_peer import adopted

        ours, theirs = socketpair()
        served, peer = await adopted(network, ours), await adopted(network, theirs)
        await asyncio.gather(
            served.start_tls(server), peer.start_tls(client, server_side=False, server_name="localhost")
        )
        for data in (bytes(4 << 20), b"never sent"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await served.write(data)

        async def read_all() -> bytes:
            got = b""
            while not got.endswith(b"the last"):
                got += await peer.read()
            return got

        reading = asyncio.create_task(read_all())
        await served.write(b"the last")
        assert (await reading).strip(b"\0") in (b"the last", b"never sentthe last")

    run(main)


def test_a_file_takes_nothing_from_a_descriptor_that_is_another_connections_by_now(
    run_on_lane: Any, tmp_path: Path
) -> None:
    async def main(network: EventNetwork) -> None:
        ours, theirs = socketpair()
        visitor = network.adopt(ours)
        with (tmp_path / "upload").open("wb") as file, Splice(ours.fileno(), file.fileno()) as splice:
            descriptor = ours.fileno()
            visitor.abort()
            another, its_peer = socketpair()
            os.dup2(another.fileno(), descriptor)
            its_peer.send(b"a stranger's secret")
            try:
                with pytest.raises(ConnectionClosed):
                    visitor._splice_now(splice, None)
            finally:
                if descriptor != another.fileno():
                    os.close(descriptor)
                another.close()
                its_peer.close()
                theirs.close()
        assert (tmp_path / "upload").read_bytes() == b""

    run_on_lane(main)
