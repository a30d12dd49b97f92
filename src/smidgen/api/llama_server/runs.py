"""One answer to a request: what is asked of which model, and what goes back. A list of prompts and `n_cmpl` make
several."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from smidgen.agent import AgentModel
from smidgen.api.llama_server import pieces, shapes
from smidgen.api.llama_server.requests import Generating
from smidgen.api.service import Service, Told, told
from smidgen.errors import InvalidRequest, ModelNotPulled, UnknownModel
from smidgen.events import AgentEvent, Failed, Finished, Prefilled
from smidgen.messages import GenerateRequest, Prompt, Segment


class Named(msgspec.Struct, frozen=True):
    """A model: how it is loaded and what it is called. told: that another one was asked for."""

    spec: str
    name: str
    told: tuple[str, ...] = ()


def named(service: Service, asked: str | None) -> Named:
    """llama-server has one model and takes any name for it; here other names of models that are here choose those."""
    default = service.runtime.model_name
    try:
        spec = service.model(asked)
    except (UnknownModel, ModelNotPulled):
        name = service.runtime.name_of(default)
        return Named(default, name, (f"There is no model called {asked!r} here; {name} answers.",))
    return Named(spec, service.runtime.name_of(spec))


class Run:
    """model, request and prefilled are None until there are any. told: warnings for whoever asked. truncated: not all
    of the prompt was read. hidden: nothing is to be written, which an engine can't be asked for: its one token isn't
    told."""

    def __init__(self, body: Generating, index: int, warnings: Sequence[str]) -> None:
        self.body = body
        self.index = index
        self.told = list(warnings)
        self.truncated = False
        self.hidden = body.limit == 0
        self.model: AgentModel | None = None
        self.request: GenerateRequest | None = None
        self.prefilled: Prefilled | None = None
        self.tokens: tuple[int, ...] = ()

    @property
    def max_tokens(self) -> int | None:
        return 1 if self.hidden else self.body.limit

    def loaded(self) -> AgentModel:
        """Raises InvalidRequest before there is a model."""
        if self.model is None:
            raise InvalidRequest("The model isn't loaded yet.")
        return self.model

    async def count(self, text: str) -> int:
        return len(await pieces.tokens(self.loaded(), (Segment(text, special=False),)))

    async def seen(self, events: AsyncGenerator[AgentEvent, None]) -> AsyncGenerator[AgentEvent, None]:
        """The events, while what the answer tells of them is noted."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Prefilled):
                    self.prefilled = event
                elif isinstance(event, Finished) and self.body.return_tokens and event.text and not self.hidden:
                    self.tokens = await pieces.tokens(self.loaded(), (Segment(event.text, special=False),))
                yield event
                if isinstance(event, Finished | Failed):
                    return

    # --- what goes back -----------------------------------------------------------------------------------------------

    def answer(self, end: Finished, events: Sequence[AgentEvent], *, streamed: bool = False) -> dict[str, Any]:
        """The whole answer, or the last piece of a streamed one."""
        text = "" if self.hidden else end.text
        used = msgspec.structs.replace(end.usage, completion_tokens=0) if self.hidden else end.usage
        spent = msgspec.structs.replace(end.timings, decode_s=0.0) if self.hidden else end.timings
        found: dict[str, Any] = {
            "index": self.index,
            "content": "" if streamed else text,
            "tokens": self.tokens,
            "id_slot": max(self.body.id_slot or 0, 0),
            "stop": True,
            "model": end.model,
            "tokens_predicted": used.completion_tokens,
            "tokens_evaluated": used.prompt_tokens,
            "tokens_cached": used.cached_tokens,
            "generation_settings": self._settings(),
            "prompt": self._prompt(),
            "has_new_line": "\n" in text,
            "truncated": self.truncated,
            "stop_type": "limit" if self.hidden else shapes.stop_type(end),
            "stopping_word": end.stop_string,
            "timings": shapes.timings(used, spent),
            "smidgen": self._told(end, events),
        }
        if self.body.n_probs and not streamed:
            found["completion_probabilities"] = shapes.probabilities(events, self.body.n_probs)
        return found

    def _settings(self) -> dict[str, Any]:
        if self.request is None or self.model is None:
            return {}
        asked = msgspec.structs.replace(self.request, max_tokens=self.body.limit)
        return shapes.settings(asked, self.model.engine.context)

    def _prompt(self) -> str:
        prompt: Prompt = self.request.prompt if self.request else ()
        return "".join(segment.text for segment in prompt)

    def _told(self, end: Finished, events: Sequence[AgentEvent]) -> Told:
        tell = told(end, events)
        more = list(self.told)
        if self.tokens:
            more.append("tokens are those of the text as the model reads it, which may be others than it wrote.")
        if any(part.tokens for part in (self.request.prompt if self.request else ())):
            more.append("prompt has only those parts of the prompt that came as text.")
        if end.finish_reason == "deadline":
            more.append("The time limit ended the answer.")
        return msgspec.structs.replace(tell, warnings=tuple(dict.fromkeys((*tell.warnings, *more))))
