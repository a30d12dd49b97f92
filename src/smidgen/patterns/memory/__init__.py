"""Long conversations in a short context: a pattern around another, which gets the conversation rewritten to fit.

pattern     Memory: what is done before and after the inner pattern answers
budget      pure: how many tokens each part of the prompt may have
counting    tokens of messages in the model's own tokenizer, counted once
turns       pure: what a conversation is made of, and by which digests its messages are known
fitting     which exchanges stay as they are, and what is told of the others
summaries   older exchanges in the model's words, written while nobody waits
keeping     the facts of a conversation or a user, and the file that keeps them
recall      which facts a request is about
facts       pure: what a user says that is worth keeping, and what it corrects
sentences, statements, subjects, wording    pure: whose words a sentence is; how it is read; what it is about; how
            facts and requests are put to the model
reading     a Memory from a TOML table
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smidgen.patterns.memory.budget import Budget

if TYPE_CHECKING:
    from smidgen.patterns.memory.pattern import Memory


def __getattr__(name: str) -> Any:
    if name != "Memory":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smidgen.patterns.memory.pattern import Memory

    return Memory


__all__ = ["Budget", "Memory"]
