"""Which addresses a webhook may be delivered to (pure, but for the look-up).

A URL may name a host inside the network that the scheduler can reach and its author cannot: the
cloud's metadata server, a database, the scheduler itself. So a name is looked up once, each of its
addresses is judged, and the connection is made to the very address that was judged: a name server
that answers differently the second time (DNS rebinding) is not asked a second time.
"""

from __future__ import annotations

import ipaddress
import socket

from butler.errors import DeliveryFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOW_32_BITS = 0xFFFFFFFF


def is_public(address: Address) -> bool:
    """Whether this is somewhere on the internet; what carries an IPv4 address is judged by it."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if carried is None and address.teredo is not None:
            return False
        if carried is None and address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & _LOW_32_BITS)
        if carried is not None:
            return is_public(carried)
    return address.is_global and not address.is_multicast


def address_of(host: str, port: int, *, allow_private: bool) -> str:
    """The address to connect to; raises `DeliveryFailed` where one of the host's may not be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryFailed(f"{host} has no address: {error}") from error
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    for text in addresses:
        if not allow_private and not is_public(ipaddress.ip_address(text.partition("%")[0])):
            raise DeliveryFailed(
                f"{host} is at {text}, which is not a public address; to deliver inside your own "
                "network, set alert_allow_private"
            )
    return addresses[0]
