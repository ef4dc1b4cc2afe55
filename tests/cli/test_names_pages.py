"""docs/reference.md and docs/names.md say what address, resolve and connections print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from portside.address import InternetAddress, UnixAddress
from portside.cli import address, address_facts, connections, open_sockets, output, resolve
from portside.net.resolve import Resolution
from portside.wire.sock_diag import STATES, OpenSocket

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def reference() -> str:
    return (DOCS / "reference.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names() -> str:
    return (DOCS / "names.md").read_text(encoding="utf-8")


def documented(reference: str, command: str) -> list[str]:
    """Return the words in code of the paragraph that begins with the command."""
    (paragraph,) = re.findall(rf"^\*\*`{command}`\*\*(.*?)\n\n", reference, re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", paragraph)


def keys_in(value: Any) -> list[str]:
    """Return every key, outer ones first, of a value as JSON has it."""
    if isinstance(value, list):
        return [key for item in value for key in keys_in(item)]
    if not isinstance(value, dict):
        return []
    return list(value) + [key for item in value.values() for key in keys_in(item)]


@pytest.mark.parametrize("text", ["128.143.67.11:80", "[fe80::250:56ff:fea1:1%lo]:443", "ff02::1", "::ffff:1.2.3.4"])
def test_the_keys_of_address(reference: str, text: str) -> None:
    row = output.to_json(address._row(address_facts.describe(address_facts.parse_typed(text))))
    said = documented(reference, "address")
    assert said[: len(row)] == list(row)
    assert set(keys_in(row)) <= set(said)


def test_no_key_of_address_is_only_documented(reference: str) -> None:
    rows = [
        address._row(address_facts.describe(address_facts.parse_typed(text)))
        for text in ("10.0.0.1:80", "[fe80::1%lo]:443", "ff02::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2")
    ]
    assert set(documented(reference, "address")) == set(keys_in(output.to_json(rows)))


def test_the_keys_of_resolve(reference: str) -> None:
    row = resolve._row(Resolution(InternetAddress("192.0.2.1", 80), "ipv4", "stream", "tcp", None), has_port=True)
    assert [word for word in documented(reference, "resolve") if word not in {"port", "--reverse"}] == list(row)


def test_the_keys_of_records_and_of_a_walk(reference: str) -> None:
    pytest.importorskip("dns.message", reason="dnspython is not installed")
    from portside.cli import resolve_dns
    from portside.protocols.dns.client import Record
    from portside.protocols.dns.walk import Outcome, Step

    record = Record("x.", 1, "A", "192.0.2.1")
    said = documented(reference, "resolve --type")
    assert [word for word in said if word != "--server"] == [*resolve_dns._record_row(record), "server", "transport"]
    server = InternetAddress("192.0.2.53", 53)
    step = Step(0, ".", "x.", "A", server, None, "answer", "answers", (record,), 0.1)
    said = documented(reference, "resolve --trace")
    row = resolve_dns.step_row(step)
    records = list(resolve_dns._record_row(record))
    outcomes = list(get_args(Outcome))
    assert said == [*list(row)[:-1], *records, "took_s", "outcome", *outcomes]


def test_the_keys_of_connections(reference: str) -> None:
    found = OpenSocket("unix", "stream", "unix", "LISTEN", UnixAddress("/x"), None, 0, 0, 0, 1)
    row = connections.row_of(open_sockets.Entry(found, "root", ()))
    said = [word for word in documented(reference, "connections") if word not in {"pid", "program"}]
    assert said == list(row)


def test_the_page_shows_what_the_command_prints(names: str) -> None:
    said = address_facts.describe(address_facts.parse_typed("128.143.67.11:80"))
    shown = "\n".join(address.lines_of(said, 80)) + "\n"
    if said.sockaddr.host_order == "little" and said.port and said.port.services[:1]:
        assert shown.partition("\nport ")[0] in names
        assert shown.partition("struct ")[2] in names


def test_the_states_are_named(names: str) -> None:
    assert {"LISTEN", "CONNECTED", "UNCONNECTED"} <= set(STATES)
    for word in ("LISTEN", "CONNECTED", "UNCONNECTED", "TIME-WAIT"):
        assert word in names


def test_the_options_are_documented(names: str) -> None:
    for command in (address.address, resolve.resolve, connections.connections):
        for parameter in command.params:
            for option in getattr(parameter, "opts", []):
                if option.startswith("--"):
                    assert option in names, option
