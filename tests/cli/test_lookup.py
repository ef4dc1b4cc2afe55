"""``portside lookup``: the directory's answers, in the order asked, as they come."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from portside.address import parse_endpoint
from portside.cli.duplex import Sink, Source
from portside.cli.lookup import ask, show
from portside.contracts import Connection
from portside.errors import ConnectionLost, MalformedMessage
from portside.protocols.directory import directory_battery
from portside.protocols.directory.dialogue import Answer
from portside.testing.memory import MemoryNetwork
from support.certificates import Certificates
from support.client import read_to_end
from support.listener import Listener
from support.server import environment
from support.server import portside as run_portside
from support.waiting import WITHIN_S

SYSTEM = "echo 7/tcp\necho 7/udp\nhttp 80/tcp www\ntftp 69/udp\n"
DIRECTORY = parse_endpoint("tcp://192.0.2.1:6168")


def look_up(
    tmp_path: Path, names: Sequence[str] | bytes, handler: Any = None, *, as_json: bool = False
) -> tuple[bool, str]:
    """Return whether all names were known, and what is printed, in a world with only this directory.

    Names as bytes are what standard input says.
    """
    (tmp_path / "services").write_text(SYSTEM, encoding="utf-8")
    (tmp_path / "in").write_bytes(names if isinstance(names, bytes) else b"")
    serve = handler or directory_battery(file=str(tmp_path / "services")).stream

    async def meet() -> bool:
        network = MemoryNetwork()
        listener = await network.listen(DIRECTORY)

        async def directory() -> None:
            async with await listener.accept() as visitor:
                await serve(visitor)

        asked = Source(source.fileno()) if isinstance(names, bytes) else names
        asking = ask(network, DIRECTORY, asked, Sink(sink.fileno()), timeout_s=WITHIN_S, as_json=as_json)
        known, _ = await asyncio.gather(asking, directory())
        return known

    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
        known = asyncio.run(meet())
    return known, (tmp_path / "out").read_text(encoding="utf-8")


# ── in memory ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_answers_are_printed_in_the_order_asked(tmp_path: Path) -> None:
    assert look_up(tmp_path, ["www", "tftp", "echo"]) == (True, "www,80,tcp\ntftp,69,udp\necho,7,tcp\n")


def test_an_unknown_name_is_told_and_remembered(tmp_path: Path) -> None:
    assert look_up(tmp_path, ["echo", "nosuch", "http"]) == (False, "echo,7,tcp\nnosuch,unknown\nhttp,80,tcp\n")


def test_json_is_an_object_a_name(tmp_path: Path) -> None:
    _, printed = look_up(tmp_path, ["echo", "nosuch"], as_json=True)
    assert [json.loads(line) for line in printed.splitlines()] == [
        {"name": "echo", "port": 7, "protocol": "tcp"},
        {"name": "nosuch", "port": None, "protocol": None},
    ]


def test_names_are_read_from_the_input(tmp_path: Path) -> None:
    assert look_up(tmp_path, b" echo \n\nhttp\r\nlast") == (False, "echo,7,tcp\nhttp,80,tcp\nlast,unknown\n")
    assert look_up(tmp_path, b"") == (True, "")


@pytest.mark.parametrize("from_input", [False, True])
def test_many_names_stream(tmp_path: Path, from_input: bool) -> None:
    names = [f"{number}" * 20 for number in range(20_000)]
    asked = "".join(f"{name}\n" for name in names).encode() if from_input else names
    assert look_up(tmp_path, asked) == (False, "".join(f"{name},unknown\n" for name in names))


def test_a_directory_that_answers_at_the_end_of_all_questions_will_do(tmp_path: Path) -> None:
    async def at_the_end(visitor: Connection) -> None:
        names = [line async for line in visitor.lines()]
        await visitor.write(*(name + b",1,tcp\n" for name in names))

    assert look_up(tmp_path, ["a", "b"], at_the_end) == (True, "a,1,tcp\nb,1,tcp\n")


def test_a_directory_that_leaves_early_is_an_error(tmp_path: Path) -> None:
    async def leave(visitor: Connection) -> None:
        await visitor.read_line()
        await visitor.write(b"a,1,tcp\n")

    with pytest.raises(ConnectionLost, match="the directory left after 1 of 2 answers"):
        look_up(tmp_path, ["a", "b"], leave)


def test_a_server_that_is_no_directory_is_said_so(tmp_path: Path) -> None:
    async def greet(visitor: Connection) -> None:
        await visitor.write(b"220 mail.example\r\n")
        await visitor.read()

    with pytest.raises(MalformedMessage, match=r"this one said '220 mail\.example'"):
        look_up(tmp_path, ["a"], greet)


def test_a_name_cannot_write_on_the_terminal() -> None:
    assert show(Answer("\x1b[2J\x9b", 1, "tcp"), as_json=False) == b"\\x1b[2J\\x9b,1,tcp\n"
    assert show(Answer("größe"), as_json=False) == "größe,unknown\n".encode()
    assert show(Answer("\udcff"), as_json=False) == b"\\udcff,unknown\n"


# ── as a command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(connection: socket.socket) -> None:
    """A directory that knows every name by its length, and answers each line at once."""
    with connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(b"%b,%d,tcp\n" % (line.strip(), len(line)))


def test_the_command_asks_the_server_it_is_told() -> None:
    with Listener(answer) as server:
        url = run_portside("lookup", "echo", "x", "--server", server.url)
        short = run_portside("lookup", "echo", "--server", server.url.removeprefix("tcp://"), "--json")
    assert (url.returncode, url.stdout, url.stderr) == (0, "echo,5,tcp\nx,2,tcp\n", "")
    assert (short.returncode, json.loads(short.stdout)) == (0, {"name": "echo", "port": 5, "protocol": "tcp"})


def test_a_directory_behind_tls_is_verified(certificates: Certificates) -> None:
    with Listener(answer, tls=certificates.server_context(certificates.issue("127.0.0.1"))) as server:
        url = server.url.replace("tcp:", "tls:")
        known = run_portside("lookup", "echo", "--server", url, "--tls-ca", str(certificates.ca))
        stranger = run_portside("lookup", "echo", "--server", url)
    assert (known.returncode, known.stdout, known.stderr) == (0, "echo,5,tcp\n", "")
    assert (stranger.returncode, stranger.stdout) == (1, "")
    assert "cannot be verified" in stranger.stderr


def test_an_answer_is_there_before_the_next_name_is_typed() -> None:
    command = [sys.executable, "-m", "portside", "lookup", "--server"]
    with (
        Listener(answer) as server,
        subprocess.Popen(
            [*command, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("one", "three"):
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{name},{len(name) + 1},tcp\n"
        process.stdin.close()
        assert process.wait(WITHIN_S) == 0


def test_an_unknown_name_is_status_1() -> None:
    def ignorant(connection: socket.socket) -> None:
        connection.sendall(read_to_end(connection).strip() + b",unknown\n")

    with Listener(ignorant) as server:
        done = run_portside("lookup", "x", "--server", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (1, "x,unknown\n", "")


def test_a_directory_that_says_nothing_is_given_up() -> None:
    over = threading.Event()

    def silent(connection: socket.socket) -> None:
        read_to_end(connection)
        over.wait(WITHIN_S)

    with Listener(silent) as server:
        done = run_portside("lookup", "x", "--server", server.url, "--timeout", "100ms")
        over.set()
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "portside: no answer for 0.1 s\n")


def test_nobody_there_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = run_portside("lookup", "x", "--server", f"tcp://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"portside: cannot connect to [^\n]*\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "'' is no name"),
        (("a\nb",), "is no name to look up"),
        (("x", "--server", "udp://localhost:1"), "answers over streams"),
        (("x", "--server", "tcq://localhost"), "did you mean tcp?"),
        (("x", "--timeout", "never"), "not a duration"),
    ],
)
def test_what_cannot_be_meant_is_said_with_status_2(arguments: tuple[str, ...], said: str) -> None:
    done = run_portside("lookup", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_directory_knows_the_services_of_its_server(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "portside.toml").write_text(
        """
        [service.names]
        serve = "directory"
        file = "services"
        listen = ["tcp://127.0.0.1:0"]

        [service.http]
        serve = "echo"
        listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
        """,
        encoding="utf-8",
    )
    (tmp_path / "services").write_text(SYSTEM, encoding="utf-8")
    server = serve("up", listening=3, cwd=tmp_path)
    names, http = server.at("directory"), server.at("echo", "tcp")
    done = run_portside("lookup", "http", "names", "www", "nosuch", "--server", names.url)
    assert done.stdout == f"http,{http.port},tcp\nnames,{names.port},tcp\nwww,80,tcp\nnosuch,unknown\n"
    assert done.returncode == 1
