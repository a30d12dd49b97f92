"""The facts of a conversation, or of a user over all of theirs: read from what was said, and kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from smidgen.messages import Message
from smidgen.patterns.memory.facts import statements
from smidgen.patterns.memory.subjects import words_of
from smidgen.patterns.memory.turns import sources
from smidgen.sessions.facts import Fact, FactStore, current


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """said: all facts in their order, replaced ones included; current: those that hold. sources: of the conversation's
    user messages. sentences: of these messages, those that state facts, also ones that were forgotten. conversation: by
    which it is known. forgotten: what its messages state and the store doesn't hold any more. kept: whether the facts
    are in the store."""

    said: list[Fact]
    current: list[Fact]
    sources: list[str]
    sentences: frozenset[str]
    conversation: str
    forgotten: list[Fact]
    kept: bool = True

    @property
    def stale(self) -> frozenset[str]:
        """Numbers and names that held once and don't any more, or were forgotten."""
        holding = " ".join(fact.text for fact in self.current)
        numbers = {fact.number for fact in self.current}
        gone = (
            part
            for fact in (*self.said, *self.forgotten)
            if fact.number not in numbers
            for part in _telling(fact.value)
        )
        return frozenset(part for part in gone if part not in holding)


class Keeper:
    """user: "" keeps each conversation's facts apart. Its methods block while the file is read and written; they raise
    SessionsUnavailable."""

    def __init__(self, path: Path | None, user: str) -> None:
        self.store = FactStore(path)
        self._user = user

    def learn(self, messages: Sequence[Message]) -> Known:
        """Keeps what the user says in them and wasn't known yet."""
        said = sources(messages)
        conversation = said[0][0] if said else ""
        if not said and not self._user:
            return _known([], [], [])
        kept, stated = self._kept(conversation), self._stated(said)
        there = {(fact.source, fact.place) for fact in kept}
        new = [fact for fact in stated if (fact.source, fact.place) not in there]
        if new and self.store.keep(new, [source for source, _ in said]):
            kept = self._kept(conversation)
        return _known(self._own(kept, {source for source, _ in said}), stated, said)

    def alone(self, messages: Sequence[Message]) -> Known:
        """The same without the store: only what this conversation says."""
        said = sources(messages)
        facts = [msgspec.structs.replace(fact, number=-n) for n, fact in enumerate(self._stated(said), start=1)]
        return _known(facts, facts, said, kept=False)

    def forget(self, about: str, messages: Sequence[Message]) -> list[Fact]:
        wanted = set(words_of(about))
        if about and not wanted:
            return []
        facts = [fact for fact in self.learn(messages).said if wanted <= set(words_of(f"{fact.text} {fact.subject}"))]
        self.store.forget(facts)
        return facts

    def vectors(self, embedder: str, known: Known) -> dict[int, tuple[float, ...]]:
        return self.store.vectors(embedder, self._user, "" if self._user else known.conversation) if known.kept else {}

    def _kept(self, conversation: str) -> list[Fact]:
        return self.store.facts(self._user, "" if self._user else conversation)

    def _own(self, facts: Iterable[Fact], here: set[str]) -> list[Fact]:
        """Conversations that begin alike share nothing from where they part. Their facts are in the order in which they
        were said: those that the store let go of come back with later numbers."""
        if self._user:
            return list(facts)
        return sorted((fact for fact in facts if fact.source in here), key=lambda fact: (fact.turn, fact.place))

    def _stated(self, said: Sequence[tuple[str, str]]) -> list[Fact]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return [
            Fact(
                owner=self._user,
                conversation=said[0][0],
                source=one.source,
                place=one.place,
                turn=one.turn,
                subject=one.subject,
                text=one.text,
                value=one.value,
                said=one.said,
                created=now,
            )
            for one in statements(said)
        ]


def _known(facts: list[Fact], stated: list[Fact], said: Sequence[tuple[str, str]], *, kept: bool = True) -> Known:
    there = {(fact.source, fact.place) for fact in facts}
    return Known(
        said=facts,
        current=current(facts),
        sources=[source for source, _ in said],
        sentences=frozenset(fact.said for fact in stated),
        conversation=said[0][0] if said else "",
        forgotten=[fact for fact in stated if (fact.source, fact.place) not in there],
        kept=kept,
    )


def _telling(value: str) -> list[str]:
    """Its words with digits or capitals, which stand for it elsewhere too."""
    return [word for word in re.findall(r"[\w'’-]+", value) if len(word) > 2 and re.search(r"\d|[A-Z]", word)]
