"""What a measurement needs from the machine: a network of its own, cores, and the figures of processes."""

from __future__ import annotations

import contextlib
import os
import resource
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portside.address import InternetAddress
from portside.net.sockets import open_datagram

PROC: Final = Path("/proc")
CONGESTION_WANTED: Final = ("cubic", "reno")
CONGESTION_FOR_ALL: Final = "reno"  # the one that every user may set on a socket, whatever the machine allows
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

# ── the network ──────────────────────────────────────────────────────────────────────────────────────────────────────

_NEW_USER: Final = 0x10000000  # CLONE_NEWUSER and CLONE_NEWNET, clone(2)
_NEW_NETWORK: Final = 0x40000000


def enter_network_namespace() -> bool:
    """Move this process, and all that it will start, to a network namespace of its own; return whether we are in one.

    The kernel's default congestion control may pace traffic, loopback too, and then bulk figures measure the pacing.
    In a namespace it can be set for the sockets of all servers alike, and nobody else's ports or TIME-WAIT sockets are
    in the way. Only for processes with a single thread.
    """
    if not _unshare(_NEW_NETWORK) and not _enter_as_root_of_nobody():
        return False
    _raise_loopback()
    network = PROC / "sys/net/ipv4"
    with contextlib.suppress(OSError):  # what a fresh namespace has taken over from the machine
        (network / "ip_local_port_range").write_text("10000 65000")
    for name in CONGESTION_WANTED:
        with contextlib.suppress(OSError):
            (network / "tcp_congestion_control").write_text(name)
            break
    return True


def _enter_as_root_of_nobody() -> bool:
    """Enter through a user namespace: it gives the rights over a network namespace to users who are not root."""
    user, group = os.geteuid(), os.getegid()
    if not _unshare(_NEW_USER | _NEW_NETWORK):
        return False
    (PROC / "self/setgroups").write_text("deny")  # user_namespaces(7): before the group may be mapped
    (PROC / "self/uid_map").write_text(f"0 {user} 1")
    (PROC / "self/gid_map").write_text(f"0 {group} 1")
    return True


def _unshare(flags: int) -> bool:
    """Source: unshare(2); os.unshare is there from Python 3.12 only."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).unshare(flags) == 0)
    return False


def _raise_loopback() -> None:
    """Set the loopback interface up, as ``ip link set lo up`` would.

    Source: netdevice(7); a ``struct ifreq`` is 16 bytes of name and 24 bytes of value.
    """
    import fcntl

    set_flags, up = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP
    with open_datagram(InternetAddress("127.0.0.1", 0)) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh22x", b"lo", up))


def congestion_control() -> str:
    """Return the congestion control that new sockets get."""
    return (PROC / "sys/net/ipv4/tcp_congestion_control").read_text().strip()


def raise_file_limit() -> None:
    """Allow as many open files as may be; servers that we start take the limit over."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# ── cores ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the server, all others for a load that can use them. ``load`` is the first of these."""

    server: int
    load: int
    others: tuple[int, ...] = ()


def choose_cores() -> Cores:
    """Take the first two cores we may use; on a machine with one core both are the same."""
    server, *others = sorted(os.sched_getaffinity(0))
    return Cores(server=server, load=next(iter(others), server), others=tuple(others) or (server,))


@contextlib.contextmanager
def on_core(*cores: int) -> Iterator[None]:
    """Start processes inside, and they stay on these cores, with all their threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy_s(core: int) -> float:
    """Return the seconds that the core has worked, for anyone, since the machine started."""
    for line in (PROC / "stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, line.split()[1:])
            return (user + nice + system + irq + softirq + steal) / TICKS_PER_S
    return 0.0


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def process_tree(pid: int) -> list[int]:
    """Return the process and all its living descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):  # it ends while we look
            for thread in os.listdir(PROC / str(parent) / "task"):
                with contextlib.suppress(OSError):
                    found.extend(map(int, (PROC / str(parent) / "task" / thread / "children").read_text().split()))
    return found


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of CPU: in the program itself, and in the kernel for it."""

    user_s: float = 0.0
    system_s: float = 0.0

    def __add__(self, other: Cpu) -> Cpu:
        """Return the time of both."""
        return Cpu(self.user_s + other.user_s, self.system_s + other.system_s)

    def __sub__(self, earlier: Cpu) -> Cpu:
        """Return what was used since then."""
        return Cpu(self.user_s - earlier.user_s, self.system_s - earlier.system_s)

    def total_s(self) -> float:
        """Return both together."""
        return self.user_s + self.system_s


def cpu(pid: int) -> Cpu:
    """Return the CPU that the process tree has used, ended children included."""
    return sum(map(_cpu_of_one, process_tree(pid)), Cpu())


def _cpu_of_one(pid: int) -> Cpu:
    """Return the CPU of a process and of its children that were waited for.

    Source: proc_pid_stat(5), fields 14 to 17; the name in field 2 may contain anything but ends with the last
    parenthesis.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Cpu()
    user, system, children_user, children_system = (int(field) / TICKS_PER_S for field in fields[11:15])
    return Cpu(user + children_user, system + children_system)


def memory_bytes(pid: int) -> int:
    """Return what the process tree holds of the memory.

    It is the proportional share (PSS): a page that several processes share counts once, so servers of one process and
    of many compare.
    """
    return sum(_pss_bytes_of_one(one) for one in process_tree(pid))


def _pss_bytes_of_one(pid: int) -> int:
    """Return the proportional share of one process, 0 if it is gone. Source: proc_pid_smaps(5)."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
