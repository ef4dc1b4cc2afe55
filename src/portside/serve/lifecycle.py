"""What a server's life is made of, apart from its processes: crashes and back-off, privileges, telling systemd."""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import clock_gettime_ns
from typing import Final

from portside.address import UnixAddress
from portside.errors import LocalError, NotPermitted, PortsideError, UsageError
from portside.net.sockets import open_datagram, sockaddr_of

# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

CRASHES_MAX: Final = 5  # within …
CRASHES_WITHIN_S: Final = 30.0  # … this long, and the server gives up with exit status 4
BACK_OFF_S: Final = (0.0, 0.25, 1.0, 2.5)  # before each replacement in a row: the fifth crash ends it


class Crashes:
    """The recent crashes of one service's workers: how long to wait before the next one, and when to give up."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque()

    def note(self, now_s: float) -> float | None:
        """Note a crash. Returns the seconds to wait before its replacement, or None when there were too many."""
        while self._at_s and now_s - self._at_s[0] >= CRASHES_WITHIN_S:
            self._at_s.popleft()
        self._at_s.append(now_s)
        if len(self._at_s) >= CRASHES_MAX:
            return None
        return BACK_OFF_S[len(self._at_s) - 1]


# ── descriptors and privileges ───────────────────────────────────────────────────────────────────────────────────────


def raise_descriptor_limit() -> None:
    """Use all descriptors that the operator allows: the soft limit is often 1,024, for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Identity:
    """The user and group to become. Looked up before anything is bound, taken on after everything is."""

    def __init__(self, user: str | None, group: str | None) -> None:
        """Raises: UsageError for a name nobody has."""
        self.user_id: int | None = None
        self.group_id: int | None = None
        self._name: str | None = None
        if user is not None:
            self.user_id, self._name, self.group_id = _user(user)
        if group is not None:
            self.group_id = _group_id(group)

    @property
    def is_other(self) -> bool:
        """Whether there is anything to become."""
        return self.user_id is not None or self.group_id is not None

    def take_on(self) -> None:
        """Become them, for good: group and supplementary groups first, while we still may. Raises: NotPermitted."""
        try:
            if self.group_id is not None and self.group_id != os.getegid():
                os.setresgid(self.group_id, self.group_id, self.group_id)
            if os.geteuid() == 0 and self.is_other:
                self._set_groups()
            if self.user_id is not None and self.user_id != os.geteuid():
                os.setresuid(self.user_id, self.user_id, self.user_id)
        except PermissionError as error:
            raise NotPermitted("only root may become another user or group") from error
        except OSError as error:
            raise LocalError(f"the user and group cannot be changed: {error.strerror}") from error

    def _set_groups(self) -> None:
        if self._name is not None and self.group_id is not None:
            os.initgroups(self._name, self.group_id)
        else:
            os.setgroups([] if self.group_id is None else [self.group_id])


def _user(name: str) -> tuple[int, str | None, int | None]:
    import pwd

    try:
        entry = pwd.getpwuid(int(name)) if _is_number(name) else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        if _is_number(name):
            return int(name), None, None
        raise UsageError(f"this machine has no user {name!r}") from None
    return entry.pw_uid, entry.pw_name, entry.pw_gid


def _group_id(name: str) -> int:
    import grp

    if _is_number(name):
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UsageError(f"this machine has no group {name!r}") from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


# ── telling the service manager ──────────────────────────────────────────────────────────────────────────────────────


class Notifier:
    """Tells systemd, or whoever set NOTIFY_SOCKET, how the server is. Source: sd_notify(3)."""

    def __init__(self, environment: Mapping[str, str], process: int) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._is_watched = environment.get("WATCHDOG_PID", str(process)) == str(process)
        self._watchdog_usec = environment.get("WATCHDOG_USEC", "")

    @property
    def watchdog_s(self) -> float | None:
        """How often to say that we live: twice in the time that is allowed between, sd_watchdog_enabled(3)."""
        if not self._path or not self._is_watched or not self._watchdog_usec.isdigit():
            return None
        return int(self._watchdog_usec) / 2_000_000 or None

    def ready(self, status: str) -> None:
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        # systemd compares the time with that of its own request, on the clock that stops in no sleep but suspend.
        monotonic_usec = clock_gettime_ns(_CLOCK_MONOTONIC) // 1_000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={monotonic_usec}\nSTATUS=reloading")

    def stopping(self) -> None:
        self._tell("STOPPING=1\nSTATUS=draining")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._path:
            return
        with suppress(OSError, PortsideError):
            address = UnixAddress(self._path)
            with open_datagram(address) as sock:
                sock.sendto(state.encode(), sockaddr_of(address))


_CLOCK_MONOTONIC: Final = 1  # of clock_gettime(2), as systemd reads it
