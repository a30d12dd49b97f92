"""Which slots share which cells of the KV cache: a radix tree over token ids.

A slot is a sequence id of the library. The path from the root to a slot's tail node spells the tokens it holds, and a
node's cells exist once however many slots pass through it. Two slots that computed the same tokens independently have
nodes of their own: the tree records what is shared, so `cells` is the exact number of cells in use.
Radix trees for KV reuse: RadixAttention (Zheng et al., SGLang, arXiv:2312.07104).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


def common_prefix(a: Sequence[int], b: Sequence[int], start: int = 0) -> int:
    """Length of the common prefix of two token lists that are known to agree up to `start`."""
    low, high = start, min(len(a), len(b))
    if a[low:high] == b[low:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


class Match(NamedTuple):
    """The longest shared prefix: `length` tokens held by `slot`; (-1, 0) when there is none.

    `partial` is how far the tokens agree with cells that can't be copied at that point (memory without rewind).
    """

    slot: int
    length: int
    partial: int


class _Node:
    __slots__ = ("children", "parent", "slots", "tokens")

    def __init__(self, tokens: list[int], parent: _Node | None) -> None:
        self.tokens = tokens
        self.parent = parent
        self.children: list[_Node] = []
        self.slots: set[int] = set()


class PrefixTree:
    def __init__(self) -> None:
        self._root = _Node([], None)
        self._tails: dict[int, _Node] = {}
        self._lengths: dict[int, int] = {}
        self.cells = 0

    def __contains__(self, slot: int) -> bool:
        return slot in self._tails

    def length(self, slot: int) -> int:
        return self._lengths[slot]

    def tokens(self, slot: int) -> list[int]:
        """All tokens a slot holds, from position 0."""
        parts: list[list[int]] = []
        node: _Node | None = self._tails[slot]
        while node is not None:
            parts.append(node.tokens)
            node = node.parent
        return [token for part in reversed(parts) for token in part]

    def ancestors(self, slot: int) -> list[int]:
        """Slots whose tokens are a prefix of this slot's and whose cells it shares."""
        found: list[int] = []
        node: _Node | None = self._tails[slot]
        while node is not None:
            found.extend(other for other in node.slots if other != slot)
            node = node.parent
        return found

    def match(self, tokens: Sequence[int], whole: bool = False) -> Match:
        """The longest prefix of `tokens` some slot holds. With `whole`, only slots whose complete content is such a
        prefix count (memory that can't rewind copies whole sequences only)."""
        best = Match(-1, 0, 0)
        stack = [(self._root, 0)]
        while stack:
            node, depth = stack.pop()
            for child in node.children:
                reached = depth + common_prefix(child.tokens, tokens[depth : depth + len(child.tokens)])
                if reached == depth:
                    continue
                complete = reached == depth + len(child.tokens)
                best = best._replace(partial=max(best.partial, reached))
                if reached > best.length and (not whole or (complete and child.slots)):
                    best = best._replace(slot=_any_slot(child), length=reached)
                if complete:
                    stack.append((child, reached))
        return best

    def attach(self, slot: int, source: int = -1, length: int = 0) -> None:
        """A new slot that shares the first `length` tokens of `source` (-1: an empty one)."""
        if slot in self._tails:
            raise ValueError(f"slot {slot} is in use")
        node = self._root
        if length:
            if length > self._lengths[source]:
                raise ValueError(f"slot {source} holds {self._lengths[source]} tokens, not {length}")
            node = self._node_at(source, length)
        node.slots.add(slot)
        self._tails[slot] = node
        self._lengths[slot] = length

    def _node_at(self, source: int, length: int) -> _Node:
        node, end = self._tails[source], self._lengths[source]
        while end - len(node.tokens) >= length and node.parent is not None:
            end -= len(node.tokens)
            node = node.parent
        return node if end == length else self._split(node, len(node.tokens) - (end - length))

    def _split(self, node: _Node, offset: int) -> _Node:
        upper = _Node(node.tokens[:offset], node.parent)
        upper.children = [node]
        if node.parent is not None:
            node.parent.children[node.parent.children.index(node)] = upper
        node.tokens = node.tokens[offset:]
        node.parent = upper
        return upper

    def extend(self, slot: int, tokens: Sequence[int]) -> None:
        """The slot decoded these tokens: as many new cells."""
        if not tokens:
            return
        tail = self._tails[slot]
        if tail is self._root or tail.children or len(tail.slots) > 1:
            tail.slots.discard(slot)
            child = _Node(list(tokens), tail)
            child.slots.add(slot)
            tail.children.append(child)
            self._tails[slot] = child
        else:
            tail.tokens.extend(tokens)
        self._lengths[slot] += len(tokens)
        self.cells += len(tokens)

    def release(self, slot: int) -> int:
        """Forget a slot; returns the number of cells freed (those that no other slot holds)."""
        node = self._tails.pop(slot)
        del self._lengths[slot]
        node.slots.discard(slot)
        freed = 0
        while node.parent is not None and not node.slots and not node.children:
            freed += len(node.tokens)
            node.parent.children.remove(node)
            node = node.parent
        if node.parent is not None and not node.slots and len(node.children) == 1:
            self._merge(node)
        self.cells -= freed
        return freed

    def _merge(self, node: _Node) -> None:
        (child,) = node.children
        child.tokens = node.tokens + child.tokens
        child.parent = node.parent
        if node.parent is not None:
            node.parent.children[node.parent.children.index(node)] = child

    def exclusive_cells(self, slot: int) -> int:
        """Cells that releasing this slot would free."""
        node = self._tails[slot]
        freed = 0
        below: list[_Node] = []
        while node.parent is not None and not node.slots - {slot} and node.children == below:
            freed += len(node.tokens)
            below, node = [node], node.parent
        return freed

    def nodes(self) -> Iterator[tuple[int, int, int]]:
        """(tokens, slots, children) of every node but the root, for tests and statistics."""
        stack = list(self._root.children)
        while stack:
            node = stack.pop()
            yield len(node.tokens), len(node.slots), len(node.children)
            stack.extend(node.children)


def _any_slot(node: _Node) -> int:
    while not node.slots:
        node = node.children[0]
    return next(iter(node.slots))
