"""Docstrings as texts with parts: what one must tell of a function, whether it does, how it is put in. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

import msgspec

from smidgen.patterns.micro.answers import lines_of
from smidgen.patterns.micro.stubs import FunctionNode

INDENT = "    "
LONGEST = 100
"""Characters of a line."""
_TEXT = r"""(?:[^\n"\\.]|\.[^\s"\\.])"""
"""A character of a phrase: a full stop ends it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a function's docstring must tell, found in its code. place: its name with its class's. header: lines of its
    signature, with what stands below it up to the body. line: where the docstring goes, counted from 0. raises: names
    of exceptions that it raises by name, with when it does, if the code tells that."""

    place: str
    source: str
    header: int
    line: int
    indent: str
    parameters: tuple[str, ...] = ()
    returns: bool = False
    yields: bool = False
    raises: tuple[tuple[str, str], ...] = ()

    @property
    def sections(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Titles with the names below them; a returned value has none."""
        given = "Yields" if self.yields else "Returns" if self.returns else ""
        parts = (("Args", self.parameters), (given, ("",)), ("Raises", tuple(name for name, _ in self.raises)))
        return tuple((title, names) for title, names in parts if title and names)

    @property
    def grammar(self) -> str:
        """A regular expression of such docstrings, as they stand in a function at the left edge, to their end."""
        known = dict(self.raises)
        parts = [rf"[A-Z]{_TEXT}{{8,{LONGEST}}}\."]
        for title, names in self.sections:
            entries = [
                (f"{literal(name)}: " if name else "")
                + (
                    literal(known[name])
                    if title == "Raises" and known[name]
                    else rf"[A-Za-z0-9`]{_TEXT}{{3,{LONGEST}}}\.?"
                )
                for name in names
            ]
            parts.append("".join([f"{INDENT}{title}:", *(rf"\n{INDENT * 2}{entry}" for entry in entries)]))
        return r"\n\n".join(parts) + (rf"\n{INDENT}" if len(parts) > 1 else "") + '"""'


def literal(text: str) -> str:
    """As a regular expression of grammars, which know fewer escapes than Python's."""
    return re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)


def undocumented(source: str, function: str = "") -> tuple[Wanted, ...]:
    """Functions and methods without a docstring, in their order, but for those on one line, which have no place for
    one, and overloads. function: only that one. Raises SyntaxError."""
    tree = ast.parse(source)
    lines = [line.rstrip("\r\n") for line in lines_of(source)]
    return tuple(
        _wanted(node, place, lines, start)
        for node, place in _functions(tree.body, "")
        if ast.get_docstring(node) is None
        and function in ("", place, node.name)
        and (function or not node.name.startswith("__") or node.name == "__init__")
        and not any(ast.unparse(one).rpartition(".")[2] == "overload" for one in node.decorator_list)
        and (start := _start(node, lines)) is not None
    )


def _functions(body: Sequence[ast.stmt], within: str) -> Iterator[tuple[FunctionNode, str]]:
    for node in body:
        if isinstance(node, FunctionNode):
            yield node, f"{within}{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{within}{node.name}.")


def _start(node: FunctionNode, lines: Sequence[str]) -> int | None:
    """The line, counted from 0, where its docstring goes. None if its body begins on the signature's last line."""
    first = node.body[0]
    marks: Sequence[ast.expr] = getattr(first, "decorator_list", ())
    at: ast.stmt | ast.expr = marks[0] if marks else first
    start = at.lineno - 1
    if lines[start].encode()[: at.col_offset].decode().strip(" \t\f@"):
        return None
    while start > _header_end(node) and (not lines[start - 1].strip() or lines[start - 1].lstrip().startswith("#")):
        start -= 1
    return None if lines[start - 1].endswith("\\") else start


def _header_end(node: FunctionNode) -> int:
    """The last line of the signature that holds a parameter or what is returned."""
    arguments = [one.end_lineno or 0 for one in ast.walk(node.args) if isinstance(one, (ast.arg, ast.expr))]
    return max([node.lineno, *arguments, (node.returns.end_lineno or 0) if node.returns else 0])


def _wanted(node: FunctionNode, place: str, lines: Sequence[str], start: int) -> Wanted:
    line = lines[node.body[0].lineno - 1]
    own = list(_own(node))
    yields = any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in own)
    return Wanted(
        place=place,
        source="\n".join(lines[node.lineno - 1 : node.end_lineno]),
        header=start - node.lineno + 1,
        line=start,
        indent=line[: len(line) - len(line.lstrip())],
        parameters=parameters_of(node, method="." in place),
        returns=any(isinstance(one, ast.Return) and one.value is not None and not _is_none(one.value) for one in own),
        yields=yields,
        raises=tuple({name: when for when, one in _raising(node.body, "") if (name := _raised(one))}.items()),
    )


def parameters_of(node: FunctionNode, *, method: bool) -> tuple[str, ...]:
    """Names in order, stars left out, and of a method without what it is called on."""
    found = [*node.args.posonlyargs, *node.args.args]
    if method and found and found[0].arg in ("self", "cls"):
        found = found[1:]
    star = [node.args.vararg] if node.args.vararg else []
    stars = [node.args.kwarg] if node.args.kwarg else []
    return tuple(one.arg for one in (*found, *star, *node.args.kwonlyargs, *stars))


def _own(node: FunctionNode) -> Iterator[ast.AST]:
    """What is in its body, but in no function or class within."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        one = waiting.pop(0)
        yield one
        if not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting = [*ast.iter_child_nodes(one), *waiting]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _raising(body: Sequence[ast.stmt], when: str) -> list[tuple[str, ast.Raise]]:
    """What is raised in it, in order, each with its condition in words; "" where that isn't plain."""
    found: list[tuple[str, ast.Raise]] = []
    for one in body:
        if isinstance(one, ast.Raise):
            found.append((when, one))
        elif isinstance(one, ast.If):
            test = ast.unparse(one.test)
            told = "" if '"' in test or "\\" in test or len(test) > LONGEST // 2 else f"`{test}`"
            found += _raising(one.body, told and f"if {told}") + _raising(one.orelse, told and f"unless {told}")
        elif not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = [child for child in ast.iter_child_nodes(one) if isinstance(child, (ast.stmt, ast.ExceptHandler))]
            for child in inner:
                found += _raising(child.body if isinstance(child, ast.ExceptHandler) else [child], "")
    return found


def _raised(node: ast.AST) -> str:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return ""
    named = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    name = ast.unparse(named)
    return name if re.fullmatch(r"(?:\w+\.)*[A-Z]\w*", name) else ""


# --- whether one is right ---------------------------------------------------------------------------------------------

_NAME = re.compile(r"`([^`]+)`|\b([a-z]\w*_\w+|\w+\(\))")


def problem_of(text: str, wanted: Wanted) -> str:
    """What is wrong with a docstring for that function, "" if nothing is. text: without indentation of its own."""
    summary, *rest = text.strip().split("\n\n")
    titles = [part.partition(":\n")[0] for part in rest]
    if not summary.endswith("."):
        return "it was cut"
    if titles != [title for title, _ in wanted.sections]:
        return f"its sections must be: {', '.join(title for title, _ in wanted.sections) or 'none'}"
    said: list[str] = [summary]
    known = {f"{name}: {when}" for name, when in wanted.raises if when}
    for part, (title, names) in zip(rest, wanted.sections, strict=True):
        entries = part.partition(":\n")[2].splitlines()
        found = tuple(entry.strip().partition(":")[0] if names != ("",) else "" for entry in entries)
        if found != names:
            return f"{title} must tell of: {', '.join(names)}"
        said += [
            entry.strip().partition(": ")[2] if names != ("",) else entry.strip()
            for entry in entries
            if title != "Raises" or entry.strip() not in known
        ]
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", summary)} - _FILLING
    if words <= {word.lower() for word in re.findall(r"[A-Za-z]+", wanted.place.replace("_", " "))}:
        return "its first sentence only repeats the name"
    if len(set(map(str.lower, said))) < len(said):
        return "it says the same thing twice"
    if any(one.rstrip(" .").lower() in ("", "the", "none") for one in said):
        return "a description is empty"
    if any(len(line.partition(": ")[2] or line.strip()) >= LONGEST for line in text.splitlines()):
        return f"a description has {LONGEST} characters or more"
    # What the code told is right, though it may be spelled otherwise there (1_000).
    text = "\n".join(line for line in text.splitlines() if line.strip() not in known)
    for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text):
        if number not in wanted.source:
            return f"it names {number}, which the function doesn't"
    for match in _NAME.finditer(text):
        name = (match[1] or match[2]).strip("()")
        if not all(part in wanted.source or part in wanted.place for part in re.findall(r"\w+", name)):
            return f"it names {name}, which the function doesn't"
    return ""


_FILLING = {"the", "a", "an", "this", "function", "method", "and", "of", "to", "is", "it", "given"}


def text_of(written: str) -> str:
    """A docstring that the grammar allows, without its quotes and indentation."""
    body = written.strip().removesuffix('"""').rstrip()
    return "\n".join(line.removeprefix(INDENT) for line in body.splitlines())


# --- put in -----------------------------------------------------------------------------------------------------------


def with_docstrings(source: str, texts: Sequence[tuple[Wanted, str]]) -> str:
    """The file with these put in. Nothing else of it changes, layout included."""
    lines = lines_of(source)
    for wanted, text in sorted(texts, key=lambda one: one[0].line, reverse=True):
        body = text.strip().splitlines()
        quoted = ['"""' + body[0] + ('"""' if len(body) == 1 else ""), *body[1:], *(['"""'] if len(body) > 1 else [])]
        block = [f"{wanted.indent}{line}".rstrip() + "\n" for line in quoted]
        lines[wanted.line : wanted.line] = block
    return "".join(lines)


def same_code(before: str, after: str) -> bool:
    """But for docstrings."""
    try:
        return _bare(before) == _bare(after)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
