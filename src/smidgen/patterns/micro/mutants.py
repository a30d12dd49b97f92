"""A function with one small mistake put in, again and again: tests that let all of them pass check nothing. Pure.

Mistakes: a comparison turned or moved by one, a number one more or less, `and` for `or`, an operator for its contrary,
a condition denied, a constant truth turned, a `return` of nothing."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

import msgspec

from smidgen.patterns.micro.stubs import FunctionNode

MOST = 24

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """program: the whole text with the mistake in it. what: in words, with its line in the original."""

    program: str
    what: str


def mutants_of(source: str, name: str, most: int = MOST) -> tuple[Mutant, ...]:
    """Of the function `name` at the top of a module, spread evenly over it if there are more than `most`. Raises
    SyntaxError."""
    tree = ast.parse(source)
    places = len(list(_changes(_function(tree, name))))
    step = max(1.0, places / most) if most else 1.0
    chosen = sorted({int(number * step) for number in range(min(most, places))})
    found: list[Mutant] = []
    for number in chosen:
        changed = copy.deepcopy(tree)
        what, apply = list(_changes(_function(changed, name)))[number]
        apply()
        found.append(Mutant(program=ast.unparse(ast.fix_missing_locations(changed)) + "\n", what=what))
    original = ast.unparse(tree)
    return tuple(one for one in found if one.program.rstrip() != original)


def _function(tree: ast.Module, name: str) -> FunctionNode:
    return next(node for node in reversed(tree.body) if isinstance(node, FunctionNode) and node.name == name)


Change = tuple[str, Callable[[], None]]


def _changes(function: FunctionNode) -> Iterator[Change]:
    """What could be done to it, and how. In the order of its lines."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    for statement in body:
        for node in ast.walk(statement):
            yield from _of(node)


def _of(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                for other in _COMPARED[type(operator)]:
                    yield f"line {node.lineno}: a comparison", _setter(node.ops, place, other())
        case ast.BoolOp():
            yield (
                f"line {node.lineno}: and/or",
                _putter(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()),
            )
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _COMPUTED:
            yield f"line {node.lineno}: an operator", _putter(node, "op", _COMPUTED[type(node.op)]())
        case ast.If() | ast.While() | ast.IfExp():
            yield (
                f"line {node.lineno}: a condition",
                _putter(node, "test", ast.UnaryOp(op=ast.Not(), operand=node.test)),
            )
        case ast.Return() if node.value is not None and not _is_none(node.value):
            yield f"line {node.lineno}: what is returned", _putter(node, "value", ast.Constant(value=None))
        case ast.Constant(value=bool()):
            yield f"line {node.lineno}: {node.value}", _putter(node, "value", not node.value)
        case ast.Constant(value=int() | float() as number):
            for moved in (number + 1, number - 1):
                yield f"line {node.lineno}: {number}", _putter(node, "value", moved)
        case _:
            return


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _setter(items: list[ast.cmpop], place: int, value: ast.cmpop) -> Callable[[], None]:
    def apply() -> None:
        items[place] = value

    return apply


def _putter(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)
