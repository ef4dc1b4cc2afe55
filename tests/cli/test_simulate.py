"""``portside simulate``: files in, files out, and words that a person and a program can use."""

from __future__ import annotations

import json
from pathlib import Path

from support.server import portside

WORLDS = Path(__file__).parents[2] / "examples" / "worlds"
LOSSY = """[host.ann]
[host.bob]
[[link]]
between = ["ann", "bob"]
[[program]]
on = "bob"
serve = "echo"
[[program]]
on = "ann"
get = "http://bob:81/"
"""


def test_a_world_is_run_and_its_report_and_capture_written(tmp_path: Path) -> None:
    done = portside("simulate", str(WORLDS / "web-page.toml"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "200 OK" in done.stdout
    assert "digest" in done.stdout
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "out" / "world.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def test_json_says_the_same(tmp_path: Path) -> None:
    done = portside("simulate", str(WORLDS / "one-lost-packet.toml"), "--no-report", "--json", "--seed", "4")
    told = json.loads(done.stdout)
    assert (told["seed"], told["failure"], told["files"]) == (4, None, [])
    assert told["frames"]["ann-bob>"]["ruled out"] == 1
    assert told["programs"][0]["host"] == "ann"


def test_a_program_that_fails_is_told_with_what_repeats_it(tmp_path: Path) -> None:
    path = tmp_path / "fails.toml"
    path.write_text(LOSSY)
    done = portside("simulate", str(path), "--no-report")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    done = portside("simulate", str(path), "--seeds", "3-5")
    assert done.returncode == 1
    assert f"portside simulate {path} --seed 3" in done.stderr


def test_seeds_that_all_pass_are_counted() -> None:
    done = portside("simulate", str(WORLDS / "one-lost-packet.toml"), "--seeds", "1-5")
    assert (done.returncode, done.stdout) == (0, "5 seeds, none failed\n")


def test_a_mistake_in_the_file_is_a_mistake_of_usage(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[host.ann]\nadress = 1\n")
    done = portside("simulate", str(path))
    assert done.returncode == 2
    assert "[host.ann] has no 'adress'" in done.stderr
