"""A small module for the micro-agents to work on: `smidgen do document examples/micro/shop.py`, and so on."""

from __future__ import annotations


def discount(price: float, pieces: int) -> float:
    if pieces < 0:
        raise ValueError("pieces are 0 or more")
    if pieces >= 10:
        return price * 0.9
    return price


def initials(name: str) -> str:
    """The first letter of each word, as capitals.

    >>> initials("ada king lovelace")
    'AKL'
    """
    return "".join(word[0].upper() for word in name.split())


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
