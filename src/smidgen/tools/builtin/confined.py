"""Files confined to one folder. Every path is walked one component at a time from the folder's own descriptor,
following no symbolic link, so that a link swapped in at any moment leads nowhere.

Names are as the user writes them: "/" or "\\" between components, relative to the folder. Names that aren't UTF-8 are
shown with replacement characters and can't be opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Generator
from pathlib import Path

from smidgen.errors import ToolFailed
from smidgen.tools.function import BadArguments

MAX_PATH = 1024
MAX_COMPONENTS = 64
_DRIVE = re.compile(r"^[A-Za-z]:")
_SAFE_OPEN = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)

Hidden = Callable[[tuple[str, ...]], bool]
"""Is the file or folder with these components as if it weren't there? Whether capitals count, the callable decides."""

_REASONS = {
    errno.ENOENT: "There is no {path!r} in the folder.",
    errno.ENOTDIR: "A part of {path!r} is a link or not a folder.",
    errno.ELOOP: "{path!r} is a link; links are not followed.",
    errno.EACCES: "{path!r} may not be opened.",
    errno.EPERM: "{path!r} may not be opened.",
    errno.EISDIR: "{path!r} is a folder.",
    errno.EEXIST: "{path!r} exists already.",
    errno.ENOSPC: "The disk is full; {path!r} was not changed.",
    errno.EROFS: "The folder is read-only; {path!r} was not changed.",
    errno.ENXIO: "{path!r} is not a regular file.",
    errno.ENAMETOOLONG: "The name {path!r} is too long.",
}


class OutsideWorkspace(BadArguments):
    """A path that leads out of the folder, or isn't a path at all."""

    code = "outside_workspace"


def components(path: str) -> tuple[str, ...]:
    """The parts of a relative path; () for the folder itself. Raises OutsideWorkspace."""
    if "\0" in path:
        raise OutsideWorkspace("A path can't hold a NUL character.")
    if len(path) > MAX_PATH:
        raise OutsideWorkspace(f"A path has at most {MAX_PATH} characters.")
    written = path.strip().replace("\\", "/")
    if written.startswith(("/", "~")) or _DRIVE.match(written):
        raise OutsideWorkspace(
            f"{path!r} is not inside the folder.", hint="Use a path relative to it, as in notes.txt."
        )
    parts = tuple(part for part in written.split("/") if part not in ("", "."))
    if ".." in parts:
        raise OutsideWorkspace(f"{path!r} leads out of the folder.", hint="Paths can't hold '..'.")
    if len(parts) > MAX_COMPONENTS:
        raise OutsideWorkspace(f"A path has at most {MAX_COMPONENTS} parts.")
    try:
        written.encode()
    except UnicodeEncodeError:
        raise OutsideWorkspace("That name isn't valid text.") from None
    return parts


class Workspace:
    """One folder that tools may use. Raises ToolFailed when it can't be opened or the system can't confine paths.

    A file is named by a path or by its components. Components joined again aren't always a path to the same file: of
    a path, spaces around it don't count.
    """

    def __init__(self, root: str | os.PathLike[str], hidden: Hidden | None = None) -> None:
        """hidden: what it is true for is neither listed nor opened, nor is anything below it."""
        self.root = Path(root).absolute()
        self._hidden = hidden
        if os.open not in os.supports_dir_fd or not _DIRECTORY:
            raise ToolFailed("This system can't confine files to a folder, so the file tools are off.")

    def _is_hidden(self, parts: tuple[str, ...]) -> bool:
        hidden = self._hidden
        return hidden is not None and any(hidden(parts[:end]) for end in range(1, len(parts) + 1))

    def _refuse_hidden(self, parts: tuple[str, ...]) -> None:
        if self._is_hidden(parts):
            raise ToolFailed(f"{_named(parts)!r} may not be used (a permission rule).", hint="Use another file.")

    def _file_parts(self, path: str | tuple[str, ...]) -> tuple[str, ...]:
        parts = components(path) if isinstance(path, str) else path
        if not parts:
            raise ToolFailed("That is a folder.", hint="Name a file in it.")
        self._refuse_hidden(parts)
        return parts

    def _open(self, parts: tuple[str, ...], create: bool) -> int:
        self._refuse_hidden(parts)
        try:
            handle = os.open(self.root, os.O_RDONLY | _DIRECTORY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise ToolFailed(f"The workspace folder can't be opened: {error.strerror}.") from None
        try:
            for part in parts:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o777, dir_fd=handle)
                deeper = os.open(part, os.O_RDONLY | _DIRECTORY | _SAFE_OPEN, dir_fd=handle)
                os.close(handle)
                handle = deeper
        except OSError as error:
            os.close(handle)
            raise problem(error, "/".join(parts)) from None
        return handle

    @contextlib.contextmanager
    def folder(self, parts: tuple[str, ...], *, create: bool = False) -> Generator[int]:
        """A descriptor of the folder `parts` leads to, no link followed below the root. Raises ToolFailed."""
        handle = self._open(parts, create)
        try:
            yield handle
        finally:
            os.close(handle)

    def entries(self, parts: tuple[str, ...]) -> list[tuple[str, bool, bool]]:
        """(name, is a folder, is a regular file) of all that isn't hidden in a folder, sorted; links are neither."""
        with self.folder(parts) as handle:
            try:
                with os.scandir(handle) as found:
                    return sorted(
                        (entry.name, entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False))
                        for entry in found
                        if not self._is_hidden((*parts, entry.name))
                    )
            except OSError as error:
                raise problem(error, "/".join(parts) or ".") from None

    @contextlib.contextmanager
    def file(self, path: str | tuple[str, ...]) -> Generator[int]:
        """A descriptor, for reading, of a regular file. Raises ToolFailed; never blocks on a FIFO or device."""
        parts = self._file_parts(path)
        with self.folder(parts[:-1]) as parent:
            try:
                handle = os.open(parts[-1], os.O_RDONLY | _SAFE_OPEN, dir_fd=parent)
            except OSError as error:
                raise problem(error, _named(path)) from None
        try:
            mode = os.fstat(handle).st_mode
            if stat.S_ISDIR(mode):
                raise ToolFailed(f"{_named(path)!r} is a folder.", hint="List it instead.")
            if not stat.S_ISREG(mode):
                raise ToolFailed(f"{_named(path)!r} is not a regular file.")
            yield handle
        finally:
            os.close(handle)

    def read(self, path: str | tuple[str, ...], at_most: int) -> bytes | None:
        """The whole content of a file; None if it has more than `at_most` bytes. Raises ToolFailed."""
        with self.file(path) as handle, os.fdopen(os.dup(handle), "rb") as stream:
            try:
                data = stream.read(at_most + 1)
            except OSError as error:
                raise problem(error, _named(path)) from None
        return data if len(data) <= at_most else None

    def write(self, path: str | tuple[str, ...], data: bytes) -> bool:
        """Replace or create a file as a whole: readers see the old or the new content, never a part of it.

        Missing folders are made. True if the file was new. Raises ToolFailed; the old content is then unchanged.
        """
        parts = self._file_parts(path)
        with self.folder(parts[:-1], create=True) as parent:
            try:
                return _replace(parent, parts[-1], data)
            except OSError as error:
                raise problem(error, _named(path)) from None

    def remove(self, path: str | tuple[str, ...]) -> None:
        """Remove a regular file; the folders it was in stay. Raises ToolFailed."""
        parts = self._file_parts(path)
        with self.folder(parts[:-1]) as parent:
            try:
                if not stat.S_ISREG(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False).st_mode):
                    raise ToolFailed(f"{_named(path)!r} is not a regular file and won't be removed.")
                os.unlink(parts[-1], dir_fd=parent)
                os.fsync(parent)
            except OSError as error:
                raise problem(error, _named(path)) from None


def _named(path: str | tuple[str, ...]) -> str:
    return path if isinstance(path, str) else "/".join(path)


def _replace(parent: int, name: str, data: bytes) -> bool:
    mode = None
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise ToolFailed(f"{name!r} is not a regular file and won't be replaced.")
        mode = stat.S_IMODE(found.st_mode)
    temporary = f".smidgen-{os.getpid()}-{os.urandom(6).hex()}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_OPEN, mode or 0o666, dir_fd=parent)
    try:
        try:
            if mode is not None:
                os.fchmod(handle, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)
    return mode is None


def problem(error: OSError, path: str) -> ToolFailed:
    """An operating system's error in words."""
    template = _REASONS.get(error.errno or 0)
    said = template.format(path=path) if template else f"{path!r}: {error.strerror or error}."
    return ToolFailed(said, errno=error.errno)
