"""Folders for programs, and sites that are an application: one page at every address."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from portside.protocols.http.site.listing import PAGE_ENTRIES
from support.site import HTML, Asking

# ── for programs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("target", "fields"), [("/?json", {}), ("/", {"accept": "application/json"})])
def test_a_folder_for_programs(site: Asking, tree: Path, target: str, fields: dict[str, str]) -> None:
    (tree / "index.html").write_text("a page")
    answer = site.get(target, fields)
    assert answer.fields["content-type"] == "application/json"
    told = json.loads(answer.body)
    assert (told["path"], told["total"], told["cut"]) == ("/", 7, False)
    assert told["entries"][0] == {
        "name": "A folder", "href": "A%20folder/", "kind": "directory", "size_bytes": None,
        "modified": told["entries"][0]["modified"],
    }  # fmt: skip
    assert [entry for entry in told["entries"] if entry["name"] == "img2.png"] == [
        {"name": "img2.png", "href": "img2.png", "kind": "file", "size_bytes": 3_000_000,
         "modified": "2001-09-09T01:51:40Z"},
    ]  # fmt: skip


def test_a_program_is_told_of_all_pages_and_may_sort_and_seek(site: Asking, root: Path) -> None:
    for number in range(PAGE_ENTRIES + 5):
        (root / f"{number}").touch()
    told = json.loads(site.get("/?json&order=desc&q=0").body)
    names = [entry["name"] for entry in told["entries"]]
    assert (names[0], names[-1]) == ("504", "0")
    assert len(names) == len([name for name in map(str, range(PAGE_ENTRIES + 5)) if "0" in name])
    assert told["total"] == PAGE_ENTRIES + 5


def test_names_that_are_no_text_can_be_told_and_asked_for(site: Asking, root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9")).write_text("found")
    [entry] = json.loads(site.get("/?json").body)["entries"]
    assert (entry["name"], entry["href"]) == ("caf\N{REPLACEMENT CHARACTER}", "caf%E9")


def test_times_beyond_the_calendar(site: Asking, root: Path) -> None:
    for name, seconds in (("before", -62_000_000_000), ("after", 250_000_000_000)):
        (root / name).touch()
        os.utime(root / name, (seconds, seconds))
    assert site.get("/", HTML).status == 200
    assert site.get("/?json").status == 200


# ── applications ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_application_is_at_every_address_that_is_no_file(make_site: Any, tree: Path) -> None:
    (tree / "index.html").write_text("application")
    site = make_site(spa=True)
    assert site.get("/orders/17", HTML).text == "application"
    assert site.get("/orders/17").text == "application"
    assert site.get("/orders/", HTML).text == "application"
    assert site.get("/img2.png").fields["content-length"] == "3000000"
    assert site.get("/missing.js").status == 404  # a script that is a page would be a riddle
    assert site.get("/page.x", HTML).text == "application"
    assert site("HEAD", "/orders/17").status == 200
    assert site.get("/b%20folder/", HTML).text == "application"  # a folder without a page of its own
    assert site.get("/b%20folder").status == 301


def test_an_application_without_its_page(make_site: Any, tree: Path) -> None:
    assert make_site(spa=True).get("/orders", HTML).status == 404
