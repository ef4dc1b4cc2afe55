"""Mail, files, shells, calls, databases: libraries as they are, over a good line and a bad one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.two_hosts import PORT, SERVER, Pair, check

DATA = bytes(range(256)) * 400


def smtp() -> Pair:
    """aiosmtpd and aiosmtplib. The controllers of aiosmtpd start threads: its protocol is what is used in programs."""

    class Box:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
            return f"250 {len(envelope.content)} bytes for {envelope.rcpt_tos[0]}"

    async def serve() -> None:
        from aiosmtpd.smtp import SMTP

        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(Box(), hostname=SERVER), port=PORT)
        await server.serve_forever()

    async def visit() -> str:
        import aiosmtplib

        async with aiosmtplib.SMTP(hostname=SERVER, port=PORT, timeout=60) as client:
            _, answer = await client.sendmail(
                "ann@client", ["bob@server.test"], "Subject: x\r\n\r\n" + "line\r\n" * 9_000
            )
        return answer

    return Pair(serve, visit, "54014 bytes for bob@server.test")


def ftp() -> Pair:
    async def serve() -> None:
        import aioftp

        server = aioftp.Server([aioftp.User(base_path="/")], path_io_factory=aioftp.MemoryPathIO)
        await server.start("0.0.0.0", PORT)
        await server.serve_forever()

    async def visit() -> tuple[bytes, list[str]]:
        import aioftp

        async with aioftp.Client.context(SERVER, PORT) as client:
            async with client.upload_stream("file") as stream:
                await stream.write(DATA)
            async with client.download_stream("file") as stream:
                got = await stream.read()
            names = [path.name async for path, _ in client.list()]
        return got, names

    return Pair(serve, visit, (DATA, ["file"]))


def ssh() -> Pair:
    async def serve() -> None:
        import asyncssh

        async def handle(process: Any) -> None:
            process.stdout.write((await process.stdin.read()).upper())
            process.exit(3)

        class Server(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return False

        server = await asyncssh.listen(
            "0.0.0.0", PORT, server_factory=Server, server_host_keys=[host_key], process_factory=handle
        )
        await server.wait_closed()

    async def visit() -> tuple[str, int]:
        import asyncssh

        async with asyncssh.connect(
            SERVER, PORT, known_hosts=None, username="ann", client_keys=None, config=None
        ) as shell:
            result = await shell.run("shout", input="hello\n" * 5_000)
        return result.stdout, result.exit_status

    import asyncssh

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    return Pair(serve, visit, ("HELLO\n" * 5_000, 3))


def grpc() -> Pair:
    from grpclib.const import Cardinality, Handler
    from grpclib.encoding.base import CodecBase

    class Bytes(CodecBase):
        __content_subtype__ = "bytes"

        def encode(self, message: Any, message_type: Any) -> bytes:
            return message

        def decode(self, data: bytes, message_type: Any) -> bytes:
            return data

    class Shout:
        async def call(self, stream: Any) -> None:
            async for message in stream:
                await stream.send_message(message.upper())

        def __mapping__(self) -> Any:
            return {"/Shout/Call": Handler(self.call, Cardinality.STREAM_STREAM, bytes, bytes)}

    async def serve() -> None:
        from grpclib.server import Server

        server = Server([Shout()], codec=Bytes())
        await server.start("0.0.0.0", PORT)
        await server.wait_closed()

    async def visit() -> list[bytes]:
        from grpclib.client import Channel, StreamStreamMethod

        async with Channel(SERVER, PORT, codec=Bytes()) as channel:
            return await StreamStreamMethod(channel, "/Shout/Call", bytes, bytes)([b"a" * 20_000, b"b", b"c"])

    return Pair(serve, visit, [b"A" * 20_000, b"B", b"C"])


# ── databases and brokers: small servers of ours, the libraries' clients ─────────────────────────────────────────────


def redis() -> Pair:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept: dict[bytes, bytes] = {}
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            match words[0].upper(), words[1:]:
                case b"SET", [key, value]:
                    kept[key] = value
                    writer.write(b"+OK\r\n")
                case b"GET", [key]:
                    writer.write(b"$%d\r\n%b\r\n" % (len(kept[key]), kept[key]))
                case _:
                    writer.write(b"+OK\r\n")
        writer.close()

    async def visit() -> list[Any]:
        import redis.asyncio

        client = redis.asyncio.Redis(host=SERVER, port=PORT)
        got = [await client.set("key", DATA), await client.get("key")]
        async with client.pipeline(transaction=False) as pipe:
            got += await pipe.set("a", "1").get("a").execute()
        await client.aclose()
        return got

    return Pair(lambda: serve_streams(talk), visit, [True, DATA, True, b"1"])


def nats() -> Pair:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"S","version":"2.10.0","max_payload":1048576,"proto":1}\r\n')
        numbers: dict[bytes, bytes] = {}
        while line := await reader.readline():
            match line.split():
                case [b"PING"]:
                    writer.write(b"PONG\r\n")
                case [b"SUB", subject, number]:
                    numbers[subject] = number
                case [b"PUB", subject, *_, size]:
                    data = await reader.readexactly(int(size) + 2)
                    writer.write(b"MSG %b %b %b\r\n%b" % (subject, numbers[subject], size, data))
        writer.close()

    async def visit() -> list[bytes]:
        import nats

        client = await nats.connect(f"nats://{SERVER}:{PORT}")
        subscription = await client.subscribe("news")
        for number in range(20):
            await client.publish("news", b"%d " % number + DATA)
        got = [(await subscription.next_msg(timeout=60)).data for _ in range(20)]
        await client.close()
        return got

    return Pair(lambda: serve_streams(talk), visit, [b"%d " % number + DATA for number in range(20)])


async def serve_streams(talk: Any) -> None:
    server = await asyncio.start_server(talk, port=PORT)
    await server.serve_forever()


PAIRS = {make.__name__: make for make in (smtp, ftp, ssh, grpc, redis, nats)}
ENCRYPTED = {"ssh"}  # what its bytes are no seed decides


@pytest.mark.parametrize("loss", ["0%", "2%"])
@pytest.mark.parametrize("name", PAIRS)
def test_it_runs_unmodified_and_the_same_again(name: str, loss: str) -> None:
    check(PAIRS[name](), loss, repeats=name not in ENCRYPTED)
