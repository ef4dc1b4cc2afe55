"""The six models of Stevens, UNIX Network Programming, chapter 30: each a module with ``run(worker)``.

iterative   one connection after the other, in the worker itself; ``prefork`` is a pool of such workers
fork        a process for each connection
thread      a thread for each connection
prethread   a pool of threads, each of which accepts
event       an event loop for all connections
"""
