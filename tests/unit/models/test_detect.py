"""Facts come from the header: from metadata, vocabulary and template, never from the file's name."""

import msgspec
import pytest

from smidgen.models.detect import detect
from smidgen.models.families import find_family
from smidgen.models.gguf import read

U32, I32, BOOL, STRING, ARRAY = 4, 5, 7, 8, 9


@pytest.fixture
def facts_of(tiny_model, saved):
    def facts(**keys):
        for name, content in keys.items():
            kind = BOOL if isinstance(content, bool) else U32 if isinstance(content, int) else STRING
            kind = ARRAY if isinstance(content, tuple) else kind
            tiny_model.set(name.replace("__", "."), kind, content)
        return detect(read(saved(tiny_model)))

    return facts


def test_the_shape_of_a_model(facts_of) -> None:
    facts = facts_of()
    assert (facts.architecture, facts.layers, facts.embedding_size, facts.trained_context) == ("llama", 2, 64, 2048)
    assert (facts.heads, facts.kv_heads, facts.layer_kv_heads, facts.key_width) == (4, 2, (2, 2), 16)
    assert (facts.vocab_size, facts.quantization, facts.feed_forward_size) == (263, "Q4_0", 128)
    assert facts.tensor_types == {"F32": 6, "Q4_0": 8, "Q8_0": 6} and facts.can_rewind
    assert facts.parameters == 64 * 263 + 64 + 2 * (128 + 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)


def test_tokens_and_their_roles(facts_of) -> None:
    facts = facts_of()
    assert facts.bos and (facts.bos.id, facts.bos.text) == (1, "<s>")
    assert facts.eos and facts.eos.text == "</s>" and facts.add_bos
    assert facts.control_texts == ("<unk>", "<s>", "</s>", "<|user|>")
    assert facts.fim is None and facts.thinking is None


def test_whether_bos_is_added_is_what_the_file_says(facts_of) -> None:
    assert not facts_of(tokenizer__ggml__add_bos_token=False).add_bos


def test_a_token_id_outside_the_vocabulary_is_no_token(facts_of) -> None:
    assert facts_of(tokenizer__ggml__bos_token_id=9999).bos is None


def test_chat_is_seen_by_template_or_name_fields(facts_of) -> None:
    assert facts_of().is_chat, "general.name says Chat"
    assert not facts_of(general__name="Tiny").is_chat
    assert facts_of(tokenizer__chat_template="{{ messages }}").is_chat


def test_thinking_and_tool_markers_are_seen_in_the_template(facts_of) -> None:
    facts = facts_of(tokenizer__chat_template="<think></think> <tool_call>")
    assert facts.thinking == ("<think>", "</think>") and facts.tool_markers == ("<tool_call>",)


def test_windows_by_number_and_by_list(facts_of) -> None:
    assert facts_of().window == 0
    facts = facts_of(llama__attention__sliding_window=512, llama__attention__sliding_window_pattern=2)
    assert (facts.window, facts.windowed) == (512, (True, False))
    facts = facts_of(llama__attention__sliding_window_pattern=(BOOL, [False, True]))
    assert (facts.window, facts.windowed) == (512, (False, True))


def test_fill_in_the_middle_by_names_and_by_ids(tiny_model, saved) -> None:
    names = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>"]
    tokens = ["<unk>", "<s>", "</s>", *names, *(f"<0x{byte:02X}>" for byte in range(256))]
    tiny_model.set("tokenizer.ggml.tokens", ARRAY, (STRING, tokens))
    fim = detect(read(saved(tiny_model))).fim
    assert fim and (fim.prefix.id, fim.suffix.text, fim.middle.id, fim.repo) == (3, "<fim_suffix>", 5, None)
    assert fim.file and fim.file.id == 6
    tiny_model.set("tokenizer.ggml.fim_pre_token_id", U32, 7)
    fim = detect(read(saved(tiny_model))).fim
    assert fim and fim.prefix.text == "<0x00>"


@pytest.mark.parametrize(
    ("family", "metadata", "template"),
    [
        ("smollm2", {"general.architecture": "llama", "tokenizer.ggml.pre": "smollm"}, "<|im_start|>"),
        ("tinyllama", {"general.architecture": "llama", "tokenizer.ggml.tokens": [""] * 32_000}, "<|user|> eos_token"),
        ("tinyllama", {"general.architecture": "llama", "general.basename": "TinyLlama-1.1B"}, ""),
        ("llama3", {"general.architecture": "llama", "tokenizer.ggml.pre": "llama-bpe"}, "<|start_header_id|>"),
        ("llama3", {"general.architecture": "llama", "tokenizer.ggml.pre": "llama-bpe"}, ""),
        ("llama2", {"general.architecture": "llama", "tokenizer.ggml.tokens": [""] * 32_000}, "[INST]"),
        ("mistral", {"general.architecture": "llama", "general.name": "Mistral 7B"}, "[INST]"),
        ("chatml", {"general.architecture": "llama"}, "<|im_start|>"),
        ("qwen2", {"general.architecture": "qwen2", "general.name": "Qwen2.5 0.5B"}, "<|im_start|>"),
        ("qwen2.5-coder", {"general.architecture": "qwen2", "general.basename": "Qwen2.5-Coder"}, "<|im_start|>"),
        ("deepseek", {"general.architecture": "qwen2"}, "<｜User｜>"),
        ("qwen3", {"general.architecture": "qwen3"}, ""),
        ("gemma3", {"general.architecture": "gemma3"}, ""),
        ("phi3", {"general.architecture": "phi3", "tokenizer.ggml.tokens": [""] * 32_064}, ""),
        ("phi4", {"general.architecture": "phi3", "tokenizer.ggml.tokens": [""] * 200_064}, ""),
        ("granite", {"general.architecture": "granitehybrid"}, ""),
        ("lfm2", {"general.architecture": "lfm2"}, ""),
        ("bert", {"general.architecture": "nomic-bert"}, ""),
        ("unknown", {"general.architecture": "falcon"}, ""),
        ("unknown", {}, ""),
    ],
)
def test_families(family, metadata, template) -> None:
    assert find_family(metadata, template) == family


def test_a_bert_model_makes_embeddings(tiny_model, saved) -> None:
    tiny_model.keys = [(name.replace("llama.", "bert."), kind, content) for name, kind, content in tiny_model.keys]
    tiny_model.set("general.architecture", STRING, "bert").set("bert.pooling_type", U32, 1)
    facts = detect(read(saved(tiny_model)))
    assert facts.is_embedding and not facts.is_chat and facts.family == "bert"


EXPECTED = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": ("smollm2", 134_515_008, 8192, True, False, "Q4_1"),
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf": ("qwen2.5-coder", 630_167_424, 32_768, True, True, "Q4_K_M"),
    "gemma-3-270m-q4_k_m.gguf": ("gemma3", 268_098_176, 32_768, False, False, "Q4_K_M"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_models(real_models, name) -> None:
    if name not in real_models:
        pytest.skip("this model isn't on this computer: smidgen models pull")
    facts = detect(read(real_models[name]))
    found = (facts.family, facts.parameters, facts.trained_context, facts.is_chat, facts.fim is not None)
    assert (*found, facts.quantization) == EXPECTED[name]
    assert msgspec.json.decode(msgspec.json.encode(facts), type=type(facts)) == facts
