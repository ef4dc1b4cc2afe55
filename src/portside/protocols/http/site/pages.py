"""The pages that the site makes itself: a folder's contents, and what went wrong. Each is whole in itself.

Style and script stand in the page, and the policy beside it knows them by their digests: nothing else runs, and
nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

from portside.protocols.http.site.listing import ORDERS, Contents, View, modified_at
from portside.protocols.http.site.media import media_type_of
from portside.protocols.http.site.rules import RawFields
from portside.protocols.http.site.targets import build_reference, shown
from portside.protocols.http.statuses import phrase_of
from portside.storage.contract import Entry

_ASSETS: Final = Path(__file__).parent / "assets"


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


_STYLE: Final = _asset("site.css")
_SCRIPT: Final = _asset("site.js")
_ICONS: Final = _asset("icons.svg")


def _digest(text: str) -> str:
    """Return how a content security policy names a text: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


CONTENT_POLICY: Final[RawFields] = [
    (
        b"content-security-policy",
        "; ".join(
            (
                "default-src 'none'",
                f"style-src {_digest(_STYLE)}",
                f"script-src {_digest(_SCRIPT)}",
                "img-src data:",
                "connect-src 'self'",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        ).encode("ascii"),
    ),
    (b"referrer-policy", b"same-origin"),
]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What whoever looks at a folder can do there."""

    upload: bool = False
    make_folder: bool = False
    archive: bool = False
    log_in: bool = False


class Link(NamedTuple):
    """Where one may go from here, and what to call it."""

    reference: str
    text: str


# ── a folder ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_listing_page(path: str, view: View, contents: Contents, abilities: Abilities) -> bytes:
    """Return the page of a folder."""
    view = replace(view, page=min(view.page, contents.pages))
    names = [shown(name) for name in path.split("/") if name]
    title = names[-1] if names else "Files"
    body = (
        '<a class="skip" href="#entries">Skip to the files</a>\n',
        f"<header>\n{_breadcrumbs(names)}\n<h1>{_text(title)}</h1>\n</header>\n<main>\n",
        _tools(view, contents, abilities),
        _upload(abilities) if abilities.upload or abilities.make_folder else "",
        '<div id="contents">\n',
        _table(view, contents, has_parent=bool(names)),
        _pager(view, contents),
        f'<p class="summary">{_summary(view, contents)}</p>\n</div>\n</main>\n',
    )
    return _build(title, "".join(body), with_script=True)


def _breadcrumbs(names: list[str]) -> str:
    """Return the way from the root to here; the last name is the heading below."""
    steps = [("Files", len(names)), *((name, len(names) - depth) for depth, name in enumerate(names[:-1], 1))]
    items = "".join(
        f'<li><a href="{"../" * up or "./"}">{_icon("home") if not number else ""}{_text(name)}</a></li>'
        for number, (name, up) in enumerate(steps)
    )
    return f'<nav aria-label="Where you are"><ol>{items}</ol></nav>' if names else ""


def _tools(view: View, contents: Contents, abilities: Abilities) -> str:
    parts = [
        '<div class="tools">\n<form method="get" role="search" id="search">'
        '<label class="unseen" for="q">Find in this folder</label>'
        f'<input type="search" id="q" name="q" value="{_text(view.sought)}" placeholder="Find a name"'
        ' autocomplete="off" maxlength="200">'
        f'<input type="hidden" name="sort" value="{view.order}">'
        f'<input type="hidden" name="order" value="{_direction(view.descending)}">'
        "<noscript><button class=button>Find</button></noscript></form>\n"
    ]
    if abilities.archive and contents.total:
        parts += (
            f'<a class="button" href="?{name}" download aria-label="Download this folder as {name}">'
            f"{_icon('download')}{name}</a>\n"
            for name in ("zip", "tar")
        )
    if abilities.log_in:
        parts.append('<a class="button" href="?login">Log in</a>\n')
    return "".join((*parts, "</div>\n"))


def _upload(abilities: Abilities) -> str:
    """Return what files are added with: forms that work by themselves, and that the script makes pleasant."""
    parts = ['<section class="card upload" aria-label="Add files" id="upload">\n']
    if abilities.upload:
        parts.append(
            '<form method="post" enctype="multipart/form-data">'
            '<label class="check plain"><input type="checkbox" name="replace"> replace files of the same name</label>'
            f'<label class="button main">{_icon("add")}Add files'
            '<input class="live unseen" type="file" multiple id="pick"></label>'
            '<input class="plain" type="file" name="file" multiple required aria-label="Files to add">'
            '<button class="button plain">Upload</button>'
            '<p class="live">or drop them anywhere on this page</p></form>\n'
        )
    if abilities.make_folder:
        parts.append(
            '<form method="post" enctype="multipart/form-data">'
            '<input type="text" name="folder" required maxlength="200" autocomplete="off"'
            ' aria-label="Name of the new folder" placeholder="New folder">'
            f'<button class="button">{_icon("folder")}Make folder</button></form>\n'
        )
    return "".join((*parts, '<ul id="queue" hidden></ul><p id="said" class="unseen" role="status"></p>\n</section>\n'))


def _table(view: View, contents: Contents, *, has_parent: bool) -> str:
    entries = contents.on_page(view.page)
    rows = [_PARENT] if has_parent and not view.sought and view.page == 1 else []
    rows += map(_row, entries)
    if not rows or (not entries and not has_parent):
        return f'<div class="card" id="entries" tabindex="-1"><p class="nothing">{_nothing(view)}</p></div>\n'
    headings = "".join(_heading(order, label, view) for order, label in zip(ORDERS, _LABELS, strict=True))
    missing = "" if entries else f'<p class="nothing">{_nothing(view)}</p>'
    return (
        '<div class="card" id="entries" tabindex="-1"><table>\n'
        f'<caption class="unseen">{_summary(view, contents)}</caption>\n'
        f"<thead><tr>{headings}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table>{missing}</div>\n"
    )


_LABELS: Final = ("Name", "Size", "Changed")
_PARENT: Final = (
    '<tr><td><a href="../"><svg aria-hidden="true"><use href="#up"/></svg>Up to the folder above</a></td>'
    '<td class="size"></td><td class="date"></td></tr>\n'
)


def _heading(order: str, label: str, view: View) -> str:
    is_current = order == view.order
    descending = not view.descending if is_current else order != "name"
    query = {"sort": order, "order": _direction(descending)} | ({"q": view.sought} if view.sought else {})
    state = f' aria-sort="{"de" if view.descending else "a"}scending"' if is_current else ""
    kind = "" if order == "name" else f' class="{order}"'
    return f'<th scope="col"{kind}{state}><a href="?{_text(urlencode(query))}">{label}</a></th>'


def _row(entry: Entry) -> str:
    is_folder = entry.kind == "directory"
    name = shown(entry.name)
    kind = "folder" if is_folder else icon_of(entry.name)
    date = modified_at(entry)
    return (
        f'<tr><td><a href="{build_reference(entry.name, is_folder=is_folder)}">'
        f'<svg class="{kind}" aria-hidden="true"><use href="#{kind}"/></svg>{_text(name)}{"/" if is_folder else ""}</a>'
        f'</td><td class="size">{"" if is_folder else show_bytes(entry.size_bytes)}</td>'
        f'<td class="date"><time datetime="{date:%Y-%m-%dT%H:%M:%SZ}">{date:%Y-%m-%d %H:%M}</time></td></tr>\n'
    )


def _pager(view: View, contents: Contents) -> str:
    if contents.pages == 1:
        return ""
    earlier = _page_link(view, view.page - 1, "prev", "Earlier") if view.page > 1 else "<span></span>"
    later = _page_link(view, view.page + 1, "next", "Later") if view.page < contents.pages else "<span></span>"
    where = f"<span>Page {view.page:,} of {contents.pages:,}</span>"
    return f'<nav class="pages" aria-label="Pages">{earlier}{where}{later}</nav>\n'


def _page_link(view: View, page: int, relation: str, text: str) -> str:
    query = {"sort": view.order, "order": _direction(view.descending), "q": view.sought, "page": str(page)}
    shortest = urlencode({name: value for name, value in query.items() if value})
    return f'<a class="button" rel="{relation}" href="?{_text(shortest)}">{text}</a>'


def _direction(descending: bool) -> str:
    return "desc" if descending else "asc"


def _nothing(view: View) -> str:
    return f"No name here has “{_text(view.sought)}” in it." if view.sought else "There is nothing in this folder."


def _summary(view: View, contents: Contents) -> str:
    """Return how much there is, in a sentence."""
    folders = sum(entry.kind == "directory" for entry in contents.entries)
    files = len(contents.entries) - folders
    counted = [_count(folders, "folder"), _count(files, "file")]
    said = ", ".join(count for number, count in zip((folders, files), counted, strict=True) if number) or "nothing"
    if files:
        said += f", {show_bytes(sum(entry.size_bytes for entry in contents.entries if entry.kind == 'file'))}"
    if view.sought:
        said += f" of {contents.total:,} with “{_text(view.sought)}”"
    if contents.is_cut:
        said += "; there are more, which are not shown"
    return said


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


_ICON_OF_TOP: Final = {"image": "image", "video": "video", "audio": "audio", "text": "text"}
_ARCHIVES: Final = ("zip", "gzip", "tar", "x-xz", "x-bzip2", "zstd", "x-7z-compressed", "vnd.rar", "java-archive")
_CODE: Final = ("javascript", "json", "xml", "html", "css", "x-python", "yaml", "toml", "wasm", "x-c", "xhtml+xml")


def icon_of(name: str) -> str:
    """Return which of the icons suits a file of that name."""
    top, _, kind = media_type_of(name).partition("/")
    if kind.removeprefix("x-") in _ARCHIVES or kind in _ARCHIVES:
        return "archive"
    if kind in _CODE:
        return "code"
    return "text" if kind in {"pdf", "rtf"} else _ICON_OF_TOP.get(top, "file")


_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def show_bytes(count: int) -> str:
    """Return a size to be read: ``999 B``, ``1.2 MB``, ``34 GB``."""
    size = float(count)
    for unit in _UNITS:
        if size < 999.5 or unit == _UNITS[-1]:
            break
        size /= 1_000
    digits = 1 if unit != "B" and round(size, 1) < 10 else 0
    return f"{size:.{digits}f}\N{NO-BREAK SPACE}{unit}"


# ── what went wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


def build_problem_page(status: int, sentence: str, *, links: Iterable[Link], details: Iterable[str] = ()) -> bytes:
    """Return the page that says what is wrong, and where one may go from there."""
    ways = "".join(f'<a class="button" href="{_text(link.reference)}">{_text(link.text)}</a>' for link in links)
    points = "".join(f"<li>{_text(detail)}</li>" for detail in details)
    parts = (
        f'<p class="status">{status} {_text(phrase_of(status))}</p>\n<h1>{_text(sentence)}</h1>\n',
        f"<ul>{points}</ul>\n" if points else "",
        f'<p class="ways">{ways}</p>\n' if ways else "",
    )
    body = f'<main>\n<div class="card problem">\n{"".join(parts)}</div>\n</main>\n'
    return _build(phrase_of(status) or str(status), body)


# ── every page ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _build(title: str, body: str, *, with_script: bool = False) -> bytes:
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{_text(title)}</title>\n<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n</head>\n<body>\n'
        f"{f'{_ICONS}{body}<script>{_SCRIPT}</script>' if with_script else body}\n</body>\n</html>\n"
    )
    return page.encode("utf-8")


def _icon(name: str) -> str:
    return f'<svg aria-hidden="true"><use href="#{name}"/></svg>'


def _text(text: str) -> str:
    return html.escape(text)
