"""curl, which asks for SSL before TLS, enters one directory after the other, and resumes by appending."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest

from support.certificates import Certificates
from support.ftp import CONTENTS, LARGE, NAMES, TEXT, TEXT_ON_THE_WIRE, Desk, Site

Curl = Callable[..., bytes]
TlsUrl = Callable[..., str]

# curl(1), EXIT CODES
ACCESS_DENIED, QUOTE_FAILED, UPLOAD_FAILED, LOGIN_DENIED, TLS_UNVERIFIED, NO_SUCH_FILE = 9, 21, 25, 67, 60, 78


@pytest.fixture
def curl(desk: Desk) -> Curl:
    def run(*arguments: str, status: int = 0) -> bytes:
        return desk("curl", "--silent", "--show-error", "--max-time", "25", *arguments, status=status)

    return run


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_it_lists_names(curl: Curl, site: Site, host: str) -> None:
    site.put_names()
    assert sorted(curl("--list-only", site.url(host=host)).decode().splitlines()) == sorted(NAMES)


def test_it_lists_as_ls_does(curl: Curl, site: Site) -> None:
    site.put_names()
    (site.home / "below").mkdir()
    lines = curl(site.url()).decode().splitlines()
    assert sorted(line.split(maxsplit=8)[8] for line in lines) == sorted([*NAMES, "below"])
    assert {line.split()[4] for line in lines if line.endswith("space.txt")} == {str(len("with space.txt"))}
    assert [line[:4] for line in lines if line.endswith("below")] == ["drwx"]


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_both_ways(curl: Curl, site: Site, desk: Desk, name: str) -> None:
    curl("--upload-file", f"./{desk.put(name, name.encode())}", site.url(name))
    assert site.contents() == {name: name.encode()}
    assert curl(site.url(name)) == name.encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_both_ways(curl: Curl, site: Site, desk: Desk, size: str, host: str) -> None:
    curl("--upload-file", desk.put("up", CONTENTS[size]), site.url("file", host=host))
    assert site.contents() == {"file": CONTENTS[size]}
    curl("--output", "down", site.url("file", host=host))
    assert desk.read("down") == CONTENTS[size]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("eprt", ["--eprt", "--disable-eprt"])
def test_the_server_connects_to_it(curl: Curl, site: Site, desk: Desk, host: str, eprt: str) -> None:
    curl("--ftp-port", "-", eprt, "--upload-file", desk.put("up", LARGE), site.url("file", host=host))
    assert curl("--ftp-port", "-", eprt, site.url("file", host=host)) == LARGE


def test_it_does_without_extended_commands(curl: Curl, site: Site) -> None:
    site.put("file", LARGE)
    assert curl("--disable-epsv", site.url("file")) == LARGE


def test_a_download_is_resumed(curl: Curl, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    desk.put("down", LARGE[:1_234_567])
    curl("--continue-at", "-", "--output", "down", site.url("file"))
    assert desk.read("down") == LARGE


def test_an_upload_is_resumed(curl: Curl, site: Site, desk: Desk) -> None:
    site.put("file", LARGE[:1_234_567])
    curl("--continue-at", "-", "--upload-file", desk.put("up", LARGE), site.url("file"))
    assert site.contents() == {"file": LARGE}


def test_a_part_is_fetched_and_the_rest_aborted(curl: Curl, site: Site) -> None:
    site.put("file", LARGE)
    assert curl("--range", "1000-1009", site.url("file")) == LARGE[1000:1010]
    # Both ways to say it over one control connection: what was cut short does not spoil what follows.
    parts = curl("--range", "0-4", site.url("file"), site.url("file"))
    assert parts == LARGE[:5] * 2


def test_an_upload_is_appended(curl: Curl, site: Site, desk: Desk) -> None:
    site.put("file", b"first ")
    curl("--append", "--upload-file", desk.put("up", b"second"), site.url("file"))
    assert site.contents() == {"file": b"first second"}


def test_lines_end_as_each_side_ends_them(curl: Curl, site: Site, desk: Desk) -> None:
    curl("--use-ascii", "--crlf", "--upload-file", desk.put("up", TEXT), site.url("file"))
    assert site.contents() == {"file": TEXT}
    assert curl("--use-ascii", site.url("file")).replace(b"\r\n", b"\n") == TEXT
    assert curl(site.url("file")) == TEXT != TEXT_ON_THE_WIRE


def test_it_asks_for_size_and_time_alone(curl: Curl, site: Site) -> None:
    site.put("file", LARGE)
    head = curl("--head", site.url("file")).decode().splitlines()
    assert f"Content-Length: {len(LARGE)}" in head
    assert [line for line in head if line.startswith("Last-Modified: ")]


def test_it_renames_deletes_and_makes_directories(curl: Curl, site: Site) -> None:
    site.put("old")
    site.put("gone")
    (site.home / "gone-too").mkdir()
    at = site.home.name
    said = [f"RNFR {at}/old", f"RNTO {at}/new name", f"DELE {at}/gone", f"MKD {at}/made", f"RMD {at}/gone-too"]
    curl("--list-only", *(word for command in said for word in ("--quote", command)), site.url())
    assert sorted(path.name for path in site.home.iterdir()) == ["made", "new name"]


def test_it_makes_the_directories_on_the_way(curl: Curl, site: Site, desk: Desk) -> None:
    curl("--ftp-create-dirs", "--upload-file", desk.put("up", b"deep"), site.url("a/b c/file"))
    assert (site.home / "a" / "b c" / "file").read_bytes() == b"deep"


def test_many_files_over_one_connection(curl: Curl, site: Site, desk: Desk) -> None:
    contents = {f"file-{number}": bytes([number]) * number * 1_000 for number in range(6)}
    for name, content in contents.items():
        site.put(name, content)
    curl("--remote-name-all", *map(site.url, contents))
    assert {name: desk.read(name) for name in contents} == contents


def test_what_is_not_there_is_said_so(curl: Curl, site: Site) -> None:
    curl(site.url("missing"), status=NO_SUCH_FILE)
    curl(site.url("no-directory/"), status=ACCESS_DENIED)
    curl("--quote", f"DELE {site.home.name}/missing", site.url(), status=QUOTE_FAILED)


def test_a_wrong_password_is_refused(curl: Curl, own_site: Site) -> None:
    curl(own_site.url(login="anna:wrong@"), status=LOGIN_DENIED)


def test_anybody_may_read_and_nobody_write(curl: Curl, public: Site, desk: Desk) -> None:
    public.put("file", LARGE)
    assert curl(public.url("file", login="")) == LARGE
    curl("--upload-file", desk.put("up", b"x"), public.url("new", login=""), status=UPLOAD_FAILED)
    curl("--upload-file", desk.put("up", b"x"), public.url("file", login=""), status=UPLOAD_FAILED)
    curl("--quote", f"DELE {public.home.name}/file", public.url(login=""), status=QUOTE_FAILED)
    assert public.contents() == {"file": LARGE}


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["1.2", "1.3"])
def curl_tls(request: pytest.FixtureRequest, curl: Curl, certificates: Certificates) -> Curl:
    """curl that speaks one version of TLS, and only with whom our authority knows."""
    version = str(request.param)
    return partial(curl, "--ssl-reqd", "--cacert", str(certificates.ca), f"--tlsv{version}", "--tls-max", version)


@pytest.fixture(params=["explicit", "implicit"])
def tls_url(request: pytest.FixtureRequest, site: Site) -> TlsUrl:
    """Makes URLs of both ways to TLS, by a name that is in the certificate."""
    return partial(site.tls_url if request.param == "implicit" else site.url, host="localhost")


@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_over_tls(curl_tls: Curl, site: Site, desk: Desk, tls_url: TlsUrl, size: str) -> None:
    curl_tls("--upload-file", desk.put("up", CONTENTS[size]), tls_url("file"))
    assert site.contents() == {"file": CONTENTS[size]}
    assert curl_tls(tls_url("file")) == CONTENTS[size]
    assert curl_tls("--list-only", tls_url()) == b"file\n"


def test_it_trusts_no_certificate_of_strangers(curl: Curl, site: Site, tls_url: TlsUrl) -> None:
    site.put("file")
    curl("--ssl-reqd", tls_url("file"), status=TLS_UNVERIFIED)


def test_resuming_over_tls(curl_tls: Curl, site: Site, desk: Desk, tls_url: TlsUrl) -> None:
    site.put("up", LARGE[:1_234_567])
    curl_tls("--continue-at", "-", "--upload-file", desk.put("whole", LARGE), tls_url("up"))
    assert site.contents() == {"up": LARGE}
    desk.put("down", LARGE[:1_234_567])
    curl_tls("--continue-at", "-", "--output", "down", tls_url("up"))
    assert desk.read("down") == LARGE


def test_a_part_is_fetched_over_tls_and_the_rest_aborted(curl_tls: Curl, site: Site, tls_url: TlsUrl) -> None:
    site.put("file", LARGE)
    assert curl_tls("--range", "1000-1009", tls_url("file"), tls_url("file")) == LARGE[1000:1010] * 2


def test_its_data_resume_the_session_of_the_control_connection(curl_tls: Curl, resuming_site: Site, desk: Desk) -> None:
    for url in (resuming_site.url("file", host="localhost"), resuming_site.tls_url("file")):
        curl_tls("--upload-file", desk.put("up", LARGE), url)
        assert curl_tls(url, url) == LARGE * 2


def test_only_the_login_is_hidden_when_it_wants_no_more(curl: Curl, site: Site, certificates: Certificates) -> None:
    site.put("file", LARGE)
    verified = ("--ftp-ssl-control", "--cacert", str(certificates.ca))
    assert curl(*verified, site.url("file", host="localhost")) == LARGE


@pytest.mark.parametrize("who_closes", ["active", "passive"])
def test_the_control_connection_is_cleared_after_the_login(curl_tls: Curl, site: Site, who_closes: str) -> None:
    site.put("file", LARGE)
    aloud = ("--verbose", "--stderr", "-", "--output", "/dev/null")
    said = curl_tls("--ftp-ssl-ccc-mode", who_closes, *aloud, site.url("file", host="localhost"))
    assert re.search(rb"(?s)> CCC\r\n[^<]*< 200 .*> RETR file\r\n.*\n< 226 ", said), said
