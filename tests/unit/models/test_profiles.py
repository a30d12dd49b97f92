"""Each family's row, and what is done for files of no known family."""

from typing import get_args

import msgspec
import pytest

from smidgen.dialects.choose import NAMES
from smidgen.messages import Message
from smidgen.models.chat_formats import FORMATS
from smidgen.models.detect import detect
from smidgen.models.families import RULES
from smidgen.models.gguf import read
from smidgen.models.profiles import PROFILES, Dialect, profile_for
from smidgen.models.template import ChatTemplate

CONVERSATION = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hello"),
    Message(role="assistant", content="Hi."),
    Message(role="user", content="Bye"),
)

WRITTEN = {
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama2": "[BOS][INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello [/INST] Hi. [EOS][BOS][INST] Bye [/INST]",
    "llama3": (
        "[BOS]<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHi.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "mistral": "[BOS][INST] Be brief.\n\nHello [/INST] Hi.[EOS][INST] Bye [/INST]",
    "gemma": (
        "[BOS]<start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\nHi.<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    ),
    "gemma4": (
        "[BOS]<|turn>system\nBe brief.<turn|>\n<|turn>user\nHello<turn|>\n<|turn>model\nHi.<turn|>\n"
        "<|turn>user\nBye<turn|>\n<|turn>model\n"
    ),
    "zephyr": (
        "<|system|>\nBe brief.[EOS]\n<|user|>\nHello[EOS]\n<|assistant|>\nHi.[EOS]\n<|user|>\nBye[EOS]\n<|assistant|>\n"
    ),
    "phi3": (
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi.<|end|>\n<|user|>\nBye<|end|>\n"
        "<|assistant|>\n"
    ),
    "phi4": "<|system|>Be brief.<|end|><|user|>Hello<|end|><|assistant|>Hi.<|end|><|user|>Bye<|end|><|assistant|>",
    "granite": (
        "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n"
        "<|start_of_role|>user<|end_of_role|>Hello<|end_of_text|>\n"
        "<|start_of_role|>assistant<|end_of_role|>Hi.<|end_of_text|>\n"
        "<|start_of_role|>user<|end_of_role|>Bye<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"
    ),
    "lfm2": (
        "[BOS]<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    ),
    "plain": "Be brief.\n\nUser: Hello\nAssistant: Hi.\nUser: Bye\nAssistant:",
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_writes_its_family_s_markers(name) -> None:
    template = ChatTemplate(FORMATS[name], bos="[BOS]", eos="[EOS]")
    (segment,) = template.render(CONVERSATION)
    assert segment.text == WRITTEN[name] and not template.notices


def test_every_family_that_is_told_apart_has_a_row(new_gguf) -> None:
    class Clues:
        vocab_size, names, squashed, template, pretokenizer = 0, "", "", "", ""

    fixed = {rule(Clues()) for name, rule in RULES.items() if name not in ("llama", "qwen2", "qwen2moe")}
    told = fixed | {
        "llama2",
        "llama3",
        "smollm2",
        "tinyllama",
        "chatml",
        "mistral",
        "qwen2",
        "qwen2.5-coder",
        "deepseek",
    }
    assert told <= set(PROFILES)
    assert {"smollm2", "qwen2", "gemma3", "tinyllama", "phi3", "granite", "lfm2", "llama3"} <= told


def test_rows_are_sane() -> None:
    for family, row in PROFILES.items():
        assert row.family == family and row.fallback in FORMATS.values() and row.context >= 512
        assert 0 <= row.sampling.temperature <= 1 and 0 < row.sampling.top_p <= 1 and row.sampling.repeat_penalty >= 1
        assert row.tool_sampling.temperature == 0 and row.dialect in ("fenced_json", "python_call")
    assert PROFILES["qwen2.5-coder"].dialect == "fenced_json"


@pytest.fixture
def facts(tiny_model, saved):
    return detect(read(saved(tiny_model)))


def changed(facts, **fields):
    return msgspec.structs.replace(facts, **fields)


def test_the_context_never_exceeds_training(facts) -> None:
    assert profile_for(changed(facts, family="llama3", trained_context=512)).context == 512
    assert profile_for(changed(facts, family="llama3", trained_context=131_072)).context == 8192


def test_a_base_model_is_said_to_be_one(facts) -> None:
    profile = profile_for(changed(facts, family="gemma3", is_chat=False))
    assert profile.is_base and profile.fallback == FORMATS["plain"] and profile.stop == ("\nUser:",)


@pytest.mark.parametrize(
    ("template", "system"),
    [
        ("{% for m in messages %}{{ m['role'] }}{{ raise_exception('System role not supported') }}", "fold"),
        ("{% for message in messages %}{{ message['role'] + message['content'] }}{% endfor %}", "role"),
        ("{% if message.role == 'user' %}u{% else %}a{% endif %}", "fold"),
        ("{% if message.role == 'system' %}s{% endif %}", "role"),
    ],
)
def test_system_text_is_folded_where_a_template_has_no_such_role(facts, template, system) -> None:
    assert profile_for(changed(facts, family="llama3", template=template)).system == system


@pytest.mark.parametrize(
    ("template", "control_texts", "name"),
    [
        ("<|im_start|>", (), "chatml"),
        ("<start_of_turn>", (), "gemma"),
        ("<|start_of_role|>", (), "granite"),
        ("", ("<|im_start|>", "<|im_end|>"), "chatml"),
        ("", (), "plain"),
        ("[INST]", (), "mistral"),
    ],
)
def test_an_unknown_family_gets_the_format_of_its_markers(facts, template, control_texts, name) -> None:
    profile = profile_for(changed(facts, family="unknown", template=template, control_texts=control_texts))
    assert profile.family == "unknown" and profile.fallback == FORMATS[name]


def test_a_profile_may_name_every_dialect_that_there_is() -> None:
    assert set(get_args(Dialect)) == set(NAMES)
