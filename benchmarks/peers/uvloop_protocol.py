"""Echo as a bare protocol on uvloop: the fastest server in Python without a coroutine."""

import sys

import uvloop
from asyncio_protocol import main

if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
