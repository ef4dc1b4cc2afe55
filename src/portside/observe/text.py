"""Words that are not ours, made harmless for terminals and logs."""

from __future__ import annotations

import unicodedata


def harmless(text: str) -> str:
    """Return the text with every character escaped that a terminal might obey or that would break the line.

    Names, paths and peers' words are not ours; a control character (C0, C1, DEL), a line separator or a direction
    override in them could rewrite what the reader sees.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def width_of(text: str) -> int:
    """Return how many cells of a terminal the text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def cut_to(text: str, cells: int) -> str:
    """Return the text, or as much of it as goes into so many cells with ``…`` at its end."""
    if width_of(text) <= cells:
        return text
    kept, left = "", cells - 1
    for character in text:
        left -= width_of(character)
        if left < 0:
            break
        kept += character
    return f"{kept}…" if cells > 0 else ""
