"""FALLS BACK: the next way when one fails, and cheap models before dear ones.

fallback     the chain: each way with its time, its check and what it is for; always told which way answered
cascade      a cheap first answer, a specialist when it isn't sure, a refiner that is kept if it made nothing worse
rules        answers by code: patterns with templates, and what an agent's own rules answer
refusal      the honest end: what was tried, and what the user can do
ways         a way of a chain; checks: when an answer is accepted; confidence: how sure a first answer is
failures     pure: what a failure means for the ways that follow; health: how long a way takes, and when it rests
attempt      one way tried under its limit, its text held back; within: what such a try may use
calibration  pure: the confidence to ask for, from answers that are known to be right or wrong
reading      all of it from TOML

A way is any `Pattern`. What one way says is shown when it is accepted, and not before.
"""

from __future__ import annotations

from smidgen.patterns.fallback.calibration import sure_for
from smidgen.patterns.fallback.cascade import Cascade
from smidgen.patterns.fallback.confidence import Agreement, Checked, Logprob, Nearness, YesNo
from smidgen.patterns.fallback.fallback import Fallback
from smidgen.patterns.fallback.refusal import Refusal
from smidgen.patterns.fallback.rules import Rule, Rules
from smidgen.patterns.fallback.ways import Way

__all__ = [
    "Agreement",
    "Cascade",
    "Checked",
    "Fallback",
    "Logprob",
    "Nearness",
    "Refusal",
    "Rule",
    "Rules",
    "Way",
    "YesNo",
    "sure_for",
]
