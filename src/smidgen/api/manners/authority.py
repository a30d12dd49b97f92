"""Hosts and origins as browsers write them, and which hosts are this computer. Pure."""

from __future__ import annotations

import ipaddress
import re

import msgspec

DEFAULT_PORTS = {"http": 80, "https": 443}

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://(.{1,300})")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Authority(msgspec.Struct, frozen=True):
    """A host and its port, 0 where none is said. name: in lower case; of an IPv6 address without brackets."""

    name: str
    port: int = 0


def parsed(text: str) -> Authority | None:
    """Of a Host header; None if it isn't one. User names, paths and spaces are no part of it."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    bracketed, name, port = match.groups()
    if int(port or 0) > 65535:
        return None
    if bracketed is not None:
        address = address_of(bracketed)
        return None if address is None else Authority(str(address), int(port or 0))
    plain = name.lower().removesuffix(".")
    return Authority(plain, int(port or 0)) if plain else None


def origin(text: str) -> tuple[str, Authority] | None:
    """Scheme and authority, the port always told where the scheme has a usual one. None for "null" and the like."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host = match.group(1).lower(), parsed(match.group(2))
    return None if host is None else (scheme, with_port(host, scheme))


def with_port(host: Authority, scheme: str) -> Authority:
    return host if host.port else Authority(host.name, DEFAULT_PORTS.get(scheme, 0))


def address_of(name: str) -> Address | None:
    """The IP address that a name literally is. An IPv4 address inside an IPv6 one counts as itself."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(name: str) -> bool:
    """This computer only: localhost, names under it, 127.0.0.0/8 and ::1. No name is looked up."""
    plain = name.lower().strip("[]").removesuffix(".")
    if plain == "localhost" or plain.endswith(".localhost"):
        return True
    address = address_of(plain)
    return address is not None and address.is_loopback
