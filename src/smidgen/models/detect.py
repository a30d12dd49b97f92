"""What a model is and can do, read from its header: never from its file's name, never from native code.

Key names, defaults and token texts are those of llama.cpp (llama-arch.cpp, llama-model.cpp, llama-vocab.cpp).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from smidgen.models.families import find_family
from smidgen.models.gguf import GGUF, Array

RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
HYBRID = frozenset(
    {
        "jamba",
        "falcon-h1",
        "plamo2",
        "granitehybrid",
        "lfm2",
        "lfm2moe",
        "nemotron_h",
        "nemotron_h_moe",
        "qwen3next",
        "qwen35",
        "qwen35moe",
        "kimi-linear",
    }
)
WINDOW_PATTERNS: Mapping[str, tuple[int, bool]] = {
    # architecture: (every n-th layer sees everything, and whether it is the first or the last of the n)
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gemma-embedding": (6, False),
    "gpt-oss": (2, False),
    "cohere2": (4, False),
    "exaone4": (4, False),
    "olmo2": (4, False),
    "llama4": (4, False),
    "smallthinker": (4, True),
    "modern-bert": (3, True),
    "plamo3": (8, False),
}
CONTROL_TYPES = (2, 3)  # unknown, control
USER_DEFINED_TYPE = 4

END_OF_TURN = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<turn|>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<|end_of_role|>",
    "<｜end▁of▁sentence｜>",
)
FIM_TEXTS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|prefix|>"),
    "suffix": ("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|suffix|>"),
    "middle": ("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|middle|>"),
    "repo": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "file": ("<|file_sep|>", "<file_sep>"),
}
FIM_KEYS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("fim_pre_token_id", "prefix_token_id"),
    "suffix": ("fim_suf_token_id", "suffix_token_id"),
    "middle": ("fim_mid_token_id", "middle_token_id"),
    "repo": ("fim_rep_token_id",),
    "file": ("fim_sep_token_id",),
}
THINKING = (("<think>", "</think>"), ("<|channel>thought", "<channel|>"), ("<thinking>", "</thinking>"))
TOOL_MARKERS = (
    "<tool_call>",
    "</tool_call>",
    "<tools>",
    "<tool_response>",
    "<|tool_call|>",
    "<|tool_call_start|>",
    "<|tool_call_end|>",
    "<|tool_list_start|>",
    "<|tool_list_end|>",
    "<|tool|>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "<function=",
    "<start_function_call>",
    "<|tool_call>",
)
CHAT_WORDS = frozenset({"instruct", "chat", "it", "assistant", "dpo", "sft", "rlhf"})
FILE_TYPES: Mapping[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}


class TokenText(msgspec.Struct, frozen=True):
    """A token of the vocabulary by its id and its text."""

    id: int
    text: str


class FimTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens for filling in the middle of code. `repo` and `file` are None where the model has none."""

    prefix: TokenText
    suffix: TokenText
    middle: TokenText
    repo: TokenText | None = None
    file: TokenText | None = None


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its header tells it.

    heads, kv_heads: the most that any layer has; `layer_kv_heads[i]` is layer i's (0: it keeps no keys and values).
    key_width, value_width: elements per head; windowed layers may have others.
    window: tokens that a sliding-window layer sees, 0 if there are none; `windowed[i]` says whether layer i is one.
    parameters: elements of all tensors.
    quantization: the file's own name for it; tensor_types: number of tensors by type.
    is_chat: it was trained on conversations, as far as its template or name fields tell.
    control_texts: texts that become control tokens where a prompt segment is `special`; user_defined_texts become
    single tokens everywhere. tool_markers: which known markers of tool calls its template or vocabulary has.
    """

    architecture: str
    family: str
    name: str
    trained_context: int
    layers: int
    heads: int
    kv_heads: int
    layer_kv_heads: tuple[int, ...]
    key_width: int
    value_width: int
    window_key_width: int
    window_value_width: int
    embedding_size: int
    feed_forward_size: int
    vocab_size: int
    experts: int
    window: int
    windowed: tuple[bool, ...]
    is_recurrent: bool
    is_hybrid: bool
    is_embedding: bool
    is_chat: bool
    quantization: str
    tensor_types: Mapping[str, int]
    parameters: int
    template: str
    tokenizer: str
    pretokenizer: str
    bos: TokenText | None
    eos: TokenText | None
    add_bos: bool
    end_texts: tuple[str, ...]
    control_texts: tuple[str, ...]
    user_defined_texts: tuple[str, ...]
    fim: FimTokens | None
    thinking: tuple[str, str] | None
    tool_markers: tuple[str, ...]

    @property
    def bos_text(self) -> str:
        return self.bos.text if self.bos else ""

    @property
    def eos_text(self) -> str:
        return self.eos.text if self.eos else ""

    @property
    def can_rewind(self) -> bool:
        """Whether single positions can be dropped from its memory, given full cells for windowed layers."""
        return not (self.is_recurrent or self.is_hybrid)


def detect(gguf: GGUF) -> ModelFacts:
    """The facts of a header that `gguf.read` has let through. Pure."""
    metadata = gguf.metadata
    architecture = _text(metadata, "general.architecture")
    tokens = _Vocabulary(gguf)
    prefix = f"{architecture}."
    layers = _whole(metadata, prefix + "block_count")
    width = _whole(metadata, prefix + "embedding_length")
    heads = _per_layer(metadata, prefix + "attention.head_count", layers, (0,) * layers)
    kv_heads = _per_layer(metadata, prefix + "attention.head_count_kv", layers, heads)
    head_width = width // max(heads) if max(heads) else 0
    key_width = _whole(metadata, prefix + "attention.key_length", head_width)
    value_width = _whole(metadata, prefix + "attention.value_length", head_width)
    window, windowed = _windows(metadata, architecture, layers)
    template = _template(metadata)
    pooling = _whole(metadata, prefix + "pooling_type")
    fim = _fim(metadata, tokens)
    is_embedding = pooling > 0 or "bert" in architecture or architecture in ("gemma-embedding", "t5encoder")
    return ModelFacts(
        architecture=architecture,
        family=find_family(metadata, template),
        name=_text(metadata, "general.name"),
        trained_context=_whole(metadata, prefix + "context_length"),
        layers=layers,
        heads=max(heads),
        kv_heads=max(kv_heads),
        layer_kv_heads=_own_caches(metadata, architecture, kv_heads),
        key_width=key_width,
        value_width=value_width,
        window_key_width=_whole(metadata, prefix + "attention.key_length_swa", key_width),
        window_value_width=_whole(metadata, prefix + "attention.value_length_swa", value_width),
        embedding_size=width,
        feed_forward_size=max(_per_layer(metadata, prefix + "feed_forward_length", layers, (0,))),
        vocab_size=tokens.size,
        experts=_whole(metadata, prefix + "expert_count"),
        window=window,
        windowed=windowed,
        is_recurrent=architecture in RECURRENT,
        is_hybrid=architecture in HYBRID,
        is_embedding=is_embedding,
        is_chat=not is_embedding and _is_chat(metadata, template),
        quantization=_quantization(gguf),
        tensor_types=dict(Counter(tensor.type_name for tensor in gguf.tensors)),
        parameters=sum(tensor.elements for tensor in gguf.tensors),
        template=template,
        tokenizer=_text(metadata, "tokenizer.ggml.model"),
        pretokenizer=_text(metadata, "tokenizer.ggml.pre"),
        bos=tokens.named("bos", 1 if tokens.is_sentencepiece else None),
        eos=tokens.named("eos", 2 if tokens.is_sentencepiece else None),
        add_bos=_adds_bos(metadata),
        end_texts=tokens.end_texts(),
        control_texts=tokens.control_texts(fim),
        user_defined_texts=tokens.of_types((USER_DEFINED_TYPE,)),
        fim=fim,
        thinking=next((pair for pair in THINKING if pair[0] in template and pair[1] in template), None),
        tool_markers=tuple(mark for mark in TOOL_MARKERS if mark in template or mark in tokens.ids),
    )


class _Vocabulary:
    def __init__(self, gguf: GGUF) -> None:
        self.metadata = gguf.metadata
        texts = gguf.metadata.get("tokenizer.ggml.tokens")
        types = gguf.metadata.get("tokenizer.ggml.token_type")
        self.texts: tuple[str, ...] = texts.values() if isinstance(texts, Array) else ()
        self.types: tuple[int, ...] = types.values() if isinstance(types, Array) else ()
        self.size = len(self.texts)
        self.ids: dict[str, int] = {text: number for number, text in enumerate(self.texts)}
        self.is_sentencepiece = gguf.metadata.get("tokenizer.ggml.model") == "llama"

    def at(self, number: object) -> TokenText | None:
        if isinstance(number, int) and 0 <= number < self.size:
            return TokenText(number, self.texts[number])
        return None

    def named(self, name: str, default: int | None = None) -> TokenText | None:
        return self.at(self.metadata.get(f"tokenizer.ggml.{name}_token_id", default))

    def of_types(self, types: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self.texts[number] for number, kind in enumerate(self.types) if kind in types)

    def end_texts(self) -> tuple[str, ...]:
        """Texts of the tokens that end an answer, as llama.cpp takes them: by id, and by well-known names."""
        found = [token.text for name in ("eos", "eot", "eom") if (token := self.named(name)) is not None]
        found += [text for text in END_OF_TURN if text in self.ids]
        return tuple(dict.fromkeys(found))

    def control_texts(self, fim: FimTokens | None) -> tuple[str, ...]:
        """Control tokens by type, and those that llama.cpp makes control tokens by their names."""
        found = [*self.of_types(CONTROL_TYPES), *self.end_texts()]
        found += [token.text for name in ("bos", "unknown") if (token := self.named(name)) is not None]
        if fim:
            found += [token.text for token in (fim.prefix, fim.suffix, fim.middle, fim.repo, fim.file) if token]
        return tuple(dict.fromkeys(text for text in found if text))


def _text(metadata: Mapping[str, object], key: str) -> str:
    value = metadata.get(key, "")
    return value if isinstance(value, str) else ""


def _whole(metadata: Mapping[str, object], key: str, default: int = 0) -> int:
    value = metadata.get(key, default)
    return value if isinstance(value, int) else default


def _per_layer(metadata: Mapping[str, object], key: str, layers: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value = metadata.get(key)
    if isinstance(value, Array):
        return tuple(int(entry) for entry in value)
    return (value,) * layers if isinstance(value, int) else default


def _own_caches(metadata: Mapping[str, object], architecture: str, kv_heads: tuple[int, ...]) -> tuple[int, ...]:
    """Without the last layers of models that use the keys and values of earlier ones (Gemma 3n's after 20, Gemma 4)."""
    layers = len(kv_heads)
    shared = _whole(metadata, f"{architecture}.attention.shared_kv_layers")
    own = min(layers, 20) if architecture == "gemma3n" else max(0, layers - shared)
    return kv_heads[:own] + (0,) * (layers - own)


def _windows(metadata: Mapping[str, object], architecture: str, layers: int) -> tuple[int, tuple[bool, ...]]:
    """The window's size and which layers have it. Phi-3's is declared but not used by llama.cpp."""
    window = _whole(metadata, f"{architecture}.attention.sliding_window")
    pattern = metadata.get(f"{architecture}.attention.sliding_window_pattern")
    period, dense_first = WINDOW_PATTERNS.get(architecture, (1, False))
    if isinstance(pattern, Array):
        windowed = tuple(bool(entry) for entry in pattern)[:layers]
    else:
        if isinstance(pattern, int):
            period = pattern
        if period == 0:
            windowed = (True,) * layers
        elif dense_first:
            windowed = tuple(layer % period != 0 for layer in range(layers))
        else:
            windowed = tuple(layer % period < period - 1 for layer in range(layers))
    if not window or not any(windowed) or architecture == "phi3":
        return 0, (False,) * layers
    return window, windowed


def _template(metadata: Mapping[str, object]) -> str:
    """The chat template: the default one, or the one for tools where only that is there."""
    return _text(metadata, "tokenizer.chat_template") or _text(metadata, "tokenizer.chat_template.tool_use")


def _is_chat(metadata: Mapping[str, object], template: str) -> bool:
    if template:
        return True
    fields = ("general.finetune", "general.name", "general.basename")
    words = " ".join(_text(metadata, field) for field in fields).lower()
    return bool(CHAT_WORDS & set(words.replace("-", " ").replace("_", " ").split()))


def _quantization(gguf: GGUF) -> str:
    declared = gguf.metadata.get("general.file_type")
    if isinstance(declared, int) and declared in FILE_TYPES:
        return FILE_TYPES[declared]
    sizes: Counter[str] = Counter()
    for tensor in gguf.tensors:
        sizes[tensor.type_name] += tensor.nbytes
    return sizes.most_common(1)[0][0] if sizes else "unknown"


def _adds_bos(metadata: Mapping[str, object]) -> bool:
    """Default by tokenizer, as in llama-vocab.cpp: SentencePiece and WordPiece add it; of byte-pair ones, Llama 3's."""
    declared = metadata.get("tokenizer.ggml.add_bos_token")
    if isinstance(declared, bool):
        return declared
    if _text(metadata, "tokenizer.ggml.model") in ("llama", "bert"):
        return True
    return _text(metadata, "tokenizer.ggml.pre") in ("llama3", "llama-v3", "llama-bpe", "falcon3", "tekken")


def _fim(metadata: Mapping[str, object], tokens: _Vocabulary) -> FimTokens | None:
    found: dict[str, TokenText] = {}
    for part, keys in FIM_KEYS.items():
        by_key = (tokens.at(metadata.get(f"tokenizer.ggml.{key}")) for key in keys)
        by_text = (TokenText(tokens.ids[text], text) for text in FIM_TEXTS[part] if text in tokens.ids)
        token = next((token for token in (*by_key, *by_text) if token is not None), None)
        if token is not None:
            found[part] = token
    if not {"prefix", "suffix", "middle"} <= set(found):
        return None
    return FimTokens(
        prefix=found["prefix"],
        suffix=found["suffix"],
        middle=found["middle"],
        repo=found.get("repo"),
        file=found.get("file"),
    )
