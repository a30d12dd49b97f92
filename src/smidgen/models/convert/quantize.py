"""Weights in the layouts that ggml multiplies with (block formats: ggml-common.h, rounding: ggml-quants.c)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32, F16, Q8_0 = 0, 1, 8
"""Numbers of the types in a GGUF file."""

BLOCK = 32
SMALLEST_SCALE = 2.0**-25  # half of the smallest 16-bit number: what is not larger becomes 0


def encode(values: NDArray[np.float32], kind: int) -> bytes:
    """The bytes of a tensor of type `kind`; its last axis has the rows. Raises ValueError if a number is too large for
    16 bits."""
    if kind == F32:
        return values.astype("<f4", copy=False).tobytes()
    if kind == F16:
        return _as_half(values).tobytes()
    return _as_q8_0(values)


def _as_q8_0(values: NDArray[np.float32]) -> bytes:
    """Blocks of a 16-bit scale and 32 signed bytes; the largest number of a block becomes 127 or -127."""
    blocks = values.astype("<f4", copy=False).reshape(-1, BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales > SMALLEST_SCALE)
    packed = np.empty(len(blocks), dtype=[("scale", "<f2"), ("values", "i1", BLOCK)])
    packed["scale"] = _as_half(scales[:, 0])
    packed["values"] = np.rint(blocks * inverse)
    return packed.tobytes()


def q8_0_of_q5_0(blocks: bytes) -> bytes:
    """Blocks of five bits as blocks of eight that stand for the same numbers: the scale stays, and what five bits stand
    for, -16 to 15, is written out."""
    five = np.frombuffer(blocks, dtype=[("scale", "<u2"), ("high", "u1", BLOCK // 8), ("low", "u1", BLOCK // 2)])
    eight = np.empty(len(five), dtype=[("scale", "<u2"), ("values", "i1", BLOCK)])
    eight["scale"] = five["scale"]
    values = np.unpackbits(five["high"], axis=1, bitorder="little") << 4
    values[:, : BLOCK // 2] |= five["low"] & 15
    values[:, BLOCK // 2 :] |= five["low"] >> 4
    eight["values"] = values.view(np.int8) - np.int8(16)
    return eight.tobytes()


def _as_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    if float(np.abs(values).max(initial=0.0)) > float(np.finfo(np.float16).max):
        raise ValueError("a number is too large for 16 bits")
    return values.astype("<f2")
