"""Guess my number: a plain ``def`` handler. It may block as it likes, it runs in a thread or a process of its own.

portside run guess:guess --model thread
"""

import random

from portside import PlainConnection


def guess(player: PlainConnection) -> None:
    secret = random.randint(1, 100)
    player.write(b"I think of a number from 1 to 100. Your guess?\n")
    for tries, line in enumerate(player.lines(), 1):
        if not line.strip().isdigit():
            player.write(b"That is no number.\n")
        elif int(line) != secret:
            player.write(b"Too small.\n" if int(line) < secret else b"Too large.\n")
        else:
            player.write(b"Right, after %d tries.\n" % tries)
            return
