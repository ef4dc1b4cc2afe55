"""Echo with asyncio's streams on uvloop."""

import sys

import uvloop
from asyncio_streams import main

if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
