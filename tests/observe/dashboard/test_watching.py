"""What pages are told, and what it costs the server: looks, changes between them, and what one page asks for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.dashboard import page as page_module
from portside.observe.dashboard import watch as watch_module
from portside.observe.dashboard.asking import Refused, Silent
from portside.observe.dashboard.page import Page
from portside.observe.dashboard.rows import Row, changes_between, event_of, events_of_all, row_of
from portside.observe.dashboard.watch import Watch

SECONDS = 5.0  # a deadline for what takes no time

# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def row(name: str, bytes_in: int = 0, state: str = "reading", worker: int = 1) -> Row:
    facts = {"id": name, "peer": {"host": "192.0.2.1", "port": 1}, "local": {"path": ""}, "started_at": "", "tls": None}
    return row_of({**facts, "bytes_in": bytes_in, "bytes_out": 0, "state": state}, "echo", worker)


looks = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 2), st.sampled_from(["reading", "writing"])), max_size=6
).map(lambda found: {name: row(name, count, state) for name, (count, state) in found.items()})


def applied(rows: dict[str, Row], event: dict[str, Any]) -> dict[str, Row]:
    """Do what the page's script does with an event."""
    after = {} if event["anew"] else dict(rows)
    after |= {new[0]: new for new in event["new"]}
    for name, *moving in event["moved"]:
        after[name] = (*after[name][:6], *moving, *after[name][9:])
    for name in event["gone"]:
        del after[name]
    return after


@given(looks, looks)
def test_a_change_makes_the_later_look_of_the_earlier(before: dict[str, Row], after: dict[str, Row]) -> None:
    change = changes_between(before, after)
    assert applied(before, event_of(change)) == after
    assert bool(change) == (before != after)


def test_all_rows_are_told_in_pieces_the_first_of_which_begins_anew() -> None:
    rows = {str(number): row(str(number)) for number in range(2_500)}
    events = list(events_of_all(rows.values()))
    assert [len(event["new"]) for event in events] == [1_000, 1_000, 500]
    assert [event["anew"] for event in events] == [True, False, False]
    assert [event["new"] for event in events_of_all(())] == [[]]


# ── a server to look at ──────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """A server with one service and one worker, and the dashboard's own beside it."""

    def __init__(self) -> None:
        self.connections: dict[str, int] = {}
        self.is_busy = False
        self.is_silent = False
        self.messages: list[str] = []
        self.ended: dict[str, Any] | None = None
        self.errors: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def count(self, what: str) -> int:
        return sum(request["do"] == what for request in self.asked)

    async def ask(self, request: dict[str, Any]) -> Any:
        self.asked.append(request)
        await asyncio.sleep(0)
        if self.is_silent:
            raise Silent("the server does not answer")
        return getattr(self, f"tell_{request['do']}")(request)

    def tell_stats(self, request: dict[str, Any]) -> Any:
        worker = {"pid": 7, "state": "ready"}
        services = [
            {"service": "echo", "workers": [worker]},
            {"service": "dashboard", "workers": [{**worker, "pid": 8}]},
        ]
        return {"pid": 1, "state": "running", "services": services}

    def tell_errors(self, request: dict[str, Any]) -> Any:
        return {"errors": [error for error in self.errors if error["seq"] > request["after"]]}

    def tell_connections(self, request: dict[str, Any]) -> Any:
        assert request["worker"] == 7, "nobody asks for the dashboard's own connections"
        if self.is_busy:
            return {"workers": [], "silent": [7]}
        names = sorted(self.connections)
        after, limit = request["after"], request["limit"]
        last = after + limit
        rows = [
            {"id": name, "peer": {}, "local": {}, "started_at": "", "bytes_in": self.connections[name], "bytes_out": 0}
            | {"state": "reading", "tls": None}
            for name in names[after:last]
        ]
        return {
            "workers": [{"pid": 7, "connections": rows, "after": last if last < len(names) else None}],
            "silent": [],
        }

    def tell_conversation(self, request: dict[str, Any]) -> Any:
        if request["connection"] != "7-1":
            raise Refused(f"there is no connection {request['connection']}")
        said = [{"seq": seq, "words": words} for seq, words in enumerate(self.messages, 1) if seq > request["after"]]
        return {"connection": "7-1", "messages": said, "ended": self.ended, "lost": 0}

    def tell_sockets(self, request: dict[str, Any]) -> Any:
        after = request.get("after")
        rows = [{"fd": 3}] if after is None else [{"fd": after + 1}]
        return {"workers": [{"pid": 7, "sockets": rows, "after": 3 if after is None else None}], "silent": []}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once."""
    monkeypatch.setattr(watch_module, "LOOK_S", 0.002)
    monkeypatch.setattr(page_module, "CONVERSATION_S", 0.002)
    monkeypatch.setattr(page_module, "SOCKETS_S", 0.002)


class Visitor:
    """A page that is open, and what it has been told."""

    def __init__(self, server: Server, watch: Watch) -> None:
        self.events: list[tuple[str, Any]] = []
        self.status = 0
        self._gone = asyncio.Event()
        self._told = asyncio.Event()
        self.page = Page(server.ask, watch, self._send)
        self.task = asyncio.create_task(self.page.run(self._receive))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        for block in message.get("body", b"").decode().split("\n\n"):
            if block.startswith("event: "):
                name, data = block.removeprefix("event: ").split("\ndata: ")
                self.events.append((name, json.loads(data)))
        self._told.set()

    def leave(self) -> None:
        self._gone.set()

    def of(self, name: str) -> list[Any]:
        return [data for other, data in self.events if other == name]

    async def hear(self, fact: Any) -> None:
        """Wait until what was told makes the fact true."""
        async with asyncio.timeout(SECONDS):
            while not fact():
                self._told.clear()
                await self._told.wait()

    @property
    def rows(self) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for event in self.of("connections"):
            rows = applied(rows, event)
        return {name: one[6] for name, one in rows.items()}


def test_a_page_is_told_of_all_and_then_of_changes_only() -> None:
    async def visit() -> None:
        server = Server()
        server.connections = {f"7-{number}": 1 for number in range(600)}
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        await visitor.hear(lambda: len(visitor.rows) == 600)
        told = len(visitor.of("connections"))
        server.connections["7-1"] = 5
        del server.connections["7-2"]
        await visitor.hear(lambda: visitor.rows.get("7-1") == 5 and "7-2" not in visitor.rows)
        later = visitor.of("connections")[told:]
        assert all(not event["anew"] and len(event["new"]) == 0 for event in later)
        assert visitor.status == 200
        names = [(service["service"], service["builtin"]) for service in visitor.of("server")[0]["services"]]
        assert names == [("echo", False), ("dashboard", True)]
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_a_second_page_is_told_everything_too() -> None:
    async def visit() -> None:
        server = Server()
        server.connections = {"7-1": 1}
        watch = Watch(server.ask, frozenset())
        server.tell_connections = lambda request: Server.tell_connections(server, {**request, "worker": 7})  # type: ignore[method-assign]
        first = Visitor(server, watch)
        await first.hear(lambda: first.rows == {"7-1": 1})
        second = Visitor(server, watch)
        await second.hear(lambda: second.rows == {"7-1": 1})
        first.leave()
        await first.task
        server.connections["7-1"] = 2
        await second.hear(lambda: second.rows == {"7-1": 2})
        second.leave()
        await second.task

    asyncio.run(visit())


def test_a_busy_worker_s_connections_stay_as_they_were_last_seen() -> None:
    async def visit() -> None:
        server = Server()
        server.connections = {"7-1": 1}
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        await visitor.hear(lambda: visitor.rows == {"7-1": 1})
        server.is_busy = True
        await visitor.hear(lambda: visitor.of("server")[-1].get("busy") == [7])
        assert visitor.rows == {"7-1": 1}
        server.is_busy = False
        await visitor.hear(lambda: visitor.of("server")[-1].get("busy") == [])
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_nobody_is_asked_when_nobody_looks() -> None:
    async def visit() -> None:
        server = Server()
        watch = Watch(server.ask, frozenset({"dashboard"}))
        assert server.asked == []
        visitor = Visitor(server, watch)
        await visitor.hear(lambda: visitor.of("connections"))
        visitor.leave()
        await visitor.task
        asked = len(server.asked)
        await asyncio.sleep(0.02)
        assert len(server.asked) == asked
        server.connections = {"7-9": 9}
        again = Visitor(server, watch)
        await again.hear(lambda: again.rows == {"7-9": 9})
        assert again.of("connections")[0]["anew"]
        again.leave()
        await again.task

    asyncio.run(visit())


def test_a_silent_server_is_said_to_be_silent() -> None:
    async def visit() -> None:
        server = Server()
        server.is_silent = True
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        await visitor.hear(lambda: visitor.of("server"))
        assert visitor.of("server")[0]["silent"] == "the server does not answer"
        server.is_silent = False
        await visitor.hear(lambda: "services" in visitor.of("server")[-1])
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_errors_are_told_once() -> None:
    async def visit() -> None:
        server = Server()
        server.errors = [{"seq": 1, "error": "first"}]
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        await visitor.hear(lambda: visitor.of("errors"))
        server.errors.append({"seq": 2, "error": "second"})
        await visitor.hear(lambda: len(visitor.of("errors")) == 2)
        assert [[one["seq"] for one in event["errors"]] for event in visitor.of("errors")] == [[1], [2]]
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_a_conversation_is_told_as_it_grows_until_it_is_over() -> None:
    async def visit() -> None:
        server = Server()
        server.messages = ["USER anna"]
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        visitor.page.want("7-1", sockets=False)
        words = lambda: [one["words"] for event in visitor.of("conversation") for one in event["messages"]]  # noqa: E731
        await visitor.hear(lambda: words() == ["USER anna"])
        server.messages.append("331 Password, please.")
        await visitor.hear(lambda: words() == ["USER anna", "331 Password, please."])
        server.ended = {"reason": "peer"}
        await visitor.hear(lambda: visitor.of("conversation")[-1]["ended"] == {"reason": "peer"})
        asked = server.count("conversation")
        await asyncio.sleep(0.02)
        assert server.count("conversation") == asked
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_a_conversation_that_nobody_knows_is_said_to_be_missing() -> None:
    async def visit() -> None:
        server = Server()
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        visitor.page.want("7-404", sockets=False)
        await visitor.hear(lambda: visitor.of("conversation"))
        assert visitor.of("conversation")[0]["missing"] == "there is no connection 7-404"
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_sockets_are_looked_at_while_they_are_shown_and_page_by_page() -> None:
    async def visit() -> None:
        server = Server()
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        await visitor.hear(lambda: visitor.of("server"))
        assert server.count("sockets") == 0
        visitor.page.want(None, sockets=True)
        await visitor.hear(lambda: visitor.of("sockets"))
        assert visitor.of("sockets")[0]["workers"][0]["sockets"] == [{"fd": 3}, {"fd": 4}]
        visitor.page.want(None, sockets=False)
        visitor.leave()
        await visitor.task

    asyncio.run(visit())


def test_a_page_that_is_told_to_end_ends_its_response() -> None:
    async def visit() -> None:
        server = Server()
        visitor = Visitor(server, Watch(server.ask, frozenset({"dashboard"})))
        await visitor.hear(lambda: visitor.of("hello"))
        visitor.page.end()
        async with asyncio.timeout(SECONDS):
            await visitor.task

    asyncio.run(visit())
