"""Damaged files: whatever the bytes, reading gives a header or InvalidModelFile, and nothing else."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidModelFile
from smidgen.models.detect import detect
from smidgen.models.gguf import read, read_header
from smidgen.models.memory import estimate
from smidgen.models.profiles import profile_for

INTERESTING = (b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f", b"\0" * 7 + b"\x80", b"\xff" * 4, b"\0\0\0\x80")


def survives(path: Path) -> bool:
    """True if the file was accepted; what comes after reading must then work on it too."""
    try:
        gguf = read(path)
    except InvalidModelFile as error:
        assert error.details["reason"]
        return False
    facts = detect(gguf)
    profile_for(facts)
    assert estimate(facts, gguf, context=512).total > 0
    return True


def mutated(content: bytes, rng: random.Random, reach: int) -> bytes:
    """One to four changes within the first `reach` bytes: bits, bytes, extreme numbers, insertions, deletions, cuts."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(reach, len(changed)))
        kind = rng.randrange(7)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.randrange(256)
        elif kind == 2:
            extreme = rng.choice(INTERESTING)
            changed[place : place + len(extreme)] = extreme
        elif kind == 3:
            changed[place:place] = rng.randbytes(rng.randint(1, 16))
        elif kind == 4:
            del changed[place : place + rng.randint(1, 16)]
        elif kind == 5:
            other = rng.randrange(min(reach, len(changed)))
            changed[place : place + 8] = changed[other : other + 8]
        elif rng.random() < 0.1:
            del changed[max(place, 1) :]
    return bytes(changed)


def test_four_thousand_mutations_of_a_small_model(tiny_model, saved) -> None:
    content, rng = tiny_model.build(), random.Random(20_250_101)
    assert survives(saved(content))
    reach = len(tiny_model.head())
    accepted = sum(survives(saved(mutated(content, rng, reach))) for _ in range(4000))
    assert 0 < accepted < 4000, "some changes are harmless, most are not"


def test_mutations_of_real_headers(real_models, tmp_path) -> None:
    if not real_models:
        pytest.skip("no model file on this computer: smidgen models pull smollm2-135m")
    rng = random.Random(7)
    path = min(real_models.values(), key=lambda path: path.stat().st_size)
    header = read_header(path)
    with path.open("rb") as file:
        head = file.read(header.data_offset)
    target = tmp_path / "model.gguf"
    for _ in range(100):
        # The weights aren't read: a hole of the same size stands for them.
        changed = mutated(head, rng, len(head) if rng.random() < 0.5 else 4096)
        with target.open("wb") as file:
            file.write(changed)
            file.truncate(header.file_bytes)
        survives(target)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=400), with_magic=st.booleans())
def test_any_bytes(saved, content: bytes, with_magic: bool) -> None:
    survives(saved((b"GGUF\x03\0\0\0" if with_magic else b"") + content))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_small_change_of_a_model(tiny_model, saved, data: st.DataObject) -> None:
    content = bytearray(tiny_model.build())
    reach = len(tiny_model.head())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, reach - 1))
        new = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + len(new)] = new
    survives(saved(bytes(content)))
