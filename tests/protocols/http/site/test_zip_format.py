"""The ZIP format, as Python's own reader and Info-ZIP see what is written, small and beyond four bytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portside.protocols.http.site.zip_format import (
    LARGE_FROM_BYTES,
    Member,
    build_directory_entry,
    build_end,
    build_member_end,
    build_member_head,
)
from support.peers import run

WHEN = datetime(2026, 7, 8, 9, 10, 12, tzinfo=UTC)


def packed(member: Member, content: bytes) -> bytes:
    """Return the member as it stands in an archive; what is known behind it is in it from then on."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = packer.compress(content) + packer.flush()
    member.checksum, member.size_bytes, member.packed_bytes = zlib.crc32(content), len(content), len(data)
    return build_member_head(member) + data + build_member_end(member)


def archive(*members: tuple[Member, bytes]) -> bytes:
    whole = b""
    for member, content in members:
        member.offset = len(whole)
        whole += build_member_head(member) if member.is_folder else packed(member, content)
    directory = b"".join(build_directory_entry(member) for member, _ in members)
    return whole + directory + build_end(len(members), len(directory), len(whole))


@pytest.mark.parametrize("is_large", [False, True])
def test_what_is_written_can_be_read(tmp_path: Path, is_large: bool) -> None:
    names = {"folder/": b"", "folder/a.txt": b"hello" * 1_000, "folder/größe \N{BANANA}": b"", "b": bytes(100_000)}
    whole = archive(*((Member(name, WHEN, is_large=is_large), content) for name, content in names.items()))
    with zipfile.ZipFile(io.BytesIO(whole)) as found:
        assert found.testzip() is None
        assert {info.filename: found.read(info) for info in found.infolist()} == names
        assert all(info.date_time == (2026, 7, 8, 9, 10, 12) for info in found.infolist())
        assert [info.is_dir() for info in found.infolist()] == [True, False, False, False]
        assert found.infolist()[1].external_attr >> 16 == 0o100644
    path = tmp_path / "a.zip"
    path.write_bytes(whole)
    said = run("unzip", "-t", path)  # type: ignore[arg-type]
    assert said.returncode == 0, said.stdout


def test_an_empty_archive() -> None:
    with zipfile.ZipFile(io.BytesIO(archive())) as found:
        assert found.namelist() == []


def test_more_files_than_two_bytes_can_count() -> None:
    members = [Member(f"{number}/", WHEN) for number in range(70_000)]
    head = build_member_head(Member("0/", WHEN))
    directory = b"".join(map(build_directory_entry, members))
    whole = head + directory + build_end(len(members), len(directory), len(head))
    with zipfile.ZipFile(io.BytesIO(whole)) as found:
        assert len(found.infolist()) == 70_000


def test_sizes_and_places_that_four_bytes_cannot_say() -> None:
    member = Member("a", WHEN, is_large=True, offset=5 << 32, checksum=7, packed_bytes=6 << 32, size_bytes=7 << 32)
    entry = build_directory_entry(member)
    # The archive's beginning is not there: its reader takes the distance for what stands before it.
    whole = entry + build_end(1, len(entry), 8 << 32)
    with zipfile.ZipFile(io.BytesIO(whole)) as found:
        [info] = found.infolist()
    assert (info.file_size, info.compress_size, info.CRC) == (7 << 32, 6 << 32, 7)
    assert info.header_offset + (8 << 32) == 5 << 32
    assert build_member_end(member).endswith((6 << 32).to_bytes(8, "little") + (7 << 32).to_bytes(8, "little"))


def test_only_what_needs_eight_bytes_has_them() -> None:
    small = Member("a", WHEN, offset=LARGE_FROM_BYTES, packed_bytes=LARGE_FROM_BYTES, size_bytes=LARGE_FROM_BYTES)
    large = Member("a", WHEN, offset=1 << 32)
    assert len(build_directory_entry(large)) == len(build_directory_entry(small)) + 12  # the offset alone


@pytest.mark.parametrize(
    ("when", "told"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(9999, 1, 1, tzinfo=UTC), (2107, 12, 31, 23, 59, 58)),
        (datetime(2000, 2, 29, 1, 2, 3, tzinfo=UTC), (2000, 2, 29, 1, 2, 2)),
    ],
)
def test_dates_that_dos_does_not_know_are_the_nearest(when: datetime, told: tuple[int, ...]) -> None:
    with zipfile.ZipFile(io.BytesIO(archive((Member("a", when), b"")))) as found:
        assert found.infolist()[0].date_time == told
