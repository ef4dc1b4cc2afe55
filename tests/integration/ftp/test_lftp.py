"""lftp, which asks what the server can before it logs in, lists by MLSD, mirrors, and carries files in pieces."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.ftp import CONTENTS, LARGE, NAME, NAMES, PASSWORD, TEXT, Desk, Site

# Runs a script of commands at a site, with settings changed, and returns what is printed; a failing command ends it.
Lftp = Callable[..., bytes]

FAILED = 1
QUIET = {
    "cmd:fail-exit": "yes",
    "cmd:interactive": "no",
    "net:max-retries": "1",
    "net:timeout": "20",
    "xfer:clobber": "yes",
    "ftp:ssl-allow": "no",
}


@pytest.fixture
def lftp(desk: Desk) -> Lftp:
    def run(
        site: Site, *commands: str, login: str | None = f"{NAME},{PASSWORD}", url: str = "", status: int = 0,
        settings: Mapping[str, str] = {},
    ) -> bytes:  # fmt: skip
        setting = [f"set {name} {value}" for name, value in {**QUIET, **settings}.items()]
        opening = f"open {f'-u {login} ' if login else ''}{url or site.url(login='')}"
        return desk("lftp", "--norc", "-c", "; ".join([*setting, opening, *commands]), status=status)

    return run


@pytest.fixture(params=["MLSD", "LIST"])
def listing(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings for each way to learn what is there."""
    return {"ftp:use-mlsd": "yes" if request.param == "MLSD" else "no"}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_it_lists_names(lftp: Lftp, site: Site, listing: dict[str, str], host: str) -> None:
    site.put_names()
    said = lftp(site, "cls -1", settings=listing, url=site.url(host=host, login=""))
    assert sorted(said.decode().splitlines()) == sorted(NAMES)


def test_it_learns_sizes_and_kinds(lftp: Lftp, site: Site, listing: dict[str, str]) -> None:
    site.put("file", LARGE)
    (site.home / "below").mkdir()
    said = lftp(site, "cls -1 --size --block-size=1 --classify", settings=listing).decode().splitlines()
    assert sorted(line.split()[-1] for line in said) == ["below/", "file"]
    assert [line.split()[0] for line in said if line.endswith("file")] == [str(len(LARGE))]


def test_it_lists_as_ls_does(lftp: Lftp, site: Site) -> None:
    site.put_names()
    said = lftp(site, "ls").decode().splitlines()
    assert sorted(line.split(maxsplit=8)[8] for line in said) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_both_ways(lftp: Lftp, site: Site, desk: Desk, name: str) -> None:
    desk.put(name, name.encode())
    lftp(site, f"put -- '{name}'", f"get -- '{name}' -o down")
    assert site.contents() == {name: name.encode()}
    assert desk.read("down") == name.encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_both_ways(lftp: Lftp, site: Site, desk: Desk, size: str, host: str) -> None:
    desk.put("up", CONTENTS[size])
    lftp(site, "put up -o file", "get file -o down", url=site.url(host=host, login=""))
    assert site.contents() == {"file": CONTENTS[size]}
    assert desk.read("down") == CONTENTS[size]


@pytest.mark.parametrize("size", CONTENTS)
def test_the_server_connects_to_it(lftp: Lftp, site: Site, desk: Desk, size: str) -> None:
    # Over IPv6 it says "EPRT |2|::|…|", which is nobody's address.
    desk.put("up", CONTENTS[size])
    lftp(site, "put up -o file", "get file -o down", settings={"ftp:passive-mode": "no"})
    assert site.contents() == {"file": CONTENTS[size]}
    assert desk.read("down") == CONTENTS[size]


def test_a_download_is_resumed(lftp: Lftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    desk.put("down", LARGE[:1_234_567])
    lftp(site, "get -c file -o down")
    assert desk.read("down") == LARGE


def test_an_upload_is_resumed(lftp: Lftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE[:1_234_567])
    desk.put("up", LARGE)
    lftp(site, "put -c up -o file")
    assert site.contents() == {"file": LARGE}


def test_a_download_comes_in_pieces_side_by_side(lftp: Lftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    lftp(site, "pget -n 4 file -o down", settings={"pget:min-chunk-size": "100k"})
    assert desk.read("down") == LARGE


def test_lines_end_as_each_side_ends_them(lftp: Lftp, site: Site, desk: Desk) -> None:
    desk.put("up", TEXT)
    lftp(site, "put -a up -o file", "get -a file -o down")
    assert site.contents() == {"file": TEXT}
    assert desk.read("down") == TEXT


def test_it_renames_deletes_and_makes_directories(lftp: Lftp, site: Site) -> None:
    site.put("old")
    site.put("-gone")
    (site.home / "gone-too").mkdir()
    (site.home / "full").mkdir()
    (site.home / "full" / "file").write_bytes(b"")
    lftp(site, "mv old 'new name'", "rm -- -gone", "rmdir gone-too", "mkdir -p made/deep", "rm -r full")
    assert sorted(path.name for path in site.home.iterdir()) == ["made", "new name"]
    assert (site.home / "made" / "deep").is_dir()


def test_it_sets_modes_and_times(lftp: Lftp, site: Site, desk: Desk) -> None:
    site.put("file")
    os.utime(desk.directory / desk.put("up", b"x"), (1_000_000_000, 1_000_000_000))
    lftp(site, "chmod 640 file", "put up")
    assert (site.home / "file").stat().st_mode & 0o777 == 0o640
    assert (site.home / "up").stat().st_mtime == 1_000_000_000


def test_a_tree_is_mirrored_both_ways(lftp: Lftp, site: Site, desk: Desk, listing: dict[str, str]) -> None:
    there = desk.directory / "there"
    contents = make_tree(there)
    lftp(site, "mirror --reverse --parallel=3 there mirrored", settings=listing)
    assert files_of(site.home / "mirrored") == contents
    lftp(site, "mirror --parallel=3 mirrored back", settings=listing)
    assert files_of(desk.directory / "back") == contents


def test_a_mirror_carries_only_what_changed(lftp: Lftp, site: Site, desk: Desk, listing: dict[str, str]) -> None:
    there = desk.directory / "there"
    make_tree(there)
    lftp(site, "mirror --reverse there mirrored", settings=listing)
    (there / "new").write_bytes(b"new")
    (there / NAMES[0]).unlink()
    said = lftp(site, "mirror --reverse --delete --verbose=1 there mirrored", settings=listing).decode()
    assert files_of(site.home / "mirrored") == files_of(there)
    assert sorted(said.splitlines()) == [f"Removing old file `{NAMES[0]}'", "Transferring file `new'"]


def make_tree(root: Path) -> dict[str, bytes]:
    """Make files at several depths, with difficult names among them; return what is where."""
    names = [*NAMES, *(f"below {number}/{name}" for number in range(3) for name in NAMES), "a/b/c/deep"]
    contents = {name: name.encode() * 1_000 for name in names}
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return contents


def files_of(root: Path) -> dict[str, bytes]:
    """Return what is in each file under a directory."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_wrong_password_is_refused(lftp: Lftp, own_site: Site) -> None:
    said = lftp(own_site, "cls -1", login=f"{NAME},wrong", status=FAILED)
    assert said == b""


def test_anybody_may_read_and_nobody_write(lftp: Lftp, public: Site, desk: Desk) -> None:
    public.put("file", LARGE)
    desk.put("up", b"x")
    lftp(public, "get file -o down", login=None)
    assert desk.read("down") == LARGE
    for refused in ("put up", "put up -o file", "rm file", "mv file other", "mkdir made", "chmod 600 file"):
        lftp(public, refused, login=None, status=FAILED)
    assert public.contents() == {"file": LARGE}


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["explicit", "implicit"])
def lftp_tls(request: pytest.FixtureRequest, lftp: Lftp, certificates: Certificates) -> Lftp:
    """lftp that hides everything, and speaks only with whom our authority knows."""

    def run(site: Site, *commands: str, status: int = 0, **changed: str) -> bytes:
        url = site.tls_url(login="") if request.param == "implicit" else site.url(host="localhost", login="")
        forced = {
            "ftp:ssl-allow": "yes",
            "ftp:ssl-force": "yes",
            "ftp:ssl-protect-data": "yes",
            "ssl:ca-file": str(certificates.ca),
        }
        return lftp(site, *commands, url=url, status=status, settings={**forced, **changed})

    return run


@pytest.mark.parametrize("passive", ["yes", "no"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_over_tls(lftp_tls: Lftp, site: Site, desk: Desk, size: str, passive: str) -> None:
    desk.put("up", CONTENTS[size])
    commands = ("put up -o file", "get file -o down", "cls -1")
    said = lftp_tls(site, *commands, **{"ftp:passive-mode": passive, "dns:order": "inet"})
    assert said == b"file\n"
    assert site.contents() == {"file": CONTENTS[size]}
    assert desk.read("down") == CONTENTS[size]


def test_a_tree_is_mirrored_over_tls(lftp_tls: Lftp, site: Site, desk: Desk) -> None:
    contents = make_tree(desk.directory / "there")
    lftp_tls(site, "mirror --reverse --parallel=3 there mirrored", "mirror --parallel=3 mirrored back")
    assert files_of(site.home / "mirrored") == files_of(desk.directory / "back") == contents


def test_its_data_resume_the_session_of_the_control_connection(lftp_tls: Lftp, resuming_site: Site, desk: Desk) -> None:
    contents = make_tree(desk.directory / "there")
    lftp_tls(resuming_site, "mirror --reverse --parallel=3 there mirrored")
    assert files_of(resuming_site.home / "mirrored") == contents


def test_it_trusts_no_certificate_of_strangers(lftp_tls: Lftp, site: Site, desk: Desk) -> None:
    stranger = Certificates(desk.directory)
    lftp_tls(site, "cls -1", status=FAILED, **{"ssl:ca-file": str(stranger.ca)})
