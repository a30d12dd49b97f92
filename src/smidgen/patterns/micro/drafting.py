"""Asking a model for code: continued where the text ends, or asked for in words with the answer begun for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from smidgen.agent import AgentModel
from smidgen.agent.context import SMALLEST_ANSWER
from smidgen.errors import ContextOverflow
from smidgen.messages import GenerateRequest, Message, Prompt, SamplingChange, Segment
from smidgen.patterns.micro.stubs import Stub
from smidgen.patterns.run import Run

ENDS = ("\ndef ", "\nclass ", "\nif __name__", "\nprint(", "\nassert ", "\n#", "\n@", "\n```", "\n>>>")
"""What comes behind a function, and isn't part of it."""


class Drafting(msgspec.Struct, frozen=True, kw_only=True):
    """How drafts are written. seed: added to the task's, and by one for each draft. model: "" for the task's."""

    temperature: float = 0.0
    max_tokens: int = 300
    stop: tuple[str, ...] = ENDS
    seed: int = 0
    model: str = ""


async def drafts(run: Run, asked: Sequence[Message], begun: str, how: Drafting, count: int = 1) -> list[str]:
    """Texts that go on from `begun`: the text's own beginning if nothing is asked, else the answer's. They share one
    reading of the prompt. Code repeats its names, so repeating costs nothing here. Raises ContextOverflow, and what
    the engine raises."""
    if not count:
        return []
    asking = run.asking(how.model)
    for notice in await asking.load():
        run.warn(notice.message)
    prompt = prompt_of(asking.model, asked, begun)
    room = await _room(asking.model, prompt, how.max_tokens)

    async def one(number: int) -> str:
        mine = run.asking(how.model)
        await mine.load()
        change = SamplingChange(
            temperature=how.temperature,
            seed=run.task.seed + how.seed + number,
            repeat_penalty=1.0,
            frequency_penalty=0.0,
            presence_penalty=0.0,
            top_p=0.95,
            top_k=0,
            min_p=0.0,
        )
        request = GenerateRequest(
            prompt=prompt,
            sampling=change.applied(mine.model.profile.sampling),
            max_tokens=room,
            stop=(*mine.model.profile.stop, *how.stop),
            timeout_s=mine.deadline.remaining(),
        )
        return (await mine.generated(request)).text

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(count)]
    return [task.result() for task in tasks]


def prompt_of(model: AgentModel, asked: Sequence[Message], begun: str) -> Prompt:
    """The text itself is nobody's control token."""
    head = model.template.render(list(asked)) if asked else ()
    return (*head, Segment(begun, special=False)) if begun else head


async def _room(model: AgentModel, prompt: Prompt, wanted: int) -> int:
    """Tokens that an answer may have. Raises ContextOverflow."""
    size = len(await model.engine.tokenize(prompt))
    left = model.engine.context - size - 8
    if left < SMALLEST_ANSWER:
        raise ContextOverflow(
            f"The code is too long: {size} tokens, in a context of {model.engine.context}.",
            hint="Give less of it, or open the model with a larger context.",
            prompt_tokens=size,
            context_tokens=model.engine.context,
            over_by=SMALLEST_ANSWER - left,
            part="request",
        )
    return min(wanted, left)


# --- for a function that is to be written ----------------------------------------------------------------------------


def to_write(stub: Stub) -> tuple[Message, ...]:
    text = f"Write the body of the Python function `{stub.name}`.\n\n```python\n{stub.before.rstrip()}\n```"
    return (Message(role="user", content=text),)


def to_mend(stub: Stub, program: str, told: str) -> tuple[Message, ...]:
    text = f"This Python function is wrong: {told}\n\n```python\n{program.rstrip()}\n```\n\n"
    text += f"Write `{stub.name}` again, corrected."
    return (Message(role="user", content=text),)


def opened(stub: Stub) -> str:
    """The beginning of an answer, up to where the body is to follow."""
    return f"```python\n{stub.before}"


def asserting(stub: Stub) -> str:
    """A text that goes on with asserts."""
    return f"{stub.before}{stub.indent}pass\n\n\n# check that {stub.name} is correct\nassert {stub.name}("
