"""Chance repeats, in every process, and what one element draws is nothing to another."""

from __future__ import annotations

import subprocess
import sys

from portside.sim.chance import stream


def test_the_same_name_and_seed_draw_the_same_in_every_process() -> None:
    script = "from portside.sim.chance import stream; print([stream(7, 'link', 'a').random() for _ in range(2)])"
    shown = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert shown == {f"{[stream(7, 'link', 'a').random() for _ in range(2)]}\n"}


def test_other_names_and_seeds_draw_otherwise() -> None:
    drawn = [stream(*key).random() for key in ((7, "a"), (8, "a"), (7, "b"), (7, "a", "b"), (7, "a\0b"))]
    assert len(set(drawn[:4])) == 4
