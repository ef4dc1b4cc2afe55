"""The ZIP format as it is written without going back: what stands before, behind and after the files.

Source: PKWARE's APPNOTE.TXT 6.3.10, by its sections. Sizes and checksums are known only behind a file, so they stand
there (4.3.9, bit 3 of the flags), and again in the directory at the end, from which most programs read.

Every file is deflated, if only in blocks that are stored: a deflated stream knows its own end, so that programs which
read an archive while it comes can tell where the next file begins.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final

FILE_MODE: Final = 0o100644  # S_IFREG, and what everybody may read
DIRECTORY_MODE: Final = 0o040755

_LARGE: Final = 0xFFFF_FFFF  # what four bytes cannot say is said in eight, 4.5.3
_MANY: Final = 0xFFFF
# A file whose sizes may come to need eight bytes has to say so before them. Deflating adds a little to what it cannot
# make smaller.
LARGE_FROM_BYTES: Final = _LARGE - (1 << 24)

_NAME_IN_UTF_8_AND_SIZES_BEHIND: Final = 1 << 11 | 1 << 3  # 4.4.4
_DEFLATED: Final = 8  # 4.4.5
_STORED: Final = 0
_MADE_ON_UNIX: Final = 3 << 8  # 4.4.2
_VERSION: Final = 20  # 4.4.3.2: folders and deflation
_VERSION_LARGE: Final = 45
_EXTRA_LARGE: Final = 0x0001  # 4.5.3
_EXTRA_TIME: Final = 0x5455  # Info-ZIP's, in seconds since 1970: the format's own have no zone


@dataclass(slots=True)
class Member:
    """A file or folder in an archive. Folders end in a slash. The last four are known when it has been written."""

    name: str
    modified: datetime  # in UTC
    is_large: bool = False
    offset: int = 0
    checksum: int = 0
    packed_bytes: int = 0
    size_bytes: int = 0

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def build_member_head(member: Member) -> bytes:
    """Return what stands before a file, 4.3.7."""
    name = _encoded(member.name)
    large = struct.pack("<HHQQ", _EXTRA_LARGE, 16, 0, 0) if member.is_large else b""
    extra = large + _build_time(member)
    sizes = (_LARGE, _LARGE) if member.is_large else (0, 0)
    return (
        struct.pack(
            "<4sHHHHHIIIHH",
            b"PK\x03\x04",
            _VERSION_LARGE if member.is_large else _VERSION,
            _flags(member),
            _method(member),
            *_dos_time(member.modified),
            0,
            *sizes,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def build_member_end(member: Member) -> bytes:
    """Return what stands behind a file, 4.3.9; nothing behind a folder."""
    if member.is_folder:
        return b""
    form = "<4sIQQ" if member.is_large else "<4sIII"
    return struct.pack(form, b"PK\x07\x08", member.checksum, member.packed_bytes, member.size_bytes)


def build_directory_entry(member: Member) -> bytes:
    """Return what stands for a file in the directory at the end, 4.3.12."""
    name = _encoded(member.name)
    numbers = (member.size_bytes, member.packed_bytes, member.offset)
    beyond = [number for number in numbers if number >= _LARGE]
    large = struct.pack(f"<HH{len(beyond)}Q", _EXTRA_LARGE, 8 * len(beyond), *beyond) if beyond else b""
    size_bytes, packed_bytes, offset = (min(number, _LARGE) for number in numbers)
    extra = large + _build_time(member)
    version = _VERSION_LARGE if beyond or member.is_large else _VERSION
    mode = DIRECTORY_MODE if member.is_folder else FILE_MODE
    return (
        struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            b"PK\x01\x02",
            _MADE_ON_UNIX | version,
            version,
            _flags(member),
            _method(member),
            *_dos_time(member.modified),
            member.checksum,
            packed_bytes,
            size_bytes,
            len(name),
            len(extra),
            0,  # no comment
            0,  # no other disk
            0,  # no text that a program should know of
            mode << 16 | (0x10 if member.is_folder else 0),  # DOS has folders by that bit
            offset,
        )
        + name
        + extra
    )


def build_end(members: int, directory_bytes: int, offset: int) -> bytes:
    """Return the end of an archive, 4.3.14 to 4.3.16: how many files its directory has, and where that begins."""
    large = b""
    if members >= _MANY or directory_bytes >= _LARGE or offset >= _LARGE:
        large = struct.pack(
            "<4sQHHIIQQQQ",
            b"PK\x06\x06",
            44,  # bytes that follow
            _MADE_ON_UNIX | _VERSION_LARGE,
            _VERSION_LARGE,
            0,
            0,
            members,
            members,
            directory_bytes,
            offset,
        ) + struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + directory_bytes, 1)
    count = min(members, _MANY)
    small = (min(directory_bytes, _LARGE), min(offset, _LARGE))
    return large + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, *small, 0)


def _flags(member: Member) -> int:
    return _NAME_IN_UTF_8_AND_SIZES_BEHIND & ~(1 << 3) if member.is_folder else _NAME_IN_UTF_8_AND_SIZES_BEHIND


def _method(member: Member) -> int:
    return _STORED if member.is_folder else _DEFLATED


def _encoded(name: str) -> bytes:
    """Return the name in UTF-8, as the flags say it is; what cannot be written in it is a question mark in a square."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode("utf-8")


def _build_time(member: Member) -> bytes:
    seconds = int(member.modified.timestamp())
    return struct.pack("<HHBi", _EXTRA_TIME, 5, 1, min(max(seconds, -(1 << 31)), (1 << 31) - 1))


def _dos_time(moment: datetime) -> tuple[int, int]:
    """Return time and date in the format of DOS, 4.4.6: from 1980 to 2107, to two seconds."""
    if moment.year < 1980:
        return 0, 1 << 5 | 1
    if moment.year > 2107:
        return 23 << 11 | 59 << 5 | 29, 127 << 9 | 12 << 5 | 31
    return (
        moment.hour << 11 | moment.minute << 5 | moment.second // 2,
        (moment.year - 1980) << 9 | moment.month << 5 | moment.day,
    )
