"""The standard library's blocking servers and clients, in threads, over a good line and a bad one."""

from __future__ import annotations

import asyncio
import socketserver
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from support.two_hosts import PORT, SERVER, Pair, check, client_tls, server_tls

DATA = bytes(range(256)) * 400


def in_thread(function: Any) -> Any:
    """Return a coroutine function that runs this one in a thread."""

    async def run() -> Any:
        return await asyncio.to_thread(function)

    return run


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.send_header("X-Got", str(len(body)))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def http() -> Pair:
    """http.server with a thread for each connection; urllib.request and http.client."""

    def serve() -> None:
        ThreadingHTTPServer(("", PORT), Page).serve_forever()

    def visit() -> tuple[bytes, str | None]:
        from http.client import HTTPConnection
        from urllib.request import urlopen

        with urlopen(f"http://{SERVER}:{PORT}/", timeout=60) as answer:
            got = answer.read()
        connection = HTTPConnection(SERVER, PORT, timeout=60)
        for _ in range(3):
            connection.request("POST", "/", DATA)
            response = connection.getresponse()
            response.read()
        connection.close()
        return got, response.getheader("X-Got")

    return Pair(in_thread(serve), in_thread(visit), (DATA, str(len(DATA))))


def https() -> Pair:
    def serve() -> None:
        server = ThreadingHTTPServer(("", PORT), Page)
        server.socket = server_tls().wrap_socket(server.socket, server_side=True)
        server.serve_forever()

    def visit() -> bytes:
        from urllib.request import urlopen

        with urlopen(f"https://{SERVER}:{PORT}/", timeout=60, context=client_tls()) as answer:
            return bytes(answer.read())

    return Pair(in_thread(serve), in_thread(visit), DATA)


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class Shout(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


def threads() -> Pair:
    """socketserver, ended from another thread as its documentation says."""

    def serve() -> None:
        import threading
        import time

        with socketserver.ThreadingTCPServer(("", PORT), Echo) as first:
            threading.Timer(3, first.shutdown).start()
            first.serve_forever()
        with socketserver.ThreadingTCPServer(("", PORT + 1), Echo) as second:
            second.serve_forever()
        time.sleep(1)

    def visit() -> list[bytes]:
        import socket
        import time
        from concurrent.futures import ThreadPoolExecutor

        def ask(number: int) -> bytes:
            with socket.create_connection((SERVER, PORT + 1), timeout=60) as sock, sock.makefile("rwb") as file:
                got = b""
                for _ in range(3):
                    file.write(b"%d\n" % number)
                    file.flush()
                    got += file.readline()
                    time.sleep(1)
                return got

        time.sleep(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((SERVER, PORT), timeout=60)
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(ask, range(6)))

    return Pair(in_thread(serve), in_thread(visit), [b"%d\n" % number * 3 for number in range(6)])


def datagrams() -> Pair:
    def serve() -> None:
        socketserver.UDPServer(("", PORT), Shout).serve_forever()

    def visit() -> bytes:
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.connect((SERVER, PORT))
            while True:
                sock.send(b"hello")
                try:
                    return sock.recv(100)
                except TimeoutError:
                    continue

    return Pair(in_thread(serve), in_thread(visit), b"HELLO")


def mail() -> Pair:
    """smtplib with STARTTLS, to aiosmtpd."""

    async def serve() -> None:
        from aiosmtpd.smtp import SMTP

        class Box:
            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
                return f"250 {len(envelope.content)} bytes"

        loop = asyncio.get_running_loop()
        make = lambda: SMTP(Box(), hostname=SERVER, tls_context=server_tls())  # noqa: E731
        await (await loop.create_server(make, port=PORT)).serve_forever()

    def visit() -> tuple[int, bytes]:
        import smtplib

        with smtplib.SMTP(SERVER, PORT, timeout=60) as client:
            client.starttls(context=client_tls())
            client.ehlo()
            client.mail("ann@client")
            client.rcpt("bob@server.test")
            return client.data(b"Subject: x\r\n\r\n" + b"line\r\n" * 9_000)

    return Pair(serve, in_thread(visit), (250, b"54014 bytes"))


def files() -> Pair:
    """ftplib, plain and with TLS on both connections, to Portside's own FTP server."""

    async def serve() -> None:
        import aioftp

        server = aioftp.Server([aioftp.User(base_path="/")], path_io_factory=aioftp.MemoryPathIO)
        await server.start("0.0.0.0", PORT)
        await server.serve_forever()

    def visit() -> bytes:
        import ftplib
        import io

        got = io.BytesIO()
        with ftplib.FTP() as client:
            client.connect(SERVER, PORT, timeout=60)
            client.login()
            client.storbinary("STOR file", io.BytesIO(DATA))
            client.retrbinary("RETR file", got.write)
        return got.getvalue()

    return Pair(serve, in_thread(visit), DATA)


def remote_calls() -> Pair:
    def serve() -> None:
        from xmlrpc.server import SimpleXMLRPCServer

        server = SimpleXMLRPCServer(("", PORT), logRequests=False)
        server.register_function(pow)
        server.serve_forever()

    def visit() -> Any:
        from xmlrpc.client import ServerProxy

        with ServerProxy(f"http://{SERVER}:{PORT}") as proxy:
            return [proxy.pow(2, number) for number in range(4)]

    return Pair(in_thread(serve), in_thread(visit), [1, 2, 4, 8])


PAIRS = {
    "http.server, urllib.request, http.client": http,
    "the same with TLS": https,
    "socketserver, concurrent.futures": threads,
    "socketserver with datagrams": datagrams,
    "smtplib with STARTTLS, aiosmtpd": mail,
    "ftplib, aioftp": files,
    "xmlrpc": remote_calls,
}


@pytest.mark.parametrize("loss", ["0%", "2%"])
@pytest.mark.parametrize("name", PAIRS)
def test_it_runs_unmodified(name: str, loss: str) -> None:
    check(PAIRS[name](), loss, repeats="TLS" not in name)
