"""A function that is to be written: its signature, its description, and where in the text its body goes. Pure."""

from __future__ import annotations

import ast
import textwrap

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.patterns.micro.answers import fenced, invalid, lines_of, parsed, python_in

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Stub(msgspec.Struct, frozen=True, kw_only=True):
    """before: the text up to where the body begins, its last line whole. after: what follows the function. parameters:
    of the function that are given by place, in order; required: how many of them must be; variadic: there may be more.
    hints: their annotations as written, "" for none; returns: that of what it returns."""

    name: str
    before: str
    after: str = ""
    parameters: tuple[str, ...] = ()
    required: int = 0
    variadic: bool = False
    hints: tuple[str, ...] = ()
    returns: str = ""
    docstring: str = ""
    indent: str = "    "

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many values."""
        return self.required <= count and (self.variadic or count <= len(self.parameters))

    def program(self, body: str) -> str:
        """The whole text with this body."""
        body = body.strip("\n")
        return f"{self.before}{body}\n" + (f"\n\n{self.after}" if self.after else "")


def read_stub(text: str, name: str = "") -> Stub:
    """name: of the function, "" for the last one without a body, or else the last. Raises InvalidRequest."""
    text = python_in(text).rstrip() + "\n"
    tree = _parsed(text)
    found = [node for node in tree.body if isinstance(node, FunctionNode) and name in ("", node.name)]
    if not found:
        what = f"There is no function {name} at the top of the text." if name else "There is no function in the text."
        raise InvalidRequest(what, hint="Give a signature and a docstring that says what the function does.")
    node = next((one for one in reversed(found) if is_empty(one)), found[-1])
    lines = lines_of(text)
    described = ast.get_docstring(node, clean=False) is not None
    start = node.body[0].end_lineno if described else node.body[0].lineno - 1
    before = "".join(lines[:start])
    first = lines[node.body[0].lineno - 1] if node.body[0].lineno <= len(lines) else "    "
    indent = first[: len(first) - len(first.lstrip())]
    if not indent and is_empty(node):  # `...` behind the colon
        column = len(first.encode()[: node.body[0].col_offset].decode())
        before, indent = before + first[:column].rstrip() + "\n", "    "
    if not indent:
        raise InvalidRequest(f"The body of {node.name} stands on its first line.", hint="Put it on a line of its own.")
    arguments = [*node.args.posonlyargs, *node.args.args]
    return Stub(
        name=node.name,
        before=before if before.endswith("\n") else before + "\n",
        after="".join(lines[node.end_lineno :]).strip("\n") + "\n" if lines[node.end_lineno :] else "",
        parameters=tuple(one.arg for one in arguments),
        required=len(arguments) - len(node.args.defaults),
        variadic=node.args.vararg is not None,
        hints=tuple(ast.unparse(one.annotation) if one.annotation else "" for one in arguments),
        returns=ast.unparse(node.returns) if node.returns else "",
        docstring=ast.get_docstring(node, clean=True) or "",
        indent=indent,
    )


def _parsed(text: str) -> ast.Module:
    """A signature without a body gets one. Raises InvalidRequest."""
    whole = text if invalid(text + "    pass\n") or not invalid(text) else text + "    pass\n"
    return parsed(whole, hint="Give a signature and a docstring.")


def is_empty(node: FunctionNode) -> bool:
    """It has a docstring at most, and `pass`, `...` or `raise NotImplementedError`."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return all(
        isinstance(one, ast.Pass)
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and one.value.value is ...)
        or (isinstance(one, ast.Raise) and one.exc is not None and "NotImplementedError" in ast.unparse(one.exc))
        for one in body
    )


def body_of(written: str, stub: Stub) -> str:
    """The function's body from what a model wrote behind `stub.before`: lines up to the first that belongs to no body,
    without those at its end that can't be parsed. "" if nothing is left."""
    lines: list[str] = []
    for line in written.splitlines():
        if line.strip() and not line.startswith((" ", "\t")):
            break
        lines.append(line.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    for end in range(len(lines), max(len(lines) - 12, 0), -1):
        body = "\n".join(lines[:end])
        if body.strip() and _compiles(stub.before + body + "\n", stub.name):
            return body
    return ""


def body_in(answer: str, stub: Stub) -> str:
    """The function's body from an answer that repeats the function. "" if it isn't there."""
    text = fenced(answer)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    for node in tree.body:
        if isinstance(node, FunctionNode) and node.name == stub.name:
            body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
            inner = "\n".join(text.splitlines()[body[0].lineno - 1 : node.end_lineno])
            return textwrap.indent(textwrap.dedent(inner), stub.indent)
    return ""


def _compiles(text: str, name: str) -> bool:
    try:
        tree = ast.parse(text)
        compile(text, "stub", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    last = [node for node in tree.body if isinstance(node, FunctionNode) and node.name == name]
    return bool(last) and not is_empty(last[-1])
