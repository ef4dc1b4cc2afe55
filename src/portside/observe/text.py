"""Words that are not ours, made harmless for terminals and logs."""

from __future__ import annotations


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
