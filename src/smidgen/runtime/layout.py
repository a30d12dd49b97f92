"""A copy of a model file with weights that this processor multiplies faster: whether one is wanted, and getting it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from smidgen.errors import DiskFull, InvalidModelFile, StoreUnwritable
from smidgen.events import Notice

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.models.detect import ModelFacts
    from smidgen.models.gguf import GGUF
    from smidgen.models.hardware import Hardware
    from smidgen.models.library import ModelFile, OnProgress
    from smidgen.models.relayout import Relayout
    from smidgen.models.store import Store
    from smidgen.wire import LoadOptions

MADE, NOT_MADE = "weights_laid_out", "weights_not_laid_out"
CODES = frozenset({MADE, NOT_MADE})


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """path: "" if the file itself must do. notices: what was made, or why it could not be."""

    path: str = ""
    notices: tuple[Notice, ...] = ()


def worth_copying(
    config: Config, header: GGUF, facts: ModelFacts, hardware: Hardware, options: LoadOptions
) -> Relayout | None:
    """The copy to open instead of the file that would be opened with `options`, memory aside; None to open the file."""
    if config.layout == "file" or options.gpu_layers or facts.is_embedding:
        return None
    from smidgen.models.relayout import helps, plan

    return plan(header) if helps(hardware.simd, options.threads) else None


def present(store: Store, file: ModelFile, relayout: Relayout) -> Copy:
    """The copy if it is here, for who only looks."""
    from smidgen.models.copies import find

    found = find(store, file.sha256, relayout)
    later = f"A copy in a layout for this processor ({relayout.bytes / 1e6:,.0f} MB) is made when it is next opened."
    return Copy(notices=(Notice(code=NOT_MADE, message=later),)) if found is None else Copy(path=str(found))


def copied(store: Store, file: ModelFile, relayout: Relayout, progress: OnProgress) -> Copy:
    """The copy, made now if it isn't here. A copy that can't be made is a notice. Raises what `progress` raises."""
    from smidgen.models.copies import find, make

    if (found := find(store, file.sha256, relayout)) is not None:
        return Copy(path=str(found))
    off = '`layout = "file"` in the configuration does without.'
    try:
        made = make(store, Path(file.path), file.sha256, relayout, progress)
    except (DiskFull, StoreUnwritable, InvalidModelFile) as error:
        told = f"No copy of {file.name} with weights that are faster on this processor could be made: {error.message}"
        return Copy(notices=(Notice(code=NOT_MADE, message=f"{told} The file itself is used; {off}"),))
    size = f"{relayout.bytes / 1e6:,.0f} MB, once"
    told = f"A copy of {file.name} was made ({size}), its weights the same but laid out for this processor; {off}"
    return Copy(path=str(made), notices=(Notice(code=MADE, message=told),))
