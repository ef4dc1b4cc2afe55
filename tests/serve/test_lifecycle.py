"""Crashes and back-off, identities, what systemd is told, and the channel, each by itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import ConnectionLost, NotPermitted, UsageError
from portside.serve import channel as say
from portside.serve.lifecycle import CRASHES_MAX, CRASHES_WITHIN_S, Crashes, Identity, Notifier
from portside.serve.signals import SignalInbox, held_back

# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_is_replaced_at_once_and_the_fifth_within_30_s_is_the_last() -> None:
    crashes, now_s, waits = Crashes(), 0.0, []
    while (wait_s := crashes.note(now_s)) is not None:
        waits.append(wait_s)
        now_s += wait_s + 0.01
    assert len(waits) == CRASHES_MAX - 1 == 4
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert now_s < CRASHES_WITHIN_S  # the back-off alone must not keep them out of each other's reach


def test_crashes_that_are_far_apart_are_no_series() -> None:
    crashes = Crashes()
    assert [crashes.note(8.0 * number) for number in range(100)] == [0.0, 0.25, 1.0] + [2.5] * 97


@given(st.lists(st.floats(0.0, 40.0), max_size=40))
def test_it_gives_up_exactly_when_five_fall_into_30_s(gaps: list[float]) -> None:
    crashes, at_s, now_s = Crashes(), list[float](), 0.0
    for gap in gaps:
        now_s += gap
        at_s.append(now_s)
        recent = [one for one in at_s if now_s - one < CRASHES_WITHIN_S]
        assert (crashes.note(now_s) is None) == (len(recent) >= CRASHES_MAX)
        if len(recent) >= CRASHES_MAX:
            return


# ── identities ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_nobody_has_are_mistakes() -> None:
    with pytest.raises(UsageError, match="no user 'nobody-of-that-name'"):
        Identity("nobody-of-that-name", None)
    with pytest.raises(UsageError, match="no group 'nobody-of-that-name'"):
        Identity(None, "nobody-of-that-name")


def test_a_user_brings_its_group_and_numbers_are_taken_as_they_are() -> None:
    root = Identity("root", None)
    assert (root.user_id, root.group_id) == (0, 0)
    stranger = Identity("65123", "65124")
    assert (stranger.user_id, stranger.group_id) == (65_123, 65_124)
    assert not Identity(None, None).is_other


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_it_is_taken_on_for_good() -> None:
    child = os.fork()
    if child == 0:
        try:
            Identity("65123", "65124").take_on()
            ids = (os.getresuid(), os.getresgid(), os.getgroups())
            assert ids == ((65_123,) * 3, (65_124,) * 3, [65_124])
            with pytest.raises(PermissionError):
                os.setuid(0)
            with pytest.raises(NotPermitted, match="only root"):
                Identity("0", None).take_on()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def test_what_a_service_manager_is_told(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "3000000"}, os.getpid())
    notifier.ready("serving echo")
    assert manager.recv(4_096) == b"READY=1\nSTATUS=serving echo"
    notifier.reloading()
    reloading = manager.recv(4_096).decode().split("\n")
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].removeprefix("MONOTONIC_USEC=").isdigit()
    notifier.stopping()
    assert manager.recv(4_096).startswith(b"STOPPING=1\n")
    notifier.alive()
    assert manager.recv(4_096) == b"WATCHDOG=1"
    assert notifier.watchdog_s == 1.5


def test_an_abstract_socket_of_the_manager_will_do() -> None:
    name = f"portside-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}, 1).ready("x")
        assert sock.recv(100).startswith(b"READY=1")


def test_without_a_manager_nobody_is_told_and_a_watchdog_of_another_is_not_ours(tmp_path: Path) -> None:
    silent = Notifier({}, 1)
    silent.ready("x")
    assert silent.watchdog_s is None
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "10", "WATCHDOG_PID": "2"}, 1)
    gone.ready("x")
    assert gone.watchdog_s is None


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_signals_wait_in_the_inbox_and_what_was_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    inbox = SignalInbox()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert sorted(inbox.take()) == [signal.SIGHUP, signal.SIGTERM]
        assert inbox.take() == []
        with held_back():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # other threads here do not hold it back
            assert inbox.take() == []
        assert inbox.take() == [signal.SIGINT]
    finally:
        inbox.close()
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_process_that_ends_is_not_killed_by_being_told_once_more() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        SignalInbox().close(for_good=True)
        for number in before:
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ── the channel ──────────────────────────────────────────────────────────────────────────────────────────────────────


def a_row(number: int) -> say.Row:
    peer = {"host": "192.0.2.1", "port": number}
    return say.Row(f"1-{number}", peer, peer, "2026-01-01T00:00:00+00:00", 1.5, 2, 3, "reading")


def test_messages_arrive_as_they_were_sent_in_their_order() -> None:
    ours, theirs = say.open_channel()
    sent = [say.Ready(), say.Failed(True, "no"), say.Rows(7, [a_row(1)]), say.Ended(8, True)]
    for message in sent:
        theirs.send(message)  # type: ignore[arg-type]
    assert ours.receive() == sent
    ours.send(say.Drain(2.5))
    ours.send(say.EndConnection(9, "1-1"))
    assert theirs.receive() == [say.Drain(2.5), say.EndConnection(9, "1-1")]
    ours.close()
    with pytest.raises(ConnectionLost):
        theirs.receive()
    theirs.close()


def test_nothing_waits_for_an_end_that_does_not_read() -> None:
    ours, theirs = say.open_channel()
    page = say.Rows(1, [a_row(number) for number in range(250)], after=250)
    for _ in range(40):
        theirs.send(page)
    assert theirs.backlog_bytes > 0
    received: list[object] = []
    while len(received) < 40:
        received += ours.receive()
        theirs.flush()
    assert received == [page] * 40
    ours.close()
    theirs.close()


def test_last_words_are_heard_before_the_end() -> None:
    ours, theirs = say.open_channel()
    theirs.send(say.Failed(False, "no memory"))
    theirs.close()
    assert ours.receive() == [say.Failed(False, "no memory")]
    with pytest.raises(ConnectionLost):
        ours.receive()
    ours.close()


def test_nonsense_is_the_end() -> None:
    ours, theirs = say.open_channel()
    theirs._socket.send(b"\xff\xff\xff\xff{}")
    with pytest.raises(ConnectionLost, match="nonsense"):
        ours.receive()
    ours.close()
    theirs.close()
