"""What the commonest errors mean, for when a model doesn't say it right. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

MEANINGS: Mapping[str, tuple[str, str]] = {
    "AssertionError": ("A condition that was asserted doesn't hold.", "Compare the values on both sides of it."),
    "AttributeError": (
        "A value hasn't got the attribute or method that is asked of it.",
        "Check its type there, and whether it can be None.",
    ),
    "FileNotFoundError": (
        "A file or folder isn't where it is looked for.",
        "Check the path, and where it starts from.",
    ),
    "ImportError": ("A module was found, but not the name in it.", "Check the name and the installed version."),
    "IndexError": ("A position beyond the end of a sequence was asked for.", "Check its length before."),
    "IndentationError": ("The indentation of a line doesn't fit the lines around it.", "Indent the block evenly."),
    "JSONDecodeError": ("A text was read as JSON and isn't.", "Look at what the text is: it may be empty or a page."),
    "KeyError": (
        "A key was looked up that the mapping doesn't have.",
        "Check that it is there, or use .get with a default.",
    ),
    "KeyboardInterrupt": ("The program was stopped from the keyboard.", "Nothing is wrong with it for that."),
    "MemoryError": ("There wasn't enough memory.", "Read or keep less at once."),
    "ModuleNotFoundError": ("A module isn't installed where the program runs.", "Install it into that environment."),
    "NameError": (
        "A name is used that isn't defined there.",
        "Check its spelling, and that it is set or imported before.",
    ),
    "NotImplementedError": ("A part that is still to be written was called.", "Write it, or call another."),
    "PermissionError": ("The system didn't allow the access.", "Check the owner and the rights of the file."),
    "RecursionError": ("A function calls itself without an end.", "Check the condition that should end it."),
    "RuntimeError": ("The program itself gave up, with the reason given.", "Look at the line that raised it."),
    "StopIteration": ("An iterator had nothing more to give.", "Give next a default."),
    "SyntaxError": ("The text isn't valid code there.", "Look at the marked place and the line before it."),
    "TimeoutError": ("Something didn't answer in time.", "Check that it runs and can be reached."),
    "TypeError": (
        "A value has a type that can't be used there, or a call has the wrong arguments.",
        "Check the types of the values on that line.",
    ),
    "UnboundLocalError": (
        "A variable is read before it has a value in that function.",
        "Set it before, or don't assign to it there.",
    ),
    "UnicodeDecodeError": ("Bytes were read as text in an encoding that they aren't in.", "Name their encoding."),
    "ValueError": ("A value has the right type but can't be used there.", "Check the value that was given."),
    "ZeroDivisionError": ("A number was divided by zero.", "Check that what it is divided by can't be zero."),
    "ReferenceError": (
        "A name is used that isn't defined there.",
        "Check its spelling and that it is declared before.",
    ),
    "linker error": (
        "Something is declared and used, but its definition isn't among what is linked.",
        "Add the file or library that defines it.",
    ),
    "panic": ("The program gave up at that line, with the reason given.", "Handle that case instead of unwrapping it."),
}


CLAIMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        r"(?:not|n't|never) (?:been )?(?:defined|declared)|undefined (?:variable|name)|before it(?:'s| is) defined",
        ("NameError", "UnboundLocalError", "ReferenceError"),
    ),
    (r"(?:not|n't) installed", ("ModuleNotFoundError", "ImportError")),
    (r"divi\w+ (?:\w+ )?by (?:zero|0)", ("ZeroDivisionError",)),
    (r"out of (?:range|bounds)", ("IndexError", "ValueError", "OverflowError")),
    (r"syntax", ("SyntaxError", "IndentationError", "TabError")),
    (r"no (?:such )?attribute", ("AttributeError",)),
    (r"permission", ("PermissionError", "OSError")),
    (r"(?:infinite|endless|too deep) recursion", ("RecursionError",)),
)
"""What an explanation may say only of these errors, unless the message itself says so."""


def claims_of(text: str, error: str, message: str) -> str:
    """What it says that is true of other errors only, "" if there is no such thing."""
    for pattern, errors in CLAIMS:
        found = re.search(pattern, text, re.IGNORECASE)
        if found and error not in errors and not re.search(pattern, message, re.IGNORECASE):
            return found[0]
    return ""


def meaning_of(error: str) -> tuple[str, str]:
    """What it means and what to try. The general one for an error that isn't known."""
    general = "The log says no more about it than this.", "Look at that place first."
    return MEANINGS.get(error, general)
