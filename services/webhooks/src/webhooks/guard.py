"""Connections to public addresses only: checked where the socket is made, after the name is resolved.

The address that was checked is the one that is connected to; there is no second look-up between.
"""

import errno
import socket
from typing import Any

from aiohttp import AddrInfoType, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client import ClientSession, ClientTimeout
from aiohttp.resolver import ThreadedResolver

from webhooks.domain.address import is_public

FORBIDDEN = "endpoint_address_forbidden"


class ForbiddenAddress(OSError):
    """The endpoint's name leads to an address that is not public."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{FORBIDDEN}: {address} is not a public address")


class GuardedResolver(AbstractResolver):
    """Refuses a name if any of its addresses is not public."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of the name."""
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            if not is_public(one["host"]):
                raise ForbiddenAddress(one["host"])
        return found

    async def close(self) -> None:
        """Release the resolver's resources."""
        await self._resolver.close()


def guarded_socket(address: AddrInfoType) -> socket.socket:
    """Make the socket of a connection; the last place at which an address can be refused."""
    family, kind, protocol, _, target = address
    if not is_public(str(target[0])):
        raise ForbiddenAddress(str(target[0]))
    return socket.socket(family=family, type=kind, proto=protocol)


def open_session(
    *, timeout_s: float, is_private_allowed: bool, resolver: AbstractResolver | None = None
) -> ClientSession:
    """Return the client: no redirects are followed by its users, no cookies, no proxies."""
    found = resolver or ThreadedResolver()
    guards: dict[str, Any] = (
        {"resolver": found}
        if is_private_allowed
        else {"resolver": GuardedResolver(found), "socket_factory": guarded_socket}
    )
    connector = TCPConnector(limit=0, use_dns_cache=False, keepalive_timeout=15, **guards)
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=timeout_s),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "Tessera-Webhooks/1.0"},
    )
