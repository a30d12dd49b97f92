"""Tokens of texts and texts of tokens, control tokens included, as far as an engine tells them."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.agent import AgentModel
from smidgen.messages import Prompt, Segment

Piece = str | list[int]
"""A token's text; its bytes if they are no text by themselves."""


def prompt(content: str | Sequence[int | str], *, special: bool = True) -> Prompt:
    """special: control tokens that texts spell count as such."""
    if isinstance(content, str):
        return (Segment(content, special=special),)
    parts: list[Segment] = []
    for part in content:
        if isinstance(part, str):
            parts.append(Segment(part, special=special))
        elif parts and not parts[-1].text:
            parts[-1] = Segment("", tokens=(*parts[-1].tokens, part))
        else:
            parts.append(Segment("", tokens=(part,)))
    return tuple(parts)


async def tokens(model: AgentModel, given: Prompt, *, add_special: bool = False) -> tuple[int, ...]:
    """add_special: with the token in front that the model wants at the beginning of a text, if it wants one."""
    found = await model.engine.tokenize(given)
    info = model.info
    if add_special or info is None or not info.add_bos or found[:1] != (info.bos,):
        return found
    return found if await _begins_with(model, given, info.bos) else found[1:]


async def _begins_with(model: AgentModel, given: Prompt, token: int) -> bool:
    """Whether the text itself brings that token."""
    first = next((part for part in given if part.text or part.tokens), Segment(""))
    if not first.text:
        return first.tokens[:1] == (token,)
    spelled = next((text for text in model.special if first.special and first.text.startswith(text)), "")
    return bool(spelled) and await model.engine.tokenize((Segment(spelled),)) == (token,)


async def controls(model: AgentModel) -> dict[int, str]:
    """Texts of the control tokens, which engines leave out of texts."""
    found: dict[int, str] = {}
    for text in model.special:
        known = await tokens(model, (Segment(text),))
        alone = known or await model.engine.tokenize((Segment(text),))
        if len(alone) == 1:
            found[alone[0]] = text
    return found


async def text(model: AgentModel, given: Sequence[int]) -> str:
    """With the texts of control tokens."""
    marks = await controls(model) if given else {}
    parts: list[str] = []
    run: list[int] = []
    for token in given:
        if token not in marks:
            run.append(token)
            continue
        parts += [await _plain(model, run), marks[token]]
        run = []
    return "".join([*parts, await _plain(model, run)])


async def _plain(model: AgentModel, run: Sequence[int]) -> str:
    return await model.engine.detokenize(tuple(run)) if run else ""


async def pieces(model: AgentModel, given: Sequence[int]) -> list[Piece]:
    """Of each token by itself. Several tokens that make one character between them: the bytes of all at the first, and
    none at the others."""
    marks = await controls(model) if given else {}
    alone = {token: marks.get(token) or await _plain(model, (token,)) for token in set(given)}
    found: list[Piece] = []
    index = 0
    while index < len(given):
        piece = alone[given[index]]
        if "\ufffd" not in piece:
            found.append(piece)
            index += 1
            continue
        end = index + 1
        while "\ufffd" in (whole := await _plain(model, given[index:end])) and end < min(len(given), index + 8):
            end += 1
        data = list(whole.encode())
        if len(data) == end - index:
            found += [[byte] for byte in data]
        else:
            found += [data, *([[]] * (end - index - 1))]
        index = end
    return found
