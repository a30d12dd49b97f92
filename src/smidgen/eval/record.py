"""One result, and the file that results are kept in as they come: JSON lines, the first of them the run's key.

The key holds everything that a result depends on. A file with another key is another file, so that a changed model,
program, option or data set is never answered from old results; and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import smidgen
from smidgen.messages import ToolCall

_PARTS_WITHOUT_EFFECT = ("cli", "testing")
_LIBRARIES = ("llama-cpp-python", "llguidance", "jinja2")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item. `request` and `expected` are texts for people. `error`: a typed error's code and message,
    which is never right. `reason`: why it isn't correct. `calls`, `text`: the solver's outcome."""

    id: str
    category: str
    correct: bool
    reason: str = ""
    error: str = ""
    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    tuning: bool = False
    request: str = ""
    expected: Any = None
    notes: dict[str, Any] = {}


class RunKey(msgspec.Struct, frozen=True, kw_only=True):
    """What results depend on. How many items are asked for doesn't matter to any of them.

    data: hash of the suite's data and checker, by category. model_sha256: of the model's file. profile: how the model
    is run. program: hash of smidgen's source. libraries: versions. off: the solver's steps that are switched off.
    options: those of the command and of the suite. machine: since times are compared too.
    """

    suite: str
    suite_version: str
    data: dict[str, str]
    model: str
    model_sha256: str
    profile: Any
    solver: str
    off: tuple[str, ...]
    options: dict[str, Any]
    version: str
    program: str
    libraries: dict[str, str]
    machine: str

    def digest(self, category: str) -> str:
        """Of all that the results of one category depend on: 16 hexadecimal digits."""
        told = {**msgspec.to_builtins(self), "data": self.data.get(category, ""), "category": category}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def path(self, folder: Path, category: str) -> Path:
        plain = re.sub(r"[^\w.-]+", "_", f"{self.suite}-{category}-{self.model}-{self.solver}")
        return folder / f"{plain}-{self.digest(category)}.jsonl"


def program_hash(root: Path | None = None) -> str:
    """Of the package's source, uncommitted changes included, but for the parts that no result depends on."""
    root = Path(smidgen.__file__).parent if root is None else root
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root)
        if inner.parts[0] not in _PARTS_WITHOUT_EFFECT:
            digest.update(f"{inner.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    from importlib import metadata

    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


class ResultFile:
    """Records of one category under one key. `records` by item id; appending is durable line by line, and a last line
    that was cut off is forgotten. `fresh` begins again. Raises OSError where the folder can't be written."""

    def __init__(self, folder: Path, key: RunKey, category: str, *, fresh: bool = False) -> None:
        self.path = key.path(folder, category)
        self.records: dict[str, Record] = {}
        head = json.dumps({"key": msgspec.to_builtins(key), "category": category}, ensure_ascii=False)
        folder.mkdir(parents=True, exist_ok=True)
        whole = 0 if fresh or not self.path.exists() else self._read(self.path.read_bytes())
        self._file = self.path.open("r+b" if whole else "wb")
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self._write(head.encode())

    def _read(self, content: bytes) -> int:
        """Bytes that are whole lines of records; what follows the first that isn't one counts as never written."""
        position = 0
        for number, line in enumerate(content.splitlines(keepends=True)):
            if not line.endswith(b"\n"):
                break
            if number:
                try:
                    record = msgspec.json.decode(line, type=Record)
                except msgspec.DecodeError:
                    break
                self.records[record.id] = record
            position += len(line)
        return position

    def append(self, record: Record) -> None:
        self.records[record.id] = record
        self._write(msgspec.json.encode(record))

    def _write(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A solver's notes as JSON can hold them; what can't be is written as text."""
    return json.loads(json.dumps(dict(value), default=str))
