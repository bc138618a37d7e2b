"""Addresses that are nobody's own on the Internet: many may come from one of them.

Sources: RFC 1918, 3927, 4193, 4291 and 6598.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Where a proxy on the same machine comes from, whom uvicorn believes by itself.
LOOPBACK = ("127.0.0.1", "::1")
PRIVATE: list[Network] = [
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("127.0.0.0/8", "::1/128", "fc00::/7", "fe80::/10"),
    )
]


def whole(address: Address) -> str:
    """Return what is one person's: an address, and of IPv6 the network of 64 bits around it."""
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_private(address: Address) -> bool:
    """Whether it is one of a private network, or this machine's."""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in PRIVATE)
