"""From a model's name to a leased engine with its profile and template: library, detection, fit, pool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from smidgen.agent import AgentModel
from smidgen.config import Config
from smidgen.errors import ModelLoadFailed, OutOfMemory
from smidgen.events import Notice
from smidgen.runtime.runtime import Lease
from smidgen.wire import LoadOptions

if TYPE_CHECKING:
    from smidgen.engine import Engine
    from smidgen.engine.local import LocalEngine
    from smidgen.engine.pool import EnginePool
    from smidgen.models.detect import ModelFacts
    from smidgen.models.library import Library, ModelFile
    from smidgen.models.profiles import Profile
    from smidgen.models.template import ChatTemplate

log = logging.getLogger("smidgen.runtime")

SMALLEST_CONTEXT = 1024
"""Below this a conversation with tools has no room."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A model and how it will be opened here. `bytes`: what that takes in memory. `notices`: what of that the user must
    be told."""

    name: str
    options: LoadOptions
    bytes: int
    notices: tuple[Notice, ...] = ()

    def __str__(self) -> str:
        return self.name


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is worked out once per model: its header's facts, its profile and template."""

    file: ModelFile
    facts: ModelFacts
    profile: Profile
    template: ChatTemplate


class Loader:
    """The models of a runtime: each is opened at its first lease and kept until its room is needed."""

    def __init__(self, config: Config, library: Library | None = None) -> None:
        self._config = config
        self._library = library or library_of(config)
        self._known: dict[str, tuple[Known, Plan]] = {}
        self._pool: EnginePool[Plan] | None = None
        self._preparing = asyncio.Lock()

    @asynccontextmanager
    async def lease(self, spec: str) -> AsyncGenerator[Lease, None]:
        """Fetches the model if it isn't here. A model that doesn't fit as planned is tried smaller, and that is told.
        Raises what the library, the fit and the engine raise."""
        async with AsyncExitStack() as stack:
            known, engine, plan = await self._open(spec, stack)
            template_notices = known.template.notices
            model = AgentModel(
                name=known.file.name,
                engine=engine,
                profile=known.profile,
                template=known.template,
                info=cast("LocalEngine", engine).info,
            )
            yield Lease(model=model, notices=(*plan.notices, *template_notices))

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def _open(self, spec: str, stack: AsyncExitStack) -> tuple[Known, Engine, Plan]:
        async with self._preparing:
            if spec not in self._known:
                self._known[spec] = await asyncio.to_thread(self._prepare, spec)
        known, plan = self._known[spec]
        pool = self._its_pool()
        while True:
            try:
                engine = await stack.enter_async_context(pool.lease(plan))
            except (OutOfMemory, ModelLoadFailed) as error:
                smaller = reduced(plan, error.message)
                if smaller is None:
                    raise
                log.warning("%s: %s", plan, smaller.notices[-1].message)
                plan = smaller
            else:
                self._known[spec] = known, plan
                return known, engine, plan

    def _prepare(self, spec: str) -> tuple[Known, Plan]:
        """Blocks: reads the file's header, and fetches the file first if it isn't here."""
        known = know(self._library.ensure(spec))
        return known, planned(known, self._config)

    def _its_pool(self) -> EnginePool[Plan]:
        if self._pool is None:
            from smidgen.engine.pool import EnginePool

            self._pool = EnginePool(self._start, lambda plan: plan.bytes, memory_budget(self._config))
        return self._pool

    async def _start(self, plan: Plan) -> Engine:
        from smidgen.engine.local import LocalEngine

        engine = LocalEngine(
            plan.name,
            plan.options,
            limits=self._config.supervision,
            crash_folder=self._config.home_path() / "crashes",
            on_notice=lambda notice: log.warning("%s: %s", plan, notice.message),
        )
        try:
            await engine.open()
        except BaseException:
            await engine.aclose()
            raise
        return engine


def know(file: ModelFile) -> Known:
    """Facts, profile and template of a file on this computer. Raises InvalidModelFile."""
    from smidgen.models import gguf
    from smidgen.models.detect import detect
    from smidgen.models.profiles import profile_for
    from smidgen.models.template import ChatTemplate

    facts = detect(gguf.read(file.path))
    profile = profile_for(facts)
    template = ChatTemplate(
        facts.template,
        bos=facts.bos.text if facts.bos else "",
        eos=facts.eos.text if facts.eos else "",
        control_texts=facts.control_texts,
        fallback=profile.fallback,
        system=profile.system,
    )
    return Known(file=file, facts=facts, profile=profile, template=template)


def describe(file: ModelFile, config: Config) -> dict[str, Any]:
    """What a model is and how it would be opened here, for people. Raises InvalidModelFile, OutOfMemory."""
    known = know(file)
    facts, plan = known.facts, planned(known, config)
    kind = "embeddings" if facts.is_embedding else "chat" if facts.is_chat else "base model: continues text"
    return {
        "name": file.name,
        "path": file.path,
        "source": file.source,
        "license": file.license,
        "sha256": file.sha256,
        "file_bytes": file.bytes,
        "architecture": facts.architecture,
        "family": facts.family,
        "kind": kind,
        "parameters": facts.parameters,
        "quantization": facts.quantization,
        "trained_context": facts.trained_context,
        "fills_in_the_middle": facts.fim is not None,
        "dialect": known.profile.dialect,
        "context": plan.options.context,
        "threads": plan.options.threads,
        "memory_bytes": plan.bytes,
        "notices": [notice.message for notice in plan.notices],
    }


def library_of(config: Config) -> Library:
    """The user's models, in the folder that the configuration names."""
    from smidgen.models.library import Library
    from smidgen.models.store import Store

    return Library(Store(config.home_path() / "models"))


def default_spec(config: Config, library: Library | None = None) -> str:
    """What is used where no model is named: the configuration's, else the store's, else the catalogue's."""
    return config.model or (library or library_of(config)).default()


def reduced(plan: Plan, reason: str) -> Plan | None:
    """The next smaller way to open a model that could not be opened: without GPU, then with half the context, down to
    `SMALLEST_CONTEXT`. None when there is none left."""
    options = plan.options
    if options.gpu_layers:
        smaller = msgspec.structs.replace(options, gpu_layers=0)
        notice = Notice(code="gpu_given_up", message=f"The GPU could not be used ({reason}); the CPU is.")
    elif options.context // 2 >= SMALLEST_CONTEXT:
        smaller = msgspec.structs.replace(options, context=options.context // 2)
        notice = Notice(
            code="context_reduced",
            message=f"{plan.name} gets a context of {smaller.context:,} tokens, not {options.context:,}: {reason}",
        )
    else:
        return None
    return msgspec.structs.replace(plan, options=smaller, notices=(*plan.notices, notice))


def planned(known: Known, config: Config) -> Plan:
    import psutil

    options = LoadOptions(
        path=known.file.path,
        sha256=known.file.sha256,
        context=config.context or known.profile.context,
        threads=config.threads or psutil.cpu_count(logical=False) or 1,
        embeddings=known.facts.is_embedding,
        vocab_cache=str(config.home_path() / "cache" / "vocabularies"),
    )
    return Plan(name=known.file.name, options=options, bytes=known.file.bytes)


def memory_budget(config: Config) -> int:
    import psutil

    return config.memory or psutil.virtual_memory().available
