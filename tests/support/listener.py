"""Servers of one test: a function in a thread that talks to whoever connects, over Python's own sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from support.waiting import WITHIN_S

Talk = Callable[[socket.socket], None]


class Listener:
    """Listens on a port of its own, or a path, until the block ends; ``talk`` has each connection for itself.

    What a talk raises is raised at the block's end, unless the test failed before; a connection that the client broke
    is no failure of the talk.
    """

    def __init__(self, talk: Talk, *, path: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._talk = talk
        self._tls = tls
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        if path is None:
            self._socket = socket.create_server(("127.0.0.1", 0))
            self.port = self._socket.getsockname()[1]
            self.url = f"tcp://127.0.0.1:{self.port}"
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind("\0" + path[1:] if path.startswith("@") else path)
            self._socket.listen()
            self.url = f"unix:{path}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the socket was shut down: the test is over
            while True:
                connection, _ = self._socket.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(WITHIN_S)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._talk(connection)
        except (ConnectionError, ssl.SSLError):
            pass
        except BaseException as error:
            self._failures.append(error)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._acceptor.join(WITHIN_S)
        for thread in self._threads:
            thread.join(WITHIN_S)
        if self._failures and error is None:
            raise self._failures[0]
