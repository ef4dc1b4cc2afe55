"""docs/reference.md says what the code does: generated tables, and the keys of what is printed."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from portside import events
from portside.address import InternetAddress
from portside.cli.main import main
from portside.observe.log import Log, LogHandler
from portside.observe.packets.fields import TITLES
from support.capturing import pcapng, udp
from support.server import Server, portside
from support.waiting import wait_until

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "reference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("reference.md", ["commands", "settings", "batteries", "names"]),
        ("ftp.md", ["options"]),
        ("http.md", ["site_options"]),
        ("asgi.md", ["asgi_options"]),
    ],
)
def test_the_generated_parts_are_what_the_code_says(name: str, parts: list[str], generate: ModuleType) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert re.findall(r"<!-- (\w+) -->", text) == [word for part in parts for word in (part, "end")]
    assert DOCS / name in generate.PAGES
    assert generate.generated(text) == text, "run: python docs/generate.py"


def test_every_log_record_has_the_keys_that_are_documented(page: str) -> None:
    documented = {
        event: (level, re.findall(r"`(\w+)`", keys))
        for event, level, keys in re.findall(r"^\| `(\w+)` \| (debug|info|warning|error|any) \| (.*) \|$", page, re.M)
    }
    peer = InternetAddress("192.0.2.1", 7)
    records: list[dict[str, Any]] = []
    log = Log(lambda record: None, lambda record: records.append(record) or b"", level="debug", later=lambda *_: None)
    log(events.ConnectionOpened("s", "c", peer, peer))
    log(events.ConnectionClosed("s", "c", peer, peer, 0, 0, 0.0, "done"))
    log(events.HandlerFailed("s", "c", peer, ValueError()))
    log(events.LimitHit("s", peer, "denied"))
    log(events.Spoke("s", "c", "in", "x", 1))
    log(events.LoginTried("s", "c", peer, "anna"))
    log(events.FileActed("s", "c", peer, "anna", "upload", "/a"))
    said = {record["event"]: (record["level"], [*record][3:]) for record in records}
    handler = LogHandler(log)
    handler.emit(logging.LogRecord("x", logging.INFO, __file__, 1, "hello", (), None))
    said["log"] = ("any", [*records[-1]][3:])
    assert said == documented


@pytest.fixture(scope="module")
def listings(page: str) -> dict[str, list[str]]:
    """The documented keys of each listing."""
    (table,) = re.findall(r"^\| listing \|.*?\n\n", page, re.M | re.S)
    rows = [row.split("|") for row in table.splitlines()]
    return {row[1].strip().replace("`", ""): re.findall(r"`(\w+)`", row[3]) for row in rows if len(row) == 5}


def test_the_keys_of_listings_are_the_documented_ones(
    listings: dict[str, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("nonsense = 1\n")
    for name, arguments in {
        "check": [str(path)],
        "address": ["::1"],
        "resolve": ["127.0.0.1"],
        "connections": [],
    }.items():
        with socket.create_server(("127.0.0.1", 0)):
            assert main([name, *arguments, "--json"]) in (0, 2)
        row, *_ = json.loads(capsys.readouterr().out)
        assert list(row) == listings[name]


def test_the_keys_of_a_server_and_its_clients_are_the_documented_ones(
    serve: Callable[..., Server], listings: dict[str, list[str]], tmp_path: Path
) -> None:
    control = f"{tmp_path}/control"
    server = serve("serve", "directory", "--listen", "tcp://127.0.0.1:0", "--control", control)
    url = str(server.ready[0].endpoint)
    (name,) = portside("lookup", "directory", "--server", url, "--json").stdout.splitlines()
    assert list(json.loads(name)) == listings["lookup"]
    said = [json.loads(line) for line in portside("connect", url, "--json", input="directory\n").stdout.splitlines()]
    assert [event["event"] for event in said] == ["connected", "sent", "received", "closed"]
    for event in said:
        assert list(event) == listings[next(row for row in listings if event["event"] in row and "connect" in row)]
    with socket.create_connection(("127.0.0.1", server.ready[0].port)):

        def listed() -> list[dict[str, Any]]:
            (service,) = json.loads(portside("ps", "--control", control, "--json").stdout)
            assert list(service) == listings["ps"]
            assert list(service["workers"][0]) == listings["workers of ps"]
            return service["connections"]

        connection, *_ = wait_until(listed, "the connection is listed")
        assert list(connection) == listings["connections of ps"]


def test_the_keys_of_packets_are_the_documented_ones(
    page: str, listings: dict[str, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "one.pcapng"
    path.write_bytes(pcapng(udp(b"hello")))
    assert main(["capture", "-r", str(path), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    layer = row["layers"][0]
    assert list(row) == listings["capture"]
    assert list(layer) == listings["layers of capture"]
    assert list(layer["fields"][0]) == listings["fields of layers of capture"]
    (sentence,) = re.findall(r"`layer` is (.*?);", page, re.S)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(TITLES)


def test_every_way_a_connection_ends_is_documented(page: str) -> None:
    (paragraph,) = re.findall(r"^`ended` is .*?\n\n", page, re.M | re.S)
    assert set(get_args(events.EndReason)) == set(re.findall(r"`(\w+)`", paragraph)) - {"ended"}
