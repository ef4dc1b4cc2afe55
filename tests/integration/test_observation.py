"""What can be seen of a running server over its control socket, under every model."""

from __future__ import annotations

import contextlib
import ftplib
import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from portside.observe.metrics import build_openmetrics
from support.client import connect, exchange, read_exactly
from support.operators import Asking, Refused
from support.server import Server
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]

FILE = b"x" * 150_000


@pytest.fixture
def operator(tmp_path: Path) -> Asking:
    return Asking(tmp_path / "control")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "file").write_bytes(FILE)
    return folder


def test_who_has_no_words_is_shown_by_bytes_while_somebody_looks(run: Run, operator: Asking, model: str) -> None:
    server = run("shout", *operator.option, model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"unseen\n")
        assert read_exactly(visitor, 7) == b"UNSEEN\n"
        (one,) = wait_until(operator.connections, "the connection")
        assert operator.words_of(one["id"]) == []  # nobody had looked; now somebody does

        said = []

        def is_seen() -> bool:  # in a process of its own it takes a moment until the look has arrived
            said.append(f"line {len(said)}\n".encode())
            visitor.sendall(said[-1])
            assert read_exactly(visitor, len(said[-1])) == said[-1].upper()
            return bool(operator.words_of(one["id"]))

        wait_until(is_seen, "a message")
        last = said[-1].decode().rstrip()
        both = [("in", f"“{last}␊”"), ("out", f"“{last.upper()}␊”")]
        wait_until(lambda: operator.words_of(one["id"])[-2:] == both, "both messages")


def test_an_ftp_session_is_one_conversation_on_two_lanes(
    battery: Run, operator: Asking, root: Path, model: str
) -> None:
    name, _, loop = model.partition(" on ")
    if loop:
        pytest.skip("the loop makes no difference to what is told")
    server = battery("ftp", str(root), "--login", "anna:secret-word", "--model", name, *operator.option)
    with ftplib.FTP() as client:
        client.connect("127.0.0.1", server.port, WITHIN_S)
        client.login("anna", "secret-word")
        (one,) = wait_until(operator.connections, "the connection")
        heard = io.BytesIO()
        client.retrbinary("RETR file", heard.write)
        client.storbinary("STOR copy", io.BytesIO(FILE))
        assert heard.getvalue() == FILE
        client.quit()
    talk: dict[str, Any] = wait_until(
        lambda: (found := operator.ask("conversation", connection=one["id"]))["ended"] and found, "its end"
    )
    words = [message["words"] for message in talk["messages"]]
    assert (words[1], words[3]) == ("USER anna", "PASS …")
    data = [(m["direction"], m["words"], m["bytes"]) for m in talk["messages"] if m["lane"] == "data"]
    assert [way for way, *_ in data] == ["in", "out", "in", "in"]
    assert data[1][1:] == ("RETR /file: 150 kB", len(FILE))
    assert data[3][1:] == ("STOR /copy: 150 kB", len(FILE))
    assert "secret-word" not in str(talk)
    assert talk["row"] is None
    ended = talk["ended"]
    assert ended["reason"] == "done"
    assert ended["bytes_out"] > len(FILE) < ended["bytes_in"]
    record = server.wait_for_record(event="connection", connection=one["id"])
    assert (record["bytes_in"], record["bytes_out"]) == (ended["bytes_in"], ended["bytes_out"])


def test_failures_of_handlers_are_kept_with_their_tracebacks(run: Run, operator: Asking, model: str) -> None:
    server = run("fail", *operator.option, model=model, tracebacks=True)
    for _ in range(3):
        exchange(server.at(), b"x")
    failures = wait_until(lambda: len(found := operator.ask("errors")["errors"]) == 3 and found, "three failures")
    assert [one["seq"] for one in failures] == [1, 2, 3]
    assert {one["error"] for one in failures} == {"ZeroDivisionError: a bug of this handler"}
    assert all("in fail" in one["traceback"] for one in failures)
    assert {one["service"] for one in failures} == {"fail"}
    assert [one["seq"] for one in operator.ask("errors", after=2)["errors"]] == [3]

    def counts() -> tuple[int, int]:
        (service,) = operator.ask("stats")["services"]
        return service["handler_failed"], service["ended"]["handler"]

    wait_until(lambda: counts() == (3, 3), "both counts")


@pytest.mark.parametrize("name", ["event", "prefork", "fork"])
def test_a_process_that_dies_is_a_failure_too(run: Run, operator: Asking, name: str) -> None:
    server = run("crash", *operator.option, model=name)
    with contextlib.suppress(OSError):  # a reset that came before the half-close makes that ENOTCONN
        exchange(server.at(), b"x")
    (failure,) = wait_until(lambda: operator.ask("errors")["errors"], "the failure")
    assert "ended with status 9" in failure["error"]
    assert (failure["service"], failure["traceback"]) == ("crash", "")
    assert (failure["peer"] is not None) == (name == "fork")


def test_open_files_are_told_with_the_connections_they_are(run: Run, operator: Asking) -> None:
    server = run("shout", *operator.option)
    with connect(server.at()) as visitor:
        (one,) = wait_until(operator.connections, "the connection")
        (worker,) = operator.ask("sockets")["workers"]
        assert worker["pid"] in server.children
        local, peer = ({"host": host, "port": port} for host, port in (visitor.getpeername(), visitor.getsockname()))
        listening = [row for row in worker["sockets"] if row.get("state") == "listen"]
        assert [(row["protocol"], row["local"]) for row in listening] == [("tcp", local)]
        (row,) = [row for row in worker["sockets"] if row.get("connection") == one["id"]]
        assert (row["kind"], row["protocol"], row["state"]) == ("socket", "tcp", "established")
        assert (row["local"], row["peer"], row["queued_in"], row["queued_out"]) == (local, peer, 0, 0)
        assert "epoll" in {row["kind"] for row in worker["sockets"]}
        assert [row["fd"] for row in worker["sockets"]] == sorted(
            int(entry) for entry in os.listdir(f"/proc/{worker['pid']}/fd")
        )


def test_pages_of_open_files_and_connections_come_one_after_the_other(run: Run, operator: Asking) -> None:
    server = run("shout", "--limit-per-ip", "1000", *operator.option)
    visitors = [connect(server.at()) for _ in range(30)]
    wait_until(lambda: len(operator.connections()) == len(visitors), "all connections")
    for what, key in (("connections", "id"), ("sockets", "fd")):
        (worker,) = operator.ask(what)["workers"]
        assert worker["after"] is None
        whole = [row[key] for row in worker[what]]
        pages: list[Any] = []
        after = None
        while True:
            (worker,) = operator.ask(
                what, worker=worker["pid"], limit=7, **({} if after is None else {"after": after})
            )["workers"]
            assert len(worker[what]) <= 7
            pages += [row[key] for row in worker[what]]
            after = worker["after"]
            if after is None:
                break
        assert pages == whole
    assert operator.ask("connections", service="nobody")["workers"] == []
    for visitor in visitors:
        visitor.close()


def test_the_server_s_numbers_are_open_metrics(run: Run, operator: Asking, model: str) -> None:
    server = run("shout", *operator.option, model=model)
    for _ in range(3):
        assert exchange(server.at(), b"hello\n") == b"HELLO\n"
    stats = wait_until(
        lambda: (found := operator.ask("stats"))["services"][0]["ended"]["done"] == 3 and found, "three ends"
    )
    assert (stats["state"], stats["ready"], stats["pid"]) == ("running", True, server.pid)
    values = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(build_openmetrics(stats))
        for sample in family.samples
    }
    assert values["portside_received_bytes_total", None] == 18
    assert values["portside_connections_opened_total", None] == 3
    assert values["portside_connection_duration_seconds_count", None] == 3
    assert 0 < values["portside_connection_duration_seconds_sum", None] < 3 * WITHIN_S
    assert values["portside_connection_moved_bytes_bucket", "1000.0"] == 3
    assert values["portside_connection_moved_bytes_sum", None] == 36
    assert values["portside_worker_memory_bytes", None] > 1e6


def test_who_drains_is_not_ready(run: Run, operator: Asking) -> None:
    server = run("ponder", "--drain", "20s", *operator.option)
    with connect(server.at()) as visitor:
        assert read_exactly(visitor, 1)
        assert operator.ask("health") == {"state": "running", "ready": True}
        operator.ask("stop")
        assert operator.ask("health") == {"state": "stopping", "ready": False}
    assert server.wait() == 0


def test_what_nobody_has_is_said_to_be_nobody_s(run: Run, operator: Asking) -> None:
    run("shout", *operator.option)
    with pytest.raises(Refused, match="there is no connection 1-1"):
        operator.ask("conversation", connection="1-1")
    with pytest.raises(Refused, match="unknown request"):
        operator.ask("conversation")


def test_answers_that_nobody_reads_do_not_pile_up(run: Run, operator: Asking) -> None:
    """Whoever asks and never reads is not listened to after a while; once they read, they get every answer."""
    run("shout", *operator.option)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(operator.path))
        client.settimeout(0.5)
        asked = 0
        with contextlib.suppress(TimeoutError):
            while asked < 20_000:
                question = json.dumps({"do": "stats", "id": asked, "padding": "x" * 4_000}).encode() + b"\n"
                client.sendall(question)
                asked += 1
        assert asked < 20_000
        assert operator.ask("health")["ready"]
        client.settimeout(WITHIN_S)
        answers = client.makefile("rb")
        assert [json.loads(answers.readline())["id"] for _ in range(asked)] == list(range(asked))
