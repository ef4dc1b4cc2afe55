"""curl, wget and a library, as people use them: get, resume, compare, upload and mirror, in the clear and under TLS."""

from __future__ import annotations

import io
import os
import ssl
import subprocess
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.site.conftest import Served, Site
from support.peers import run
from support.waiting import wait_until

LARGE = os.urandom(5_000_000)
LOGIN = ("--login", "anna:geheim")
SCHEMES = ("http", "https")


def curl(site: Site, *arguments: str | Path, status: int = 0) -> bytes:
    """Return what curl prints; it must end with the status."""
    done = run("curl", "--silent", "--show-error", "--max-time", "25", "--cacert", str(site.ca), *map(str, arguments))
    assert done.returncode == status, done.stderr
    return done.stdout


def wget(site: Site, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    done = run("wget", "--no-verbose", "--tries=1", f"--ca-certificate={site.ca}", *map(str, arguments), cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(autouse=True)
def files(site: Site) -> Path:
    """What the shared site has in it."""
    (site.root / "small.txt").write_text("hello\n")
    (site.root / "large.bin").write_bytes(LARGE)
    (site.root / "sub").mkdir()
    (site.root / "sub" / "größe & more.txt").write_text("inner\n")
    return site.root


@pytest.mark.parametrize("scheme", SCHEMES)
def test_curl_gets_files_over_one_connection(site: Site, tmp_path: Path, scheme: str) -> None:
    target = tmp_path / "got"
    said = curl(
        site, "--write-out", "%{num_connects} ", "--output", target, site.url("/large.bin", scheme=scheme),
        "--output", tmp_path / "small", site.url("/small.txt", scheme=scheme),
    )  # fmt: skip
    assert said == b"1 0 "
    assert target.read_bytes() == LARGE
    assert (tmp_path / "small").read_bytes() == b"hello\n"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("wanted", ["0-9", "4999990-", "-10", "1000000-3999999"])
def test_curl_gets_parts(site: Site, scheme: str, wanted: str) -> None:
    first, _, last = wanted.partition("-")
    start, end = (int(first), int(last or len(LARGE)) + 1) if first else (len(LARGE) - int(last), len(LARGE))
    assert curl(site, "--range", wanted, site.url("/large.bin", scheme=scheme)) == LARGE[start:end]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_curl_gets_several_parts(site: Site, scheme: str) -> None:
    said = curl(site, "--range", "0-99,1000000-3999999,-5", site.url("/large.bin", scheme=scheme))
    for part in (LARGE[:100], LARGE[1_000_000:4_000_000], LARGE[-5:]):
        assert part in said
    assert len(said) < 3_001_000


def test_curl_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "got"
    target.write_bytes(LARGE[:2_000_000])
    curl(site, "--continue-at", "-", "--output", target, site.url("/large.bin"))
    assert target.read_bytes() == LARGE


def test_curl_compares(site: Site, tmp_path: Path) -> None:
    etag, target = tmp_path / "etag", tmp_path / "got"
    ask = ("--etag-save", etag, "--etag-compare", etag, "--write-out", "%{http_code}", "--output", target)
    assert curl(site, *ask, site.url("/small.txt")) == b"200"
    assert curl(site, *ask, site.url("/small.txt")) == b"304"
    (site.root / "small.txt").write_text("HELLO\n")
    assert curl(site, *ask, site.url("/small.txt")) == b"200"
    assert curl(site, "--time-cond", target, "--write-out", "%{http_code}", site.url("/small.txt")) == b"304"


def test_curl_asks_in_older_ways(site: Site) -> None:
    assert curl(site, "--http1.0", site.url("/small.txt")) == b"hello\n"
    head = curl(site, "--head", site.url("/large.bin"))
    assert b"content-length: 5000000\r\n" in head
    assert b"accept-ranges: bytes\r\n" in head


def test_curl_is_led_to_folders(site: Site) -> None:
    told = curl(site, "--location", "--header", "Accept: application/json", site.url("/sub"))
    assert "größe & more.txt" in told.decode()


def test_curl_takes_what_is_compressed(site: Site) -> None:
    import gzip

    (site.root / "page.html").write_text("plain")
    (site.root / "page.html.gz").write_bytes(gzip.compress(b"packed"))
    assert curl(site, "--compressed", site.url("/page.html")) == b"packed"
    assert curl(site, site.url("/page.html")) == b"plain"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_curl_puts_files(site: Site, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "up").write_bytes(LARGE)
    said = ("--write-out", "%{http_code}", site.url("/up.bin", scheme=scheme))
    # Large enough for curl to wait for "100 Continue" first.
    assert curl(site, "--upload-file", tmp_path / "up", *said) == b"201"
    assert (site.root / "up.bin").read_bytes() == LARGE
    assert curl(site, "--upload-file", tmp_path / "up", "--header", "Transfer-Encoding: chunked", *said) == b"204"
    refused = curl(site, "--upload-file", tmp_path / "up", "--header", "If-None-Match: *", *said)
    assert refused.endswith(b"412")
    assert sorted(os.listdir(site.root)) == ["large.bin", "small.txt", "sub", "up.bin"]


def test_curl_sends_forms(site: Site, tmp_path: Path) -> None:
    for name in ("one", "zwölf"):
        (tmp_path / name).write_bytes(LARGE)
    files = ("--form", f"file=@{tmp_path / 'one'}", "--form", f"file=@{tmp_path / 'zwölf'}")
    assert curl(site, *files, site.url("/sub/")).decode() == "one: stored\nzwölf: stored\n"
    assert (site.root / "sub" / "zwölf").read_bytes() == LARGE
    assert curl(site, "--form", "folder=new folder", site.url("/")) == b"new folder: stored\n"
    assert (site.root / "new folder").is_dir()


def test_a_limit_on_uploads_is_told(served: Served, tmp_path: Path) -> None:
    site = served("--allow-upload", "--upload-max", "1MB")
    (tmp_path / "up").write_bytes(LARGE)
    said = curl(site, "--upload-file", tmp_path / "up", site.url("/up"))
    assert said.startswith(b"413 ")
    assert os.listdir(site.root) == []


def test_who_is_killed_in_an_upload_leaves_nothing(site: Site) -> None:
    with subprocess.Popen(
        ["curl", "--silent", "--upload-file", "-", site.url("/killed")], stdin=subprocess.PIPE
    ) as client:
        assert client.stdin is not None
        client.stdin.write(LARGE[:1_000_000])
        client.stdin.flush()
        client.kill()
    site.server.wait_for_record(event="file", path="/killed", failed="the client has left before the end")
    assert sorted(os.listdir(site.root)) == ["large.bin", "small.txt", "sub"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_folders_come_as_one_file(site: Site, scheme: str) -> None:
    packed = curl(site, site.url("/?zip", scheme=scheme))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert archive.read("files/large.bin") == LARGE
        assert archive.read("files/sub/größe & more.txt") == b"inner\n"
    with tarfile.open(fileobj=io.BytesIO(curl(site, site.url("/sub/?tar", scheme=scheme)))) as archive:
        assert sorted(archive.getnames()) == ["sub/größe & more.txt"]


def test_wget_mirrors_a_site(site: Site, tmp_path: Path) -> None:
    (site.root / "sub" / "deeper").mkdir()
    (site.root / "sub" / "deeper" / "x?y#z").write_text("odd\n")
    wget(
        site,
        "--mirror",
        "--no-parent",
        "--no-host-directories",
        "--reject=index.html*",
        site.url("/sub/"),
        cwd=tmp_path,
    )
    found = {path.relative_to(tmp_path / "sub").as_posix() for path in (tmp_path / "sub").rglob("*") if path.is_file()}
    assert {name for name in found if "?" not in name or "x?y" in name} == {"größe & more.txt", "deeper/x?y#z"}
    mirrored = tmp_path / "sub" / "größe & more.txt"
    assert mirrored.read_text() == "inner\n"
    assert int(mirrored.stat().st_mtime) == int((site.root / "sub" / "größe & more.txt").stat().st_mtime)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_wget_goes_on_and_does_nothing_twice(site: Site, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "large.bin").write_bytes(LARGE[:1_234_567])
    for _ in range(2):
        wget(site, "--continue", site.url("/large.bin", scheme=scheme), cwd=tmp_path)
        assert (tmp_path / "large.bin").read_bytes() == LARGE
    wget(site, "--timestamping", site.url("/small.txt", scheme=scheme), cwd=tmp_path)
    again = wget(site, "--timestamping", site.url("/small.txt", scheme=scheme), cwd=tmp_path)
    assert b"small.txt" not in again.stderr.replace(b"URL:", b"") or b"304" in again.stderr or not again.stderr


@pytest.mark.parametrize("scheme", SCHEMES)
def test_logins_with_curl(served: Served, scheme: str) -> None:
    site = served(*LOGIN)
    (site.root / "x").write_text("x")
    assert curl(site, site.url("/x", scheme=scheme)).startswith(b"401 ")
    assert curl(site, "--user", "anna:geheim", site.url("/x", scheme=scheme)) == b"x"
    assert curl(site, "--user", "anna:wrong", site.url("/x", scheme=scheme)).startswith(b"401 ")
    site.server.wait_for_record(event="login", user="anna", refused="the name or the password is wrong")
    assert "geheim" not in site.server.said


def test_a_library_streams_both_ways(site: Site) -> None:
    def pieces() -> Any:
        for start in range(0, len(LARGE), 70_000):
            yield LARGE[start : start + 70_000]

    with httpx.Client(base_url=site.url(""), trust_env=False) as client:
        assert client.put("/streamed", content=pieces()).status_code == 201
        with client.stream("GET", "/streamed") as answer:
            assert b"".join(answer.iter_bytes()) == LARGE
        listed = client.get("/", headers={"accept": "application/json"}).json()
        assert [entry["name"] for entry in listed["entries"]] == ["sub", "large.bin", "small.txt", "streamed"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("target", ["/sub/?zip", "/sub/?tar", "/sub/huge.png"])
def test_who_has_had_enough_may_leave(site: Site, scheme: str, target: str) -> None:
    with (site.root / "sub" / "huge.png").open("wb") as huge:
        huge.truncate(1 << 40)
    context = ssl.create_default_context(cafile=str(site.ca))
    with httpx.Client(verify=context, trust_env=False) as client:
        for _ in range(6):  # more than archives are made at once
            with client.stream("GET", site.url(target, scheme=scheme)) as answer:
                assert answer.status_code == 200
                assert len(next(answer.iter_raw())) > 0
            wait_until(lambda: not _is_open(site, "huge.png"), "the file is closed")


def _is_open(site: Site, name: str) -> bool:
    """Say whether any worker has the file open."""
    for pid in site.server.children:
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{number}").endswith(name):
                    return True
    return False


def test_many_at_once(site: Site) -> None:
    done = run(
        "curl", "--silent", "--parallel", "--parallel-immediate", "--parallel-max", "40", "--fail",
        f"{site.url('/small.txt')}?[1-300]", "--output", os.devnull, "--write-out", "%{http_code}\n",
    )  # fmt: skip
    assert done.stdout.split() == [b"200"] * 300


def test_it_runs_on_asyncio_s_own_loop_too(served: Served) -> None:
    from integration.conftest import WITHOUT_UVLOOP

    site = served("--allow-upload", env={"PYTHONPATH": str(WITHOUT_UVLOOP)})
    (site.root / "large.bin").write_bytes(LARGE)
    for scheme in SCHEMES:
        assert curl(site, site.url("/large.bin", scheme=scheme)) == LARGE
    assert curl(site, "--form", "file=@/etc/hostname", site.url("/")) == b"hostname: stored\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "thread"), "the static site needs an event loop: use --model event, not thread"),
        (("--no-anonymous",), "nobody could log in: give --login, --users or --anonymous"),
        (("--index", "a/b"), "an index page is a file in the folder that it is of, and 'a/b' names none"),
        (("--charset", "utf 8"), "'utf 8' is no name of a character set"),
        (("--root-path", "files"), "the root path 'files' does not begin with a slash"),
        (("--symlinks", "perhaps"), "'perhaps' is none of follow, refuse"),
    ],
)
def test_what_cannot_be_meant(serve: Any, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    server = serve("serve", "http", str(tmp_path), "--listen", "tcp://127.0.0.1:0", *options, listening=0)
    assert server.wait() == 2
    assert said in server.said


def test_a_folder_that_is_not_there(serve: Any, tmp_path: Path) -> None:
    server = serve("serve", "http", str(tmp_path / "nothing"), "--listen", "tcp://127.0.0.1:0", listening=0)
    assert server.wait() == 2
    assert "nothing cannot be served: there is no such file or directory" in server.said
