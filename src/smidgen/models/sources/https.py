"""A model file at a URL. `#sha256=<hex>` at its end, as in package indexes, makes the hash known beforehand."""

from __future__ import annotations

import re

from smidgen.errors import InvalidRequest
from smidgen.models.sources import Fetched, HttpsSource, Job
from smidgen.models.sources.http import check_url, download, redacted


def parse(spec: str) -> HttpsSource:
    """Raises InvalidRequest for plain http to another computer and for a malformed hash."""
    url, _, fragment = spec.partition("#")
    check_url(url)
    sha256 = ""
    if fragment.startswith("sha256="):
        sha256 = fragment.removeprefix("sha256=").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise InvalidRequest("The part after #sha256= must be 64 hexadecimal digits.")
    return HttpsSource(url=url, sha256=sha256)


def fetch(source: HttpsSource, job: Job) -> Fetched:
    """Raises what `http.download` raises."""
    return download(source.url, job, key=source.url, source="https", origin=redacted(source.url))
