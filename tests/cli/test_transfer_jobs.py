"""Several files at once, and again: what is retried, what is not, and whose end it is; in memory and virtual time."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable

import pytest

from portside.cli.progress import Silent
from portside.cli.transfer import Wishes
from portside.cli.transfer_files import Done, Manner
from portside.cli.transfer_jobs import Job, Outcome, Plan, Runner, unique_targets
from portside.cli.transfer_login import Logins
from portside.errors import ConnectFailed, ConnectionLost, NameNotFound, UsageError
from portside.protocols.ftp.client import FtpClient, LoginRefused, parse_url
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import URL, Answer, ScriptedServer, Visit, meet

SERVER = parse_url(URL)
NOWHERE = parse_url("ftp://anna:secret@192.0.2.2/")
DONE = Done(1, 1, 0, 0.0)

Act = Callable[[FtpClient, Manner], Awaitable[Done]]


class Carried:
    """What came of jobs: the outcomes in their order, what was said, when it was over, and what the server heard."""

    def __init__(self, jobs: list[Job], answers: dict[str, Answer] | None = None, **plan: int) -> None:
        self.outcomes: list[Outcome] = []
        told = io.StringIO()
        logins = Logins()
        for job in jobs:
            logins.find(job.server)

        async def act(network: MemoryNetwork, server: ScriptedServer) -> tuple[bool, float]:
            began_s = network.now_s()
            wishes = Wishes(logins=logins)
            runner = Runner(network, wishes, Plan(**plan), Silent(told), self.outcomes.append)
            return await runner.run(jobs), network.now_s() - began_s

        (self.went_well, self.took_s), server = meet(act, answers)
        self.told = told.getvalue().splitlines()
        self.said = server.said
        self.visits = len(server.visits)

    @property
    def errors(self) -> list[str]:
        return [str(outcome.error) for outcome in self.outcomes if outcome.error is not None]


def job(act: Act, server: object = SERVER, **facts: bool) -> Job:
    return Job(server, "source", "target", act, **facts)  # type: ignore[arg-type]


async def fine(client: FtpClient, manner: Manner) -> Done:
    await client.home()
    return DONE


def failing(*errors: Exception) -> Act:
    """Return an act that fails so often, and then no more."""
    left = list(errors)

    async def act(client: FtpClient, manner: Manner) -> Done:
        if left:
            raise left.pop(0)
        return await fine(client, manner)

    return act


def test_one_session_does_for_all_files_of_a_server() -> None:
    carried = Carried([job(fine)] * 3)
    assert carried.went_well
    assert [outcome.done for outcome in carried.outcomes] == [DONE] * 3
    assert carried.said == ["USER anna", "PASS secret", "FEAT", "PWD", "PWD", "PWD", "QUIT"]


def test_what_may_pass_is_tried_again_ever_more_slowly() -> None:
    lost = ConnectionLost("gone")
    carried = Carried([job(failing(lost, TimeoutError("slow"), lost))], retries=3)
    assert carried.went_well
    assert carried.took_s == pytest.approx(1 + 2 + 4, abs=0.1)
    assert carried.visits == 4
    assert carried.told == [
        "gone; trying again in 1 s (1 of 3)",
        "slow; trying again in 2 s (2 of 3)",
        "gone; trying again in 4 s (3 of 3)",
    ]


def test_one_does_not_try_for_ever() -> None:
    carried = Carried([job(failing(*[ConnectionLost("gone")] * 9)), job(fine)], retries=2)
    assert not carried.went_well
    assert carried.errors == ["gone"]
    assert carried.outcomes[1].done == DONE  # the others go on


def test_a_busy_server_is_asked_again_on_the_same_session() -> None:
    answers: list[str] = ["450 Busy.", '257 "/"']

    async def pwd(visit: Visit, argument: str) -> None:
        await visit.say(answers.pop(0))

    carried = Carried([job(fine)], {"PWD": pwd}, retries=1)
    assert carried.went_well
    assert carried.visits == 1


def test_a_refusal_for_good_is_not_tried_again_and_not_the_end_of_the_others() -> None:
    async def missing(client: FtpClient, manner: Manner) -> Done:
        await client.delete("x")
        return DONE

    carried = Carried([job(missing), job(fine)], {"DELE": "550 No such file."}, retries=5)
    assert (carried.went_well, carried.took_s) == (False, 0)
    assert carried.errors == ["the server refuses DELE x: 550 No such file."]
    assert carried.outcomes[1].done == DONE
    assert carried.visits == 1


def test_a_disk_of_ours_is_not_tried_again() -> None:
    carried = Carried([job(failing(OSError(28, "No space left on device"))), job(fine)], retries=5)
    assert carried.took_s == 0
    assert [outcome.done for outcome in carried.outcomes] == [None, DONE]


def test_a_server_that_lets_nobody_in_is_the_end_of_all() -> None:
    with pytest.raises(LoginRefused):
        Carried([job(fine)] * 5, {"PASS": "530 Wrong."}, retries=5, parallel=2)


def test_an_address_where_nobody_is_is_typed_wrong() -> None:
    with pytest.raises(ConnectFailed):
        Carried([job(fine, NOWHERE)], retries=5)


def test_a_server_that_was_there_may_come_back() -> None:
    greetings: list[str] = ["220 Hello.", "421 Restarting.", "421 Restarting.", "220 Hello again."]

    async def greet(visit: Visit, argument: str) -> None:
        await visit.say(greetings.pop(0))

    carried = Carried([job(failing(ConnectionLost("gone")))], {"": greet}, retries=3)
    assert carried.went_well
    assert greetings == []
    with pytest.raises(Exception, match="421"):
        Carried([job(fine)], {"": "421 Too many."}, retries=2)


def test_a_server_that_restarts_is_connected_to_again() -> None:
    results: list[Exception | None] = [None, ConnectFailed("tcp://h:21", ()), NameNotFound("h", "no answer"), None]

    async def connect(network: MemoryNetwork, url: object) -> FtpClient:
        if (error := results.pop(0)) is not None:
            raise error
        return Idle()  # type: ignore[return-value]

    async def act(client: FtpClient, manner: Manner) -> Done:
        if results:
            raise ConnectionLost("gone")
        return DONE

    outcomes: list[Outcome] = []

    async def run(network: MemoryNetwork, server: ScriptedServer) -> bool:
        runner = Runner(network, Wishes(), Plan(retries=3), Silent(None), outcomes.append)
        runner._connect = connect  # type: ignore[assignment,method-assign]
        return await runner.run([job(act)])

    assert meet(run)[0]
    assert [outcome.done for outcome in outcomes] == [DONE]


def test_what_broke_off_is_built_on_where_that_is_safe() -> None:
    seen: list[tuple[str, bool]] = []

    def noting(name: str) -> Act:
        once = failing(ConnectionLost("gone"))

        async def act(client: FtpClient, manner: Manner) -> Done:
            seen.append((name, manner.resume))
            return await once(client, manner)

        return act

    Carried([job(noting("download"), resumes_itself=True), job(noting("upload"))], retries=1)
    Carried([job(noting("asked for"))], retries=1, resume=True)
    assert seen == [
        *(("download", False), ("download", True)),
        *(("upload", False), ("upload", False)),
        *(("asked for", True), ("asked for", True)),
    ]


def test_what_cannot_be_repeated_is_not() -> None:
    carried = Carried([job(failing(ConnectionLost("gone")), can_repeat=False)], retries=5)
    assert not carried.went_well
    assert carried.took_s == 0


def test_seats_take_jobs_as_they_are_free() -> None:
    """Two files at once: the server, which serves one visitor after the other here, sees two of them."""
    order: list[str] = []

    def named(name: str) -> Act:
        async def act(client: FtpClient, manner: Manner) -> Done:
            order.append(name)
            await manner.network.sleep({"slow": 10.0}.get(name, 1.0))
            order.append(f"{name} is done")
            return DONE

        return act

    logins = Logins()
    logins.find(SERVER)

    async def run(network: MemoryNetwork, server: ScriptedServer) -> bool:
        async def connect(network: MemoryNetwork, url: object) -> FtpClient:
            return Idle()  # type: ignore[return-value]

        runner = Runner(network, Wishes(logins=logins), Plan(parallel=2), Silent(None), lambda outcome: None)
        runner._connect = connect  # type: ignore[assignment,method-assign]
        return await runner.run([job(named(name)) for name in ("slow", "a", "b")])

    assert meet(run)[0]
    assert order == ["slow", "a", "a is done", "b", "b is done", "slow is done"]


class Idle:
    """A session with nobody."""

    async def quit(self) -> None:
        """Leave."""

    def close(self) -> None:
        """Leave at once."""


def test_two_files_do_not_become_one() -> None:
    unique_targets(["a", "b"])
    with pytest.raises(UsageError, match="both become a"):
        unique_targets(["a", "b", "a"])
