"""The tester's end of a TCP connection with a host under test: it sends what it is told to, and nothing else."""

from __future__ import annotations

from portside.sim.frame import Offer, TcpFrame
from support.oracle import PEER, SOON_S, Stream, Wire

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ISS = 0xFFFF_FF00  # sequence numbers wrap soon
WORD = 0xFFFF_FFFF
PORT, OURS = 7_000, 40_000
FULL = Offer(1_460, 7, sack=True)


class End:
    """The tester's end of one connection."""

    def __init__(self, wire: Wire, port: int = PORT, our_port: int = OURS) -> None:
        self.wire, self.port, self.our_port = wire, port, our_port
        self.sequence, self.ack, self.timestamp = ISS, 0, None
        self.echo = 0

    def say(  # noqa: PLR0917 -- the fields of a segment
        self,
        flags: int,
        payload: bytes = b"",
        at: int = 0,
        acks: int = 0,
        window: int = 1_000,
        stamp: int | None = None,
    ) -> None:
        """Send a segment: ``at`` and ``acks`` are relative to what is next."""
        sequence, ack = (self.sequence + at) & WORD, (self.ack + acks) & WORD if flags & ACK else 0
        self.wire.send(
            TcpFrame(
                self.wire.ours, self.our_port, PEER, self.port, sequence, ack, flags, window, payload, stamp, self.echo
            )
        )

    def offer(self, offer: Offer | None, stamp: int | None = None, payload: bytes = b"") -> TcpFrame:
        """Send a SYN and return the answer."""
        segment = TcpFrame(self.wire.ours, self.our_port, PEER, self.port, ISS, 0, SYN, 65_535, payload, stamp)
        segment = TcpFrame(*_fields(segment), offer=offer)
        self.wire.send(segment)
        answer: TcpFrame = self.wire.heard(TcpFrame)
        self.sequence, self.ack = ISS + 1, answer.sequence + 1
        return answer

    def open(self, offer: Offer | None = None) -> Stream:
        """Shake hands with a listener and return what its program has."""
        self.wire.host.listen(self.port)
        answer = self.offer(offer)
        assert answer.flags == SYN | ACK
        self.say(ACK)
        assert self.quiet
        return self.wire.host.accept(self.port)

    def hear(self, within_s: float = 1.0) -> TcpFrame:
        segment: TcpFrame = self.wire.heard(TcpFrame, within_s)
        return segment

    def acked(self, segment: TcpFrame) -> int:
        """Return what a segment acknowledges, relative to what we send next."""
        distance = (segment.ack - self.sequence) & WORD
        return distance if distance < 1 << 31 else distance - (1 << 32)

    @property
    def quiet(self) -> bool:
        return self.wire.silent(TcpFrame, SOON_S)


def _fields(segment: TcpFrame) -> tuple[object, ...]:
    names = ("source", "source_port", "target", "target_port", "sequence", "ack", "flags", "window", "payload")
    return (*(getattr(segment, name) for name in names), segment.timestamp)
