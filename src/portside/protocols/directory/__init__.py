"""The directory: tells the ports of services by their names, those that run here before those of the system.

The way of a question: ``dialogue`` reads the line, ``services`` finds the name, ``dialogue`` builds the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

from portside.address import Endpoint
from portside.contracts import Battery, Connection
from portside.errors import LineTooLong, UsageError
from portside.protocols.directory.dialogue import build_answer, parse_question
from portside.protocols.directory.services import Service, ServiceList, parse_services, services_at
from portside.protocols.telling import teller

PORT: Final = 6168
SYSTEM_FILE: Final = "/etc/services"
_TOO_LONG_SHOWN_BYTES: Final = 64  # of a name over the line limit: enough to recognize it

RunningServices: TypeAlias = Callable[[], Iterable[tuple[str, Endpoint]]]
"""Gives the name of each service that runs here with each endpoint as it came to be, the real port included."""


def directory_battery(
    file: str = SYSTEM_FILE, services: RunningServices | None = None, service: str = "directory"
) -> Battery:
    """Return the directory battery.

    ``file`` is read once, now; without it nothing but what runs is known. ``services`` is asked for every visitor.
    ``service`` is whose conversations these are, for whoever watches.
    Raises: UsageError when the file is there and cannot be read.
    """
    system = ServiceList(parse_services(_read(file)))
    tell = teller(service)

    async def directory(visitor: Connection) -> None:
        running = ServiceList(services_at(services()) if services else ())
        try:
            async for line in visitor.lines():
                name = parse_question(line)
                if name is not None:
                    tell(visitor, "in", line)
                    answer = build_answer(name, _find(name, running, system))
                    tell(visitor, "out", answer)
                    await visitor.write(answer)
        except LineTooLong as error:
            start = await visitor.read(min(error.got_bytes, _TOO_LONG_SHOWN_BYTES))
            await visitor.write(build_answer(parse_question(start) or "", None))
            raise

    return Battery("directory", stream=directory, port=PORT, speaks=True)


def _find(name: str, running: ServiceList, system: ServiceList) -> Service | None:
    return running.find(name) or system.find(name)


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"the directory cannot read its list of services {file}: {error.strerror}") from error
