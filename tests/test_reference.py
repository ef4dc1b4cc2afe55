"""docs/reference.md says what the code does: generated tables, and the keys of what is printed."""

from __future__ import annotations

import importlib.util
import logging
import re
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from portside import events
from portside.address import InternetAddress
from portside.observe.log import Log, LogHandler

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


def test_the_generated_parts_are_what_the_code_says(page: str, generate: ModuleType) -> None:
    assert re.findall(r"<!-- (\w+) -->", page) == [
        "commands",
        "end",
        "settings",
        "end",
        "batteries",
        "end",
        "names",
        "end",
    ]
    assert generate.generated(page) == page, "run: python docs/generate.py"


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
    said = {record["event"]: (record["level"], [*record][3:]) for record in records}
    handler = LogHandler(log)
    handler.emit(logging.LogRecord("x", logging.INFO, __file__, 1, "hello", (), None))
    said["log"] = ("any", [*records[-1]][3:])
    assert said == documented


def test_every_way_a_connection_ends_is_documented(page: str) -> None:
    (paragraph,) = re.findall(r"^`ended` is .*?\n\n", page, re.M | re.S)
    assert set(get_args(events.EndReason)) == set(re.findall(r"`(\w+)`", paragraph)) - {"ended"}
