"""Answers that were given before: to the same request, or to one that means the same.

pattern    `Cached`, around any other pattern
settings   its options
asked      what a request is the same by: model, pattern, conversation
alike      whether two requests that are near each other may mean the same; pure
worth      which requests and answers are kept; pure
store      where they are: an SQLite file, or memory; schema: its tables
flights    equal requests at the same time are answered once
reading    `kind = "cached"` in a file, and which stores a file names
"""

from __future__ import annotations

from smidgen.patterns.cached.pattern import Cached

__all__ = ["Cached"]
