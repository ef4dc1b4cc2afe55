"""ns-3 with its Python bindings, from the wheel: the same ways and the same bytes as in ``benchmarks/sim.py``.

    python sim_ns3.py bulk|hops SIZE           # prints what it took as JSON

Points are joined by lines of 100 Gbit/s and 1 ms; hosts have Linux's largest buffers, and CUBIC, as ours do. What is
timed is ``Simulator.Run``, not the seconds that the bindings need to be loaded.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ns import ns

PORT = 9
SEGMENT_BYTES = 1_448


def path_of(routers: int) -> Any:
    """Return nodes in a row, addressed and with routes, the first and the last being hosts."""
    nodes = ns.NodeContainer()
    nodes.Create(routers + 2)
    ns.InternetStackHelper().Install(nodes)
    line = ns.PointToPointHelper()
    line.SetDeviceAttribute("DataRate", ns.StringValue("100Gbps"))
    line.SetChannelAttribute("Delay", ns.StringValue("1ms"))
    addresses = ns.Ipv4AddressHelper()
    last = None
    for number in range(routers + 1):
        devices = line.Install(nodes.Get(number), nodes.Get(number + 1))
        addresses.SetBase(ns.Ipv4Address(f"10.0.{number}.0"), ns.Ipv4Mask("255.255.255.0"))
        last = addresses.Assign(devices)
    ns.Ipv4GlobalRoutingHelper.PopulateRoutingTables()
    return nodes, last.GetAddress(1)


def sink_at(node: Any, protocol: str) -> Any:
    end = ns.InetSocketAddress(ns.Ipv4Address.GetAny(), PORT)
    applications = ns.PacketSinkHelper(protocol, end.ConvertTo()).Install(node)
    applications.Start(ns.Seconds(0))
    return applications.Get(0)


def run(sink: Any, expected: int) -> float:
    began_s = time.perf_counter()
    ns.Simulator.Run()
    took_s = time.perf_counter() - began_s
    received = sink.__deref__().GetTotalRx() if hasattr(sink, "__deref__") else sink.GetTotalRx()
    assert received == expected, f"{received} of {expected} bytes came"
    return took_s


def bulk(size: int) -> dict[str, float]:
    for name, value in (("SegmentSize", SEGMENT_BYTES), ("SndBufSize", 4_194_304), ("RcvBufSize", 6_291_456)):
        ns.Config.SetDefault(f"ns3::TcpSocket::{name}", ns.UintegerValue(value))
    nodes, target = path_of(1)
    sender = ns.BulkSendHelper("ns3::TcpSocketFactory", ns.InetSocketAddress(target, PORT).ConvertTo())
    sender.SetAttribute("MaxBytes", ns.UintegerValue(size))
    sender.SetAttribute("SendSize", ns.UintegerValue(65_536))
    sender.Install(nodes.Get(0)).Start(ns.Seconds(0.1))
    took_s = run(sink_at(nodes.Get(2), "ns3::TcpSocketFactory"), size)
    return {"MB/s": size / 1e6 / took_s}


def hops(count: int) -> dict[str, float]:
    routers = 20
    nodes, target = path_of(routers)
    sender = ns.UdpClientHelper(ns.InetSocketAddress(target, PORT).ConvertTo())
    sender.SetAttribute("MaxPackets", ns.UintegerValue(count))
    sender.SetAttribute("Interval", ns.TimeValue(ns.MicroSeconds(31)))
    sender.SetAttribute("PacketSize", ns.UintegerValue(64))
    sender.Install(nodes.Get(0)).Start(ns.Seconds(0.1))
    took_s = run(sink_at(nodes.Get(routers + 1), "ns3::UdpSocketFactory"), count * 64)
    return {"hops/s": count * routers / took_s}


if __name__ == "__main__":
    print(json.dumps({"bulk": bulk, "hops": hops}[sys.argv[1]](int(sys.argv[2]))))
