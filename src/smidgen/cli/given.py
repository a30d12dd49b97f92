"""What a task of `smidgen do` works on: a file as it was read, what can be done with it, and how it is changed."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections import Counter
from pathlib import Path

import msgspec

WITH_FUNCTION = ("write-tests", "document", "write-code")
"""Tasks on Python text, which may be about one function of it."""
BOM = "\ufeff"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a task works on. raw: as it was read; text: its lines end in "\\n", and no mark of the encoding is there.
    data: the file's bytes, None for standard input. line, column: in a file to be completed."""

    text: str
    raw: str
    path: Path | None = None
    data: bytes | None = None
    line: int = 0
    column: int = 0


def plain(raw: str) -> str:
    return re.sub(r"\r\n?", "\n", raw.removeprefix(BOM))


def check_file(given: Given, task: str, *, function: str, change: bool) -> None:
    """Before any work is done. change: with --write. Raises ConfigError for a file that the task can't be done on as a
    whole, and for one that is to be changed and can't be."""
    from smidgen.errors import ConfigError

    path = given.path
    if path is None:
        return
    if task in WITH_FUNCTION:
        from smidgen.patterns.micro.answers import invalid, python_in

        is_part = python_in(given.text) != given.text
        if is_part and (task != "write-code" or change or path.suffix in (".py", ".pyi")):
            told = f"{path.name} isn't valid Python: {invalid(given.text)}."
            raise ConfigError(told, hint="Code within other text can be piped in.")
    if not change:
        return
    if task == "write-code" and not function and not lacks_a_body(given.text):
        hint = "--function NAME writes one anew, in place of the body that it has."
        raise ConfigError(f"{path.name} has no function without a body.", hint=hint)
    if task == "write-tests":
        check_free(tests_beside(path))
    elif not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise ConfigError(f"{path} is only for reading.", hint="Allow writing, or leave --write out.")


def lacks_a_body(text: str) -> bool:
    """Whether a function at its top does; what isn't valid Python is for the pattern to tell."""
    from smidgen.patterns.micro.answers import invalid, parsed
    from smidgen.patterns.micro.stubs import FunctionNode, is_empty

    return bool(invalid(text)) or any(isinstance(one, FunctionNode) and is_empty(one) for one in parsed(text).body)


def tests_beside(path: Path) -> Path:
    return path.with_name(f"test_{path.stem}.py")


def check_free(tests: Path) -> None:
    """Raises ConfigError."""
    from smidgen.errors import ConfigError

    if os.path.lexists(tests):
        raise ConfigError(f"{tests} is there already.", hint="Leave --write out to see the tests, or move it away.")


def module_of(path: Path) -> str:
    """What tests import a file as: within packages by all their names. Raises ConfigError."""
    from keyword import iskeyword

    from smidgen.errors import ConfigError

    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        names.insert(0, folder.name)
        folder = folder.parent
    if path.stem == "__init__" and len(names) > 1:
        names.pop()
    for name in names:
        if not name.isidentifier() or iskeyword(name):
            raise ConfigError(f"Tests can't import {name}: it is no name in Python.", hint="Rename it.")
    return ".".join(names)


def patch(after: str, given: Given) -> str:
    """To be applied where the command was called, or beside a file that isn't below that folder."""
    from smidgen.patterns.micro.answers import lines_of

    name = "stdin"
    if given.path:
        here = Path.cwd()
        name = given.path.relative_to(here).as_posix() if given.path.is_relative_to(here) else given.path.name
    before, changed = lines_of(given.raw), lines_of(as_it_stood(after, given))
    lines = difflib.unified_diff(before, changed, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def as_it_stood(after: str, given: Given) -> str:
    """With the line ends that the file's lines have, and its mark of the encoding. New lines end as most do."""
    from smidgen.patterns.micro.answers import lines_of

    raw = given.raw.removeprefix(BOM)
    if "\r" in raw:
        kept, new = lines_of(raw), lines_of(after)
        end = Counter(line[len(line.rstrip("\r\n")) :] or "\n" for line in kept).most_common(1)[0][0]
        matcher = difflib.SequenceMatcher(None, lines_of(given.text), new, autojunk=False)
        parts: list[str] = []
        for tag, start, stop, begin, until in matcher.get_opcodes():
            parts += kept[start:stop] if tag == "equal" else [line.replace("\n", end) for line in new[begin:until]]
        after = "".join(parts)
    return given.raw[: len(given.raw) - len(raw)] + after


def write(task: str, text: str, given: Given) -> Path:
    """Whole or not at all. Raises ConfigError for a file that changed meanwhile, and for tests that are there."""
    from smidgen.errors import ConfigError
    from smidgen.models.disk import replacing, write_atomically

    path, data = given.path, given.data
    assert path is not None and data is not None, "check_options lets no other pass"
    if task == "write-tests":
        path = tests_beside(path)
        check_free(path)
        write_atomically(path, text.encode())
        return path
    if task == "complete":
        from smidgen.patterns.micro.completing import GAP, place_in

        at = place_in(given.text, given.line, given.column)
        text = given.text[:at] + text + given.text[at:].removeprefix("" if given.line else GAP)
    if not path.is_file() or path.read_bytes() != data:
        raise ConfigError(f"{path} has changed meanwhile, so it was left as it is.", hint="Run it again.")
    mode = stat.S_IMODE(path.stat().st_mode)
    with replacing(path) as file:
        Path(file.name).chmod(mode)
        file.write(as_it_stood(text, given).encode())
    return path
