"""One sentence as a statement: of what (a phrase), by which verb, and what is said of it. Pure, for English."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """phrase: what it is about, "" if nothing can replace it. relation: the verb where it tells statements apart.
    value: what is said. opening: all before the value. family: of
    statements that only "now" lets replace each other. strong: read by a rule for its form."""

    phrase: str
    value: str
    opening: str
    relation: str = ""
    family: str = ""
    negated: bool = False
    strong: bool = True


_SPLIT = re.compile(
    r"(?:[,;]\s*(?:and|but|so)?|\s+(?:and|but))\s+(?!I (?:are|were)\b)"
    r"(?=(?:now |also |since then )?(?:I|I['’](?:m|ve)|my|we|our|we['’](?:re|ve)|it['’]s|it is|"
    r"please remember)\s)"
)
_ADVERBS = r"(?:(?:really|also|now|just|currently|still|actually|always|usually|mostly|recently|absolutely|both)\s+)*"
_BECOME = r"(?:changed|moved|switched|rescheduled|postponed|renamed)(?: from [^,.]+?)? (?:to|for)"
_BE = (
    rf"(?:(?:(?:has|have)(?: just)?(?: been)?|was|were|is|are|got)(?: now| just)? {_BECOME}"
    rf"|{_BECOME}|is|are|was|were|will be|should be|became|has become)(?:\s+(?:now|actually|really|currently))?"
)
_NOUNS = r"[^\s,.;:!?]+(?:\s+[^\s,.;:!?]+){0,7}?"
_VALUE = r"(?P<value>[^;!?]+?)"
_LASTING = (
    r"(?:lives?|works?|costs?|starts?|begins?|ends?|closes?|opens?|leaves?|departs?|arrives?|weighs?|expires?|"
    r"takes place)"
)
_OTHER = (
    r"(?:has|have|had|plays?|likes?|loves?|hates?|needs?|turns?|turned|got|goes|takes?|owns?|speaks?|studies|study|"
    r"comes?|came|eats?|drinks?|drives?|teaches|wants?|uses?|keeps?|can(?:not|['’]t)?|does(?: not|n['’]t)|died|moved)"
)
_OWN = (
    r"(?:have|['’]ve got|['’]ve|own|drive|ride|play|speak|study|teach|use|keep|wear|take|grow|bought|adopted|got|"
    r"started|quit|graduated|married|planted|booked|ordered|collect|weigh|run|swim|sing|paint|write|grew up|used to)"
)
_TASTE = (
    r"(?:prefer|like|love|hate|dislike|enjoy|adore|detest|avoid|can(?:not|['’]t) (?:stand|eat|drink|have|take)|"
    r"(?:do not|don['’]t|no longer|never) (?:like|eat|drink|enjoy|want))"
)
_MOODS = re.compile(
    r"(?:not\s+)?(?:(?:very|so|really|quite|a bit|a little|pretty|still)\s+)*(?:sure|sorry|afraid|curious|confused|"
    r"interested|happy|glad|fine|good|well|ok|okay|done|back|here|there|ready|tired|bored|hungry|thirsty|sad|excited|"
    r"surprised|impressed|stuck|lost|new to this|in a hurry|busy|about to|able|aware|certain|worried|grateful|"
    r"thankful|all set|with you|a bit|kidding|joking)\b|"
    r"(?!(?:living|working|studying|learning|teaching|expecting)\b)\w+ing\b",
    re.IGNORECASE,
)
_EMPTY_OBJECT = re.compile(
    r"(?:it|that|this|these|those|your?|the (?:way|idea|answer|sound)|how|what|to\b|a (?:few |quick |different )?"
    r"(?:question|problem|doubt|request|look|idea|feeling|minute|second|moment|chance)|an? (?:issue|idea)|no idea|"
    r"another question|some questions|been|never|already|one more|trouble|a hard time|time\b)",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"(?:I(?:['’]d| would) (?:like|love|want|prefer you)|I (?:want|need) (?:you|help|some|to know|a |an |your)|"
    r"I (?:wonder|think|guess|hope|see|understand|believe|mean|suppose|assume|asked|heard|read|know|don['’]t know|"
    r"can(?!['’]t)|was wondering)\b|(?:my|our) (?:question|point|guess|problem|issue|query|request)\b|"
    r"let|tell|give|show|help|thank|what|how|why|when|where|who|which|is|are|do|does|did|can|could|would|should|will|"
    r"if|(?:am|was|were|has|have|had|may|might|shall|must) (?:I|we|you|he|she|it|they|there|my|our|the))\b",
    re.IGNORECASE,
)
_DAYS = (
    r"monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|june|july|august|"
    r"september|october|november|december|noon|midnight|o['’]clock"
)
_TELLING = re.compile(rf"\d|(?<=\s)(?!I\b|I['’])[A-Z]|\b(?i:{_DAYS})\b")
"""A number, a name, a day."""

_MINE = re.compile(r"\b(?:I|I['’]\w+|[Mm]y|[Ww]e|[Ww]e['’]\w+|[Oo]ur|me|us)\b")


_TAIL = re.compile(
    r",?\s+(?:by the way|btw|fyi|just so you know|so you know|for the record|if that matters|thanks|please|"
    r"(?:so |and )?(?:please )?(?:keep (?:that|this|it) in mind|remember (?:that|this|it)|don['’]t forget(?: it)?))"
    r"[.!\s]*$",
    re.IGNORECASE,
)


def split_statements(sentence: str) -> list[str]:
    """Its clauses that stand for themselves."""
    return [_TAIL.sub("", piece.strip(" ,;")).rstrip(".!… ") for piece in _SPLIT.split(sentence)]


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace("VALUE", _VALUE) + r"[.!\s]*$", re.IGNORECASE)


_MY = r"(?P<phrase>(?:my|our)\s+" + _NOUNS + ")"
_THE = r"(?P<phrase>(?:the|that|this)\s+" + _NOUNS + ")"
_WHOSE = r"(?P<phrase>[A-Z][\w-]+['’]s\s+" + _NOUNS + ")"
_CHANGE = r"(?:changed|moved|rescheduled|switched|renamed|postponed|updated|reset)"

Reading = Callable[[re.Match[str]], dict[str, str] | None]


def _named(phrase: str, family: str = "", opening: str = "") -> Reading:
    found = {"phrase": phrase, "family": family, "opening": opening}
    return lambda match: {key: text for key, text in found.items() if text}


def _thing(match: re.Match[str]) -> dict[str, str] | None:
    return {"phrase": match["phrase"]}


def _called(match: re.Match[str]) -> dict[str, str] | None:
    return {"phrase": f"{match['phrase']} name"}


def _related(match: re.Match[str]) -> dict[str, str] | None:
    return {"phrase": match["phrase"], "relation": match["verb"]}


def _doing(match: re.Match[str]) -> dict[str, str] | None:
    return {"phrase": f"{match['phrase']} {match['verb']} {match['value']}", "relation": match["verb"]}


def _of_the_world(match: re.Match[str]) -> dict[str, str] | None:
    """ "The ..." and "Clara's ..." are worth keeping if they tell a number, a name or a day."""
    return {"phrase": match["phrase"]} if _TELLING.search(f" {match['value']}") else None


def _being(match: re.Match[str]) -> dict[str, str] | None:
    value = match["value"]
    if _MOODS.match(value):
        return None
    if re.match(r"\d+(?: years old)?$", value.strip()):
        return {"phrase": "my age"}
    plain = re.sub(r"^not\s+", "", value, flags=re.IGNORECASE)  # what is denied replaces what was said, and back
    kind = "a" if re.match(r"an?\b", plain) else ""
    return {"phrase": f"I am {plain}", "relation": "be", "family": f"I am {kind}" if kind else ""}


def _having(match: re.Match[str]) -> dict[str, str] | None:
    if _EMPTY_OBJECT.match(match["value"]):
        return None
    return {"phrase": f"I {match['value']}", "relation": match["verb"]}


def _tasting(match: re.Match[str]) -> dict[str, str] | None:
    if _EMPTY_OBJECT.match(match["value"]):
        return None
    return {"phrase": f"taste {re.sub(r' any ?more$', '', match['value'])}", "relation": "taste"}


def _born(match: re.Match[str]) -> dict[str, str] | None:
    return {"phrase": "my birth", "relation": "born"}


_NAME = r"(?:my name(?:['’]s| is)|I am called|I['’]m called|(?:you can |please )?call me|I go by|people call me)"
_WE = r"(?:I|we)(?:['’]ve| have)?"
_WE_ARE = r"(?:I|we)(?:['’]ve| have|['’]m| am|['’]re| are)?"
_NO = r"(?:do not |don['’]t |no longer )?"
_TO = r"(?:from .+? )?(?:to|for|until)"

_RULES: tuple[tuple[re.Pattern[str], Reading], ...] = (
    (_rule(rf"{_NAME} VALUE"), _named("my name", opening="My name is")),
    (_rule(rf"{_MY}\s+(?:is|are|was|were)\s+(?:now\s+)?(?:called|named)\s+VALUE"), _called),
    (_rule(rf"{_WE}\s+{_ADVERBS}{_CHANGE}\s+{_MY}\s+{_TO}\s+VALUE"), _thing),
    (_rule(rf"{_WE}\s+{_ADVERBS}{_CHANGE}\s+{_THE}\s+{_TO}\s+VALUE"), _thing),
    (
        _rule(rf"(?:now )?(?:I|we)\s+{_ADVERBS}{_NO}(?:live|reside|stay)\s+(?:in|at|on|near)\s+VALUE"),
        _named("my residence"),
    ),
    (_rule(rf"{_WE_ARE}\s+{_ADVERBS}(?:moved|relocated)\s+(?:to|in)\s+VALUE"), _named("my residence")),
    (_rule(rf"{_WE_ARE}\s+{_ADVERBS}(?:living|based)\s+(?:in|at|near)\s+VALUE"), _named("my residence")),
    (_rule(rf"I\s+{_ADVERBS}{_NO}work\s+(?:at|for)\s+VALUE"), _named("my employer")),
    (_rule(rf"I\s+{_ADVERBS}work\s+as\s+VALUE"), _named("my job", family="I am a")),
    (_rule(r"I was born\s+(?:in|on|at)\s+VALUE"), _born),
    (_rule(rf"I\s+{_ADVERBS}(?P<verb>{_TASTE})\s+VALUE"), _tasting),
    (_rule(rf"(?:I['’]m|I am|we['’]re|we are)\s+{_ADVERBS}VALUE"), _being),
    (_rule(rf"(?:I|we)(?:['’]ve| have) been\s+{_ADVERBS}VALUE"), _being),
    (_rule(rf"{_MY}\s+{_BE}\s+VALUE"), _thing),
    (_rule(rf"{_WHOSE}\s+{_BE}\s+VALUE"), _of_the_world),
    (_rule(rf"{_MY}\s+(?P<verb>{_LASTING})\s+VALUE"), _related),
    (_rule(rf"{_MY}\s+(?P<verb>{_OTHER})\s+VALUE"), _doing),
    (_rule(rf"{_THE}\s+{_BE}\s+VALUE"), _of_the_world),
    (_rule(rf"(?:I|we)\s*{_ADVERBS}{_NO}(?P<verb>{_OWN})\s+VALUE"), _having),
)
"""The first that fits and finds something counts."""

_OF_OTHERS = re.compile(r"(?:[Tt]he|[Tt]hat|[Tt]his)\s|[A-Z][\w-]+['’]s\s")
_NEGATED = re.compile(r"\b(?:no longer|not|n['’]t|any ?more|never)\b", re.IGNORECASE)


def plain_statement(text: str) -> Plain | None:
    """None if it states nothing that is worth keeping."""
    if not _MINE.search(text) and not _OF_OTHERS.match(text):
        return None
    for pattern, reading in _RULES:
        match = pattern.match(text)
        if match is None or _ASKING.match(text):
            continue
        read = reading(match)
        if read is not None and len(match["value"].split()) <= 30:
            negated = bool(_NEGATED.search(text))
            opening = read.get("opening") or text[: match.start("value")].strip()
            return Plain(
                phrase=read["phrase"],
                value=match["value"],
                opening=opening,
                relation=read.get("relation", ""),
                family=read.get("family", ""),
                negated=negated,
            )
    if _MINE.search(text) and _TELLING.search(text) and not _ASKING.match(text):
        return Plain(phrase="", value="", opening="", negated=bool(_NEGATED.search(text)), strong=False)
    return None
