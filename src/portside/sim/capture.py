"""Captures: what passes the ports of a world, as a pcapng file that Wireshark cannot tell from a real one.

The same run writes the same bytes, wherever it runs: stamps are the world's, and nothing of the machine is in the file.
Memory is bounded however long the run is: packets go to the file as they come, or, where secrets of TLS are to stand
before them, to a temporary file first. A capture draws no chance and schedules nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from portside.address import IPAddress
from portside.sim.addresses import to_ip
from portside.sim.clock import Scheduler
from portside.sim.encoding import encode
from portside.sim.frame import AnyFrame
from portside.sim.host_clock import WORLD_BEGAN_NS
from portside.sim.port import Port, Tap, Way
from portside.wire.captured import Interface, Section
from portside.wire.pcapng import PcapngWriter

if TYPE_CHECKING:
    from portside.sim.world import World

APPLICATION: Final = "Portside, a simulated internet"
BUFFER_BYTES: Final = 1 << 20


class Capture:
    """What has passed some ports since this was made. Close it, or use it in a ``with``: the file is whole only then.

    ``ports`` are given by the names that their interfaces have in the file, ``alice:eth0``; ``names`` are those of
    addresses. With ``secrets`` packets are written at the end, behind the lines of ``add_secrets``, without which
    Wireshark cannot decrypt them: pcapng wants a Decryption Secrets Block before the packets it is for
    (draft-ietf-opsawg-pcapng, section 4.7).

    Raises: OSError from a file that cannot be written, then and later.
    """

    def __init__(
        self,
        path: str | Path,
        scheduler: Scheduler,
        ports: Mapping[str, Port],
        *,
        began_ns: int = WORLD_BEGAN_NS,
        names: Mapping[IPAddress, Iterable[str]] | None = None,
        secrets: bool = False,
    ) -> None:
        self.packets = 0
        self._scheduler = scheduler
        self._began_ns = began_ns
        self._file: IO[bytes] = Path(path).open("wb", buffering=BUFFER_BYTES)  # noqa: SIM115 -- until ``close``
        self._body: IO[bytes] = self._file
        if secrets:
            self._body = tempfile.TemporaryFile(buffering=BUFFER_BYTES)  # noqa: SIM115 -- until ``close``
        self._secrets = bytearray()
        self._taps: list[tuple[Port, Tap]] = []
        self._writer = PcapngWriter(self._file.write, Section(application=APPLICATION))
        for name, port in ports.items():
            tap = self._tap(self._writer.add_interface(Interface(name)))
            port.tap(tap)
            self._taps.append((port, tap))
        if names:
            self._writer.names(names)
        self._writer.write = self._body.write

    @classmethod
    def of(cls, world: World, path: str | Path, hosts: Iterable[str] | None = None, *, secrets: bool = False) -> Self:
        """Capture at every port of the hosts with these names, or of all: ``Capture.of(world, "run.pcapng")``."""
        wanted = None if hosts is None else tuple(hosts)
        ports = {
            f"{host.name}:{name}": port
            for host in world.hosts
            if wanted is None or host.name in wanted
            for name, port in host.ports.items()
        }
        names: dict[IPAddress, list[str]] = {}
        for name, addresses in world.names.items():
            for address in addresses:
                names.setdefault(to_ip(address), []).append(name)
        return cls(path, world.scheduler, ports, began_ns=world.began_ns, names=names, secrets=secrets)

    def add_secrets(self, lines: bytes | str) -> None:
        """Take in lines as SSLKEYLOGFILE has them (draft-ietf-tls-keylogfile): written when this is closed.

        Raises: ValueError if this was made without ``secrets``.
        """
        if self._body is self._file:
            raise ValueError("a capture takes secrets only if it was made with secrets=True")
        self._secrets += lines.encode("ascii") if isinstance(lines, str) else lines
        if self._secrets and not self._secrets.endswith(b"\n"):
            self._secrets += b"\n"

    def _tap(self, interface: int) -> Tap:
        scheduler, began_ns = self._scheduler, self._began_ns
        put_in, put_out = (self._writer.packets_of(interface, way) for way in ("in", "out"))

        def note(way: Way, frame: AnyFrame) -> None:
            self.packets += 1
            put = put_in if way == "in" else put_out
            put(began_ns + scheduler.now, frame.encoded or encode(frame))

        return note

    def close(self) -> None:
        """Capture no more, and finish the file."""
        if self._file.closed:
            return
        for port, tap in self._taps:
            port.untap(tap)
        try:
            if self._body is not self._file:
                self._finish()
        finally:
            self._body.close()
            self._file.close()

    def _finish(self) -> None:
        """Write the secrets, and the packets behind them."""
        self._writer.write = self._file.write
        if self._secrets:
            self._writer.secrets(bytes(self._secrets))
        self._body.seek(0)
        shutil.copyfileobj(self._body, self._file, BUFFER_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
