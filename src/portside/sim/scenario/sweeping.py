"""What a run should have given by a formula, to be drawn beside what it gave."""

from __future__ import annotations

import math
from typing import Final

from portside.sim.trace import Flow

DELAYED_ACKS: Final = math.sqrt(3 / 4)  # C of the paper's table 1, for random loss with delayed acknowledgements


def mathis(flow: Flow, loss: float) -> float:
    """Return the bits a second of congestion avoidance under random loss: MSS / RTT · C / √p.

    Mathis, Semke, Mahdavi and Ott, "The macroscopic behavior of the TCP congestion avoidance algorithm", Computer
    Communication Review 27(3), 1997, equation 3. The round-trip time is what the flow has measured on average.
    """
    times = [rtt_s for _, rtt_s in flow.srtt.points]
    return 8 * flow.segment_bytes / (sum(times) / len(times)) * DELAYED_ACKS / math.sqrt(loss)
