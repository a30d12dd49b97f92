"""What models are here and in memory, what each is, and other names for them."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from smidgen.api.delivery import encode
from smidgen.api.documented import documented
from smidgen.api.ollama import answers
from smidgen.api.ollama import headers as reading
from smidgen.api.ollama.headers import Described, Headers
from smidgen.api.ollama.loading import unloaded
from smidgen.api.ollama.names import file_of, named
from smidgen.api.ollama.requests import CopyRequest, DeleteRequest, ShowRequest
from smidgen.api.service import Service
from smidgen.errors import InvalidRequest, SmidgenError
from smidgen.models.library import Library, ModelFile
from smidgen.models.store import now
from smidgen.runtime.held import HeldModel
from smidgen.runtime.loading import library_of

API_VERSION = "0.13.0"
"""Of the Ollama whose API this is: clients look whether it is new enough for them."""

NEVER = "2300-01-01T00:00:00Z"
"""When a model is closed that stays as long as there is room."""


def routes(service: Service, headers: Headers) -> APIRouter:
    router = APIRouter()

    @router.get("/api/version", **documented("Versions", answers.VERSION))
    @router.head("/api/version", include_in_schema=False)
    async def version() -> Response:
        from smidgen import __version__

        return _json({"version": API_VERSION, "smidgen": __version__})

    @router.get("/api/tags", **documented("Models on this computer", answers.TAGS))
    @router.head("/api/tags", include_in_schema=False)
    async def tags() -> Response:
        files = await asyncio.to_thread(_files, service)
        return _json({"models": [_listed(file, at, await headers.of(file)) for file, at in files]})

    @router.post("/api/show", **documented("What a model is", answers.SHOWN, refused=(404,)))
    async def show(body: ShowRequest) -> Response:
        file = await file_of(service, body.asked)
        told = await headers.of(file)
        if body.verbose:
            told = await asyncio.to_thread(reading.read, file.path, verbose=True)
        return _json(shown(file, await asyncio.to_thread(_changed, file), told))

    @router.get("/api/ps", **documented("Models in memory", answers.RUNNING))
    async def running() -> Response:
        held = [model for model in service.runtime.held() if not model.loading]
        told = [running_model(model, await headers.of(_file(model))) for model in held]
        return _json({"models": told})

    @router.delete("/api/delete", **documented("Delete a model", refused=(404,)))
    async def delete(body: DeleteRequest) -> Response:
        file = await file_of(service, body.asked)
        await unloaded(service, file.name)
        await asyncio.to_thread(library_of(service.runtime.config).remove, file.name)
        return Response(status_code=200)

    @router.post("/api/copy", **documented("Give a model another name", refused=(404, 507)))
    async def copy(body: CopyRequest) -> Response:
        model = await asyncio.to_thread(named, service, body.source)
        name = service.runtime.name_of(model)
        await asyncio.to_thread(copied, library_of(service.runtime.config), name, body.destination)
        return Response(status_code=200)

    del version, tags, show, running, delete, copy
    return router


def _json(told: Any) -> Response:
    return Response(encode(told), media_type="application/json")


def _files(service: Service) -> list[tuple[ModelFile, str]]:
    """With the time when each came: the pulled ones, and the one that the server was started with. Reads the disk."""
    files = list(service.installed())
    try:
        own = service.runtime.resolve(service.runtime.model_name)
    except SmidgenError:  # not pulled yet: a request for it says so
        own = None
    if own is not None and own.name not in {file.name for file in files}:
        files.insert(0, own)
    return [(file, _changed(file)) for file in files]


def _changed(file: ModelFile) -> str:
    """When its file was last written."""
    try:
        seconds = Path(file.path).stat().st_mtime
    except OSError:
        seconds = 0.0
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _listed(file: ModelFile, changed: str, told: Described) -> dict[str, Any]:
    return {
        "name": file.name,
        "model": file.name,
        "modified_at": changed,
        "size": file.bytes,
        "digest": file.sha256,
        "details": told.details,
    }


def shown(file: ModelFile, changed: str, told: Described) -> dict[str, Any]:
    parameters = "".join(f"PARAMETER {line}\n" for line in told.parameters.splitlines())
    return {
        "license": file.license,
        "modelfile": f"FROM {file.name}\n{parameters}",
        "parameters": told.parameters,
        "template": told.template,
        "details": told.details,
        "model_info": told.info,
        "capabilities": told.capabilities,
        "modified_at": changed,
    }


def _file(model: HeldModel) -> ModelFile:
    return ModelFile(
        name=model.name, path=model.path, sha256=model.sha256, bytes=model.file_bytes, source="", license=""
    )


def running_model(model: HeldModel, told: Described) -> dict[str, Any]:
    """What it takes of a GPU's memory isn't known here, so that it is told as the computer's."""
    closes, expires = model.closes_in_s, NEVER
    if closes is not None and math.isfinite(closes):
        expires = (datetime.now(UTC) + timedelta(seconds=closes)).isoformat().replace("+00:00", "Z")
    return {
        "name": model.name,
        "model": model.name,
        "size": model.bytes,
        "digest": model.sha256,
        "details": told.details,
        "expires_at": expires,
        "size_vram": 0,
        "context_length": model.context,
    }


def copied(library: Library, source: str, destination: str) -> None:
    """Another name for a pulled model. Blocks. Raises InvalidRequest for a name that can't be had, UnknownModel."""
    name = destination.strip().removesuffix(":latest")
    record = library.store.record(source)
    if record is None:
        message = f"{source} is used where it lies; only pulled models can have other names."
        raise InvalidRequest(message, hint="Pull it first.", param="source")
    taken = library.store.record(name)
    if library.catalog.find(name) is not None or (taken is not None and taken.sha256 != record.sha256):
        raise InvalidRequest(f"{name} is another model's name.", hint="Choose another.", param="destination")
    if slugged(name) != name:
        message = f"{name!r} can't be a model's name."
        raise InvalidRequest(message, hint="Use a-z, 0-9, '.', '_' and '-' only.", param="destination")
    if taken is None:
        # Its own spec: when the first name is deleted, nothing must be found under it any more.
        library.store.add_record(msgspec.structs.replace(record, name=name, spec=name, pulled_at=now()))


def slugged(name: str) -> str:
    from smidgen.models.spec import slug

    return slug(name)
