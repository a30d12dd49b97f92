"""Which model a client means, and what Ollama says where there is none."""

from __future__ import annotations

import asyncio

from smidgen.api.service import DEFAULT_NAMES, Service
from smidgen.errors import InvalidRequest, ModelNotPulled, UnknownModel
from smidgen.models.library import ModelFile


def spellings(name: str) -> tuple[str, ...]:
    """Ollama parts a model's size from its name by a colon, the catalogue by a hyphen."""
    plain = name.removesuffix(":latest")
    return tuple(dict.fromkeys((name, plain.replace(":", "-")))) if ":" in plain else (name,)


def named(service: Service, name: str) -> str:
    """The spec to use. Reads the disk. Raises UnknownModel, ModelNotPulled."""
    problem: UnknownModel | ModelNotPulled | None = None
    for spelling in spellings(name):
        try:
            return service.model(spelling)
        except (UnknownModel, ModelNotPulled) as error:
            problem = error if problem is None or isinstance(error, ModelNotPulled) else problem
    assert problem is not None
    message = f"model {name!r} not found."
    if isinstance(problem, ModelNotPulled):
        raise ModelNotPulled(message, hint="It can be fetched with /api/pull.", **problem.details) from None
    raise UnknownModel(message, hint=problem.hint, **problem.details) from None


async def file_of(service: Service, name: str) -> ModelFile:
    """The file of a model that a client must name. Raises InvalidRequest, UnknownModel, ModelNotPulled."""
    if name in DEFAULT_NAMES[:1]:
        raise InvalidRequest("model is required.", hint="Name one.", param="model")
    return await asyncio.to_thread(lambda: service.runtime.resolve(named(service, name)))
