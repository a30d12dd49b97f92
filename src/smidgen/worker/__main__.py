"""`python -m smidgen.worker`: the worker over llama.cpp. The native library is imported after the first handshake."""

from __future__ import annotations

import sys
from collections.abc import Callable

from smidgen.llama import Backend
from smidgen.wire import LoadOptions
from smidgen.worker.main import run


def open_llama(options: LoadOptions, progress: Callable[[float], None]) -> Backend:
    from smidgen.llama.cpp import open_model

    return open_model(options, progress)


if __name__ == "__main__":
    sys.exit(run(open_llama, sys.argv[1:]))
