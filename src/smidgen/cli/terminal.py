"""Where things are written: the answer to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys

import msgspec

from smidgen.errors import ErrorInfo, SmidgenError


def say(text: str, *, quiet: bool = False) -> None:
    """A line to stderr, unless `quiet`."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def write(text: str) -> None:
    """Text to stdout at once: what a model writes slowly is read as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_json(value: object) -> None:
    write(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2) + "\n")


def report(error: ErrorInfo, *, as_json: bool = False) -> None:
    """`error: …` and `hint: …` on stderr; with `as_json` an object with `error` on stdout."""
    if as_json:
        write_json({"error": error})
        return
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def unexpected(error: BaseException) -> ErrorInfo:
    """An exception that should have been a typed error, as one."""
    if isinstance(error, SmidgenError):
        return error.info()
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return ErrorInfo(code="os_error", message=f"{error.strerror or error}{where}.", fault="system")
    return ErrorInfo(
        code="internal",
        message=f"Unexpected {type(error).__name__}: {error}".rstrip(": "),
        hint="This is a bug in smidgen. Set SMIDGEN_DEBUG=1 and run it again to see where it comes from.",
        fault="bug",
    )


def debugging() -> bool:
    return os.environ.get("SMIDGEN_DEBUG", "") not in ("", "0")


def size(count: float) -> str:
    """Bytes for people: 98 MB, 1.1 GB (powers of 1000)."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def table(rows: list[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """Columns aligned to the left, two blanks apart."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def stdin_text() -> str:
    """All of standard input. Raises ConfigError where it isn't UTF-8."""
    from smidgen.errors import ConfigError

    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"Standard input isn't UTF-8 text: {error}.", hint="Give text, not a binary file.") from None


def stdin_is_waiting() -> bool:
    """Whether something was piped in that nobody asked for. Never blocks."""
    import select
    import stat

    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)) or not select.select([sys.stdin], [], [], 0)[0]:
            return False
        return bool(sys.stdin.buffer.peek(1))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    except (OSError, ValueError, AttributeError):
        return False


def confirm(question: str) -> bool:
    """Ask on the terminal; no without one."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
