"""Connecting: what is tried for an endpoint, and both drivers against real sockets of this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
import uvloop

from portside.address import Address, Endpoint, InternetAddress, UnixAddress, parse_endpoint
from portside.errors import ConnectFailed, NameNotFound, OutOfDescriptors, UsageError
from portside.net import dial, dial_event, resolve, sockets
from portside.net.dial import Race, connect_blocking, targets_of
from portside.net.dial_event import connect_event

# ── what to try ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "targets"),
    [
        ("tcp://192.0.2.1:80", [InternetAddress("192.0.2.1", 80)]),
        ("tls://[2001:db8::1]:443", [InternetAddress("2001:db8::1", 443)]),
        (":9000", [InternetAddress("::1", 9_000), InternetAddress("127.0.0.1", 9_000)]),
        ("tcp://0.0.0.0:9000", [InternetAddress("127.0.0.1", 9_000)]),
        ("unix:@inner", [UnixAddress("@inner")]),
    ],
)
def test_targets_that_take_no_look_up(url: str, targets: list[Address], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "addresses_of", None)
    assert targets_of(parse_endpoint(url)) == targets


@pytest.mark.parametrize("url", ["udp://192.0.2.1:53", "fd://3", "systemd://x"])
def test_no_stream_to_connect_to(url: str) -> None:
    with pytest.raises(UsageError, match="no stream to connect to"):
        connect_blocking(parse_endpoint(url), 1.0)


# ── both drivers, real sockets ───────────────────────────────────────────────────────────────────────────────────────

Connect: TypeAlias = Callable[..., sockets.Socket]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Connect:
    def connect(*arguments: object, **options: object) -> sockets.Socket:
        async def work() -> sockets.Socket:
            return await connect_event(asyncio.get_running_loop(), *arguments, **options)  # type: ignore[arg-type]

        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(work())

    return connect


@pytest.fixture(params=["blocking", *LOOPS])
def connect(request: pytest.FixtureRequest) -> Connect:
    return connect_blocking if request.param == "blocking" else on_loop(LOOPS[request.param])


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(cleanup: ExitStack, url: str = "tcp://127.0.0.1:0") -> sockets.Bound:
    bound = sockets.bind(parse_endpoint(url))[0]
    cleanup.enter_context(bound.socket)
    cleanup.callback(sockets.remove_path, bound)
    return bound


def refusing(cleanup: ExitStack) -> InternetAddress:
    """Return an address that refuses: its port is held by a socket that does not listen."""
    sock = cleanup.enter_context(sockets.open_stream(InternetAddress("127.0.0.1", 0)))
    sock.bind(("127.0.0.1", 0))
    address = sockets.local_address(sock)
    assert isinstance(address, InternetAddress)
    return address


def black_hole(cleanup: ExitStack) -> InternetAddress:
    """Return an address that never answers: the listener's queue is full, so the kernel drops what comes."""
    listener = cleanup.enter_context(sockets.open_stream(InternetAddress("127.0.0.1", 0)))
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = sockets.local_address(listener)
    assert isinstance(address, InternetAddress)
    for _ in range(4):
        sock = cleanup.enter_context(sockets.open_stream(address))
        sockets.connect_nowait(sock, address)
    return address


def open_descriptors() -> set[str]:
    return {os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)}


def the_endpoint(address: Address) -> Endpoint:
    assert isinstance(address, InternetAddress)
    return Endpoint("tcp", host=address.host, port=address.port)


def test_connects(connect: Connect, cleanup: ExitStack) -> None:
    bound = listen(cleanup)
    sock = cleanup.enter_context(connect(the_endpoint(bound.address), 5.0))
    assert sockets.peer_address(sock) == bound.address
    assert not sock.getblocking()
    accepted = sockets.accept_nowait(bound.socket)
    assert accepted is not None
    accepted[0].close()


@pytest.mark.parametrize("name", ["path", "abstract"])
def test_connects_to_unix_sockets(connect: Connect, cleanup: ExitStack, tmp_path: Path, name: str) -> None:
    url = f"unix:{tmp_path}/x.sock" if name == "path" else f"unix:@portside-test-{os.getpid()}-{id(cleanup)}"
    bound = listen(cleanup, url)
    sock = cleanup.enter_context(connect(parse_endpoint(url), 5.0))
    assert sockets.peer_address(sock) == bound.address


def test_a_refused_first_address_is_passed_by(connect: Connect, cleanup: ExitStack) -> None:
    bad, good = refusing(cleanup), listen(cleanup).address
    sock = cleanup.enter_context(connect(the_endpoint(good), 5.0, addresses=[bad, good], delay_s=1_000.0))
    assert sockets.peer_address(sock) == good


def test_a_silent_first_address_is_overtaken(connect: Connect, cleanup: ExitStack) -> None:
    silent, good = black_hole(cleanup), listen(cleanup).address
    before = open_descriptors()
    sock = cleanup.enter_context(connect(the_endpoint(good), 5.0, addresses=[silent, good], delay_s=0.001))
    assert sockets.peer_address(sock) == good
    assert len(open_descriptors() - before) == 1  # the loser is closed


def test_every_attempt_is_told(connect: Connect, cleanup: ExitStack) -> None:
    one, two = refusing(cleanup), refusing(cleanup)
    with pytest.raises(ConnectFailed) as caught:
        connect(Endpoint("tcp", host="example.org", port=80), 5.0, addresses=[one, two])
    assert caught.value.attempts == ((str(one), "connection refused"), (str(two), "connection refused"))
    assert str(caught.value) == (
        f"cannot connect to tcp://example.org:80: {one}: connection refused; {two}: connection refused"
    )


def test_no_such_unix_socket(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=r"cannot connect to unix:.*/x.sock: there is no such socket"):
        connect(Endpoint("unix", path=f"{tmp_path}/x.sock"), 5.0)


def test_the_time_is_bounded_in_all(connect: Connect, cleanup: ExitStack) -> None:
    silent = black_hole(cleanup)
    before = open_descriptors()
    with pytest.raises(TimeoutError, match=rf"cannot connect to .* within 0.01 s: {silent}: no answer"):
        connect(the_endpoint(silent), 0.01)
    assert open_descriptors() - before == set()


def test_a_full_unix_listener_is_asked_again(connect: Connect, cleanup: ExitStack, tmp_path: Path) -> None:
    bound = listen(cleanup, f"unix:{tmp_path}/x.sock?backlog=0")
    assert sockets.connect_nowait(cleanup.enter_context(sockets.open_stream(bound.address)), bound.address)
    with pytest.raises(TimeoutError, match=r"within 0\.03 s$"):
        connect(bound.endpoint, 0.03)


def test_a_socket_connected_to_itself_is_no_connection(
    connect: Connect, cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_bound(address: Address) -> sockets.Socket:
        sock = sockets.open_stream(address)
        sock.setsockopt(1, 2, 1)  # SOL_SOCKET, SO_REUSEADDR
        sock.bind(sockets.sockaddr_of(address))
        return sock

    free = refusing(cleanup)
    cleanup.close()
    monkeypatch.setattr(dial, "open_stream", open_bound)
    with pytest.raises(ConnectFailed, match="connection refused"):
        connect(the_endpoint(free), 5.0)


def test_no_descriptor_left_is_said_so(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: Address) -> sockets.Socket:
        raise OutOfDescriptors("this process has no file descriptor left")

    monkeypatch.setattr(dial, "open_stream", refuse)
    with pytest.raises(OutOfDescriptors):
        connect(Endpoint("tcp", host="127.0.0.1", port=1), 5.0)


@pytest.mark.parametrize("timeout_s", [5.0, None])
def test_names_are_looked_up(
    connect: Connect, cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch, timeout_s: float | None
) -> None:
    good = listen(cleanup).address
    asked: list[tuple[str, int]] = []

    def addresses_of(host: str, port: int) -> list[Address]:
        asked.append((host, port))
        return [good]

    monkeypatch.setattr(resolve, "addresses_of", addresses_of)
    cleanup.enter_context(connect(Endpoint("tcp", host="example.org", port=80), timeout_s))
    assert asked == [("example.org", 80)]


def test_unknown_names(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses_of(host: str, port: int) -> list[Address]:
        raise NameNotFound(host, "there is no such name")

    monkeypatch.setattr(resolve, "addresses_of", addresses_of)
    with pytest.raises(NameNotFound, match=r"cannot resolve example\.org: there is no such name"):
        connect(Endpoint("tcp", host="example.org", port=80), 5.0)


def test_a_look_up_counts_against_the_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    answered = threading.Event()
    monkeypatch.setattr(resolve, "addresses_of", lambda *_: answered.wait(5.0) and [])
    threading.Timer(0.1, answered.set).start()  # the loop waits for its threads at its end
    with pytest.raises(TimeoutError, match=r"within 0\.01 s: example\.org: the name servers have not answered"):
        connect(Endpoint("tcp", host="example.org", port=80), 0.01)


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────────────────────────


def run_on(new_loop: Callable[[], asyncio.AbstractEventLoop], work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_cancelling_closes_every_attempt(new_loop: Callable[[], asyncio.AbstractEventLoop], cleanup: ExitStack) -> None:
    silent = [black_hole(cleanup), black_hole(cleanup)]

    async def work() -> None:
        before = open_descriptors()
        dialing = asyncio.ensure_future(
            connect_event(asyncio.get_running_loop(), the_endpoint(silent[0]), 5.0, addresses=silent, delay_s=0.0)
        )
        while len(open_descriptors() - before) < 2:  # noqa: ASYNC110  # nobody tells us how far a race is
            await asyncio.sleep(0)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing
        assert open_descriptors() - before == set()

    run_on(new_loop, work)


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_cancelling_after_the_winner_came_closes_it_too(
    new_loop: Callable[[], asyncio.AbstractEventLoop], cleanup: ExitStack
) -> None:
    bound = listen(cleanup)

    async def work() -> None:
        before = open_descriptors()
        loop = asyncio.get_running_loop()
        attempts = dial.Attempts(bound.endpoint, Race([bound.address], loop.time()))
        racing = dial_event._EventDial(loop, attempts, None, float("inf"))
        dialing = asyncio.ensure_future(racing.run())
        racing._done.add_done_callback(lambda _: dialing.cancel())
        with pytest.raises(asyncio.CancelledError):
            await dialing
        assert open_descriptors() - before == set()

    run_on(new_loop, work)
