"""URLs and IP addresses: the one parser that everything on the web goes through, and which addresses are public.

Parsers that disagree are how a check is fooled: what one takes for a path, another takes for a host. So only one reads
URLs here, it refuses whatever others read differently, and the connection is made from its parts, not from the URL.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import quote

import msgspec

from smidgen.tools.function import BadArguments

MAX_URL = 8000
MAX_HOST = 253
PORTS = {"http": 80, "https": 443}

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_QUAD = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_SAFE = "/%:@!$&'()*+,;=~[]|^?-._"
_AROUND = " \t\r\n"
_EXAMPLE = 'Write it in full, as in "https://example.com/page".'


class BadURL(BadArguments):
    """Not a URL that can be fetched, with the reason."""

    code = "bad_url"


class Address(msgspec.Struct, frozen=True):
    """A URL that was understood. host: in lower case, ASCII (RFC 5891), no trailing dot; an IPv6 address without its
    brackets. target: path and query, percent-encoded."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and, if it isn't the scheme's own, port: what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def ip(self) -> IPAddress | None:
        """The host, where it is an IP address and not a name."""
        if ":" in self.host:
            return ipaddress.IPv6Address(self.host)
        return ipaddress.IPv4Address(self.host) if _QUAD.fullmatch(self.host) else None


def parse(url: str) -> Address:
    """Raises BadURL, and nothing else."""
    written = _plain(url.strip(_AROUND))
    scheme, rest = _scheme(written)
    if not rest.startswith("//"):
        raise BadURL("Two slashes have to follow the scheme of a URL.", hint=_EXAMPLE)
    rest = rest[2:].partition("#")[0]
    end = next((index for index, character in enumerate(rest) if character in "/?"), len(rest))
    host, port = _authority(rest[:end], scheme)
    return Address(scheme, host, port, _target(rest[end:]))


def join(base: Address, location: str) -> Address:
    """Where a redirect from `base` leads (RFC 3986, 5.2; dots in paths are left to the server). Raises BadURL."""
    written = _plain(location.strip(_AROUND)).partition("#")[0]
    if _SCHEME.match(written):
        return parse(written)
    if written.startswith("//"):
        return parse(f"{base.scheme}:{written}")
    path = base.target.partition("?")[0]
    if not written:
        target = base.target
    elif written.startswith("?"):
        target = path + written
    elif written.startswith("/"):
        target = written
    else:
        target = f"{path.rpartition('/')[0]}/{written}"
    return Address(base.scheme, base.host, base.port, _target(target))


def host_name(written: str) -> str:
    """A host alone, as it would be in an Address. Raises BadURL."""
    host = _plain(written)
    return _host(f"[{host}]" if ":" in host and not host.startswith("[") else host)


def _plain(url: str) -> str:
    if len(url) > MAX_URL:
        raise BadURL(f"A URL has at most {MAX_URL} characters.")
    if not url:
        raise BadURL("The URL is empty.", hint=_EXAMPLE)
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"} for character in url):
        raise BadURL("A URL can't hold spaces or control characters.", hint="Write a space as %20.")
    if "\\" in url:
        raise BadURL("A URL can't hold a backslash.", hint="Slashes lean forward, as in https://example.com/page.")
    return url


def _scheme(url: str) -> tuple[str, str]:
    """(scheme, what follows its colon)"""
    found = _SCHEME.match(url)
    rest = url[found.end() :] if found else ""
    if found is None or (found[1].lower() not in PORTS and rest[:1].isdecimal()):  # a host and its port, perhaps
        raise BadURL("The URL doesn't say http or https.", hint=_EXAMPLE)
    scheme = found[1].lower()
    if scheme not in PORTS:
        raise BadURL(f"Only http and https can be fetched, not {scheme[:20]}.", hint=_EXAMPLE)
    return scheme, rest


def _authority(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise BadURL("A URL can't hold a user name or a password.", hint="Leave out everything up to the @.")
    bracketed = authority.rfind("]")
    colon = authority.find(":", bracketed + 1)
    written, port = (authority, "") if colon < 0 else (authority[:colon], authority[colon + 1 :])
    if colon >= 0 and not (_PORT.fullmatch(port) and int(port) <= 65535):
        raise BadURL("The port of a URL is a number from 1 to 65535.", hint="Leave it out, with its colon.")
    return _host(written), int(port) if port else PORTS[scheme]


def _host(written: str) -> str:
    if written.startswith("["):
        return _ipv6(written)
    if not written:
        raise BadURL("The URL names no host.", hint=_EXAMPLE)
    if "%" in written:
        raise BadURL("The host of a URL can't be percent-encoded.", hint="Write its name plainly.")
    host = _ascii(written).removesuffix(".")
    labels = host.split(".")
    if len(host) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadURL(f"{written[:80]!r} can't be the name of a host.", hint=_EXAMPLE)
    if _NUMBER.fullmatch(labels[-1]):
        # Systems read 127.1, 0x7f.1 and 2130706433 as 127.0.0.1; only the usual form is taken (WHATWG URL, 4.5).
        try:
            if not _QUAD.fullmatch(host):
                raise ValueError
            ipaddress.IPv4Address(host)
        except ValueError:
            raise BadURL(
                f"{written[:80]!r} isn't an IPv4 address in its usual form.", hint="It has four numbers from 0 to 255."
            ) from None
    return host


def _ipv6(written: str) -> str:
    try:
        if not written.endswith("]") or "%" in written:
            raise ValueError
        return str(ipaddress.IPv6Address(written[1:-1]))
    except ValueError:
        raise BadURL(f"{written[:80]!r} isn't an IPv6 address without a zone.", hint=_EXAMPLE) from None


def _ascii(host: str) -> str:
    if len(host) > MAX_HOST + 1:
        raise BadURL(f"The name of a host has at most {MAX_HOST} characters.")
    if host.isascii():
        return host.lower()
    import idna

    try:
        return idna.encode(host.lower()).decode("ascii")
    except ValueError:
        raise BadURL(f"{host[:80]!r} can't be the name of a host.", hint="Write the name in ASCII (xn--…).") from None


def _target(written: str) -> str:
    return quote(written if written.startswith("/") else f"/{written}", safe=_SAFE)


# --- which addresses are public -------------------------------------------------------------------------------------

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network, RFC 6890
        "100.64.0.0/10",  # shared by carriers, RFC 6598; holds the metadata service 100.100.100.200
        "168.63.129.16/32",  # the platform's own services, on virtual machines in Azure
        "192.0.0.0/24",  # protocol assignments, RFC 6890; holds the metadata service 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "64:ff9b:1::/48",  # translation within a network, RFC 8215
        "2001::/23",  # protocol assignments, RFC 6890; Teredo is taken apart below
        "2001:db8::/32",  # documentation, RFC 3849
        "3fff::/20",  # documentation, RFC 9637
    )
)
"""What Python 3.11's flags leave out or read differently from version to version."""

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that is given out for IPv6 so far (RFC 4291, 2.4, and IANA's registry)."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: how networks without IPv4 reach an IPv4 address, which is in the last 32 bits."""


def is_public(ip: str | IPAddress) -> bool:
    """Whether an address belongs to the public internet, by RFC 6890 and its registries. False for what isn't one.

    An IPv6 address that carries an IPv4 address is as public as that: mapped, NAT64, 6to4, and Teredo with two.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public_itself(address)
    if address.scope_id is not None:
        return False
    carried = _carried(address)
    if carried:
        return all(_is_public_itself(inner) for inner in carried)
    return address in _GLOBAL_UNICAST and _is_public_itself(address)


def _carried(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or ()


def _is_public_itself(address: IPAddress) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    )
