"""Behind HAProxy, which speaks the PROXY protocol that its authors wrote."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support import peers
from support.certificates import Certificates
from support.client import connect, is_over, read_to_end
from support.server import Ready, Server
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]
CLIENT = "127.0.0.9"  # an address of loopback that is not the proxy's

CONFIG = """
defaults
    mode tcp
    timeout connect 30s
    timeout client 30s
    timeout server 30s
frontend front
    bind fd@{descriptor}
    default_backend back
backend back
    server portside {host}:{port} {words}
"""


@contextmanager
def haproxy(to: Ready, words: str, directory: Path) -> Iterator[tuple[str, int]]:
    """Run HAProxy in front of the server; gives where it listens. The socket is made here, so any port will do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = directory / "haproxy.cfg"
        descriptor = listener.fileno()
        config.write_text(CONFIG.format(descriptor=descriptor, host=to.host, port=to.port, words=words))
        with subprocess.Popen(
            [peers.program("haproxy"), "-db", "-q", "-f", config], pass_fds=[descriptor], stdin=subprocess.DEVNULL
        ) as process:
            try:
                yield listener.getsockname()
            finally:
                process.terminate()


def ask(address: tuple[str, int]) -> tuple[bytes, int]:
    """Visit from CLIENT; return what is said and the port visited from."""
    with socket.create_connection(address, WITHIN_S, (CLIENT, 0)) as visitor:
        return read_to_end(visitor), visitor.getsockname()[1]


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_the_handler_sees_the_real_client(run: Run, tmp_path: Path, words: str, model: str) -> None:
    server = run("who", "--proxy-from", "127.0.0.1", model=model)
    with haproxy(server.at(), words, tmp_path) as address:
        said, port = ask(address)
        assert said.startswith(b"%s:%d " % (CLIENT.encode(), port)), server.said
        assert ask(address)[0].startswith(CLIENT.encode())  # and the next one too


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_the_header_comes_before_tls(
    run: Run, tmp_path: Path, certificates: Certificates, words: str, model: str
) -> None:
    certificate = certificates.issue("localhost", to="behind")
    options = ("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key))
    server = run("who", "--proxy-from", "127.0.0.1", *options, listen=["tls://127.0.0.1:0"], model=model)
    trust = f"ssl verify required ca-file {certificates.ca} sni str(localhost) verifyhost localhost"
    with haproxy(server.at(), f"{words} {trust}", tmp_path) as address:
        said, port = ask(address)
    assert re.match(rb"127\.0\.0\.9:%d \S+ \d+ TLSv1\.[23] " % port, said), server.said


def test_limits_count_the_real_client(run: Run, tmp_path: Path) -> None:
    server = run("shout", "--proxy-from", "127.0.0.1", "--limit-per-ip", "2")
    with haproxy(server.at(), "send-proxy-v2", tmp_path) as address, ExitStack() as stack:
        served = [visit(stack, address, "127.0.0.8"), visit(stack, address, "127.0.0.8")]
        served += [visit(stack, address, "127.0.0.9")]
        for visitor in served:
            visitor.sendall(b"hi\n")
            assert visitor.recv(100) == b"HI\n"
        third = visit(stack, address, "127.0.0.8")
        wait_until(lambda: is_over(third), "the end of one too many")


def visit(stack: ExitStack, address: tuple[str, int], source: str) -> socket.socket:
    return stack.enter_context(socket.create_connection(address, WITHIN_S, (source, 0)))


def test_health_checks_are_the_proxy_s_own(run: Run, tmp_path: Path) -> None:
    """HAProxy's checks say LOCAL (version 2), and leave at once: nothing to complain of."""
    server = run("who", "--proxy-from", "127.0.0.1")
    with haproxy(server.at(), "send-proxy-v2 check inter 100ms", tmp_path) as address:
        wait_until(lambda: sum(one["event"] == "connection" for one in server.records) >= 3, "three checks")
        assert ask(address)[0].startswith(CLIENT.encode())
    assert not [one for one in server.records if one["level"] == "error"]


def test_a_trusted_proxy_must_send_the_header(run: Run, model: str) -> None:
    server = run("shout", "--proxy-from", "127.0.0.1", model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"no header\n")
        wait_until(lambda: is_over(visitor), "the end of one without a header")


def test_from_others_a_header_is_plain_data(run: Run, model: str) -> None:
    server = run("shout", "--proxy-from", "192.0.2.0/24", model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"proxy tcp4 192.0.2.1 192.0.2.2 1 2\n")
        assert visitor.recv(100) == b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"


@pytest.mark.parametrize("model", ["event", "thread"])
def test_connections_that_owe_their_header_are_bounded(run: Run, model: str) -> None:
    server = run("shout", "--proxy-from", "127.0.0.1", "--limit-connections", "2", model=model)
    with connect(server.at()) as first, connect(server.at()) as second:
        # Both have been accepted once one of them is heard: sockets are taken from the queue in order.
        second.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello\n")
        assert second.recv(100) == b"HELLO\n"
        with connect(server.at()) as third, connect(server.at()) as fourth:
            wait_until(lambda: is_over(fourth), "the end of one too many")
            assert not is_over(first)
            assert not is_over(third)
