"""Candidates laid out as a token trie, so that one pass over it scores them all. Ids and numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class TrieNode:
    """A token after a given path. `ends`: candidates that are complete here. The root has token -1 and depth 0."""

    token: int
    depth: int
    parent: TrieNode | None = None
    children: dict[int, TrieNode] = field(default_factory=dict["int", "TrieNode"])
    ends: list[int] = field(default_factory=list[int])


def build(candidates: Sequence[Sequence[int]]) -> TrieNode:
    """Each candidate's tokens as a path from the root."""
    root = TrieNode(-1, 0)
    for index, tokens in enumerate(candidates):
        node = root
        for token in tokens:
            node = node.children.setdefault(token, TrieNode(token, node.depth + 1, node))
        node.ends.append(index)
    return root


def nodes_to_evaluate(root: TrieNode, contested_only: bool) -> list[TrieNode]:
    """Nodes whose next-token distribution is needed, parents first. With `contested_only`, those where candidates
    part (or one ends while another goes on); else every node that something follows."""
    found: list[TrieNode] = []
    stack = [root]
    while stack:
        node = stack.pop()
        ways = len(node.children) + bool(node.ends)
        if node.children and (ways > 1 or not contested_only):
            found.append(node)
        stack.extend(reversed(list(node.children.values())))
    return found


@dataclass(frozen=True, slots=True)
class Layout:
    """Nodes to decode, parents before children, each with the leaves (0 … leaves-1) whose paths contain it."""

    nodes: list[TrieNode]
    owners: list[tuple[int, ...]]
    leaves: int


def layouts(evaluated: Sequence[TrieNode], max_leaves: int, max_nodes: int) -> list[Layout]:
    """The paths to all evaluated nodes (the root needs no decoding), in groups of at most `max_leaves` leaves and, but
    for a single path that is longer, `max_nodes` nodes. A leaf is an evaluated node with no other one below it."""
    wanted = {id(node) for node in evaluated if node.depth}
    above: set[int] = set()
    for node in evaluated:
        parent = node.parent
        while parent is not None and id(parent) not in above:
            above.add(id(parent))
            parent = parent.parent
    leaves = [node for node in evaluated if id(node) in wanted and id(node) not in above]
    groups: list[Layout] = []
    order: dict[int, tuple[TrieNode, list[int]]] = {}
    count = 0
    for tip in leaves:
        path = _path(tip)
        new = sum(id(node) not in order for node in path)
        if count and (count == max_leaves or len(order) + new > max_nodes):
            groups.append(_layout(order, count))
            order, count = {}, 0
        for node in path:
            order.setdefault(id(node), (node, []))[1].append(count)
        count += 1
    if count:
        groups.append(_layout(order, count))
    return groups


def _path(tip: TrieNode) -> list[TrieNode]:
    """From the first token to `tip`."""
    path: list[TrieNode] = []
    node: TrieNode | None = tip
    while node is not None and node.depth:
        path.append(node)
        node = node.parent
    return path[::-1]


def _layout(order: dict[int, tuple[TrieNode, list[int]]], leaves: int) -> Layout:
    entries = sorted(order.values(), key=lambda entry: entry[0].depth)
    return Layout([node for node, _ in entries], [tuple(owners) for _, owners in entries], leaves)
