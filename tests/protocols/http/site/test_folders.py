"""Folders: where they lead, how they are shown to people and to programs, and what else may stand for them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from portside.protocols.http.site import listing
from portside.protocols.http.site.listing import PAGE_ENTRIES
from portside.protocols.http.site.pages import icon_of, show_bytes
from support.site import HTML, Answer, Asking


class Page(HTMLParser):
    """What a page has in it: its links by their texts, its elements, and the texts of its style and script."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {"style": "", "script": "", "h1": "", "title": "", "time": ""}
        self._open: list[str] = []
        self._link: str | None = None
        self._said = ""
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "a":
            self._link, self._said = dict(attrs)["href"], ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._link is not None:
            self.links[self._said.strip()] = self._link
            self._link = None
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._said += data
        for tag in self._open:
            if tag in self.inside:
                self.inside[tag] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def names_in(answer: Answer) -> list[str]:
    """Return the names that a page lists, in their order."""
    return re.findall(r"</svg>([^<]*)</a></td>", answer.text)


# ── where folders are ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/sub", "./sub/"),
        ("/sub?zip&x=%20", "./sub/?zip&x=%20"),
        ("/sub/a%3Ab", "./a%3Ab/"),
        ("//sub", "./sub/"),  # not //sub/, which is another host
        ("/sub?%0d%0aset-cookie:x", "./sub/?%0d%0aset-cookie%3Ax"),
    ],
)
def test_a_folder_without_its_slash_is_shown_where_it_is(site: Asking, root: Path, target: str, location: str) -> None:
    (root / "sub" / "a:b").mkdir(parents=True)
    answer = site.get(target)
    assert (answer.status, answer.fields["location"]) == (301, location)


def test_under_another_path_nothing_is_different(root: Path, make_site: Any) -> None:
    site = make_site()
    (root / "sub").mkdir()
    (root / "sub" / "x").write_text("found")
    mounted = Asking(site.storage, root_path="/files")
    assert mounted.get("/sub/x").text == "found"
    assert mounted.get("/sub").fields["location"] == "./sub/"
    assert mounted.get("/sub/", HTML).text == site.get("/sub/", HTML).text
    assert Page(mounted.get("/nothing", HTML)).links["To the beginning"] == "/files/"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_index_page_stands_for_its_folder(site: Asking, tree: Path, method: str) -> None:
    (tree / "b folder" / "index.htm").write_text("second")
    assert site(method, "/b%20folder/").fields["content-type"].startswith("text/html")
    assert site.get("/b%20folder/").text == "second"
    (tree / "b folder" / "index.html").write_text("first")
    assert site.get("/b%20folder/").text == "first"
    assert site.get("/b%20folder/", {"range": "bytes=0-0"}).body == b"f"


def test_index_pages_may_have_other_names_or_none(make_site: Any, tree: Path) -> None:
    (tree / "index.html").write_text("index")
    (tree / "start.txt").write_text("start")
    assert make_site(index=("start.txt",)).get("/").text == "start"
    assert "img2.png" in make_site(index=()).get("/").text


def test_an_index_that_is_none_is_passed_over(site: Asking, tree: Path) -> None:
    os.mkfifo(tree / "index.html")
    assert "img2.png" in site.get("/").text


def test_folders_need_not_be_shown(make_site: Any, tree: Path) -> None:
    site = make_site(listing=False)
    assert site.get("/").status == 403
    assert site.get("/?json").status == 403
    assert site.get("/nothing/").status == 404
    assert site.get("/img2.png").status == 200


# ── a page for people ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_in_a_folder_in_the_order_of_people(site: Asking, tree: Path) -> None:
    answer = site.get("/", HTML)
    assert answer.status == 200
    assert names_in(answer) == [
        "A folder/", "b folder/", "&lt;b&gt;&amp;&#x27;&quot;.html", "Img1.png", "img2.png", "img10.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("sort=name&order=asc", "Img1.png", "img10.png"),
        ("sort=name&order=desc", "img10.png", "Img1.png"),
        ("sort=size", "img2.png", "img10.png"),
        ("sort=size&order=asc", "img10.png", "img2.png"),
        ("sort=date", "img2.png", "img10.png"),
        ("sort=date&order=asc", "img10.png", "img2.png"),
        ("sort=nonsense&order=nonsense", "Img1.png", "img10.png"),
    ],
)
def test_what_is_in_a_folder_in_other_orders(site: Asking, tree: Path, query: str, first: str, last: str) -> None:
    answer = site.get(f"/?{query}&q=img", HTML)
    names = names_in(answer)
    assert (names[0], names[-1]) == (first, last)
    assert all(name.endswith("/") for name in names_in(site.get(f"/?{query}", HTML))[:2])
    sorted_by = [attributes for attributes in Page(answer).all("th") if "aria-sort" in attributes]
    assert len(sorted_by) == 1


def test_a_heading_turns_the_order_around(site: Asking, tree: Path) -> None:
    links = Page(site.get("/?sort=size", HTML)).links
    assert links["Size"] == "?sort=size&order=asc"
    assert links["Name"] == "?sort=name&order=asc"
    assert Page(site.get("/?sort=size&q=img", HTML)).links["Changed"] == "?sort=date&order=desc&q=img"


def test_every_link_leads_to_what_it_names(site: Asking, root: Path) -> None:
    names = ["a b", "a:b", "a?b", "a#b", "a&amp;b", "ü", "%41", os.fsdecode(b"\xff"), "a\nb", "a..", "'\"<>"]
    for name in names:
        (root / name).write_text(name, errors="surrogateescape")
    page = Page(site.get("/", HTML))
    found = [href for href in page.links.values() if not href.startswith("?") and href != "#entries"]
    assert len(found) == len(names)
    for href in found:
        assert site.get("/" + href).body == os.fsencode(unquote(href, errors="surrogateescape"))


def test_the_way_back_is_shown(site: Asking, root: Path) -> None:
    (root / "a" / "b" / "c").mkdir(parents=True)
    page = Page(site.get("/a/b/c/", HTML))
    assert page.inside["h1"] == "c"
    assert {text: href for text, href in page.links.items() if "../" in href} == {
        "Files": "../../../", "a": "../../", "b": "../", "Up to the folder above": "../",
    }  # fmt: skip
    assert not any("../" in href for href in Page(site.get("/", HTML)).links.values())


def test_names_can_be_found(site: Asking, tree: Path) -> None:
    assert names_in(site.get("/?q=IMG1", HTML)) == ["Img1.png", "img10.png"]
    assert names_in(site.get("/?q=%3Cb%3E", HTML)) == ["&lt;b&gt;&amp;&#x27;&quot;.html"]
    nothing = site.get("/?q=%3Cscript%3E", HTML)
    assert nothing.status == 200
    assert "No name here has “&lt;script&gt;” in it." in nothing.text
    assert nothing.text.count("<script>") == 1  # our own


def test_a_folder_with_nothing_in_it(site: Asking, root: Path) -> None:
    assert "There is nothing in this folder." in site.get("/", HTML).text
    (root / "sub").mkdir()
    answer = site.get("/sub/", HTML)
    assert "There is nothing in this folder." in answer.text
    assert Page(answer).links["Up to the folder above"] == "../"


def test_large_folders_come_in_pages(site: Asking, root: Path) -> None:
    for number in range(2 * PAGE_ENTRIES + 1):
        (root / f"{number}").touch()
    first, second, third = (site.get(f"/?page={page}", HTML) for page in (1, 2, 3))
    names = names_in(first) + names_in(second) + names_in(third)
    assert names == [str(number) for number in range(2 * PAGE_ENTRIES + 1)]
    assert Page(first).links["Later"] == "?sort=name&order=asc&page=2"
    assert "Earlier" not in Page(first).links
    assert Page(second).links["Earlier"] == "?sort=name&order=asc&page=1"
    assert "Later" not in Page(third).links
    for far in ("4", "999999", "0", "-1", "x", "9" * 30):
        assert names_in(site.get(f"/?page={far}", HTML))
    assert "1,001 files" in first.text


def test_more_than_anybody_looks_through_is_not_shown(
    site: Asking, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "ENTRIES_MAX", 5)
    for number in range(9):
        (root / f"{number}").touch()
    assert "there are more, which are not shown" in site.get("/", HTML).text
    assert json.loads(site.get("/?json").body)["cut"]


def test_hidden_names_and_what_cannot_be_opened_are_not_shown(make_site: Any, tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "nowhere").symlink_to("nothing")
    (tree / "out").symlink_to("/etc")
    (tree / "link.png").symlink_to("img2.png")
    (tree / ".well-known").mkdir()
    plain = make_site().get("/", HTML).text
    for name in (".hidden", "fifo", "nowhere", "out"):
        assert f">{name}" not in plain
    assert ">link.png<" in plain
    assert ">.well-known/<" in plain
    assert ">.hidden<" in make_site(hidden=True).get("/", HTML).text
    assert ">link.png<" not in make_site(follows_links=False).get("/", HTML).text


def test_a_page_needs_nothing_from_anywhere(make_site: Any, tree: Path) -> None:
    """And its policy lets it have just what is in it."""
    for site in (make_site(), make_site(uploads=True)):
        answer = site.get("/", HTML)
        page, policy = Page(answer), answer.fields["content-security-policy"]
        for tag in ("style", "script"):
            digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
            assert len(page.all(tag)) == 1
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for tag, attributes in page.tags:
            assert "style" not in attributes, tag
            assert not [name for name in attributes if name.startswith("on")], tag
            assert tag not in {"iframe", "object", "embed", "base"}
            for name in ("src", "href", "action"):
                assert not re.match(r"[a-z]+:|//", attributes.get(name) or "") or attributes[name] == "data:,"
        assert answer.fields["referrer-policy"] == "same-origin"


def test_every_control_has_a_name(make_site: Any, tree: Path) -> None:
    page = Page(make_site(uploads=True).get("/", HTML))
    labelled = {attributes.get("for") for attributes in page.all("label")}
    for attributes in page.all("input"):
        if attributes.get("type") not in {"hidden", "checkbox", "file"}:
            assert "aria-label" in attributes or attributes.get("id") in labelled
    assert page.all("html")[0]["lang"] == "en"
    assert "width=device-width" in str(page.all("meta"))
    assert all("scope" in attributes for attributes in page.all("th"))
    assert len(page.all("h1")) == 1


def test_a_page_is_compressed_for_those_who_take_it(site: Asking, tree: Path) -> None:
    plain = site.get("/", HTML)
    packed = site.get("/", {**HTML, "accept-encoding": "gzip"})
    assert packed.fields["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert "accept-encoding" in packed.fields["vary"]


def test_a_page_that_is_the_same_is_not_sent_again(site: Asking, tree: Path) -> None:
    etag = site.get("/", HTML).fields["etag"]
    again = {**HTML, "if-none-match": etag}
    assert site.get("/", again).status == 304
    assert site.get("/", {**HTML, "if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}).status == 200
    (tree / "new").touch()
    assert site.get("/", again).status == 200


def test_only_what_is_allowed_is_offered(make_site: Any, tree: Path) -> None:
    shown = Page(make_site(archives=False).get("/", HTML))
    assert not shown.all("form")[1:]
    assert "?zip" not in shown.links.values()
    offered = Page(make_site(uploads=True).get("/", HTML))
    assert "?zip" in offered.links.values()
    assert [form["method"] for form in offered.all("form")] == ["get", "post", "post"]


# ── small things ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (9_949, "9.9 kB"), (9_960, "10 kB"), (999_949, "1.0 MB"),
        (1_234_567, "1.2 MB"), (34_000_000_000, "34 GB"), (10**18, "1000 PB"),
    ],
)  # fmt: skip
def test_sizes_are_shown_to_be_read(count: int, shown: str) -> None:
    assert show_bytes(count).replace("\N{NO-BREAK SPACE}", " ") == shown


@pytest.mark.parametrize(
    ("name", "icon"),
    [("a.jpg", "image"), ("a.mp4", "video"), ("a.mp3", "audio"), ("a.txt", "text"), ("a.pdf", "text"), ("a.py", "code"),
     ("a.html", "code"), ("a.json", "code"), ("a.zip", "archive"), ("a.tar.gz", "archive"), ("a.7z", "archive"),
     ("a", "file")],
)  # fmt: skip
def test_files_have_icons(name: str, icon: str) -> None:
    assert icon_of(name) == icon


@pytest.mark.parametrize("query", ["&".join("x" for _ in range(100)), "q=%ff%fe", "q=" + "x" * 5_000, "=&=&;;"])
def test_queries_that_nobody_means(site: Asking, tree: Path, query: str) -> None:
    assert site.get(f"/?{query}", HTML).status in {200, 400}
