"""Lifespan: applications begin before the first request, end behind the last, and may have neither."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from portside.errors import HandlerError, LocalError
from portside.protocols.http.lifespan import Lifespan, Mode
from portside.protocols.http.server import Receive, Scope, Send
from support.asgi import respond, server_of
from support.virtual_time import run

Turns = list[str]


def application(turns: Turns, **does: Any) -> Any:
    """Return an application that notes its turns; ``does`` says what it sends, or raises, where."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await respond(send)
            return
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        scope["state"]["pool"] = "made at startup"
        for turn in ("startup", "shutdown"):
            turns.append((await receive())["type"])
            act = does.get(turn, {"type": f"lifespan.{turn}.complete"})
            if isinstance(act, Exception):
                raise act
            await send(act)
        turns.append("returned")

    return serve


def lifespan(serve: Any, mode: Mode = "auto") -> Lifespan:
    return Lifespan(server_of(serve, service="shop"), mode)


def test_an_application_hears_of_its_beginning_and_its_end_and_has_state() -> None:
    turns: Turns = []

    async def main() -> None:
        server = server_of(application(turns))
        life = Lifespan(server, "auto")
        await life.begin()
        assert turns == ["lifespan.startup"]
        assert server.state == {"pool": "made at startup"}
        await life.finish()

    run(main())
    assert turns == ["lifespan.startup", "lifespan.shutdown", "returned"]


async def without(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    return


@pytest.mark.parametrize("serve", [without, returns])
def test_an_application_may_have_none(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        life = lifespan(serve)
        await life.begin()
        await life.finish()

    with caplog.at_level(logging.INFO):
        run(main())
    assert caplog.records == []


def test_state_of_an_application_that_gave_up_is_not_kept() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["half"] = "made"
        raise LookupError

    async def main() -> None:
        server = server_of(half)
        await Lifespan(server, "auto").begin()
        assert server.state == {}

    run(main())


def test_with_on_it_must_have_one(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(LocalError, match="the application did not start: AssertionError"):
        run(lifespan(without, "on").begin())
    assert "the application's lifespan failed" in caplog.text


def test_with_off_it_is_not_called() -> None:
    turns: Turns = []

    async def main() -> None:
        life = lifespan(application(turns), "off")
        await life.begin()
        await life.finish()

    run(main())
    assert turns == []


@pytest.mark.parametrize(
    ("said", "reason", "is_logged"),
    [
        ({"message": "no database"}, "no database", False),
        ({}, "it says no more", False),
        ({"message": "Traceback (most recent call last):\n  …\nLookupError: nothing\n"}, "LookupError: nothing", True),
    ],
)
def test_a_failed_start_says_why(said: Any, reason: str, is_logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", **said})
        raise LookupError("as Starlette does behind it")

    with pytest.raises(LocalError) as caught:
        run(lifespan(fail).begin())
    assert str(caught.value) == f"the application did not start: {reason}"
    assert ("Traceback" in caplog.text) is is_logged


@pytest.mark.parametrize("does", [{"type": "lifespan.shutdown.failed", "message": "no"}, LookupError("no")])
def test_an_end_that_fails_is_told(does: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        life = lifespan(application([], shutdown=does))
        await life.begin()
        await life.finish()

    run(main())
    assert "shop: the application did not end well" in caplog.text


def test_an_application_whose_lifespan_breaks_goes_on_serving_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(10)
        raise LookupError("a background loop of its own")

    async def main() -> None:
        life = lifespan(broken)
        await life.begin()
        await asyncio.sleep(20)
        await life.finish()

    run(main())
    assert "the application's lifespan failed" in caplog.text


@pytest.mark.parametrize(
    "kind",
    [
        *("lifespan.startup", "lifespan.startup.started", "startup.complete", "http.response.start", ""),
        "lifespan.shutdown.complete",
    ],
)
def test_what_cannot_be_said_is_refused(kind: str) -> None:
    refused: list[str] = []

    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        if kind == "lifespan.shutdown.complete":
            await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.startup.failed"})
        await send({"type": kind})

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await confused(scope, receive, send)
        except HandlerError as error:
            refused.append(str(error))
            raise

    run(lifespan(noting).begin())
    assert len(refused) == 1


def test_a_beginning_can_be_given_up() -> None:
    async def main() -> None:
        ended: list[bool] = []

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await asyncio.sleep(10_000)
            finally:
                ended.append(True)

        beginning = asyncio.ensure_future(lifespan(slow).begin())
        await asyncio.sleep(1)
        beginning.cancel()
        await asyncio.wait((beginning,))
        await asyncio.sleep(0)
        assert beginning.cancelled()
        assert ended == [True]

    run(main())
