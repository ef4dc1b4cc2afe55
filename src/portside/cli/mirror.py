"""``portside mirror``: a tree of files made like the one on the other side, in either direction."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import click

from portside.cli import exit_status
from portside.cli.client import run_client
from portside.cli.output import harmless, print_object, write_out
from portside.cli.progress import Progress, open_progress, size_text
from portside.cli.transfer import Wishes, file_options, parse_remote, resume_option, server_options, wishes_of
from portside.cli.transfer_files import PART, Done, Known, Manner, Sent, fetch, send
from portside.cli.transfer_jobs import Job, Outcome, Plan, Runner
from portside.cli.transfer_plan import Step, Tree, plan
from portside.cli.transfer_report import row_of, sentence_of
from portside.cli.transfer_trees import local_tree, remote_tree, with_exact_times
from portside.contracts import Network
from portside.errors import UsageError
from portside.protocols.ftp.client import FtpClient, FtpUrl, Refused
from portside.protocols.ftp.client.url import is_url, join


@click.command(short_help="make a directory here, or on a server, like one of the other side")
@click.argument("source")
@click.argument("target")
@click.option("--delete", is_flag=True, help="Remove what the source does not have.")
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be done.")
@resume_option
@file_options
@server_options
def mirror(
    source: str,
    target: str,
    *,
    delete: bool,
    dry_run: bool,
    resume: bool,
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
    """Make the directory TARGET like SOURCE, with all that is below: one of them a URL, the other a directory here.

    Files are carried that are new, of another size, or newer. Links are left out.
    """
    if is_url(source) == is_url(target):
        raise UsageError("one of SOURCE and TARGET is the URL of a directory, the other is a directory here")
    is_download = is_url(source)
    url, local = parse_remote(source if is_download else target), Path(target if is_download else source)
    wishes = wishes_of(
        url,
        timeout=timeout,
        wants_tls=wants_tls,
        tls_ca=tls_ca,
        tls_insecure=tls_insecure,
        active=active,
        password_stdin=password_stdin,
    )
    sides = Sides(url.server, url.path.rstrip("/") or url.path[:1], local, is_download=is_download)
    how = Plan(parallel, retries, resume=resume, verify=verify)

    async def client(network: Network) -> bool:
        progress = open_progress()
        try:
            mirroring = Mirroring(network, wishes, how, progress, sides, as_json=as_json)
            steps = await mirroring.plan(delete=delete)
            return mirroring.show(steps) if dry_run else await mirroring.carry_out(steps)
        finally:
            progress.close()

    return exit_status.OK if run_client(client) else exit_status.FAILED


@dataclass(frozen=True, slots=True)
class Sides:
    """A directory on a server and one here, and which of them is the pattern."""

    server: FtpUrl
    remote: str
    local: Path
    is_download: bool

    def remote_path(self, path: str) -> str:
        return join(self.remote, path) if path else self.remote

    def names_of(self, path: str) -> tuple[str, str]:
        """Return the source and the target of a path, as they are shown."""
        there, here = str(self.server.at(self.remote_path(path))), str(self.local / path)
        return (there, here) if self.is_download else (here, there)


class Mirroring:
    """Makes one side like the other, and tells of each step."""

    def __init__(
        self, network: Network, wishes: Wishes, how: Plan, progress: Progress, sides: Sides, *, as_json: bool
    ) -> None:
        self._network = network
        self._progress = progress
        self._sides = sides
        self._as_json = as_json
        self._runner = Runner(network, wishes, how, progress, self._tell_copy)
        self._steps_of: dict[str, Step] = {}
        self._went_well = True

    # ── what is to be done ───────────────────────────────────────────────────────────────────────────────────────────

    async def plan(self, *, delete: bool) -> list[Step]:
        """Return the steps. Raises: when a side cannot be seen whole."""
        sides = self._sides
        here = await self._network.run_blocking(local_tree, sides.local)
        if here is None and not sides.is_download:
            raise UsageError(f"there is no directory {sides.local}")

        async def look(client: FtpClient) -> Tree | None:
            there = await remote_tree(client, sides.remote)
            return None if there is None else await with_exact_times(client, sides.remote, there, here or {})

        there = await self._runner.visit(sides.server, look, can_repeat=True)
        if there is None and sides.is_download:
            raise UsageError(f"there is no directory {sides.server.at(sides.remote)}")
        source, target = (there, here) if sides.is_download else (here, there)
        assert source is not None
        steps = plan(source, target or {}, delete=delete, partial_suffix=PART if sides.is_download else "")
        self._known = there or {}
        return steps if target is not None else [Step("make_directory", ""), *steps]

    def show(self, steps: list[Step]) -> bool:
        """Print the steps instead of doing them; True, as nothing went wrong."""
        for step in steps:
            if self._as_json:
                print_object(_row(step, self._sides))
            else:
                write_out(f"{harmless(_line(step))}\n")
        return True

    # ── doing it ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def carry_out(self, steps: list[Step]) -> bool:
        """Do the steps, and return whether all went well. What did not keeps everything from being deleted."""
        copies = [step for step in steps if step.action == "copy"]
        removals = list(takewhile(lambda step: step.action in ("delete", "remove_directory"), reversed(steps)))[::-1]
        await self._change([step for step in steps[: len(steps) - len(removals)] if step.action != "copy"])
        self._steps_of = {str(self._sides.names_of(step.path)[0]): step for step in copies}
        if not await self._runner.run([self._job(step) for step in copies]):
            self._went_well = False
        if removals and not self._went_well:
            self._progress.say("portside: nothing was deleted, because not everything was brought over")
        elif removals:
            await self._change(removals)
        return self._went_well

    def _job(self, step: Step) -> Job:
        sides = self._sides
        local, remote = sides.local / step.path, sides.remote_path(step.path)
        if sides.is_download:
            node = self._known[step.path]

            async def bring(client: FtpClient, manner: Manner) -> Done:
                modified_ns = node.modified_ns if node.is_exact else await client.modified(remote)
                return await fetch(client, remote, local, manner, Known(node.size_bytes, modified_ns))
        else:
            sent = Sent()

            async def bring(client: FtpClient, manner: Manner) -> Done:
                return await send(client, local, remote, manner, sent)

        return Job(sides.server, *sides.names_of(step.path), bring, resumes_itself=sides.is_download)

    async def _change(self, steps: list[Step]) -> None:
        """Make directories and remove what must go, on the target's side."""
        changes = [step for step in steps if step.action not in ("skip", "conflict")]
        for step in steps:
            if step.action == "skip":
                self._tell(step)
                self._progress.say(f"{step.path}: left out, {step.why}")
            elif step.action == "conflict":
                self._tell(step, step.why)
        if not changes:
            return
        if self._sides.is_download:
            for step in changes:
                try:
                    _change_here(step, self._sides.local)
                except OSError as error:
                    self._tell(step, f"{error.strerror}")
                else:
                    self._tell(step)
            return

        async def change(client: FtpClient) -> None:
            for step in changes:
                try:
                    await _change_there(client, step, self._sides)
                except Refused as error:
                    self._tell(step, str(error))
                else:
                    self._tell(step)

        await self._runner.visit(self._sides.server, change, can_repeat=False)

    # ── telling it ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, step: Step, error: str | None = None) -> None:
        if error is not None:
            self._went_well = False
            self._progress.say(f"portside: {self._sides.names_of(step.path)[1]}: {error}")
        if self._as_json:
            print_object(_row(step, self._sides, error=error))

    def _tell_copy(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._progress.say(f"portside: {sentence_of(outcome)}")
        if self._as_json:
            step = self._steps_of[outcome.job.source]
            print_object({**_row(step, self._sides), **row_of(outcome), "size": step.size_bytes})


def _change_here(step: Step, root: Path) -> None:
    path = root / step.path
    match step.action:
        case "make_directory":
            path.mkdir(parents=not step.path, exist_ok=True)
        case "remove_directory":
            path.rmdir()
        case _:
            path.unlink()


async def _change_there(client: FtpClient, step: Step, sides: Sides) -> None:
    path = sides.remote_path(step.path)
    match step.action:
        case "make_directory" if not step.path:
            await _make_all(client, path)
        case "make_directory":
            await client.make_directory(path)
        case "remove_directory":
            await client.remove_directory(path)
        case _:
            await client.delete(path)


async def _make_all(client: FtpClient, path: str) -> None:
    """Make a directory and those above it. Raises: Refused, if it cannot be made."""
    parts = path.split("/")
    for count in range(1, len(parts)):
        above = "/".join(parts[:count])
        if above:
            with contextlib.suppress(Refused):  # most are there already; what could not be made shows below
                await client.make_directory(above)
    await client.make_directory(path)


def _row(step: Step, sides: Sides, *, error: str | None = None) -> dict[str, object]:
    """Return the documented keys of a step."""
    source, target = sides.names_of(step.path)
    return {
        "action": step.action,
        "path": step.path,
        "why": step.why or None,
        "source": source,
        "target": target,
        "size": step.size_bytes,
        "offset": None,
        "bytes": None,
        "duration_s": None,
        "algorithm": None,
        "digest": None,
        "timings": None,
        "error": error,
    }


_VERBS = {
    "make_directory": "make",
    "copy": "copy",
    "delete": "delete",
    "remove_directory": "delete",
    "skip": "leave out",
    "conflict": "cannot replace",
}


def _line(step: Step) -> str:
    """Return ``copy a/b.txt (new, 1.2 MB)``."""
    is_directory = step.action in ("make_directory", "remove_directory")
    size = None if step.size_bytes is None else size_text(step.size_bytes)
    why = ", ".join(part for part in (step.why, size) if part)
    return f"{_VERBS[step.action]} {step.path or '.'}{'/' if is_directory else ''}{f' ({why})' if why else ''}"
