"""A file of a repository on the Hugging Face hub.

The `huggingface_hub` client gives the address, the user's login, the offline switch, its own cache and the meaning of
the hub's errors. The bytes go through our own loop: since version 2 the client throws a partial file away when its
process ends, and its metadata call also makes a request to learn which program is calling. Only two requests are sent
here: what the file is (HEAD), and the file.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from smidgen.errors import DownloadError, InvalidModelFile, InvalidRequest
from smidgen.models.sources import Fetched, FileSource, HubSource, Job
from smidgen.models.sources import file as local_file
from smidgen.models.sources.http import MAX_REDIRECTS, Interrupted, check_url, client, download, transport_errors

if TYPE_CHECKING:
    import httpx2

_SPEC = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+\.gguf)(?:@(?P<revision>[^@\s]+))?", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def parse(spec: str) -> HubSource:
    """Raises InvalidRequest for anything but hf:owner/repo/file.gguf[@revision]."""
    found = _SPEC.fullmatch(spec)
    if found is None or ".." in found["file"].split("/"):
        raise InvalidRequest(f"{spec} is not of the form hf:owner/repo/file.gguf[@revision].")
    return HubSource(repo=found["repo"], file=found["file"], revision=found["revision"] or "main")


def fetch(source: HubSource, job: Job) -> Fetched:
    """Raises what `http.download` raises; DownloadError with `retryable` false for a missing repository, revision or
    file (`near` in its details) and for one that needs a login."""
    from huggingface_hub import constants
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(source.repo)
    except HFValidationError as error:
        raise InvalidRequest(f"{source.repo} can't be a repository of the hub: {error}") from error
    cached = _cached(source)
    if cached is not None:
        fetched = local_file.fetch(FileSource(path=str(cached)), job)
        return Fetched(path=fetched.path, bytes=fetched.bytes, sha256=fetched.sha256, origin=str(source))
    if constants.HF_HUB_OFFLINE:
        raise DownloadError(
            "The hub's client is switched to offline mode (HF_HUB_OFFLINE).",
            hint="Unset it to fetch models.",
            retryable=False,
        )
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    check_url(endpoint)
    headers = _login()
    with client(job, headers) as session:
        about = _about(session, endpoint, source)
    if job.bytes is not None and about.bytes not in {None, job.bytes}:
        raise DownloadError(
            f"{source} has {about.bytes:,} bytes, wanted {job.bytes:,}: the file there was changed.", retryable=False
        )
    return download(
        _url(endpoint, source, about.commit),
        _filled(job, about),
        key=f"hf:{source.repo}/{source.file}@{about.sha256 or about.commit}",
        source="hf",
        origin=f"hf:{source.repo}/{source.file}@{about.commit}",
        headers=headers,
    )


class _About(msgspec.Struct, frozen=True, kw_only=True):
    commit: str
    sha256: str
    bytes: int | None


class _Sibling(msgspec.Struct, frozen=True, kw_only=True):
    rfilename: str


class _Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the hub's answer about a repository that is read here."""

    siblings: tuple[_Sibling, ...] = ()


def _filled(job: Job, about: _About) -> Job:
    return Job(
        folder=job.folder,
        progress=job.progress,
        bytes=job.bytes if job.bytes is not None else about.bytes,
        sha256=job.sha256 or about.sha256,
        limits=job.limits,
    )


def _login() -> dict[str, str]:
    from huggingface_hub import constants, get_token

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _cached(source: HubSource) -> Path | None:
    """The file in the hub client's own cache, only if an exact commit is wanted."""
    from huggingface_hub import try_to_load_from_cache

    if not _COMMIT.fullmatch(source.revision):
        return None
    found = try_to_load_from_cache(source.repo, source.file, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def _url(endpoint: str, source: HubSource, revision: str) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(source.repo, source.file, revision=revision, endpoint=endpoint)


def _about(session: httpx2.Client, endpoint: str, source: HubSource) -> _About:
    """Commit, hash and size, from the headers of the hub's own answer (the storage behind it doesn't know them)."""
    url = _url(endpoint, source, source.revision)
    try:
        with transport_errors():
            for _ in range(MAX_REDIRECTS):
                response = session.head(url)
                target = urljoin(url, response.headers.get("location", ""))
                if not response.is_redirect or urlsplit(target)[:2] != urlsplit(url)[:2]:
                    break
                url = target
            else:
                raise DownloadError(f"{endpoint} redirects without end.", retryable=False)
    except Interrupted as trouble:
        raise DownloadError(
            f"Can't reach the hub at {endpoint}: {trouble}.",
            hint="Without access to it use another source, or set HF_ENDPOINT to a mirror.",
        ) from trouble
    _refuse_failure(response, session, endpoint, source)
    headers = response.headers
    commit = headers.get("x-repo-commit", "")
    if not commit:
        raise InvalidModelFile(
            f"{endpoint} does not answer as a hub would.",
            hint="A network that asks to log in first, or a wrong HF_ENDPOINT, looks like this.",
            reason="no commit",
            offset=0,
        )
    etag = headers.get("x-linked-etag", headers.get("etag", "")).removeprefix("W/").strip('"')
    length = headers.get("x-linked-size", "" if response.is_redirect else headers.get("content-length", ""))
    return _About(
        commit=commit,
        sha256=etag if _SHA256.fullmatch(etag) else "",
        bytes=int(length) if length.isdecimal() else None,
    )


def _refuse_failure(response: httpx2.Response, session: httpx2.Client, endpoint: str, source: HubSource) -> None:
    from huggingface_hub import errors
    from huggingface_hub.utils import hf_raise_for_status

    try:
        hf_raise_for_status(response)
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{source.repo} is gated: its owner asks for a login and consent.",
            hint=f"Accept its terms at {endpoint}/{source.repo}, then log in with `hf auth login` or set HF_TOKEN.",
            retryable=False,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"There is no repository {source.repo} on the hub, or it is private.",
            hint="Check the spelling; for a private one log in with `hf auth login` or set HF_TOKEN.",
            retryable=False,
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(
            f"{source.repo} has no revision {source.revision}.", hint="Leave out @revision for main.", retryable=False
        ) from error
    except errors.EntryNotFoundError as error:
        near = _near_files(session, endpoint, source)
        hint = f"Did you mean {' or '.join(near)}?" if near else "It has no GGUF file of a similar name."
        raise DownloadError(
            f"{source.repo} has no file {source.file}.", hint=hint, retryable=False, near=near
        ) from error
    except errors.HfHubHTTPError as error:
        status = response.status_code
        raise DownloadError(
            f"The hub answered {status} for {source}.",
            hint="Its fault; try again later." if status >= 500 else "",
            retryable=status >= 500 or status == 429,
            status=status,
        ) from error


def _near_files(session: httpx2.Client, endpoint: str, source: HubSource) -> list[str]:
    """Names of GGUF files in the repository close to the wanted one; [] too if the list can't be had."""
    url = f"{endpoint}/api/models/{source.repo}/revision/{quote(source.revision, safe='')}"
    try:
        with transport_errors():
            answer = msgspec.json.decode(session.get(url).content, type=_Repository)
    except (Interrupted, msgspec.DecodeError):
        return []
    models = [item.rfilename for item in answer.siblings if item.rfilename.lower().endswith(".gguf")]
    lowered = {name.lower(): name for name in models}
    close = difflib.get_close_matches(source.file.lower(), list(lowered), n=3, cutoff=0.4)
    return [lowered[name] for name in close]
