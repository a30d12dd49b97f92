"""Jinja for templates from strangers: the usual sandbox, and limits on time, steps and sizes.

The dialect is that of transformers' chat templates (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop
controls, `tojson` without HTML escaping, `raise_exception`, `strftime_now`, `{% generation %}`). Beyond it:

- every loop iteration, call and filter is a step; a render has `MAX_STEPS` of them and `MAX_SECONDS` of processor time;
- no text grows beyond the render's allowance, whether by `+`, `*`, `~`, `%`, `join`, `replace` or a captured block;
- values are walked, with a bound, before they are compared, turned into text or hashed: a list that holds itself twice,
  forty times over, is refused instead of being written out;
- only filters, tests and methods on a list can be used; what isn't there is an error when the template is compiled.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NoReturn, cast

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MAX_SOURCE = 128 * 1024
MAX_STEPS = 1_000_000
MAX_SECONDS = 1.0
MAX_RANGE = 100_000
MAX_VALUES = 100_000
MAX_INTEGER_BITS = 128
OUTPUT_ALLOWANCE = 1 << 20


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILTERS = _names(
    "abs capitalize count d default dictsort e escape first float indent int items join last length list lower map max "
    "min reject rejectattr replace reverse round safe select selectattr sort string title tojson trim unique upper"
)
_TESTS = _names(
    "boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable le lessthan lower "
    "lt mapping ne none number odd sameas sequence string true undefined upper == != < <= > >="
)
_STRING_METHODS = _names(
    "capitalize casefold count endswith find index isalnum isalpha isdigit isnumeric isspace islower isupper join "
    "lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines "
    "startswith strip title upper"
)
_OTHER_METHODS = _names("get items keys values copy index count")


class TemplateLimit(TemplateError):
    """A template used more time, steps or memory than it may."""


class Meter:
    """What one render has left. `characters` bounds every text that comes into being."""

    def __init__(self, characters: int) -> None:
        self.characters = characters
        self.steps = MAX_STEPS
        self.deadline = time.thread_time() + MAX_SECONDS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0 or time.thread_time() > self.deadline:
            raise TemplateLimit("the template takes too long")

    def allow(self, characters: int) -> None:
        if characters > self.characters:
            raise TemplateLimit("the template makes too long a text")

    def measure(self, *values: object) -> int:
        """Characters that the values would take as text, roughly; each value is visited, however often it occurs."""
        waiting: list[object] = list(values)
        visited = total = 0
        while waiting:
            value = waiting.pop()
            visited += 1
            if visited > MAX_VALUES:
                raise TemplateLimit("the template makes too large a value")
            if isinstance(value, str):
                total += len(value)
                self.allow(total)
            elif isinstance(value, Mapping):
                waiting.extend(value.keys())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
                waiting.extend(value.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            elif isinstance(value, (list, tuple, set, frozenset)):
                waiting.extend(value)  # pyright: ignore[reportUnknownArgumentType]
            elif isinstance(value, Namespace):
                waiting.append(object.__getattribute__(value, "_Namespace__attrs"))
        return total + visited


_meter: ContextVar[Meter] = ContextVar("smidgen_template_meter")


def _current() -> Meter:
    meter = _meter.get(None)
    return Meter(OUTPUT_ALLOWANCE) if meter is None else meter


class _Counted:
    """An iterable whose every turn is a step."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        meter = _current()
        for item in self.items:
            meter.step()
            yield item

    def __len__(self) -> int:
        if isinstance(self.items, Sized):
            return len(self.items)
        raise TypeError("this iterable has no length")


def _counted(items: Any) -> _Counted:
    return _Counted(items)


def _measured(value: Any) -> Any:
    if not isinstance(value, str):
        _current().measure(value)
    return value


def _concatenated(values: list[Any]) -> str:
    meter = _current()
    meter.allow(meter.measure(*values))
    return "".join(map(str, values))


def _limited_join(pieces: Iterable[str]) -> str:
    kept = list(pieces)
    _current().allow(sum(map(len, kept)))
    return "".join(kept)


class _Rewriter(NodeTransformer):
    """Puts the limits into the template's syntax tree: loops, `~`, comparisons and the keys of dictionaries."""

    def visit_For(self, node: nodes.For, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802
        self.generic_visit(node, *args, **kwargs)
        node.iter = _apply("counted_", cast("nodes.Expr", node.iter))
        return node

    def visit_Concat(self, node: nodes.Concat, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802
        self.generic_visit(node, *args, **kwargs)
        return _apply("concatenated_", nodes.List(list(node.nodes), lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802
        self.generic_visit(node, *args, **kwargs)
        node.expr = _apply("measured_", node.expr)
        for operand in node.ops:
            operand.expr = _apply("measured_", operand.expr)
        return node

    def visit_Pair(self, node: nodes.Pair, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802
        self.generic_visit(node, *args, **kwargs)
        node.key = _apply("measured_", node.key)
        return node


def _apply(name: str, node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const):
        return node
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks what is trained on; for rendering it is nothing."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """The environment in which chat templates are compiled and rendered; use `render`."""

    intercepted_binops = frozenset(["+", "-", "*", "**", "%", "/", "//"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            cache_size=0,
            extensions=[loopcontrols, _Generation],
            finalize=_measured,
        )
        self._compiled: dict[str, Template] = {}
        self.concat = _limited_join  # pyright: ignore[reportAttributeAccessIssue]
        self.globals = {"range": _range, "namespace": Namespace, "dict": dict, "raise_exception": _refuse}
        self.filters = {name: _guarded(FILTERS[name]) for name in _FILTERS if name != "tojson"}
        self.filters.update(tojson=_tojson, join=_guarded(_join), replace=_guarded(_replace), indent=_guarded(_indent))
        self.filters.update(counted_=_counted, concatenated_=_concatenated, measured_=_measured)
        self.tests = {name: _guarded(TESTS[name]) for name in _TESTS}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MAX_SOURCE:
            raise TemplateLimit(f"the template is longer than {MAX_SOURCE} characters")
        tree = super()._parse(source, name, filename)
        return _Rewriter().visit(tree)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        meter = _current()
        meter.step()
        if not isinstance(__obj, Macro) and __obj is not Namespace:
            meter.measure(*args, *kwargs.values())
            _check_method(__obj, args, meter)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        meter = _current()
        meter.step()
        _check_operation(operator, left, right, meter)
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`format` with plain fields only: no attributes, no widths."""
        text = getattr(value, "__self__", None)
        if not isinstance(text, str) or value.__name__ not in ("format", "format_map"):
            return None
        fields = re.findall(r"\{[^{}]*\}", text)
        if value.__name__ == "format_map" or not all(re.fullmatch(r"\{\w*\}", field) for field in fields):
            raise TemplateLimit("that text format isn't allowed")

        def formatted(*args: Any, **kwargs: Any) -> str:
            meter = _current()
            meter.allow(len(text) + len(fields) * meter.measure(*args, *kwargs.values()))
            return text.format(*args, **kwargs)

        return formatted

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, tuple):
            raise TemplateLimit("a tuple can't be a key here")
        return super().getitem(obj, argument)

    def render(self, source: str, variables: Mapping[str, Any], *, input_characters: int) -> str:
        """Render a template's text. `input_characters` is the size of the conversation; the output may be four times
        that, and a mebibyte. Raises TemplateError or any Exception that template code can cause; never runs long."""
        meter = Meter(OUTPUT_ALLOWANCE + 4 * input_characters)
        token = _meter.set(meter)
        try:
            template = self._compiled.get(source)
            if template is None:
                template = self._compiled[source] = self.from_string(source)
            pieces: list[str] = []
            length = 0
            for piece in template.generate(**variables):
                meter.step()
                length += len(piece)
                meter.allow(length)
                pieces.append(piece)
            return "".join(pieces)
        finally:
            _meter.reset(token)


def strftime(now: datetime) -> Callable[[str], str]:
    """The template function `strftime_now`, for a fixed time."""

    def strftime_now(format: str) -> str:
        if len(format) > 100 or not re.fullmatch(r"(?:[^%]|%[-#]?[A-Za-z%])*", format):
            raise TemplateLimit("that date format isn't allowed")
        return now.strftime(format)

    return strftime_now


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that counts as a step and whose arguments are walked first."""
    passed = getattr(function, "jinja_pass_arg", None)
    skip = 0 if passed is None else 1

    def guarded(*args: Any, **kwargs: Any) -> Any:
        meter = _current()
        meter.step()
        meter.measure(*args[skip:], *kwargs.values())
        return function(*args, **kwargs)

    if passed is not None:
        guarded.jinja_pass_arg = passed  # pyright: ignore[reportFunctionMemberAccess]
    return guarded


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    meter = _current()
    meter.step()
    meter.measure(value)
    if indent is not None and not 0 <= indent <= 16:
        raise TemplateLimit("that indentation isn't allowed")
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    meter.allow(len(text))
    return text


def _join(value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    meter = _current()
    if attribute is not None:
        raise TemplateLimit("join by attribute isn't allowed; use map first")
    items = list(_Counted(value))
    meter.allow(meter.measure(items) + len(str(d)) * len(items))
    return str(d).join(map(str, items))


def _replace(value: Any, old: str, new: str, count: int | None = None) -> str:
    text, old, new = str(value), str(old), str(new)
    return text.replace(old, new, _replacements(text, old, new, -1 if count is None else count))


def _replacements(text: str, old: str, new: str, count: int) -> int:
    times = text.count(old) if count < 0 else min(count, text.count(old))
    _current().allow(len(text) + times * len(new))
    return count


def _indent(value: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    fill = width if isinstance(width, str) else " " * max(0, min(width, 1000))
    _current().allow(len(value) + (value.count("\n") + 1) * len(fill))
    lines = value.split("\n")
    done = [fill + line if (line or blank) and (number or first) else line for number, line in enumerate(lines)]
    return "\n".join(done)


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise TemplateLimit(f"a range of more than {MAX_RANGE}")
    return numbers


def _refuse(message: object = "") -> NoReturn:
    raise TemplateError(str(message)[:500])


def _check_method(function: Any, args: tuple[Any, ...], meter: Meter) -> None:
    """Methods of built-in values: only known ones, and none that makes a long text of short ones."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(owner, str):
        if name not in _STRING_METHODS:
            raise TemplateLimit(f"the method {name!r} of texts isn't allowed")
        if name == "join" and args:
            _check_join(owner, args[0], meter)
        elif name == "replace" and len(args) >= 2:
            _replacements(owner, str(args[0]), str(args[1]), -1)
    elif isinstance(owner, (list, tuple, dict, set, int, float, bytes)) and name not in _OTHER_METHODS:
        raise TemplateLimit(f"the method {name!r} isn't allowed")


def _check_join(separator: str, items: Any, meter: Meter) -> None:
    if not isinstance(items, (list, tuple, str)):
        raise TemplateLimit("join takes a list")
    count = len(items)  # pyright: ignore[reportUnknownArgumentType]
    meter.allow(meter.measure(cast("object", items)) + len(separator) * count)


def _check_operation(operator: str, left: Any, right: Any, meter: Meter) -> None:
    """Refuse an operation whose result would be too large."""
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" and right > 0 else left.bit_length() + right.bit_length()
        if operator in ("*", "**") and bits > MAX_INTEGER_BITS:
            raise TemplateLimit("a number grows too large")
    elif operator == "+":
        meter.measure(left, right)
    elif operator == "*":
        for items, times in ((left, right), (right, left)):
            if isinstance(items, (str, list, tuple)) and isinstance(times, int) and times > 0:
                size = meter.measure(items)  # pyright: ignore[reportUnknownArgumentType]
                meter.allow(size * times)
                if not isinstance(items, str) and size * times > MAX_VALUES:
                    raise TemplateLimit("the template makes too large a value")
    elif operator == "%" and isinstance(left, str):
        if re.search(r"\*|\d{4}", left):
            raise TemplateLimit("that text format isn't allowed")
        meter.allow(len(left) * 1000 if re.search(r"%[^%a-zA-Z]*\d", left) else len(left) + meter.measure(right))


__all__ = ["MAX_RANGE", "MAX_SECONDS", "MAX_SOURCE", "MAX_STEPS", "TemplateLimit", "TemplateSandbox", "strftime"]
