"""What happens in `smidgen chat`: messages, slash commands, and stopping an answer."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen.cli import exits, terminal
from smidgen.errors import SmidgenError

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.events import Finished
    from smidgen.runtime.chat import Chat
    from smidgen.runtime.runtime import Runtime

HELP = """/model [NAME]    show the model, or go on with another one
/tools [A,B]     show the tools, or give others; /tools none takes them away
/system [TEXT]   show the instructions, or set others; /system none removes them
/clear           forget what was said
/save FILE       write the conversation, as JSON if FILE ends in .json, else as Markdown
/stats           what the last answer took
/quit            leave; so does Ctrl-D
Alt-Enter or a \\ at the end of a line starts a new line; \"\"\" begins and ends a longer text.
Ctrl-C stops an answer, Ctrl-D leaves."""


async def converse(arguments: argparse.Namespace, config: Config) -> int:
    from smidgen.cli.prompting import Reader
    from smidgen.runtime.runtime import Runtime

    async with Runtime(config) as runtime:
        session = Session(runtime, arguments)
        if not await session.stoppable(session.start()):
            return exits.INTERRUPTED
        reader = Reader(config.home_path() / "chat_history")
        if reader.interactive:
            terminal.say(f"{session.chat.agent.model}. /help lists commands, Ctrl-D leaves.", quiet=arguments.quiet)
        while (text := await reader.read()) is not None:
            if not text.strip():
                continue
            if text.startswith("/"):
                if not await session.command(text):
                    break
            else:
                await session.stoppable(session.answer(text))
    return session.status if not reader.interactive else exits.OK


class Session:
    """The conversation with what can be changed about it while it goes on. `status` is the last failure's, for piped
    input."""

    def __init__(self, runtime: Runtime, arguments: argparse.Namespace) -> None:
        self._runtime = runtime
        self._arguments = arguments
        self._system: str = arguments.system
        self._last: Finished | None = None
        self.status = exits.OK
        self.chat = self._make()

    async def start(self) -> None:
        from smidgen.cli.preparing import make_ready

        await make_ready(self._runtime, self._arguments)

    async def stoppable(self, work: Coroutine[Any, Any, None]) -> bool:
        """Await it; Ctrl-C cancels just this. False if it was stopped. Typed errors are reported, not raised."""
        from smidgen.cli.process import on_signal

        task = asyncio.create_task(work)
        try:
            with on_signal(signal.SIGINT, lambda: task.cancel()):
                await task
        except asyncio.CancelledError:
            if not task.cancelled() or _being_cancelled():
                raise
            terminal.say("(stopped)")
            return False
        except SmidgenError as error:
            self.status = exits.exit_status(error)
            terminal.report(error.info())
        return True

    async def answer(self, text: str) -> None:
        from smidgen.cli.printing import Printer
        from smidgen.events import Failed, Finished

        printer = Printer(trace=self._arguments.trace, quiet=self._arguments.quiet)
        async with aclosing(self.chat.astream(text)) as events:
            try:
                async for event in events:
                    printer.feed(event)
                    if isinstance(event, Failed):
                        raise event.error.to_exception()
                    if isinstance(event, Finished):
                        self._last = event
                        for warning in event.warnings:
                            terminal.say(f"note: {warning}", quiet=self._arguments.quiet)
            finally:
                printer.end_line()

    async def command(self, line: str) -> bool:
        """Do what a line that begins with a slash says. False to leave."""
        name, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        match name:
            case "/quit" | "/exit":
                return False
            case "/help":
                terminal.say(HELP)
            case "/clear":
                self.chat.clear()
                terminal.say("Forgotten.")
            case "/stats":
                self._show_statistics()
            case "/save":
                self._save(rest)
            case "/model" | "/tools" | "/system":
                await self.stoppable(self._change(name, rest))
            case _:
                terminal.say(f"error: there is no command {name}.\nhint: /help lists them.")
        return True

    async def _change(self, name: str, value: str) -> None:
        """Another model, tools or instructions; the old ones stay if the new ones can't be had."""
        from smidgen.cli.preparing import make_ready

        arguments, before = self._arguments, self.chat
        if name == "/model" and value:
            arguments.model, old = value, self._runtime.model_name
            try:
                self._runtime.use(value)
                await make_ready(self._runtime, arguments)
                await self._runtime.aload()
            except BaseException:
                self._runtime.use(old)
                arguments.model = old
                raise
        elif name == "/tools" and value:
            old_tools = arguments.tools, arguments.no_tools
            arguments.tools = () if value == "none" else tuple(part.strip() for part in value.split(","))
            arguments.no_tools = False
            try:
                self._make()
            except BaseException:
                arguments.tools, arguments.no_tools = old_tools
                raise
        elif name == "/system" and value:
            self._system = "" if value == "none" else value
        if value:
            self.chat = self._make(before)
        shown = {
            "/model": self.chat.agent.model,
            "/tools": ", ".join(tool.spec.name for tool in self.chat.agent.tools) or "no tools",
            "/system": self._system or "no instructions",
        }
        terminal.say(shown[name])

    def _make(self, before: Chat | None = None) -> Chat:
        from smidgen.cli.preparing import agent_for

        agent = agent_for(self._runtime, self._arguments, self._system)
        return agent.chat(before.messages if before else ())

    def _show_statistics(self) -> None:
        from smidgen.cli.printing import statistics

        terminal.say(statistics(self._last) if self._last else "Nothing was answered yet.")

    def _save(self, name: str) -> None:
        if not name:
            terminal.say("error: no file was named.\nhint: /save talk.md")
            return
        path = Path(name).expanduser()
        try:
            path.write_text(_as_text(self.chat, path.suffix == ".json"), encoding="utf-8")
        except OSError as error:
            terminal.report(terminal.unexpected(error))
        else:
            terminal.say(f"Saved in {path}.")


def _as_text(chat: Chat, as_json: bool) -> str:
    if as_json:
        import json

        import msgspec

        return json.dumps(msgspec.to_builtins(chat.messages), ensure_ascii=False, indent=2) + "\n"
    parts = [f"**{message.role}**\n\n{message.content}\n" for message in chat.messages if message.content]
    return "\n".join(parts)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
