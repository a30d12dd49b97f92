"""Exit statuses, and which error ends in which. Documented in docs/errors.md."""

from __future__ import annotations

from smidgen.errors import (
    Cancelled,
    ConfigError,
    DeadlineExceeded,
    DiskFull,
    EngineError,
    InvalidRequest,
    ModelError,
    NoAnswer,
    OutOfMemory,
    SessionsUnavailable,
    SmidgenError,
    ToolFailed,
)

OK = 0
NO_ANSWER = 1
USAGE = 2
MODEL_FILE = 3
ENGINE = 4
DEADLINE = 5
INTERNAL = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
TERMINATED = 143

_BY_ERROR: tuple[tuple[type[SmidgenError], int], ...] = (
    (NoAnswer, NO_ANSWER),
    (ToolFailed, NO_ANSWER),
    (InvalidRequest, USAGE),
    (ConfigError, USAGE),
    (ModelError, MODEL_FILE),
    (DiskFull, MODEL_FILE),
    (EngineError, ENGINE),
    (OutOfMemory, ENGINE),
    (SessionsUnavailable, ENGINE),
    (DeadlineExceeded, DEADLINE),
    (Cancelled, INTERRUPTED),
)


class Stopped(BaseException):
    """A signal ended the command; `status` is what the process exits with."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def exit_status(error: SmidgenError) -> int:
    return next((status for kind, status in _BY_ERROR if isinstance(error, kind)), INTERNAL)
