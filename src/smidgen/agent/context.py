"""What of a conversation fits, counted in the model's own tokens. The oldest turns go first, and that is said."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from smidgen.agent import AgentModel
from smidgen.errors import ContextOverflow
from smidgen.messages import Message, Prompt

MARKS = 8
"""Tokens that a tokenizer may add of its own, at most."""

SMALLEST_ANSWER = 16
"""Tokens that an answer gets at least; a prompt leaving fewer is refused."""


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered prompt, its length in tokens or, where it fits in any case, an upper bound of that, how many older
    messages were left out, and the room for the answer."""

    prompt: Prompt
    tokens: int
    dropped: int
    room: int


async def fit(model: AgentModel, messages: Sequence[Message], answer: int) -> Fitted:
    """Render the conversation, without its oldest turns if need be, so that `answer` tokens can follow.

    The system message and everything from the last user message on stay; an answer may get less room than asked, down
    to 16 tokens, before they don't. Raises ContextOverflow, with the part that is too long and by how much.
    """
    context = model.engine.context
    head = list(messages[:1]) if messages and messages[0].role == "system" else []
    turns = list(messages[len(head) :])
    last = max((index for index, turn in enumerate(turns) if turn.role == "user"), default=0)
    budget = context - min(answer, max(context // 4, SMALLEST_ANSWER))
    dropped = 0
    while True:
        prompt = model.template.render([*head, *turns[dropped:]])
        most = _tokens_at_most(prompt)
        if most + answer <= context:
            return Fitted(prompt=prompt, tokens=most, dropped=dropped, room=context - most)
        tokens = len(await model.engine.tokenize(prompt))
        if tokens <= budget:
            return Fitted(prompt=prompt, tokens=tokens, dropped=dropped, room=context - tokens)
        if dropped >= last:
            break
        dropped = _next_cut(turns, dropped, last, tokens, budget)
    if tokens + SMALLEST_ANSWER <= context:
        return Fitted(prompt=prompt, tokens=tokens, dropped=dropped, room=context - tokens)
    alone = len(await model.engine.tokenize(model.template.render(turns[last:]))) if head else tokens
    part = "request" if not head or alone >= tokens / 2 else "system"
    over = tokens + SMALLEST_ANSWER - context
    raise ContextOverflow(
        f"The {part} is too long: {tokens} tokens, and {SMALLEST_ANSWER} for the answer, in a context of {context}.",
        hint=f"Shorten it by {over} tokens, or open the model with a larger context.",
        prompt_tokens=tokens,
        context_tokens=context,
        over_by=over,
        part=part,
    )


def _tokens_at_most(prompt: Prompt) -> int:
    """A token stands for a byte at least; some more mark the beginning. So short prompts needn't be counted, for which
    the worker would be waited for."""
    return sum(len(segment.text.encode()) for segment in prompt) + MARKS


def _next_cut(turns: list[Message], dropped: int, last: int, tokens: int, budget: int) -> int:
    """Leave out as many characters' worth as the excess is of the whole, at least one exchange, up to a user turn."""
    total = sum(len(turn.content) + 16 for turn in turns[dropped:])
    excess = total * (tokens - budget) / tokens
    gone = 0
    cut = dropped
    while cut < last and (gone < excess or turns[cut].role != "user" or cut == dropped):
        gone += len(turns[cut].content) + 16
        cut += 1
    return cut
