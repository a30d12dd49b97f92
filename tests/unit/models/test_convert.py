"""A BERT model's files into GGUF, and from there into the store like any pulled model."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.errors import ChecksumMismatch, InvalidModelFile, InvalidRequest, UnknownModel
from smidgen.models import gguf
from smidgen.models.catalog import Catalog, Entry
from smidgen.models.convert.bert import convert
from smidgen.models.convert.quantize import F16, F32, Q8_0, encode
from smidgen.models.detect import detect
from smidgen.models.library import Library
from smidgen.models.sources import ConvertedSource, FileSource, Progress
from smidgen.models.store import Store
from smidgen.testing import tiny_bert


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_bert.write(tmp_path / "tiny")
    return tmp_path / "tiny"


def zipped(folder: Path, prefix: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def made(source: Path) -> Path:
    target = source.parent / "made.gguf"
    convert(source, target, lambda done, total: None)
    return target


def change(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **changes}))


# --- what is written ------------------------------------------------------------------------------------------------


def test_the_header_is_that_of_an_embedding_model(folder: Path) -> None:
    header = gguf.read(made(folder))
    facts = detect(header)
    assert (facts.architecture, facts.is_embedding, facts.is_chat, facts.quantization) == ("bert", True, False, "F16")
    assert (facts.layers, facts.heads, facts.embedding_size, facts.trained_context) == (2, 4, 64, 64)
    assert header.metadata["bert.pooling_type"] == 1 and header.metadata["bert.attention.causal"] is False
    assert header.metadata["bert.attention.layer_norm_epsilon"] == pytest.approx(1e-12, rel=1e-6)
    ids = {key: value for key, value in header.metadata.items() if key.endswith("_token_id")}
    named = {key.split(".")[-1].removesuffix("_token_id"): value for key, value in ids.items()}
    assert named == dict(padding=0, unknown=1, bos=2, cls=2, seperator=3, mask=4)  # noqa: C408


def test_pieces_have_the_spelling_of_llama_cpp(folder: Path) -> None:
    metadata: Any = gguf.read(made(folder)).metadata
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    assert tokens[:7] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁the", "▁cat")
    assert "want" in tokens and "▁深" in tokens
    assert types[:6] == (3, 2, 3, 3, 3, 1) and set(types[6:]) == {1}


def test_a_vocabulary_smaller_than_its_embeddings_is_filled_up_with_unused_tokens(folder: Path) -> None:
    tiny_bert.write(folder, vocab_size=32)
    metadata: Any = gguf.read(made(folder)).metadata
    assert metadata["tokenizer.ggml.tokens"][-1] == "[unused31]"
    assert metadata["tokenizer.ggml.token_type"][-11:] == (5,) * 11


def test_a_vocabulary_may_come_as_lines(folder: Path) -> None:
    whole = made(folder).read_bytes()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join((*tiny_bert.SPECIAL, *tiny_bert.PIECES)) + "\n", encoding="utf-8")
    assert made(folder).read_bytes() == whole


def test_weights_are_stored_where_they_belong(folder: Path) -> None:
    weights = tiny_bert.write(folder)
    path = made(folder)
    header = gguf.read(path)
    data = path.read_bytes()[header.data_offset :]
    by_name = {tensor.name: tensor for tensor in header.tensors}
    assert len(by_name) == 5 + 2 * 16
    for ours, theirs, kind in (
        ("token_embd.weight", "embeddings.word_embeddings.weight", Q8_0),
        ("position_embd.weight", "embeddings.position_embeddings.weight", F32),
        ("token_types.weight", "embeddings.token_type_embeddings.weight", F32),
        ("token_embd_norm.bias", "embeddings.LayerNorm.bias", F32),
        ("blk.1.attn_v.weight", "encoder.layer.1.attention.self.value.weight", F16),
        ("blk.0.attn_output.bias", "encoder.layer.0.attention.output.dense.bias", F32),
        ("blk.0.attn_output_norm.weight", "encoder.layer.0.attention.output.LayerNorm.weight", F32),
        ("blk.1.ffn_up.weight", "encoder.layer.1.intermediate.dense.weight", F16),
        ("blk.0.ffn_down.weight", "encoder.layer.0.output.dense.weight", F16),
        ("blk.1.layer_output_norm.bias", "encoder.layer.1.output.LayerNorm.bias", F32),
    ):
        tensor = by_name[ours]
        assert (tensor.type, tensor.dims) == (kind, weights[theirs].shape[::-1]), ours
        assert data[tensor.offset :][: tensor.nbytes] == encode(weights[theirs], kind), ours


def test_old_names_prefixes_and_half_precision_are_read(folder: Path) -> None:
    weights = tiny_bert.write(folder)
    halves = {name: values.astype("<f2").astype("<f4") for name, values in weights.items()}
    (folder / "model.safetensors").write_bytes(tiny_bert.safetensors(halves))
    whole = made(folder).read_bytes()
    renamed = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in halves.items()
    }
    halves_16 = {name: values.astype("<f2") for name, values in renamed.items()}
    (folder / "model.safetensors").write_bytes(tiny_bert.safetensors(halves_16, "F16"))
    assert made(folder).read_bytes() == whole


def test_blocks_of_8_bits_are_near_their_numbers() -> None:
    values = np.random.default_rng(3).standard_normal((4, 64)).astype(np.float32)
    values[1] = 0.0
    values[2, :32] *= 1e-9
    packed = np.frombuffer(encode(values, Q8_0), dtype=[("scale", "<f2"), ("values", "i1", 32)])
    again = (packed["scale"].astype(np.float32)[:, None] * packed["values"]).reshape(values.shape)
    largest = np.abs(values.reshape(-1, 32)).max(axis=1).repeat(32).reshape(values.shape)
    assert (np.abs(again - values) <= largest / 127 * 0.51 + largest * 0.0006 + 1e-7).all()
    assert np.abs(packed["values"][0]).max() == 127
    assert np.frombuffer(encode(values, F16), "<f2") == pytest.approx(values.ravel(), rel=1e-3, abs=1e-7)
    with pytest.raises(ValueError, match="too large"):
        encode(np.full((1, 32), 1e30, dtype=np.float32), Q8_0)


# --- where it comes from --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["", "some/model/"])
def test_an_archive_gives_the_same_file(folder: Path, prefix: str, compression: int) -> None:
    whole = made(folder).read_bytes()
    assert made(zipped(folder, prefix, compression)).read_bytes() == whole


def test_a_damaged_archive_is_refused(folder: Path) -> None:
    path = zipped(folder, compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"__metadata__") + 5000] ^= 1  # within the weights
    path.write_bytes(data)
    with pytest.raises(InvalidModelFile, match="damaged"):
        made(path)
    for content in (b"", b"PK\x03\x04", bytes(data[: len(data) // 2]), b"x" * 1000):
        path.write_bytes(content)
        with pytest.raises(InvalidModelFile, match="neither a folder nor a zip"):
            made(path)


def test_archives_that_unpack_absurdly_or_in_unusual_ways_are_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(" " * 10_000_000)
    with pytest.raises(InvalidModelFile, match="zip bomb"):
        made(zipped(folder))
    tiny_bert.write(folder)
    with pytest.raises(InvalidModelFile, match="another way"):
        made(zipped(folder, compression=zipfile.ZIP_BZIP2))
    path = zipped(folder)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    with pytest.raises(InvalidModelFile, match="two members"):
        made(path)


def test_an_archive_of_two_models_or_none_is_refused(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for prefix in ("one/", "two/"):
            for name in ("config.json", "model.safetensors"):
                archive.write(folder / name, prefix + name)
    with pytest.raises(InvalidModelFile, match="several"):
        made(tmp_path / "two.zip")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidModelFile, match="pickle"):
        made(folder)


# --- what can't be converted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("config.json", {"model_type": "llama"}, "not a BERT model"),
        ("config.json", {"hidden_act": "relu"}, "activation"),
        ("config.json", {"position_embedding_type": "relative_key"}, "positions"),
        ("config.json", {"hidden_size": 0}, "hidden_size"),
        ("config.json", {"hidden_size": "64"}, "hidden_size"),
        ("config.json", {"hidden_size": 128}, "shape"),
        ("config.json", {"num_attention_heads": 5}, "divided"),
        ("config.json", {"num_hidden_layers": 1}, "unexpected tensor"),
        ("config.json", {"num_hidden_layers": 3}, "no tensor for blk.2"),
        ("config.json", {"layer_norm_eps": 7}, "layer_norm_eps"),
        ("config.json", {"vocab_size": 20}, "only 20 have embeddings"),
        ("tokenizer.json", {"model": {"type": "BPE"}}, "not WordPiece"),
        ("tokenizer.json", {"normalizer": None}, "normalizer"),
        ("tokenizer.json", {"normalizer": {"type": "BertNormalizer", "strip_accents": False}}, "normalizer"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "split"),
        ("tokenizer.json", {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}}, "ids"),
        ("tokenizer.json", {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 1}}}, r"\[CLS\]"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "pooling"),
    ],
)
def test_other_models_are_refused_with_the_reason(
    folder: Path, file: str, changes: dict[str, Any], reason: str
) -> None:
    change(folder, file, **changes)
    with pytest.raises(InvalidModelFile, match=reason) as caught:
        made(folder)
    assert caught.value.hint and not (folder.parent / "made.gguf").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"a": 1, "a": 2}', b"[" * 200_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_unreadable_json_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidModelFile, match=name):
        made(folder)


# --- the store ------------------------------------------------------------------------------------------------------


def test_a_converted_model_is_in_the_store_like_any_other(folder: Path, tmp_path: Path) -> None:
    library = Library(Store(tmp_path / "store"))
    told: list[Progress] = []
    model = library.convert(str(folder), told.append)
    assert model.name == "tiny" and library.resolve("tiny") == model == library.verify("tiny")
    assert Path(model.path).read_bytes() == made(folder).read_bytes()
    assert "converting" in {progress.phase for progress in told}
    assert not any((tmp_path / "store" / "partial").rglob("*.gguf"))
    assert library.pull("tiny") == model
    library.export(model, tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == Path(model.path).read_bytes()
    tiny_bert.write(folder, num_hidden_layers=1)
    changed = library.convert(str(folder))
    assert changed.name == "tiny" and changed.sha256 != model.sha256
    assert not Path(model.path).exists(), "nobody's file any more"


def test_what_can_not_be_converted_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    library = Library(Store(tmp_path / "store"))
    with pytest.raises(UnknownModel, match="no folder"):
        library.convert(str(tmp_path / "nothing"))
    change(folder, "config.json", model_type="gpt2")
    with pytest.raises(InvalidModelFile):
        library.convert(str(folder))
    with pytest.raises(InvalidRequest, match="already"):
        library.convert("smollm2-135m")
    assert library.list() == () and library.store.problems() == ()
    assert not list((tmp_path / "store").rglob("*.gguf"))


@pytest.fixture
def entry(folder: Path) -> Callable[..., Library]:
    """A library whose catalogue has the tiny model, to be made of a zip archive."""
    whole = made(folder).read_bytes()
    archive = zipped(folder)

    def build(sha256: str = "") -> Library:
        import hashlib

        known = Entry(
            name="tiny-embedder",
            file="tiny.gguf",
            bytes=len(whole),
            sha256=sha256 or hashlib.sha256(whole).hexdigest(),
            license="MIT",
            publisher="nobody",
            family="BERT",
            architecture="bert",
            kind="embedding",
            context=64,
            quantization="F16",
            sources=(ConvertedSource(source=FileSource(path=str(archive))),),
        )
        return Library(Store(folder.parent / "store"), Catalog(models=(known,), default="tiny-embedder"))

    return build


def test_pulling_a_catalogue_model_that_comes_as_weights_converts_it(entry: Callable[..., Library]) -> None:
    library = entry()
    model = library.ensure("tiny-embedder")
    assert model.license == "MIT" and model.source.endswith("converted")
    assert detect(gguf.read(model.path)).is_embedding
    assert library.convert("tiny-embedder") == library.pull("tiny-embedder") == model


def test_another_result_than_the_catalogue_knows_is_refused(entry: Callable[..., Library]) -> None:
    library = entry(sha256="0" * 64)
    with pytest.raises(ChecksumMismatch, match="another file"):
        library.pull("tiny-embedder")
    assert library.list() == ()
