"""``portside get``: files of a server, whole or not at all."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from portside.cli.duplex import standard_output
from portside.cli.http_transfer import all_http, get_http, http_wishes
from portside.cli.transfer import (
    file_options,
    header_option,
    parse_remote,
    refuse_http_options,
    resume_option,
    server_options,
    wishes_of,
)
from portside.cli.transfer_files import Done, Manner, fetch, fetch_pieces
from portside.cli.transfer_jobs import Job, Plan, unique_targets
from portside.cli.transfer_report import carry_out
from portside.errors import UsageError
from portside.protocols.ftp.client import FtpClient, FtpUrl

STANDARD_OUTPUT = "-"


@click.command(short_help="bring files from a server")
@click.argument("urls", nargs=-1, required=True, metavar="URL…")
@click.option("--output", "-o", metavar="FILE", help="The file to write, - for standard output; or a directory.")
@resume_option
@click.option(
    "--raw", is_flag=True, help="Show the exchange as it goes over the line: request, then answer. HTTP only."
)
@header_option
@file_options
@server_options
def get(
    urls: tuple[str, ...],
    *,
    output: str | None,
    resume: bool,
    raw: bool,
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
    """Bring the file at each URL here: http, https, ftp, ftpes (with TLS) or ftps (with TLS from the start).

    It is written to NAME.part, and gets its name when all of it is there.
    """
    if all_http(urls):
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
        plan = Plan(min(parallel, len(urls)), retries, resume=resume)
        return get_http(urls, wishes_for, plan, output=output, raw=raw, as_json=as_json)
    refuse_http_options(raw=raw, headers=headers)
    places = [_file_at(url) for url in urls]
    if output == STANDARD_OUTPUT:
        if len(places) > 1 or resume or verify or as_json:
            raise UsageError("standard output takes one file, and no --resume, --verify or --json")
        jobs = [_to_standard_output(places[0])]
    else:
        jobs = [_to_file(place, target) for place, target in zip(places, targets_of(places, output), strict=True)]
        unique_targets(job.target for job in jobs)
    wishes = wishes_of(
        *places,
        timeout=timeout,
        wants_tls=wants_tls,
        tls_ca=tls_ca,
        tls_insecure=tls_insecure,
        active=active,
        password_stdin=password_stdin,
    )
    plan = Plan(min(parallel, len(jobs)), retries, resume=resume, verify=verify)
    return carry_out(wishes, plan, jobs, as_json=as_json)


def _file_at(text: str) -> FtpUrl:
    url = parse_remote(text)
    if not url.name:
        raise UsageError(f"{url} is a directory: portside mirror brings directories, portside list lists them")
    return url


def targets_of(places: list[FtpUrl], output: str | None) -> list[Path]:
    """Return the file that each place becomes. Raises: UsageError for several that would be one."""
    directory = Path(output or ".")
    if output is None or directory.is_dir() or output.endswith("/"):
        if not directory.is_dir():
            raise UsageError(f"there is no directory {output}")
        return [directory / _safe_name(place) for place in places]
    if len(places) > 1:
        raise UsageError(f"several files need a directory to go to, and {output} is none")
    return [directory]


def _safe_name(place: FtpUrl) -> str:
    if place.name in (".", ".."):
        raise UsageError(f"{place} names no file")
    return place.name


def _to_file(url: FtpUrl, target: Path) -> Job:
    async def act(client: FtpClient, manner: Manner) -> Done:
        return await fetch(client, url.path, target, manner)

    return Job(url.server, str(url), str(target), act, resumes_itself=True)


def _to_standard_output(url: FtpUrl) -> Job:
    act = partial(_write_out, url.path)
    return Job(url.server, str(url), STANDARD_OUTPUT, act, can_repeat=False)


async def _write_out(path: str, client: FtpClient, manner: Manner) -> Done:
    return await fetch_pieces(client, path, standard_output().write, manner)
