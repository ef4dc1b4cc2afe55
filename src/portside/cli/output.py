"""What commands print: aligned tables for people, JSON for programs, and never a byte a terminal would obey.

A listing's rows are mappings whose keys are the documented ones. As a table they are cut to columns; with ``--json``
they are one array, or one object per line where they stream.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import IO, Any, Final, Literal

from portside.address import Endpoint, InternetAddress, UnixAddress
from portside.observe import text as _text

Row = Mapping[str, object]

Style = Literal["bold", "dim", "red", "green", "yellow", "cyan"]
_STYLE_CODES: Final[dict[Style, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
harmless = _text.harmless
width_of = _text.width_of

_GAP: Final = "  "
_ABSENT: Final = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: which key of the row, under which title, and how its values are shown."""

    key: str
    title: str = ""
    right: bool = False  # numbers line up at their last digit
    show: Callable[[Any], str] | None = None

    @property
    def heading(self) -> str:
        return self.title or self.key.replace("_", " ").upper()


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_json(value: object) -> Any:
    """Return the value as JSON has it: addresses as objects, times in ISO 8601, durations in seconds, bytes as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case InternetAddress(host, port):
            return {"host": host, "port": port}
        case UnixAddress(path):
            return {"path": path}
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Endpoint() | IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
            return str(value)
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value)


def to_text(value: object) -> str:
    """Return the value as a cell of a table shows it; what is absent is ``-``."""
    match value:
        case None | "":
            return _ABSENT
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case bytes():
            return value.decode("utf-8", "backslashreplace") or _ABSENT
        case list() | tuple():
            return ", ".join(to_text(item) for item in value) or _ABSENT
    return str(value)


# ── tables and JSON ──────────────────────────────────────────────────────────────────────────────────────────────────


def table_lines(rows: Iterable[Row], columns: Sequence[Column]) -> list[str]:
    """Return the lines of the table, its headings first; every column is as wide as its widest cell."""
    cells = [[column.heading for column in columns]]
    cells += [[_cell(row.get(column.key), column) for column in columns] for row in rows]
    widths = [max(width_of(line[place]) for line in cells) for place in range(len(columns))]
    return [_line(line, columns, widths) for line in cells]


def _cell(value: object, column: Column) -> str:
    if value is None:
        return _ABSENT
    return harmless(column.show(value) if column.show else to_text(value))


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        blank = " " * (width - width_of(cell))
        padded.append(blank + cell if column.right else cell + blank)
    return _GAP.join(padded).rstrip()


def json_text(value: object) -> str:
    """Return the value as one line of JSON."""
    import json

    # ASCII only: a path with bytes that are no UTF-8 (lone surrogates here) could not be encoded otherwise.
    return json.dumps(to_json(value), allow_nan=False)


def print_listing(rows: Iterable[Row], columns: Sequence[Column], *, as_json: bool, empty: str = "") -> None:
    """Print all rows, as a table or as one JSON array. ``empty`` is the sentence for people when there are none."""
    if as_json:
        print_array(rows)
        return
    rows = list(rows)
    if not rows and empty:
        write_out(f"{empty}\n")
        return
    heading, *lines = table_lines(rows, columns)
    write_out("".join(f"{line}\n" for line in (styled(heading, "bold", stream=sys.stdout), *lines)))


def print_array(rows: Iterable[Row]) -> None:
    """Print the rows as one JSON array, one row a line."""
    body = ",\n ".join(json_text(row) for row in rows)
    write_out(f"[{body}]\n")


def print_object(row: Row) -> None:
    """Print one JSON object on a line of its own, at once: for listings that stream."""
    write_out(json_text(row) + "\n", flush=True)


def write_out(text: str, *, flush: bool = False) -> None:
    """Write text to stdout; a closed stdout takes it and says nothing."""
    if sys.stdout is None:
        return
    sys.stdout.write(text)
    if flush:
        sys.stdout.flush()


# ── colour ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def wants_colour(stream: IO[str] | None, environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the stream is a terminal that should get colours; a NO_COLOR that is not empty says no."""
    environment = os.environ if environment is None else environment
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def styled(text: str, style: Style, *, stream: IO[str] | None) -> str:
    """Return the text in the style if the stream wants colour, else as it is."""
    if not text or not wants_colour(stream):
        return text
    return f"\x1b[{_STYLE_CODES[style]}m{text}\x1b[0m"
