"""A Python that executes what it is told to. Run in the sandbox, from its text: nothing of smidgen is to be had there.

Reads frames from its input, each a length in 4 bytes and JSON: `code`, and how much of its output to keep. Answers in
the same manner. What code writes goes to a file, its descriptors 1 and 2, so that programs it starts are heard as well.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import gc
import json
import linecache
import os
import signal
import sys
import tempfile
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

LONGEST_VALUE = 20_000
LONGEST_ERROR = 4_000
LONGEST_LINE = 200
FRAMES = 6
"""Of a traceback, the innermost that are told."""
OUTPUT = "/dev/shm"
"""Where output is kept if it can be: apart from the scratch folder, which code may have filled."""


def main() -> None:
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for handle in range(3):
        os.dup2(null, handle)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.path.insert(0, "")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for code in ("0", "0/0"):
        perform({"code": code, "keep": 1}, {}, "<code 0>")  # so that the first in earnest is as quick as the next
    tell(replies, {"ready": True})
    number, own = 0, os.getpid()
    while request := told(requests):
        number += 1
        bury()
        reply = perform(request, module.__dict__, f"<code {number}>")
        if os.getpid() != own:
            os._exit(0)  # the code has forked, and this is no interpreter but a copy of one
        tell(replies, reply)


def bury() -> None:
    """Children that were ended count as processes until their status is asked for. Those that the code still holds are
    asked by what holds them, so that it knows how they ended."""
    with contextlib.suppress(Exception):
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        if subprocess := sys.modules.get("subprocess"):
            for one in gc.get_objects():
                if issubclass(type(one), subprocess.Popen):
                    one.poll()
        if multiprocessing := sys.modules.get("multiprocessing"):
            multiprocessing.active_children()
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def told(requests: BinaryIO) -> dict[str, Any]:
    header = requests.read(4)
    return json.loads(requests.read(int.from_bytes(header, "big"))) if len(header) == 4 else {}


def tell(replies: BinaryIO, reply: dict[str, Any]) -> None:
    data = json.dumps(reply).encode()
    replies.write(len(data).to_bytes(4, "big") + data)
    replies.flush()


def perform(request: dict[str, Any], names: dict[str, Any], file: str) -> dict[str, Any]:
    with output_file() as written:
        for handle in (1, 2):
            os.dup2(written.fileno(), handle)
        os.lseek(written.fileno(), 0, os.SEEK_SET)
        own = sys.stdin, sys.stdout, sys.stderr = stream(0, "r"), stream(1, "w"), stream(2, "w")
        value, error = "", "interrupted"
        with contextlib.suppress(KeyboardInterrupt):  # it may come at any moment, while an error is put in words too
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                value, error = attempt(request["code"], names, file)
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Code may have put others in their place, or nothing.
        put: Any = (getattr(sys, "stdout", None), getattr(sys, "stderr", None))
        for written_to in (*own[1:], *put):
            with contextlib.suppress(Exception):
                written_to.flush()
        output, cut = kept(written, request["keep"])
    return {"output": output, "cut": cut, "value": sayable(value), "error": sayable(error)}


def output_file() -> Any:
    with contextlib.suppress(OSError):
        return tempfile.TemporaryFile(dir=OUTPUT)
    return tempfile.TemporaryFile()


def stream(handle: int, mode: str) -> Any:
    """Written line by line, as at a terminal: else what goes to one would come behind all that goes to the other."""
    return open(handle, mode, buffering=1, closefd=False, errors="backslashreplace")


def attempt(code: str, names: dict[str, Any], file: str) -> tuple[str, str]:
    """The value and the error, of which one at least is ""."""
    try:
        return execute(code, names, file), ""
    except KeyboardInterrupt:
        raise
    except SystemExit as ending:
        return "", "" if ending.code in (None, 0) else f"SystemExit: {said_of(ending)}"[:LONGEST_ERROR]
    except BaseException as raised:
        return "", explained(raised)


def execute(code: str, names: dict[str, Any], file: str) -> str:
    """What the last line comes to, as Python shows it, if it is an expression. Raises what the code raises."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    tree = ast.parse(code, file)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compiled(tree, file, "exec"), names)
        return ""
    tree.body.pop()
    exec(compiled(tree, file, "exec"), names)
    value = eval(compiled(ast.Expression(last.value), file, "eval"), names)
    if value is None:
        return ""
    names["_"] = value
    shown = repr(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}… ({len(shown)} characters)"


def compiled(tree: Any, file: str, mode: str) -> Any:
    return compile(tree, file, mode, dont_inherit=True)  # this file's own `from __future__` is not the code's


def explained(error: BaseException) -> str:
    """The exception, and the lines of the code it came from."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith("<code"):
            lines.append(shown(trace.tb_lineno, linecache.getline(file, trace.tb_lineno)))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and str(error.filename).startswith("<code"):
        lines.append(shown(error.lineno, error.text or ""))
        said = str(error.msg)
    else:
        said = said_of(error)
    name = type(error).__name__
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        said += " (too much was printed, or written to one file)"
    return "\n".join([*lines[-FRAMES:], f"{name}: {said}" if said else name])[:LONGEST_ERROR]


def shown(number: int | None, line: str) -> str:
    line = line.strip()
    return f"line {number}: {line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + '…'}"


def said_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(it can't be said)"


def sayable(text: str) -> str:
    """Halves of characters, which no UTF-8 can hold, are written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def kept(written: BinaryIO, most: int) -> tuple[str, int]:
    """The first and the last half of what fits, and how many bytes are between them."""
    size = written.seek(0, os.SEEK_END)
    written.seek(0)
    if size <= most:
        return written.read(size).decode("utf-8", "replace"), 0
    head = written.read(most - most // 2).decode("utf-8", "replace")
    written.seek(size - most // 2)
    tail = written.read(most // 2).decode("utf-8", "replace")  # and no more: what was left running may write on
    return f"{head}\n[... {size - most} bytes left out ...]\n{tail}", size - most


if __name__ == "__main__":
    main()
