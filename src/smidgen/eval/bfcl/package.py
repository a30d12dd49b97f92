"""The user's own `bfcl-eval`: where it is, and its checker.

`pip install bfcl-eval` brings the libraries of a dozen vendors, only because its list of models imports them. The
checker asks that list one thing: whether a model's name writes dots in function names as underscores. Here calls are
given with the functions' own names, so the answer is no, and a stand-in for that one module gives it.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path
from typing import Any

import msgspec

from smidgen.errors import ConfigError

VERSION = "2026.3.23"
VARIABLE = "SMIDGEN_BFCL"
MODULE = "bfcl_eval"
MODEL_LIST = "bfcl_eval.constants.model_config"
MODEL = "smidgen"
"""As which model the checker is asked. Without underscores: it takes them for slashes."""
_INSTALL = (
    f"pip install --no-deps bfcl-eval=={VERSION}, which is enough: it needs nothing else here. "
    f"Or let {VARIABLE} name the folder of an installation."
)

Check = Callable[[list[Any], list[Any], list[Any], str], Mapping[str, Any]]
"""Function descriptions, calls, possible answers, category -> `{"valid": bool, "error": [...], ...}`."""


class Package(msgspec.Struct, frozen=True):
    """`folder` is that of the module itself. `version` is "" if it says none."""

    folder: Path
    version: str

    def questions(self, category: str) -> Path:
        return self.folder / "data" / f"BFCL_v4_{category}.json"

    def answers(self, category: str) -> Path:
        return self.folder / "data" / "possible_answer" / f"BFCL_v4_{category}.json"

    @property
    def checker(self) -> Path:
        return self.folder / "eval_checker" / "ast_eval" / "ast_checker.py"


def find(environ: Mapping[str, str] | None = None) -> Package:
    """In the folder that SMIDGEN_BFCL names, else among the installed packages. Raises ConfigError."""
    named = (os.environ if environ is None else environ).get(VARIABLE)
    if named:
        root = Path(named).expanduser()
        folder = root / MODULE if (root / MODULE).is_dir() else root
        where = f"{VARIABLE} names {named}, but bfcl-eval is not in there."
    else:
        spec = util.find_spec(MODULE)
        places = list(spec.submodule_search_locations or ()) if spec else []
        folder = Path(places[0]) if places else None
        where = "The package bfcl-eval, with the suite's data and checker, is not installed."
    if folder is None or folder.name != MODULE or not (folder / "data").is_dir():
        raise ConfigError(where, hint=_INSTALL)
    found = next(iter(metadata.distributions(name="bfcl-eval", path=[str(folder.parent)])), None)
    return Package(folder.resolve(), found.version if found else "")


def load_checker(package: Package) -> Check:
    """The publisher's `ast_checker`, unchanged. Raises ConfigError if it can't be imported."""
    before = sys.modules.get(MODULE)
    if before is not None and Path(str(before.__path__[0])).resolve() != package.folder:
        raise ConfigError(
            f"Another bfcl-eval was imported already, from {before.__path__[0]}.", hint="Start a new process."
        )
    try:
        with _importable(package.folder.parent), _stand_in():
            checker: Any = importlib.import_module(f"{MODULE}.eval_checker.ast_eval.ast_checker")
            enums: Any = importlib.import_module(f"{MODULE}.constants.enums")
        check, python = checker.ast_checker, enums.Language.PYTHON
    except ModuleNotFoundError as error:
        hint = f"pip install {error.name}" if error.name and not error.name.startswith(MODULE) else _INSTALL
        raise ConfigError(f"The checker of bfcl-eval can't be imported: {error}.", hint=hint) from error
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(f"The checker of bfcl-eval can't be used: {error}.", hint=_INSTALL) from error
    return lambda functions, calls, answers, category: check(functions, calls, answers, python, category, MODEL)


@contextmanager
def _importable(folder: Path) -> Generator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _stand_in() -> Generator[None]:
    """While the checker is imported; the checker keeps what it took, and whoever imports the list later gets it."""
    if MODEL_LIST in sys.modules:
        yield
        return
    stand_in = types.ModuleType(MODEL_LIST)
    stand_in.__dict__["MODEL_CONFIG_MAPPING"] = {MODEL: types.SimpleNamespace(underscore_to_dot=False)}
    sys.modules[MODEL_LIST] = stand_in
    try:
        yield
    finally:
        del sys.modules[MODEL_LIST]
