"""One GET to the public internet. The name is looked up once, every address that it has is checked, the connection goes
to a checked address and nowhere else, and each redirect goes through all of it again.

The request is addressed to the IP address itself, so that no second look-up can lead elsewhere; the Host header, SNI
and the check of the certificate have the name. Nothing is kept between requests: no cookies, no connections, no login,
and no proxy from the environment.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.web import ForbiddenAddress, Limits, Page, Unreachable, body
from smidgen.tools.web.addresses import Address, BadURL, host_name, is_public, join, parse

if TYPE_CHECKING:
    import httpx2

Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) -> its IP addresses, in the order to be tried. Blocks; raises OSError when there are none."""

MAX_TRIED = 3
CONNECT_S = 6.0
_REDIRECTS = {301, 302, 303, 307, 308}
_ACCEPT = "text/html,application/xhtml+xml,text/plain,application/json,application/xml;q=0.9,text/*;q=0.8"


def look_up(host: str, port: int) -> Sequence[str]:
    """By the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Client:
    """allow_hosts: names that the user's own configuration gives, exactly; what they lead to isn't checked. They count
    for the URL that was asked for and for redirects within that host, not for redirects to it from elsewhere, so that
    no page can lead there. Raises InvalidRequest for one that can't be a host.
    resolve: in place of the system's look-up; what it gives is checked all the same.
    connect_to: (address, port) that was checked -> (address, port) to connect to, for tests with a stand-in.
    tls: in place of the system's certificates.
    may_ask: is a host one that may be asked at all? Redirects are asked about too.
    """

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] = frozenset(),
        limits: Limits | None = None,
        resolve: Resolve = look_up,
        connect_to: Mapping[tuple[str, int], tuple[str, int]] | None = None,
        tls: ssl.SSLContext | None = None,
        may_ask: Callable[[str], bool] = lambda host: True,
    ) -> None:
        try:
            self._allowed = frozenset(host_name(host) for host in allow_hosts)
        except BadURL as error:
            raise InvalidRequest(f"A host that is to be allowed can't be one: {error.message}") from error
        self.limits = limits or Limits()
        self._resolve = resolve
        self._connect_to = dict(connect_to or {})
        self._tls = tls
        self._may_ask = may_ask

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Page:
        """The answer, whatever its status. headers: sent to the origin of `url` only, not to where it redirects.

        Raises BadURL; ForbiddenAddress; Unreachable; ToolFailed for what isn't text and for redirects that are refused.
        """
        deadline = asyncio.get_running_loop().time() + self.limits.seconds
        address = parse(url)
        trusted = address.host in self._allowed
        sent = dict(headers or {})
        passed: list[str] = []
        while True:
            ips = await self._checked(address, trusted, deadline)
            answer = await self._ask(address, ips, sent, deadline)
            if isinstance(answer, Page):
                return answer if not passed else _after(answer, passed)
            if len(passed) >= self.limits.redirects:
                raise ToolFailed(f"{parse(url).host} redirects more than {self.limits.redirects} times.")
            onward = _redirected(address, answer)
            if onward.origin != address.origin:
                sent = {}
            trusted = trusted and onward.host == address.host
            passed.append(address.url)
            address = onward

    async def _checked(self, address: Address, trusted: bool, deadline: float) -> Sequence[str]:
        """The IP addresses of the host, all of them public."""
        host = address.host
        if not self._may_ask(host):
            raise ForbiddenAddress(f"A rule forbids to ask {host}.", hint="The user's rules say so.", host=host)
        if address.ip is not None:
            ips: Sequence[str] = (host,)
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    ips = await in_daemon_thread(functools.partial(self._resolve, host, address.port))
            except TimeoutError:
                raise self._too_slow(host) from None
            except (OSError, UnicodeError):
                ips = ()
        if not ips:
            raise Unreachable(
                f"There is no host called {host}, or it can't be looked up now.",
                hint="Check the spelling, and whether this computer is online.",
                host=host,
            )
        if not trusted and not all(is_public(ip) for ip in ips):
            raise ForbiddenAddress(
                f"{host} leads to an address of this computer or its network.",
                hint="Only the public internet can be fetched.",
                host=host,
            )
        return ips

    async def _ask(
        self, address: Address, ips: Sequence[str], headers: Mapping[str, str], deadline: float
    ) -> Page | str:
        """The page, or where it redirects to."""
        import httpx2

        tls = self._tls = self._tls or httpx2.create_ssl_context(trust_env=False)
        session = httpx2.AsyncClient(
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
        )
        async with session:
            try:
                response = await self._open(session, address, ips, headers, deadline)
                try:
                    return await self._answer(response, address, deadline)
                finally:
                    await response.aclose()
            except TimeoutError:
                raise self._too_slow(address.host) from None
            except (httpx2.TransportError, httpx2.StreamError) as error:
                raise _broken(error, address) from error

    async def _open(
        self,
        session: httpx2.AsyncClient,
        address: Address,
        ips: Sequence[str],
        headers: Mapping[str, str],
        deadline: float,
    ) -> httpx2.Response:
        """The answer up to its headers, from the first of `ips` that can be connected to."""
        import httpx2

        own = {
            "Host": address.authority,
            "User-Agent": _user_agent(),
            "Accept": _ACCEPT,
            "Accept-Encoding": body.ENCODING,
            "Connection": "close",
        }
        refused: httpx2.TransportError | None = None
        for ip in ips[:MAX_TRIED]:
            host, port = self._connect_to.get((ip, address.port), (ip, address.port))
            request = session.build_request(
                "GET",
                httpx2.URL(scheme=address.scheme, host=host, port=port, raw_path=address.target.encode("ascii")),
                headers={**own, **headers},
                extensions={"sni_hostname": address.host},
            )
            try:
                async with asyncio.timeout_at(deadline):
                    return await session.send(request, stream=True, auth=None)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                refused = refused or error
        assert refused is not None, "there is an address"
        raise refused

    async def _answer(self, response: httpx2.Response, address: Address, deadline: float) -> Page | str:
        host = address.host
        if sum(len(name) + len(value) for name, value in response.headers.raw) > self.limits.header_bytes:
            raise ToolFailed(f"{host} sends headers of more than {self.limits.header_bytes} bytes.")
        location = response.headers.get("location", "")
        if response.status_code in _REDIRECTS and location:
            return location
        kind, charset = body.media_type(response)
        data, cut = b"", False
        if not kind or body.is_text(kind):
            data, cut = await body.read(response, self.limits.bytes, deadline)
            kind = kind or body.sniffed(data, host)
        elif response.is_success:
            raise ToolFailed(
                f"{address.url[:200]} is {kind}, not text.", hint="Only text, HTML, JSON and XML are read."
            )
        return Page(url=address.url, status=response.status_code, kind=kind, charset=charset, data=data, cut=cut)

    def _too_slow(self, host: str) -> Unreachable:
        return Unreachable(f"{host} took more than {self.limits.seconds:g} seconds.", hint="Try later.", host=host)


def _redirected(address: Address, location: str) -> Address:
    try:
        onward = join(address, location)
    except BadURL as error:
        raise ToolFailed(f"{address.host} redirects to what can't be fetched. {error.message}") from None
    if address.scheme == "https" and onward.scheme == "http":
        raise ToolFailed(f"{address.host} redirects from https to http, which anybody on the way could read or change.")
    return onward


def _after(page: Page, passed: Sequence[str]) -> Page:
    import msgspec

    return msgspec.structs.replace(page, redirects=tuple(passed))


def _broken(error: Exception, address: Address) -> ToolFailed:
    import httpx2

    host = address.host
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        if (trouble := _tls_trouble(error)) is not None:
            said = getattr(trouble, "verify_message", "") or trouble.reason or "no agreement"
            return Unreachable(f"{host} can't prove that it is {host}: {said}.", hint="Don't trust it.", host=host)
        return Unreachable(f"{host} can't be reached on port {address.port}.", hint="Try later.", host=host)
    if isinstance(error, httpx2.RemoteProtocolError):
        return ToolFailed(f"{host} doesn't answer in HTTP, or its headers are too long.")
    return Unreachable(f"The connection to {host} broke.", hint="Try again.", host=host)


def _tls_trouble(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


@functools.cache
def _user_agent() -> str:
    from importlib import metadata

    return f"smidgen/{metadata.version('smidgen')}"
