"""The dashboard as people meet it: a real server, a real Chromium, and what is to be seen and done in it."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.client import connect
from support.devtools import Browser, browsing
from support.server import Server

pytest.importorskip("httptools")
pytest.importorskip("websockets")

Serve = Callable[..., Server]
HANDLERS = Path(__file__).parent / "handlers"
DASHBOARD = "http://127.0.0.1:0"
ROWS = "#connections .grid-body .grid-row:not([hidden])"
COUNT = f"document.querySelectorAll('{ROWS}').length"
TOKEN = "the-token-of-these-tests"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def browser(chromium: Browser, serve: Serve) -> Iterator[Browser]:
    """The module's browser, as wide as a screen; it may not complain of anything until servers are stopped."""
    chromium.complaints.clear()
    chromium.look(1_280, 900)
    yield chromium
    chromium.open("about:blank#over")
    assert chromium.complaints == []


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.at('dashboard').port}/"


def open_dashboard(browser: Browser, server: Server) -> None:
    browser.open(url_of(server))
    browser.wait_for("document.body.dataset.link === 'live'")


def echo(serve: Serve, *more: str, port: int = 0) -> Server:
    arguments = ("serve", "echo", "--listen", "tcp://127.0.0.1:0", "--dashboard", f"http://127.0.0.1:{port}", *more)
    return serve(*arguments, listening=2)


def wait_for_text(browser: Browser, text: str) -> None:
    browser.wait_for(f"document.body.innerText.includes({json.dumps(text)})")


# ── what is seen ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_is_there_and_then_rows_come_and_go(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    wait_for_text(browser, "Nobody is connected.")
    wait_for_text(browser, f"portside connect {server.at('echo').url}")
    first = connect(server.at("echo"))
    with connect(server.at("echo")) as second:
        second.sendall(b"hello")
        browser.wait_for(f"{COUNT} === 2")
        wait_for_text(browser, f"127.0.0.1:{first.getsockname()[1]}")
        wait_for_text(browser, "5 B")
        first.close()
        browser.wait_for(f"{COUNT} === 1")
        assert f"127.0.0.1:{second.getsockname()[1]}" in browser.text()
    wait_for_text(browser, "Nobody is connected.")


def test_its_own_service_is_shown_apart(browser: Browser, serve: Serve) -> None:
    open_dashboard(browser, echo(serve))
    names = "[...document.querySelectorAll('#services tbody .name')].map((one) => one.textContent)"
    assert browser.wait_for(f"{names}.length && {names}") == ["echo"]
    browser.click("#tab-workers")
    wait_for_text(browser, "dashboard (shows this)")
    wait_for_text(browser, "supervisor")


def test_connections_are_filtered_and_sorted(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    with connect(server.at("echo")) as quiet, connect(server.at("echo")) as loud:
        loud.sendall(b"x" * 3_000)
        browser.wait_for(f"{COUNT} === 2")
        wait_for_text(browser, "2.93 K")
        browser.click("#connections .grid-head .in button")
        first = f"document.querySelector('{ROWS}[aria-rowindex=\"2\"] .peer').textContent"
        browser.wait_for(f"{first}.endsWith(':{loud.getsockname()[1]}')")
        browser.click("#connections .grid-head .in button")
        browser.wait_for(f"{first}.endsWith(':{quiet.getsockname()[1]}')")
        browser.press("/", f":{loud.getsockname()[1]}")
        browser.wait_for(f"{COUNT} === 1")
        wait_for_text(browser, "1 of 2 connections")
        browser.press("Escape")
        browser.wait_for(f"{COUNT} === 2")


def test_a_conversation_grows_while_it_is_watched(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    arguments = ("--listen", "tcp://127.0.0.1:0", "--dashboard", DASHBOARD)
    server = serve("serve", "ftp", str(tmp_path), "--anonymous", *arguments, listening=2)
    open_dashboard(browser, server)
    with connect(server.at("ftp")) as client:
        client.sendall(b"USER anonymous\r\n")
        browser.wait_for(f"{COUNT} === 1")
        browser.click(f"{ROWS} .peer")
        words = "[...document.querySelectorAll('#diagram .words')].map((one) => one.textContent)"
        browser.wait_for(f"{words}.includes('USER anonymous')")
        client.sendall(b"SYST\r\n")
        browser.wait_for(f"{words}.includes('SYST') && {words}.some((one) => one.startsWith('215'))")
        client.sendall(b"QUIT\r\n")
        browser.wait_for(f"{words}.some((one) => one.startsWith('221'))")
    wait_for_text(browser, "It is over")
    labels = browser.run("[...document.querySelectorAll('#diagram [role=listitem]')].map((one) => one.ariaLabel)")
    assert len(labels) == browser.run("document.querySelectorAll('#diagram .words').length")
    browser.press("Escape")
    browser.wait_for("document.querySelector('#conversation').hidden")


def test_a_failure_is_shown_with_its_traceback_folded_and_as_text(browser: Browser, serve: Serve) -> None:
    arguments = ("run", "failing:failing", "--listen", "tcp://127.0.0.1:0", "--dashboard", DASHBOARD)
    server = serve(*arguments, listening=2, tracebacks=True, cwd=HANDLERS)
    open_dashboard(browser, server)
    with connect(server.at("failing:failing")) as client:
        client.sendall(b"word\n")
    browser.wait_for("document.querySelector('#count-errors').textContent === '1'")
    browser.click("#tab-errors")
    wait_for_text(browser, "ValueError: <img src=x onerror=alert(1)> word")
    assert "Traceback" not in browser.text()
    browser.click("#errors summary")
    wait_for_text(browser, "in failing")
    assert browser.run("document.querySelectorAll('#errors img').length") == 0


def test_open_sockets_are_a_table_of_processes_and_descriptors(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    browser.click("#tab-sockets")
    listening = f"127.0.0.1:{server.at('echo').port}"
    rows = "[...document.querySelectorAll('#sockets .grid-body .grid-row:not([hidden])')].map((one) => one.innerText)"
    browser.wait_for(f"{rows}.some((one) => one.includes('listen') && one.includes('{listening}'))")
    assert not browser.run(f"{rows}.some((one) => one.includes('epoll'))")
    browser.click("#all-files")
    browser.wait_for(f"{rows}.some((one) => one.includes('epoll'))")


# ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_is_closed_when_it_is_confirmed(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    with connect(server.at("echo")) as client:
        browser.wait_for(f"{COUNT} === 1")
        browser.click(f"{ROWS} .remove button")
        browser.wait_for("document.querySelector('#confirm').open")
        browser.press("Escape")
        browser.wait_for("!document.querySelector('#confirm').open")
        client.sendall(b"still here")
        assert client.recv(100) == b"still here"
        browser.click(f"{ROWS} .remove button")
        browser.wait_for("document.querySelector('#confirm').open")
        browser.click("#confirm button[value=close]")
        assert client.recv(100) == b""
    wait_for_text(browser, "is closed.")
    browser.wait_for(f"{COUNT} === 0")


def test_everything_can_be_done_by_keyboard(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    with connect(server.at("echo")) as client, connect(server.at("echo")):
        browser.wait_for(f"{COUNT} === 2")
        for _ in range(40):
            browser.press("Tab")
            if browser.run("document.activeElement.getAttribute('role') === 'grid'"):
                break
        browser.press("Home", "ArrowDown", "ArrowUp")
        assert browser.run("document.querySelectorAll('[role=row][aria-selected=true]').length") == 1
        assert browser.run("Boolean(document.activeElement.getAttribute('aria-activedescendant'))")
        browser.press("Enter")
        browser.wait_for("!document.querySelector('#conversation').hidden")
        assert browser.run("document.activeElement.id") == "conversation"
        browser.press("Escape")
        browser.wait_for("document.activeElement.getAttribute('role') === 'grid'")
        peer = browser.run("document.querySelector('[role=row][aria-selected=true] .peer').textContent")
        browser.press("Delete")
        browser.wait_for("document.querySelector('#confirm').open")
        assert browser.run("document.activeElement.textContent") == "Keep it"
        browser.press("Tab", "Enter")
        browser.wait_for(f"{COUNT} === 1")
        assert (browser.run(f"document.querySelector('{ROWS} .peer').textContent")) != peer
        browser.run("document.querySelector('#tab-connections').focus()")
        browser.press("ArrowRight")
        assert browser.run("document.activeElement.id") == "tab-workers"
        assert browser.run("document.querySelector('#panel-workers').hidden") is False
        assert client.getsockname()


def test_every_control_has_a_name(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    with connect(server.at("echo")):
        browser.wait_for(f"{COUNT} === 1")
        tree = browser.command("Accessibility.getFullAXTree")["nodes"]
    wanted = {"button", "tab", "textbox", "searchbox", "combobox", "checkbox", "grid", "table", "region", "tabpanel"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in wanted - {"table"}
        if not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []


# ── a server that goes away ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_server_is_said_so_and_found_again(chromium: Browser, serve: Serve) -> None:
    browser = chromium
    browser.look(1_280, 900)
    server = echo(serve)
    port = server.at("dashboard").port
    open_dashboard(browser, server)
    with connect(server.at("echo")):
        browser.wait_for(f"{COUNT} === 1")
        server.signal(signal.SIGTERM)
        browser.wait_for("document.body.dataset.link === 'lost'")
    assert "The server does not answer. What you see is from" in browser.text()
    browser.wait_for("getComputedStyle(document.querySelector('.layout')).filter === 'grayscale(1)'")
    server.wait()
    again = echo(serve, port=port)
    browser.wait_for("document.body.dataset.link === 'live'")
    browser.wait_for("document.querySelector('#banner').hidden")
    wait_for_text(browser, "Nobody is connected.")
    with connect(again.at("echo")):
        browser.wait_for(f"{COUNT} === 1")
    browser.open("about:blank#over")


def test_a_reload_of_the_server_ends_no_page_for_long(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    pid = server.pid
    server.signal(signal.SIGHUP)
    server.wait_for(lambda: any("reloaded" in line for line in server.lines), "a reload")
    with connect(server.at("echo")):
        browser.wait_for(f"document.body.dataset.link === 'live' && {COUNT} === 1")
    wait_for_text(browser, str(pid))


# ── who may look ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_lets_in_and_is_taken_out_of_the_address(chromium: Browser, serve: Serve) -> None:
    browser = chromium
    server = echo(serve, "--dashboard-token", TOKEN)
    browser.open(url_of(server))
    wait_for_text(browser, "The dashboard asks for its token")
    browser.run("document.querySelector('#token').value = 'not the token at all'")
    browser.click("button[type=submit]")
    browser.wait_for("location.pathname === '/login' && document.readyState === 'complete'")
    wait_for_text(browser, "The dashboard asks for its token")
    browser.open(f"{url_of(server)}?token={TOKEN}")
    browser.wait_for("document.body.dataset.link === 'live'")
    assert "token" not in browser.run("location.href")
    cookie = browser.command("Network.getCookies")["cookies"][0]
    assert (cookie["httpOnly"], cookie["sameSite"], TOKEN in cookie["value"]) == (True, "Strict", False)
    browser.command("Network.clearBrowserCookies")
    browser.open("about:blank#over")


# ── ten thousand ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_thousand_connections_do_not_freeze_the_page(browser: Browser, serve: Serve) -> None:
    server = serve("serve", "asgi", "many:app", "--listen", "tcp://127.0.0.1:0", "--drain", "1s", cwd=HANDLERS)
    browser.open(f"http://127.0.0.1:{server.port}/")
    browser.wait_for("document.querySelector('#shown').textContent.startsWith('10,000 connections')")
    assert browser.run("document.querySelectorAll('#connections .grid-row').length") < 100
    browser.run(
        "window.longest = 0; new PerformanceObserver((list) => { for (const one of list.getEntries())"
        " window.longest = Math.max(window.longest, one.duration); }).observe({ type: 'longtask' })"
    )
    row = f"document.querySelector('{ROWS}[aria-rowindex=\"10001\"] .peer')"
    browser.run("document.querySelector('#connections .grid').focus()")
    browser.click("#connections .grid-head .peer button")
    browser.run("document.querySelector('#connections .grid').focus()")
    browser.press("End")
    assert browser.wait_for(f"{row} && {row}.textContent") == "10.0.39.249:49999"
    browser.press("/", "10.0.17.")
    browser.wait_for("document.querySelector('#shown').textContent.startsWith('250 of 10,000 connections')")
    assert browser.run("window.longest") < 1_000  # milliseconds, on a machine that has other things to do


def test_no_page_is_wider_than_a_telephone(browser: Browser, serve: Serve) -> None:
    server = echo(serve)
    open_dashboard(browser, server)
    with connect(server.at("echo")) as client:
        assert isinstance(client, socket.socket)
        browser.wait_for(f"{COUNT} === 1")
        for width in (360, 768, 1_920):
            browser.look(width, 760, dark=width == 360)
            for tab in ("connections", "workers", "sockets", "errors"):
                browser.run(f"document.querySelector('#tab-{tab}').click()")
                assert browser.run("document.documentElement.scrollWidth") <= width
