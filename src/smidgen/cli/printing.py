"""An agent's events as a person at a terminal sees them."""

from __future__ import annotations

import json
import sys
from typing import Any

from smidgen.cli import terminal
from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    Asked,
    Failed,
    FellBack,
    Finished,
    Generated,
    Notice,
    Prefilled,
    Resumed,
    Routed,
    StepStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
    Verified,
)
from smidgen.tools.visible import without_commands

_SHOWN = 300


class Printer:
    """Text goes to stdout as it comes; notices and, with `trace`, every step go to stderr. With `silent_text` the text
    is left to the caller (`--json`)."""

    def __init__(self, *, trace: bool = False, quiet: bool = False, silent_text: bool = False) -> None:
        self._trace = trace
        self._quiet = quiet
        self._silent_text = silent_text
        self._written = ""
        self._at_line_start = True

    def feed(self, event: AgentEvent) -> None:
        if isinstance(event, TextDelta):
            self._write(event.text)
        elif isinstance(event, Finished):
            self._end(event)
        elif isinstance(event, Failed):
            self.end_line()
        elif isinstance(event, Notice):
            self._note(f"note: {event.message}", always=True)
        elif isinstance(event, Resumed):
            self._note(
                f"note: the model's process died ({event.cause}) and was replaced; the answer goes on.", always=True
            )
        elif (line := trace_line(event)) is not None:
            self._note(line)

    def end_line(self) -> None:
        """So that what follows starts on a line of its own."""
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        self._written += text
        self._at_line_start = text.endswith("\n")
        if not self._silent_text:
            terminal.write(without_commands(text) if sys.stdout.isatty() else text)

    def _note(self, line: str, *, always: bool = False) -> None:
        if self._trace or (always and not self._quiet):
            if not self._at_line_start and not self._silent_text and sys.stdout.isatty():
                terminal.say("")
            terminal.say(without_commands(line))

    def _end(self, event: Finished) -> None:
        """The answer may not have been streamed, or not all of it: write what is missing."""
        if event.text.startswith(self._written):
            self._write(event.text[len(self._written) :])
        elif event.text.strip() != self._written.strip():
            self.end_line()
            self._write(event.text)
        self.end_line()
        if self._trace:
            terminal.say(statistics(event))


def trace_line(event: AgentEvent) -> str | None:
    """A step in a line, or None for events that are no step."""
    match event:
        case Routed():
            return f"route: {event.strategy} ({event.reason})"
        case StepStarted():
            return f"step {event.number}: {event.action}" + (f" {event.detail}" if event.detail else "")
        case ToolCalled():
            return f"call: {event.call.name}({arguments(event.call.arguments)})"
        case ApprovalNeeded():
            return f"approval needed{f' ({event.reason})' if event.reason else ''}: {event.preview}"
        case ToolReturned():
            result = shorten(event.result if isinstance(event.result, str) else json.dumps(event.result, default=str))
            held = f", in {event.tier}" if event.tier else ""
            return f"{'result' if event.ok else 'failed'}: {result} ({event.seconds:.2f} s{held})"
        case Verified():
            reason = f" ({event.reason})" if event.reason else ""
            return f"check: {event.check} {'passed' if event.ok else 'failed'}{reason}"
        case FellBack():
            return f"fallback: {event.from_strategy} -> {event.to_strategy} ({event.reason})"
        case Asked():
            return f"asks for: {', '.join(event.missing) or event.question}"
        case Prefilled():
            return f"prefill: {event.prompt_tokens} tokens, {event.cached_tokens} of them cached"
        case Generated():
            return f"generated: {event.usage.completion_tokens} tokens, {event.finish_reason}"
        case _:
            return None


def statistics(event: Finished) -> str:
    """One line about what an answer took."""
    usage, timings = event.usage, event.timings
    speed = f", {usage.completion_tokens / timings.decode_s:.0f} tok/s" if timings.decode_s > 0 else ""
    return (
        f"{event.model}: {event.strategy}, {usage.prompt_tokens} prompt tokens ({usage.cached_tokens} cached), "
        f"{usage.completion_tokens} new, prefill {timings.prefill_s:.2f} s, decode {timings.decode_s:.2f} s{speed}"
    )


def arguments(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={shorten(json.dumps(value, ensure_ascii=False))}" for key, value in values.items())


def shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else f"{flat[: _SHOWN - 1]}…"
