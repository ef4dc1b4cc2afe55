"""What the rig needs from the machine: a network of its own, cores, and the figures of processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CONGESTION_WANTED = ("cubic", "reno")
CONGESTION_FOR_ALL = "reno"  # the one that every user may set on a socket, whatever the machine allows
INSIDE_MARK = "ECHO_BENCH_INSIDE_NAMESPACE"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


# ---- the network ---------------------------------------------------------------------------


def enter_network_namespace() -> bool:
    """Run this program again in a network namespace of its own; return whether we are in one.

    The kernel's default congestion control may pace traffic, loopback too, and then bulk figures
    measure the pacing. In a namespace it can be set for the sockets of all servers alike, and nobody
    else's ports or TIME-WAIT sockets are in the way.
    """
    if os.environ.get(INSIDE_MARK):
        prepare_network_namespace()
        return True
    # A user namespace gives the rights over a network namespace to users who are not root.
    for command in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        if works([*command, "true"]):
            os.environ[INSIDE_MARK] = "1"
            os.execvp(command[0], [*command, sys.executable, *sys.argv])
    return False


def works(command: list[str]) -> bool:
    """Return whether the command exists and succeeds."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


def prepare_network_namespace() -> None:
    """Bring the loopback up, and set what a fresh namespace has taken over from the machine."""
    raise_loopback()
    network = PROC / "sys/net/ipv4"
    (network / "ip_local_port_range").write_text("10000 65000")
    for name in CONGESTION_WANTED:
        with contextlib.suppress(OSError):
            (network / "tcp_congestion_control").write_text(name)
            return


def raise_loopback() -> None:
    """Set the loopback interface up, as ``ip link set lo up`` would.

    Source: netdevice(7); a ``struct ifreq`` is 16 bytes of name and 24 bytes of value.
    """
    siocsifflags, interface_up = 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh22x", b"lo", interface_up))


def congestion_control() -> str:
    """Return the congestion control that new sockets get."""
    return (PROC / "sys/net/ipv4/tcp_congestion_control").read_text().strip()


def raise_file_limit() -> None:
    """Allow as many open files as may be; servers that we start take the limit over."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# ---- cores ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the server, another for the load."""

    server: int
    load: int


def choose_cores() -> Cores:
    """Take the first two cores we may use; on a machine with one core both are the same."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(server=allowed[0], load=allowed[min(1, len(allowed) - 1)])


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start processes inside, and they stay on that core, with all their threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
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


# ---- processes -----------------------------------------------------------------------------


def process_tree(pid: int) -> list[int]:
    """Return the process and all its living descendants."""
    found = [pid]
    for parent in found:
        for children in PROC.glob(f"{parent}/task/*/children"):
            with contextlib.suppress(OSError):
                found.extend(map(int, children.read_text().split()))
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
    return sum(map(cpu_of_one, process_tree(pid)), Cpu())


def cpu_of_one(pid: int) -> Cpu:
    """Return the CPU of a process and of its children that were waited for.

    Source: proc_pid_stat(5), fields 14 to 17; the name in field 2 may contain anything but ends with
    the last parenthesis.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Cpu()
    user, system, children_user, children_system = (int(field) / TICKS_PER_S for field in fields[11:15])
    return Cpu(user + children_user, system + children_system)


def memory_bytes(pid: int) -> int:
    """Return what the process tree holds of the memory.

    It is the proportional share (PSS): a page that several processes share counts once, so servers of
    one process and of many compare.
    """
    return sum(pss_bytes_of_one(one) for one in process_tree(pid))


def pss_bytes_of_one(pid: int) -> int:
    """Return the proportional share of one process, 0 if it is gone. Source: proc_pid_smaps(5)."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
