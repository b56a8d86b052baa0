"""Addresses: which of them are on this machine."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """True for a host name or address of this machine, which nobody on the way can listen to."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
