"""Every error smidgen raises: whose fault it is, whether to retry, and what to do next.

An error crosses the process boundary as an `ErrorInfo` (plain data) and becomes an exception again on the other side
with `ErrorInfo.to_exception()`. `code` is stable and documented in docs/errors.md; `message` says what was wrong,
`hint` says what to do.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

Fault = Literal["caller", "model", "system", "bug"]


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as data. `details` holds figures for programs: limits, counts, near names, signals."""

    code: str
    message: str
    hint: str = ""
    fault: Fault = "bug"
    retryable: bool = False
    details: dict[str, Any] = {}

    def to_exception(self) -> SmidgenError:
        cls = ERRORS_BY_CODE.get(self.code, SmidgenError)
        error = cls(self.message, hint=self.hint, retryable=self.retryable, **self.details)
        error.code, error.fault = self.code, self.fault
        return error


class SmidgenError(Exception):
    """Base of all typed errors. Subclasses fix `code` and `fault`; an instance may override `retryable`."""

    code: str = "internal"
    fault: Fault = "bug"
    default_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", retryable: bool | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retryable = self.default_retryable if retryable is None else retryable
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def info(self) -> ErrorInfo:
        return ErrorInfo(
            code=self.code,
            message=self.message,
            hint=self.hint,
            fault=self.fault,
            retryable=self.retryable,
            details=self.details,
        )


# --- the caller's request -------------------------------------------------------------------------------------------


class InvalidRequest(SmidgenError):
    """A parameter is out of range or of the wrong type. Raised before any native call."""

    code, fault = "invalid_request", "caller"


class ContextOverflow(InvalidRequest):
    """The prompt doesn't fit. details: prompt_tokens, context_tokens, over_by, part."""

    code = "context_overflow"


class ConstraintError(InvalidRequest):
    """A schema, grammar or regex that can't be enforced, with the reason. The constraint is never opened instead."""

    code = "invalid_constraint"


class UnknownTool(InvalidRequest):
    """A tool name that isn't there. details: near (list of close names)."""

    code = "unknown_tool"


class UnsupportedByModel(InvalidRequest):
    """The model can't do this at all: embeddings from a model without pooling, chat without a template."""

    code = "unsupported_by_model"


class ConfigError(SmidgenError):
    """A configuration file, environment variable or command line that can't be used."""

    code, fault = "config", "caller"


# --- sessions and runs ----------------------------------------------------------------------------------------------


class UnknownAgent(InvalidRequest):
    """No agent has this name. details: near (list of close names)."""

    code = "unknown_agent"


class UnknownSession(InvalidRequest):
    """No such conversation, or not any more."""

    code = "unknown_session"


class UnknownRun(InvalidRequest):
    """No such run, or not any more."""

    code = "unknown_run"


class SessionBusy(InvalidRequest):
    """Another run of the session isn't over."""

    code = "session_busy"


class NothingToApprove(InvalidRequest):
    """No call of the run waits for an approval, or another one does."""

    code = "nothing_to_approve"


class SessionsUnavailable(SmidgenError):
    """The file of conversations can't be read or written."""

    code, fault = "sessions_unavailable", "system"


# --- models and files -----------------------------------------------------------------------------------------------


class ModelError(SmidgenError):
    code, fault = "model", "caller"


class UnknownModel(ModelError):
    """No such catalogue name or file. details: near (list of close names)."""

    code = "unknown_model"


class ModelNotPulled(ModelError):
    """A known model whose file is not on this computer yet. details: name, bytes."""

    code = "model_not_pulled"


class StoreUnwritable(ModelError):
    """The model folder can't be written (read-only, no permission, a failing disk). details: path."""

    code, fault = "store_unwritable", "system"


class InvalidModelFile(ModelError):
    """Not a GGUF file, or one that breaks a rule of the format. details: reason, offset."""

    code = "invalid_model_file"


class ChecksumMismatch(ModelError):
    code, fault = "checksum_mismatch", "system"
    default_retryable = True


class DownloadError(ModelError):
    """Network trouble while fetching. What was fetched so far is kept for the next try."""

    code, fault = "download", "system"
    default_retryable = True


class LicenseNotAccepted(ModelError):
    """The model's terms must be accepted first. details: license."""

    code = "license_not_accepted"


class DiskFull(SmidgenError):
    """details: needed_bytes, free_bytes."""

    code, fault = "disk_full", "system"


class OutOfMemory(SmidgenError):
    """details: needed_bytes, available_bytes."""

    code, fault = "out_of_memory", "system"


# --- the engine -----------------------------------------------------------------------------------------------------


class EngineError(SmidgenError):
    code, fault = "engine", "system"


class ModelLoadFailed(EngineError):
    """The native library refused a file that passed our own checks."""

    code, fault = "model_load_failed", "model"


class EngineCrashed(EngineError):
    """This request was in flight at two worker crashes and is quarantined. details: signal, report."""

    code = "engine_crashed"


class EngineUnavailable(EngineError):
    """The worker can't be kept running (restart cap reached) or is closed. details: restarts."""

    code = "engine_unavailable"
    default_retryable = True


class EngineBusy(EngineError):
    """The queue is full. Retry later."""

    code = "engine_busy"
    default_retryable = True


class ProtocolError(EngineError):
    """A garbled frame, or a worker of another version, on the pipe."""

    code, fault = "protocol", "bug"
    default_retryable = True


class DeadlineExceeded(SmidgenError):
    code, fault = "deadline_exceeded", "caller"
    default_retryable = True


class Cancelled(SmidgenError):
    code, fault = "cancelled", "caller"


# --- agents and tools -----------------------------------------------------------------------------------------------


class ToolFailed(SmidgenError):
    """A tool ran and failed. Inside an agent run this is data for the next step, not an exception."""

    code, fault = "tool_failed", "caller"


class SandboxUnavailable(ToolFailed):
    """Nothing on this computer contains a program safely, or what does didn't come up: so nothing was run."""

    code, fault = "sandbox_unavailable", "system"


class ApprovalDenied(ToolFailed):
    code = "approval_denied"


class NoAnswer(SmidgenError):
    """Every way was tried. details: tried (list of strategies and why each failed)."""

    code, fault = "no_answer", "model"


def _all_subclasses(cls: type[SmidgenError]) -> list[type[SmidgenError]]:
    return [cls, *(deep for sub in cls.__subclasses__() for deep in _all_subclasses(sub))]


ERRORS_BY_CODE: dict[str, type[SmidgenError]] = {c.code: c for c in _all_subclasses(SmidgenError)}
