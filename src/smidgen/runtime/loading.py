"""From a model's name to a leased engine with its profile and template: library, detection, fit, pool."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from smidgen.agent import AgentModel
from smidgen.config import Config
from smidgen.errors import Cancelled, ChecksumMismatch, EngineError, ModelNotPulled, OutOfMemory, SmidgenError
from smidgen.events import Notice
from smidgen.runtime.held import HeldModel, coming, held_model
from smidgen.runtime.planning import Known, Plan, address_space, memory_budget, reduced, usable_gpu
from smidgen.runtime.preparation import Preparation
from smidgen.runtime.runtime import Lease

if TYPE_CHECKING:
    from smidgen.engine import Engine
    from smidgen.engine.local import LocalEngine
    from smidgen.engine.pool import EnginePool
    from smidgen.models.library import Library, ModelFile, OnProgress
    from smidgen.models.relayout import Relayout
    from smidgen.runtime.layout import Copy
    from smidgen.supervise.child import Child

log = logging.getLogger("smidgen.runtime")


class Loader:
    """The models of a runtime: each is opened at its first lease and kept until its room is needed or as `keep` says,
    then opened again.

    Whoever waits for a lease may be cancelled: the model goes on being fetched and opened, for all others who wait and
    for the next. `aclose` ends that too; what was fetched so far is kept."""

    def __init__(self, config: Config, library: Library | None = None) -> None:
        self._config = config
        self._library = library or library_of(config)
        self._known: dict[str, tuple[Known, Plan]] = {}
        self._pool: EnginePool[Plan] | None = None
        self._preparations: dict[str, Preparation] = {}
        self._kept_s: dict[str, float | None] = {}
        self._opening: dict[Plan, LocalEngine] = {}
        self._closed = threading.Event()
        self._budget_bytes = 0
        self._measuring = threading.Lock()
        self._spares: list[Child] = []

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
                fim=known.facts.fim,
            )
            yield Lease(model=model, notices=(*plan.notices, *template_notices))

    @property
    def embedder(self) -> str:
        """The configured one, if its file is here."""
        if not self._config.embedder:
            return ""
        try:
            return self._library.resolve(self._config.embedder).name
        except SmidgenError:
            return ""

    def name_of(self, spec: str) -> str:
        """The name that the file of a model has or will have, without fetching or hashing it. Raises UnknownModel,
        InvalidRequest."""
        from smidgen.models.spec import local_path, read

        if spec in self._known:
            return self._known[spec][0].file.name
        wanted = read(spec, self._library.catalog)
        path = None if wanted is None else local_path(wanted)
        if wanted is not None and path is not None and path.is_file():
            return wanted.name
        try:
            return self._library.resolve(spec).name
        except (ModelNotPulled, ChecksumMismatch):
            return spec if wanted is None else wanted.name

    def installed(self) -> tuple[ModelFile, ...]:
        """The pulled models, by name. Reads the disk."""
        return self._library.list()

    def resolve(self, spec: str) -> ModelFile:
        """The file of a model on this computer, without any network. Reads the disk; the whole file, if it is the
        user's own and was never read before. Raises ModelNotPulled, ChecksumMismatch, UnknownModel, InvalidRequest."""
        return self._library.resolve(spec)

    def held(self) -> tuple[HeldModel, ...]:
        """The models in memory, least recently used first, then those that are got ready. On the home loop."""
        slots = () if self._pool is None else self._pool.held()
        models = [held_model(slot, self._opening.get(slot.key)) for slot in slots]
        for spec in self._preparations:
            model = self._prepared_one(spec)
            if all(model.name != other.name or model.path not in ("", other.path) for other in models):
                models.append(model)
        return tuple(models)

    def keep(self, spec: str, seconds: float | None) -> None:
        """Close a model after so many seconds without a lease: 0 as soon as nobody uses it, None when its room is
        needed. Also for one that isn't loaded. `spec` may be the name of a loaded one. On the home loop. Raises
        UnknownModel, InvalidRequest."""
        from smidgen.engine.pool import check_kept_s

        check_kept_s(seconds)
        plans = self._plans(spec)
        for plan in plans:
            self._its_pool().keep(plan, seconds)
        if not plans:
            self._kept_s[spec] = seconds

    async def unload(self, spec: str) -> bool:
        """Close a model as soon as nobody uses it, and wait for that. False if it isn't in memory. `spec` may be the
        name of a loaded one. Raises UnknownModel, InvalidRequest."""
        plans = self._plans(spec)
        return any(await asyncio.gather(*(self._its_pool().unload(plan) for plan in plans)))

    async def aclose(self) -> None:
        self._closed.set()
        await asyncio.gather(*(preparation.aclose() for preparation in tuple(self._preparations.values())))
        for spare in tuple(self._spares):
            await self._end(spare)
        if self._pool is not None:
            await self._pool.aclose()

    async def _open(self, spec: str, stack: AsyncExitStack) -> tuple[Known, Engine, Plan]:
        if spec not in self._preparations and not self._is_open(spec):
            preparation = self._preparations[spec] = Preparation(spec, lambda: self._loaded(spec))
            preparation.add_done_callback(lambda: self._preparations.pop(spec))
        if spec not in self._preparations:
            return await self._lease(spec, stack)
        async with self._preparations[spec].wait():
            return await self._lease(spec, stack)

    def _plans(self, spec: str) -> set[Plan]:
        """How the file that is meant was opened or will be, under whatever spec. Raises UnknownModel."""
        if spec in self._known:
            file = self._known[spec][0].file
            return {plan for known, plan in self._known.values() if known.file == file}
        named = {plan for known, plan in self._known.values() if known.file.name == spec}
        if named:
            return named
        name = self.name_of(spec)
        return {plan for known, plan in self._known.values() if known.file.name == name}

    def _apply_keep(self, spec: str, name: str, plan: Plan) -> None:
        """What `keep` was told before it was known which file that is."""
        for told in (name, spec):
            if told in self._kept_s:
                self._its_pool().keep(plan, self._kept_s.pop(told))

    def _prepared_one(self, spec: str) -> HeldModel:
        if spec in self._known:
            plan = self._known[spec][1]
            return coming(plan, self._its_pool().kept_s(plan))
        try:
            name = self.name_of(spec)
        except SmidgenError:  # its lease will tell
            name = spec
        return HeldModel(name=name, loading=True, fraction=0.0, closes_in_s=self._kept_s.get(spec))

    def _is_open(self, spec: str) -> bool:
        return spec in self._known and self._its_pool().is_open(self._known[spec][1])

    @asynccontextmanager
    async def _loaded(self, spec: str) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            if spec not in self._known:
                await stack.enter_async_context(self._spare_worker())
                known, plan = await asyncio.to_thread(self._prepare, spec)
                self._known[spec] = known, plan
                self._apply_keep(spec, known.file.name, plan)
            await self._lease(spec, stack)
            yield

    async def _lease(self, spec: str, stack: AsyncExitStack) -> tuple[Known, Engine, Plan]:
        known, plan = self._known[spec]
        pool = self._its_pool()
        while True:
            try:
                engine = await stack.enter_async_context(pool.lease(plan))
            except (OutOfMemory, EngineError) as error:
                smaller = reduced(plan, error)
                if smaller is None:
                    raise
                log.warning("%s: %s", plan, smaller.notices[-1].message)
                pool.keep(smaller, pool.kept_s(plan))
                plan = smaller
            else:
                self._known[spec] = known, plan
                return known, engine, plan

    @asynccontextmanager
    async def _spare_worker(self) -> AsyncGenerator[None, None]:
        """A worker process starts while its model's header is still read, for the time to the first token. Whichever
        model is opened next has it; if none is, it ends."""
        spare = await self._started_worker()
        if spare is not None:
            self._spares.append(spare)
        try:
            yield
        finally:
            if spare in self._spares:
                await self._end(spare)

    async def _started_worker(self) -> Child | None:
        from smidgen.engine.local import WORKER
        from smidgen.supervise.child import Child

        spare = Child(WORKER)
        try:
            await spare.start()
        except OSError as error:
            log.info("no worker could be started ahead: %s", error)  # the engine's own attempt will report it
            return None
        return spare

    async def _end(self, spare: Child) -> None:
        self._spares.remove(spare)
        spare.kill()
        await spare.wait()

    def _prepare(self, spec: str) -> tuple[Known, Plan]:
        """Blocks: reads the file's header, and fetches the file first if it isn't here."""
        file = self._library.ensure(spec, self._go_on)
        return prepared(file, self._config, self._budget, lambda relayout: self._copied(file, relayout))

    def _copied(self, file: ModelFile, relayout: Relayout) -> Copy:
        from smidgen.runtime.layout import copied

        return copied(self._library.store, file, relayout, self._go_on)

    def _go_on(self, _: object) -> None:
        """Asked by a download, or the making of a copy, at each step of its progress. What it raises ends it."""
        if self._closed.is_set():
            raise Cancelled("The runtime was closed while a model was being fetched.")

    def _its_pool(self) -> EnginePool[Plan]:
        if self._pool is None:
            from smidgen.engine.pool import EnginePool

            self._pool = EnginePool(self._start, lambda plan: plan.bytes, self._budget_bytes)
        return self._pool

    def _budget(self, available: int) -> int:
        """Fixed by what was available when the first model was prepared, before any was loaded: a later one may count
        on the memory of those that can be evicted for it."""
        with self._measuring:
            self._budget_bytes = self._budget_bytes or memory_budget(self._config, available)
            return self._budget_bytes

    async def _start(self, plan: Plan) -> Engine:
        from smidgen.engine.local import LocalEngine

        engine = LocalEngine(
            plan.name,
            plan.options,
            limits=self._config.supervision,
            crash_folder=self._config.home_path() / "crashes",
            on_notice=lambda notice: log.warning("%s: %s", plan, notice.message),
            spare=self._spares[0] if self._spares else None,
        )
        del self._spares[:1]  # it is the engine's now
        self._opening[plan] = engine
        try:
            await engine.open()
        except BaseException:
            await engine.aclose()
            raise
        finally:
            del self._opening[plan]
        return engine


def prepared(
    file: ModelFile,
    config: Config,
    budget: Callable[[int], int] | None = None,
    copied: Callable[[Relayout], Copy] | None = None,
) -> tuple[Known, Plan]:
    """Facts, profile, template and plan of a file on this computer. Raises InvalidModelFile, OutOfMemory.

    budget: bytes for all models together, given those that are available now; by default `memory_budget`. copied: gives
    the copy in another layout that is worth opening instead; by default the file itself is opened. A tuned profile
    that can't be used is told, and the family's is taken.
    """
    from smidgen.models import gguf, tuned
    from smidgen.models.detect import detect
    from smidgen.models.fit import Fit, choose, with_copy
    from smidgen.models.hardware import probe
    from smidgen.models.profiles import profile_for
    from smidgen.models.template import ChatTemplate
    from smidgen.runtime.layout import worth_copying

    header = gguf.read(file.path)
    facts = detect(header)
    profile = profile_for(facts)
    unread: tuple[Notice, ...] = ()
    if config.tuned == "on":
        profile, unread = tuned.applied(profile, library_of(config).store, file.sha256)
    template = ChatTemplate(
        facts.template,
        bos=facts.bos.text if facts.bos else "",
        eos=facts.eos.text if facts.eos else "",
        control_texts=facts.control_texts,
        fallback=profile.fallback,
        system=profile.system,
    )
    hardware = probe()
    gpu, notices = usable_gpu(config, hardware)
    if budget is None:
        budget_bytes = memory_budget(config, hardware.available_bytes)
    else:
        budget_bytes = budget(hardware.available_bytes)
    fit = choose(facts, header, hardware, wanted_context=config.context or None, budget_bytes=budget_bytes, gpu=gpu)
    notices = (*unread, *notices)
    if profile.is_base:
        told = f"{file.name} is a base model: it continues text, and was not taught to answer or to use tools."
        notices = (*notices, Notice(code="base_model", message=told))

    def planned(path: str, opened_bytes: int, fit: Fit) -> Plan:
        options = fit.options(
            path,
            sha256=file.sha256,
            embeddings=facts.is_embedding,
            vocab_cache=str(config.home_path() / "vocabularies"),
            memory_limit=address_space(opened_bytes, fit.estimate.total, hardware),
        )
        if config.threads:
            options = msgspec.structs.replace(options, threads=config.threads)
        return Plan(
            name=file.name,
            options=options,
            file_bytes=file.bytes,
            bytes=fit.estimate.total,
            notices=(*notices, *fit.notices),
        )

    plan = planned(file.path, file.bytes, fit)
    known = Known(file=file, facts=facts, profile=profile, template=template)
    relayout = worth_copying(config, header, facts, hardware, plan.options) if copied else None
    roomy = with_copy(fit, facts, relayout.header, hardware, budget_bytes) if relayout else None
    if copied is None or relayout is None or roomy is None:
        return known, plan
    copy = copied(relayout)
    if copy.path:
        plan = msgspec.structs.replace(planned(copy.path, relayout.bytes, roomy), plain=plan)
    return known, msgspec.structs.replace(plan, notices=(*plan.notices, *copy.notices))


def lay_out(file: ModelFile, config: Config, library: Library, progress: OnProgress) -> tuple[Notice, ...]:
    """Makes the copy in another layout that a load would make now, if it isn't here and one is worth it. Tells what was
    made, or why it can't be. Raises InvalidModelFile, and what `progress` raises."""
    from smidgen.runtime.layout import CODES, copied

    if config.layout == "file" or library.store.layout(file.sha256).is_file():
        return ()
    try:
        _, plan = prepared(file, config, copied=lambda relayout: copied(library.store, file, relayout, progress))
    except OutOfMemory:  # a load will tell
        return ()
    return tuple(notice for notice in plan.notices if notice.code in CODES)


def describe(file: ModelFile, config: Config) -> dict[str, Any]:
    """What a model is and how it would be opened here, for people. Raises InvalidModelFile, OutOfMemory."""
    from smidgen.models import tuned
    from smidgen.runtime.layout import present

    store = library_of(config).store
    profile = tuned.find(store, file.sha256)[0] if config.tuned == "on" else None
    known, plan = prepared(file, config, copied=lambda relayout: present(store, file, relayout))
    facts = known.facts
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
        "profile": tuned.told(profile) if profile else "written by hand for the family",
        "context": plan.options.context,
        "threads": plan.options.threads,
        "layout": "copy" if plan.plain else "file",
        "opens": plan.options.path,
        "copy_bytes": store.layout_bytes(file.sha256),
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
