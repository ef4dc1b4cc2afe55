"""``get`` and ``put`` over HTTP: what was typed becomes jobs, and each seat a session with a web server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from portside.cli import exit_status
from portside.cli.client import run_client
from portside.cli.duplex import standard_input, standard_output
from portside.cli.http_url import HttpUrl, is_http, parse_http_url
from portside.cli.transfer import TIMEOUT_S
from portside.cli.transfer_files import Done, Manner
from portside.cli.transfer_jobs import Job, Plan, unique_targets
from portside.cli.transfer_login import Logins
from portside.cli.transfer_report import carry_out
from portside.errors import UsageError

if TYPE_CHECKING:
    import ssl

    from portside.cli.http_client import HttpClient
    from portside.contracts import Network

STANDARD: Final = "-"
NAMELESS: Final = "index.html"  # what a URL without a name becomes, where the server gives it none


def all_http(urls: Sequence[str]) -> bool:
    """Return whether the URLs are of web servers. Raises: UsageError for some of each kind."""
    kinds = {is_http(url) for url in urls}
    if len(kinds) > 1:
        raise UsageError("files of web servers and of FTP servers come by a command each")
    return kinds == {True}


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of ``Name: value``. Raises: UsageError."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{text!r} is no header: write 'Name: value'")
    if any(character in value for character in "\r\n\0"):
        raise UsageError(f"the value of {name} has no CR, LF or NUL")
    return name, value


@dataclass(frozen=True, slots=True)
class HttpWishes:
    """What was asked for on the command line, for all servers of one call."""

    timeout_s: float
    headers: tuple[tuple[str, str], ...] = ()
    context: ssl.SSLContext | None = field(default=None, repr=False)
    logins: Logins = field(default_factory=Logins)

    async def connect(self, network: Network, url: HttpUrl) -> HttpClient:
        """Return a session with the URL's server. Raises: what ``HttpClient.connect`` does."""
        from portside.cli.http_client import HttpClient

        login = self.logins.of(url)
        return await HttpClient.connect(
            network,
            url,
            login=None if login.user is None else (login.user, login.password or ""),
            headers=dict(self.headers),
            tls=self.context if url.scheme == "https" else None,
            timeout_s=self.timeout_s,
        )


def http_wishes(
    urls: Sequence[HttpUrl],
    *,
    timeout: float | None,
    headers: Sequence[str],
    wants_tls: bool,
    tls_ca: str | None,
    tls_insecure: bool,
    active: bool,
    password_stdin: bool,
    verify: bool,
) -> HttpWishes:
    """Return what the options ask for. Raises: UsageError for those that FTP alone has, or that do not go together."""
    for name, is_said in (("--tls", wants_tls), ("--active", active), ("--verify", verify)):
        if is_said:
            raise UsageError(f"{name} is for FTP")
    encrypted = any(url.scheme == "https" for url in urls)
    if not encrypted and (tls_ca or tls_insecure):
        raise UsageError(f"{urls[0]} is not encrypted: --tls-ca and --tls-insecure are for https://")
    if tls_ca and tls_insecure:
        raise UsageError("--tls-insecure believes any certificate: --tls-ca has nothing to add")
    context = None
    if encrypted:
        from portside.net.tls import client_context

        context = client_context(ca_file=tls_ca, insecure=tls_insecure)
    logins = Logins(from_input=password_stdin)
    for url in urls:
        logins.find(url)
    parsed = tuple(parse_header(text) for text in headers)
    return HttpWishes(TIMEOUT_S if timeout is None else timeout, parsed, context, logins)


# ── get ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def get_http(
    urls: Sequence[str],
    wishes_for: Callable[[Sequence[HttpUrl]], HttpWishes],
    plan: Plan,
    *,
    output: str | None,
    raw: bool,
    as_json: bool,
) -> int:
    """Bring what is at the URLs, and return the exit status."""
    places = [parse_http_url(url) for url in urls]
    if raw:
        return _get_raw(places, wishes_for(places), output=output, as_json=as_json or plan.resume)
    if output == STANDARD:
        if len(places) > 1 or plan.resume or as_json:
            raise UsageError("standard output takes one file, and no --resume or --json")
        jobs = [_to_standard_output(places[0])]
    else:
        targets = _targets_of(places, output)
        jobs = [_to_file(place, *target) for place, target in zip(places, targets, strict=True)]
        unique_targets(job.target for job in jobs)
    return carry_out(wishes_for(places), plan, jobs, as_json=as_json)


def _targets_of(places: Sequence[HttpUrl], output: str | None) -> list[tuple[Path, bool]]:
    """Return the file that each becomes, and whether the user chose its name."""
    directory = Path(output or ".")
    if output is None or directory.is_dir() or output.endswith("/"):
        if not directory.is_dir():
            raise UsageError(f"there is no directory {output}")
        return [(directory / _safe_name(place), False) for place in places]
    if len(places) > 1:
        raise UsageError(f"several files need a directory to go to, and {output} is none")
    return [(directory, True)]


def _safe_name(place: HttpUrl) -> str:
    name = place.name or NAMELESS
    if name in (".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"{place} names no file: say where it goes with --output")
    return name


def _to_file(url: HttpUrl, path: Path, is_chosen: bool) -> Job:
    async def act(client: HttpClient, manner: Manner) -> Done:
        from portside.cli.http_client import Target

        return await client.fetch(url, Target(path, is_chosen), manner)

    return Job(url.server, str(url), str(path), act, resumes_itself=True)


def _to_standard_output(url: HttpUrl) -> Job:
    async def act(client: HttpClient, manner: Manner) -> Done:
        return await client.fetch_pieces(url, standard_output().write, manner)

    return Job(url.server, str(url), STANDARD, act, can_repeat=False)


def _get_raw(places: Sequence[HttpUrl], wishes: HttpWishes, *, output: str | None, as_json: bool) -> int:
    if len(places) > 1 or output not in (None, STANDARD) or as_json:
        raise UsageError("--raw shows one exchange on standard output: one URL, and no --output, --resume or --json")
    from portside.cli.http_raw import show_exchange

    (url,) = places
    login = wishes.logins.of(url)
    headers = [*wishes.headers, *_authorization(login.user, login.password)]
    context = wishes.context if url.scheme == "https" else None
    run_client(
        partial(show_exchange, url=url, headers=headers, out=standard_output(), tls=context, timeout_s=wishes.timeout_s)
    )
    return exit_status.OK


def _authorization(user: str | None, password: str | None) -> list[tuple[str, str]]:
    """Return the field that says who we are, by RFC 7617, where we are anybody."""
    if user is None:
        return []
    from base64 import b64encode

    return [("Authorization", "Basic " + b64encode(f"{user}:{password or ''}".encode()).decode())]


# ── put ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def put_http(
    files: Sequence[str],
    text: str,
    wishes_for: Callable[[Sequence[HttpUrl]], HttpWishes],
    plan: Plan,
    *,
    as_json: bool,
) -> int:
    """Put the files where the URL says, and return the exit status."""
    url = parse_http_url(text)
    if plan.resume:
        raise UsageError("HTTP has no way to go on with an upload: --resume is for FTP")
    if STANDARD in files:
        if len(files) > 1 or not url.name:
            raise UsageError("standard input is one file, and the URL ends in its name")
        jobs = [Job(url.server, STANDARD, str(url), partial(_send_input, url), can_repeat=False)]
    else:
        if url.name and len(files) > 1:
            raise UsageError(f"several files need a folder to go to: {url}/")
        jobs = [_from_file(Path(file), url if url.name else url.at(Path(file).name)) for file in files]
        unique_targets(job.target for job in jobs)
    return carry_out(wishes_for([url]), plan, jobs, as_json=as_json)


def _from_file(file: Path, url: HttpUrl) -> Job:
    if file.name in ("", ".."):
        raise UsageError(f"{str(file)!r} is no file")

    async def act(client: HttpClient, manner: Manner) -> Done:
        return await client.send(file, url, manner)

    return Job(url.server, str(file), str(url), act)


async def _send_input(url: HttpUrl, client: Any, manner: Manner) -> Done:
    return await client.send_pieces(standard_input().pieces(), url, manner)  # type: ignore[no-any-return]
