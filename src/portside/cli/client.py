"""What the client commands share: their options, the endpoint that was typed, and the network they run on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portside.address import ANY_HOST, Endpoint, parse_endpoint
from portside.errors import LocalError, NetworkError, UsageError
from portside.units import parse_duration

if TYPE_CHECKING:
    import ssl

    from portside.contracts import Network

CONNECT_S: float = 10.0  # how long connecting may take unless --timeout says otherwise

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])


def timeout_option(sentence: str) -> Callable[[Command], Command]:
    return click.option("--timeout", callback=_to_seconds, default=None, metavar="TIME", help=sentence)


def _to_seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    seconds = parse_duration(text)
    if not seconds:
        raise UsageError("--timeout is more than 0")
    return seconds


def tls_options(command: Command) -> Command:
    """Add the options that say whom to believe."""
    for option in reversed(
        (
            click.option(
                "--tls-ca",
                metavar="FILE",
                help="Authorities to believe, in PEM.  [default: the system's, or SSL_CERT_FILE]",
            ),
            click.option("--tls-insecure", is_flag=True, help="Believe any certificate. For development."),
        )
    ):
        command = option(command)
    return command


def parse_target(text: str, *, default_port: int | None = None) -> Endpoint:
    """Return the endpoint to connect to; ``:9000``, which means every address to a server, is this machine's own.

    Raises: UsageError, also for endpoints that only a server can use.
    """
    endpoint = parse_endpoint(text, default_port=default_port)
    if endpoint.scheme in ("fd", "systemd"):
        raise UsageError(f"nobody can connect to {endpoint}: give a tcp, tls, udp or unix endpoint")
    if endpoint.is_internet and not endpoint.port:
        raise UsageError(f"nobody can connect to port 0 of {endpoint.host}")
    if endpoint.host in (ANY_HOST, "0.0.0.0"):
        return replace(endpoint, host="localhost")
    return endpoint


def client_tls(
    endpoint: Endpoint, *, wanted: bool, ca_file: str | None, insecure: bool
) -> tuple[Endpoint, ssl.SSLContext | None]:
    """Return the endpoint as it is to be connected, and the TLS context to use or None for none.

    Raises: UsageError for options that do not go together or a file that is no certificate.
    """
    if endpoint.scheme != "tls" and not wanted:
        if ca_file or insecure:
            raise UsageError(f"{endpoint} is not encrypted: --tls-ca and --tls-insecure are for TLS")
        return endpoint, None
    if endpoint.is_datagram:
        raise UsageError("there is no TLS over UDP here: give a tcp, tls or unix endpoint")
    if ca_file and insecure:
        raise UsageError("--tls-insecure believes any certificate: --tls-ca has nothing to add")
    from portside.net.tls import client_context

    context = client_context(ca_file=ca_file, insecure=insecure)
    return (replace(endpoint, scheme="tls") if endpoint.scheme == "tcp" else endpoint), context


def run_client(client: Callable[[Network], Coroutine[Any, Any, Result]]) -> Result:
    """Run a client on an event network of its own, and return its result.

    Raises: what it raises; a LocalError as NetworkError, because a client that cannot connect has failed, whoever is
    to blame.
    """
    from portside.net.event_network import EventNetwork

    async def run() -> Result:
        async with EventNetwork() as network:
            return await client(network)

    try:
        return asyncio.run(run())
    except LocalError as error:
        raise NetworkError(str(error)) from error


async def within(timeout_s: float, what: str, awaitable: Awaitable[Result]) -> Result:
    """Return the result of an awaitable that watches the time itself, its TimeoutError with a sentence."""
    try:
        return await awaitable
    except TimeoutError as error:
        raise TimeoutError(f"{what} within {timeout_s:g} s") from error
