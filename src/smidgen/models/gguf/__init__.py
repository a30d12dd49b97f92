"""GGUF files, read with bounds on everything: nothing in a file is trusted until it was checked.

`read` returns the header as frozen data or raises InvalidModelFile, on any bytes whatever. The weights themselves are
never read, only their places are checked.
"""

from __future__ import annotations

from pathlib import Path

from smidgen.models.gguf.checks import LAYER, check_model
from smidgen.models.gguf.format import GGML_TYPES, GGUF, Array, GgmlType, Tensor, Value
from smidgen.models.gguf.reader import read_header

__all__ = ["GGML_TYPES", "GGUF", "LAYER", "Array", "GgmlType", "Tensor", "Value", "check_model", "read", "read_header"]


def read(path: Path | str) -> GGUF:
    """The header of a model file, with its structure checked and the fields that ggml trusts cross-checked.

    Raises InvalidModelFile with `reason` and `offset` (bytes from the start of the file) in its details, and nothing
    else. Takes about 0.2 s for a vocabulary of 260,000 tokens.
    """
    gguf = read_header(Path(path))
    check_model(gguf)
    return gguf
