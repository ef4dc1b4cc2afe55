"""The application of the comparison: it answers whatever is asked with the same few words."""

from typing import Any

BODY = b"Hello, world!"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))],
}
REST = {"type": "http.response.body", "body": BODY}


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer a request; of anything else, as the server's lifespan, nothing is known."""
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    await send(START)
    await send(REST)
