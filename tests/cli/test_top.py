"""``portside top`` as a screen: textual's own pilot presses the keys, and a server that is not there answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from portside.cli import top_rows
from portside.observe.dashboard import watch as watch_module
from portside.observe.dashboard.asking import Refused, Silent
from portside.observe.dashboard.rows import Row, row_of

pytest.importorskip("textual")

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from portside.cli.top_screen import Conversation, Question, Top

NOW = "2026-01-01T00:00:00+00:00"
WITHIN_S = 30.0


class Server:
    """A server with one service, whose connections, words and failures a test sets."""

    def __init__(self) -> None:
        self.connections: dict[str, int] = {"7-1": 10, "7-2": 20}
        self.words: list[str] = ["USER anna"]
        self.ended: list[str] = []
        self.is_silent = False

    async def ask(self, request: dict[str, Any]) -> Any:
        if self.is_silent:
            raise Silent("the server does not answer")
        match request["do"]:
            case "stats":
                return self._stats()
            case "errors":
                error = {"seq": 1, "time": NOW, "service": "ftp", "peer": None, "error": "ValueError: [bold]oh[/bold]"}
                return {"errors": [] if request["after"] else [{**error, "traceback": "Traceback: it failed"}]}
            case "connections":
                rows = [self._connection(name) for name in self.connections]
                return {"workers": [{"pid": 7, "connections": rows, "after": None}], "silent": []}
            case "conversation":
                return self._conversation(request["after"])
            case "end" if request["connection"] in self.connections:
                self.ended.append(request["connection"])
                del self.connections[request["connection"]]
                return None
        raise Refused(f"there is no connection {request.get('connection')}")

    def _stats(self) -> dict[str, Any]:
        process = {"age_s": 9.0, "cpu_s": 1.0, "rss_bytes": 50_000_000, "threads": 1}
        counters = dict.fromkeys(("opened", "datagrams", "bytes_in", "bytes_out", "handler_failed"), 3)
        service = {"service": "ftp", "state": "ready", "model": "event", "listen": ["tcp://[::]:21"], **counters}
        service |= {"open": len(self.connections), "limits_hit": {"per_ip": 4, "denied": 1}}
        service |= {"workers": [{"pid": 7, "state": "ready", **process}]}
        about = {"version": "1.2.3", "pid": 1, "state": "running", "ready": True, "up_s": 61.0, **process}
        return {**about, "services": [service]}

    def _connection(self, name: str) -> dict[str, Any]:
        peer = {"host": "192.0.2.1", "port": 40_000 + int(name.partition("-")[2])}
        counts = {"bytes_in": self.connections[name], "bytes_out": 0}
        return {"id": name, "peer": peer, "local": peer, "started_at": NOW, "state": "reading", "tls": None, **counts}

    def _conversation(self, after: int) -> dict[str, Any]:
        said = {"time": NOW, "direction": "in", "lane": "", "bytes": 9}
        messages = [{**said, "seq": seq, "words": words} for seq, words in enumerate(self.words, 1) if seq > after]
        row = self._connection("7-1")
        about = {"connection": "7-1", "service": "ftp", "worker": 7, "row": row}
        return {**about, "messages": messages, "lost": 0, "ended": None}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "LOOK_S", 0.4)
    monkeypatch.setattr("portside.cli.top_screen.LOOK_S", 0.2)


def shown(server: Server, visit: Callable[[Top, Pilot[None]], Any]) -> None:
    """Show the server, and have ``visit`` look and press keys."""

    async def run() -> None:
        app = Top(server.ask)
        async with app.run_test(size=(140, 40)) as pilot:
            await seen(pilot, lambda: table(app, "connections").row_count == len(server.connections))
            await visit(app, pilot)

    asyncio.run(run())


async def seen(pilot: Pilot[None], fact: Callable[[], Any]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not fact():
            await pilot.pause(0.01)


def table(app: App[None], name: str) -> DataTable[Any]:
    return app.screen_stack[0].query_one(f"#{name}", DataTable)


def cells(app: App[None], name: str) -> list[list[str]]:
    found = table(app, name)
    return [[str(cell) for cell in found.get_row_at(at)] for at in range(found.row_count)]


def test_the_server_is_shown_and_connections_come_and_go() -> None:
    server = Server()

    async def visit(app: Top, pilot: Pilot[None]) -> None:
        assert "portside 1.2.3  running  up 1m01s  2 connections" in str(app.query_one("#status", Static).render())
        service = cells(app, "services")[0]
        assert service[:4] == ["ftp", "ready", "event", "2"]
        assert service[9] == "5"
        assert [row[1] for row in cells(app, "processes")] == ["supervisor", "ftp"]
        assert cells(app, "errors")[0][3] == "ValueError: [bold]oh[/bold]"
        server.connections["7-3"] = 5
        await seen(pilot, lambda: table(app, "connections").row_count == 3)
        server.connections = {"7-3": 2_048}
        await seen(pilot, lambda: [row[4] for row in cells(app, "connections")] == ["2.00K"])

    shown(server, visit)


def test_a_filter_and_an_order() -> None:
    async def visit(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *":40002", "enter")
        await seen(pilot, lambda: [row[0] for row in cells(app, "connections")] == ["7-2"])
        assert table(app, "connections").has_focus
        await pilot.press("o", "o", "o", "o")
        await seen(pilot, lambda: "1 of 2, peer" in str(app.query_one("#tabs").get_tab("tab-connections").label))  # type: ignore[attr-defined]

    shown(Server(), visit)


def test_a_connection_is_closed_when_it_is_confirmed() -> None:
    server = Server()

    async def visit(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("x")
        assert isinstance(app.screen, Question)
        await pilot.press("n")
        assert server.ended == []
        name = cells(app, "connections")[table(app, "connections").cursor_row][0]
        await pilot.press("x", "y")
        await seen(pilot, lambda: server.ended == [name])
        await seen(pilot, lambda: table(app, "connections").row_count == 1)

    shown(server, visit)


def test_a_conversation_grows_while_it_is_watched() -> None:
    server = Server()

    async def visit(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Conversation)
        words = lambda: str(app.screen.query_one("#words", Static).render())  # noqa: E731
        await seen(pilot, lambda: "USER anna" in words())
        server.words.append("PASS (not shown)")
        await seen(pilot, lambda: "USER anna" in words() and "PASS (not shown)" in words())
        await pilot.press("escape")
        assert not isinstance(app.screen, Conversation)

    shown(server, visit)


def test_a_silent_server_is_said_to_be_silent_and_found_again() -> None:
    server = Server()

    async def visit(app: Top, pilot: Pilot[None]) -> None:
        status = lambda: str(app.query_one("#status", Static).render())  # noqa: E731
        server.is_silent = True
        await seen(pilot, lambda: "No answer" in status())
        assert table(app, "connections").has_class("is-stale")
        server.is_silent = False
        await seen(pilot, lambda: "running" in status())
        assert not table(app, "connections").has_class("is-stale")

    shown(server, visit)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def row(name: str, service: str = "echo", at: str = NOW, bytes_in: int = 0) -> Row:
    peer = {"host": "192.0.2.1", "port": int(name)}
    facts = {"id": name, "peer": peer, "local": peer, "started_at": at, "bytes_in": bytes_in, "bytes_out": 1}
    return row_of({**facts, "state": "reading", "tls": None}, service, 7)


def test_rates_are_of_the_time_between_two_looks() -> None:
    rate = top_rows.Rate()
    for value, at_s in ((100, 0.0), (300, 2.0), (300, 3.0), (250, 4.0)):
        rate.add(value, at_s)
    assert list(rate.values) == [100.0, 0.0, 0.0]
    assert rate.spark.strip() == "█▁▁"
    assert len(rate.spark) == top_rows.SPARK_CELLS


def test_rates_of_what_is_gone_are_forgotten() -> None:
    rates = top_rows.Rates()
    rates.add({"a": 0}, 0.0)
    rates.add({"a": 5}, 1.0)
    assert rates.of("a").now == 5.0
    rates.add({}, 2.0)
    rates.add({"a": 50}, 3.0)
    assert rates.of("a").now == 0.0


@pytest.mark.parametrize(
    ("order", "names"),
    [("oldest", "213"), ("youngest", "312"), ("service", "321"), ("peer", "123"), ("moving", "132")],
)
def test_connections_are_put_in_order(order: str, names: str) -> None:
    years = {"1": "2026", "2": "2025", "3": "2027"}
    services = {"1": "c", "2": "b", "3": "a"}
    rows = [row(name, services[name], f"{years[name]}-01-01T00:00:00+00:00") for name in "213"]
    rates = top_rows.Rates()
    rates.add(dict.fromkeys("123", 0), 0.0)
    rates.add({"1": 9, "2": 0, "3": 5}, 1.0)
    assert "".join(one[0] for one in top_rows.chosen(rows, "", order, rates, 9)) == names
    assert len(top_rows.chosen(rows, "", order, rates, 2)) == 2


def test_all_words_of_a_filter_must_fit() -> None:
    rows = [row("1", "echo"), row("2", "files")]
    rates = top_rows.Rates()
    assert [one[0] for one in top_rows.chosen(rows, "FILES 192.0.2.1:2", "peer", rates, 9)] == ["2"]
    assert top_rows.chosen(rows, "files 192.0.2.1:1", "peer", rates, 9) == []


def test_an_age_is_told_from_when_it_began() -> None:
    assert top_rows.connection_cells(row("1"), 0.0, datetime(2026, 1, 1, 0, 1, 5, tzinfo=UTC))[3] == "1m05s"
