"""The dialects by name, as a model's profile names them."""

from __future__ import annotations

from typing import cast

from smidgen.dialects import Dialect
from smidgen.errors import ConfigError

NAMES = (
    "fenced_json",
    "python_call",
    "hermes",
    "qwen3_coder",
    "flat_xml",
    "llama3_json",
    "pythonic_list",
    "plain_lines",
)


def dialect(name: str) -> Dialect:
    """Raises ConfigError for a name that isn't there."""
    import importlib

    if name not in NAMES:
        raise ConfigError(f"There is no dialect {name!r}.", hint=f"There are: {', '.join(NAMES)}.")
    return cast(Dialect, importlib.import_module(f"smidgen.dialects.{name}"))
