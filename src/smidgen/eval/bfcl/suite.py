"""BFCL as a suite: its items, and what counts as right."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import msgspec

from smidgen.errors import ConfigError
from smidgen.eval import Bench, Item, Measured, Prepared, Request, Verdict
from smidgen.eval.bfcl.package import VERSION, Check, Package, find, load_checker
from smidgen.eval.bfcl.schema import checkable, tools
from smidgen.eval.calls import prepared
from smidgen.messages import Message, ToolCall

NON_LIVE = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance")
LIVE = (
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
TUNING = 100
"""The first items of each non-live category may be looked at while tuning; only the others prove anything."""


class Bfcl:
    name = "bfcl"
    measures: Measured = "model"
    options: Mapping[str, Any] = MappingProxyType({})
    categories = (*NON_LIVE, *LIVE)
    default_categories = NON_LIVE

    def __init__(self, package: Package, check: Check) -> None:
        self._package = package
        self._check = check
        self._entries: dict[str, tuple[list[dict[str, Any]], list[Any]]] = {}

    @classmethod
    def installed(cls) -> Bfcl:
        """Raises ConfigError if the package isn't there or its checker can't be imported."""
        package = find()
        return cls(package, load_checker(package))

    @property
    def version(self) -> str:
        return self._package.version or "unknown"

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        return {"non_live": NON_LIVE, "live": LIVE, "all": (*NON_LIVE, *LIVE)}

    @property
    def notices(self) -> tuple[str, ...]:
        if self._package.version in ("", VERSION):
            return ()
        return (f"bfcl-eval {self.version} is installed; published figures here are for {VERSION}.",)

    def fingerprint(self, category: str) -> str:
        """Of the checker and the category's data. Raises ConfigError where they aren't there."""
        digest = hashlib.sha256(_read(self._package.checker))
        digest.update(_read(self._package.questions(category)))
        if _has_answers(category):
            digest.update(_read(self._package.answers(category)))
        return digest.hexdigest()

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        """Raises ConfigError for data that can't be read."""
        lines = _lines(self._package.questions(category))
        answers: dict[str, list[Any]] = {}
        if _has_answers(category):
            answers = {line["id"]: line["ground_truth"] for line in _lines(self._package.answers(category))}
        until = len(lines) if limit is None else skip + limit
        found: list[Item] = []
        for index, line in enumerate(lines[skip:until], start=skip):
            functions: list[dict[str, Any]] = line["function"]
            expected = answers.get(line["id"], [])
            self._entries[line["id"]] = functions, expected
            found.append(
                Item(
                    id=line["id"],
                    category=category,
                    request=_request(line["question"]),
                    tools=tools(functions),
                    expected=expected if _has_answers(category) else _rule(category),
                    tuning=category in NON_LIVE and index < TUNING,
                )
            )
        return found

    async def prepare(self, bench: Bench) -> Prepared:
        return await prepared(bench, self.check)

    def check(self, item: Item, calls: Sequence[ToolCall]) -> Verdict:
        """The publisher's verdict. Where no call fits, none is right; for relevance any call is, as it has it."""
        if not _has_answers(item.category):
            correct = bool(calls) == (item.category == "live_relevance")
            return Verdict(correct=correct, reason="" if correct else f"expected {_rule(item.category)}")
        functions, answers = self._entries[item.id]
        try:
            said = self._check(
                copy.deepcopy(functions), checkable(calls, functions), copy.deepcopy(answers), item.category
            )
        except Exception as error:  # it indexes into whatever a model may have written
            return Verdict(correct=False, reason=f"the checker failed: {type(error).__name__}: {error}")
        return Verdict(correct=said.get("valid") is True, reason="" if said.get("valid") else _reason(said))


def _has_answers(category: str) -> bool:
    return "relevance" not in category


def _rule(category: str) -> str:
    return "at least one call" if category == "live_relevance" else "no call"


def _request(question: list[list[dict[str, str]]]) -> Request:
    """The item's only turn: the user's words alone where it holds nothing else."""
    turns = [msgspec.convert(turn, Message) for turn in question[0]]
    return turns[0].content if len(turns) == 1 and turns[0].role == "user" else turns


def _reason(said: Any) -> str:
    """The checker's messages, which for several calls are nested by the calls that it compared."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, dict):
            inner = cast(dict[str, Any], value)
            if "sub_error" in inner:
                return texts(inner["sub_error"])
            return [f"{key}: {text}" for key, entry in inner.items() for text in texts(entry)]
        return [text for entry in cast(list[Any], value) for text in texts(entry)] if isinstance(value, list) else []

    told = "; ".join(texts(said.get("error", []))) or "not valid"
    return f"{told} ({said['error_type']})" if said.get("error_type") else told


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"A file of bfcl-eval can't be read: {path}: {error.strerror}.", hint="Install the package again."
        ) from error


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in _read(path).split(b"\n") if line.strip()]
    except ValueError as error:
        raise ConfigError(f"{path} holds no JSON lines: {error}.", hint="Install the package again.") from error
