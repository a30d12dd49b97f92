"""The download loop that hf and https share: byte ranges, redirects, retries, and refusing what is not a model.

A file whose SHA-256 is known is resumed by length alone, since the hash decides at the end. Without a hash it is
resumed only under If-Range with the server's own validator, and only from what was synced to disk.
"""

from __future__ import annotations

import email.utils
import ipaddress
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from smidgen.errors import ChecksumMismatch, DownloadError, InvalidModelFile, InvalidRequest
from smidgen.models.disk import require_space
from smidgen.models.sources import GGUF_MAGIC, Fetched, Job
from smidgen.models.sources.partial import Partial

if TYPE_CHECKING:
    import httpx2

PROGRESS_BYTES = 1024 * 1024
MAX_REDIRECTS = 10
MAX_RETRY_AFTER_S = 60.0
_RETRYABLE_STATUS = {408, 425, 429, 500, 502, 503, 504}


class Interrupted(Exception):
    """This attempt failed in a way that another may not. `wait_s` is what the server asked for, or None."""

    def __init__(self, reason: str, wait_s: float | None = None, *, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.reached = reached


def check_url(url: str) -> None:
    """https, or plain http to this computer. Raises InvalidRequest."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"Not an address: {error}.") from error
    if any(character <= " " or character == "\x7f" for character in url):
        raise InvalidRequest("An address can't hold spaces or control characters.", hint="Write them as %20 and so on.")
    if host and (scheme == "https" or (scheme == "http" and _is_loopback(host))):
        return
    raise InvalidRequest(
        f"Refused address {redacted(url)}: models are fetched over https, or http from this computer only.",
        hint="Use the https:// address.",
    )


def redacted(url: str) -> str:
    """For messages: without the query and the user part, where signatures and passwords are."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def client(job: Job, headers: Mapping[str, str] | None = None) -> httpx2.Client:
    import httpx2

    timeout = httpx2.Timeout(job.limits.read_timeout, connect=job.limits.connect_timeout)
    own = {"Accept-Encoding": "identity", "User-Agent": "smidgen", **(headers or {})}
    return httpx2.Client(timeout=timeout, headers=own, follow_redirects=False)


@contextmanager
def transport_errors() -> Generator[None, None, None]:
    """Turns the client's exceptions into Interrupted. `reached` is False when no server answered at all."""
    import httpx2

    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
        raise Interrupted(f"can't connect ({error})", reached=False) from error
    except httpx2.TimeoutException as error:
        raise Interrupted("the server stopped sending") from error
    except (httpx2.TransportError, httpx2.StreamError) as error:
        raise Interrupted(f"the connection broke ({error})") from error


@contextmanager
def opened(session: httpx2.Client, url: str, headers: Mapping[str, str]) -> Generator[httpx2.Response, None, None]:
    """The response to a GET, redirects followed. Authorization stays with the origin it was meant for."""
    secret = {name: value for name, value in headers.items() if name.lower() == "authorization"}
    plain = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    origin = urlsplit(url)[:2]
    for _ in range(MAX_REDIRECTS + 1):
        own = {**plain, **secret} if urlsplit(url)[:2] == origin else plain
        response = session.send(_request(session, url, own), stream=True)
        try:
            location = response.headers.get("location")
            if response.status_code not in {301, 302, 303, 307, 308} or not location:
                yield response
                return
        finally:
            response.close()
        try:
            target = urljoin(url, location)
            check_url(target)
        except (InvalidRequest, ValueError) as error:
            raise DownloadError(f"{redacted(url)} redirects to a refused address. {error}", retryable=False) from error
        url = target
    raise DownloadError(f"More than {MAX_REDIRECTS} redirects from {redacted(url)}.", retryable=False)


def _request(session: httpx2.Client, url: str, headers: Mapping[str, str]) -> httpx2.Request:
    import httpx2

    try:
        return session.build_request("GET", url, headers=headers)
    except httpx2.InvalidURL as error:
        raise DownloadError(f"Not an address: {error}.", retryable=False) from error


def download(
    url: str,
    job: Job,
    *,
    key: str,
    source: str,
    origin: str,
    headers: Mapping[str, str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Fetches `url` into the job's folder, going on from what an earlier call with the same `key` left there.

    Raises DownloadError, ChecksumMismatch (after one clean retry), InvalidModelFile (the server sent something else),
    DiskFull, StoreUnwritable, InvalidRequest. All but a mismatch and a wrong length keep the bytes.
    """
    check_url(url)
    for last in (False, True):
        with Partial(job, source) as partial, client(job) as session:
            partial.load(key)
            _fill(partial, session, url, job, dict(headers or {}), sleep)
            fetched = partial.finish(origin)
            if job.sha256 in {"", fetched.sha256}:
                return fetched
            partial.discard()
            if last:
                raise ChecksumMismatch(
                    f"What {source} sends is not the wanted file: SHA-256 {fetched.sha256}, wanted {job.sha256}.",
                    hint="Twice the same, so the file there was changed or something between alters it.",
                    got=fetched.sha256,
                    wanted=job.sha256,
                )
    raise AssertionError("unreachable")


def _fill(
    partial: Partial,
    session: httpx2.Client,
    url: str,
    job: Job,
    headers: dict[str, str],
    sleep: Callable[[float], None],
) -> None:
    """Repeats `_transfer` until the file is whole."""
    failures, high, met = 0, 0, False
    while True:
        try:
            with transport_errors():
                _transfer(partial, session, url, job, headers)
            return
        except Interrupted as trouble:
            if partial.size >= high + PROGRESS_BYTES:
                failures, high = 0, partial.size
            failures, met = failures + 1, met or trouble.reached
            if failures >= job.limits.attempts or not met:
                kept = f" {partial.size:,} bytes are kept for the next try." if partial.size else ""
                raise DownloadError(
                    f"Fetching {redacted(url)} failed: {trouble}.{kept}",
                    hint="Check the network and pull again." if trouble.reached else "This computer can't reach it.",
                    fetched_bytes=partial.size,
                ) from trouble
            wait = min(job.limits.backoff * 2 ** (failures - 1), job.limits.max_backoff)
            sleep(min(trouble.wait_s, MAX_RETRY_AFTER_S) if trouble.wait_s is not None else wait)


def _transfer(partial: Partial, session: httpx2.Client, url: str, job: Job, headers: dict[str, str]) -> None:
    """One request, from where the file ends to the end. Raises Interrupted if it ended early."""
    offset = _resume_point(partial, job)
    if offset and offset == (job.bytes or partial.state.total):
        partial.open(offset)
        return
    ask = dict(headers)
    if offset:
        ask["Range"] = f"bytes={offset}-"
        if not job.sha256:
            ask["If-Range"] = partial.state.validator
    with opened(session, url, ask) as response:
        _refuse_failure(response, url, partial, offset)
        total = _refuse_other_file(response, url, job)
        if response.status_code == 206 and offset:
            start, total = _content_range(response)
            if start != offset or partial.state.total not in {None, total}:
                partial.discard()
                raise Interrupted("the file changed on the server")
        else:
            offset = 0
        require_space(partial.path, (total or 0) - offset, job.limits.reserve_bytes)
        chunks = (
            response.iter_bytes()
        )  # as they arrive: a chunk size would lose what it had gathered when a break comes
        head = b"" if offset else _first_bytes(chunks, url, job.magic)
        partial.open(offset)
        partial.save(validator=_validator(response), total=total)
        _append(partial, job, head, chunks, total)
    if partial.size < (total or 0):
        raise Interrupted(f"the connection closed after {partial.size:,} of {total or 0:,} bytes")
    if job.bytes is not None and partial.size != job.bytes:
        size = partial.size
        partial.discard()
        raise DownloadError(f"{redacted(url)} has {size:,} bytes, wanted {job.bytes:,}.", retryable=False)


def _append(partial: Partial, job: Job, head: bytes, chunks: Iterator[bytes], total: int | None) -> None:
    limit = job.bytes if job.bytes is not None else total
    try:
        for chunk in _chain(head, chunks):
            if limit is not None and partial.size + len(chunk) > limit:
                partial.discard()
                raise DownloadError(f"The server sent more than the {limit:,} bytes of the file.", retryable=False)
            if limit is None:
                require_space(partial.path, len(chunk), job.limits.reserve_bytes)
            partial.write(chunk)
            partial.report("downloading", partial.size, limit)
    finally:
        if partial.is_open:
            partial.sync()


def _chain(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _resume_point(partial: Partial, job: Job) -> int:
    if not partial.path.is_file():
        return 0
    size = partial.path.stat().st_size
    if job.sha256:
        too_long = job.bytes is not None and size > job.bytes
        return 0 if too_long else size
    return min(size, partial.state.synced) if partial.state.validator else 0


def _refuse_failure(response: httpx2.Response, url: str, partial: Partial, offset: int) -> None:
    status = response.status_code
    if status in {200, 206}:
        return
    if status == 416 and offset:
        partial.discard()
        raise Interrupted("the file on the server is shorter than what was fetched before")
    if status in _RETRYABLE_STATUS:
        raise Interrupted(f"the server answered {status}", _retry_after(response))
    hints = {
        401: "The file needs a login.",
        403: "The file needs permission, or the link has expired.",
        404: "Check the address.",
        410: "The file was removed.",
    }
    raise DownloadError(
        f"{redacted(url)} answered {status} {response.reason_phrase}.".replace(" .", "."),
        hint=hints.get(status, ""),
        retryable=False,
        status=status,
    )


def _refuse_other_file(response: httpx2.Response, url: str, job: Job) -> int | None:
    """Total bytes of the remote file by the headers, None if they don't say."""
    if response.headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml")):
        raise _web_page(url)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise DownloadError(f"{redacted(url)} is sent compressed although that was declined.", retryable=False)
    if response.status_code == 206:
        total = _content_range(response)[1]
    else:
        length = response.headers.get("content-length", "")
        total = int(length) if length.isdecimal() else None
    if job.bytes is not None and total is not None and total != job.bytes:
        raise DownloadError(
            f"{redacted(url)} has {total:,} bytes, wanted {job.bytes:,}: it is another file.", retryable=False
        )
    return total


def _content_range(response: httpx2.Response) -> tuple[int, int | None]:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
    if found is None:
        raise DownloadError("The server sent a part of the file without saying which.", retryable=False)
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _first_bytes(chunks: Iterator[bytes], url: str, magic: bytes) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(magic):
            break
    if head.startswith(magic):
        return head
    if head.lstrip()[:1] == b"<":
        raise _web_page(url)
    if len(head) < len(magic):
        raise Interrupted("the server sent next to nothing")
    if magic != GGUF_MAGIC:
        raise InvalidModelFile(f"{redacted(url)} is not a zip archive.", reason="magic", offset=0)
    raise InvalidModelFile(
        f"{redacted(url)} is not a GGUF file: it starts with {head[:4]!r}.",
        hint="smidgen runs GGUF files; look for one whose name ends in .gguf.",
        reason="magic",
        offset=0,
    )


def _web_page(url: str) -> InvalidModelFile:
    return InvalidModelFile(
        f"{redacted(url)} is a web page, not a model.",
        hint="Use the link of the file itself (on the hub: /resolve/ in place of /blob/). A network that asks to log in"
        " first answers so too.",
        reason="web page",
        offset=0,
    )


def _validator(response: httpx2.Response) -> str:
    """What If-Range may carry: a strong ETag, else Last-Modified (RFC 9110, 13.1.5), else ""."""
    etag = response.headers.get("etag", "")
    return etag if etag.startswith('"') else response.headers.get("last-modified", "")


def _retry_after(response: httpx2.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time()) if value else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
