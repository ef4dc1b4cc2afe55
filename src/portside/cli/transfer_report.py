"""What became of the files, told as each ends: an object for programs, a sentence for people if it went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

from portside.cli import exit_status
from portside.cli.client import run_client
from portside.cli.output import print_object
from portside.cli.progress import Progress, open_progress
from portside.cli.transfer_jobs import Connector, Job, Outcome, Plan, Runner
from portside.contracts import Network


def carry_out(wishes: Connector, plan: Plan, jobs: Iterable[Job], *, as_json: bool) -> int:
    """Carry out the jobs, tell of each, and return the exit status."""

    async def client(network: Network) -> bool:
        progress = open_progress()
        try:
            return await Runner(network, wishes, plan, progress, teller(progress, as_json=as_json)).run(jobs)
        finally:
            progress.close()

    return exit_status.OK if run_client(client) else exit_status.FAILED


def teller(progress: Progress, *, as_json: bool) -> Callable[[Outcome], None]:
    """Return the function that tells of each file."""

    def tell(outcome: Outcome) -> None:
        if as_json:
            print_object(row_of(outcome))
        if outcome.error is not None:
            progress.say(f"portside: {sentence_of(outcome)}")

    return tell


def row_of(outcome: Outcome) -> dict[str, object]:
    """Return the documented keys of a file that was carried, or was not."""
    done, job = outcome.done, outcome.job
    digest = None if done is None or done.digest is None else done.digest
    return {
        "source": job.source,
        "target": job.target,
        "size": None if done is None else done.size_bytes,
        "offset": None if done is None else done.offset,
        "bytes": None if done is None else done.moved_bytes,
        "duration_s": None if done is None else done.duration_s,
        "algorithm": None if digest is None else digest.algorithm,
        "digest": None if digest is None else digest.digest,
        "timings": None if done is None or done.timings is None else asdict(done.timings),
        "error": None if outcome.error is None else sentence_of(outcome),
    }


def sentence_of(outcome: Outcome) -> str:
    """Return what went wrong with which file."""
    error = outcome.error
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    said = (error.strerror if isinstance(error, OSError) else str(error)) or "timed out"
    named = (getattr(error, "path", None), outcome.job.source)
    return said if any(name and said.startswith(str(name)) for name in named) else f"{outcome.job.source}: {said}"
