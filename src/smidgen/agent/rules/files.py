"""What a clause wants with files: a folder's list, a file's text, a search, a text written."""

from __future__ import annotations

import re

from smidgen.agent.rules.spans import files, quoted
from smidgen.messages import ToolCall

_FOLDER = r"[\w.-]+(?:/[\w.-]+)*/?"
_LIST = re.compile(
    r"^(?:(?:list|show)(?:\s+me)?(?:\s+all)?(?:\s+the)?\s+(?:files|contents|things)"
    r"|(?:what|which)\s+files\s+(?:are|do\s+i\s+have|have\s+i\s+got)(?:\s+there)?"
    r"|what(?:['’]s|\s+is|\s+do\s+i\s+have|\s+have\s+i\s+got)(?:\s+(?:there|lying\s+around))?"
    r"|(?:is|are)\s+there\s+(?:anything|something|any\s+files))"
    r"(?:\s+(?:here|in\s+(?:here|this\s+(?:folder|directory)|the\s+(?:current|working)\s+(?:folder|directory))))?"
    rf"(?:\s+(?:in|under|inside)\s+(?:the\s+|my\s+)?(?:(?:folder|directory)\s+(?P<folder>{_FOLDER})"
    rf"|(?P<folder2>{_FOLDER})\s+(?:folder|directory)|(?P<path>[\w.-]+(?:/[\w.-]+)+/?|[\w-]+/)))?$",
    re.IGNORECASE,
)
_READ = re.compile(
    r"^(?:(?:let\s+me\s+|i\s+(?:need|want)(?:\s+to)?\s+)?(?:read|open|show|see|print|display|cat|view)\b"
    r"|what(?:['’]s|\s+is)\s+in\b|what\s+does\b|what\s+did\s+i\s+(?:write|put|note)\s+in\b|i\s+need\s+lines?\b|lines?\s+\d)",
    re.IGNORECASE,
)
_FIRST = re.compile(r"\b(?:first|top)\s+(?P<last>\d+)\s+lines?\b", re.IGNORECASE)
_LINES = re.compile(r"\blines?\s+(?P<first>\d+)\s*(?:to|-|–|through|until)\s*(?P<last>\d+)\b", re.IGNORECASE)
_SEARCH = re.compile(
    r"^(?:where\s+(?:did|do|have)\s+i\s+(?:mention|write\s+about|note|wrote\s+about)(?:ed)?|(?:which|what)\s+files?\s+(?:mentions?|contains?|talks?\s+about)"
    r"|(?:search|look|grep)(?:\s+(?:in\s+)?(?:my|the|all)\s+files)?\s+for|find\s+(?:every|all|each|the)\s+(?:lines?|places?)\s+(?:with|that\s+(?:has|have|contains?|mentions?))"
    r"|does\s+any(?:thing|\s+file)\s+(?:(?:in|under)\s+(?P<within>[\w.-]+(?:/[\w.-]+)*/?)\s+)?(?:mention|talk\s+about|contain))\s+"
    r"(?:the\s+words?\s+|the\s+|a\s+|an\s+)?(?P<text>.+?)"
    r"(?:\s+in\s+(?:(?:my|the|all|all\s+my|any\s+of\s+my)\s+files?|them|here|this\s+folder|(?:the\s+|my\s+)?(?P<folder>[\w.-]+(?:/[\w.-]+)*/?)\s+(?:folder|directory)))?$",
    re.IGNORECASE,
)
_WRITE = re.compile(r"^(?:save|write|put|store|note)\b", re.IGNORECASE)
_OTHER_WORK = re.compile(
    r"\b(?:append|add|delete|remove|rename|move|copy|translate|summari[sz]e|email|send)\b", re.IGNORECASE
)
_NOT_A_TEXT = re.compile(
    r"^(?:it|that|this|them|something|anything|someone|me|you)\b|\b(?:web|internet|online|google)\b", re.IGNORECASE
)


_MAKES = re.compile(r"^(?:save|write|put|store|note|make|create|add)\b", re.IGNORECASE)
_LOOKS = re.compile(
    r"^(?:search|look|grep)\b.*\bfor\b.*\b(?:files?|notes|folder|it)\b|^search\s+(?:my|the|all)\s+files\b",
    re.IGNORECASE,
)


def wanted(clause: str) -> str | None:
    """The tool that a clause plainly wants, though what to write or to look for isn't plain."""
    if _OTHER_WORK.search(_unquoted(clause)):
        return None
    if _MAKES.match(clause) and files(_unquoted(clause)):
        return "write_file"
    return "search_files" if _LOOKS.match(clause) and "web" not in clause.lower() else None


def calls_of(clause: str) -> list[ToolCall]:
    """The calls that a clause without courtesies stands for; [] if that isn't sure."""
    if _OTHER_WORK.search(_unquoted(clause)):
        return []
    return _written(clause) or _read(clause) or _listed(clause) or _searched(clause)


_KEEP = re.compile(
    r"^(?:(?:nice|great|good|perfect|lovely|super|wow|cool|fine|ok|okay|thanks|thank\s+you|now|and|please)[\s,.!;:]+)*"
    r"(?:save|write|put|store)\s+(?:that|it|this|(?:that|this)\s+\w+|(?:the|your)\s+(?:last\s+)?(?:answer|text|reply|response))\s+"
    r"(?:down\s+)?(?:in|to|into|as)\s+(?:a\s+|the\s+)?(?:file\s+)?(?:called\s+|named\s+)?$",
    re.IGNORECASE,
)


_NO_CONTENT = re.compile(r"\?$|^(?:For\s[^.]{1,60}\sI\sneed:|I\scould\snot\sanswer)")
"""A question, or the agent's own word that it has no answer."""


def answer_kept(clause: str, answered: str) -> list[ToolCall]:
    """The answer before, word by word, into the file that a clause names: "put that in haiku.txt"."""
    names = files(clause)
    if not answered.strip() or _NO_CONTENT.search(answered.strip()) or len(names) != 1 or names[0].end != len(clause):
        return []
    if not _KEEP.match(clause[: names[0].start]):
        return []
    return [ToolCall(name="write_file", arguments={"path": names[0].text, "content": answered})]


def _unquoted(clause: str) -> str:
    for span in reversed(quoted(clause)):
        clause = clause[: span.start] + " " * (span.end - span.start) + clause[span.end :]
    return clause


def _written(clause: str) -> list[ToolCall]:
    """Pairs of a quoted text and the file that it goes to: "write 'done' to status.txt and 'v2' to version.txt"."""
    outside = _unquoted(clause)
    names, texts = files(outside), quoted(clause)
    if not _WRITE.match(clause) or not names or len(names) != len(texts):
        return []
    calls: list[ToolCall] = []
    for text, name in zip(texts, names, strict=True):
        if name.start < text.end or not re.fullmatch(
            r"\s+(?:in|to|into|as)\s+(?:the\s+)?(?:file\s+)?", clause[text.end : name.start]
        ):
            return []
        calls.append(ToolCall(name="write_file", arguments={"path": name.text, "content": text.text}))
    return [] if clause[names[-1].end :].strip(" .!") else calls  # "unless it is there"


_NOT_READ = re.compile(
    r"\b(?:about|why|explain|for|mean|how\s+many|whether|not|except|everything|if|unless|size|words?|count|replace|returns?"
    r"|where|exists?|french|german|spanish|italian|first\s+(?:two|three|four|five|ten)|sell)\b"
    r"|(?:\band|\bthen|,)\s+(?:write|save|put|store)\b",
    re.IGNORECASE,
)
"""Something else is wanted than the file's text."""


def _read(clause: str) -> list[ToolCall]:
    names = files(clause)
    if not names or not _READ.match(clause) or quoted(_between(clause, names[0].start, names[-1].end)):
        return []
    if _NOT_READ.search(clause) or re.match(r"\s+(?:in|from|inside|of)\s", clause[names[-1].end :], re.IGNORECASE):
        return []
    lines: dict[str, int] = {}
    if some := _LINES.search(clause):
        lines = {"first_line": int(some["first"]), "last_line": int(some["last"])}
    elif top := _FIRST.search(clause):
        lines = {"last_line": int(top["last"])}
    elif re.search(r"\d", re.sub(r"[\w./-]*\.\w+", "", clause)) or re.search(
        r"\b(?:last|end|tail)\b", clause, re.IGNORECASE
    ):
        return []
    return [ToolCall(name="read_file", arguments={"path": name.text, **lines}) for name in names]


def _between(clause: str, start: int, end: int) -> str:
    return clause[:start] + clause[end:]


def _listed(clause: str) -> list[ToolCall]:
    found = _LIST.match(clause)
    if found is None or files(clause):
        return []
    folder = found["folder"] or found["folder2"] or found["path"]
    says_where = folder or re.search(r"\b(?:here|files|this|current|working)\b", clause, re.IGNORECASE)
    if not says_where:
        return []
    return [ToolCall(name="list_files", arguments={"folder": folder.rstrip("/")} if folder else {})]


_REST_OF_A_SENTENCE = re.compile(
    r"\b(?:and|or|in|for|that|who|which|with|no|not|but|\w{3,}est|most|more|than|been|besides)\b", re.IGNORECASE
)


def is_searched_for(text: str) -> bool:
    """Is it a short text, and not the rest of a sentence?"""
    is_short = len(text.split()) <= 4 and "," not in text
    return is_short and not _NOT_A_TEXT.search(text) and not _REST_OF_A_SENTENCE.search(text)


def _searched(clause: str) -> list[ToolCall]:
    found = _SEARCH.match(clause)
    if found is None:
        return []
    text = found["text"].strip().strip("'\"`‘’“”")
    if not is_searched_for(text):
        return []
    folder = found["folder"] or found["within"]
    where = {"folder": folder.rstrip("/")} if folder else {}
    return [ToolCall(name="search_files", arguments={"text": text, **where})]
