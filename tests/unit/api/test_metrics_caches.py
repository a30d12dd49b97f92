"""Hit rates of caches among the server's figures."""

from __future__ import annotations

from smidgen.api.metrics import CACHES, Metrics
from smidgen.events import Routed
from smidgen.patterns.cached.store import OUTCOMES


def test_what_became_of_requests_is_counted_with_the_share_of_hits() -> None:
    metrics = Metrics()
    with metrics.answering("chat", "tiny", 0.0) as seen:
        for outcome in (*OUTCOMES, "exact"):
            seen(Routed(strategy=f"cached: {outcome}", reason=""))
        for strategy in ("exact", "cached: else", "rules"):
            seen(Routed(strategy=strategy, reason=""))
    page = metrics.page().decode()
    assert 'smidgen_cached_answers_total{outcome="exact"} 2.0' in page
    assert 'smidgen_cached_answers_total{outcome="passed by"} 1.0' in page
    assert "else" not in page
    assert 'smidgen_cache_hit_rate{cache="answers"} 0.6' in page


def test_the_engines_caches_have_a_rate_once_they_were_asked() -> None:
    metrics = Metrics()
    for hits, misses in CACHES.values():
        metrics.set(hits, "hits", 0)
        metrics.set(misses, "misses", 0)
    assert "smidgen_cache_hit_rate{" not in metrics.page().decode()
    metrics.set(CACHES["grammars"][0], "hits", 3)
    metrics.set(CACHES["grammars"][1], "misses", 1)
    page = metrics.page().decode()
    assert 'smidgen_cache_hit_rate{cache="grammars"} 0.75' in page
    assert 'cache="tokens"' not in page
