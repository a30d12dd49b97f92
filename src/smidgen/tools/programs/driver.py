"""A Python that executes what it is told to. Run in the sandbox, from its text: nothing of smidgen is to be had there.

Reads frames from its input, each a length in 4 bytes and JSON: `code`, and how much of its output to keep. Answers in
the same manner. What code writes goes to a file, its descriptors 1 and 2, so that programs it starts are heard as well.
"""

from __future__ import annotations

import ast
import contextlib
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
FRAMES = 6
"""Of a traceback, the innermost that are told."""


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
        reply = perform(request, module.__dict__, f"<code {number}>")
        if os.getpid() != own:
            os._exit(0)  # the code has forked, and this is no interpreter but a copy of one
        tell(replies, reply)


def told(requests: BinaryIO) -> dict[str, Any]:
    header = requests.read(4)
    return json.loads(requests.read(int.from_bytes(header, "big"))) if len(header) == 4 else {}


def tell(replies: BinaryIO, reply: dict[str, Any]) -> None:
    data = json.dumps(reply).encode()
    replies.write(len(data).to_bytes(4, "big") + data)
    replies.flush()


def perform(request: dict[str, Any], names: dict[str, Any], file: str) -> dict[str, Any]:
    with tempfile.TemporaryFile() as written:
        for handle in (1, 2):
            os.dup2(written.fileno(), handle)
        os.lseek(written.fileno(), 0, os.SEEK_SET)
        sys.stdin, sys.stdout, sys.stderr = stream(0, "r"), stream(1, "w"), stream(2, "w")
        value, error = "", ""
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            value = execute(request["code"], names, file)
        except KeyboardInterrupt:
            error = "interrupted"
        except SystemExit as ending:
            error = "" if ending.code in (None, 0) else f"SystemExit: {ending.code}"[:LONGEST_ERROR]
        except BaseException as raised:
            error = explained(raised)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        for written_to in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                written_to.flush()
        output, cut = kept(written, request["keep"])
    return {"output": output, "cut": cut, "value": value, "error": error}


def stream(handle: int, mode: str) -> Any:
    return open(handle, mode, closefd=False, errors="backslashreplace")


def execute(code: str, names: dict[str, Any], file: str) -> str:
    """What the last line comes to, as Python shows it, if it is an expression. Raises what the code raises."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    tree = ast.parse(code, file)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, file, "exec"), names)
        return ""
    tree.body.pop()
    exec(compile(tree, file, "exec"), names)
    value = eval(compile(ast.Expression(last.value), file, "eval"), names)
    if value is None:
        return ""
    names["_"] = value
    shown = repr(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}… ({len(shown)} characters)"


def explained(error: BaseException) -> str:
    """The exception, and the lines of the code it came from."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith("<code"):
            text = linecache.getline(file, trace.tb_lineno).strip()
            lines.append(f"line {trace.tb_lineno}: {text}")
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and str(error.filename).startswith("<code"):
        lines.append(f"line {error.lineno}: {(error.text or '').strip()}")
        said = error.msg
    else:
        try:
            said = str(error)
        except Exception:
            said = "(it can't be said)"
    name = type(error).__name__
    return "\n".join([*lines[-FRAMES:], f"{name}: {said}" if said else name])[:LONGEST_ERROR]


def kept(written: BinaryIO, most: int) -> tuple[str, int]:
    """The first and the last half of what fits, and how many bytes are between them."""
    size = written.seek(0, os.SEEK_END)
    written.seek(0)
    if size <= most:
        return written.read().decode("utf-8", "replace"), 0
    head = written.read(most - most // 2).decode("utf-8", "replace")
    written.seek(size - most // 2)
    return f"{head}\n[... {size - most} bytes left out ...]\n{written.read().decode('utf-8', 'replace')}", size - most


if __name__ == "__main__":
    main()
