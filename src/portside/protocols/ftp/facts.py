"""Facts of files for programs, as MLST and MLSD tell them: ``type=file;size=1;modify=…; name``.

Source: RFC 3659 section 7; the facts that begin with ``UNIX.`` are those of proftpd and pure-ftpd, whose letters and
        forms clients know.

A name with CR or LF cannot be told: it would be read as two lines. ``build_facts_lines`` leaves it out, for what a
program cannot name it cannot ask for, either (a command has no such name: ``storage.paths``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, TypeAlias

from portside.accounts.account import Permission
from portside.errors import MalformedMessage
from portside.protocols.ftp.times import DAY_S, MINUTES, NS_PER_S, SECONDS, day_text
from portside.storage.contract import Entry, Kind

FACTS: Final[tuple[str, ...]] = ("type", "size", "modify", "perm", "unique", "UNIX.mode", "UNIX.owner", "UNIX.group")
"""All facts that can be told, in the order they are told in."""

Special: TypeAlias = Literal["cdir", "pdir"]
"""The directory that is listed, and the one above it: section 7.5.1."""

_TYPES: Final[dict[Kind, str]] = {
    "file": "file",
    "directory": "dir",
    "link": "OS.unix=slink",
    "other": "OS.unix=special",
}

# What an account may do, as letters of the perm fact: section 7.5.5. A letter stands if any of its permissions is
# there; no permission at all is asked for entering a directory.
_PERM_FILE: Final = (("a", "append"), ("d", "delete"), ("f", "rename"), ("r", "read"), ("w", "write"))
_PERM_DIRECTORY: Final = (
    *(("c", "write"), ("d", "mkdir"), ("e", None), ("f", "rename")),
    *(("l", "list"), ("m", "mkdir"), ("p", "delete")),
)
_PERM_OTHER: Final = (("d", "delete"), ("f", "rename"))
_PERM: Final[dict[Kind, tuple[tuple[str, str | None], ...]]] = {
    "file": _PERM_FILE,
    "directory": _PERM_DIRECTORY,
    "link": _PERM_OTHER,
    "other": _PERM_OTHER,
}

_NO_VALUE: Final = str.maketrans(dict.fromkeys("; \r\n\0", "_"))  # what would end a value, or the line
_FORGES_LINES: Final = str.maketrans("\r\n\0", "???")


# ── which facts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_fact_wishes(text: str, available: Sequence[str] = FACTS) -> tuple[str, ...]:
    """Return which of the available facts are wanted, in the order they are told in, whatever their case.

    Shape:  ``type;size;modify;``, what follows OPTS MLST; a last semicolon may be missing. Facts that are not known
            are passed over, and no facts at all may be wanted (section 7.9).
    """
    wanted = {name.strip().lower() for name in text.split(";")}
    return tuple(name for name in available if name.lower() in wanted)


def build_perm(kind: Kind, permissions: Collection[Permission]) -> str:
    """Return the letters of the perm fact: what the account may do with a file of that kind, in alphabetical order."""
    return "".join(letter for letter, permission in _PERM[kind] if permission is None or permission in permissions)


# ── building ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_facts(
    entry: Entry,
    wanted: Collection[str],
    permissions: Collection[Permission],
    kind: Special | None = None,
    *,
    name: str | None = None,
) -> str:
    """Return the entry's facts, a blank and its name, without an end of line.

    ``kind`` is said instead of "dir" where the directory itself is listed; ``name`` instead of the entry's own, as
    MLST tells the path that it was asked for. CR, LF and NUL in a name are shown as ``?``.
    """
    named = entry if name is None else entry._replace(name=name)
    (line,) = _lines((named,), wanted, permissions, kind)
    return line.removesuffix("\r\n").translate(_FORGES_LINES)


def build_facts_lines(entries: Iterable[Entry], wanted: Collection[str], permissions: Collection[Permission]) -> bytes:
    """Return a line with CR LF for each entry, in their order: what MLSD sends.

    Names with CR or LF are left out. An entry takes one to two microseconds.
    """
    lines = _lines(entries, wanted, permissions, None)
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        text = "".join(line for line in lines if line.count("\n") == line.count("\r") == 1)
    return text.encode("utf-8", "surrogateescape")


def _lines(
    entries: Iterable[Entry], wanted: Collection[str], permissions: Collection[Permission], special: Special | None
) -> list[str]:
    # A directory has few kinds, modes and owners: what they make of a line is made once for each.
    templates: dict[tuple[Kind, int, str, str, bool], str] = {}
    lines: list[str] = []
    for entry in entries:
        name, kind, size_bytes, modified_ns, mode, _, owner, group, unique = entry
        shape = (kind, mode, owner, group, not unique)
        template = templates.get(shape)
        if template is None:
            template = templates[shape] = _template(entry, wanted, permissions, special)
        day, second = divmod(modified_ns // NS_PER_S, DAY_S)
        lines.append(template % (size_bytes, day_text(day), MINUTES[second // 60], SECONDS[second % 60], unique, name))
    return lines


def _template(
    entry: Entry, wanted: Collection[str], permissions: Collection[Permission], special: Special | None
) -> str:
    """Return the line that all entries of this one's shape have in common, with six places to fill:

    the size, the day, the minute and the second it was modified, what is unique, and the name.
    """
    known = {
        "type": special or _TYPES[entry.kind],
        "perm": build_perm(entry.kind, permissions),
        "UNIX.mode": f"0{entry.mode:o}",
        "UNIX.owner": entry.owner.translate(_NO_VALUE),
        "UNIX.group": entry.group.translate(_NO_VALUE),
    }
    places = {"size": "%s", "modify": "%s%s%s", "unique": "%s"}
    untold = {"size": entry.kind != "file", "unique": not entry.unique}  # a directory's size tells nobody anything
    parts: list[str] = []
    for fact in FACTS:
        if fact in known:
            parts.append(f"{fact}={known[fact].replace('%', '%%')};" if fact in wanted else "")
        elif fact in wanted and not untold.get(fact):
            parts.append(f"{fact}={places[fact]};")
        else:  # its place takes the value all the same, and shows no character of it
            parts.append(places[fact].replace("%s", "%.0s"))
    return "".join((*parts, " %s\r\n"))


# ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_facts(line: bytes | str) -> tuple[dict[str, str], str]:
    """Return the facts of a line, by their names in lower case, and the name that follows them.

    Shape:  ``fact=value;fact=value; name``, with or without CR LF. The blank that MLST's reply has before it may be
            there. Where no facts are told, the line is a blank and the name. Of a fact that is told twice the last
            counts; what is no fact between two semicolons is passed over, and the last semicolon may be missing.
    Raises: MalformedMessage for a line without facts or name, or with a CR, LF or NUL in it.
    """
    text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
    text = text.removesuffix("\n").removesuffix("\r")
    if any(character in text for character in "\r\n\0"):
        raise MalformedMessage(f"a line of facts has no CR, LF or NUL in it; this is {text[:80]!r}")
    found = _split(text.removeprefix(" ")) or ({}, text[1:] if text.startswith(" ") else "")
    if not found[1]:
        raise MalformedMessage(f"a line of facts is fact=value;fact=value; name; this is {text[:80]!r}")
    return found


def _split(text: str) -> tuple[dict[str, str], str] | None:
    # "; " ends the facts. A lone blank does not: an owner's name may have one, though the RFC has none in values.
    head, end, name = text.partition("; ")
    if not end:
        head, _, name = text.partition(" ")
    first, equals, _ = head.partition("=")
    if not equals or " " in first or ";" in first:
        return None
    parts = (part.partition("=") for part in head.split(";"))
    return {fact.lower(): value for fact, equals, value in parts if equals}, name
