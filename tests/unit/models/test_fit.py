"""Memory estimates grow with what is asked, and the chosen settings stay within the budget."""

import math

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.errors import OutOfMemory
from smidgen.models.detect import detect
from smidgen.models.fit import COMFORT, choose, estimate, with_copy
from smidgen.models.gguf import Tensor, read
from smidgen.models.hardware import Gpu, Hardware
from smidgen.models.memory import GRAMMAR_BYTES, GRAMMAR_BYTES_PER_TOKEN, is_repacked, state_bytes

MB = 1_000_000
U32, BOOL, ARRAY = 4, 7, 9
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def model(tiny_model, saved):
    """A header whose figures are those of a model of about a gigabyte: the formulas read only these."""
    gguf = read(saved(tiny_model))
    facts = msgspec.structs.replace(
        detect(gguf),
        trained_context=32_768,
        layers=24,
        heads=16,
        kv_heads=8,
        layer_kv_heads=(8,) * 24,
        windowed=(False,) * 24,
        key_width=64,
        value_width=64,
        window_key_width=64,
        window_value_width=64,
        embedding_size=1024,
        feed_forward_size=4096,
        vocab_size=100_000,
        family="llama3",
    )
    weights = tuple(
        Tensor(name=f"blk.{layer}.ffn_up.weight", dims=(1024, 65_536), type=2, offset=0, nbytes=37_748_736)
        for layer in range(24)
    )
    return facts, msgspec.structs.replace(gguf, tensors=weights)


@pytest.fixture
def hardware() -> Hardware:
    return Hardware(
        physical_cores=4,
        logical_cores=8,
        cpu_quota=0.0,
        total_bytes=16_000 * MB,
        available_bytes=12_000 * MB,
        memory_limit=0,
        swap_bytes=0,
        cpu_name="test",
        simd=("avx2",),
        gpus=(),
        disk_free_bytes=0,
        system="Linux",
        machine="x86_64",
    )


def with_gpu(hardware: Hardware, free: int) -> Hardware:
    return msgspec.structs.replace(hardware, gpus=(Gpu(kind="cuda", name="test", total_bytes=free, free_bytes=free),))


# --- estimates ------------------------------------------------------------------------------------------------------


def test_the_parts_by_hand(model) -> None:
    facts, gguf = model
    found = estimate(facts, gguf, context=1000, sequences=7, simd=("avx2",))
    assert found.kv_cache == 24 * 1024 * 8 * (64 + 64) * 2, "1,000 cells are padded to 1,024"
    assert found.logits == 8 * 100_000 * 4
    assert found.weights == found.repacked == 24 * 37_748_736
    assert found.compute == 4 * 512 * (3 * 4096 + 4 * 1024) + 1024 * 2 * 512
    assert found.total == sum(
        (found.weights, found.repacked, found.kv_cache, found.compute, found.logits, found.vocabulary, found.process)
    )


def test_eight_bits_take_seventeen_thirtyseconds_of_sixteen(model) -> None:
    facts, gguf = model
    sixteen, eight = (estimate(facts, gguf, context=4096, kv_bits=bits).kv_cache for bits in (16, 8))
    assert eight * 32 == sixteen * 17


def test_windowed_layers_keep_their_windows_unless_told_otherwise(model) -> None:
    facts, gguf = model
    windowed = msgspec.structs.replace(facts, window=512, windowed=(True,) * 20 + (False,) * 4)
    full = estimate(windowed, gguf, context=32_768, sequences=3)
    small = estimate(windowed, gguf, context=32_768, sequences=3, swa_full=False)
    assert full.kv_cache == estimate(facts, gguf, context=32_768, sequences=3).kv_cache
    per_cell = 8 * (64 + 64) * 2
    assert small.kv_cache == (20 * (512 * 4 + 512) + 4 * 32_768) * per_cell


def test_recurrent_states_count_per_sequence(model) -> None:
    facts, gguf = model
    gguf = msgspec.structs.replace(gguf, metadata={"lfm2.shortconv.l_cache": 3})
    hybrid = msgspec.structs.replace(
        facts, architecture="lfm2", is_hybrid=True, layer_kv_heads=(8, 0) * 12, embedding_size=1024
    )
    assert state_bytes(hybrid, gguf, 10) == 4 * 1024 * 2 * 12 * 10
    assert state_bytes(facts, gguf, 10) == 0


@pytest.mark.parametrize(
    ("kind", "dims", "name", "simd", "expected"),
    [
        (2, (64, 64), "blk.0.attn_q.weight", ("avx2",), True),
        (12, (256, 64), "blk.0.attn_q.weight", ("avx2",), True),
        (8, (64, 64), "blk.0.attn_q.weight", ("avx2", "avx512f"), False),
        (8, (64, 64), "blk.0.attn_q.weight", ("asimd", "asimddp"), True),
        (3, (64, 64), "blk.0.attn_q.weight", ("avx2",), False),
        (10, (256, 64), "blk.0.attn_q.weight", ("avx2",), False),
        (10, (256, 64), "blk.0.attn_q.weight", ("avx2", "avx512f"), True),
        (2, (64, 63), "blk.0.attn_q.weight", ("avx2",), False),
        (2, (64, 64), "token_embd.weight", ("avx2",), False),
        (2, (64, 64), "blk.0.attn_q.weight", (), False),
    ],
)
def test_which_weights_are_copied_into_another_layout(kind, dims, name, simd, expected) -> None:
    assert is_repacked(Tensor(name=name, dims=dims, type=kind, offset=0, nbytes=1), simd) is expected


@SETTINGS
@given(
    context=st.integers(1, 100_000),
    more=st.integers(0, 50_000),
    batch=st.integers(1, 1024),
    sequences=st.integers(1, 255),
    kv_bits=st.sampled_from([8, 16]),
    swa_full=st.booleans(),
    window=st.sampled_from([0, 512]),
    layers=st.integers(0, 25),
)
def test_more_never_takes_less(model, context, more, batch, sequences, kv_bits, swa_full, window, layers) -> None:
    facts, gguf = model
    facts = msgspec.structs.replace(facts, window=window, windowed=(bool(window),) * 12 + (False,) * 12)

    def total(context: int, batch: int, sequences: int) -> int:
        found = estimate(
            facts,
            gguf,
            context=context,
            batch=batch,
            sequences=sequences,
            kv_bits=kv_bits,
            swa_full=swa_full,
            gpu_layers=layers,
        )
        assert min(getattr(found, name) for name in found.__struct_fields__) >= 0
        return found.total

    least = total(context, batch, sequences)
    assert least <= total(context + more, batch, sequences)
    assert least <= total(context, batch + more % 512, sequences)
    assert least <= total(context, batch, sequences + more % 64)


def test_layers_on_the_gpu_leave_the_machine_s_memory(model) -> None:
    facts, gguf = model
    totals = [estimate(facts, gguf, context=8192, gpu_layers=layers) for layers in range(26)]
    assert totals[0].gpu == 0 and totals[25].weights == 0 and totals[25].kv_cache == 0
    assert [found.gpu for found in totals] == sorted(found.gpu for found in totals)
    assert [found.total for found in totals] == sorted((found.total for found in totals), reverse=True)


# --- choices --------------------------------------------------------------------------------------------------------


def test_with_enough_memory_nothing_is_given_up(model, hardware) -> None:
    fit = choose(*model, hardware)
    assert (fit.context, fit.kv_bits, fit.sequences, fit.gpu_layers, fit.threads) == (8192, 16, 64, 0, 4)
    assert fit.notices == () and fit.swa_full
    options = fit.options("/a/model.gguf", sha256="00")
    assert (options.path, options.context, options.threads, options.sha256) == ("/a/model.gguf", 8192, 4, "00")


def test_things_are_given_up_in_order_and_each_is_told(model, hardware) -> None:
    facts, gguf = model
    settings_seen, codes_seen = [], []
    top = choose(facts, gguf, hardware).estimate.total
    for budget in range(top, 0, -5 * MB):
        try:
            fit = choose(facts, gguf, hardware, budget_bytes=budget, smaller_models=())
        except OutOfMemory:
            break
        assert fit.estimate.total <= budget
        found = (fit.context, fit.kv_bits, fit.sequences)
        if not settings_seen or settings_seen[-1] != found:
            settings_seen.append(found)
            codes_seen.append([notice.code for notice in fit.notices])
    assert settings_seen[:6] == [
        (8192, 16, 64),
        (4096, 16, 64),
        (2048, 16, 64),
        (2048, 8, 64),
        (1024, 8, 64),
        (512, 8, 64),
    ]
    assert settings_seen[-1] == (512, 8, 4)
    assert codes_seen[0] == [] and codes_seen[1] == ["context_reduced"]
    assert codes_seen[3] == ["context_reduced", "kv_cache_8_bit"]
    assert codes_seen[-1] == ["context_reduced", "kv_cache_8_bit", "sequences_reduced"]


def test_what_can_t_fit_is_refused_with_figures_and_a_smaller_model(model, hardware) -> None:
    smaller = [("tiny", 50 * MB), ("small", 200 * MB), ("huge", 5000 * MB)]
    with pytest.raises(OutOfMemory) as caught:
        choose(*model, hardware, budget_bytes=600 * MB, smaller_models=smaller)
    error = caught.value
    assert error.details["available_bytes"] == 600 * MB < error.details["needed_bytes"]
    assert f"{(error.details['needed_bytes'] - 600 * MB) / 1e6:,.0f} MB are missing" in error.message
    assert "'small'" in error.hint
    with pytest.raises(OutOfMemory) as caught:
        choose(*model, hardware, budget_bytes=1, smaller_models=smaller)
    assert caught.value.hint.startswith("Free memory")


def test_the_built_in_catalogue_is_asked_for_advice(model, hardware) -> None:
    with pytest.raises(OutOfMemory, match="Try the model"):
        choose(*model, hardware, budget_bytes=600 * MB)


def test_the_context_stays_within_training_and_it_is_told(model, hardware) -> None:
    fit = choose(*model, hardware, wanted_context=1_000_000)
    assert fit.context <= 32_768 and fit.notices[0].code == "context_above_training"
    assert choose(*model, hardware, wanted_context=300).context == 300


def test_a_gpu_with_room_takes_all_layers(model, hardware) -> None:
    fit = choose(*model, with_gpu(hardware, 24_000 * MB))
    assert fit.gpu_layers == 25 and fit.notices == () and fit.estimate.gpu > 0
    assert choose(*model, with_gpu(hardware, 24_000 * MB), gpu=10).gpu_layers == 10
    assert choose(*model, with_gpu(hardware, 24_000 * MB), gpu="off").gpu_layers == 0


def test_a_small_gpu_takes_some_layers_or_none_and_it_is_told(model, hardware) -> None:
    some = choose(*model, with_gpu(hardware, 700 * MB))
    assert 0 < some.gpu_layers < 25 and some.notices[-1].code == "gpu_layers_reduced"
    none = choose(*model, with_gpu(hardware, 10 * MB))
    assert none.gpu_layers == 0 and [notice.code for notice in none.notices] == ["gpu_given_up"]
    assert (none.context, none.kv_bits) == (8192, 16), "the CPU gives up nothing for the GPU's sake"


def test_a_gpu_that_shares_the_machine_s_memory_counts_against_the_budget(model, hardware) -> None:
    card = Gpu(kind="metal", name="test", total_bytes=12_000 * MB, free_bytes=9_000 * MB)
    fit = choose(*model, msgspec.structs.replace(hardware, gpus=(card,)), budget_bytes=1400 * MB)
    assert fit.gpu_layers == 25 and fit.estimate.total + fit.estimate.gpu <= 1400 * MB
    assert fit.notices, "something had to be given up"


def test_a_gpu_of_unknown_size_is_tried(model, hardware) -> None:
    card = Gpu(kind="cuda", name="test")
    assert choose(*model, msgspec.structs.replace(hardware, gpus=(card,))).gpu_layers == 25


def test_a_gpu_that_was_asked_for_and_isn_t_there_is_told(model, hardware) -> None:
    assert [notice.code for notice in choose(*model, hardware, gpu=8).notices] == ["no_gpu"]


@SETTINGS
@given(
    budget=st.integers(0, 4000 * MB),
    wanted=st.one_of(st.none(), st.integers(1, 200_000)),
    free=st.one_of(st.none(), st.integers(1, 3000 * MB)),
    sequences=st.integers(1, 64),
)
def test_a_fit_never_exceeds_its_budgets(model, hardware, budget, wanted, free, sequences) -> None:
    facts, gguf = model
    machine = hardware if free is None else with_gpu(hardware, free)
    try:
        fit = choose(
            facts, gguf, machine, wanted_context=wanted, budget_bytes=budget, sequences=sequences, smaller_models=()
        )
    except OutOfMemory as error:
        assert error.details["needed_bytes"] > budget
        return
    assert fit.estimate.total <= budget and fit.estimate.gpu <= (free or 0)
    assert 1 <= fit.context <= facts.trained_context and 1 <= fit.sequences <= sequences
    wished = min(wanted or 8192, facts.trained_context)
    degraded = fit.context < wished or fit.kv_bits == 8 or fit.sequences < sequences
    assert degraded == any(
        notice.code in ("context_reduced", "kv_cache_8_bit", "sequences_reduced") for notice in fit.notices
    )


def test_a_copy_is_opened_with_the_same_settings_and_its_own_estimate_or_not_at_all(model, hardware) -> None:
    facts, gguf = model
    larger = tuple(msgspec.structs.replace(tensor, type=8, nbytes=tensor.nbytes * 2) for tensor in gguf.tensors)
    copy = msgspec.structs.replace(gguf, tensors=larger)
    fit = choose(facts, gguf, hardware)
    wanted = estimate(facts, copy, context=fit.context, simd=hardware.simd)
    assert wanted.weights == 2 * fit.estimate.weights
    comfortable = math.ceil(wanted.total / COMFORT)
    found = with_copy(fit, facts, copy, hardware, comfortable)
    assert found == msgspec.structs.replace(fit, estimate=wanted)
    assert with_copy(fit, facts, copy, hardware, comfortable - 2) is None


def test_real_models_take_what_was_measured(real_models) -> None:
    """Resident memory of a worker after a long prompt and a constrained answer, in MiB, at a context of 8,192, 16 bits
    and 64 sequences, with AVX-512."""
    measured = {
        "SmolLM2-135M-Instruct.Q4_1.gguf": 394,
        "gemma-3-270m-q4_k_m.gguf": 708,
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf": 830,
    }
    known = {name: path for name, path in real_models.items() if name in measured}
    if not known:
        pytest.skip("none of the measured models is on this computer")
    for name, path in known.items():
        gguf = read(path)
        found = estimate(detect(gguf), gguf, context=8192, simd=("avx2", "avx512f")).total / (1 << 20)
        assert abs(found / measured[name] - 1) < 0.05, name


def test_an_embedding_model_makes_no_table_for_grammars(model) -> None:
    facts, gguf = model
    embedding = estimate(msgspec.structs.replace(facts, is_embedding=True), gguf, context=512)
    generating = estimate(facts, gguf, context=512)
    assert generating.vocabulary - embedding.vocabulary == GRAMMAR_BYTES_PER_TOKEN * facts.vocab_size
    assert generating.process - embedding.process == GRAMMAR_BYTES
