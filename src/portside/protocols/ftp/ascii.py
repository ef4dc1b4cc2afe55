"""TYPE A: text travels with CR LF at the end of each line, and lies on a disk with LF.

Source: RFC 959 section 3.1.1.1 (the NVT-ASCII of the Telnet protocol), RFC 854 (CR LF and CR NUL).

The server sends as vsftpd and proftpd do: LF becomes CR LF, and what already is CR LF stays, so that a text from
Windows does not get CR CR LF. A CR alone stays alone: most clients would store the NUL behind it that RFC 854 asks for.
"""

from __future__ import annotations


class AsciiEncoder:
    """Makes text as it travels of text as it lies on the disk, piece by piece."""

    __slots__ = ("_ended_in_cr",)

    def __init__(self) -> None:
        self._ended_in_cr = False

    def feed(self, data: bytes) -> bytes:
        """Return the piece as it travels. How a file is cut into pieces makes no difference."""
        if not data:
            return b""
        follows_cr = self._ended_in_cr and data.startswith(b"\n")
        self._ended_in_cr = data.endswith(b"\r")
        text = data.replace(b"\r\n", b"\n") if b"\r" in data else data
        text = text.replace(b"\n", b"\r\n")
        return text[1:] if follows_cr else text  # the CR of this CR LF went out with the piece before


class AsciiDecoder:
    """Makes text as it lies on the disk of text as it travels: CR LF becomes LF, CR NUL becomes CR."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""  # a CR at the end of a piece: what it means is said by the next byte

    def feed(self, data: bytes) -> bytes:
        """Return what is certain of the piece. ``finish`` gives the rest."""
        if not data:
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        if b"\r" not in data:
            return data
        # No CR NUL comes to be by the first replacement: it would need a CR right before a CR LF NUL, and keeps the LF.
        return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")

    def finish(self) -> bytes:
        """Return what is left at the end of the stream: a CR that nothing followed, or nothing."""
        rest, self._held = self._held, b""
        return rest
