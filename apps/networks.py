"""Networks that may read what is not for everybody."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network


def is_inside(address: str, networks: Iterable[str]) -> bool:
    """Return whether an address belongs to one of these networks; other text belongs to none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(network) for network in networks)
