"""From nothing to a session that takes commands: connect, greet, TLS, who we are, what the server can do.

Source: RFC 959 section 5.4 (the sequences), RFC 4217 (TLS), RFC 2389 (FEAT), RFC 2640 (UTF-8), RFC 3659 section 7.8.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from typing import Final

from portside.contracts import Network
from portside.errors import UsageError
from portside.protocols.ftp.client.channel import Protection
from portside.protocols.ftp.client.control import Control
from portside.protocols.ftp.client.errors import LoginRefused, Refused, UnexpectedReply
from portside.protocols.ftp.client.url import FtpUrl, Security
from portside.protocols.ftp.client.words import Features, parse_features

ANONYMOUS: Final = "anonymous"
ANONYMOUS_PASSWORD: Final = "portside@"  # RFC 1635 asks for a mail address: nobody checks, and it is nobody's business
KEEPALIVE_S: Final = 60.0  # the control connection is silent during a transfer, which routers with NAT take for dead

_FACTS_WANTED: Final = ("type", "size", "modify", "unique", "UNIX.mode", "UNIX.owner", "UNIX.group")


def security_of(url: FtpUrl, tls: ssl.SSLContext | bool | None) -> tuple[Security, ssl.SSLContext | None]:
    """Return how TLS begins, and by which context.

    ``tls`` adds to what the URL's scheme says: True or a context asks for TLS on ``ftp://`` too; a context replaces
    the verifying default. Raises: UsageError when False forbids what the scheme asks for.
    """
    security: Security = "explicit" if url.security == "none" and tls not in (None, False) else url.security
    if security == "none":
        return security, None
    if tls is False:
        raise UsageError(f"{url} asks for TLS")
    if isinstance(tls, ssl.SSLContext):
        return security, tls
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return security, context


async def connect(
    network: Network, url: FtpUrl, *, security: Security, context: ssl.SSLContext | None, timeout_s: float
) -> Control:
    """Return the control connection, greeted, and encrypted where that is asked for.

    Raises: NetworkError, TimeoutError; TlsFailed; Refused, by a server that wants no visitor or has no TLS.
    """
    endpoint = replace(url.endpoint, options=replace(url.endpoint.options, keepalive_s=KEEPALIVE_S))
    try:
        connection = await network.connect(
            endpoint,
            timeout_s=timeout_s,
            tls=context if security == "implicit" else None,
            server_name=url.host if security == "implicit" else None,
        )
    except TimeoutError as error:
        raise TimeoutError(f"no connection to {endpoint} within {timeout_s:g} s") from error
    control = Control(connection, timeout_s=timeout_s)
    try:
        greeting = await control.greeting()
        if greeting.code != 220:
            raise UnexpectedReply("the connection", greeting)
        if security == "explicit":
            assert context is not None
            await control.secure(context, url.host)
    except BaseException:
        connection.abort()
        raise
    return control


async def log_in(control: Control, user: str, password: str | None, account: str | None) -> None:
    """Say who we are. Raises: LoginRefused."""
    words = f"the login of {user}"
    try:
        reply = await control.ask("USER", user)
        if reply.code == 331:
            if password is None:
                raise LoginRefused(f"{words} without a password", reply)
            reply = await control.ask("PASS", password)
        if reply.code == 332:
            if account is None:
                raise LoginRefused(f"{words} without an account", reply)
            reply = await control.ask("ACCT", account)
    except LoginRefused as refused:
        if refused.command.startswith(words):
            raise
        raise LoginRefused(words, refused.reply) from None
    if not reply.is_completion:
        raise UnexpectedReply(words, reply)


async def protect(control: Control, context: ssl.SSLContext, server_name: str) -> Protection:
    """Agree that data connections are encrypted too, RFC 4217 section 9. Raises: Refused: nothing is sent in plain."""
    await control.ask("PBSZ", "0")
    await control.ask("PROT", "P")
    return Protection(context, server_name)


async def learn_features(control: Control) -> Features:
    """Ask what the server can do, and for names in UTF-8 and all facts that we can use."""
    try:
        features = parse_features(await control.ask("FEAT"))
    except Refused:
        return Features()
    # What is refused here is no harm: names then come in whatever bytes the server has, facts as it likes to tell them.
    if "UTF8" in features:
        with contextlib.suppress(Refused):
            await control.ask("OPTS", "UTF8 ON")
    if (wishes := _fact_wishes(features)) is not None:
        with contextlib.suppress(Refused):
            await control.ask("OPTS", f"MLST {wishes}")
    return features


def _fact_wishes(features: Features) -> str | None:
    """Return the facts to ask for, None when those we can use are told anyway (marked by a star) or not known."""
    offered = [name.strip() for name in features.by_name.get("MLST", "").split(";")]
    told = {name.rstrip("*").lower() for name in offered if name.endswith("*")}
    known = {name.rstrip("*").lower() for name in offered}
    wanted = [name for name in _FACTS_WANTED if name.lower() in known]
    if all(name.lower() in told for name in wanted):
        return None
    return "".join(f"{name};" for name in wanted)
