"""Trying what only a worker would find out: whether handlers can be loaded and certificates used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import IO, NoReturn

from portside.errors import PortsideError
from portside.serve import running
from portside.serve.config import Configuration
from portside.serve.mistakes import Mistake
from portside.serve.settings import ServiceSettings
from portside.serve.worker import tls_of


def try_services(configuration: Configuration) -> list[Mistake]:
    """Return what is wrong with the services' handlers and certificates.

    Each service is tried in a process of its own, as its workers would be: somebody's code is run, which may print,
    exit or crash.
    """
    places = configuration.places
    return [
        Mistake(places[service.name, part], sentence)
        for service in configuration.settings.services
        for part, sentence in _try_service(service)
    ]


def _try_service(service: ServiceSettings) -> list[tuple[str, str]]:
    with tempfile.TemporaryFile() as answers:  # not a pipe: a process left behind would keep it open
        child = os.fork()
        if child == 0:
            _be_the_child(service, answers)
        _, status = os.waitpid(child, 0)
        answers.seek(0)
        lines = answers.read().decode("utf-8", "backslashreplace").split("\0")[:-1]
    if not lines or lines[-1] != "done":
        code = os.waitstatus_to_exitcode(status)
        how = f"a signal, {-code}" if code < 0 else f"status {code}"
        return [("handler", f"loading {service.what} ended the process with {how}")]
    parts = [line.partition(":") for line in lines[:-1]]
    return [(part, sentence) for part, _, sentence in parts]


def _be_the_child(service: ServiceSettings, answers: IO[bytes]) -> NoReturn:
    try:
        os.dup2(2, 1)  # what the code prints at its import is no part of our answer
        # As in a worker: what the battery is told depends on the certificates.
        for part, attempt in (("tls", lambda: _load_tls(service)), ("handler", service.load)):
            sentence = _sentence_of(attempt)
            if sentence is not None:
                answers.write(f"{part}:{sentence}\0".encode("utf-8", "backslashreplace"))
        answers.write(b"done\0")
        answers.flush()
    finally:
        os._exit(0)


def _load_tls(service: ServiceSettings) -> None:
    running.set_given(running.Given(service.name))
    running.set_given(running.Given(service.name, tls_of(service)))


def _sentence_of(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except PortsideError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
