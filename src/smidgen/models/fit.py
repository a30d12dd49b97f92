"""The settings with which a model fits this machine, and what had to be given up for it.

The order of giving up: a smaller context, keys and values in 8 bits, fewer concurrent sequences, fewer layers on the
GPU, the CPU; and when nothing helps, OutOfMemory with the name of a smaller model. Every step is told in `notices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from smidgen.errors import OutOfMemory
from smidgen.events import Notice
from smidgen.models.detect import ModelFacts
from smidgen.models.gguf import GGUF
from smidgen.models.hardware import Hardware
from smidgen.models.memory import MemoryEstimate, estimate
from smidgen.models.profiles import profile_for
from smidgen.wire import LoadOptions

__all__ = ["Fit", "MemoryEstimate", "choose", "estimate", "with_copy"]

COMFORTABLE_CONTEXT = 2048  # before going lower, keys and values are stored in 8 bits
SMALLEST_CONTEXT = 512
FEWER_SEQUENCES = (64, 16, 4)
HEADROOM = 0.9  # of the memory that is available now; the rest is for everybody else on this machine
GPU_HEADROOM = 0.9
COMFORT = 0.5  # of the budget: what a copy that is only faster may take in memory, so that another model fits beside it


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """Settings for LoadOptions, what they take, and what the user must be told about them."""

    context: int
    kv_bits: int
    threads: int
    gpu_layers: int
    swa_full: bool
    sequences: int
    estimate: MemoryEstimate
    notices: tuple[Notice, ...] = ()

    def options(self, path: str, **others: Any) -> LoadOptions:
        """LoadOptions for the file at `path`; `others` are its further fields."""
        return LoadOptions(
            path=path,
            context=self.context,
            kv_bits=self.kv_bits,
            threads=self.threads,
            gpu_layers=self.gpu_layers,
            swa_full=self.swa_full,
            sequences=self.sequences,
            **others,
        )


class _Choice(msgspec.Struct, frozen=True):
    context: int
    kv_bits: int
    sequences: int
    gpu_layers: int


def choose(
    facts: ModelFacts,
    gguf: GGUF,
    hardware: Hardware,
    *,
    wanted_context: int | None = None,
    budget_bytes: int | None = None,
    gpu: int | Literal["auto", "off"] = "auto",
    sequences: int = 64,
    swa_full: bool = True,
    smaller_models: Sequence[tuple[str, int]] | None = None,
) -> Fit:
    """The best settings that stay within the budget. Pure, given `smaller_models`.

    wanted_context: tokens; by default the profile's. budget_bytes: of the machine's memory, by default nine tenths of
    what is available. gpu: "auto" uses one if it is there, a number is how many layers at most, "off" none.
    smaller_models: (name, bytes of the file) to recommend, the built-in catalogue by default.
    Raises OutOfMemory (needed_bytes, available_bytes) if not even the smallest settings fit.
    """
    budget = int(hardware.available_bytes * HEADROOM) if budget_bytes is None else budget_bytes
    notices: list[Notice] = []
    context = _first_context(facts, wanted_context, notices)
    layers = _first_layers(facts, hardware, gpu, notices)
    room = _room_on_gpu(hardware)
    is_shared = any(card.kind == "metal" for card in hardware.gpus)
    first = _Choice(context, 16, sequences, layers)
    taken = None
    for choice in _choices(first):
        taken = estimate(
            facts,
            gguf,
            context=choice.context,
            kv_bits=choice.kv_bits,
            sequences=choice.sequences,
            swa_full=swa_full,
            gpu_layers=choice.gpu_layers,
            simd=hardware.simd,
        )
        if taken.total + (taken.gpu if is_shared else 0) <= budget and (room is None or taken.gpu <= room):
            return Fit(
                context=choice.context,
                kv_bits=choice.kv_bits,
                threads=hardware.threads,
                gpu_layers=choice.gpu_layers,
                swa_full=swa_full,
                sequences=choice.sequences,
                estimate=taken,
                notices=(*notices, *_given_up(first, choice)),
            )
    needed = taken.total if taken else 0
    raise _too_large(facts, needed, budget, smaller_models)


def with_copy(fit: Fit, facts: ModelFacts, copy: GGUF, hardware: Hardware, budget_bytes: int) -> Fit | None:
    """The same settings for a copy of the model with larger weights, None if that doesn't fit comfortably."""
    taken = estimate(
        facts,
        copy,
        context=fit.context,
        kv_bits=fit.kv_bits,
        sequences=fit.sequences,
        swa_full=fit.swa_full,
        gpu_layers=fit.gpu_layers,
        simd=hardware.simd,
    )
    return msgspec.structs.replace(fit, estimate=taken) if taken.total <= COMFORT * budget_bytes else None


def _first_context(facts: ModelFacts, wanted: int | None, notices: list[Notice]) -> int:
    context = profile_for(facts).context if wanted is None else max(1, wanted)
    if facts.trained_context and context > facts.trained_context:
        notices.append(
            Notice(
                code="context_above_training",
                message=f"The model was trained with {facts.trained_context:,} tokens of context; it gets those, "
                f"not {context:,}.",
            )
        )
        context = facts.trained_context
    return context


def _room_on_gpu(hardware: Hardware) -> int | None:
    """Bytes that may be taken of the largest GPU, None if its size is unknown."""
    if not hardware.gpus or any(not card.total_bytes for card in hardware.gpus):
        return None
    return int(max(card.free_bytes for card in hardware.gpus) * GPU_HEADROOM)


def _first_layers(
    facts: ModelFacts, hardware: Hardware, gpu: int | Literal["auto", "off"], notices: list[Notice]
) -> int:
    """Layers to offload at first; all of them is one more than the model has, for the output."""
    if gpu == "off" or gpu == 0:
        return 0
    if not hardware.gpus:
        if gpu != "auto":
            notices.append(Notice(code="no_gpu", message="No GPU was found; the CPU does the work."))
        return 0
    return facts.layers + 1 if gpu == "auto" else min(gpu, facts.layers + 1)


def _choices(first: _Choice) -> Iterator[_Choice]:
    """What to try, in the order of giving up."""
    layers = first.gpu_layers
    while True:
        yield from _without_gpu_change(msgspec.structs.replace(first, gpu_layers=layers))
        if layers == 0:
            return
        layers = layers // 2 if layers > 2 else 0


def _without_gpu_change(first: _Choice) -> Iterator[_Choice]:
    yield first
    contexts = [first.context]
    while contexts[-1] // 2 >= SMALLEST_CONTEXT:
        contexts.append(contexts[-1] // 2)
    comfortable = [context for context in contexts if context >= min(first.context, COMFORTABLE_CONTEXT)]
    for context in comfortable[1:]:
        yield msgspec.structs.replace(first, context=context)
    for context in contexts[contexts.index(comfortable[-1]) :]:
        yield msgspec.structs.replace(first, context=context, kv_bits=8)
    for sequences in FEWER_SEQUENCES:
        if sequences < first.sequences:
            for context in contexts[contexts.index(comfortable[-1]) :]:
                yield msgspec.structs.replace(first, context=context, kv_bits=8, sequences=sequences)


def _given_up(first: _Choice, choice: _Choice) -> Iterator[Notice]:
    if choice.context < first.context:
        yield Notice(
            code="context_reduced",
            message=f"Memory is short: the context is {choice.context:,} tokens, not {first.context:,}.",
        )
    if choice.kv_bits < first.kv_bits:
        yield Notice(code="kv_cache_8_bit", message="Memory is short: keys and values are stored in 8 bits, not 16.")
    if choice.sequences < first.sequences:
        yield Notice(
            code="sequences_reduced",
            message=f"Memory is short: {choice.sequences} requests at once at most, not {first.sequences}.",
        )
    if choice.gpu_layers < first.gpu_layers:
        if choice.gpu_layers:
            yield Notice(
                code="gpu_layers_reduced",
                message=f"The GPU's memory is short: it holds {choice.gpu_layers} of {first.gpu_layers} layers.",
            )
        else:
            yield Notice(code="gpu_given_up", message="The GPU's memory is too short; the CPU does the work.")


def _too_large(
    facts: ModelFacts, needed: int, budget: int, smaller_models: Sequence[tuple[str, int]] | None
) -> OutOfMemory:
    if smaller_models is None:
        from smidgen.models.catalog import builtin

        smaller_models = [(entry.name, entry.bytes) for entry in builtin().models if entry.kind == "chat"]
    # A worker of a small model takes about twice its file and a hundred megabytes.
    fitting = [(size, name) for name, size in smaller_models if 2 * size + 100_000_000 <= budget]
    advice = f"Try the model {max(fitting)[1]!r}, or free" if fitting else "Free"
    missing = needed - budget
    return OutOfMemory(
        f"This model needs at least {needed / 1e6:,.0f} MB and {budget / 1e6:,.0f} MB may be used: "
        f"{missing / 1e6:,.0f} MB are missing.",
        hint=f"{advice} memory by closing other programs.",
        needed_bytes=needed,
        available_bytes=budget,
    )
