"""How each family of models is best run: sampling, dialect, stop strings, context and chat format, as one table.

Sampling figures are those that the makers recommend on the models' cards (Qwen2.5, Qwen3, Gemma 3, SmolLM2, Phi-3,
Granite 3/4, LFM2, Llama 3, TinyLlama, Mistral). Where a card recommends greedy decoding, temperature is 0. `min_p` is 0
unless a card names it, since the cards' figures assume none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from smidgen.messages import Sampling
from smidgen.models.chat_formats import FORMATS, recognise_format
from smidgen.models.detect import ModelFacts
from smidgen.models.tool_use import ToolUse

GREEDY = Sampling(temperature=0.0)

SystemPolicy = Literal["role", "fold"]
"""`role`: a message of its own. `fold`: its text goes in front of the first user message, as the model was taught."""

Dialect = Literal[
    "fenced_json",
    "python_call",
    "hermes",
    "qwen3_coder",
    "flat_xml",
    "llama3_json",
    "pythonic_list",
    "plain_lines",
]
"""A name of smidgen.dialects.choose.NAMES."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How to run one model.

    sampling: for chat. tool_sampling: for calls. context: default size in tokens, before memory is looked at.
    fallback: Jinja text of the family's chat format. template_extra: variables for the model's own template.
    is_base: trained on text only; it continues, it doesn't converse.
    """

    family: str
    sampling: Sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, min_p=0.0)
    tool_sampling: Sampling = GREEDY
    dialect: Dialect = "python_call"
    stop: tuple[str, ...] = ()
    context: int = 8192
    fallback: str = FORMATS["chatml"]
    template_extra: Mapping[str, Any] = {}
    system: SystemPolicy = "role"
    is_base: bool = False
    tool_use: ToolUse = ToolUse()


def _chat(
    temperature: float, top_p: float = 1.0, top_k: int = 0, *, min_p: float = 0.0, repeat_penalty: float = 1.0
) -> Sampling:
    return Sampling(temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p, repeat_penalty=repeat_penalty)


_CHATML_STOP = ("<|im_end|>", "<|im_start|>")
_GEMMA_STOP = ("<end_of_turn>", "<start_of_turn>")
_PHI_STOP = ("<|end|>", "<|user|>", "<|assistant|>")

PROFILES: Mapping[str, Profile] = {
    profile.family: profile
    for profile in (
        Profile(family="smollm2", sampling=_chat(0.2, 0.9, repeat_penalty=1.05), stop=_CHATML_STOP),
        Profile(
            family="smollm3",
            sampling=_chat(0.6, 0.95),
            stop=_CHATML_STOP,
            template_extra={"enable_thinking": False},
        ),
        Profile(family="chatml", stop=_CHATML_STOP),
        Profile(family="qwen2", sampling=_chat(0.7, 0.8, 20, repeat_penalty=1.05), stop=_CHATML_STOP),
        Profile(
            family="qwen2.5-coder",
            sampling=_chat(0.7, 0.8, 20, repeat_penalty=1.1),
            dialect="fenced_json",
            stop=_CHATML_STOP,
        ),
        Profile(
            family="qwen3",
            sampling=_chat(0.7, 0.8, 20),
            stop=_CHATML_STOP,
            template_extra={"enable_thinking": False},
        ),
        Profile(family="deepseek", sampling=_chat(0.6, 0.95), stop=("<｜User｜>", "<｜end▁of▁sentence｜>")),
        Profile(
            family="gemma",
            sampling=_chat(1.0, 0.95, 64),
            stop=_GEMMA_STOP,
            fallback=FORMATS["gemma"],
            system="fold",
        ),
        Profile(
            family="gemma3",
            sampling=_chat(1.0, 0.95, 64),
            stop=_GEMMA_STOP,
            fallback=FORMATS["gemma"],
            system="fold",
        ),
        Profile(
            family="gemma4",
            sampling=_chat(1.0, 0.95, 64),
            stop=("<turn|>", "<|turn>"),
            fallback=FORMATS["gemma4"],
        ),
        Profile(
            family="tinyllama",
            sampling=_chat(0.7, 0.95, 50),
            stop=("</s>", "<|user|>", "<|system|>"),
            context=2048,
            fallback=FORMATS["zephyr"],
        ),
        Profile(family="llama2", sampling=_chat(0.6, 0.9), stop=("</s>",), context=4096, fallback=FORMATS["llama2"]),
        Profile(
            family="llama3",
            sampling=_chat(0.6, 0.9),
            stop=("<|eot_id|>", "<|eom_id|>", "<|start_header_id|>"),
            fallback=FORMATS["llama3"],
        ),
        Profile(family="mistral", sampling=_chat(0.3, 0.95), stop=("</s>", "[INST]"), fallback=FORMATS["mistral"]),
        Profile(family="phi2", sampling=GREEDY, context=2048, fallback=FORMATS["plain"], stop=("\nUser:",)),
        Profile(family="phi3", sampling=GREEDY, stop=_PHI_STOP, context=4096, fallback=FORMATS["phi3"]),
        Profile(family="phi4", sampling=GREEDY, stop=_PHI_STOP, fallback=FORMATS["phi4"]),
        Profile(
            family="granite",
            sampling=GREEDY,
            stop=("<|end_of_text|>", "<|start_of_role|>"),
            fallback=FORMATS["granite"],
        ),
        Profile(
            family="lfm2",
            sampling=_chat(0.3, min_p=0.15, repeat_penalty=1.05),
            stop=_CHATML_STOP,
            fallback=FORMATS["lfm2"],
        ),
        Profile(family="bert", context=512),
    )
}


def profile_for(facts: ModelFacts) -> Profile:
    """The family's row, fitted to what this file says of itself. Unknown families get one by their template's markers.

    Pure. `context` never exceeds what the model was trained with.
    """
    row = PROFILES.get(facts.family) or _by_template(facts)
    is_base = not facts.is_chat and not facts.is_embedding
    changes: dict[str, Any] = {"family": facts.family, "is_base": is_base}
    if facts.trained_context:
        changes["context"] = min(row.context, facts.trained_context)
    if facts.template and _has_no_system_role(facts.template):
        changes["system"] = "fold"
    if is_base:
        changes["fallback"] = FORMATS["plain"]
        changes["stop"] = ("\nUser:",)
    return msgspec.structs.replace(row, **changes)


def _by_template(facts: ModelFacts) -> Profile:
    format_name = recognise_format(facts.template) or recognise_format(" ".join(facts.control_texts))
    if format_name is None:
        return Profile(family="unknown", fallback=FORMATS["plain"], stop=("\nUser:",))
    system: SystemPolicy = "fold" if format_name == "gemma" else "role"
    return Profile(family="unknown", fallback=FORMATS[format_name], stop=facts.end_texts, system=system)


def _has_no_system_role(template: str) -> bool:
    """A template that never mentions the role loses or refuses it, unless it writes whatever role it is given."""
    if "System role not supported" in template:
        return True
    writes_any_role = any(text in template for text in ("message['role'] +", "message.role +", 'message["role"] +'))
    return "system" not in template and not writes_any_role
