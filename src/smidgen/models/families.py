"""Which family a model belongs to: rules over metadata and template, first match wins.

Names that people gave their files play no part. The converter's fields `general.name`, `general.basename` and
`general.base_model.0.name` come from the model's own card; they tell apart what shares an architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

NAME_FIELDS = (
    "general.basename",
    "general.name",
    "general.base_model.0.name",
    "general.organization",
    "general.base_model.0.organization",
    "general.finetune",
)


class _Clues:
    def __init__(self, metadata: Mapping[str, object], template: str) -> None:
        self.architecture = str(metadata.get("general.architecture", ""))
        self.pretokenizer = str(metadata.get("tokenizer.ggml.pre", ""))
        self.tokenizer = str(metadata.get("tokenizer.ggml.model", ""))
        self.template = template
        self.names = " ".join(str(metadata.get(field, "")) for field in NAME_FIELDS).lower()
        self.vocab_size = _length(metadata.get("tokenizer.ggml.tokens"))
        self.squashed = self.names.replace("-", "").replace("_", "").replace(" ", "")


def _length(value: object) -> int:
    return len(value) if hasattr(value, "__len__") else 0  # pyright: ignore[reportArgumentType]


def _llama(clues: _Clues) -> str:
    """The llama architecture is everybody's: the vocabulary and the template's markers say whose."""
    if clues.pretokenizer == "smollm" or "smollm" in clues.squashed:
        return "smollm2"
    if "tinyllama" in clues.squashed:
        return "tinyllama"
    if "<|start_header_id|>" in clues.template:
        return "llama3"
    if "<|im_start|>" in clues.template:
        return "chatml"
    if "[INST]" in clues.template:
        return "mistral" if "mistral" in clues.names or clues.pretokenizer == "tekken" else "llama2"
    if "<|user|>" in clues.template and "eos_token" in clues.template:
        return "tinyllama" if clues.vocab_size == 32_000 else "unknown"
    if clues.template:
        return "unknown"
    if clues.pretokenizer in ("llama-bpe", "llama3", "llama-v3"):
        return "llama3"
    return "llama2" if clues.vocab_size == 32_000 and "mistral" not in clues.names else "unknown"


def _qwen2(clues: _Clues) -> str:
    if "<｜User｜>" in clues.template:
        return "deepseek"
    return "qwen2.5-coder" if "coder" in clues.names else "qwen2"


def _fixed(family: str) -> Callable[[_Clues], str]:
    return lambda _: family


RULES: Mapping[str, Callable[[_Clues], str]] = {
    "llama": _llama,
    "llama4": _fixed("llama3"),
    "smollm3": _fixed("smollm3"),
    "mistral3": _fixed("mistral"),
    "qwen2": _qwen2,
    "qwen2moe": _qwen2,
    "qwen3": _fixed("qwen3"),
    "qwen3moe": _fixed("qwen3"),
    "qwen3next": _fixed("qwen3"),
    "qwen35": _fixed("qwen3"),
    "qwen35moe": _fixed("qwen3"),
    "gemma": _fixed("gemma"),
    "gemma2": _fixed("gemma"),
    "gemma3": _fixed("gemma3"),
    "gemma3n": _fixed("gemma3"),
    "gemma4": _fixed("gemma4"),
    "phi2": _fixed("phi2"),
    "phi3": lambda clues: "phi4" if clues.vocab_size > 100_000 else "phi3",
    "phimoe": _fixed("phi3"),
    "granite": _fixed("granite"),
    "granitemoe": _fixed("granite"),
    "granitehybrid": _fixed("granite"),
    "lfm2": _fixed("lfm2"),
    "lfm2moe": _fixed("lfm2"),
    "gemma-embedding": _fixed("bert"),
}


def find_family(metadata: Mapping[str, object], template: str) -> str:
    """A key of profiles.PROFILES, or "unknown"."""
    clues = _Clues(metadata, template)
    rule = RULES.get(clues.architecture)
    if rule is not None:
        return rule(clues)
    return "bert" if "bert" in clues.architecture else "unknown"
