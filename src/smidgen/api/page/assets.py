"""The page's files in memory. All of them share one fingerprint, so that a browser never mixes two versions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files

from starlette.responses import Response

TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}

FOREVER = "public, max-age=31536000, immutable"
EACH_TIME = "no-cache"

_IMPORTED = re.compile(rb"""(\b(?:from|import)\s*["']\./[\w-]+\.js)(["'])""")
_LINKED = re.compile(rb"""((?:src|href)="/page/[\w-]+\.\w+)(")""")


class Assets:
    """Read when first asked for. `fingerprint`: of all files, the `v` of their addresses."""

    def __contains__(self, name: object) -> bool:
        return name in self._bodies

    @cached_property
    def _sources(self) -> Mapping[str, bytes]:
        folder = files("smidgen.api.page") / "static"
        found = (file for file in folder.iterdir() if file.is_file())
        return {file.name: file.read_bytes() for file in found if _ending(file.name) in TYPES}

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, body in sorted(self._sources.items()):
            digest.update(b"%b\0%d\0%b" % (name.encode(), len(body), body))
        return digest.hexdigest()[:16]

    @cached_property
    def _bodies(self) -> Mapping[str, bytes]:
        return {name: self._versioned(name, body) for name, body in self._sources.items()}

    def _versioned(self, name: str, body: bytes) -> bytes:
        pattern = {"js": _IMPORTED, "html": _LINKED}.get(_ending(name))
        return pattern.sub(rb"\1?v=%b\2" % self.fingerprint.encode(), body) if pattern else body

    def response(self, name: str, version: str = "", known: str = "") -> Response:
        """version: the `v` that was asked for; only the present one is kept by browsers. known: the tag of what the
        client has. Raises KeyError for a name that isn't there."""
        tag = f'"{self.fingerprint}"'
        headers = {**HEADERS, "etag": tag, "cache-control": FOREVER if version == self.fingerprint else EACH_TIME}
        if tag in known:
            return Response(status_code=304, headers=headers)
        return Response(self._bodies[name], headers=headers, media_type=TYPES[_ending(name)])


def _ending(name: str) -> str:
    return name.rpartition(".")[2]
