"""A session with a web server, over httpx: files come and go, and what goes wrong is said in our own words."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from portside.cli.http_url import HttpUrl
from portside.cli.transfer_files import Done, HttpRefused, Manner, Timings, opened_part, opened_source
from portside.errors import ConnectionLost, MissingExtra, NetworkError, PeerError, TlsFailed

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    import httpx

    from portside.contracts import Network

REDIRECTS_MAX: Final = 20
PIECE_BYTES: Final = 262_144
SHOWN_BYTES: Final = 200  # of what a server says beside its refusal


class _Watch:
    """Takes the time of each step that httpx tells of: the trace extension of httpcore."""

    _FIELDS: Final = {
        "connection.connect_tcp": "connect_s",
        "connection.start_tls": "tls_s",
        "http11.receive_response_headers": "first_byte_s",
    }

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._began_s: dict[str, float] = {}

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        step, _, phase = event.rpartition(".")
        if step in self._FIELDS and phase == "started":
            self._began_s[step] = monotonic()
        elif step in self._FIELDS and phase == "complete":
            setattr(self._timings, self._FIELDS[step], monotonic() - self._began_s[step])


@dataclass(frozen=True, slots=True)
class Target:
    """Where a download goes. ``is_chosen``: by the user, so that a name of the server's does not count."""

    path: Path
    is_chosen: bool


class HttpClient:
    """A session with one server; it follows redirects to others without taking credentials along (httpx sees to it)."""

    def __init__(self, client: httpx.AsyncClient, name_s: float | None) -> None:
        self._client = client
        self._name_s = name_s
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def connect(
        cls,
        network: Network,
        server: HttpUrl,
        *,
        login: tuple[str, str] | None,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        timeout_s: float,
    ) -> HttpClient:
        """Return a session; connections are made as requests need them. Raises: MissingExtra, NameNotFound."""
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("http:// and https://", "http") from error
        began_s = network.now_s()
        await network.resolve(server.host, server.port)
        client = httpx.AsyncClient(
            auth=login,
            headers={"user-agent": "portside", "accept": "*/*", "accept-encoding": "identity", **headers},
            verify=True if tls is None else tls,
            timeout=httpx.Timeout(timeout_s),
            follow_redirects=True,
            max_redirects=REDIRECTS_MAX,
            trust_env=False,
        )
        return cls(client, network.now_s() - began_s)

    async def quit(self) -> None:
        await self._client.aclose()

    def close(self) -> None:
        """Let go of its connections without waiting for that."""
        self._closing = asyncio.ensure_future(self._client.aclose())

    # ── downloads ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def fetch(self, url: HttpUrl, target: Target, manner: Manner) -> Done:
        """Bring what is at the URL, by way of a file beside its name. Raises: HttpRefused, PeerError, OSError."""
        timings = self._timings()
        with opened_part(target.path, manner.progress) as (part, file):
            have = os.fstat(file.fileno()).st_size if manner.resume else 0
            async with self._asking("GET", url, self._range(file, have), timings) as response:
                place = _place_of(response, str(url), have)
                done = await self._receive(response, file, place, manner, timings)
                local = target.path if target.is_chosen else _named(target.path, response)
            os.replace(part, local)
        return done

    async def fetch_pieces(self, url: HttpUrl, write: Any, manner: Manner) -> Done:
        """Bring it piece by piece to whoever takes the pieces."""
        timings = self._timings()
        async with self._asking("GET", url, {}, timings) as response:
            _, size_bytes = _place_of(response, str(url), 0)
            bar = manner.progress.begin(str(url), size_bytes)
            moved, began_s = 0, monotonic()
            try:
                async for piece in response.aiter_raw():
                    await write(piece)
                    moved += len(piece)
                    bar.move(moved)
            finally:
                bar.end()
        return _done(moved, 0, began_s, timings)

    @staticmethod
    def _range(file: BinaryIO, have: int) -> dict[str, str]:
        """Return what asks for the rest, if the file there is still the one that was begun: RFC 9110 section 13.1.5.

        What had come carries the time of the server's file. One that was killed has another, and begins anew.
        """
        if not have:
            return {}
        modified = formatdate(int(os.fstat(file.fileno()).st_mtime), usegmt=True)
        return {"range": f"bytes={have}-", "if-range": modified}

    @staticmethod
    async def _receive(
        response: httpx.Response, file: BinaryIO, place: tuple[int, int | None], manner: Manner, timings: Timings
    ) -> Done:
        offset, size_bytes = place
        os.ftruncate(file.fileno(), offset)
        file.seek(offset)
        bar = manner.progress.begin(str(response.url), size_bytes, offset)
        moved, began_s = 0, monotonic()
        try:
            if response.status_code != 416:  # all of it was there before
                async for piece in response.aiter_raw():
                    file.write(piece)
                    moved += len(piece)
                    bar.move(moved)
        finally:
            bar.end()
            _set_time(file, response)
        return _done(moved, offset, began_s, timings)

    # ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, local: Path, url: HttpUrl, manner: Manner) -> Done:
        """Put the file where the URL says. Raises: HttpRefused, PeerError, OSError."""
        with opened_source(local) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            return await self._send(_pieces_of(file), url, size_bytes, manner)

    async def send_pieces(self, pieces: AsyncIterator[bytes], url: HttpUrl, manner: Manner) -> Done:
        """Put there what comes piece by piece."""
        return await self._send(pieces, url, None, manner)

    async def _send(self, pieces: AsyncIterator[bytes], url: HttpUrl, size_bytes: int | None, manner: Manner) -> Done:
        timings, moved, began_s = self._timings(), 0, monotonic()
        bar = manner.progress.begin(str(url), size_bytes)

        async def counted() -> AsyncIterator[bytes]:
            nonlocal moved
            async for piece in pieces:
                yield piece
                moved += len(piece)
                bar.move(moved)

        headers = {} if size_bytes is None else {"content-length": str(size_bytes)}
        try:
            async with self._asking("PUT", url, headers, timings, content=counted()):
                pass
        finally:
            bar.end()
        return _done(moved, 0, began_s, timings)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _timings(self) -> Timings:
        name_s, self._name_s = self._name_s, None
        return Timings(name_s)

    @contextlib.asynccontextmanager
    async def _asking(
        self, method: str, url: HttpUrl, headers: Mapping[str, str], timings: Timings, **content: Any
    ) -> AsyncIterator[httpx.Response]:
        """Ask, and give the answer with its body still to come. Raises: HttpRefused for an answer that is none."""
        began_s = monotonic()
        with _translated(str(url)):
            async with self._client.stream(
                method, str(url), headers=dict(headers), extensions={"trace": _Watch(timings)}, **content
            ) as response:
                if response.is_error and not (response.status_code == 416 and "range" in headers):
                    said = (await response.aread())[:SHOWN_BYTES].decode("utf-8", "replace").strip()
                    is_text = response.headers.get("content-type", "").startswith("text/plain")
                    raise HttpRefused(str(url), response.status_code, response.reason_phrase, said if is_text else "")
                if url.scheme == "https" and response.url.scheme == "http":
                    raise PeerError(f"{url}: it leads to {response.url}, which is not encrypted")
                yield response
        timings.total_s = monotonic() - began_s


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Say in our words what httpx says in its own."""
    import ssl

    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise TimeoutError(f"{url}: the server took too long") from error
    except httpx.ConnectError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            from portside.net.tls import tls_failure

            raise TlsFailed(f"{url}: {tls_failure(cause)}") from error
        raise NetworkError(f"cannot connect to {url}: {error}") from error
    except httpx.TooManyRedirects as error:
        raise PeerError(f"{url}: it leads in circles, or through more than {REDIRECTS_MAX} redirects") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise PeerError(f"{url}: it leads to where nobody can follow: {error}") from error
    except httpx.TransportError as error:
        raise ConnectionLost(f"{url}: {error}" if str(error) else f"{url}: the connection broke") from error


def _place_of(response: httpx.Response, url: str, have: int) -> tuple[int, int | None]:
    """Return behind how many bytes the answer goes, and how many all of it has, None where nobody says.

    Raises: PeerError for a range that nobody asked for.
    """
    length = response.headers.get("content-length", "")
    size_bytes = int(length) if length.isascii() and length.isdigit() else None
    if response.status_code not in (206, 416):
        return 0, size_bytes
    unit, _, rest = response.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    whole = int(total) if total.isascii() and total.isdigit() else None
    if unit == "bytes" and response.status_code == 416 and whole == have:
        return have, have
    if unit == "bytes" and response.status_code == 206 and span.startswith(f"{have}-"):
        return have, whole
    raise PeerError(
        f"{url}: the server sent {response.headers.get('content-range') or 'no range'}, not what was asked for"
    )


def _set_time(file: BinaryIO, response: httpx.Response) -> None:
    """Give what has come the time of the server's file, or one that is nobody's."""
    try:
        modified = parsedate_to_datetime(response.headers["last-modified"])
        seconds = modified.replace(tzinfo=modified.tzinfo or UTC).timestamp()
    except (KeyError, ValueError):
        if response.is_stream_consumed:
            return
        seconds = 0.0
    os.utime(file.fileno(), (seconds, seconds))


def _named(path: Path, response: httpx.Response) -> Path:
    """Return where the file goes: by the name that the server gives it, where that can be used and is free."""
    from email.message import Message

    field = Message()
    field["content-disposition"] = response.headers.get("content-disposition", "")
    name = (field.get_filename() or "").replace("\\", "/").rpartition("/")[2]
    if name in ("", ".", "..") or not name.isprintable() or name.startswith("."):
        return path
    named = path.with_name(name)
    return path if named.exists() else named  # nobody else decides which of our files is replaced


async def _pieces_of(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


def _done(moved: int, offset: int, began_s: float, timings: Timings) -> Done:
    return Done(offset + moved, moved, offset, monotonic() - began_s, timings=timings)
