"""Which step needs which, and all that is wrong with a chain, found before it runs. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from smidgen.errors import ConfigError
from smidgen.patterns.chain.steps import ITEM, Step
from smidgen.patterns.chain.templates import placeholders

Needs = dict[str, frozenset[str]]
"""Of each step, the steps that must be done before."""


def ordered(steps: Sequence[Step], answer: str) -> Needs:
    """Raises ConfigError, with the step, for names that are there twice or not at all, for cycles, and for steps whose
    value nothing uses: neither another step nor the answer, which is the last step's value where no template is
    given."""
    if not steps:
        raise ConfigError("The chain has no steps.", hint="Write [[steps]] above each, or give some.")
    names = [step.name for step in steps]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ConfigError(f"steps[{number}]: there are two steps called {name}.", hint="Give one another name.")
    known = frozenset(names)
    needs: Needs = {}
    for number, step in enumerate(steps):
        needs[step.name] = frozenset(_needed(step, number, known))
    for path in placeholders(answer):
        _must_be_known(path, known, "answer", allowed=("request",))
    _no_cycles(needs)
    roots = {_root(path) for path in placeholders(answer)} & known if answer else {names[-1]}
    for name in names:
        if name not in _reached(roots, needs):
            ends = "the answer's template" if answer else f"the last step, {names[-1]}, whose value is the answer"
            raise ConfigError(
                f"steps[{names.index(name)}] {name}: nothing uses its value.",
                hint=f"Leave it out, or name it as {{{name}}} in a step that leads to {ends}.",
            )
    return needs


def _needed(step: Step, number: int, known: frozenset[str]) -> Iterator[str]:
    place = f"steps[{number}] {step.name}"
    own = ("request", ITEM) if step.each else ("request",)
    for path in step.needs(known | frozenset(own)):
        _must_be_known(path, known, place, allowed=own)
        if _root(path) in known:
            yield _root(path)


def _must_be_known(path: str, known: frozenset[str], place: str, allowed: tuple[str, ...]) -> None:
    root = _root(path)
    if root in known or root in allowed:
        return
    if root == ITEM:
        raise ConfigError(f"{place}: there is no {{item}} here.", hint="Only a step with `each` has one.")
    names = [*allowed, *sorted(known)]
    near = difflib.get_close_matches(root, names)
    hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(names)}."
    raise ConfigError(f"{place}: there is no step called {root!r}.", hint=f"{hint} Write {{{{{root}}}}} for the text.")


def _no_cycles(needs: Needs) -> None:
    done: set[str] = set()
    while len(done) < len(needs):
        ready = [name for name in needs if name not in done and needs[name] <= done]
        if not ready:
            circle = _circle({name: needs[name] - done for name in needs if name not in done})
            raise ConfigError(
                f"The steps wait for one another: {' -> '.join(circle)}.", hint="Take one of these placeholders out."
            )
        done.update(ready)


def _circle(waiting: Needs) -> list[str]:
    """Every one of these waits for another of them: following leads round."""
    way = [next(iter(waiting))]
    while True:
        following = min(waiting[way[-1]])
        if following in way:
            return [*way[way.index(following) :], following]
        way.append(following)


def _reached(roots: set[str], needs: Needs) -> set[str]:
    found: set[str] = set()
    open_ = set(roots)
    while open_:
        name = open_.pop()
        found.add(name)
        open_ |= needs[name] - found
    return found


def _root(path: str) -> str:
    return path.split(".")[0]
