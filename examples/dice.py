"""Dice by datagram: ``2d6`` comes back as the numbers rolled. A handler for UDP gets a message with its return address.

portside run dice:roll --listen udp://[::]:9000

The answer must not be longer than the question, or it is dropped (``--amplify`` lifts that): two dice fit in four
bytes as ``3 5``, and where all of them do not, there is their sum.
"""

import random
import re

from portside import Message


async def roll(message: Message) -> None:
    asked = re.fullmatch(rb"(\d{1,2})d(\d{1,3})\s*", message.data)
    if asked is None or not int(asked[2]):
        await message.reply(b"2d6?"[: len(message.data)])
        return
    dice = [random.randint(1, int(asked[2])) for _ in range(int(asked[1]))]
    answer = " ".join(map(str, dice)).encode()
    await message.reply(answer if len(answer) <= len(message.data) else str(sum(dice)).encode())
