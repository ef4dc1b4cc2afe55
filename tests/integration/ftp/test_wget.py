"""wget, which reads the lines of LIST for itself, goes down whole trees, and leaves without saying QUIT."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.ftp import CONTENTS, LARGE, NAMES, Desk, Site

Wget = Callable[..., bytes]

# wget(1), EXIT STATUS
TLS_UNVERIFIED, LOGIN_DENIED, SERVER_ERROR = 5, 6, 8


@pytest.fixture
def wget(desk: Desk) -> Wget:
    """wget, which gives up where it would wait or try again."""
    return partial(desk, "wget", "--no-config", "--no-verbose", "--tries=1", "--timeout=20")


to_stdout = ("--output-document", "-")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_come_as_they_are(wget: Wget, site: Site, size: str, host: str) -> None:
    site.put("file", CONTENTS[size])
    assert wget(*to_stdout, site.url("file", host=host)) == CONTENTS[size]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_found(wget: Wget, site: Site, desk: Desk, name: str) -> None:
    site.put(name, name.encode())
    wget(site.url(name))
    assert desk.read(name) == name.encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_server_connects_to_it(wget: Wget, site: Site, host: str) -> None:
    site.put("file", LARGE)
    assert wget("--no-passive-ftp", *to_stdout, site.url("file", host=host)) == LARGE


def test_a_directory_is_shown_as_a_page(wget: Wget, site: Site) -> None:
    site.put_names()
    (site.home / "below").mkdir()
    page = wget(*to_stdout, site.url()).decode()
    shown = [line for line in page.splitlines() if "<a href" in line]
    assert [" ".join(line.split()[4:5]) for line in shown if ">below/</a>" in line] == ["Directory"]
    assert [line.rpartition("(")[2] for line in shown if "space.txt</a>" in line] == ["14 bytes)"]
    assert len(shown) == len(NAMES) + 1


def test_a_download_is_resumed(wget: Wget, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    desk.put("file", LARGE[:1_234_567])
    wget("--continue", site.url("file"))
    assert desk.read("file") == LARGE


def test_files_are_chosen_by_pattern(wget: Wget, site: Site, desk: Desk) -> None:
    site.put_names()
    site.put("not-this")
    wget(f"{site.url()}*.txt")
    assert sorted(path.name for path in desk.directory.glob("[!.]*")) == sorted(NAMES)


def test_a_tree_is_mirrored(wget: Wget, site: Site, desk: Desk) -> None:
    contents = {f"{below}{name}": name.encode() for below in ("", "below/", "a b/c/") for name in NAMES}
    for name, content in contents.items():
        (site.home / name).parent.mkdir(parents=True, exist_ok=True)
        site.put(name, content)
    wget("--mirror", "--no-host-directories", "--cut-dirs=1", site.url())
    assert files_of(desk.directory) == contents
    # What it has, it does not fetch again: times and sizes of the listing are those of the files.
    times = {path: path.stat().st_ino for path in desk.directory.rglob("*.txt")}
    wget("--mirror", "--no-host-directories", "--cut-dirs=1", site.url())
    assert {path: path.stat().st_ino for path in desk.directory.rglob("*.txt")} == times


def files_of(root: Path) -> dict[str, bytes]:
    """Return what is in each file under a directory, but for wget's own notes."""
    found = [path for path in root.rglob("*") if path.is_file() and path.name not in {".listing", ".wget-hsts"}]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_what_is_not_there_is_said_so(wget: Wget, site: Site) -> None:
    wget(site.url("missing"), status=SERVER_ERROR)
    wget(site.url("no-directory/"), status=SERVER_ERROR)


def test_a_wrong_password_is_refused(wget: Wget, own_site: Site) -> None:
    own_site.put("file")
    wget(own_site.url("file", login="anna:wrong@"), status=LOGIN_DENIED)


def test_anybody_may_read(wget: Wget, public: Site) -> None:
    public.put("file", LARGE)
    assert wget(*to_stdout, public.url("file", login="")) == LARGE


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ftps(site: Site, way: str, name: str) -> tuple[str, ...]:
    """Return the words of a command line for a URL; to wget, ftps:// means explicit TLS unless it is told."""
    if way == "implicit":
        return ("--ftps-implicit", site.tls_url(name))
    return (site.url(name, host="localhost").replace("ftp:", "ftps:", 1),)


@pytest.mark.parametrize("way", ["explicit", "implicit"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_come_over_tls(wget: Wget, site: Site, certificates: Certificates, size: str, way: str) -> None:
    site.put("file", CONTENTS[size])
    verified = ("--ca-certificate", str(certificates.ca))
    assert wget(*verified, *to_stdout, *ftps(site, way, "file")) == CONTENTS[size]


@pytest.mark.parametrize("way", ["explicit", "implicit"])
def test_its_data_resume_the_session_of_the_control_connection(
    wget: Wget, resuming_site: Site, certificates: Certificates, way: str
) -> None:
    resuming_site.put("file", LARGE)
    verified = ("--ca-certificate", str(certificates.ca))
    assert wget(*verified, *to_stdout, *ftps(resuming_site, way, "file")) == LARGE


@pytest.mark.parametrize("way", ["explicit", "implicit"])
def test_it_trusts_no_certificate_of_strangers(wget: Wget, site: Site, way: str) -> None:
    site.put("file")
    assert wget(*to_stdout, *ftps(site, way, "file"), status=TLS_UNVERIFIED) == b""
