"""``portside diagram``: what it asks, what it draws, and that it follows a conversation to its end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from support.server import portside
from support.talks import a_conversation, a_message
from support.waiting import WITHIN_S

Answer = Callable[[dict[str, Any]], dict[str, Any]]

TALK = a_conversation(a_message(1, "out", "220 Welcome."), a_message(2, "in", "QUIT", at_s=0.5), is_over=True)


class Scripted:
    """A control socket that answers as the test says, and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.answer: Answer = lambda request: {"ok": TALK}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as file:
                for line in file:
                    self.asked.append(json.loads(line))
                    file.write(json.dumps(self.answer(self.asked[-1])).encode() + b"\n")
                    file.flush()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WITHIN_S)

    def run(self, *arguments: str, **options: Any) -> Any:
        return portside("diagram", "7-1", "--control", str(self.path), *arguments, **options)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    scripted = Scripted(tmp_path / "control")
    yield scripted
    scripted.close()


def test_a_diagram_for_people(server: Scripted) -> None:
    done = server.run(env={"COLUMNS": "60"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "files: connection 7-1, since 2026-01-02 03:04:05.000 UTC"
    assert lines[5].startswith("    0.000 │◄─ 220 Welcome. ───")
    assert lines[6].startswith("    0.500 │── QUIT ───")
    assert max(map(len, lines[2:8])) <= 60
    assert "\x1b" not in done.stdout
    assert server.asked == [{"do": "conversation", "connection": "7-1", "after": 0, "limit": 250}]


def test_messages_for_programs(server: Scripted) -> None:
    messages = json.loads(server.run("--json").stdout)
    assert messages == TALK["messages"]
    assert list(messages[0]) == ["seq", "time", "direction", "lane", "words", "bytes"]


def test_text_for_documents(server: Scripted) -> None:
    assert server.run("--mermaid").stdout.startswith("sequenceDiagram\n")


def test_a_picture(server: Scripted, tmp_path: Path) -> None:
    done = server.run("--svg", str(tmp_path / "talk.svg"))
    assert (done.returncode, done.stdout) == (0, "")
    assert ET.parse(tmp_path / "talk.svg").getroot().tag.endswith("svg")
    assert server.run("--svg", "-").stdout == (tmp_path / "talk.svg").read_text()


def following(*steps: list[dict[str, Any]]) -> Answer:
    """Return answers in which a step's messages are new each time, and the connection is over after the last."""
    waiting = list(steps)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        messages = waiting.pop(0) if waiting else []
        return {"ok": a_conversation(*messages, is_over=not waiting)}

    return answer


def test_who_follows_sees_all_of_it_and_a_new_heading_when_somebody_joins(server: Scripted) -> None:
    server.answer = following(
        [a_message(1, "in", "RETR x")],
        [],
        [a_message(2, "out", "RETR x: 3 B", lane="data"), a_message(3, "out", "226 Done.")],
    )
    done = server.run("--follow", env={"COLUMNS": "100"})
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    headings = [place for place, line in enumerate(lines) if line.strip().startswith("client ")]
    words = [
        place
        for word in ("── RETR x ─", "── RETR x: 3 B ─", "◄─ 226 Done.")
        for place, line in enumerate(lines)
        if word in line
    ]
    assert len(headings) == 2
    assert headings[0] < words[0] < headings[1] < words[1] < words[2]
    assert [request["after"] for request in server.asked] == [0, 1, 1, 3]
    assert done.stdout.count("over after") == 1


def test_who_follows_as_a_program_gets_a_message_a_line(server: Scripted) -> None:
    server.answer = following([a_message(1, "in", "one")], [a_message(2, "in", "two")])
    lines = server.run("--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["words"] for line in lines] == ["one", "two"]


def test_a_connection_that_nobody_knows_is_a_failure(server: Scripted) -> None:
    server.answer = lambda request: {"error": "there is no connection 7-1"}
    done = server.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no connection 7-1" in done.stderr


@pytest.mark.parametrize("arguments", [("--svg", "-", "--json"), ("--mermaid", "--follow"), ("--svg", "x", "--follow")])
def test_what_does_not_go_together_is_said(server: Scripted, arguments: tuple[str, ...]) -> None:
    done = server.run(*arguments)
    assert (done.returncode, server.asked) == (2, [])
