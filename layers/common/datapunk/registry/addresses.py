"""Which addresses the platform connects to when a tenant's registration names them.

A tenant registers where its service is, and the platform goes there: to probe it, to route to it. Some
addresses would lead it into itself: link-local ones, behind which clouds keep credentials, loopback, where a
function's own runtime listens, and what is no single host. They are refused wherever a name resolves to them,
and the connection goes to the very address that was looked at. What else may be reached is the network's
matter: security groups, and the setting `SERVICE_NETWORKS`.
"""

from __future__ import annotations

import ipaddress
import socket

from datapunk.errors import ForbiddenError, UnavailableError
from datapunk.settings import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_METADATA = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd00:ec2::23"))
)
_LOCAL = "local"


def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host that the platform may connect to.

    Raises ForbiddenError when it may connect to none, UnavailableError when the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnavailableError(host, f"{host} does not resolve to an address.") from error
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    allowed = [address for address in addresses if may_reach(address)]
    if not allowed:
        raise ForbiddenError(f"The platform does not connect to {host}.")
    return allowed


def may_reach(address: str) -> bool:
    """Tell whether the platform connects to an IP address on a tenant's behalf."""
    try:
        place: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped:
        place = place.ipv4_mapped
    if place in _METADATA or place.is_link_local or place.is_multicast or place.is_unspecified:
        return False
    # On one machine, everything is behind loopback; some of that is reserved, says the library.
    is_usual = settings().stage == _LOCAL if place.is_loopback else not place.is_reserved
    return is_usual and settings().serves(str(place))
