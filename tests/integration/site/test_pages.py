"""The pages in a real browser: looked at, sorted, searched, walked through by keys, and uploaded to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from integration.site.conftest import Served, Site
from support.browser import Browser

WIDTHS = (360, 768, 1_440)
NAMES = ("b.txt", "a10.txt", "a9.txt", "<script>alert(1)</script>.html", "größe.png")


@pytest.fixture
def files(site: Site) -> Path:
    """A folder with some files in it, and in others in it."""
    for number, name in enumerate(NAMES):
        (site.root / name.replace("/", "_")).write_bytes(b"x" * (1 + number * 1_000))
    (site.root / "sub" / "deeper").mkdir(parents=True)
    (site.root / "sub" / "inner.txt").write_text("inner")
    return site.root


def listed(browser: Browser) -> list[str]:
    return browser.texts("tbody a")


def test_a_folder_is_shown_and_walked_through(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url())
    assert browser.text("h1") == "Files"
    assert listed(browser) == ["sub/", "<script>alert(1)<_script>.html", "a9.txt", "a10.txt", "b.txt", "größe.png"]
    browser.click("tbody a[href='sub/']")
    assert browser.text("h1") == "sub"
    assert listed(browser) == ["Up to the folder above", "deeper/", "inner.txt"]
    browser.run(  # the whole row is the link
        "const box = document.querySelector('tbody tr:first-child td.date').getBoundingClientRect();"
        "document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).click()"
    )
    browser.wait_for(lambda: browser.text("h1") == "Files", "the folder above")


def test_it_is_sorted_by_a_click(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url())
    browser.click("th.size a")
    assert listed(browser)[1:3] == ["größe.png", "<script>alert(1)<_script>.html"]
    assert browser.run("return document.querySelector('th.size').ariaSort") == "descending"
    browser.click("th.size a")
    assert listed(browser)[1:3] == ["b.txt", "a10.txt"]


def test_dates_are_those_of_the_reader(browser: Browser, site: Site, files: Path) -> None:
    os.utime(files / "b.txt", (1_000_000_000, 1_000_000_000))
    browser.go(site.url("/?q=b.txt"))
    shown = browser.run("return document.querySelector('td time').textContent")
    assert shown == browser.run(
        "return new Intl.DateTimeFormat(undefined, {dateStyle: 'medium', timeStyle: 'short'}).format(new Date(1e12))"
    )
    assert browser.run("return document.querySelector('td time').dateTime") == "2001-09-09T01:46:40Z"


def test_names_are_found_while_one_types(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url())
    browser.press("/")
    browser.wait_for(lambda: browser.run("return document.activeElement.id") == "q", "the field for names")
    browser.press("a", "1")
    browser.wait_for(lambda: listed(browser) == ["a10.txt"], "one name")
    assert "q=a1" in browser.run("return location.search")
    browser.press("x")
    browser.wait_for(lambda: "No name here has “a1x” in it." in browser.text("#entries"), "none")
    browser.press("Escape")
    browser.wait_for(lambda: len(listed(browser)) == 6, "all of them again")
    assert browser.run("return document.activeElement.id") == "q"


def test_it_is_walked_through_by_keys(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url())

    def focused() -> str:
        return str(browser.run("return document.activeElement.textContent.trim()"))

    browser.press("/", "ArrowDown")
    assert focused() == "sub/"
    browser.press("ArrowDown", "ArrowDown")
    assert focused() == "a9.txt"
    browser.press("ArrowUp", "ArrowUp", "ArrowUp")
    assert browser.run("return document.activeElement.id") == "q"
    browser.press("ArrowDown", "Enter")
    browser.wait_for(lambda: browser.text("h1") == "sub", "the folder")


def test_the_first_tab_leads_past_what_comes_before_the_files(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url("/sub/"))
    browser.press("Tab")
    assert browser.run("return document.activeElement.textContent") == "Skip to the files"
    browser.press("Enter", "Tab")
    assert browser.run("return document.activeElement.closest('#entries') !== null")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/sub/deeper/", "/nothing", "/long/"])
def test_nothing_is_wider_than_the_screen(browser: Browser, site: Site, files: Path, width: int, path: str) -> None:
    (files / "long").mkdir()
    (files / "long" / ("x" * 200)).touch()
    (files / "long" / ("many words " * 15).strip()).touch()
    browser.look(width)
    browser.go(site.url(path))
    if path == "/nothing":
        browser.complaints()  # a page that is not there is worth one
    assert browser.run("return document.documentElement.scrollWidth") <= width
    for part in ("h1", "main"):
        box = browser.run("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", part)
        assert box["right"] <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_what_one_touches_is_large_enough(browser: Browser, site: Site, files: Path, width: int) -> None:
    """WCAG 2.2, success criterion 2.5.8, asks for 24 pixels; a finger wants more."""
    browser.look(width)
    browser.go(site.url("/sub/"))
    small = browser.run(
        """
        return [...document.querySelectorAll("a, button, input:not([type=hidden]):not(.unseen), label.button")]
            .filter((e) => e.checkVisibility() && !e.classList.contains("skip"))
            .map((e) => [e.outerHTML.slice(0, 80), e.closest("tbody tr")?.offsetHeight ?? e.offsetHeight])
            .filter(([, height]) => height > 0 && height < 32)
        """
    )
    assert small == []


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read(browser: Browser, site: Site, files: Path, dark: bool) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of 4.5 to 1 between each text and what is behind it."""
    browser.look(1_024, dark=dark)
    for path in ("/", "/nothing"):
        browser.go(site.url(path))
        assert browser.run(CONTRASTS) == []
    browser.complaints()


CONTRASTS = """
const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (e) => {
    for (; e; e = e.parentElement) {
        const colour = parse(getComputedStyle(e).backgroundColor);
        if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
};
const poor = [];
for (const e of document.querySelectorAll("body *")) {
    const hasText = [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!hasText || !e.checkVisibility() || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName)) continue;
    const [one, other] = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) poor.push([e.outerHTML.slice(0, 80), contrast]);
}
return poor;
"""


def test_ten_thousand_files_freeze_nothing(browser: Browser, site: Site, files: Path) -> None:
    for number in range(10_000):
        (files / "sub" / f"file {number}.txt").touch()
    began_s = time.monotonic()
    browser.go(site.url("/sub/"))
    assert browser.text("#contents .summary").startswith("1 folder, 10,001 files")
    assert len(listed(browser)) == 501
    browser.type("#q", "9999")
    browser.wait_for(lambda: listed(browser) == ["file 9999.txt"], "one of them")
    assert time.monotonic() - began_s < 20  # under a second where nobody else is at work
    browser.go(site.url("/sub/"))
    longest_ms = browser.run(
        """
        return new Promise((done) => {
            let longest = 0, last = performance.now();
            const frame = (now) => {
                longest = Math.max(longest, now - last);
                last = now;
                scrollBy(0, 500);
                if (scrollY + innerHeight >= document.documentElement.scrollHeight - 1) done(longest);
                else requestAnimationFrame(frame);
            };
            requestAnimationFrame(frame);
        });
        """
    )
    assert longest_ms < 2_000
    browser.click("a[rel=next]")
    assert "page=2" in browser.run("return location.search")
    assert listed(browser)[0] == "file 499.txt"


# ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def queued(browser: Browser) -> dict[str, str]:
    """Return what is said of each upload."""
    return dict(
        browser.run(
            "return [...document.querySelectorAll('#queue li')].map((e) => "
            "[e.querySelector('span').textContent, e.querySelector('small').textContent.replaceAll('\\u00a0', ' ')])"
        )
    )


def test_files_are_added(browser: Browser, site: Site, files: Path, tmp_path: Path) -> None:
    large = os.urandom(3_000_000)
    (tmp_path / "new.bin").write_bytes(large)
    (tmp_path / "größer & more?.txt").write_text("second")
    browser.go(site.url("/sub/"))
    browser.type("#pick", f"{tmp_path / 'new.bin'}\n{tmp_path / 'größer & more?.txt'}")
    browser.wait_for(
        lambda: queued(browser) == {"new.bin": "stored, 3.0 MB", "größer & more?.txt": "stored, 6 B"}, "both stored"
    )
    assert (files / "sub" / "new.bin").read_bytes() == large
    assert (files / "sub" / "größer & more?.txt").read_text() == "second"
    browser.wait_for(lambda: "new.bin" in listed(browser), "the list has them, without another page")


def test_a_file_that_is_there_is_only_replaced_if_one_says_so(
    browser: Browser, site: Site, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "inner.txt").write_text("newer")
    browser.go(site.url("/sub/"))
    browser.type("#pick", str(tmp_path / "inner.txt"))
    browser.wait_for(lambda: queued(browser) == {"inner.txt": "There is a file of that name."}, "the question")
    assert (files / "sub" / "inner.txt").read_text() == "inner"
    assert browser.texts("#queue button") == ["Replace", "Keep"]
    browser.complaints()  # 412 is worth one to the browser
    browser.click("#queue button:first-child")
    browser.wait_for(lambda: queued(browser) == {"inner.txt": "stored, 5 B"}, "it is stored")
    assert (files / "sub" / "inner.txt").read_text() == "newer"


def test_an_upload_that_fails_says_why_and_can_be_tried_again(browser: Browser, served: Served, tmp_path: Path) -> None:
    site = served("--allow-upload", "--upload-max", "1kB")
    (tmp_path / "large").write_bytes(bytes(2_000))
    browser.go(site.url())
    browser.type("#pick", str(tmp_path / "large"))
    browser.wait_for(lambda: queued(browser) == {"large": "A file may have at most 1,000 bytes here."}, "why")
    assert browser.texts("#queue button") == ["Try again"]
    browser.complaints()


def test_a_folder_is_made(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url("/sub/"))
    browser.type("input[name=folder]", "new folder", "Enter")
    browser.wait_for(lambda: "new folder/" in listed(browser), "it is in the list")
    assert (files / "sub" / "new folder").is_dir()


DROP = """
const transfer = new DataTransfer();
transfer.items.add(new File(["dropped"], "dropped.txt"));
const event = (name) => new DragEvent(name, {dataTransfer: transfer, bubbles: true, cancelable: true});
document.body.dispatchEvent(event("dragenter"));
const marked = document.getElementById("upload").classList.contains("over");
document.body.dispatchEvent(event("dragover"));
document.body.dispatchEvent(event("drop"));
return marked;
"""


def test_files_are_dropped_on_the_page(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url("/sub/"))
    assert browser.run(DROP) is True
    browser.wait_for(lambda: queued(browser) == {"dropped.txt": "stored, 7 B"}, "it is stored")
    assert (files / "sub" / "dropped.txt").read_text() == "dropped"
    assert not browser.run("return document.getElementById('upload').classList.contains('over')")


def test_without_a_script_the_forms_do_it(browser: Browser, site: Site, files: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("plain")
    browser.scripts(on=False)
    try:
        browser.go(site.url("/sub/"))
        assert not browser.is_seen("#pick")
        browser.type("input[type=file][name=file]", str(tmp_path / "plain.txt"))
        browser.click("button.plain")
        browser.wait_for((files / "sub" / "plain.txt").exists, "it is stored")
        assert (files / "sub" / "plain.txt").read_text() == "plain"
        browser.go(site.url("/?q=a9"))
        assert browser.is_seen("noscript button")
    finally:
        browser.scripts(on=True)


def test_an_uploaded_page_is_not_the_site(browser: Browser, site: Site, files: Path) -> None:
    (files / "evil.html").write_text(
        "<title>-</title><script>fetch('stolen', {method: 'PUT', body: 'x'})"
        ".then((r) => document.title = r.status, (e) => document.title = 'refused')</script>"
    )
    browser.go(site.url("/evil.html"))
    browser.wait_for(lambda: browser.run("return document.title") != "-", "an answer")
    assert browser.run("return document.title") in {"refused", "403"}
    assert not (files / "stolen").exists()
    browser.complaints()


def test_who_may_only_read_is_offered_to_log_in(browser: Browser, served: Served) -> None:
    site = served("--allow-upload", "--anonymous", "--login", "anna:geheim")
    (site.root / "x").touch()
    browser.go(site.url())
    assert browser.texts(".tools a") == ["zip", "tar", "Log in"]
    assert not browser.run("return document.getElementById('upload') !== null")
    browser.go(site.url("/?login", login="anna:geheim"))
    assert browser.run("return document.getElementById('upload') !== null")
    browser.go(site.url())  # from here on it says so by itself
    assert browser.run("return document.getElementById('upload') !== null")
    browser.click("th.size a")
    assert browser.run("return document.getElementById('upload') !== null")
    browser.complaints()


def test_a_connection_that_breaks_is_said(browser: Browser, served: Served, tmp_path: Path) -> None:
    (tmp_path / "late.txt").write_text("late")
    site = served("--allow-upload")
    (site.root / "sub").mkdir()
    browser.go(site.url("/sub/"))
    assert site.server.stop() == 0
    browser.type("#pick", str(tmp_path / "late.txt"))
    browser.wait_for(lambda: queued(browser) == {"late.txt": "The connection broke."}, "what has happened")
    browser.wait_for(lambda: browser.text("h1") == "sub", "the page is still there")
    browser.complaints()


def test_a_page_that_is_not_there_leads_on(browser: Browser, site: Site, files: Path) -> None:
    browser.go(site.url("/sub/nothing"))
    browser.complaints()
    assert browser.text("h1") == "There is nothing at this address."
    browser.click(".ways a")
    browser.wait_for(lambda: browser.text("h1") == "sub", "the folder above")
