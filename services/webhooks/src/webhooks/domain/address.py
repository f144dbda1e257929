"""Where a webhook may go: public addresses only, unless the operator says otherwise.

Checked twice: the URL when an endpoint is saved, and every address when a connection is made (names
may point elsewhere by then).
"""

import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from contracts.errors import DomainError
from contracts.payload import refuse, text
from webhooks import limits

NAT64 = ipaddress.ip_network("64:ff9b::/96")
NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
COMPATIBLE = ipaddress.ip_network("::/96")
LOCAL_NAMES = (".localhost", ".local", ".internal", ".home.arpa")


class AddressForbidden(DomainError):
    """The URL points into a private network."""

    key = "endpoint_address_forbidden"
    message = "Endpoint address forbidden"


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the public Internet, whatever it is wrapped in."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _inside(ip)
        if inner is not None:
            return is_public(str(inner))
        if ip in NAT64_LOCAL:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _inside(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one leads to."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in NAT64 or ip in COMPATIBLE:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def read_target_url(
    path: str, value: Any, *, is_private_allowed: bool, ports: Collection[int]
) -> str:
    """Return the URL of an endpoint."""
    url: str = text(limits.URL_LENGTH_MAX)(path, value)
    if any(character.isspace() or not character.isprintable() for character in url):
        raise refuse(path, "must not contain spaces or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refuse(path, "must be a URL") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise refuse(path, "must be a URL that begins with https://")
    if parts.username is not None or parts.password is not None or "\\" in url:
        raise refuse(path, "must not contain a user's name or a password")
    if is_private_allowed:
        return url
    if parts.scheme != "https":
        raise refuse(path, "must begin with https://")
    if (port or 443) not in ports:
        raise refuse(path, f"must have one of the ports {', '.join(map(str, sorted(ports)))}")
    if _is_private_host(host):
        raise AddressForbidden(f"{path}: must be a public address", prop=path)
    return url


def _is_private_host(host: str) -> bool:
    name = host.rstrip(".").lower()
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _last_is_number(name) or "." not in name or name.endswith(LOCAL_NAMES)
    return not is_public(name)


def _last_is_number(name: str) -> bool:
    """Say whether a resolver would take the name for an address: ``0x7f.1``, ``2130706433``."""
    last = name.rpartition(".")[2]
    try:
        int(last, 0)
    except ValueError:
        return last.isdigit()
    return True
