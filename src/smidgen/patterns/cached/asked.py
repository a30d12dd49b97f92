"""What a request is the same by."""

from __future__ import annotations

import enum
import functools
import hashlib
import itertools
import os
import re
import threading
import types
import unicodedata
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from importlib.metadata import version
from pathlib import PurePath
from typing import Any, cast

import msgspec

from smidgen.messages import Message
from smidgen.patterns import Task
from smidgen.patterns.cached.settings import Scope

CHANGING = frozenset({"smidgen.patterns.memory.pattern.Memory", "smidgen.patterns.verified.programs.Sql"})
"""Parts of patterns whose answers rest on what lies outside of the conversation, as those of tools that read do."""

_DEEPEST = 40
_TOLD: tuple[type[Any], ...] = (PurePath, enum.Enum)
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_STATELESS = (type(threading.Lock()), type(threading.RLock()))
_OF_PYTHON = 1 << 9
"""In the flags of classes that were made by a class statement; others hold more than their attributes."""
_NUMBERS = itertools.count()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """key: of exactly this request. group: of all requests that differ in the user's last words only. text: these
    words, "" where the conversation doesn't end in any."""

    key: bytes
    group: bytes
    text: str


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Of a pattern with all that it holds. lasting: it is the same in another process. changing: parts of `CHANGING`
    that are in it."""

    digest: bytes
    lasting: bool = True
    changing: tuple[str, ...] = ()


def asked(task: Task, model: str, pattern: bytes, scope: Scope) -> Asked:
    messages = [_normalised(message) for message in task.messages]
    last = messages[-1]
    if scope == "user text" and last.role == "user":
        messages = [*(message for message in messages if message.role == "system"), last]
    head: list[Any] = [model, pattern.hex(), task.max_tokens]
    if scope == "all":
        head.append(task.seed)
    text = last.content if last.role == "user" else ""
    return Asked(key=_digest([head, messages]), group=_digest([head, messages[:-1]]), text=text)


def _normalised(message: Message) -> Message:
    """Spelt alike: composed characters, one kind of line end, no white space around."""
    content = unicodedata.normalize("NFC", message.content).replace("\r\n", "\n").strip()
    return msgspec.structs.replace(message, content=content)


def _digest(value: object) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=20).digest()


def fingerprint(pattern: object) -> Fingerprint:
    """As the pattern is now: what it keeps of its runs later isn't looked at."""
    reading = _Reading()
    described = reading.described(pattern, 0)
    digest = _digest([version("smidgen"), described])
    return Fingerprint(digest=digest, lasting=reading.lasting, changing=tuple(sorted(reading.changing)))


class _Reading:
    """Objects as JSON-able values that are equal for equal objects. What can't be looked into gets a value of its own,
    which is nobody else's."""

    def __init__(self) -> None:
        self.lasting = True
        self.changing: set[str] = set()
        self._within: set[int] = set()

    def described(self, value: Any, depth: int) -> Any:
        kind = _kind(value)
        if kind in _PLAIN or any(issubclass(kind, one) for one in _TOLD):
            return [_name(kind), repr(value)]
        if depth > _DEEPEST or id(value) in self._within:
            return ["within itself"] if id(value) in self._within else self._unknown()
        self._within.add(id(value))
        try:
            return self._composed(value, depth + 1)
        finally:
            self._within.discard(id(value))

    def _composed(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            pairs = cast("Mapping[Any, Any]", value).items()
            return [
                "mapping",
                sorted(([self.described(k, depth), self.described(v, depth)] for k, v in pairs), key=repr),
            ]
        if isinstance(value, Set):
            return ["set", sorted((self.described(one, depth) for one in cast("Set[Any]", value)), key=repr)]
        if isinstance(value, Sequence):
            return ["sequence", [self.described(one, depth) for one in cast("Sequence[Any]", value)]]
        if isinstance(value, type):
            return ["type", _name(value)]
        if isinstance(value, functools.partial):
            made = cast("functools.partial[Any]", value)
            return ["partial", self.described([made.func, made.args, made.keywords], depth)]
        if isinstance(value, types.MethodType):
            return ["method", value.__name__, self.described(value.__self__, depth)]
        if isinstance(value, types.FunctionType):
            return self._function(value, depth)
        if isinstance(value, types.BuiltinFunctionType):
            of = None if isinstance(value.__self__, types.ModuleType) else self.described(value.__self__, depth)
            return ["built in", value.__module__, value.__qualname__, of]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, re.Pattern):
            expression = cast("re.Pattern[Any]", value)
            return ["expression", repr(expression.pattern), expression.flags]
        if isinstance(value, types.CodeType):
            parts = [value.co_code, value.co_consts, value.co_names]
            return ["code", value.co_qualname, self.described(parts, depth)]
        if isinstance(value, _STATELESS):
            return ["lock"]
        return self._object(value, depth)

    def _function(self, function: types.FunctionType, depth: int) -> Any:
        cells: list[Any] = []
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # one that isn't filled yet
                cells.append(cell.cell_contents)
        parts = [function.__code__, function.__defaults__, function.__kwdefaults__, cells]
        return ["function", function.__module__, function.__qualname__, self.described(parts, depth)]

    def _object(self, value: Any, depth: int) -> Any:
        kind = _kind(value)
        # A check of SQL on empty tables has no database, and changes nothing.
        if _name(kind) in CHANGING and getattr(value, "database", True):
            self.changing.add(kind.__name__)
        if issubclass(kind, msgspec.Struct):
            fields: dict[str, Any] = {name: getattr(value, name) for name in kind.__struct_fields__}
        elif hasattr(value, "__dict__") and all(one.__flags__ & _OF_PYTHON for one in kind.__mro__[:-1]):
            members = [pair for one in kind.__mro__ for pair in vars(one).items()]
            slots = [name for name, member in members if isinstance(member, types.MemberDescriptorType)]
            fields = {**{name: getattr(value, name) for name in slots if hasattr(value, name)}, **vars(value)}
        else:
            return self._unknown()
        return ["object", _name(kind), self.described(cast("object", fields), depth)]

    def _unknown(self) -> Any:
        self.lasting = False
        return ["unknown", os.getpid(), next(_NUMBERS)]


def _kind(value: Any) -> type[Any]:
    return cast("type[Any]", type(value))


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
