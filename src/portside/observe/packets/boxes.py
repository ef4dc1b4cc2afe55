"""A packet drawn as it is made: each header in a box around what it carries, field by field, with its bytes.

Above the boxes stands the packet as it travels: its headers in a row, each with how many bytes it has.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from portside.observe.packets.dissect import Dissected
from portside.observe.packets.field_lines import FieldLine
from portside.observe.packets.fields import TITLES, fields_of
from portside.observe.packets.flows import Relative
from portside.observe.text import harmless

COLUMNS_MAX: Final = 120  # wider boxes do not read better
INNER_COLUMNS_MIN: Final = 58  # a box that would be narrower stands below the one around it
HEX_ROWS_MAX: Final = 4  # of one field, unless everything is asked for
DATA_ROWS_MAX: Final = 4
TEXT_COLUMNS_MIN: Final = 12
# Sixteen bytes in a row, where there is room, and a field that needs it; eight otherwise.
WIDE_COLUMNS: Final = 100
LONG_FIELD_BYTES: Final = 11

_COLOURING: Final = re.compile("\x1b\\[[0-9;]*m")
_LINK, _NETWORK, _TRANSPORT, _APPLICATION, _PROBLEM, _DIM, _PLAIN = "33", "36", "32", "35", "31", "2", "0"
_COLOURS: Final = {
    "ethernet": _LINK,
    "cooked": _LINK,
    "arp": _NETWORK,
    "ipv4": _NETWORK,
    "ipv6": _NETWORK,
    "hop_by_hop": _NETWORK,
    "destination": _NETWORK,
    "routing": _NETWORK,
    "fragment": _NETWORK,
    "tcp": _TRANSPORT,
    "udp": _TRANSPORT,
    "icmp": _TRANSPORT,
    "icmpv6": _TRANSPORT,
    "dns": _APPLICATION,
}


@dataclass(frozen=True, slots=True)
class Boxes:
    """Draws packets, ``columns`` wide where the terminal is. ``shows_all``: no row of bytes is left out."""

    columns: int
    colours: bool = False
    shows_all: bool = False

    def lines(self, dissected: Dissected, relative: Relative | None = None) -> list[str]:
        """Return the lines of the drawing."""
        columns = min(max(self.columns, INNER_COLUMNS_MIN), COLUMNS_MAX)
        drawing = _Drawing(self, dissected, [fields_of(dissected, layer, relative) for layer in dissected.layers])
        return [*drawing.row(columns), *drawing.nested(0, columns)]


class _Drawing:
    """One packet, and the fields of its layers."""

    def __init__(self, style: Boxes, dissected: Dissected, fields: list[list[FieldLine]]) -> None:
        self._style = style
        self._dissected = dissected
        self._fields = fields
        longest = max((line.size_bytes for lines in fields for line in lines), default=0)
        self._per_row = 16 if longest > LONG_FIELD_BYTES and style.columns >= WIDE_COLUMNS else 8

    # ── the packet as it travels ─────────────────────────────────────────────────────────────────────────────────────

    def row(self, columns: int) -> Iterator[str]:
        """Yield the headers side by side, as wide as their words; nothing where there are too many for the line."""
        cells = self._cells()
        widths = [max(len(title), len(size)) + 2 for title, size, _ in cells]
        left = columns - sum(widths) - len(widths) - 1
        if not cells or left < 0:
            return
        widths[-1] += left
        colours = [colour for _, _, colour in cells]
        yield self._paint("╭" + "┬".join("─" * width for width in widths) + "╮", _DIM)
        for texts in ([title for title, _, _ in cells], [size for _, size, _ in cells]):
            shown = [
                self._paint(f" {text:<{width - 1}}", colour)
                for text, width, colour in zip(texts, widths, colours, strict=True)
            ]
            bar = self._paint("│", _DIM)
            yield bar + bar.join(shown) + bar
        yield self._paint("╰" + "┴".join("─" * width for width in widths) + "╯", _DIM)

    def _cells(self) -> list[tuple[str, str, str]]:
        """Return title, size and colour of each header, and of what the last of them carries."""
        own = self._dissected.own
        cells = [(TITLES[layer.name], _bytes(layer.header_bytes), _COLOURS[layer.name]) for layer in own]
        if own and own[-1].end > own[-1].body:
            what = "quoted packet" if self._dissected.quoted else "data"
            cells.append((what, _bytes(own[-1].end - own[-1].body), _PLAIN))
        return cells

    # ── the packet as it is made ─────────────────────────────────────────────────────────────────────────────────────

    def nested(self, at: int, columns: int) -> Iterator[str]:
        """Yield the box of the layer with that number, and within it those of all that follow."""
        layers = self._dissected.layers
        if at == len(layers):
            yield from self._data_box(columns)
            return
        layer = layers[at]
        colour = _COLOURS[layer.name]
        title = f"quoted {TITLES[layer.name]}" if layer.is_quoted else TITLES[layer.name]
        start, end = (layers[at + 1].start, layers[at + 1].end) if at + 1 < len(layers) else (layer.body, layer.end)
        before, after = list(self._fields[at]), []
        if start > layer.body:  # a DNS message over TCP
            before.append(FieldLine("length", layer.body, start - layer.body, f"{end - start} bytes follow"))
        if layer.end > end:
            after.append(FieldLine("padding", end, layer.end - end, _bytes(layer.end - end)))
        bottom = self._paint(f"╰{'─' * (columns - 2)}╯", colour)
        yield self._top(title, _bytes(layer.header_bytes), columns, colour)
        yield from self._sides(self._field_lines(before, columns - 4, colour), columns, colour)
        if columns - 4 >= INNER_COLUMNS_MIN:
            yield from self._sides(self.nested(at + 1, columns - 4), columns, colour)
            yield from self._sides(self._field_lines(after, columns - 4, colour), columns, colour)
            yield bottom
        else:
            yield from self._sides(self._field_lines(after, columns - 4, colour), columns, colour)
            yield bottom
            yield from self.nested(at + 1, columns)

    def _top(self, title: str, size: str, columns: int, colour: str) -> str:
        line = "─" * (columns - len(title) - len(size) - 8)
        left, right = self._paint("╭─", colour), self._paint("─╮", colour)
        return f"{left} {self._paint(title, f'1;{colour}')} {self._paint(line, colour)} {size} {right}"

    def _sides(self, lines: Iterable[str], columns: int, colour: str) -> Iterator[str]:
        bar = self._paint("│", colour)
        for line in lines:
            yield f"{bar} {line}{' ' * (columns - 4 - _width(line))} {bar}"

    def _field_lines(self, fields: list[FieldLine], columns: int, colour: str) -> Iterator[str]:
        """Yield for each field its bytes, its name and its meaning."""
        name_columns = max((len(each.name) for each in fields), default=0)
        hex_columns = 3 * self._per_row - 1
        room = max(columns - hex_columns - name_columns - 4, TEXT_COLUMNS_MIN)
        for each in fields:
            rows = self._hex_rows(self._dissected.packet.data[each.start : each.start + each.size_bytes])
            texts = _wrapped(harmless(each.text), room)
            for place, (row, text) in enumerate(zip_longest(rows, texts, fillvalue="")):
                name = f"{each.name if place == 0 else '':<{name_columns}}"
                shown = text if "wrong" not in text else self._paint(text, _PROBLEM)
                yield f"{self._paint(f'{row:<{hex_columns}}', colour)}  {self._paint(name, _DIM)}  {shown}"

    def _hex_rows(self, data: bytes) -> list[str]:
        rows = [data[at : at + self._per_row].hex(" ") for at in range(0, len(data), self._per_row)]
        if len(rows) <= HEX_ROWS_MAX or self._style.shows_all:
            return rows
        return [*rows[: HEX_ROWS_MAX - 1], "…"]

    def _data_box(self, columns: int) -> Iterator[str]:
        """Yield what no header explains as bytes and characters, and why, if one should."""
        data, problem = self._dissected.data, self._dissected.problem
        if problem:
            for line in _wrapped(harmless(f"malformed: {problem}"), columns):
                yield self._paint(line, _PROBLEM)
        if data:
            yield self._top("data", _bytes(len(data)), columns, _DIM)
            yield from self._sides(self._dump(data, columns - 4), columns, _DIM)
            yield self._paint(f"╰{'─' * (columns - 2)}╯", _DIM)

    def _dump(self, data: bytes, columns: int) -> Iterator[str]:
        per_row = next(count for count in (16, 8) if 4 * count <= columns)
        rows = [data[at : at + per_row] for at in range(0, len(data), per_row)]
        shown = rows if self._style.shows_all or len(rows) <= DATA_ROWS_MAX else rows[:DATA_ROWS_MAX]
        hex_columns = 3 * len(rows[0]) - 1
        for row in shown:
            characters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in row)
            yield f"{row.hex(' '):<{hex_columns}} {characters}"
        left = len(data) - per_row * len(shown)
        if left > 0:
            yield self._paint(f"and {_bytes(left)} more (-vv shows them)", _DIM)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._style.colours and text.strip() and code != _PLAIN else text


def _wrapped(text: str, room: int) -> list[str]:
    if len(text) <= room:  # most often, and in a twentieth of the time
        return [text]
    return textwrap.wrap(text, room, break_on_hyphens=False)


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"


def _width(line: str) -> int:
    """Return how many cells the line takes, without what sets its colours."""
    if "\x1b" not in line:
        return len(line)
    return len(_COLOURING.sub("", line))
