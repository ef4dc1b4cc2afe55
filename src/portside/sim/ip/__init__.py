"""The network layer of a host: neighbours, routes, fragments, ICMP, and the stack that joins them."""
