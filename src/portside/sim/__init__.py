"""A simulated internet: real frames, a real TCP, and unmodified asyncio programs in virtual time."""
