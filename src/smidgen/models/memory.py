"""What a model will take in memory before it is loaded: one formula per kind of buffer that llama.cpp makes.

Sources, all in llama.cpp as of llama-cpp-python 0.3.36: llama-kv-cache.cpp and llama-kv-cache-iswa.cpp (cells padded to
256, windowed layers), llama-memory-recurrent.cpp (states), llama-context.cpp `output_reserve` (logits),
ggml-cpu/repack.cpp (which weights are copied into a layout of their own). The compute buffer's size comes out of a
graph allocator; the formula takes its two peaks, the feed-forward layer and the logits. Figures per token, merge and
process were fitted to the resident memory of workers with SmolLM2-135M, Qwen2.5-Coder-0.5B and Gemma-3-270M. For one
stream and a constrained answer, with contexts of 2,048 and 8,192, the sums are 1% to 2% above it, for Gemma 4% to 8%:
of 64 rows of logits one stream touches few (tests/model/test_memory_estimate.py).
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from smidgen.models.detect import ModelFacts
from smidgen.models.gguf import GGUF, LAYER, Tensor

MIB = 1 << 20
CELL_PADDING = 256
KV_BYTES = {16: 2.0, 8: 34 / 32}

PROCESS_BYTES = 55 * MIB  # Python, numpy, the native libraries and their threads
BYTES_PER_TOKEN = 160  # llama.cpp's tables of the vocabulary
BYTES_PER_MERGE = 136
# llguidance itself, and its table of the vocabulary: resident bytes of a worker before and after its first constrained
# answer (llguidance 1.9). SmolLM2-135M with 49,152 tokens 5.3 MiB of code + 21.2 MiB, Qwen2.5-Coder-0.5B with 151,936
# 5.3 + 63.8 to 65.3, Gemma-3-270M with 262,144 5.3 + 115.7 to 123.2: 440 to 493 bytes per token.
GRAMMAR_BYTES = 5 * MIB
GRAMMAR_BYTES_PER_TOKEN = 455


class MemoryEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `weights` are the file's pages, `repacked` copies of some of them in another layout; `process` is what any
    worker takes. `gpu` is taken from a GPU's memory, all else from the machine's."""

    weights: int
    repacked: int
    kv_cache: int
    compute: int
    logits: int
    vocabulary: int
    process: int
    gpu: int = 0

    @property
    def total(self) -> int:
        """Of the machine's own memory."""
        return (
            self.weights + self.repacked + self.kv_cache + self.compute + self.logits + self.vocabulary + self.process
        )


def estimate(
    facts: ModelFacts,
    gguf: GGUF,
    *,
    context: int,
    batch: int = 512,
    kv_bits: int = 16,
    sequences: int = 64,
    swa_full: bool = True,
    gpu_layers: int = 0,
    simd: Collection[str] = (),
) -> MemoryEstimate:
    """Memory of a worker that holds this model, once it has been used.

    context: cells of the KV cache, shared by all sequences. sequences: as in LoadOptions; the worker keeps one more.
    gpu_layers: layers whose weights, keys and values lie on a GPU, the output layer counting as the last. simd: flags
    of `Hardware.simd`, which decide on repacking. Never shrinks as `context`, `batch` or `sequences` grow.
    """
    rows = sequences + 1
    if facts.is_embedding:
        batch = rows = max(batch, context)
    on_gpu = _share_on_gpu(facts, gpu_layers)
    weights = sum(tensor.nbytes for tensor in gguf.tensors)
    offloaded = sum(tensor.nbytes for tensor in gguf.tensors if _layer(tensor, facts) >= facts.layers + 1 - gpu_layers)
    repacked = 0 if gpu_layers else sum(tensor.nbytes for tensor in gguf.tensors if is_repacked(tensor, simd))
    cache = kv_cache_bytes(facts, context, batch, kv_bits, sequences + 1, swa_full) + state_bytes(facts, gguf, rows)
    compute = compute_bytes(facts, context, batch, rows, sequences + 1, swa_full)
    merges = gguf.metadata.get("tokenizer.ggml.merges")
    merge_count = len(merges) if hasattr(merges, "__len__") else 0  # pyright: ignore[reportArgumentType]
    per_token = BYTES_PER_TOKEN + (0 if facts.is_embedding else GRAMMAR_BYTES_PER_TOKEN)
    return MemoryEstimate(
        weights=weights - offloaded,
        repacked=repacked,
        kv_cache=cache - int(cache * on_gpu),
        compute=compute,
        logits=4 * rows * facts.vocab_size,
        vocabulary=per_token * facts.vocab_size + BYTES_PER_MERGE * merge_count,
        process=PROCESS_BYTES + (0 if facts.is_embedding else GRAMMAR_BYTES),
        gpu=offloaded + int(cache * on_gpu) + compute if gpu_layers else 0,
    )


def kv_cache_bytes(facts: ModelFacts, context: int, batch: int, kv_bits: int, sequences: int, swa_full: bool) -> int:
    """Keys and values of all layers. Windowed layers keep only their windows unless `swa_full`."""
    if facts.is_embedding and not facts.architecture.startswith("gemma"):
        return 0
    full = _padded(context)
    window = full if swa_full else min(full, _padded(facts.window * sequences + batch))
    total = 0.0
    for heads, windowed in zip(facts.layer_kv_heads, facts.windowed, strict=True):
        if windowed:
            total += window * heads * (facts.window_key_width + facts.window_value_width)
        else:
            total += full * heads * (facts.key_width + facts.value_width)
    return int(total * KV_BYTES[kv_bits])


def state_bytes(facts: ModelFacts, gguf: GGUF, sequences: int) -> int:
    """States of recurrent layers, 32-bit floats, one set per sequence (llama-hparams.cpp n_embd_r, n_embd_s)."""
    if not (facts.is_recurrent or facts.is_hybrid):
        return 0

    def field(name: str, default: int = 0) -> int:
        value = gguf.metadata.get(f"{facts.architecture}.{name}", default)
        return value if isinstance(value, int) else default

    head = field("wkv.head_size")
    if head:
        per_layer = 2 * facts.embedding_size + facts.embedding_size * head
    elif field("shortconv.l_cache"):
        per_layer = facts.embedding_size * (field("shortconv.l_cache") - 1)
    else:
        inner, state = field("ssm.inner_size"), field("ssm.state_size")
        convolved = max(0, field("ssm.conv_kernel") - 1) * (inner + 2 * field("ssm.group_count") * state)
        per_layer = convolved + inner * state
    layers = sum(heads == 0 for heads in facts.layer_kv_heads) or facts.layers
    return 4 * per_layer * layers * sequences


def compute_bytes(facts: ModelFacts, context: int, batch: int, rows: int, sequences: int, swa_full: bool) -> int:
    """The graph's buffer: the larger of its two peaks, a layer with its attention masks and the logits."""
    full = _padded(context)
    masks = full * 2 * batch
    if any(facts.windowed):
        masks += (full if swa_full else min(full, _padded(facts.window * sequences + batch))) * 2 * batch
    widest = max(facts.feed_forward_size, facts.heads * facts.key_width, facts.embedding_size)
    layer = 4 * batch * (3 * widest + 4 * facts.embedding_size) + masks
    logits = 4 * (rows * facts.vocab_size + (batch + rows) * facts.embedding_size)
    return max(layer, logits)


def is_repacked(tensor: Tensor, simd: Collection[str]) -> bool:
    """Whether the CPU backend keeps a copy of these weights in its own layout (ggml_repack_get_optimal_repack_type)."""
    if len(tensor.dims) != 2 or not tensor.name.endswith(".weight") or tensor.name.startswith("token_embd"):
        return False
    kind, rows = tensor.type_name, tensor.dims[1]
    if "avx2" in simd:
        kinds = {"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"} | ({"Q2_K"} if "avx512f" in simd else set[str]())
        return kind in kinds and rows % 8 == 0
    if "asimddp" in simd or "i8mm" in simd:
        by_eight = kind in ("Q4_K", "Q5_K", "Q6_K") and rows % 8 == 0
        return by_eight or (kind in ("Q4_0", "Q8_0", "IQ4_NL", "MXFP4") and rows % 4 == 0)
    return False


def _padded(cells: int) -> int:
    return -(-cells // CELL_PADDING) * CELL_PADDING


def _layer(tensor: Tensor, facts: ModelFacts) -> int:
    """Which layer a tensor is offloaded with: its own, or the one after the last for the output; -1 stays."""
    match = LAYER.match(tensor.name)
    if match:
        return int(match[1])
    return facts.layers if tensor.name.startswith("output") else -1


def _share_on_gpu(facts: ModelFacts, gpu_layers: int) -> float:
    """Part of the KV cache that lies on the GPU: that of the offloaded layers, which are the last ones."""
    return max(0, min(gpu_layers - 1, facts.layers)) / facts.layers if gpu_layers else 0.0
