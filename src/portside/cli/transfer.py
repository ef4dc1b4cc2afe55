"""What ``get``, ``put``, ``list`` and ``mirror`` share: their options, the servers they speak to, a session there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from portside.cli.client import timeout_option, tls_options
from portside.cli.transfer_login import Login, Logins
from portside.errors import UsageError
from portside.protocols.ftp.client.url import FtpUrl, is_url, parse_url

if TYPE_CHECKING:
    import ssl

    from portside.contracts import Network
    from portside.protocols.ftp.client import FtpClient

Command = TypeVar("Command", bound=Callable[..., Any])

TIMEOUT_S: Final = 30.0


def parse_remote(text: str) -> FtpUrl:
    """Return the place on an FTP server that a URL names. Raises: UsageError, with the nearest right scheme."""
    scheme = text.strip().partition("://")[0].lower()
    if is_url(text) and scheme in ("http", "https"):
        raise UsageError(f"web servers have no listings: {scheme}:// is for portside get and put")
    return parse_url(text)


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def server_options(command: Command) -> Command:
    """Add the options that say how to speak to a server; they come as the fields of ``Wishes``."""
    return _all(
        command,
        timeout_option(
            "How long connecting, an answer, or a silence in a transfer may last.  [default: 30s]",
        ),
        click.option("--tls", "wants_tls", is_flag=True, help="Encrypt ftp:// too, by AUTH TLS; as ftpes:// does."),
        tls_options,
        click.option("--active", is_flag=True, help="Let the server open the data connections."),
        click.option("--password-stdin", is_flag=True, help="Read the password from standard input, up to its end."),
    )


def file_options(command: Command) -> Command:
    """Add the options that say how files are carried."""
    return _all(
        command,
        click.option("--parallel", type=click.IntRange(1, 100), default=1, metavar="N", help="So many files at once."),
        click.option(
            "--retries",
            type=click.IntRange(0, 1_000),
            default=2,
            show_default=True,
            metavar="N",
            help="Try again so many times when the network or the server fails, after 1 s, 2 s, 4 s …",
        ),
        click.option("--verify", is_flag=True, help="Compare checksums, where the server has HASH or one of its kind."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file."),
    )


def header_option(command: Command) -> Command:
    return click.option(
        "--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request. HTTP only."
    )(command)


def refuse_http_options(*, raw: bool = False, headers: tuple[str, ...]) -> None:
    """Raise UsageError for options that FTP has no use for."""
    if raw or headers:
        raise UsageError(f"{'--raw' if raw else '--header'} is for HTTP")


def resume_option(command: Command) -> Command:
    return click.option("--resume", "-c", is_flag=True, help="Go on where an earlier transfer broke off.")(command)


def _all(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line, for all servers of one call."""

    timeout_s: float = TIMEOUT_S
    active: bool = False
    wants_tls: bool = False
    context: ssl.SSLContext | None = field(default=None, repr=False)
    logins: Logins = field(default_factory=Logins)

    async def connect(self, network: Network, url: FtpUrl) -> FtpClient:
        """Return a session with the URL's server. Raises: what ``FtpClient.connect`` does."""
        from portside.protocols.ftp.client import FtpClient

        login: Login = self.logins.of(url)
        return await FtpClient.connect(
            network,
            url,
            user=login.user,
            password=login.password,
            tls=self.context if url.security != "none" or self.wants_tls else None,
            active=self.active,
            timeout_s=self.timeout_s,
        )


def wishes_of(
    *urls: FtpUrl,
    timeout: float | None,
    wants_tls: bool,
    tls_ca: str | None,
    tls_insecure: bool,
    active: bool,
    password_stdin: bool,
) -> Wishes:
    """Return what the options ask for, with a login for each server; passwords are asked for now, while one can.

    Raises: UsageError for options that do not go together, or a password that is missing.
    """
    encrypted = wants_tls or any(url.security != "none" for url in urls)
    if not encrypted and (tls_ca or tls_insecure):
        raise UsageError(f"{urls[0]} is not encrypted: --tls-ca and --tls-insecure are for ftps://, ftpes:// and --tls")
    if tls_ca and tls_insecure:
        raise UsageError("--tls-insecure believes any certificate: --tls-ca has nothing to add")
    context = None
    if encrypted:
        from portside.net.tls import client_context

        context = client_context(ca_file=tls_ca, insecure=tls_insecure)
    logins = Logins(from_input=password_stdin)
    for url in urls:
        logins.find(url)
    return Wishes(TIMEOUT_S if timeout is None else timeout, active, wants_tls, context, logins)
