"""``portside put``: files to a server."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from portside.cli.duplex import standard_input
from portside.cli.http_transfer import http_wishes, put_http
from portside.cli.http_url import is_http
from portside.cli.transfer import (
    file_options,
    header_option,
    parse_remote,
    refuse_http_options,
    resume_option,
    server_options,
    wishes_of,
)
from portside.cli.transfer_files import Done, Manner, Sent, send, send_pieces
from portside.cli.transfer_jobs import Job, Plan, unique_targets
from portside.cli.transfer_report import carry_out
from portside.errors import UsageError
from portside.protocols.ftp.client import FtpClient, FtpUrl
from portside.protocols.ftp.client.url import is_url, join

STANDARD_INPUT = "-"


@click.command(short_help="bring files to a server")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.argument("url")
@resume_option
@header_option
@file_options
@server_options
def put(
    files: tuple[str, ...],
    url: str,
    *,
    resume: bool,
    headers: tuple[str, ...],
    parallel: int,
    retries: int,
    verify: bool,
    as_json: bool,
    timeout: float | None,
    wants_tls: bool,
    tls_ca: str | None,
    tls_insecure: bool,
    active: bool,
    password_stdin: bool,
) -> int:
    """Bring each FILE to the server at URL; - is standard input.

    A URL that ends in a slash is a directory there, in which the files keep their names; another is the file's new
    name.
    """
    if is_http(url):
        wishes_for = partial(
            http_wishes,
            timeout=timeout,
            headers=headers,
            wants_tls=wants_tls,
            tls_ca=tls_ca,
            tls_insecure=tls_insecure,
            active=active,
            password_stdin=password_stdin,
            verify=verify,
        )
        plan = Plan(min(parallel, len(files)), retries, resume=resume)
        return put_http(files, url, wishes_for, plan, as_json=as_json)
    refuse_http_options(headers=headers)
    place = parse_remote(url)
    for file in files:
        if is_url(file):
            raise UsageError(f"put brings files from here to a server, and {file.partition('://')[0]}:// is not here")
    if STANDARD_INPUT in files:
        if len(files) > 1 or resume or verify or password_stdin:
            raise UsageError("standard input is one file, without --resume, --verify or --password-stdin")
        if not place.name:
            raise UsageError("standard input has no name: let the URL end in one")
        jobs = [_from_standard_input(place)]
    else:
        jobs = [_from_file(Path(file), target) for file, target in zip(files, targets_of(files, place), strict=True)]
        unique_targets(job.target for job in jobs)
    wishes = wishes_of(
        place,
        timeout=timeout,
        wants_tls=wants_tls,
        tls_ca=tls_ca,
        tls_insecure=tls_insecure,
        active=active,
        password_stdin=password_stdin,
    )
    plan = Plan(min(parallel, len(jobs)), retries, resume=resume, verify=verify)
    return carry_out(wishes, plan, jobs, as_json=as_json)


def targets_of(files: tuple[str, ...], place: FtpUrl) -> list[FtpUrl]:
    """Return where each file goes. Raises: UsageError for several that would be one, or one that has no name."""
    if place.name:
        if len(files) > 1:
            raise UsageError(f"several files need a directory to go to: {place}/")
        return [place]
    for file in files:
        if Path(file).name in ("", ".."):
            raise UsageError(f"{file!r} is no file")
    return [place.at(join(place.path, Path(file).name)) for file in files]


def _from_file(file: Path, target: FtpUrl) -> Job:
    sent = Sent()

    async def act(client: FtpClient, manner: Manner) -> Done:
        return await send(client, file, target.path, manner, sent)

    return Job(target.server, str(file), str(target), act)


def _from_standard_input(target: FtpUrl) -> Job:
    return Job(target.server, STANDARD_INPUT, str(target), partial(_read_in, target.path), can_repeat=False)


async def _read_in(path: str, client: FtpClient, manner: Manner) -> Done:
    return await send_pieces(client, standard_input().pieces(), path, manner)
