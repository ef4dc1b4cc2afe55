"""What no client says by itself, byte by byte: many requests in one piece, one in many, and through a proxy."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest

from integration.http.conftest import FILE_BYTES, Served, Start
from support.waiting import WITHIN_S


@dataclass(slots=True)
class Answer:
    """A response as it came."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Wire:
    """A connection; ``answer`` reads the next response, which must have a length."""

    socket: socket.socket
    reader: BinaryIO

    def say(self, *words: bytes) -> None:
        self.socket.sendall(b"".join(words))

    def answer(self) -> Answer:
        answer = Answer(int(self.reader.readline().split()[1]))
        while line := self.reader.readline().strip().decode():
            name, _, value = line.partition(": ")
            answer.fields[name.lower()] = value
        answer.body = self.reader.read(int(answer.fields.get("content-length", 0)))
        return answer

    def is_over(self) -> bool:
        """Return whether the server has ended the connection, with nothing more to say."""
        return self.reader.read() == b""


@contextmanager
def wire_to(served: Served, scheme: str = "http") -> Iterator[Wire]:
    with socket.create_connection(("127.0.0.1", served.port(scheme)), WITHIN_S) as plain:
        visitor = served.context.wrap_socket(plain, server_hostname="127.0.0.1") if scheme == "https" else plain
        with visitor, visitor.makefile("rb") as reader:
            yield Wire(visitor, reader)


def get(path: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join((b"GET %b HTTP/%b" % (path, version), b"Host: a", *fields, b"", b""))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_in_one_piece_are_answered_in_their_order(served: Served, scheme: str) -> None:
    with wire_to(served, scheme) as wire:
        post = b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        chunked = b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        wire.say(get(b"/hello"), post, get(b"/none"), chunked, get(b"/file"), get(b"/hello", b"Connection: close"))
        assert [wire.answer().body for _ in range(4)] == [b"hello", b"5", b"nothing", b"3"]
        assert wire.answer().body == FILE_BYTES
        last = wire.answer()
        assert (last.body, last.fields["connection"]) == (b"hello", "close")
        assert wire.is_over()


def test_a_request_in_single_bytes(served: Served) -> None:
    with wire_to(served) as wire:
        for byte in get(b"/hello"):
            wire.say(bytes([byte]))
        assert wire.answer().body == b"hello"


def test_who_is_done_asking_is_answered_still(served: Served) -> None:
    with wire_to(served) as wire:
        wire.say(get(b"/hello"), get(b"/hello"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert [wire.answer().body, wire.answer().body] == [b"hello", b"hello"]
        assert wire.is_over()


@pytest.mark.parametrize(("fields", "stays"), [((), False), ((b"Connection: keep-alive",), True)])
def test_the_older_version_stays_only_when_asked_to(served: Served, fields: tuple[bytes, ...], stays: bool) -> None:
    with wire_to(served) as wire:
        wire.say(get(b"/hello", *fields, version=b"1.0"))
        answer = wire.answer()
        assert answer.fields["connection"] == ("keep-alive" if stays else "close")
        if stays:
            wire.say(get(b"/hello", version=b"1.0"))
            assert wire.answer().body == b"hello"
        assert wire.is_over()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_what_is_no_request_is_told_so_once_and_for_all(served: Served, said: bytes, status: int) -> None:
    with wire_to(served) as wire:
        wire.say(get(b"/hello"), said)
        assert wire.answer().body == b"hello"
        refused = wire.answer()
        assert (refused.status, refused.fields["connection"]) == (status, "close")
        assert wire.is_over()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_trusted_proxy_says_whom_it_speaks_for(start: Start, scheme: str) -> None:
    served = start("--proxy-from", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", served.port(scheme)), WITHIN_S) as plain:
        plain.sendall(b"PROXY TCP4 203.0.113.7 192.0.2.1 4321 80\r\n")
        visitor = served.context.wrap_socket(plain, server_hostname="127.0.0.1") if scheme == "https" else plain
        with visitor, visitor.makefile("rb") as reader:
            wire = Wire(visitor, reader)
            wire.say(get(b"/who", b"X-Forwarded-For: 198.51.100.9"))
            told = json.loads(wire.answer().body)
    assert told["client"] == ["203.0.113.7", 4321]
    assert told["scheme"] == scheme


FORWARDED = (b"X-Forwarded-For: 198.51.100.9", b"X-Forwarded-Proto: https")


def test_forwarded_fields_of_anybody_count_for_nothing(served: Served) -> None:
    with wire_to(served) as wire:
        wire.say(get(b"/who", *FORWARDED))
        told = json.loads(wire.answer().body)
    assert (told["client"][0], told["scheme"]) == ("127.0.0.1", "http")


def test_forwarded_fields_count_from_whom_they_may(start: Start) -> None:
    with wire_to(start("--forwarded-from", "::1,127.0.0.1")) as wire:
        wire.say(get(b"/who", *FORWARDED))
        told = json.loads(wire.answer().body)
    assert (told["client"][0], told["scheme"]) == ("198.51.100.9", "https")
