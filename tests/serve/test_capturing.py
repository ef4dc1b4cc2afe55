"""Captures in a worker: what is told to whoever listens, and that the service never waits for them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator

import pytest

from portside.address import parse_endpoint
from portside.net.drive import drive
from portside.net.sockets import Bound, Socket, accept_nowait, bind
from portside.net.stream import Stream
from portside.serve import capturing
from portside.serve import channel as say
from portside.serve.capturing import Captures
from portside.serve.tapped import TOKEN_BYTES, Kind, Record, RecordReader
from portside.testing.memory import MemoryConnection, pair
from support.waiting import wait_until

TOKEN = "t" * TOKEN_BYTES


class Listening:
    """Whoever captures."""

    def __init__(self) -> None:
        self.path = f"@portside-test-{secrets.token_hex(8)}"
        self._bound: Bound = bind(parse_endpoint(f"unix:{self.path}"))[0]
        self._bound.socket.setblocking(True)

    def accept(self) -> Socket:
        accepted = accept_nowait(self._bound.socket)
        assert accepted is not None
        sock = accepted[0]
        sock.settimeout(20)
        assert sock.recv(TOKEN_BYTES).decode() == TOKEN
        return sock

    def wanted(self, **more: object) -> say.Capture:
        return say.Capture(self.path, TOKEN, **more)  # type: ignore[arg-type]

    def close(self) -> None:
        self._bound.socket.close()


@pytest.fixture
def listening() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.close()


@pytest.fixture
def over() -> list[say.Capture]:
    return []


@pytest.fixture
def captures(over: list[say.Capture]) -> Iterator[Captures]:
    made = Captures("echo", over.append)
    yield made
    made.finish()


def run(action: Callable[[], object]) -> None:
    async def act() -> None:
        result = action()
        if hasattr(result, "__await__"):
            await result

    drive(act(), handler="test", model="thread")


def write(connection: Stream, data: bytes) -> None:
    run(lambda: connection.write(data))


def read(connection: Stream) -> bytes:
    got: list[bytes] = []

    async def act() -> None:
        got.append(await connection.read())

    drive(act(), handler="test", model="thread")
    return got[0]


def records_to_end(sock: Socket) -> list[Record]:
    reader, found = RecordReader(), []
    while data := sock.recv(1 << 16):
        found += reader.feed(data)
    return found


def test_connections_that_there_are_and_those_that_come_are_told(listening: Listening, captures: Captures) -> None:
    (stood, its_peer), (new, new_peer) = pair(), pair()
    captures.begin(listening.wanted(), [stood])
    with listening.accept() as sock:
        captures.add(new)
        captures.add(new)  # told twice, listened to once
        for ours, theirs, data in ((stood, its_peer, b"old"), (new, new_peer, b"new")):
            write(theirs, data)
            assert read(ours) == data
        run(stood.close)
        captures.finish()
        found = records_to_end(sock)
    opened = {record.flow: record.opened for record in found if record.kind == Kind.OPENED}
    assert [(flow.id, flow.has_stood) for flow in opened.values()] == [(stood.id, True), (new.id, False)]
    assert [record.data for record in found if record.kind == Kind.IN] == [b"old", b"new"]
    ready = [record.kind for record in found].index(Kind.READY)
    assert [record.kind for record in found[:ready]] == [Kind.OPENED]
    assert {record.kind for record in found[ready:]} >= {Kind.OUT_ENDED, Kind.IN_ENDED}


@pytest.mark.parametrize("wanted", [{"connection": "1-999999"}, {"peers": ["192.0.2.0/24"]}])
def test_what_is_not_wanted_is_not_told(listening: Listening, captures: Captures, wanted: dict[str, object]) -> None:
    ours, theirs = pair()
    captures.begin(listening.wanted(**wanted), [ours])
    with listening.accept() as sock:
        write(theirs, b"private")
        assert read(ours) == b"private"
        captures.finish()
        assert [record.kind for record in records_to_end(sock)] == [Kind.READY]


def test_behind_a_slow_reader_bytes_are_dropped_and_counted(
    listening: Listening, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturing, "QUEUE_BYTES_MAX", 100_000)
    ours, theirs = pair()
    captures.begin(listening.wanted(), [ours])
    sent = 0
    with listening.accept() as sock:
        for _ in range(400):  # ten megabytes: more than any socket holds
            write(theirs, bytes(25_000))
            sent += len(read(ours))
        reading: list[Record] = []
        reader = threading.Thread(target=lambda: reading.extend(records_to_end(sock)))
        reader.start()
        (capture,) = [each for _, each in captures._under_way.values() if each is not None]
        wait_until(lambda: capture._put_bytes == capture._sent_bytes, "room in the queue")
        write(theirs, b"the last")
        sent += len(read(ours))
        captures.finish()
        reader.join(20)
    told = sum(len(record.data) for record in reading if record.kind == Kind.IN)
    lost = sum(record.lost_bytes for record in reading if record.kind == Kind.IN_LOST)
    assert told + lost == sent
    assert lost > 0
    assert reading[-1].data == b"the last"


def test_taps_go_with_whoever_listens(listening: Listening, captures: Captures, over: list[say.Capture]) -> None:
    ours, theirs = pair()
    wanted = listening.wanted()
    captures.begin(wanted, [ours])
    assert is_tapped(ours)
    listening.accept().close()
    write(theirs, b"x")
    assert read(ours) == b"x"
    wait_until(lambda: over, "the end of the capture")
    assert over == [wanted]
    assert not is_tapped(ours)
    assert not captures


def is_tapped(connection: MemoryConnection) -> bool:
    return connection._tap is not None


def test_a_capture_that_nobody_listens_to_is_over_at_once(captures: Captures, over: list[say.Capture]) -> None:
    wanted = say.Capture("@portside-test-nobody", TOKEN)
    captures.begin(wanted, [])
    captures.note(wanted)
    assert over == [wanted, wanted]
    assert not captures
