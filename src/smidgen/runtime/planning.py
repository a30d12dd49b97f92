"""How a model is opened here, decided without opening it: the plan, its budget, and the next smaller one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from smidgen.config import Config
from smidgen.errors import OutOfMemory, SmidgenError
from smidgen.events import Notice
from smidgen.wire import LoadOptions

if TYPE_CHECKING:
    from smidgen.models.detect import ModelFacts
    from smidgen.models.hardware import Hardware
    from smidgen.models.library import ModelFile
    from smidgen.models.profiles import Profile
    from smidgen.models.template import ChatTemplate

SPARE_ADDRESSES = 8 << 30
ADDRESSES_PER_CORE = 256 << 20
"""A thread's stack (8 MiB), its malloc arenas (128 MiB while one is made) and numpy's buffer for it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A model and how it will be opened here. `file_bytes`: the size of the model's own file. `bytes`: what it takes in
    memory. `notices`: what of that the user must be told. `plain`: how to open the file itself, if it is a copy in
    another layout that will be opened."""

    name: str
    options: LoadOptions
    file_bytes: int
    bytes: int
    notices: tuple[Notice, ...] = ()
    plain: Plan | None = None

    def __str__(self) -> str:
        return self.name


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is worked out once per model: its header's facts, its profile and template."""

    file: ModelFile
    facts: ModelFacts
    profile: Profile
    template: ChatTemplate


def usable_gpu(config: Config, hardware: Hardware) -> tuple[Literal["auto", "off"], tuple[Notice, ...]]:
    """Whether to plan for a GPU: one is there, and the native library was built for it. If only the first, that is
    told."""
    if config.gpu == "off" or not hardware.gpus:
        return "off", ()
    from smidgen.runtime.installed import native_library

    told = native_library()
    if told.gpu_offload:
        return "auto", ()
    why = told.problem or "the native library was built without GPU support"
    message = f"{hardware.gpus[0].name} is not used: {why}. The CPU does the work; `smidgen doctor` says more."
    return "off", (Notice(code="gpu_unused", message=message),)


def memory_budget(config: Config, available: int) -> int:
    """Bytes for all models together: what was configured, else a share of what is available."""
    from smidgen.models.fit import HEADROOM

    return config.memory or int(available * HEADROOM)


def address_space(file_bytes: int, estimated: int, hardware: Hardware) -> int:
    """Bytes of address space for a worker, 0 for no limit: far more than it needs, so that only one that runs away
    meets it rather than taking the whole machine.

    The file is mapped beside what is estimated; threads reserve stacks and heaps that they hardly touch. Only on Linux,
    and where there is no GPU: its drivers reserve huge ranges."""
    if hardware.system != "Linux" or hardware.gpus:
        return 0
    return file_bytes + 2 * estimated + SPARE_ADDRESSES + hardware.logical_cores * ADDRESSES_PER_CORE


def reduced(plan: Plan, error: SmidgenError) -> Plan | None:
    """The next smaller way to open a model that could not be opened: the file itself instead of a copy, or without the
    GPU, whatever the trouble with it was; then, if memory was short, with half the context. None when there is none
    left, or waiting would help more."""
    from smidgen.models.fit import SMALLEST_CONTEXT

    options = plan.options
    if error.retryable and isinstance(error, OutOfMemory):
        return None
    if plan.plain is not None:
        why = f"The copy with weights for this processor could not be opened ({error.message}), so the file itself is."
        told = f"{why} `smidgen models verify {plan.name}` removes a damaged copy."
        notices = (*plan.notices, Notice(code="copy_given_up", message=told))
        return msgspec.structs.replace(plan.plain, notices=notices)
    if options.gpu_layers:
        smaller = msgspec.structs.replace(options, gpu_layers=0)
        notice = Notice(
            code="gpu_given_up", message=f"The GPU could not be used; the CPU does the work: {error.message}"
        )
    elif isinstance(error, OutOfMemory) and options.context // 2 >= SMALLEST_CONTEXT:
        smaller = msgspec.structs.replace(options, context=options.context // 2)
        notice = Notice(
            code="context_reduced",
            message=f"Memory is short: the context is {smaller.context:,} tokens, not {options.context:,}.",
        )
    else:
        return None
    return msgspec.structs.replace(plan, options=smaller, notices=(*plan.notices, notice))
