"""What a log says went wrong, and where: logs of Python, pytest, gcc, clang, rustc and node, and plain lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

LONGEST_LOG = 200_000
"""Characters of a log that are read: its end."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A place in code. line: 0 if it isn't told. code: the line's text, if the log shows it."""

    file: str
    line: int = 0
    function: str = ""
    code: str = ""

    @property
    def told(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where} in {self.function}" if self.function else where


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """error: its type or code ("KeyError", "E0382", "error"). tool: what wrote the log. frames: of the user's own code
    if any of it is, the innermost last. before: the error that this one followed. more: further errors in the log."""

    error: str
    message: str
    tool: str
    frames: tuple[Frame, ...] = ()
    before: str = ""
    more: int = 0

    @property
    def place(self) -> Frame | None:
        return self.frames[-1] if self.frames else None

    @property
    def told(self) -> str:
        said = f"{self.error}: {self.message}" if self.message else self.error
        return f"{said} ({self.place.told})" if self.place else said


_FOREIGN = re.compile(
    r"site-packages|dist-packages|[/\\]lib[/\\]python\d|node_modules|node:|^internal/|<frozen|^<(?!stdin|string)"
    r"|/rustc/|\.cargo/registry|/usr/(?:include|lib)"
)


def problem_in(log: str) -> Problem | None:
    """The error that matters most: the last one of a program that ran, the first one of a compiler. None if the log
    tells none."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", log.replace("\r\n", "\n"))[-LONGEST_LOG:]
    readers: tuple[Callable[[str], Problem | None], ...] = (_pytest, _python, _rust, _c, _node, _plain)
    return next((found for reader in readers if (found := reader(text)) is not None), None)


def _own(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    own = tuple(frame for frame in frames if not _FOREIGN.search(frame.file))
    return own or tuple(frames)


# --- Python -----------------------------------------------------------------------------------------------------------

_FRAME = re.compile(r'^[ |+]*File "(.+?)", line (\d+)(?:, in (\S+))?\n(?:([ |+]+\S.*)\n)?', re.MULTILINE)
_RAISED = re.compile(r"^[ |+]*((?:\w+\.)*[A-Za-z_]\w*)(?::[ ]?(.*))?$")
_BEGIN = "Traceback (most recent call last):"
_FOLLOWED = re.compile(r"^(?:During handling of the above|The above exception was the direct cause)", re.MULTILINE)


def _python(text: str) -> Problem | None:
    parts = text.split(_BEGIN)
    last = parts[-1] if len(parts) > 1 else text
    frames: list[Frame] = []
    end = 0
    for match in _FRAME.finditer(last):
        if end and last[end : match.start()].strip(" |+~^\n") and frames:
            break  # another text between them: what follows belongs to something else
        code = (match[4] or "").strip(" |+")
        frames.append(Frame(file=match[1], line=int(match[2]), function=match[3] or "", code=code))
        end = match.end()
        marks = re.match(r"(?:[ |+]*[~^]+[ ~^]*\n)", last[end:])
        end += marks.end() if marks else 0
    if not frames:
        return None
    for number, line in enumerate(lines := last[end:].splitlines()):
        raised = _RAISED.match(line)
        if raised and (":" in line or _is_error(raised[1])):
            message = [raised[2] or ""]
            for more in lines[number + 1 :]:
                if not more.strip() or _FOLLOWED.match(more) or more.startswith(("  File", _BEGIN)):
                    break
                message.append(more)
            earlier = re.findall(r"^((?:\w+\.)*\w+(?:Error|Exception)\b.*)$", "\n".join(parts[1:-1]), re.MULTILINE)
            before = earlier[-1] if earlier and _FOLLOWED.search("\n".join(parts[1:-1])) else ""
            own = _own(frames)
            said = " ".join(message).strip()
            return Problem(error=raised[1].rpartition(".")[2], message=said, tool="Python", frames=own, before=before)
    return None


def _is_error(name: str) -> bool:
    return name[:1].isupper() or "." in name


# --- pytest -----------------------------------------------------------------------------------------------------------

_SHORT = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:::(\S+))?(?: - (?:(\w+(?:\.\w+)*)(?:: (.*))?|(.*)))?$", re.MULTILINE)
_AT = re.compile(r"^(\S+?\.py):(\d+): (?:in (\w+)|((?:\w+\.)*[A-Z]\w*)?)$", re.MULTILINE)
_SAID = re.compile(r"^E {3,}(.*)$", re.MULTILINE)


def _pytest(text: str) -> Problem | None:
    said, places = list(_SAID.finditer(text)), list(_AT.finditer(text))
    if not said or not places:
        return None
    first = said[0]
    after = next((place for place in places if place.start() > first.start() and place[4]), None)
    short = list(_SHORT.finditer(text))
    error = after[4] if after else ""
    named = re.match(r"((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)): ?(.*)", first[1])
    if named:
        error, message = named[1], named[2]
    else:
        error, message = error or "AssertionError", first[1]
    code = ""
    for line in re.findall(r"^> {3,}(.*)$", text[: first.start()], re.MULTILINE)[-1:]:
        code = line.strip()
    chosen = [place for place in places if after is None or place.start() <= after.start()]
    frames = [
        Frame(file=place[1], line=int(place[2]), function=place[3] or "", code=code if place is chosen[-1] else "")
        for place in chosen
    ]
    if short and short[0][2] and not frames[-1].function:
        frames[-1] = msgspec.structs.replace(frames[-1], function=short[0][2].rpartition("::")[2])
    more = max(0, len(short) - 1)
    return Problem(
        error=error.rpartition(".")[2], message=message.strip(), tool="pytest", frames=_own(frames), more=more
    )


# --- compilers --------------------------------------------------------------------------------------------------------

_C = re.compile(r"^(\S+?\.\w+):(\d+)(?::(\d+))?: (fatal error|error): (.+)$", re.MULTILINE)
_LINKED = re.compile(r"^.*?(undefined reference to .+)$", re.MULTILINE)
_OBJECT = re.compile(r"([\w./-]+\.(?:c|cc|cpp|cxx)):|([\w./-]+\.o):")
_RUST = re.compile(
    r"^error(?:\[(E\d+)\])?: (.+)\n(?:.*\n)??[ \t]*--> (.+?):(\d+):\d+\n(?:[ \t]*\|\n[ \t]*\d+ \|(.*))?", re.MULTILINE
)
_PANIC = re.compile(
    r"^thread '([^'\n]+)'(?: \(\d+\))? panicked at (?:'(.*)', )?((?:[A-Za-z]:)?[^:'\n]+):(\d+):\d+:?(?:\n(.*))?$",
    re.MULTILINE,
)


def _c(text: str) -> Problem | None:
    found = list(_C.finditer(text))
    if found:
        first = found[0]
        shown = re.match(r"\n\s*\d+ \|(.*)", text[first.end() :]) or re.match(r"\n( {2,}.*)", text[first.end() :])
        within = re.search(r"In (?:member )?function ['‘](.+?)['’]", text[: first.start()])
        frame = Frame(
            file=first[1],
            line=int(first[2]),
            function=within[1] if within else "",
            code=shown[1].strip() if shown else "",
        )
        return Problem(
            error=first[4], message=_unflagged(first[5]), tool="compiler", frames=(frame,), more=len(found) - 1
        )
    linked = list(_LINKED.finditer(text))
    if linked:
        within = re.search(r"in function [`'‘](.+?)['’]", text)
        places = sorted(_OBJECT.findall(text), key=lambda found: not found[0])
        frames = (Frame(file=places[0][0] or places[0][1], function=within[1] if within else ""),) if places else ()
        return Problem(error="linker error", message=linked[0][1], tool="compiler", frames=frames, more=len(linked) - 1)
    return None


def _unflagged(message: str) -> str:
    return re.sub(r" \[-W[^\]]*\]$", "", message).strip()


def _rust(text: str) -> Problem | None:
    found = list(_RUST.finditer(text))
    if found:
        first = found[0]
        frame = Frame(file=first[3], line=int(first[4]), code=(first[5] or "").strip())
        return Problem(
            error=first[1] or "error", message=first[2].strip(), tool="rustc", frames=(frame,), more=len(found) - 1
        )
    panic = _PANIC.search(text)
    if panic:
        said = (panic[2] or panic[5] or "").strip()
        frame = Frame(file=panic[3], line=int(panic[4]), function=panic[1])
        return Problem(error="panic", message=said, tool="rustc", frames=(frame,))
    return None


# --- node -------------------------------------------------------------------------------------------------------------

_JS_ERROR = re.compile(r"^(?:Uncaught )?(\w*(?:Error|Exception|Warning))(?: \[\w+\])?: (.*)\n?", re.MULTILINE)
_JS_MESSAGE = 20
"""Lines of an error's message at most."""
_JS_FRAME = re.compile(
    r"^[ \t]+at (?:(?:async )?([\w.<>\[\] ]+?) \()?(?:file://)?([^()\s]+?):(\d+):\d+\)?$", re.MULTILINE
)


def _node(text: str) -> Problem | None:
    frames = [Frame(file=match[2], line=int(match[3]), function=match[1] or "") for match in _JS_FRAME.finditer(text)]
    if not frames or (error := _js_error(text)) is None:
        return None
    own = _own(frames)[::-1]
    code = re.search(r"^(\S+?):(\d+)\n(.+)\n\s*\^", text, re.MULTILINE)
    if code and own and own[-1].line == int(code[2]):
        own = (*own[:-1], msgspec.structs.replace(own[-1], code=code[3].strip()))
    return Problem(error=error[0], message=error[1], tool="node", frames=own)


def _js_error(text: str) -> tuple[str, str] | None:
    """The name and message of the first error whose message ends: before a frame, a blank line or the log's end."""
    for match in _JS_ERROR.finditer(text):
        message, at = [match[2]], match.end()
        while at < len(text) and len(message) <= _JS_MESSAGE:
            end = text.find("\n", at)
            line = text[at : end if end >= 0 else len(text)]
            if not line.strip() or re.match(r"[ \t]+at ", line):
                break
            message.append(line)
            at += len(line) + 1
        if len(message) <= _JS_MESSAGE:
            return match[1], " ".join(" ".join(message).split())
    return None


# --- whatever else ----------------------------------------------------------------------------------------------------

_LINE = re.compile(
    r"^.*?\b((?:[A-Z]\w*)(?:Error|Exception|Failure)|(?i:fatal|error|panic|critical|failed))\b[^:\w]*[:!]\s*"
    r"((?!0(?:\W*$|\s*[,;]))\S.*)$",
    re.MULTILINE,
)
_ANY_PLACE = re.compile(r"(?<![\w/.\\-])((?:[A-Za-z]:)?[\w./\\-]*\w\.[A-Za-z]\w{0,4}):(\d+)\b|\bat line (\d+)\b")


def _plain(text: str) -> Problem | None:
    found = list(_LINE.finditer(text))
    if not found:
        return None
    named = [match for match in found if match[1][0].isupper() and match[1].endswith(("Error", "Exception"))]
    chosen = named[-1] if named else found[0]
    places = [match for match in _ANY_PLACE.finditer(text) if match[1]]
    near = min(places, key=lambda match: abs(match.start() - chosen.start()), default=None)
    frames = (Frame(file=near[1], line=int(near[2])),) if near else ()
    return Problem(error=chosen[1].strip(), message=chosen[2].strip(), tool="log", frames=frames, more=len(found) - 1)
