"""A scenario's file: every mistake is told with the place it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.errors import UsageError
from portside.sim.scenario import read_scenario, run_scenario

TWO = '[host.ann]\n[host.bob]\n[[link]]\nbetween = ["ann", "bob"]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "world.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[host.ann", "is not TOML"),
        ("", "there is no [host.NAME]"),
        (TWO + '[[links]]\nbetween = ["ann", "bob"]', "has no 'links'"),
        (TWO + "[world]\nsede = 1", "[world] has no 'sede', only"),
        (TWO + '[[link]]\nbetween = ["ann"]', "[[link]] 2 says between"),
        (TWO + '[[link]]\nbetween = ["ann", "eve"]', "[[link]] 2: there is no 'eve', only ann, bob"),
        (TWO + '[[program]]\non = "bob"', "[[program]] 1 says on which host, and one of serve"),
        (TWO + '[[program]]\non = "eve"\nserve = "sink"', "there is no 'eve'"),
        (TWO + '[[program]]\non = "ann"\nsend = "1kB"\nto = "bob"', 'says to = "host:port"'),
        (TWO + '[[program]]\non = "ann"\nrun = "module"', 'says run = "module:function"'),
        (TWO + '[[program]]\non = "ann"\nping = "bob"\nstart = "soon"', "'soon' is not a duration"),
        (TWO + '[[fault]]\nat = "1s"\ndo = "explode"', "do = one of crash"),
        (TWO + '[[fault]]\nat = "1s"\ndo = "crash"', "crash says host"),
        (TWO + '[[rule]]\nlink = "ann-bob"', "lose = true or delay"),
        (TWO + '[[rule]]\nlink = "ann-eve"\nlose = true', "there is no 'ann-eve', only ann-bob"),
        (TWO + "[switch.ann]", "two devices have the same name"),
        (TWO + "[link]\n", "is not TOML"),
        (TWO + '[sweep]\nlink = "ann-bob"', "[sweep] has link, setting and values"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_scenario(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_scenario(tmp_path / "none.toml")


def test_a_value_that_is_none_is_told_with_its_link(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="link ann-bob: 'fast' is not a rate"):
        run_scenario(read_scenario(write(tmp_path, TWO + 'rate = "fast"')))


def test_own_code_runs_on_hosts_and_a_failure_is_the_outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "programs_of_a_scenario.py").write_text(
        "import asyncio, time\n"
        "async def wait(seconds):\n    await asyncio.sleep(seconds)\n    return f'waited {seconds}'\n"
        "def block():\n    time.sleep(3)\n    return time.monotonic() >= 3\n"
        "async def fail():\n    raise ValueError('as it must')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    runs = "".join(
        f'[[program]]\non = "ann"\nrun = "programs_of_a_scenario:{name}"\n{more}\n'
        for name, more in (("wait", "arguments = [2]"), ("block", ""), ("fail", 'start = "9s"'))
    )
    outcome = run_scenario(read_scenario(write(tmp_path, TWO + runs)))
    assert [how for _, _, how in outcome.results] == ["waited 2", "True", "failed: as it must"]
    assert outcome.failure is not None


def test_a_crash_and_what_comes_of_it(tmp_path: Path) -> None:
    text = TWO + (
        '[[program]]\non = "bob"\nserve = "echo"\nport = 7\n'
        '[[program]]\non = "bob"\nping = "ann"\ncount = 100\n'
        '[[program]]\non = "ann"\nping = "bob"\ncount = 9\n'
        '[[fault]]\nat = "5s"\ndo = "crash"\nhost = "bob"\n'
        '[[fault]]\nat = "6s"\ndo = "restart"\nhost = "bob"\n'
    )
    outcome = run_scenario(read_scenario(write(tmp_path, text)))
    assert ("ping ann", "bob", "the host has crashed") in outcome.results
    assert outcome.trace is not None
    assert [text for _, text in outcome.trace.marks] == ["crash bob", "restart bob"]
